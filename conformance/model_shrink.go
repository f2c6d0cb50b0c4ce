package conformance

import (
	"maps"
	"slices"

	"github.com/faeeb396/session/backend"
)

// shrink leaves things out of ops as long as what is left fails: the last sequence of which fails says so is the
// shortest and simplest that it finds. It calls fails so many times at most.
func shrink(ops []op, fails func([]op) bool, tries int) {
	try := func(shorter []op) bool {
		if tries <= 0 {
			return false
		}
		tries--
		if !fails(shorter) {
			return false
		}
		ops = shorter
		return true
	}
	for before := -1; before != weight(ops) && tries > 0; {
		before = weight(ops)
		for size := max(1, len(ops)/2); size > 0; size /= 2 {
			for at := 0; at+size <= len(ops); {
				if !try(slices.Delete(slices.Clone(ops), at, at+size)) {
					at += size
				}
			}
		}
		for i := range ops {
			simplify(ops[i], func(simpler op) bool {
				with := slices.Clone(ops)
				with[i] = simpler
				return try(with)
			})
		}
	}
}

// weight returns how much there is in a sequence.
func weight(ops []op) int {
	n := 0
	for _, o := range ops {
		p := o.patch
		n += 1 + len(o.record.Fields) + len(p.If) + len(p.Has) + len(p.Set) + len(p.Delete) + len(p.Add)
		for _, there := range []bool{o.second, p.TTL > 0, p.Touch, p.Load, p.Remove, p.Durable} {
			if there {
				n++
			}
		}
	}
	return n
}

// simplify offers o with one thing after the other left out. What is taken stays so.
func simplify(o op, take func(op) bool) {
	offer := func(change func(*op)) {
		simpler := o
		simpler.record, simpler.patch = clone(o.record), clonePatch(o.patch)
		change(&simpler)
		if weight([]op{simpler}) < weight([]op{o}) && take(simpler) {
			o = simpler
		}
	}
	offer(func(o *op) { o.second = false })
	offer(func(o *op) { o.patch = backend.Patch{Remove: o.patch.Remove} })
	offer(func(o *op) { o.patch.TTL = 0 })
	offer(func(o *op) { o.patch.Touch = false })
	offer(func(o *op) { o.patch.Load = false })
	offer(func(o *op) { o.patch.Durable = false })
	offer(func(o *op) { o.patch.If = nil })
	offer(func(o *op) { o.patch.Has = nil })
	offer(func(o *op) { o.patch.Set = nil })
	offer(func(o *op) { o.patch.Delete = nil })
	offer(func(o *op) { o.patch.Add = nil })
	for _, name := range sorted(o.record.Fields) {
		offer(func(o *op) { delete(o.record.Fields, name) })
	}
	for _, name := range sorted(o.patch.If) {
		offer(func(o *op) { delete(o.patch.If, name) })
	}
	for _, name := range sorted(o.patch.Set) {
		offer(func(o *op) { delete(o.patch.Set, name) })
	}
	for _, name := range sorted(o.patch.Add) {
		offer(func(o *op) { delete(o.patch.Add, name) })
	}
	for _, name := range slices.Concat(o.patch.Has, o.patch.Delete) {
		is := func(n string) bool { return n == name }
		offer(func(o *op) { o.patch.Has = slices.DeleteFunc(o.patch.Has, is) })
		offer(func(o *op) { o.patch.Delete = slices.DeleteFunc(o.patch.Delete, is) })
	}
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
