package composite

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/composite/workflow"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/upstream"
)

func number(n int) json.Number { return json.Number(strconv.Itoa(n)) }

// answer is the answer to a visit: one message, or a stream where there is more to say
// first.
func (v *visit) answer(r *run) (*upstream.Answer, error) {
	first := v.next(r)
	if !first.last {
		a := v.call.Answered(backend.StreamResponse(&stream{run: r, visit: v, next: &first}))
		a.State = v.call.State
		return a, nil
	}
	v.close(r)
	if first.err != nil {
		return nil, first.err
	}
	a := v.call.Answered(backend.JSONResponse(http.StatusOK, first.raw))
	a.State = v.call.State
	return a, nil
}

// next is the run's next message.
func (v *visit) next(r *run) output {
	select {
	case o := <-v.out:
		return o
	case <-r.over: // before the client has come back
		return output{last: true, raw: mcp.Errorf(0, mcp.CodeInternal, "%s: its time was over; call it anew", r.tool.Name).Append(nil, v.call.Message.ID)}
	}
}

// close ends a visit. Unless it has had its last message, the run ends too.
func (v *visit) close(r *run) {
	v.leave.Do(func() {
		v.unlink()
		close(v.gone)
		if r.visit() == v {
			r.cancel(errGone)
		}
	})
}

// stream is what a run says while the client reads.
type stream struct {
	run   *run
	visit *visit
	next  *output
	rest  []byte
	end   bool
}

func (s *stream) Read(p []byte) (int, error) {
	for len(s.rest) == 0 {
		if s.end {
			return 0, io.EOF
		}
		if s.next == nil {
			o := s.visit.next(s.run)
			s.next = &o
		}
		s.rest = mcp.AppendEvent(nil, mcp.Event{Name: "message", Data: s.next.raw})
		s.end, s.next = s.next.last, nil
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func (s *stream) Close() error {
	s.visit.close(s.run)
	return nil
}

// response is a result as the client gets it.
func response(c *upstream.Call, fields ...mcp.Field) []byte {
	if c.Revision.Modern() {
		fields = append(fields, mcp.Field{Name: "resultType", Value: []byte(`"complete"`)})
	}
	return mcp.Merge([]byte(`{"jsonrpc":"2.0"}`), []mcp.Field{{Name: "id", Value: c.Message.ID}, {Name: "result", Value: mcp.Merge(nil, fields)}})
}

// toolError is the result of a tool that has failed.
func toolError(c *upstream.Call, text string) []byte {
	return response(c, mcp.Field{Name: "content", Value: textContent(text)}, mcp.Field{Name: "isError", Value: []byte("true")})
}

func textContent(text string) []byte {
	return append(mcp.AppendQuote([]byte(`[{"type":"text","text":`), text), `}]`...)
}

// result is what the tool returns: what its output says, or what the last step returned.
func (r *run) result(c *upstream.Call) []byte {
	if r.tool.OutputSchema != nil {
		data := r.data()
		data.Workflow["status"] = "completed"
		raw, err := r.tool.Result(data)
		if err != nil {
			return toolError(c, r.tool.Name+": "+err.Error())
		}
		return response(c, mcp.Field{Name: "content", Value: textContent(string(raw))}, mcp.Field{Name: "structuredContent", Value: raw})
	}
	for i := len(r.tool.Steps) - 1; i >= 0; i-- {
		id := r.tool.Steps[i].ID
		if r.results[id].Status != workflow.Completed {
			continue
		}
		raw := r.raw[id]
		if raw == nil {
			output, err := json.Marshal(r.results[id].Output)
			if err != nil {
				return toolError(c, "step "+id+": its result cannot be written")
			}
			return response(c, mcp.Field{Name: "content", Value: textContent(string(output))})
		}
		content := mcp.Path(raw, "content")
		if content == nil {
			content = []byte("[]")
		}
		fields := []mcp.Field{{Name: "content", Value: content}}
		if s := mcp.Path(raw, "structuredContent"); s != nil {
			fields = append(fields, mcp.Field{Name: "structuredContent", Value: s})
		}
		return response(c, fields...)
	}
	return response(c, mcp.Field{Name: "content", Value: textContent("no step of " + r.tool.Name + " was carried out: each was skipped or has failed")})
}

// contents are the parts of a tool's answer as templates know them: text, text_1, …,
// image_0, …, resource, resource_1, ….
func contents(raw []byte) map[string]any {
	made := map[string]any{}
	seen := map[string]int{}
	_ = mcp.Elements(raw, func(value []byte) bool {
		kind := mcp.PathText(value, "type")
		n := seen[kind]
		key := kind
		if n > 0 || kind == "image" {
			key = kind + "_" + strconv.Itoa(n)
		}
		switch kind {
		case "text":
			made[key] = mcp.PathText(value, "text")
		case "image":
			made[key] = mcp.PathText(value, "data")
		case "resource":
			text := mcp.PathText(value, "resource", "text")
			if text == "" {
				text = mcp.PathText(value, "resource", "blob")
			}
			made[key] = text
		}
		seen[kind]++
		return true
	})
	return made
}
