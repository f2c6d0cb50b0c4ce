// Package packing keeps fields in one string: names and values in turn, each with its length before it. Lengths and other
// numbers are varints.
package packing

import (
	"encoding/binary"
	"math/bits"
	"strings"
)

// Fields are fields, in no order, each once. What is taken from them is a part of them.
type Fields string

// Pack packs fields.
func Pack(fields map[string]string) Fields {
	var b Builder
	b.Grow(Size(fields))
	b.Fields(fields)
	return Fields(b.String())
}

// Next takes a field off f, which is not empty.
func (f Fields) Next() (name, value string, rest Fields) {
	name, after := Text(string(f))
	value, after = Text(after)
	return name, value, Fields(after)
}

// Len returns how many fields there are.
func (f Fields) Len() int {
	n := 0
	for rest := string(f); rest != ""; n++ {
		rest = Skip(Skip(rest))
	}
	return n
}

// Map returns the fields in a new map.
func (f Fields) Map() map[string]string {
	fields := make(map[string]string, f.Len())
	for rest := f; rest != ""; {
		var name, value string
		name, value, rest = rest.Next()
		fields[name] = value
	}
	return fields
}

// Lookup returns the value of a field, and whether it is there.
func (f Fields) Lookup(name string) (string, bool) {
	for rest := string(f); rest != ""; {
		var got string
		got, rest = Text(rest)
		if got == name {
			value, _ := Text(rest)
			return value, true
		}
		rest = Skip(rest)
	}
	return "", false
}

// Text splits a text off s.
func Text(s string) (text, rest string) {
	n, s := Number(s)
	return s[:n], s[n:]
}

// Skip takes a text off s.
func Skip(s string) string {
	n, s := Number(s)
	return s[n:]
}

// Number splits a number off s.
func Number(s string) (n uint64, rest string) {
	if s[0] < 0x80 {
		return uint64(s[0]), s[1:]
	}
	for i := 0; ; i++ {
		n |= uint64(s[i]&0x7f) << (7 * i)
		if s[i] < 0x80 {
			return n, s[i+1:]
		}
	}
}

// Builder packs. Who knows the size before, and calls Grow, has it allocate once, and not a byte too much.
type Builder struct{ strings.Builder }

// Fields packs fields.
func (b *Builder) Fields(fields map[string]string) {
	for name, value := range fields {
		b.Text(name)
		b.Text(value)
	}
}

// Text packs a text.
func (b *Builder) Text(s string) {
	b.Number(uint64(len(s)))
	b.WriteString(s)
}

// Number packs a number.
func (b *Builder) Number(n uint64) {
	var buf [binary.MaxVarintLen64]byte
	b.Write(binary.AppendUvarint(buf[:0], n))
}

// Size returns how many bytes fields take.
func Size(fields map[string]string) int {
	size := 0
	for name, value := range fields {
		size += TextSize(name) + TextSize(value)
	}
	return size
}

// TextSize returns how many bytes a text takes.
func TextSize(s string) int { return NumberSize(uint64(len(s))) + len(s) }

// NumberSize returns how many bytes a number takes.
func NumberSize(n uint64) int { return (bits.Len64(n|1) + 6) / 7 }
