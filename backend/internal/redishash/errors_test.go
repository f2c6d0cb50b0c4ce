package redishash_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/internal/redishash"
)

var sentinels = []error{
	backend.ErrNotFound, backend.ErrExists, backend.ErrConflict, backend.ErrCounter, backend.ErrUnreadable,
}

func TestFailReply(t *testing.T) {
	for _, tt := range []struct {
		name  string
		reply string
		want  error  // nil for one that is not the contract's
		text  string // if it is not that of want
	}{
		{name: "not found", reply: "SESSION_NOT_FOUND no such record", want: backend.ErrNotFound},
		{name: "exists", reply: "SESSION_EXISTS the key holds something", want: backend.ErrExists},
		{name: "conflict", reply: "SESSION_CONFLICT a field is missing", want: backend.ErrConflict},
		{name: "counter", reply: "SESSION_COUNTER out of range", want: backend.ErrCounter},
		{name: "with another code before it", reply: "ERR SESSION_CONFLICT x", want: backend.ErrConflict},
		{
			name:  "unreadable",
			reply: "SESSION_UNREADABLE session_ttl is no number of seconds",
			want:  backend.ErrUnreadable,
			text:  "op: record is unreadable: session_ttl is no number of seconds",
		},
		{
			name:  "another type",
			reply: "WRONGTYPE Operation against a key holding the wrong kind of value",
			want:  backend.ErrUnreadable,
			text:  "op: record is unreadable: WRONGTYPE Operation against a key holding the wrong kind of value",
		},
		{
			name:  "another type, in a script of Redis 6",
			reply: "ERR Error running script (call to f_9): @user_script:1: WRONGTYPE Operation against a key",
			want:  backend.ErrUnreadable,
			text:  "op: record is unreadable: ERR Error running script (call to f_9): @user_script:1: WRONGTYPE Operation against a key",
		},
		{
			name:  "another type, in a script of miniredis",
			reply: "ERR Operation against a key holding the wrong kind of value",
			want:  backend.ErrUnreadable,
			text:  "op: record is unreadable: ERR Operation against a key holding the wrong kind of value",
		},
		{name: "no memory", reply: "OOM command not allowed", text: "op: OOM command not allowed"},
		{name: "empty", reply: "", text: "op: "},
		{name: "longer code", reply: "SESSION_NOT_FOUNDATION x", text: "op: SESSION_NOT_FOUNDATION x"},
		{name: "code inside", reply: "ERR x SESSION_EXISTS", text: "op: ERR x SESSION_EXISTS"},
		{
			name:  "unknown command",
			reply: "ERR unknown command 'EVALSHA', with args beginning with: '96dc' '1' 'secret' ",
			text:  "op: ERR unknown command 'EVALSHA'",
		},
		{
			name:  "unknown command, with data that looks like another reply",
			reply: "ERR unknown command 'HSET', with args beginning with: 'session:x' 'WRONGTYPE' 'wrong kind of value'",
			text:  "op: ERR unknown command 'HSET'",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cause := errors.New(tt.reply)
			err := redishash.Fail(t.Context(), "op", cause, cause)
			for _, sentinel := range sentinels {
				if errors.Is(err, sentinel) != (sentinel == tt.want) {
					t.Errorf("errors.Is(%v, %v) = %v", err, sentinel, sentinel != tt.want)
				}
			}
			if tt.want == nil && !errors.Is(err, cause) {
				t.Errorf("%v does not wrap its cause", err)
			}
			if want := tt.text; want != "" && err.Error() != want {
				t.Errorf("text = %q, want %q", err, want)
			}
		})
	}
}

// What a hook of the client puts around a reply neither hides a refusal nor makes one.
func TestFailLooksAtTheReplyAlone(t *testing.T) {
	for _, tt := range []struct {
		reply, wrap string
		want        error
	}{
		{reply: "SESSION_EXISTS x", wrap: "redis evalsha: %w", want: backend.ErrExists},
		{reply: "ERR SESSION_CONFLICT x", wrap: "redis evalsha: %w", want: backend.ErrConflict},
		{reply: "WRONGTYPE x", wrap: "redis hgetall: %w", want: backend.ErrUnreadable},
		{reply: "OOM x", wrap: "SESSION_NOT_FOUND %w"},
		{reply: "OOM x", wrap: "WRONGTYPE %w"},
	} {
		reply := errors.New(tt.reply)
		err := redishash.Fail(t.Context(), "op", fmt.Errorf(tt.wrap, reply), reply)
		for _, sentinel := range sentinels {
			if errors.Is(err, sentinel) != (sentinel == tt.want) {
				t.Errorf("errors.Is(%v, %v) = %v", err, sentinel, sentinel != tt.want)
			}
		}
		if (tt.want == nil || tt.want == backend.ErrUnreadable) && !errors.Is(err, reply) {
			t.Errorf("%v does not wrap the reply", err)
		}
	}
}

// A store that says nothing is never taken for one that says no.
func TestFailWithoutReplyIsNoRefusal(t *testing.T) {
	for _, text := range []string{"SESSION_NOT_FOUND no such record", "WRONGTYPE x"} {
		err := redishash.Fail(t.Context(), "op", errors.New(text), nil)
		for _, sentinel := range sentinels {
			if errors.Is(err, sentinel) {
				t.Errorf("errors.Is(%v, %v) = true", err, sentinel)
			}
		}
	}
}

