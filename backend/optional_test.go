package backend_test

import (
	"context"
	"errors"
	"testing"

	"github.com/faeeb396/session/backend"
)

type plain struct{ backend.Backend }

type pinging struct {
	backend.Backend
	err error
}

func (p pinging) Ping(context.Context) error { return p.err }

type wrapper struct{ backend.Backend }

func (w wrapper) Unwrap() backend.Backend { return w.Backend }

func TestAsLooksThroughWrappers(t *testing.T) {
	want := errors.New("outer")
	inner := pinging{err: errors.New("inner")}
	for _, tt := range []struct {
		name string
		b    backend.Backend
		want error
		ok   bool
	}{
		{name: "nil", b: nil},
		{name: "without", b: plain{}},
		{name: "with", b: inner, want: inner.err, ok: true},
		{name: "wrapped", b: wrapper{wrapper{inner}}, want: inner.err, ok: true},
		{name: "outermost wins", b: pinging{Backend: inner, err: want}, want: want, ok: true},
		{name: "wrapper round nothing", b: wrapper{nil}},
		{name: "a wrapper without Unwrap hides", b: plain{inner}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, ok := backend.As[backend.Pinger](tt.b)
			if ok != tt.ok {
				t.Fatalf("As ok = %v, want %v", ok, tt.ok)
			}
			if ok && p.Ping(t.Context()) != tt.want {
				t.Errorf("Ping = %v, want %v", p.Ping(t.Context()), tt.want)
			}
		})
	}
}
