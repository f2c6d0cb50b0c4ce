package rueidis

import (
	"sync/atomic"
	"time"
)

// A generation is the reads through the local cache that began in it. They and no others share what the client caches,
// because it caches by the text of a command, and each generation has its own spelling of that: the server takes any.
//
// For as long as every reply comes in time, there is one. But the client gives up a read whose context has ended, and
// takes its late reply for that to the next one of the same record, with the time of that one: what it then has cached
// may be older than the cache may be. No older than the generation, though.
type generation struct {
	command string // HGETALL in this generation's spelling
	number  int
	began   time.Time
	late    atomic.Bool // some reply is late, or may be
}

func newGeneration(number int) *generation {
	return &generation{command: spell("HGETALL", number), number: number, began: time.Now()}
}

// spell returns a name in capitals with those letters in lower case whose bits are set in number.
func spell(name string, number int) string {
	letters := []byte(name)
	for i := range letters {
		if number>>i&1 == 1 {
			letters[i] += 'a' - 'A'
		}
	}
	return string(letters)
}

// minGeneration is how long a generation lasts at least. There are 128 spellings, and the client ends a connection on
// which a reply is so late that the same one would come again.
const minGeneration = time.Second

// generations are those of one local cache.
type generations struct {
	window time.Duration // how old a record from the cache may be
	last   atomic.Pointer[generation]
}

func newGenerations(window time.Duration) *generations {
	g := &generations{window: window}
	g.last.Store(newGeneration(0))
	return g
}

// current returns the generation in which a read that begins now is to be.
func (g *generations) current() *generation {
	last := g.last.Load()
	if !last.late.Load() || time.Since(last.began) < max(g.window, minGeneration) {
		return last
	}
	g.last.CompareAndSwap(last, newGeneration(last.number+1)) // or another read has
	return g.last.Load()
}

// trusts reports whether what was cached in a generation, and has not expired, is no older than the window.
func (g *generations) trusts(in *generation) bool {
	return !in.late.Load() || time.Since(in.began) < g.window
}
