package redistest_test

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faeeb396/session/internal/redistest"
)

// through returns the shared server, a proxy before it, a connection through that, and a key.
func through(t *testing.T) (*redistest.Server, *redistest.Proxy, *redistest.Conn, string) {
	t.Helper()
	s := redistest.Shared(t)
	p := redistest.NewProxy(t, s.Addr())
	key := s.Prefix(t) + "n"
	s.Do(t, "SET", key, "0", "EX", "100")
	return s, p, connect(t, p), key
}

func connect(t *testing.T, p *redistest.Proxy) *redistest.Conn {
	t.Helper()
	c, err := redistest.Dial(p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// do sends a command and fails the test if its reply is not want.
func do(t *testing.T, c *redistest.Conn, want string, args ...string) {
	t.Helper()
	r, err := c.Do(args...)
	if err != nil || r.String() != want {
		t.Fatalf("%q = %v, %v, want %s", args, r, err, want)
	}
}

// expect fails the test if what comes next is not want.
func expect(t *testing.T, c *redistest.Conn, want string) {
	t.Helper()
	r, err := c.Receive()
	if err != nil || r.String() != want {
		t.Fatalf("received %v, %v, want %s", r, err, want)
	}
}

// expectClosed fails the test if the connection is not closed.
func expectClosed(t *testing.T, c *redistest.Conn) {
	t.Helper()
	r, err := c.Receive()
	if e, ok := err.(net.Error); err == nil || ok && e.Timeout() {
		t.Fatalf("received %v, %v, want a closed connection", r, err)
	}
}

func send(t *testing.T, c *redistest.Conn, args ...string) {
	t.Helper()
	if err := c.Send(args...); err != nil {
		t.Fatal(err)
	}
}

// answer is what a goroutine received.
type answer struct {
	redistest.Reply
	err error
}

// listen receives in a goroutine.
func listen(c *redistest.Conn) <-chan answer {
	ch := make(chan answer, 1)
	go func() {
		r, err := c.Receive()
		ch <- answer{r, err}
	}()
	return ch
}

// quiet fails the test if something arrives.
func quiet(t *testing.T, ch <-chan answer) {
	t.Helper()
	select {
	case a := <-ch:
		t.Fatalf("received %v, %v, want nothing", a.Reply, a.err)
	case <-time.After(30 * time.Millisecond):
	}
}

func (a answer) expect(t *testing.T, want string) {
	t.Helper()
	if a.err != nil || a.String() != want {
		t.Fatalf("received %v, %v, want %s", a.Reply, a.err, want)
	}
}

func TestProxyIsTransparent(t *testing.T) {
	_, p, c, key := through(t)
	value := strings.Repeat("\x00\r\n$5\xff", 200_000)
	do(t, c, "OK", "SET", key, value, "EX", "100")
	do(t, c, value, "get", key)
	do(t, c, "", "GET", key+"absent")
	if r, err := c.Do("HGETALL", key); err == nil || !strings.HasPrefix(err.Error(), "WRONGTYPE") {
		t.Errorf("HGETALL = %v, %v, want WRONGTYPE", r, err)
	}
	want := map[string]int{"SET": 1, "GET": 2, "HGETALL": 1}
	if diff := cmp.Diff(want, p.Calls()); diff != "" {
		t.Errorf("Calls mismatch (-want +got):\n%s", diff)
	}
	p.ResetCalls()
	do(t, c, "PONG", "PING")
	if diff := cmp.Diff(map[string]int{"PING": 1}, p.Calls()); diff != "" {
		t.Errorf("Calls after ResetCalls mismatch (-want +got):\n%s", diff)
	}
}

func TestProxyClosesConnection(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   redistest.Action
		runs string // how often the command ran afterwards
	}{
		{name: "DropReply", do: redistest.DropReply, runs: "2"},
		{name: "CutReply", do: redistest.CutReply, runs: "2"},
		{name: "RefuseCommand", do: redistest.RefuseCommand, runs: "1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, p, c, key := through(t)
			in := p.Inject(redistest.Fault{Command: "incr", Skip: 1, Do: tt.do})
			do(t, c, "1", "INCR", key)
			do(t, c, "1", "GET", key)
			send(t, c, "INCR", key)
			expectClosed(t, c)
			if in.Hits() != 1 {
				t.Errorf("Hits = %d, want 1", in.Hits())
			}
			if got := s.Do(t, "GET", key).String(); got != tt.runs {
				t.Errorf("INCR ran %s times, want %s", got, tt.runs)
			}
			if _, err := connect(t, p).Do("INCR", key); err != nil {
				t.Errorf("INCR after the fault: %v", err)
			}
		})
	}
}

