package audit

import (
	"strconv"
	"time"
)

// The JSON of the OpenTelemetry protocol, by hand: its mapping of Protocol Buffers
// writes 64-bit integers as strings, and every value with its type.
const (
	eventName     = `"sallyport.audit"`
	lostEventName = `"sallyport.audit.lost"`

	attributeOpen = `{"key":"sallyport.audit.`
	textOpen      = `","value":{"stringValue":"`
	textClose     = `"}},`
)

// severity is what collectors filter by (OpenTelemetry logs data model).
func severity(o Outcome) string {
	switch o {
	case Success:
		return `9,"severityText":"INFO"`
	case Denied:
		return `13,"severityText":"WARN"`
	case Error:
	}
	return `17,"severityText":"ERROR"`
}

// appendRecord adds the event as a LogRecord. Its attributes are the fields of the
// line under the same names; its body says it to a person.
func appendRecord(b []byte, e *Event) []byte {
	method := e.Method
	if method == "" {
		method = e.HTTPMethod
	}
	b = appendNanos(append(b, `{"timeUnixNano":"`...), e.Time)
	b = appendNanos(append(b, `","observedTimeUnixNano":"`...), e.Time.Add(max(0, e.Duration)))
	b = append(append(b, `","severityNumber":`...), severity(e.Outcome)...)
	b = append(b, `,"eventName":`+eventName+`,"body":{"stringValue":"`...)
	b = appendText(b, method)
	if e.Target != "" {
		b = appendText(append(b, ' '), e.Target)
	}
	b = appendText(append(b, `: `...), string(e.Outcome))
	if e.Reason != "" {
		b = append(appendText(append(b, ` (`...), e.Reason), ')')
	}
	b = append(b, `"},"attributes":[`...)
	b = append(b, attributeOpen+`schema`+textOpen+schema+textClose...)
	b = appendAttribute(b, "id", e.ID)
	b = appendAttribute(b, "within", e.Within)
	b = appendAttribute(b, "part", e.Part)
	b = appendAttribute(b, "server", e.Server)
	b = appendAttribute(b, "member", e.Member)
	b = appendAttribute(b, "method", method)
	if method == "tools/call" {
		b = appendAttribute(b, "tool", e.Target)
	}
	b = appendAttribute(b, "target", e.Target)
	b = appendAttribute(b, "subject", e.Subject)
	b = appendAttribute(b, "source", e.Source)
	b = appendAttribute(b, "outcome", string(e.Outcome))
	b = appendAttribute(b, "reason", e.Reason)
	b = appendAttribute(b, "client", e.Client)
	b = appendAttribute(b, "via", e.Via)
	b = appendAttribute(b, "client_id", e.ClientID)
	b = appendAttribute(b, "provider", e.Provider)
	b = appendAttribute(b, "protocol_version", e.Revision)
	b = append(b, attributeOpen+`status","value":{"intValue":"`...)
	b = strconv.AppendInt(b, int64(e.Status), 10)
	b = append(b, textClose+attributeOpen+`duration_ms","value":{"doubleValue":`...)
	b = appendMillis(b, e.Duration)
	return append(b, "}}]}\n"...)
}

func appendLostRecord(b []byte, at time.Time, lost int) []byte {
	b = appendNanos(append(b, `{"timeUnixNano":"`...), at)
	b = appendNanos(append(b, `","observedTimeUnixNano":"`...), at)
	b = append(append(b, `","severityNumber":`...), severity(Error)...)
	b = append(b, `,"eventName":`+lostEventName+`,"body":{"stringValue":"`...)
	b = strconv.AppendInt(b, int64(lost), 10)
	b = append(b, ` audit events are missing here"},"attributes":[`+attributeOpen+`schema`+textOpen+schema+textClose...)
	b = append(b, attributeOpen+`lost","value":{"intValue":"`...)
	b = strconv.AppendInt(b, int64(lost), 10)
	return append(b, `"}}]}`+"\n"...)
}

// appendNanos adds a time as the protocol counts it. What it cannot count is 0: unknown.
func appendNanos(b []byte, t time.Time) []byte {
	if t.Year() < 1970 || t.Year() > 2261 {
		return append(b, '0')
	}
	return strconv.AppendInt(b, t.UnixNano(), 10)
}

// appendAttribute adds an attribute, unless it is empty, and a comma.
func appendAttribute(b []byte, key, value string) []byte {
	if value == "" {
		return b
	}
	b = append(append(append(b, attributeOpen...), key...), textOpen...)
	return append(appendText(b, value), textClose...)
}
