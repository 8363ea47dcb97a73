package otlp

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"regexp"

	logs "go.opentelemetry.io/proto/slim/otlp/collector/logs/v1"
	metrics "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	traces "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// toProtobuf makes Protocol Buffers of a request in JSON. It runs where requests are sent
// from; what is on a client's way makes JSON, which costs no allocation there.
func toProtobuf(signal Signal, body []byte) ([]byte, error) {
	var request proto.Message
	switch signal {
	case Logs:
		request = &logs.ExportLogsServiceRequest{}
	case Metrics:
		request = &metrics.ExportMetricsServiceRequest{}
	case Traces:
		request = &traces.ExportTraceServiceRequest{}
		body = hexID.ReplaceAllFunc(body, asBase64)
	}
	if err := protojson.Unmarshal(body, request); err != nil {
		return nil, fmt.Errorf("%w: its %s cannot be encoded", ErrRefused, signal) // never again, and without what is in it
	}
	return proto.Marshal(request)
}

// hexID is an id, which the protocol's JSON writes in hexadecimal, unlike that of Protocol
// Buffers. It cannot be in a text, where each quote has a backslash before it.
var hexID = regexp.MustCompile(`"(?:traceId|spanId|parentSpanId)":"[0-9a-f]*"`)

func asBase64(field []byte) []byte {
	last := len(field) - 1
	from := last
	for field[from-1] != '"' {
		from--
	}
	raw, err := hex.DecodeString(string(field[from:last]))
	if err != nil {
		return field
	}
	return append(base64.StdEncoding.AppendEncode(append([]byte(nil), field[:from]...), raw), '"')
}

// rejectedProtobuf tells how many items of a batch the receiver did not take. The answers
// for all signals have one shape.
func rejectedProtobuf(body []byte) error {
	var answer logs.ExportLogsServiceResponse
	if proto.Unmarshal(body, &answer) != nil {
		return nil // the status says that it was taken
	}
	return partly(answer.GetPartialSuccess().GetRejectedLogRecords(), answer.GetPartialSuccess().GetErrorMessage())
}
