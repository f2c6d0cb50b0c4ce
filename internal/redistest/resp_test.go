package redistest_test

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/faeeb396/session/internal/redistest"
)

// receive returns what a Conn makes of the bytes that a server sends before it closes.
func receive(t *testing.T, sent string) (redistest.Reply, error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			c.Write([]byte(sent))
			c.Close()
		}
	}()
	c, err := redistest.Dial(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.Receive()
}

func TestReplyDecodes(t *testing.T) {
	for _, tt := range []struct {
		sent string
		get  func(redistest.Reply) any
		want any
	}{
		{"+OK\r\n", text, "OK"},
		{":-42\r\n", number, -42},
		{"$2\r\n42\r\n", number, 42},
		{"$4\r\na\r\nb\r\n", text, "a\r\nb"},
		{"$0\r\n\r\n", text, ""},
		{"$0\r\n\r\n", isNil, false},
		{"$-1\r\n", isNil, true},
		{"*-1\r\n", isNil, true},
		{"_\r\n", isNil, true},
		{"=6\r\ntxt:ab\r\n", text, "ab"},
		{",1.5\r\n", text, "1.5"},
		{"#t\r\n", text, "t"},
		{"*0\r\n", list, []string{}},
		{"*2\r\n$1\r\na\r\n:1\r\n", list, []string{"a", "1"}},
		{"~1\r\n+a\r\n", list, []string{"a"}},
		{">2\r\n+invalidate\r\n*1\r\n+k\r\n", list, []string{"invalidate", "[k]"}},
		{"%1\r\n+a\r\n+1\r\n", dict, map[string]string{"a": "1"}},
		{"*2\r\n+a\r\n+1\r\n", dict, map[string]string{"a": "1"}},
		{"*0\r\n", dict, map[string]string{}},
		{"|1\r\n+ttl\r\n:3\r\n+OK\r\n", text, "OK"},
		{"*2\r\n-ERR x\r\n+OK\r\n", func(r redistest.Reply) any { return r.Array()[0].Err().Error() }, "ERR x"},
	} {
		t.Run(tt.sent, func(t *testing.T) {
			r, err := receive(t, tt.sent)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, tt.get(r)); diff != "" {
				t.Errorf("mismatch (-want +got):\n%s", diff)
			}
		})
	}
}

func text(r redistest.Reply) any   { return r.String() }
func number(r redistest.Reply) any { return r.Int() }
func isNil(r redistest.Reply) any  { return r.IsNil() }
func list(r redistest.Reply) any   { return r.Strings() }
func dict(r redistest.Reply) any   { return r.Map() }

func TestReplyRejects(t *testing.T) {
	for _, sent := range []string{
		"", "\r\n", "HTTP/1.1 400\r\n", "+OK\n", "+OK", "$3\r\nab\r\n", "$2\r\nabc\r\n", "$x\r\n", "$-2\r\n",
		"*2\r\n+a\r\n", "*-2\r\n", "*9999999999\r\n", "$9999999999\r\n", strings.Repeat("*1\r\n", 100) + "+a\r\n",
	} {
		if r, err := receive(t, sent); err == nil {
			t.Errorf("%q was read as %v", sent, r)
		}
	}
}

func TestReplyError(t *testing.T) {
	s := redistest.Shared(t)
	key := s.Prefix(t) + "k"
	s.Do(t, "SET", key, "v", "EX", "100")
	_, err := s.Try("HGETALL", key)
	var reply redistest.Error
	if !errors.As(err, &reply) || !strings.HasPrefix(reply.Error(), "WRONGTYPE ") {
		t.Errorf("HGETALL of a string: err = %v, want WRONGTYPE", err)
	}
}

func TestReplyPanicsOnOtherKind(t *testing.T) {
	for _, tt := range []struct {
		name string
		sent string
		get  func(redistest.Reply) any
	}{
		{"text as Int", "+OK\r\n", number},
		{"nil as Int", "$-1\r\n", number},
		{"text as Array", "+OK\r\n", list},
		{"odd array as Map", "*1\r\n+a\r\n", dict},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := receive(t, tt.sent)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			tt.get(r)
		})
	}
}
