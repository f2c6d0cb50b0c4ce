package redistest

import (
	"bufio"
	"fmt"
	"net"
	"testing"
	"time"
)

// replyTimeout is how long a reply may take. A test that waits longer is stuck.
const replyTimeout = 15 * time.Second

// Conn is one connection that speaks raw RESP, for what needs a connection of its own: MULTI, WAIT, tracking,
// SUBSCRIBE. It is not safe for concurrent use.
type Conn struct {
	c       net.Conn
	d       decoder
	timeout time.Duration // of each step
}

// Dial opens a connection to addr. The caller closes it.
func Dial(addr string) (*Conn, error) { return dial(addr, replyTimeout) }

func dial(addr string, timeout time.Duration) (*Conn, error) {
	c, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return nil, err
	}
	return &Conn{c: c, d: decoder{r: bufio.NewReader(c)}, timeout: timeout}, nil
}

// Dial opens a connection to the server, closed when the test ends.
func (s *Server) Dial(tb testing.TB) *Conn {
	tb.Helper()
	c, err := Dial(s.Addr())
	if err != nil {
		tb.Fatalf("redistest: %v", err)
	}
	tb.Cleanup(func() { c.Close() })
	return c
}

// Do sends a command and returns its reply. An error reply of the server is an [Error]; every other error
// means that the connection is of no more use.
func (c *Conn) Do(args ...string) (Reply, error) {
	if err := c.Send(args...); err != nil {
		return Reply{}, err
	}
	return c.Receive()
}

// Send sends a command and does not wait for its reply.
func (c *Conn) Send(args ...string) error {
	c.c.SetWriteDeadline(time.Now().Add(c.timeout))
	_, err := c.c.Write(appendCommand(nil, args...))
	return err
}

// Receive returns the next reply or push. It waits for 15 seconds at most.
func (c *Conn) Receive() (Reply, error) {
	c.c.SetReadDeadline(time.Now().Add(c.timeout))
	r, err := c.d.read()
	if err != nil {
		return Reply{}, err
	}
	return r, r.Err()
}

// Close closes the connection.
func (c *Conn) Close() error { return c.c.Close() }

// call sends one command to addr on a connection of its own.
func call(addr string, args ...string) (Reply, error) {
	return callWithin(replyTimeout, addr, args...)
}

func callWithin(timeout time.Duration, addr string, args ...string) (Reply, error) {
	c, err := dial(addr, timeout)
	if err != nil {
		return Reply{}, err
	}
	defer c.Close()
	return c.Do(args...)
}

// Do sends one command on a connection of its own and returns the reply. An error, the server's too, fails
// the test.
func (s *Server) Do(tb testing.TB, args ...string) Reply {
	tb.Helper()
	r, err := s.Try(args...)
	if err != nil {
		tb.Fatalf("redistest: %v", err)
	}
	return r
}

// Try is [Server.Do] for a command that may fail. An error reply is an [Error], which it wraps.
func (s *Server) Try(args ...string) (Reply, error) {
	r, err := call(s.Addr(), args...)
	if err != nil {
		return Reply{}, fmt.Errorf("%.40q: %w", args, err)
	}
	return r, nil
}
