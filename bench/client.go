package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"net/url"
	"strconv"
	"time"
)

// client is one keep-alive connection, bare so that the load costs little beside
// what it is put on.
type client struct {
	host, path string
	secure     bool
	conn       net.Conn
	br         *bufio.Reader
	body       []byte // of the last answer
}

// answer is what a client reads of one; body is good until the next.
type answer struct {
	status  int
	session string
	body    []byte
}

func newClient(endpoint string) *client {
	u, err := url.Parse(endpoint)
	if err != nil {
		panic(err) // the bench makes its own URLs
	}
	return &client{host: u.Host, path: u.Path, secure: u.Scheme == "https"}
}

func (c *client) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// do sends a rendered request. A connection that was closed while idle is made
// anew, once.
func (c *client) do(req []byte) (answer, error) {
	reused := c.conn != nil
	a, err := c.try(req)
	if err != nil && reused {
		a, err = c.try(req)
	}
	return a, err
}

func (c *client) try(req []byte) (answer, error) {
	a, err := c.exchange(req)
	if err != nil {
		c.close()
	}
	return a, err
}

func (c *client) exchange(req []byte) (answer, error) {
	if err := c.send(req); err != nil {
		return answer{}, err
	}
	a, length, err := c.head()
	if err != nil {
		return a, err
	}
	c.body = c.body[:0]
	switch {
	case length == chunked:
		buf := bytes.NewBuffer(c.body)
		if _, err = buf.ReadFrom(httputil.NewChunkedReader(c.br)); err == nil {
			_, err = c.br.ReadSlice('\n')
		}
		c.body = buf.Bytes()
	default:
		if cap(c.body) < length {
			c.body = make([]byte, 0, length)
		}
		c.body = c.body[:length]
		_, err = io.ReadFull(c.br, c.body)
	}
	a.body = c.body
	return a, err
}

func (c *client) dial() (net.Conn, error) {
	if c.secure {
		return dialTLS(c.host)
	}
	return net.DialTimeout("tcp", c.host, 30*time.Second)
}

func (c *client) send(req []byte) error {
	if c.conn == nil {
		conn, err := c.dial()
		if err != nil {
			return err
		}
		c.conn = conn
		if c.br == nil {
			c.br = bufio.NewReaderSize(conn, 32<<10)
		}
		c.br.Reset(conn)
	}
	if err := c.conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	_, err := c.conn.Write(req)
	return err
}

// chunked stands for a body whose length is not known beforehand.
const chunked = -1

func (c *client) head() (a answer, length int, err error) {
	line, err := c.br.ReadSlice('\n')
	if err != nil {
		return a, 0, err
	}
	if len(line) < 12 {
		return a, 0, fmt.Errorf("bad status line %q", line)
	}
	if a.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return a, 0, err
	}
	for {
		line, err := c.br.ReadSlice('\n')
		if err != nil {
			return a, 0, err
		}
		if len(line) <= 2 {
			return a, length, nil
		}
		switch name, value := headerLine(line); {
		case equalFold(name, "content-length"):
			if length, err = strconv.Atoi(string(value)); err != nil {
				return a, 0, err
			}
		case equalFold(name, "transfer-encoding"):
			length = chunked
		case equalFold(name, "mcp-session-id"):
			a.session = string(value)
		}
	}
}

// open makes a session of the legacy era and returns its id.
func (c *client) open() (string, error) {
	a, err := c.do(post(c.host, c.path, "", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{`+initializeParams+`}}`))
	if err != nil {
		return "", fmt.Errorf("initialize: %w", err)
	}
	if err := a.result(0); err != nil {
		return "", fmt.Errorf("initialize: %w", err)
	}
	session := a.session
	a, err = c.do(post(c.host, c.path, sessionHeader(session), `{"jsonrpc":"2.0","method":"notifications/initialized"}`))
	if err != nil {
		return "", fmt.Errorf("initialized: %w", err)
	}
	if a.status/100 != 2 {
		return "", fmt.Errorf("initialized: status %d: %.300s", a.status, a.body)
	}
	return session, nil
}

// result says why the answer is not the result that was asked for.
func (a answer) result(atLeast int) error {
	if a.status != 200 || len(a.body) < atLeast || !bytes.Contains(a.body, []byte(`"result":{`)) {
		return fmt.Errorf("status %d, %d bytes: %.300s", a.status, len(a.body), a.body)
	}
	return nil
}

// stream opens the GET stream of a session and leaves it open.
func (c *client) stream(session string) error {
	req := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n%s\r\n", c.path, c.host, sessionHeader(session))
	if err := c.send(req); err != nil {
		return err
	}
	a, _, err := c.head()
	if err != nil {
		return err
	}
	if a.status != 200 {
		return fmt.Errorf("status %d", a.status)
	}
	return c.conn.SetDeadline(time.Time{})
}
