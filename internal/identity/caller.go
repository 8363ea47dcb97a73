package identity

// Caller is who is calling. It is made once per request and never changed: steps
// run at different times, and all of them must mean the same person.
type Caller struct {
	// Subject names the caller within Source.
	Subject string
	// Source says how the gateway knows. It is chosen by the gateway, never by the
	// caller, and holds no NUL byte.
	Source string
}

// SourceAnonymous is the source of a caller who proved nothing.
const SourceAnonymous = "anonymous"

// Anonymous is the caller where nobody has to say who they are (REQ A-1).
func Anonymous() *Caller {
	return &Caller{Subject: "anonymous", Source: SourceAnonymous}
}

// Key tells callers apart, for what belongs to one caller alone, such as a
// session: the same subject from another source is somebody else. It is not for
// display.
func (c *Caller) Key() string {
	return c.Source + "\x00" + c.Subject
}
