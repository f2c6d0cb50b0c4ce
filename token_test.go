package session_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/faeeb396/session"
)

const goodToken = "3q2-7wAAAAAAAAABxxxxxxxxxxxxxxxxxxxxxxxxxxA"

func TestParseTokenAcceptsOneSpelling(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   string
		ok   bool
	}{
		{name: "good", in: goodToken, ok: true},
		{name: "empty", in: ""},
		{name: "short", in: goodToken[:42]},
		{name: "long", in: goodToken + "A"},
		{name: "padded", in: goodToken + "="},
		{name: "quoted", in: `"` + goodToken + `"`},
		{name: "quoted, right length", in: `"` + goodToken[:41] + `"`},
		{name: "space before", in: " " + goodToken[:42]},
		{name: "spare bits set", in: goodToken[:42] + "B"},
		{name: "standard alphabet plus", in: "+" + goodToken[1:]},
		{name: "standard alphabet slash", in: "/" + goodToken[1:]},
		{name: "not ASCII", in: "é" + goodToken[2:]},
		{name: "NUL", in: "\x00" + goodToken[1:]},
		{name: "newline", in: goodToken[:42] + "\n"},
		{name: "percent", in: "%41" + goodToken[3:]},
		{name: "huge", in: strings.Repeat("A", 1<<20)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			token, err := session.ParseToken(tt.in)
			if ok := err == nil; ok != tt.ok {
				t.Fatalf("ParseToken ok = %v, want %v", ok, tt.ok)
			}
			if tt.ok && (token.Reveal() != tt.in || token.ID() != tt.in[:16]) {
				t.Errorf("token = %q of ID %q", token.Reveal(), token.ID())
			}
			if !tt.ok && (!token.IsZero() || !errors.Is(err, session.ErrNotFound)) {
				t.Errorf("a malformed token is not zero, or the error is %v", err)
			}
			if err != nil && tt.in != "" && strings.Contains(err.Error(), tt.in) {
				t.Errorf("the error shows the text: %v", err)
			}
		})
	}
}

func TestTokenEqual(t *testing.T) {
	a, b := parse(t, goodToken), parse(t, goodToken)
	other := parse(t, goodToken[:42]+"E")
	if !a.Equal(b) {
		t.Error("two tokens of one text are not equal")
	}
	if a.Equal(other) || a.Equal(session.Token{}) || (session.Token{}).Equal(session.Token{}) {
		t.Error("different or zero tokens are equal")
	}
	if reflect.TypeFor[session.Token]().Comparable() {
		t.Error("tokens can be compared with ==, which says nothing of them")
	}
}

// printed returns v as every printer of the standard library shows it.
func printed(v any) string {
	var buf bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t"} {
		fmt.Fprintf(&buf, verb+"\n", v)
		fmt.Fprintf(&buf, verb+"\n", []any{v, &v, struct{ A any }{v}, map[string]any{"k": v}})
	}
	_ = json.NewEncoder(&buf).Encode(v)
	_ = json.NewEncoder(&buf).Encode(map[string]any{"v": v})
	slog.New(slog.NewTextHandler(&buf, nil)).Info("m", "v", v)
	slog.New(slog.NewJSONHandler(&buf, nil)).Info("m", "v", v, "g", slog.GroupValue(slog.Any("in", v)))
	return buf.String()
}

// leak returns a part of the token's secret that text shows, plainly or in another base.
func leak(text, token string) string {
	raw, _ := base64.RawURLEncoding.DecodeString(token)
	for i := 16; i+12 <= len(token); i++ {
		if w := token[i : i+12]; strings.Contains(text, w) || strings.Contains(text, fmt.Sprintf("%x", w)) {
			return w
		}
	}
	for i := 12; i+9 <= len(raw); i++ {
		if w := fmt.Sprintf("%x", raw[i:i+9]); strings.Contains(strings.ToLower(text), w) {
			return w
		}
	}
	return ""
}

func TestTokenHasNoPrintableForm(t *testing.T) {
	m := mustNew(t, newSpy(), nil)
	s := mustCreate(t, m, map[string]string{"password": "hunter2-in-the-session"})
	token := s.Token()
	type wrapped struct {
		token session.Token // unexported: fmt cannot call Format
		s     *session.Session
	}
	for _, v := range []any{token, &token, s, wrapped{token, s}, &wrapped{token, s}, []session.Token{token}, m} {
		text := printed(v)
		if part := leak(text, token.Reveal()); part != "" {
			t.Errorf("%T shows %q of the token", v, part)
		}
		if strings.Contains(text, "hunter2") {
			t.Errorf("%T shows the session's data", v)
		}
	}
	if text := printed(token); !strings.Contains(text, token.ID()) {
		t.Errorf("a token's text does not show the public ID: %s", text)
	}
	if got := leak("x"+token.Reveal(), token.Reveal()); got == "" {
		t.Error("the check finds no leak in a leak")
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add(goodToken)
	f.Add("")
	f.Add(goodToken[:42] + "B")
	f.Fuzz(func(t *testing.T, in string) {
		raw, err := base64.RawURLEncoding.Strict().DecodeString(in)
		want := err == nil && len(raw) == 32 && !strings.ContainsAny(in, "\r\n")
		token, err := session.ParseToken(in)
		if got := err == nil; got != want {
			t.Fatalf("ParseToken(%q) ok = %v, want %v", in, got, want)
		}
		if want && token.Reveal() != in {
			t.Fatalf("Reveal = %q, want %q", token.Reveal(), in)
		}
	})
}
