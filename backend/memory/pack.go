package memory

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"strings"
	"time"
)

// packed is a record in one string: the ID, the time to live in nanoseconds, the number of fields, and for
// each field its name and value. Numbers are varints, and texts have their length before them. A string never
// changes, so readers share it and need the lock only to get hold of it.
type packed string

// pack returns a record. size is the sizeOf(fields).
func pack(id string, ttl time.Duration, fields map[string]string, size int) packed {
	var w packer
	w.header(id, ttl, len(fields), size)
	w.fields(fields)
	return packed(w.String())
}

// field is a field of a record.
type field struct{ name, value string }

// repack returns r with the time to live ttl, without the fields that deleted names, and with those in set: few at
// most. It reports false if the fields are too large then.
func repack(r packed, ttl time.Duration, deleted []string, set []field) (packed, bool) {
	stays := func(name string) bool {
		return !slices.Contains(deleted, name) && !slices.ContainsFunc(set, func(f field) bool { return f.name == name })
	}
	fields, size := len(set), 0
	for _, f := range set {
		size += textSize(f.name) + textSize(f.value)
	}
	for rest := r.fields(); rest != ""; {
		name, after := text(rest)
		after = skip(after)
		if stays(name) {
			fields, size = fields+1, size+len(rest)-len(after)
		}
		rest = after
	}
	if size > largeSize {
		return "", false
	}
	var w packer
	w.header(r.id(), ttl, fields, size)
	for rest := r.fields(); rest != ""; {
		name, after := text(rest)
		after = skip(after)
		if stays(name) {
			w.WriteString(rest[:len(rest)-len(after)])
		}
		rest = after
	}
	for _, f := range set {
		w.text(f.name)
		w.text(f.value)
	}
	return packed(w.String()), true
}

// id returns the ID, which is a part of r.
func (r packed) id() string {
	id, _ := text(string(r))
	return id
}

// header takes r apart up to the first field.
func (r packed) header() (ttl time.Duration, fields int, rest string) {
	_, rest = text(string(r))
	t, rest := number(rest)
	n, rest := number(rest)
	return time.Duration(t), int(n), rest
}

func (r packed) ttl() time.Duration {
	ttl, _, _ := r.header()
	return ttl
}

// toMap returns the fields in a new map. Its strings are parts of r.
func (r packed) toMap() map[string]string {
	_, n, rest := r.header()
	fields := make(map[string]string, n)
	for rest != "" {
		var name, value string
		name, rest = text(rest)
		value, rest = text(rest)
		fields[name] = value
	}
	return fields
}

// lookup returns the value of a field, and whether it is there.
func (r packed) lookup(name string) (string, bool) {
	for rest := r.fields(); rest != ""; {
		var got string
		got, rest = text(rest)
		if got == name {
			value, _ := text(rest)
			return value, true
		}
		rest = skip(rest)
	}
	return "", false
}

// fields returns the part of r with the fields: their names and values in turn.
func (r packed) fields() string {
	_, _, rest := r.header()
	return rest
}

// text splits a text with its length off s.
func text(s string) (string, string) {
	n, s := number(s)
	return s[:n], s[n:]
}

// skip takes a text with its length off s.
func skip(s string) string {
	n, s := number(s)
	return s[n:]
}

// number splits a number off s.
func number(s string) (uint64, string) {
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

// packer builds a packed record. Its size is known before, so that it is allocated once and is no byte too
// large.
type packer struct{ strings.Builder }

// header starts a record whose fields take size bytes.
func (w *packer) header(id string, ttl time.Duration, fields, size int) {
	w.Grow(textSize(id) + numberSize(uint64(ttl)) + numberSize(uint64(fields)) + size)
	w.text(id)
	w.number(uint64(ttl))
	w.number(uint64(fields))
}

func (w *packer) fields(fields map[string]string) {
	for name, value := range fields {
		w.text(name)
		w.text(value)
	}
}

func (w *packer) text(s string) {
	w.number(uint64(len(s)))
	w.WriteString(s)
}

func (w *packer) number(n uint64) {
	var buf [binary.MaxVarintLen64]byte
	w.Write(binary.AppendUvarint(buf[:0], n))
}

// sizeOf returns how many bytes fields take in a packed record, the header not counted.
func sizeOf(fields map[string]string) int {
	size := 0
	for name, value := range fields {
		size += textSize(name) + textSize(value)
	}
	return size
}

func textSize(s string) int { return numberSize(uint64(len(s))) + len(s) }

func numberSize(n uint64) int { return (bits.Len64(n|1) + 6) / 7 }
