package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

const (
	strangersBody    = 8 << 20 // announced, and as much as a message may have
	strangersMembers = 916_000 // of one object, in as many bytes
)

// attacks are what people do who want a target's memory. Each returns when no more is to be had.
var attacks = []struct {
	name    string
	guarded bool // at an endpoint that asks for tokens, which they do not have
	do      func(c *client)
}{
	{"bodies of 8 MiB without a token, all but one byte", true, func(c *client) {
		head := strings.Replace(string(post(c.host, c.path, "", "")), "Content-Length: 0", fmt.Sprintf("Content-Length: %d", strangersBody), 1)
		if c.send([]byte(head)) != nil {
			return
		}
		piece := []byte(strings.Repeat(" ", 64<<10))
		for sent := 0; sent < strangersBody-1; sent += len(piece) {
			if c.send(piece[:min(len(piece), strangersBody-1-sent)]) != nil {
				return // it does not want more
			}
		}
	}},
	{"params of 916,000 members", false, func(c *client) {
		body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{` + strings.Repeat(`"0":0,`, strangersMembers) + `"0":0}}`
		_, _ = c.try(post(c.host, c.path, sessionHeader(""), body)) // a refusal, we hope
	}},
}

// measureStrangers has as many of them at once as the options say, and looks at the most memory that there was.
func measureStrangers(ctx context.Context, targets []*target, o *options) error {
	var rows []strangersRow
	for _, t := range targets {
		for _, attack := range attacks {
			if t.argv == nil || t.tls || t.special() || (t.token != "") != attack.guarded {
				continue
			}
			if _, err := t.start(ctx); err != nil {
				return err
			}
			before, _ := memory(t.pids)
			clients := make([]*client, o.strangers)
			var all sync.WaitGroup
			for i := range clients {
				clients[i] = newClient(t.url)
				all.Go(func() { attack.do(clients[i]) })
			}
			all.Wait()
			time.Sleep(settle)
			rows = append(rows, strangersRow{t.name, attack.name, before, peak(t.pids)})
			for _, c := range clients {
				c.close()
			}
			t.stop()
		}
	}
	reportStrangers(rows)
	return nil
}
