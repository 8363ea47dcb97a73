// Package audit writes down who called what, and how it ended: one event per
// exchange, as one line of JSON.
//
// It owns the event, its JSON form and the sinks. It does not own when an event
// is recorded (the gateway's last step, always) and never sees a credential, an
// argument, a result, a session id or a passthrough header: the [Event] has no
// field for them.
//
// # The line
//
// Fields stand in this order; those marked with * are left out when empty.
//
//	schema            "sallyport.audit/v1"
//	time              when the request arrived: RFC 3339, UTC, milliseconds
//	id                unique per event
//	server            name of the resource that was called
//	member *          of a virtual server: the one that the target belongs to
//	method            MCP method; the HTTP method where the request has none (GET, DELETE, a body that is no message)
//	tool *            name of the tool, for tools/call only
//	target *          what the method was aimed at: tool or prompt name, resource URI, task id
//	subject           who called; "anonymous" where nobody was asked
//	source            how the subject is known: anonymous, token, proxy, …
//	outcome           success, denied or error
//	status            HTTP status of the answer
//	reason *          why it was denied or failed
//	duration_ms       time until the end of the answer, to the microsecond
//	client *          the peer's address, without port
//	via *             console, where an operator sent it from there
//	client_id *       the OAuth client, in events of an authorization server
//	provider *        the identity provider that a person was sent to, in the same
//	protocol_version * the MCP revision the request spoke
//
// Where events are missing, because they were dropped or could not be written, a
// line says how many: schema, time, and
//
//	lost              number of events
//
// # The chain
//
// A file has two things more. Its first line is a header: schema, time, file (its
// number, counted from 1), prev (the link it goes on from; zeros where a chain
// begins), algorithm (sha256 or hmac-sha256) and, for the latter, key (which one it
// was). And every line ends with a link:
//
//	chain             64 hexadecimal digits: the hash of the link before, as 32 bytes,
//	                  and of the line's bytes up to `,"chain":"`
//
// A change, a removal, an insertion or another order shows at the first line that is
// not as it was, across files too. Not so a cut at the end: for that the head, the
// last line's link, is logged whenever a file is begun or ended. Nor that the whole
// chain was made anew, unless there is a key.
//
// Each line has its own link, instead of one per batch, because it costs 0.3 µs, off
// the request's way, tells the line, and holds also for what a crash left.
//
// Fields may be added within v1; none changes its meaning or goes. Text from
// outside is cut at 1 KiB, ending in "…". Control characters, line separators
// and invalid UTF-8 are escaped, so a line is always one line.
package audit
