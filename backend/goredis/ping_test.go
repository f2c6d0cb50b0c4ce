package goredis_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/faeeb396/session/backend/goredis"
	"github.com/faeeb396/session/backend/internal/redissuite"
	"github.com/faeeb396/session/internal/redistest"
)

// needed are the commands that the package comment says are needed.
var needed = []string{
	"HGETALL", "EVALSHA", "EVAL", "DEL", "EXISTS", "HSET", "EXPIRE", "HMGET", "HINCRBY", "HDEL", "PTTL", "PING",
}

// restricted returns a client of a user who may run only these commands, and only on the keys that match.
func restricted(t *testing.T, server *redistest.Server, keys string, commands ...string) *redis.Client {
	t.Helper()
	rule := []string{"ACL", "SETUSER", "app", "reset", "on", ">secret", "~" + keys}
	for _, c := range commands {
		rule = append(rule, "+"+strings.ToLower(c))
	}
	server.Do(t, rule...)
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), Username: "app", Password: "secret"})
	t.Cleanup(func() { client.Close() })
	return client
}

func TestLeastPrivilege(t *testing.T) {
	server := redistest.Start(t, nil)
	client := restricted(t, server, "session:*", append(needed, "SCAN")...)
	s := newStore(t, client, server.Addr(), "session:")
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	for range 2 { // with the scripts on the server, and without
		s.Do(t, "SCRIPT", "FLUSH")
		s.MustCreate(t, "x", map[string]string{"n": "1"})
		for _, c := range redissuite.Methods {
			if err := c.Call(t.Context(), s); err != nil {
				t.Errorf("%s = %v", c.Name, err)
			}
		}
		for id, err := range s.Scan(t.Context()) {
			if err != nil || id != "new" {
				t.Errorf("Scan yields %q, %v", id, err)
			}
		}
		s.Do(t, "FLUSHALL")
	}
}

func TestPingNamesMissingPermission(t *testing.T) {
	server := redistest.Start(t, nil)
	for i, command := range needed {
		commands := slices.Delete(slices.Clone(needed), i, i+1)
		b := goredis.New(restricted(t, server, "session:*", commands...), nil)
		err := b.Ping(t.Context())
		if err == nil || !slices.Contains(strings.FieldsFunc(err.Error(), notLetter), command) {
			t.Errorf("Ping without %s = %v, want an error that names it", command, err)
		}
	}
	if keys := server.Do(t, "KEYS", "*").Strings(); len(keys) != 0 {
		t.Errorf("Ping has written %q", keys)
	}
}

func notLetter(r rune) bool { return r < 'A' || r > 'Z' }

func TestPingWithoutKeyPermission(t *testing.T) {
	server := redistest.Start(t, nil)
	b := goredis.New(restricted(t, server, "other:*", needed...), nil)
	err := b.Ping(t.Context())
	if err == nil || !strings.Contains(err.Error(), "NOPERM") || !strings.Contains(err.Error(), "key") {
		t.Errorf("Ping = %v, want NOPERM and something of a key", err)
	}
}

func TestPingWhereNothingCanBeWritten(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config []string
		want   string
	}{
		{name: "replica", config: []string{"replicaof 127.0.0.1 1"}, want: "READONLY"},
		{name: "no memory", config: []string{"maxmemory 1"}, want: "OOM"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := redistest.Start(t, &redistest.Options{Config: tt.config})
			err := goredis.New(connect(t, server.Addr()), nil).Ping(t.Context())
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "HSET") {
				t.Errorf("Ping = %v, want %s for HSET", err, tt.want)
			}
		})
	}
}
