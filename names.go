package session

import "slices"

// names is a set of names. Most hold a few, which are looked through one by one; a nil one is empty.
type names struct {
	list []string
	room [4]string           // memory for the first of list
	set  map[string]struct{} // what list holds, once that is long
}

// manyNames is from how many names on a map finds them sooner.
const manyNames = 16

// all returns the names in the order in which they were added. It stays the set's.
func (n *names) all() []string {
	if n == nil {
		return nil
	}
	return n.list
}

func (n *names) has(name string) bool {
	switch {
	case n == nil:
		return false
	case n.set == nil:
		return slices.Contains(n.list, name)
	}
	_, ok := n.set[name]
	return ok
}

func (n *names) add(name string) {
	if n.has(name) {
		return
	}
	if n.list == nil {
		n.list = n.room[:0]
	}
	n.list = append(n.list, name)
	switch {
	case n.set != nil:
		n.set[name] = struct{}{}
	case len(n.list) == manyNames:
		n.set = make(map[string]struct{}, 2*manyNames)
		for _, name := range n.list {
			n.set[name] = struct{}{}
		}
	}
}
