package redishash_test

import (
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/faeeb396/session/backend/internal/redishash"
)

func TestID(t *testing.T) {
	long := strings.Repeat("x", 64)
	for _, tt := range []struct {
		name   string
		prefix string
		key    string
		want   string
		ok     bool
	}{
		{name: "every character", prefix: "s:", key: "s:AZaz09_.:-", want: "AZaz09_.:-", ok: true},
		{name: "longest", prefix: "s:", key: "s:" + long, want: long, ok: true},
		{name: "too long", prefix: "s:", key: "s:" + long + "x"},
		{name: "empty", prefix: "s:", key: "s:"},
		{name: "other prefix", prefix: "s:", key: "t:x"},
		{name: "shorter than the prefix", prefix: "s:", key: "s"},
		{name: "slash", prefix: "s:", key: "s:/probe"},
		{name: "braces", prefix: "s:", key: "s:{x}"},
		{name: "space", prefix: "s:", key: "s:a b"},
		{name: "not ASCII", prefix: "s:", key: "s:ä"},
		{name: "NUL", prefix: "s:", key: "s:a\x00"},
		{name: "prefix with anything", prefix: "*\x00{", key: "*\x00{x", want: "x", ok: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, ok := redishash.ID(tt.prefix, tt.key); got != tt.want || ok != tt.ok {
				t.Errorf("ID(%q, %q) = %q, %v, want %q, %v", tt.prefix, tt.key, got, ok, tt.want, tt.ok)
			}
		})
	}
}

func FuzzID(f *testing.F) {
	valid := regexp.MustCompile(`\A[A-Za-z0-9_.:-]{1,64}\z`)
	f.Add("session:", "session:x")
	f.Add("", "\x00")
	f.Fuzz(func(t *testing.T, prefix, key string) {
		id, ok := redishash.ID(prefix, key)
		switch {
		case ok && (prefix+id != key || !valid.MatchString(id)):
			t.Errorf("ID(%q, %q) = %q", prefix, key, id)
		case !ok && strings.HasPrefix(key, prefix) && valid.MatchString(key[len(prefix):]):
			t.Errorf("ID(%q, %q) = false", prefix, key)
		}
	})
}

// path.Match reads patterns without a slash as Redis does. On a server, the backends' tests of Scan try it.
func TestPatternMatchesPrefix(t *testing.T) {
	for _, prefix := range []string{"session:", "*", "a?b[c]d\\e^-", "[^x]", "{a}", "\\*"} {
		pattern := redishash.Pattern(prefix)
		if ok, err := path.Match(pattern, prefix+"x"); !ok || err != nil {
			t.Errorf("Pattern(%q) = %q does not match %q: %v", prefix, pattern, prefix+"x", err)
		}
		for _, key := range []string{"x", "other", "aXbcd\\e^-x", "bx", "\\x"} {
			if ok, err := path.Match(pattern, key); ok || err != nil {
				t.Errorf("Pattern(%q) = %q matches %q: %v", prefix, pattern, key, err)
			}
		}
	}
}
