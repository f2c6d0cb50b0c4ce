package redistest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// Error is an error reply of the server, such as "WRONGTYPE Operation against a key holding the wrong kind
// of value".
type Error string

// Error returns the server's own words.
func (e Error) Error() string { return string(e) }

// Reply is a decoded reply. Its methods convert it, and panic where it is of another kind: the test then
// expects something else than what the server says.
type Reply struct {
	kind  byte // the type byte of RESP; '_' for every nil
	text  string
	elems []Reply
}

// IsNil reports whether the reply is the null of RESP2 or RESP3.
func (r Reply) IsNil() bool { return r.kind == '_' }

// Err returns the error that an element of an array is, in the reply of EXEC for example, and else nil. The
// error of a whole reply is returned beside it.
func (r Reply) Err() error {
	if r.kind == '-' || r.kind == '!' {
		return Error(r.text)
	}
	return nil
}

// Int returns the reply, an integer or a text that is one, as an int.
func (r Reply) Int() int {
	n, err := strconv.Atoi(r.text)
	if err != nil {
		panic(fmt.Sprintf("redistest: reply %v is not an integer", r))
	}
	return n
}

// String returns the reply as text: that of a string, or the decimal digits of a number. A nil is "", and an
// array is written as fmt does.
func (r Reply) String() string {
	if r.elems != nil {
		return fmt.Sprint(r.elems)
	}
	return r.text
}

// Array returns the elements of an array, a set or a push, and the names and values of a map in turn.
func (r Reply) Array() []Reply {
	switch r.kind {
	case '*', '~', '>', '%', '_':
		return r.elems
	}
	panic(fmt.Sprintf("redistest: reply %v is not an array", r))
}

// Strings returns the elements of an array as texts.
func (r Reply) Strings() []string {
	elems := r.Array()
	texts := make([]string, len(elems))
	for i, e := range elems {
		texts[i] = e.String()
	}
	return texts
}

// Map returns an array of names and values in turn, such as HGETALL's, as a map, which is never nil.
func (r Reply) Map() map[string]string {
	texts := r.Strings()
	if len(texts)%2 != 0 {
		panic(fmt.Sprintf("redistest: reply %v is not a map", r))
	}
	m := make(map[string]string, len(texts)/2)
	for i := 0; i < len(texts); i += 2 {
		m[texts[i]] = texts[i+1]
	}
	return m
}

// Limits of what is read, far above what a test sends, so that a stream that is not RESP is an error and not
// an allocation.
const (
	maxBulk  = 512 << 20
	maxElems = 1 << 20
	maxDepth = 16
)

var errNotRESP = errors.New("not RESP")

// decoder reads RESP2 and RESP3 from a stream.
type decoder struct {
	r *bufio.Reader

	// raw, if set, gathers the bytes that the frames read consist of.
	raw *bytes.Buffer
}

// read reads one frame: a reply, a push, or a command, which is an array.
func (d *decoder) read() (Reply, error) { return d.readAt(0) }

func (d *decoder) readAt(depth int) (Reply, error) {
	line, err := d.line()
	if err != nil {
		return Reply{}, err
	}
	if len(line) == 0 || depth > maxDepth {
		return Reply{}, errNotRESP
	}
	kind, text := line[0], string(line[1:])
	switch kind {
	case '+', '-', ':', ',', '#', '(':
		return Reply{kind: kind, text: text}, nil
	case '_':
		return Reply{kind: '_'}, nil
	case '$', '!', '=':
		return d.bulk(kind, text)
	case '*', '~', '>', '%', '|':
		return d.aggregate(kind, text, depth)
	}
	return Reply{}, errNotRESP
}

func (d *decoder) bulk(kind byte, size string) (Reply, error) {
	n, err := strconv.Atoi(size)
	if err != nil || n < -1 || n > maxBulk {
		return Reply{}, errNotRESP
	}
	if n == -1 {
		return Reply{kind: '_'}, nil
	}
	data := make([]byte, n+2)
	if _, err := io.ReadFull(d.r, data); err != nil {
		return Reply{}, unexpected(err)
	}
	d.keep(data)
	if data[n] != '\r' || data[n+1] != '\n' {
		return Reply{}, errNotRESP
	}
	text := string(data[:n])
	if kind == '=' && n >= 4 { // a verbatim string begins with its format, "txt:"
		text = text[4:]
	}
	return Reply{kind: kind, text: text}, nil
}

func (d *decoder) aggregate(kind byte, size string, depth int) (Reply, error) {
	n, err := strconv.Atoi(size)
	if err != nil || n < -1 || n > maxElems {
		return Reply{}, errNotRESP
	}
	if n == -1 {
		return Reply{kind: '_'}, nil
	}
	if kind == '%' || kind == '|' {
		n *= 2
	}
	elems := make([]Reply, 0, min(n, 64))
	for range n {
		e, err := d.readAt(depth + 1)
		if err != nil {
			return Reply{}, unexpected(err)
		}
		elems = append(elems, e)
	}
	if kind == '|' { // attributes stand before the reply that they describe
		return d.readAt(depth)
	}
	return Reply{kind: kind, elems: elems}, nil
}

// line reads a line and returns it without its end. MONITOR has lines as long as a script.
func (d *decoder) line() ([]byte, error) {
	line, err := d.r.ReadBytes('\n')
	if err != nil {
		if err == io.EOF && len(line) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	d.keep(line)
	if len(line) < 2 || line[len(line)-2] != '\r' {
		return nil, errNotRESP
	}
	return line[:len(line)-2], nil
}

func (d *decoder) keep(b []byte) {
	if d.raw != nil {
		d.raw.Write(b)
	}
}

// unexpected turns an end of the stream inside a frame into an error.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// appendCommand appends a command as RESP.
func appendCommand(b []byte, args ...string) []byte {
	b = fmt.Appendf(b, "*%d\r\n", len(args))
	for _, a := range args {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(a), a)
	}
	return b
}