func TestProxyCutsReplyInTheMiddle(t *testing.T) {
	_, p, _, _ := through(t)
	p.Inject(redistest.Fault{Command: "ECHO", Do: redistest.CutReply})
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "*2\r\n$4\r\nECHO\r\n$6\r\nabcdef\r\n")
	got, _ := io.ReadAll(c)
	if want := "$6\r\nab"; string(got) != want {
		t.Errorf("received %q, want %q", got, want)
	}
}

func TestProxyHoldsUntilReleased(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault redistest.Fault
		runs  string // how often the command ran while it was held
	}{
		{name: "HangReply", fault: redistest.Fault{Do: redistest.HangReply}, runs: "1"},
		{name: "HangCommand", fault: redistest.Fault{Do: redistest.HangCommand}, runs: "0"},
		{name: "DelayReply", fault: redistest.Fault{Do: redistest.DelayReply, Delay: time.Hour}, runs: "1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, p, c, key := through(t)
			in := p.Inject(tt.fault)
			send(t, c, "INCR", key)
			heard := listen(c)
			in.Await(t)
			quiet(t, heard)
			if got := s.Do(t, "GET", key).String(); got != tt.runs {
				t.Errorf("INCR ran %s times, want %s", got, tt.runs)
			}
			do(t, connect(t, p), "PONG", "PING") // another connection is not held
			in.Release()
			(<-heard).expect(t, "1")
			do(t, c, "2", "INCR", key)
		})
	}
}

func TestProxyHeldConnectionCanBeClosed(t *testing.T) {
	for _, do := range []redistest.Action{redistest.HangReply, redistest.HangCommand, redistest.DelayReply} {
		_, p, c, key := through(t)
		in := p.Inject(redistest.Fault{Do: do, Delay: time.Hour})
		send(t, c, "INCR", key)
		in.Await(t)
		p.Sever()
		expectClosed(t, c)
	} // and the end of the test waits for the goroutines of the proxies
}

func TestProxyDelayEnds(t *testing.T) {
	_, p, c, key := through(t)
	in := p.Inject(redistest.Fault{Command: "INCR", Do: redistest.DelayReply, Delay: time.Millisecond})
	do(t, c, "1", "INCR", key)
	if in.Hits() != 1 {
		t.Errorf("Hits = %d, want 1", in.Hits())
	}
}

func TestProxyChoosesCommands(t *testing.T) {
	second := func(want string) func([]string) bool {
		return func(args []string) bool { return len(args) > 1 && args[1] == want }
	}
	for _, tt := range []struct {
		name  string
		fault redistest.Fault
		want  string // which of six commands were harmed
	}{
		{name: "next", fault: redistest.Fault{}, want: "x....."},
		{name: "next of a name", fault: redistest.Fault{Command: "ECHO"}, want: ".x...."},
		{name: "skip", fault: redistest.Fault{Command: "ECHO", Skip: 1}, want: "...x.."},
		{name: "times", fault: redistest.Fault{Skip: 1, Times: 2}, want: ".xx..."},
		{name: "always", fault: redistest.Fault{Command: "PING", Times: redistest.Always}, want: "x.x.x."},
		{name: "match", fault: redistest.Fault{Match: second("b"), Times: redistest.Always}, want: "...x.."},
		{name: "match of a name", fault: redistest.Fault{Command: "PING", Match: second("b")}, want: "......"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, p, _, _ := through(t)
			tt.fault.Do = redistest.RefuseCommand
			in := p.Inject(tt.fault)
			var got []byte
			for _, args := range [][]string{{"PING"}, {"ECHO", "a"}, {"PING"}, {"ECHO", "b"}, {"PING"}, {"ECHO", "c"}} {
				mark := byte('.')
				if _, err := connect(t, p).Do(args...); err != nil {
					mark = 'x'
				}
				got = append(got, mark)
			}
			if string(got) != tt.want {
				t.Errorf("harmed %s, want %s", got, tt.want)
			}
			if n := strings.Count(tt.want, "x"); in.Hits() != n {
				t.Errorf("Hits = %d, want %d", in.Hits(), n)
			}
			in.Release()
			do(t, connect(t, p), "PONG", "PING")
		})
	}
}

func TestProxyFirstInjectedWins(t *testing.T) {
	_, p, _, _ := through(t)
	a := p.Inject(redistest.Fault{Command: "PING", Do: redistest.RefuseCommand})
	b := p.Inject(redistest.Fault{Command: "PING", Do: redistest.RefuseCommand})
	for i, want := range [][2]int{{1, 0}, {1, 1}, {1, 1}} {
		connect(t, p).Do("PING")
		if got := [2]int{a.Hits(), b.Hits()}; got != want {
			t.Errorf("after PING %d: Hits = %v, want %v", i+1, got, want)
		}
	}
}
