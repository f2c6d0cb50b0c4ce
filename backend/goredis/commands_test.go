package goredis_test

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/internal/redistest"
)

// onRedis returns a store on the shared server.
func onRedis(t *testing.T) *store {
	t.Helper()
	server := redistest.Shared(t)
	return newStore(t, connect(t, server.Addr()), server.Addr(), server.Prefix(t))
}

// isReply reports whether an error reply of the server is found in err.
func isReply(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply)
}

// clientsOwn reports whether a command is one that clients send to see to their connections.
func clientsOwn(command string, _ int) bool {
	return command == "PING" || command == "HELLO" || strings.HasPrefix(command, "CLIENT")
}

func TestOneCommandPerCall(t *testing.T) {
	server := redistest.Start(t, nil)
	s := newStore(t, connect(t, server.Addr()), server.Addr(), "session:")
	want := map[string]map[string]int{
		"Create":          {"EVALSHA": 1, "EXISTS": 1, "HSET": 1, "EXPIRE": 1},
		"Load":            {"HGETALL": 1},
		"Apply":           {"EVALSHA": 1, "HMGET": 1, "HINCRBY": 1, "HSET": 1, "PTTL": 1},
		"Apply with Load": {"EVALSHA": 1, "HMGET": 1, "HINCRBY": 1, "PTTL": 1, "HGETALL": 1},
		"Delete":          {"DEL": 1},
	}
	for _, round := range []string{"server has the scripts", "server has lost the scripts"} {
		s.do(t, "FLUSHALL")
		s.create(t, "x", map[string]string{"n": "1"})
		if _, err := s.Apply(t.Context(), "x", backend.Patch{}); err != nil {
			t.Fatal(err)
		}
		for _, c := range calls {
			want := maps.Clone(want[c.name])
			if round == "server has lost the scripts" {
				s.do(t, "SCRIPT", "FLUSH")
				if want["EVALSHA"] > 0 {
					want["EVAL"] = 1
				}
			}
			var err error
			got := server.CallsDuring(t, func() { err = c.call(t.Context(), s) })
			if err != nil {
				t.Errorf("%s, %s: %v", round, c.name, err)
			}
			maps.DeleteFunc(got, clientsOwn)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, %s: commands mismatch (-want +got):\n%s", round, c.name, diff)
			}
		}
	}
}

// A server that does not know a command replies with what it was given.
func TestErrorsHoldNoData(t *testing.T) {
	server := redistest.Start(t, &redistest.Options{Config: []string{
		`rename-command EVALSHA ""`, `rename-command HGETALL ""`, `rename-command DEL ""`,
	}})
	s := newStore(t, connect(t, server.Addr()), server.Addr(), "session:secret")
	for _, c := range calls {
		err := c.call(t.Context(), s)
		if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "unknown command") {
			t.Errorf("%s = %v, want an error without data", c.name, err)
		}
		if !isReply(err) {
			t.Errorf("%s = %v, without the reply inside", c.name, err)
		}
	}
}

// What the server refuses is an error that says so; logging out works all the same.
func TestServerOutOfMemory(t *testing.T) {
	server := redistest.Start(t, nil)
	s := newStore(t, connect(t, server.Addr()), server.Addr(), "session:")
	s.create(t, "x", map[string]string{"n": "1", "a": "1"})
	s.create(t, "y", nil)
	s.do(t, "CONFIG", "SET", "maxmemory", "1")
	for _, c := range calls {
		err := c.call(t.Context(), s)
		if name, _, _ := strings.Cut(c.name, " "); name == "Load" || name == "Delete" {
			if err != nil {
				t.Errorf("%s = %v", c.name, err)
			}
			continue
		}
		op, _, _ := strings.Cut(strings.ToLower(c.name), " ")
		if want := "goredis: " + op + ": OOM "; err == nil || !strings.HasPrefix(err.Error(), want) || !isReply(err) {
			t.Errorf("%s = %v, want %s… and the reply inside", c.name, err, want)
		}
	}
	if _, err := s.Apply(t.Context(), "y", backend.Patch{Touch: true, Delete: []string{"a"}}); err != nil {
		t.Errorf("Apply that needs no memory = %v", err)
	}
	if _, err := s.Apply(t.Context(), "y", backend.Patch{Remove: true}); err != nil {
		t.Errorf("Apply to remove = %v", err)
	}
	if n := s.do(t, "DBSIZE").Int(); n != 0 {
		t.Errorf("%d keys are left", n)
	}
}
