package session

import (
	"cmp"
	"context"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"time"
)

// Key is a field of a session with a name and a type, declared once and used everywhere:
//
//	var cart = session.NewKey[Cart]("cart")
//
// Values are stored as text that other programs can read too:
//
//	string, []byte           as it is
//	bool                     true or false
//	integers, floats         decimal, the shortest form that is read back the same
//	time.Time                RFC 3339 with nanoseconds, of the years 0 to 9999
//	time.Duration            as its String method writes it: 1m30s
//	encoding.TextMarshaler   its text; the pointer must be an encoding.TextUnmarshaler
//	all others               JSON
//
// Named types of a basic kind, such as type Role string, are kept like the kind. A Key holds no data and is safe
// for concurrent use.
type Key[T any] struct{ name string }

// NewKey returns a key of the field with this name. A reserved name makes whatever is done with the key fail with
// ErrReserved.
func NewKey[T any](name string) Key[T] { return Key[T]{name} }

// Name returns the field's name.
func (k Key[T]) Name() string { return k.name }

// Get returns the value of the field: ErrNoField if it is not there, ErrDecode if it does not hold a T.
func (k Key[T]) Get(s *Session) (T, error) {
	text, ok := s.Lookup(k.name)
	if !ok {
		var zero T
		return zero, k.absent(s)
	}
	return k.decode(s, text)
}

// GetOr returns the value of the field, or def if the field is not there. ErrDecode comes with def too.
func (k Key[T]) GetOr(s *Session, def T) (T, error) {
	v, err := k.Get(s)
	if errors.Is(err, ErrNoField) {
		return def, nil
	}
	if err != nil {
		return def, err
	}
	return v, nil
}

// Set gives the field a value, as Session.Set does. The error says that v has no text or JSON form, and nothing changes
// then, or it is what Session.Err says: after one misuse of the session, that of every later Set. Whether the session
// is too large (ErrTooLarge) is seen at the commit.
func (k Key[T]) Set(s *Session, v T) error {
	text, err := encode(&v)
	if err != nil {
		return wrap("set", s.ID(), k.named(noForm(err)))
	}
	s.Set(k.name, text)
	return s.Err()
}

// Delete takes the field away, as Session.Delete does.
func (k Key[T]) Delete(s *Session) { s.Delete(k.name) }

// Take reads the field and takes it away, as Session.Take does: of parallel requests exactly one gets the value. The
// error is ErrNoField if there is none, and for the others. A value that fails with ErrDecode has been removed, too.
func (k Key[T]) Take(ctx context.Context, s *Session) (T, error) {
	var zero T
	text, ok, err := s.Take(ctx, k.name)
	if !ok {
		return zero, cmp.Or(err, k.absent(s))
	}
	v, failed := k.decode(s, text)
	return v, cmp.Or(failed, err)
}

// Update gives the field the value that change makes of the one that it has, as Session.Update does: of parallel
// requests none loses what another has done. change is given the zero value if the field is not there. Besides the
// errors of Session.Update it returns ErrDecode if the field does not hold a T, and nothing is stored then.
func (k Key[T]) Update(ctx context.Context, s *Session, change func(T) (T, error)) (T, error) {
	var v, zero T
	_, err := s.Update(ctx, k.name, func(text string, ok bool) (_ string, err error) {
		v = zero
		if ok {
			if v, err = k.decode(s, text); err != nil {
				return "", err
			}
		}
		if v, err = change(v); err != nil {
			return "", err
		}
		text, err = encode(&v)
		return text, wrap("update", s.ID(), k.named(noForm(err)))
	})
	if err != nil {
		return zero, err
	}
	return v, nil
}

func (k Key[T]) absent(s *Session) error {
	if reserved(k.name) {
		return wrap("get", s.ID(), k.named(ErrReserved))
	}
	return wrap("get", s.ID(), k.named(ErrNoField))
}

// named returns err with the field's name, or nil if err is nil.
func (k Key[T]) named(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("field %q: %w", k.name, err)
}

func (k Key[T]) decode(s *Session, text string) (T, error) {
	var v T
	if err := decode(text, &v); err != nil {
		var zero T
		// Not the cause's text, which may show the value.
		return zero, wrap("get", s.ID(), fmt.Errorf("field %q: %w: no %T", k.name, ErrDecode, zero))
	}
	return v, nil
}

// Counter is a field that counts, in the store: parallel increments all count.
type Counter struct{ name string }

// NewCounter returns the counter in the field with this name. A reserved name makes whatever is done with it
// fail with ErrReserved.
func NewCounter(name string) Counter { return Counter{name} }

// Name returns the field's name.
func (c Counter) Name() string { return c.name }

