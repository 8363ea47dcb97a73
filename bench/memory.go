package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// settle is how long a target gets to give memory back before it is read.
const settle = 2 * time.Second

// memoryRow is one target's line of the memory table.
type memoryRow struct {
	target     string
	sessions   int
	perSession float64 // KB
	perStream  float64 // KB
	idleBusy   float64 // part of one processor while all streams are idle
	rssIdle    float64 // MB, with the sessions alone
	rssAtEnd   float64 // MB, with the streams too
}

// measureMemory opens sessions, then a GET stream on each, on every target alone.
func measureMemory(ctx context.Context, targets []*target, o *options) error {
	var rows []memoryRow
	for _, t := range targets {
		if t.argv == nil || t.token != "" || t.tls || t.special() && t.members != manyMembers {
			continue
		}
		if _, err := t.start(ctx); err != nil {
			return err
		}
		row, err := measureSessions(t, o.memory, settle, func(when string) error { return profileHeap(t, t.name+"-"+when, o) })
		t.stop()
		if err != nil {
			return fmt.Errorf("memory of %s: %w", t.name, err)
		}
		rows = append(rows, row)
	}
	reportMemory(rows)
	return nil
}

func measureSessions(t *target, n int, settle time.Duration, look func(when string) error) (memoryRow, error) {
	row := memoryRow{target: t.name, sessions: n}
	// As many first, so that buffers and heap which any load needs once are not
	// taken for the sessions' own.
	err := spread(n, func(c *client, _ int) error {
		_, err := t.used(c)
		return err
	}, t.url)
	if err != nil {
		return row, err
	}
	time.Sleep(settle)
	_, before := memory(t.pids)
	if err := look("idle"); err != nil {
		return row, err
	}

	sessions := make([]string, n)
	err = spread(n, func(c *client, i int) (err error) {
		sessions[i], err = t.used(c)
		return err
	}, t.url)
	if err != nil {
		return row, err
	}
	time.Sleep(settle)
	var withSessions float64
	row.rssIdle, withSessions = memory(t.pids)

	streams := make([]*client, n)
	defer func() {
		for _, c := range streams {
			if c != nil {
				c.close()
			}
		}
	}()
	err = spread(n, func(_ *client, i int) error {
		streams[i] = newClient(t.url)
		return streams[i].stream(sessions[i])
	}, t.url)
	if err != nil {
		return row, err
	}
	time.Sleep(settle)
	_, withStreams := memory(t.pids)
	row.rssAtEnd, _ = memory(t.pids)
	busy := cpu(t.pids)
	time.Sleep(settle)
	row.idleBusy = (cpu(t.pids) - busy).Seconds() / settle.Seconds()
	if err := look("streams"); err != nil {
		return row, err
	}
	row.perSession = (withSessions - before) * 1024 / float64(n)
	row.perStream = (withStreams - withSessions) * 1024 / float64(n)
	return row, nil
}

// used opens a session and makes a call in it: what a virtual server needs for that is
// kept as long as the session.
func (t *target) used(c *client) (session string, err error) {
	if session, err = c.open(); err != nil {
		return "", err
	}
	req, _ := scenarios()[0].request(c.host, c.path, session, "", t.prefix())
	a, err := c.do(req)
	if err == nil {
		err = a.result(0)
	}
	return session, err
}

// spread runs f for 0 to n-1 on 16 connections, which are closed in the end.
func spread(n int, f func(c *client, i int) error, url string) error {
	var (
		work  = make(chan int)
		wg    sync.WaitGroup
		mu    sync.Mutex
		first error
	)
	for range 16 {
		wg.Go(func() {
			c := newClient(url)
			defer c.close()
			for i := range work {
				if err := f(c, i); err != nil {
					mu.Lock()
					if first == nil {
						first = err
					}
					mu.Unlock()
				}
			}
		})
	}
	for i := range n {
		work <- i
	}
	close(work)
	wg.Wait()
	return first
}
