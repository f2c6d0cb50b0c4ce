package session

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
)

const (
	tokenBytes = 32 // random bytes in a token
	tokenLen   = 43 // characters of a token: base64url of tokenBytes without padding
	idLen      = 16 // characters of the ID, the token's first: 96 bits
)

// Token is a session's credential: what the cookie holds. Whoever has it has the session.
//
// It has no printable form: every fmt verb, slog, JSON and text encoding show only the session's public ID.
// [Token.Reveal] returns the secret itself. The zero Token is no token and matches no session.
type Token struct {
	_ [0]func() // not comparable with ==, nor the key of a map: see Equal

	// A pointer, so that fmt prints an address even where it finds a Token in another type's unexported
	// field and cannot call Format.
	s *string
}

// errToken says why a text is no token, without showing it.
var errToken = fmt.Errorf("session: malformed token: %w", ErrNotFound)

// ParseToken returns the token that s spells. A token is exactly 43 characters of the URL-safe base64
// alphabet (RFC 4648, section 5) without padding, whose two spare bits are zero, so that each has one
// spelling only. The error is ErrNotFound, since no session has such a token, and does not show s.
func ParseToken(s string) (Token, error) {
	if !validToken(s) {
		return Token{}, errToken
	}
	return Token{s: &s}, nil
}

// Reveal returns the token's text, for a cookie or a header that the application writes itself. Do not log or
// store it.
func (t Token) Reveal() string {
	if t.s == nil {
		return ""
	}
	return *t.s
}

// ID returns the public ID of the token's session, or "" for the zero Token. It is safe in a log or on a page.
func (t Token) ID() string {
	if t.s == nil {
		return ""
	}
	return (*t.s)[:idLen]
}

// IsZero reports whether t is the zero Token.
func (t Token) IsZero() bool { return t.s == nil }

// Equal reports whether t and u are the same token, in constant time. A zero Token equals nothing.
func (t Token) Equal(u Token) bool {
	return t.s != nil && u.s != nil && subtle.ConstantTimeCompare([]byte(*t.s), []byte(*u.s)) == 1
}

// String returns a text for people that holds the public ID and not the secret.
func (t Token) String() string { return "token of session " + t.ID() }

// Format writes what String returns, for every verb and flag.
func (t Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.String()) }

// LogValue returns the public ID, for log/slog.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.ID()) }

// MarshalText returns the public ID, so that an encoder never writes the secret.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.ID()), nil }

// newToken returns a new random token's text. crypto/rand.Read returns no error: it ends the process instead.
func newToken() string {
	var b [tokenBytes]byte
	_, _ = rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// renewToken returns a new token for the session with this ID: its secret is new, its ID the same.
func renewToken(id string) string { return id + newToken()[idLen:] }

// validToken reports whether s is a token's one and only spelling.
func validToken(s string) bool {
	// 43 characters hold 258 bits: the last one's low two are spare.
	return len(s) == tokenLen && allOf(s, &alphabet) && allOf(s[tokenLen-1:], &lastAlphabet)
}

// validID reports whether s may be a session's ID.
func validID(s string) bool { return len(s) == idLen && allOf(s, &alphabet) }

// charset is a set of bytes, a bit each.
type charset [4]uint64

// Characters of URL-safe base64, and those of them that end a token. A token's characters are random: asking a set
// is several times faster than comparing, which leaves the processor nothing to predict.
var (
	alphabet     = newCharset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
	lastAlphabet = newCharset("AEIMQUYcgkosw048")
)

func newCharset(chars string) (set charset) {
	for _, c := range []byte(chars) {
		set[c>>6] |= 1 << (c & 63)
	}
	return set
}

// allOf reports whether all of s is in set.
func allOf(s string, set *charset) bool {
	in := uint64(1)
	for i := range len(s) {
		in &= set[s[i]>>6] >> (s[i] & 63)
	}
	return in == 1
}

// tokenHash is what the store keeps of a token: the base64url SHA-256 of its text.
type tokenHash [tokenLen]byte

func hashToken(token string) tokenHash {
	var text [tokenLen]byte
	copy(text[:], token)
	sum := sha256.Sum256(text[:])
	var h tokenHash
	base64.RawURLEncoding.Encode(h[:], sum[:])
	return h
}

func (h tokenHash) String() string { return string(h[:]) }

// matches compares h with what a record holds, in constant time.
func (h tokenHash) matches(stored string) bool {
	var s tokenHash
	if copy(s[:], stored) != len(s) || len(stored) != len(s) {
		return false
	}
	return subtle.ConstantTimeCompare(h[:], s[:]) == 1
}
