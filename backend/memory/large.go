package memory

import (
	"maps"
	"strings"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/internal/packing"
)

// A record whose fields take more than largeSize bytes is kept as a map, because a packed one would be copied
// at each change. It is packed again when it has shrunk to smallSize. The two are apart so that a record at
// the limit does not change its form all the time.
const (
	largeSize = 2 << 10
	smallSize = 1 << 10
)

// large holds the fields of a large record. It changes in place, under the lock of the shard.
type large struct {
	fields map[string]string
	size   int // packing.Size(fields)
	most   int // the most fields that there were since the map was made; a map does not shrink
}

// newLarge returns a large record. It keeps fields.
func newLarge(fields map[string]string) *large {
	return &large{fields: fields, size: packing.Size(fields), most: len(fields)}
}

// change makes the changes of p, and sets the counters in sums.
func (l *large) change(p *backend.Patch, sums map[string]string) {
	for _, name := range p.Delete {
		if value, ok := l.fields[name]; ok {
			l.size -= packing.TextSize(name) + packing.TextSize(value)
			delete(l.fields, name)
		}
	}
	for name, value := range p.Set {
		l.set(name, value)
	}
	for name, value := range sums {
		l.set(name, value)
	}
	l.most = max(l.most, len(l.fields))
	if len(l.fields) <= l.most/4 {
		l.fields, l.most = copyMap(l.fields), len(l.fields)
	}
}

// set sets a field. It copies the texts: the caller's may be parts of something bigger, a request for example.
func (l *large) set(name, value string) {
	if old, ok := l.fields[name]; ok {
		l.size -= packing.TextSize(name) + packing.TextSize(old)
	}
	l.fields[strings.Clone(name)] = strings.Clone(value) // a map takes the new name, too, for one that is there
	l.size += packing.TextSize(name) + packing.TextSize(value)
}

// copyMap returns a copy of fields in a map that is just large enough.
func copyMap(fields map[string]string) map[string]string {
	result := make(map[string]string, len(fields))
	maps.Copy(result, fields)
	return result
}
