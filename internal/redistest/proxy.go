package redistest

import (
	"errors"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Proxy stands between clients and a server and harms what they say to each other: see [Proxy.Inject] for
// single commands, and [Proxy.Partition], [Proxy.Refuse] and [Proxy.Sever] for whole connections. It
// understands RESP2 and RESP3 with pipelines, transactions and pushes, and not TLS.
//
// Replies on a connection that has sent SUBSCRIBE and its like, MONITOR, PSYNC or CLIENT REPLY are passed on as
// they come: they are not one for each command any more. The faults on commands still work there.
//
// Its methods are safe for concurrent use.
type Proxy struct {
	target   string
	listener net.Listener
	links    sync.WaitGroup // and the goroutine that accepts them

	mu      sync.Mutex
	open    map[*link]bool
	closed  bool
	refuse  bool
	healed  chan struct{} // closed unless there is a partition
	faults  []*Injection
	calls   map[string]int
	failure error // what was not RESP
}

// NewProxy returns a proxy on loopback before the server at addr. It is closed when the test ends, with its
// connections. The server need not run: without it, connections are closed at once.
//
// The nodes of a cluster, and Sentinel, name the servers' own addresses to clients. A test that wants a proxy
// before each gives its client a dialer that puts the proxies' addresses in their place.
func NewProxy(tb testing.TB, addr string) *Proxy {
	tb.Helper()
	l, err := net.Listen("tcp", address(0))
	if err != nil {
		tb.Fatalf("redistest: %v", err)
	}
	p := &Proxy{
		target:   addr,
		listener: l,
		open:     make(map[*link]bool),
		healed:   make(chan struct{}),
		calls:    make(map[string]int),
	}
	close(p.healed)
	p.links.Go(p.accept)
	tb.Cleanup(func() {
		p.close()
		if p.failure != nil {
			tb.Errorf("redistest: proxy: %v", p.failure)
		}
	})
	return p
}

// Addr returns the address of the proxy, "127.0.0.1:12345".
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Calls returns how many commands the server was sent through the proxy, by their names in capitals.
func (p *Proxy) Calls() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.calls)
}

// ResetCalls starts the counts of [Proxy.Calls] over.
func (p *Proxy) ResetCalls() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.calls)
}

// Connections returns how many connections clients have open.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, inUse := range p.open {
		if inUse {
			n++
		}
	}
	return n
}

// Partition stops forwarding in both directions, without a word to either side: nothing is closed, not even
// when the other side closes. New connections are taken and hear nothing.
func (p *Proxy) Partition() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if closed(p.healed) {
		p.healed = make(chan struct{})
	}
}

// Refuse closes new connections at once. Those that have carried a command stay.
func (p *Proxy) Refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = true
}

// Heal ends what [Proxy.Partition] and [Proxy.Refuse] began. What was sent during a partition arrives now.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = false
	if !closed(p.healed) {
		close(p.healed)
	}
}

// Sever closes all connections that have carried a command, and leaves new ones alone.
func (p *Proxy) Sever() {
	p.mu.Lock()
	links := slices.Collect(maps.Keys(p.open))
	p.mu.Unlock()
	for _, l := range links {
		l.close()
	}
}

// close closes the proxy and waits for its goroutines.
func (p *Proxy) close() {
	p.listener.Close()
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.Sever()
	p.links.Wait()
}

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		l := &link{p: p, client: c, done: make(chan struct{})}
		if !p.add(l) {
			c.Close()
			continue
		}
		p.links.Go(l.run)
	}
}

// add adds a connection, unless it is to be refused.
func (p *Proxy) add(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse || p.closed {
		return false
	}
	p.open[l] = true
	return true
}

// forget takes a connection away.
func (p *Proxy) forget(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, l)
}

// abandon notes that a connection's client has closed it, while the server may still have to.
func (p *Proxy) abandon(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open[l] {
		p.open[l] = false
	}
}

// gate returns a channel that is closed when there is no partition, or when it has ended.
func (p *Proxy) gate() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.healed
}

// fault returns the injection that is to harm a command, or nil.
func (p *Proxy) fault(args []string) *Injection {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, in := range p.faults {
		if in.takes(args) {
			return in
		}
	}
	return nil
}

func (p *Proxy) count(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls[strings.ToUpper(name)]++
}

// note keeps the first error that says that the proxy did not understand what it passed on.
func (p *Proxy) note(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failure == nil && errors.Is(err, errNotRESP) {
		p.failure = err
	}
}
