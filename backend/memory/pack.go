package memory

import (
	"encoding/binary"
	"time"

	"github.com/faeeb396/session/backend"
)

// A packed record is one string: the ID, the time to live in nanoseconds, the number of fields, and for each
// field its name and value. Numbers are varints, and texts have their length before them. The string never
// changes, so that readers can share it and work on it without the lock.

// stackSize is the size up to which a record is packed on the stack, to be copied once to a string of just
// its size.
const stackSize = 512

// pack returns rec, under id, as a packed record.
func pack(id string, rec *backend.Record) string {
	var stack [stackSize]byte
	buf := room(stack[:0], len(id)+sizeOf(rec.Fields))
	buf = appendHeader(buf, id, rec.TTL, len(rec.Fields))
	for name, value := range rec.Fields {
		buf = appendField(buf, name, value)
	}
	return string(buf)
}

// unpack returns the record in data. Its strings are parts of data.
func unpack(data string) backend.Record {
	_, ttl, n, rest := header(data)
	rec := backend.Record{Fields: make(map[string]string, n), TTL: ttl}
	for c := (cursor{rest: rest}); c.next(); {
		rec.Fields[c.name] = c.value
	}
	return rec
}

// room returns buf if it holds n bytes and what surrounds them, and else a larger one.
func room(buf []byte, n int) []byte {
	if n <= cap(buf) {
		return buf
	}
	return make([]byte, 0, n)
}

// sizeOf returns how many bytes fields take at most, as a rule: lengths of over 16 KiB take some more.
func sizeOf(fields map[string]string) int {
	n := 0
	for name, value := range fields {
		n += len(name) + len(value) + 4
	}
	return n + 3*binary.MaxVarintLen64
}

func appendHeader(buf []byte, id string, ttl time.Duration, fields int) []byte {
	buf = appendText(buf, id)
	buf = binary.AppendUvarint(buf, uint64(ttl))
	return binary.AppendUvarint(buf, uint64(fields))
}

func appendField(buf []byte, name, value string) []byte {
	return appendText(appendText(buf, name), value)
}

func appendText(buf []byte, s string) []byte {
	return append(binary.AppendUvarint(buf, uint64(len(s))), s...)
}

// header takes data apart up to the first field.
func header(data string) (id string, ttl time.Duration, fields int, rest string) {
	id, rest = text(data)
	t, rest := uvarint(rest)
	n, rest := uvarint(rest)
	return id, time.Duration(t), int(n), rest
}

// hasID reports whether data is the record under id.
func hasID(data, id string) bool {
	got, _ := text(data)
	return got == id
}

// cursor walks over the fields of a packed record.
type cursor struct {
	name, value string
	raw         string // the field as it is packed
	rest        string
}

// next goes to the next field and reports whether there is one.
func (c *cursor) next() bool {
	if c.rest == "" {
		return false
	}
	start := c.rest
	c.name, c.rest = text(c.rest)
	c.value, c.rest = text(c.rest)
	c.raw = start[:len(start)-len(c.rest)]
	return true
}

// text splits a text with its length off s.
func text(s string) (string, string) {
	n, s := uvarint(s)
	return s[:n], s[n:]
}

// uvarint splits a number off s.
func uvarint(s string) (uint64, string) {
	if s[0] < 0x80 {
		return uint64(s[0]), s[1:]
	}
	var n uint64
	for i := 0; ; i++ {
		n |= uint64(s[i]&0x7f) << (7 * i)
		if s[i] < 0x80 {
			return n, s[i+1:]
		}
	}
}
