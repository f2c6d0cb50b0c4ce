package memory

import (
	"slices"
	"time"

	"github.com/faeeb396/session/internal/packing"
)

// packed is a record in one string: the ID, the time to live in nanoseconds, the number of fields, and the fields. A
// string never changes, so readers share it and need the lock only to get hold of it.
type packed string

// pack returns a record. size is the packing.Size(fields).
func pack(id string, ttl time.Duration, fields map[string]string, size int) packed {
	var p packer
	p.header(id, ttl, len(fields), size)
	p.Fields(fields)
	return packed(p.String())
}

// packer builds a packed record.
type packer struct{ packing.Builder }

// header starts a record with so many fields, which take size bytes.
func (p *packer) header(id string, ttl time.Duration, fields, size int) {
	p.Grow(packing.TextSize(id) + packing.NumberSize(uint64(ttl)) + packing.NumberSize(uint64(fields)) + size)
	p.Text(id)
	p.Number(uint64(ttl))
	p.Number(uint64(fields))
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
		size += packing.TextSize(f.name) + packing.TextSize(f.value)
	}
	for rest := r.fields(); rest != ""; {
		name, _, after := rest.Next()
		if stays(name) {
			fields, size = fields+1, size+len(rest)-len(after)
		}
		rest = after
	}
	if size > largeSize {
		return "", false
	}
	var p packer
	p.header(r.id(), ttl, fields, size)
	for rest := r.fields(); rest != ""; {
		name, _, after := rest.Next()
		if stays(name) {
			p.WriteString(string(rest[:len(rest)-len(after)]))
		}
		rest = after
	}
	for _, f := range set {
		p.Text(f.name)
		p.Text(f.value)
	}
	return packed(p.String()), true
}

// id returns the ID, which is a part of r.
func (r packed) id() string {
	id, _ := packing.Text(string(r))
	return id
}

// header takes r apart up to the first field.
func (r packed) header() (ttl time.Duration, fields int, rest packing.Fields) {
	t, after := packing.Number(packing.Skip(string(r)))
	n, after := packing.Number(after)
	return time.Duration(t), int(n), packing.Fields(after)
}

func (r packed) ttl() time.Duration {
	ttl, _, _ := r.header()
	return ttl
}

// fields returns the fields, which are a part of r.
func (r packed) fields() packing.Fields {
	_, _, rest := r.header()
	return rest
}

// toMap returns the fields in a new map. Its strings are parts of r.
func (r packed) toMap() map[string]string {
	_, n, rest := r.header()
	fields := make(map[string]string, n)
	for rest != "" {
		var name, value string
		name, value, rest = rest.Next()
		fields[name] = value
	}
	return fields
}
