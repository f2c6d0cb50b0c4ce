package redishash

import (
	"errors"
	"strings"
)

// ErrReply says that the server's reply to a script is none that the script makes.
var ErrReply = errors.New("unexpected reply")

// maxShared is how long a text may be whose parts keep all of it in memory.
const maxShared = 1 << 10

// Unpack makes a hash of the text that touch.lua has packed: an array, by MessagePack, of names and values. They are
// parts of that text, unless it is long: who keeps a short value is not to keep a large record. The error is [ErrReply].
func Unpack(text string) (map[string]string, error) {
	p := packed{rest: text}
	n := p.length(&arrays)
	hash := make(map[string]string, min(n, len(text))/2)
	for ; n > 1 && !p.broken; n -= 2 {
		name, value := p.text(), p.text()
		if len(text) > maxShared {
			name, value = strings.Clone(name), strings.Clone(value)
		}
		hash[name] = value
	}
	if n != 0 || p.broken || p.rest != "" {
		return nil, ErrReply
	}
	return hash, nil
}

// packed is what is left of a text.
type packed struct {
	rest   string
	broken bool // it is cut off too early, or something else than was looked for
}

// text takes a text off.
func (p *packed) text() string { return p.take(p.length(&texts)) }

// take takes n bytes off.
func (p *packed) take(n int) string {
	if n < 0 || n > len(p.rest) { // an int may have 32 bits
		p.broken = true
		return ""
	}
	taken := p.rest[:n]
	p.rest = p.rest[n:]
	return taken
}

// form is how a type of MessagePack begins: with a byte that holds its length, or with one after which come a byte, two
// or four with the length. Zero is for none.
type form struct{ short, longest, one, two, four byte }

var (
	arrays = form{short: 0x90, longest: 0x0f, two: 0xdc, four: 0xdd}
	texts  = form{short: 0xa0, longest: 0x1f, one: 0xd9, two: 0xda, four: 0xdb}
)

// length takes the beginning of something that has the form f off, and returns its length.
func (p *packed) length(f *form) int {
	first := p.number(1)
	switch b := byte(first); {
	case b&^f.longest == f.short:
		return int(b & f.longest)
	case b == f.one && f.one != 0:
		return p.number(1)
	case b == f.two:
		return p.number(2)
	case b == f.four:
		return p.number(4)
	}
	p.broken = true
	return 0
}

// number takes a number of so many bytes off.
func (p *packed) number(bytes int) int {
	n := 0
	for _, b := range []byte(p.take(bytes)) {
		n = n<<8 | int(b)
	}
	return n
}
