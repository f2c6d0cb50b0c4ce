package goredis

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/faeeb396/session/backend/internal/redishash"
)

// Of what a server may reply to a script that replies with a record.
func TestLoadedResult(t *testing.T) {
	down := errors.New("down")
	for _, tt := range []struct {
		name  string
		reply any
		err   error
		want  map[string]string
		fails error
	}{
		{name: "an array", reply: []any{"a", "1", "b", ""}, want: map[string]string{"a": "1", "b": ""}},
		{name: "an empty one", reply: []any{}, want: map[string]string{}},
		{name: "packed", reply: "\x92\xa1a\xa11", want: map[string]string{"a": "1"}},
		{name: "packed badly", reply: "\x92\xa1a", fails: redishash.ErrReply},
		{name: "a name without a value", reply: []any{"a", "1", "b"}, fails: redishash.ErrReply},
		{name: "a name that is none", reply: []any{int64(1), "1"}, fails: redishash.ErrReply},
		{name: "a value that is none", reply: []any{"a", nil}, fails: redishash.ErrReply},
		{name: "a number", reply: int64(1), fails: redishash.ErrReply},
		{name: "nothing", fails: redishash.ErrReply},
		{name: "an error", reply: "\x90", err: down, fails: down},
	} {
		cmd := redis.NewCmd(t.Context())
		cmd.SetVal(tt.reply)
		cmd.SetErr(tt.err)
		got, err := loaded{cmd}.Result()
		if !errors.Is(err, tt.fails) {
			t.Errorf("%s: error %v, want %v", tt.name, err, tt.fails)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: mismatch (-want +got):\n%s", tt.name, diff)
		}
	}
}
