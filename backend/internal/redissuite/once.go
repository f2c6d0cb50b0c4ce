package redissuite

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faeeb396/session/internal/redistest"
)

// WriteIsSentOnce checks that no write is sent again whose reply was lost, on each kind of client.
func WriteIsSentOnce(t *testing.T, k Kit) {
	for _, kind := range k.Kinds {
		t.Run(kind.Name, func(t *testing.T) {
			for _, tt := range []struct {
				call    string
				command string
				id      string
				after   map[string]string // what is then stored under id
			}{
				{"Create", "EVALSHA", "new", map[string]string{"a": "secret", "session_ttl": "3600"}},
				{"Apply", "EVALSHA", "x", map[string]string{"a": "secret", "n": "2", "session_ttl": "3600"}},
				{"Apply with Load", "EVALSHA", "x", map[string]string{"n": "2", "session_ttl": "3600"}},
				{"Delete", "DEL", "x", map[string]string{}},
			} {
				for _, do := range []redistest.Action{redistest.DropReply, redistest.CutReply} {
					s, proxy := OnProxy(t, kind.Open)
					fault := proxy.Inject(redistest.Fault{Command: tt.command, Do: do, Times: redistest.Always})
					WantUnknown(t, CallMethod(t.Context(), s, tt.call))
					if n := proxy.Calls()[tt.command]; n != 1 || fault.Hits() != 1 {
						t.Errorf("%s: %s was sent %d times", tt.call, tt.command, n)
					}
					fault.Release()
					got := s.Do(t, "HGETALL", s.Prefix+tt.id).Map()
					if diff := cmp.Diff(tt.after, got); diff != "" {
						t.Errorf("%s: the store holds something else (-want +got):\n%s", tt.call, diff)
					}
				}
			}
		})
	}
}

// ScriptIsSentOnceAfterNoScript checks the same for a script that the server did not have: it is sent as EVAL, which
// is a first time.
func ScriptIsSentOnceAfterNoScript(t *testing.T, k Kit) {
	for _, kind := range k.Kinds {
		t.Run(kind.Name, func(t *testing.T) {
			server := redistest.Start(t, nil)
			proxy := redistest.NewProxy(t, server.Addr())
			s := newStore(t, kind.Open(t, proxy.Addr(), "session:"), server.Addr(), "session:")
			s.MustCreate(t, "x", nil)
			s.Do(t, "SCRIPT", "FLUSH")
			proxy.ResetCalls()
			proxy.Inject(redistest.Fault{Command: "EVAL", Do: redistest.DropReply, Times: redistest.Always})
			WantUnknown(t, CallMethod(t.Context(), s, "Apply"))
			if sent := proxy.Calls(); sent["EVALSHA"] != 1 || sent["EVAL"] != 1 {
				t.Errorf("sent %v", sent)
			}
			if n := s.Do(t, "HGET", "session:x", "n").String(); n != "1" {
				t.Errorf("the counter is %s, want 1", n)
			}
		})
	}
}

// LoadIsSentAgainWhenLost checks that a read is sent again, and not for ever.
func LoadIsSentAgainWhenLost(t *testing.T, k Kit) {
	for _, kind := range k.Kinds {
		t.Run(kind.Name, func(t *testing.T) {
			for _, do := range []redistest.Action{redistest.DropReply, redistest.CutReply, redistest.RefuseCommand} {
				s, proxy := OnProxy(t, kind.Open)
				proxy.Inject(redistest.Fault{Command: "HGETALL", Do: do})
				s.WantLoad(t, "x", map[string]string{"n": "1"})
				proxy.Inject(redistest.Fault{Command: "HGETALL", Do: do, Times: redistest.Always})
				proxy.ResetCalls()
				WantUnknown(t, CallMethod(t.Context(), s, "Load"))
				if n := proxy.Calls()["HGETALL"]; do != redistest.RefuseCommand && n != 5 {
					t.Errorf("HGETALL was sent %d times", n)
				}
			}
		})
	}
}

// LoadAfterIdleConnectionHasEnded checks that a read does not fail because its connection had ended.
func LoadAfterIdleConnectionHasEnded(t *testing.T, k Kit) {
	for _, kind := range k.Kinds {
		t.Run(kind.Name, func(t *testing.T) {
			s, proxy := OnProxy(t, kind.Open)
			proxy.Sever()
			s.WantLoad(t, "x", map[string]string{"n": "1"})
		})
	}
}

// EndedContextSendsNothing checks that nothing is sent for a context that has ended.
func EndedContextSendsNothing(t *testing.T, k Kit) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	for _, kind := range k.Kinds {
		t.Run(kind.Name, func(t *testing.T) {
			s, proxy := OnProxy(t, kind.Open)
			for _, ctx := range []context.Context{canceled, late} {
				for _, c := range Methods {
					if err := c.Call(ctx, s); !errors.Is(err, ctx.Err()) {
						t.Errorf("%s = %v, want %v", c.Name, err, ctx.Err())
					}
				}
				if err := s.Ping(ctx); !errors.Is(err, ctx.Err()) {
					t.Errorf("Ping = %v, want %v", err, ctx.Err())
				}
				for _, err := range s.Scan(ctx) {
					if !errors.Is(err, ctx.Err()) {
						t.Errorf("Scan = %v, want %v", err, ctx.Err())
					}
				}
			}
			sent := proxy.Calls()
			maps.DeleteFunc(sent, clientsOwn)
			if len(sent) != 0 {
				t.Errorf("sent %v", sent)
			}
		})
	}
}

// WantUnknown checks that an error says that the outcome is unknown.
func WantUnknown(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Error("no error, though the reply was lost")
	}
	if refused(err) {
		t.Errorf("%v says that nothing was written", err)
	}
}

// Deadline checks that a call whose reply does not come ends with its deadline, on a client that keeps deadlines.
func Deadline(t *testing.T, open Connect) {
	s, proxy := OnProxy(t, open)
	for _, tt := range []struct{ call, command string }{{"Load", "HGETALL"}, {"Apply", "EVALSHA"}, {"Delete", "DEL"}} {
		fault := proxy.Inject(redistest.Fault{Command: tt.command, Do: redistest.HangReply})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		err := CallMethod(ctx, s, tt.call)
		WantUnknown(t, err)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s = %v, want %v", tt.call, err, context.DeadlineExceeded)
		}
		if n := proxy.Calls()[tt.command]; n > 1 {
			t.Errorf("%s was sent %d times", tt.command, n)
		}
		fault.Release()
	}
}
