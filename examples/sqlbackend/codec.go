package sqlbackend

import (
	"encoding/binary"
	"fmt"

	"github.com/faeeb396/session/backend"
)

// format is the first byte of the column fields. After it come names and values in turn, each after its length as a
// uvarint. JSON would be easier to read for people, but it holds no bytes that are not UTF-8.
const format = 1

func encode(fields map[string]string) []byte {
	size := 1
	for name, value := range fields {
		size += len(name) + len(value) + 2*binary.MaxVarintLen32
	}
	b := append(make([]byte, 0, size), format)
	for name, value := range fields {
		b = appendString(appendString(b, name), value)
	}
	return b
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decode is the inverse of encode. It fails with ErrUnreadable.
func decode(b []byte) (map[string]string, error) {
	if len(b) == 0 || b[0] != format {
		return nil, fmt.Errorf("%w: unknown format", backend.ErrUnreadable)
	}
	fields := make(map[string]string)
	for b = b[1:]; len(b) > 0; {
		name, rest, ok := cutString(b)
		value, rest, ok2 := cutString(rest)
		if !ok || !ok2 || name == "" {
			return nil, fmt.Errorf("%w: broken fields", backend.ErrUnreadable)
		}
		fields[name], b = value, rest
	}
	return fields, nil
}

// cutString returns the first string of b and what comes after it.
func cutString(b []byte) (s string, rest []byte, ok bool) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return "", nil, false
	}
	end := n + int(size)
	return string(b[n:end]), b[end:], true
}