// Get returns the counter's value when the session was loaded, with this request's increments: 0 if it is not
// there, ErrCounter if the field holds no integer.
func (c Counter) Get(s *Session) (int64, error) {
	if reserved(c.name) {
		return 0, wrap("get", s.ID(), fmt.Errorf("field %q: %w", c.name, ErrReserved))
	}
	text, ok := s.Lookup(c.name)
	if !ok {
		return 0, nil
	}
	n, ok := parseCounter(text)
	if !ok {
		return 0, wrap("get", s.ID(), fmt.Errorf("field %q: %w", c.name, ErrCounter))
	}
	return n, nil
}

// Add adds delta at once and returns the new value, as Session.Increment does.
func (c Counter) Add(ctx context.Context, s *Session, delta int64) (int64, error) {
	return s.Increment(ctx, c.name, delta)
}

// errNoForm says that a value has no text or JSON form.
var errNoForm = errors.New("value has no form")

func noForm(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errNoForm, err)
}

// encode returns the value that p points to as a field's value.
func encode(p any) (string, error) {
	switch p := p.(type) {
	case *string:
		return *p, nil
	case *[]byte:
		return string(*p), nil
	case *time.Duration:
		return p.String(), nil
	case *time.Time:
		t := *p
		if _, offset := t.Zone(); offset%60 != 0 {
			t = t.UTC() // RFC 3339 has whole minutes
		}
		text, err := t.MarshalText()
		return string(text), err
	case encoding.TextMarshaler:
		text, err := p.MarshalText()
		return string(text), err
	}
	rv := reflect.ValueOf(p).Elem()
	if m, ok := reflect.TypeAssert[encoding.TextMarshaler](rv); ok && rv.Kind() == reflect.Pointer { // *p lacks its methods
		if rv.IsNil() {
			return "", errors.New("a nil pointer has no text")
		}
		text, err := m.MarshalText()
		return string(text), err
	}
	switch rv.Kind() {
	case reflect.String:
		return rv.String(), nil
	case reflect.Bool:
		return strconv.FormatBool(rv.Bool()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.FormatInt(rv.Int(), 10), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return strconv.FormatUint(rv.Uint(), 10), nil
	case reflect.Float32, reflect.Float64:
		return strconv.FormatFloat(rv.Float(), 'g', -1, rv.Type().Bits()), nil
	}
	if into := readBy(p, rv); implements[encoding.TextUnmarshaler](into) && !implements[json.Unmarshaler](into) {
		return "", errors.New("a type that reads text and writes none cannot be read back") // package json asks it, too
	}
	text, err := json.Marshal(p)
	return string(text), err
}

// readBy returns what reads the value that p points to, which is rv: p, or the pointer that this is.
func readBy(p any, rv reflect.Value) any {
	if rv.Kind() == reflect.Pointer {
		return rv.Interface()
	}
	return p
}

func implements[T any](v any) bool { _, ok := v.(T); return ok }

// decode reads what encode wrote into the value that into points to.
func decode(text string, into any) (err error) {
	switch into := into.(type) {
	case *string:
		*into = text
		return nil
	case *[]byte:
		*into = []byte(text)
		return nil
	case *time.Duration:
		*into, err = time.ParseDuration(text)
		return err
	case *time.Time:
		*into, err = time.Parse(time.RFC3339Nano, text)
		return err
	case interface {
		encoding.TextMarshaler // else encode has made something else
		encoding.TextUnmarshaler
	}:
		return into.UnmarshalText([]byte(text))
	}
	rv := reflect.ValueOf(into).Elem()
	if u, ok := newText(rv); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch rv.Kind() {
	case reflect.String:
		rv.SetString(text)
	case reflect.Bool:
		var v bool
		v, err = strconv.ParseBool(text)
		rv.SetBool(v)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		var v int64
		v, err = strconv.ParseInt(text, 10, rv.Type().Bits())
		rv.SetInt(v)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		var v uint64
		v, err = strconv.ParseUint(text, 10, rv.Type().Bits())
		rv.SetUint(v)
	case reflect.Float32, reflect.Float64:
		var v float64
		v, err = strconv.ParseFloat(text, rv.Type().Bits())
		rv.SetFloat(v)
	default:
		return json.Unmarshal([]byte(text), into)
	}
	return err
}

// newText makes rv, if it is a pointer to a type that writes and reads text, point to a new one.
func newText(rv reflect.Value) (encoding.TextUnmarshaler, bool) {
	if rv.Kind() != reflect.Pointer {
		return nil, false
	}
	v := reflect.New(rv.Type().Elem())
	u, reads := reflect.TypeAssert[encoding.TextUnmarshaler](v)
	if _, writes := reflect.TypeAssert[encoding.TextMarshaler](v); !reads || !writes { // encode has made something else
		return nil, false
	}
	rv.Set(v)
	return u, true
}
