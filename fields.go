package session

import (
	"time"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/internal/packing"
)

// fields are the fields of a session. As they were read they may be packed, which takes no memory of the request's; a few
// are looked through one by one. The first change makes a map of them, and so does looking for one past the first few:
// even get needs the session's lock.
type fields struct {
	packed packing.Fields
	set    map[string]string // in place of packed, if not nil
}

// manyFields is from how many fields on a map finds one sooner.
const manyFields = 16

// get returns the value of a field, and whether it is there.
func (f *fields) get(name string) (string, bool) {
	rest := f.packed
	for n := 0; rest != "" && n < manyFields; n++ {
		var got, value string
		if got, value, rest = rest.Next(); got == name {
			return value, true
		}
	}
	if rest != "" {
		f.changeable()
	}
	value, ok := f.set[name]
	return value, ok
}

// value returns the value of a field, "" if it is not there.
func (f *fields) value(name string) string {
	value, _ := f.get(name)
	return value
}

func (f *fields) has(name string) bool {
	_, ok := f.get(name)
	return ok
}

func (f *fields) put(name, value string) { f.changeable()[name] = value }

func (f *fields) remove(name string) {
	if f.has(name) {
		delete(f.changeable(), name)
	}
}

// changeable returns the fields as a map.
func (f *fields) changeable() map[string]string {
	if f.set == nil {
		f.set = f.packed.Map()
		f.packed = ""
	}
	return f.set
}

// all yields the fields in no order.
func (f *fields) all(yield func(name, value string) bool) {
	for rest := f.packed; rest != ""; {
		var name, value string
		if name, value, rest = rest.Next(); !yield(name, value) {
			return
		}
	}
	for name, value := range f.set {
		if !yield(name, value) {
			return
		}
	}
}

// record is a record that a session may be read from.
type record struct {
	fields
	ttl time.Duration
}

// newRecord returns rec as one.
func newRecord(rec backend.Record) record { return record{fields{set: rec.Fields}, rec.TTL} }