func TestFailSaysThatContextEnded(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	timeout := &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}
	full := errors.New("OOM x")
	for _, tt := range []struct {
		name  string
		ctx   context.Context
		err   error
		reply error
		want  error // beside err
		text  string
	}{
		{name: "canceled", ctx: canceled, err: io.EOF, want: context.Canceled, text: "op: context canceled: EOF"},
		{
			name: "late", ctx: late, err: io.EOF, want: context.DeadlineExceeded,
			text: "op: context deadline exceeded: EOF",
		},
		{name: "said already", ctx: canceled, err: context.Canceled, want: context.Canceled, text: "op: context canceled"},
		{name: "not ended", ctx: t.Context(), err: io.EOF, text: "op: EOF"},
		{name: "not ended, timeout", ctx: t.Context(), err: timeout, text: "op: read: i/o timeout"},
		{name: "no cause", ctx: canceled, err: full, reply: full, text: "op: OOM x"},
		{
			name: "the connection's deadline passed first", ctx: justLate{t.Context()}, err: timeout,
			want: context.DeadlineExceeded, text: "op: context deadline exceeded: read: i/o timeout",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := redishash.Fail(tt.ctx, "op", tt.err, tt.reply)
			if !errors.Is(err, tt.err) {
				t.Errorf("%v does not wrap its cause", err)
			}
			for _, ctxErr := range []error{context.Canceled, context.DeadlineExceeded} {
				if errors.Is(err, ctxErr) != (ctxErr == tt.want) {
					t.Errorf("errors.Is(%v, %v) = %v", err, ctxErr, ctxErr != tt.want)
				}
			}
			if err.Error() != tt.text {
				t.Errorf("text = %q, want %q", err, tt.text)
			}
		})
	}
}

// justLate is a context whose deadline has passed, but whose timer has not fired yet.
type justLate struct{ context.Context }

func (justLate) Deadline() (time.Time, bool) { return time.Now().Add(-time.Microsecond), true }

func FuzzFailReply(f *testing.F) {
	for _, s := range []string{
		"", "ERR ", "SESSION_EXISTS", "ERR SESSION_EXISTS x", "SESSION_EXISTS\r\n", "WRONGTYPE", "WRONG",
		"ERR unknown command 'x', with args beginning with: 'secret'",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		reply := errors.New(text)
		err := redishash.Fail(t.Context(), "op", reply, reply)
		if err == nil {
			t.Fatalf("Fail(%q) = nil", text)
		}
		named := 0
		for _, sentinel := range sentinels {
			if errors.Is(err, sentinel) {
				named++
			}
		}
		wantNamed := strings.Contains(text, "SESSION_") || strings.Contains(text, "WRONGTYPE") ||
			strings.Contains(text, "wrong kind of value")
		if text, args, cut := strings.Cut(text, ", with args beginning with:"); cut {
			wantNamed = strings.Contains(text, "SESSION_") || strings.Contains(text, "WRONGTYPE") ||
				strings.Contains(text, "wrong kind of value")
			if args != "" && strings.Contains(err.Error(), args) && !strings.Contains("op: "+text, args) {
				t.Errorf("Fail(%q) = %v, with the arguments", text, err)
			}
		}
		if named > 1 || named == 1 && !wantNamed {
			t.Errorf("Fail(%q) = %v", text, err)
		}
	})
}

func TestAgain(t *testing.T) {
	reset := &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	for _, tt := range []struct {
		name string
		err  error
		want bool
	}{
		{name: "well"},
		{name: "EOF", err: io.EOF, want: true},
		{name: "in the middle", err: fmt.Errorf("reply: %w", io.ErrUnexpectedEOF), want: true},
		{name: "reset", err: reset, want: true},
		{name: "closed", err: &net.OpError{Op: "write", Err: net.ErrClosed}, want: true},
		{name: "refused", err: &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}},
		{name: "slow", err: &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}},
		{name: "deadline", err: context.DeadlineExceeded},
		{name: "canceled", err: context.Canceled},
		{name: "reply", err: errors.New("OOM command not allowed")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := redishash.Again(t.Context(), tt.err, 1); got != tt.want {
				t.Errorf("Again(%v) = %v, want %v", tt.err, got, tt.want)
			}
		})
	}
}

func TestAgainEnds(t *testing.T) {
	sent := 1
	for redishash.Again(t.Context(), io.EOF, sent) {
		sent++
	}
	if sent != 5 {
		t.Errorf("sent %d times, want 5", sent)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if redishash.Again(ctx, io.EOF, 1) {
		t.Error("sent again after the context has ended")
	}
}

func TestRefused(t *testing.T) {
	if err := redishash.Refused("op", nil); err != nil {
		t.Errorf("Refused of nothing = %v", err)
	}
	err := redishash.Refused("op", []string{"HSET", "NOPERM x", "DEL", "NOPERM y"})
	if want := "op: the server refuses HSET, DEL: NOPERM x"; err == nil || err.Error() != want {
		t.Errorf("Refused = %v, want %s", err, want)
	}
}
