package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/sallyport-dev/sallyport/internal/page"
)

// Streams look for news now and then: that is cheap, and finds everything, whoever
// changes it.
const (
	lookEvery  = time.Second
	beatEvery  = 15 // looks between two signs of life
	maxStreams = 32
	sendTime   = 10 * time.Second
)

// serveEvents keeps a page up to date: each part of it is sent when it has changed.
func (c *Console) serveEvents(w http.ResponseWriter, r *http.Request) {
	if c.streams.Add(1) > maxStreams {
		c.streams.Add(-1)
		http.Error(w, "too many pages are open", http.StatusServiceUnavailable)
		return
	}
	defer c.streams.Add(-1)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	s := &stream{w: w, rc: http.NewResponseController(w), sent: map[string]string{}}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		if len(c.cfg.Tokens) > 0 && !c.cfg.Operator(r) && !c.sessions.known(r) {
			return // signed out meanwhile
		}
		if s.send(c.lookOnce(r)) != nil || n%beatEvery == 0 && s.beat() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}

// stream is a page that is kept up to date.
type stream struct {
	w    http.ResponseWriter
	rc   *http.ResponseController
	sent map[string]string // part → what the page has of it
}

// send sends the parts that have changed.
func (s *stream) send(v *view) error {
	for _, part := range v.parts() {
		html := page.Fragment(part.show)
		if s.sent[part.id] == html {
			continue
		}
		s.sent[part.id] = html
		line, err := json.Marshal(map[string]string{"part": part.id, "html": html, "title": v.title()})
		if err != nil { // it is text
			return err
		}
		if err := s.write(fmt.Sprintf("data: %s\n\n", line)); err != nil {
			return err
		}
	}
	return nil
}

// beat tells the browser that the stream is alive, and finds out whether somebody reads it.
func (s *stream) beat() error { return s.write(": \n\n") }

func (s *stream) write(text string) error {
	_ = s.rc.SetWriteDeadline(time.Now().Add(sendTime)) // not every writer has one
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.rc.Flush()
}
