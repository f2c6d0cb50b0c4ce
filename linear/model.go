package linear

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/faeeb396/session/backend"
)

// kind is what a call does.
type kind int

const (
	create kind = iota
	load
	set    // Apply that sets a field
	setIf  // Apply that sets a field if another one, or the same, has a value
	count  // Apply that counts and touches
	take   // Apply that deletes a field if it is there
	peek   // Apply that changes nothing and loads
	remove // Apply that removes the record if a field has a value
	del
)

// input is one call.
type input struct {
	id    string
	kind  kind
	value string // to set
	want  string // the condition, "" for an absent field
	delta int64
}

// output is what a caller was told.
type output struct {
	err     error // one of the contract's, or nil; if unknown, any
	unknown bool
	state   state // of Load, peek and set
	n       int64 // of count
}

// state is a record: a text field, empty if it is absent, and a counter.
type state struct {
	live bool
	text string
	n    int64
	hasN bool
}

const (
	textField  = "text"
	countField = "n"
)

var values = []string{"", "a", "b"}

// draw makes a random call.
func draw(random *rand.Rand, ids []string) input {
	in := input{
		id:    ids[random.IntN(len(ids))],
		value: values[1+random.IntN(len(values)-1)],
		want:  values[random.IntN(len(values))],
		delta: int64(random.IntN(5) - 1),
	}
	in.kind = []kind{create, create, load, load, set, set, setIf, setIf, count, count, count, take, peek, remove, del}[random.IntN(15)]
	return in
}

func (in input) patch() backend.Patch {
	text := map[string]string{textField: in.value}
	switch in.kind {
	case set:
		return backend.Patch{Set: text, Load: true}
	case setIf:
		return backend.Patch{Set: text, If: map[string]string{textField: in.want}, TTL: time.Hour}
	case count:
		return backend.Patch{Add: map[string]int64{countField: in.delta}, Touch: true}
	case take:
		return backend.Patch{Delete: []string{textField}, Has: []string{textField}}
	case remove:
		return backend.Patch{Remove: true, If: map[string]string{textField: in.want}}
	}
	return backend.Patch{Load: true}
}

// call makes a call and returns what it was told.
func call(ctx context.Context, b backend.Backend, in input) output {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var (
		rec backend.Record
		err error
	)
	switch in.kind {
	case create:
		err = b.Create(ctx, in.id, backend.Record{Fields: map[string]string{textField: in.value}, TTL: time.Hour})
	case load:
		rec, err = b.Load(ctx, in.id)
	case del:
		err = b.Delete(ctx, in.id)
	default:
		rec, err = b.Apply(ctx, in.id, in.patch())
	}
	out := output{}
	for _, known := range []error{
		backend.ErrExists, backend.ErrNotFound, backend.ErrConflict, backend.ErrCounter, backend.ErrUnreadable,
	} {
		if errors.Is(err, known) {
			out.err = known
		}
	}
	if err != nil && out.err == nil {
		out.err, out.unknown = err, true
	}
	if err == nil {
		out.state, out.n = read(rec)
	}
	return out
}

func read(rec backend.Record) (state, int64) {
	s := state{live: true, text: rec.Fields[textField]}
	text, ok := rec.Fields[countField]
	n, err := strconv.ParseInt(text, 10, 64)
	if s.n, s.hasN = n, ok; ok && err != nil {
		s.n = -1 << 62 // no count that the model can reach
	}
	return s, s.n
}

// step returns the state after a call and what the caller is told.
func step(s state, in input) (state, output) {
	text := func(value string) state { next := s; next.text = value; return next }
	switch {
	case in.kind == create && s.live:
		return s, output{err: backend.ErrExists}
	case in.kind == create:
		return state{live: true, text: in.value}, output{}
	case in.kind == del:
		return state{}, output{}
	case !s.live:
		return s, output{err: backend.ErrNotFound}
	case (in.kind == setIf || in.kind == remove) && s.text != in.want, in.kind == take && s.text == "":
		return s, output{err: backend.ErrConflict}
	}
	switch in.kind {
	case set:
		return text(in.value), output{state: text(in.value)}
	case setIf:
		return text(in.value), output{}
	case take:
		return text(""), output{}
	case remove:
		return state{}, output{}
	case count:
		next := s
		next.n, next.hasN = s.n+in.delta, true
		return next, output{n: next.n}
	}
	return s, output{state: s}
}

// agrees reports whether a caller may have been told got where the model says want.
func agrees(in input, want, got output) bool {
	switch {
	case want.err != got.err:
		return false
	case got.err != nil:
		return true
	case in.kind == load || in.kind == peek || in.kind == set:
		return want.state == got.state
	case in.kind == count:
		return want.n == got.n
	}
	return true
}

var model = (&porcupine.NondeterministicModel{
	Partition: split,
	Init:      func() []any { return []any{state{}} },
	Step: func(s, in, out any) []any {
		next, want := step(s.(state), in.(input))
		got := out.(output)
		switch {
		case got.unknown && next == s.(state):
			return []any{next}
		case got.unknown:
			return []any{s, next}
		case agrees(in.(input), want, got):
			return []any{next}
		}
		return nil
	},
	DescribeOperation: describe,
	DescribeState:     func(s any) string { return fmt.Sprintf("%+v", s) },
}).ToModel()

// split divides a history by ID.
func split(history []porcupine.Operation) [][]porcupine.Operation {
	by := make(map[string][]porcupine.Operation)
	for _, op := range history {
		id := op.Input.(input).id
		by[id] = append(by[id], op)
	}
	var parts [][]porcupine.Operation
	for _, ops := range by {
		parts = append(parts, ops)
	}
	return parts
}

func describe(in, out any) string {
	i, o := in.(input), out.(output)
	name := [...]string{"create", "load", "set", "set-if", "count", "take", "peek", "remove", "delete"}[i.kind]
	told := fmt.Sprintf("%+v, n=%d", o.state, o.n)
	switch {
	case o.unknown:
		told = "unknown"
	case o.err != nil:
		told = o.err.Error()
	}
	return fmt.Sprintf("%s(%s value=%q want=%q delta=%d) -> %s", name, i.id, i.value, i.want, i.delta, told)
}
