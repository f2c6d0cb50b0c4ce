package redistest

import (
	"bufio"
	"bytes"
	"net"
	"strings"
	"sync"
	"time"
)

// link is one connection through a Proxy. One goroutine passes commands on, another one replies.
type link struct {
	p              *Proxy
	client, server net.Conn
	done           chan struct{} // closed when the link is

	mu      sync.Mutex
	pending []*Injection // for each reply that is due, what harms it, or nil
	raw     bool         // replies are not one for each command any more
}

func (l *link) run() {
	defer l.close()
	if !l.pass() {
		return
	}
	server, err := net.DialTimeout("tcp", l.p.target, replyTimeout)
	if err != nil {
		return
	}
	if !l.attach(server) {
		server.Close()
		return
	}
	var wg sync.WaitGroup
	wg.Go(l.commands)
	wg.Go(l.replies)
	wg.Wait()
}

// attach sets the server's side, unless the link is closed already.
func (l *link) attach(server net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.server = server
	return !closed(l.done)
}

// close closes both sides.
func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if closed(l.done) {
		return
	}
	close(l.done)
	l.client.Close()
	if l.server != nil {
		l.server.Close()
	}
	l.p.forget(l)
}

// pass waits for the end of a partition. It returns false if the link was closed.
func (l *link) pass() bool { return l.wait(l.p.gate()) }

// wait waits for c. It returns false if the link was closed.
func (l *link) wait(c <-chan struct{}) bool {
	select {
	case <-c:
	case <-l.done:
	}
	return !closed(l.done) // both may be so
}

// commands passes the client's commands on.
func (l *link) commands() {
	d := decoder{r: bufio.NewReader(l.client), raw: new(bytes.Buffer)}
	for {
		d.raw.Reset()
		r, err := d.read()
		if err == nil && (r.kind != '*' || len(r.elems) == 0) {
			err = errNotRESP
		}
		if err != nil {
			l.p.note(err)
			l.commandsEnd()
			return
		}
		if !l.command(r.Strings(), d.raw.Bytes()) {
			l.close()
			return
		}
	}
}

// command passes one command on. It returns false if the link is to be closed.
func (l *link) command(args []string, data []byte) bool {
	in := l.p.fault(args)
	switch {
	case in.does(RefuseCommand):
		in.hit()
		return false
	case in.does(HangCommand):
		in.hit()
		if !l.wait(in.released) {
			return false
		}
	}
	if !l.pass() {
		return false
	}
	l.expect(args, in)
	l.p.count(args[0])
	_, err := l.server.Write(data)
	return err == nil
}

// commandsEnd tells the server that the client has closed, and leaves it to the server to close.
func (l *link) commandsEnd() {
	l.p.abandon(l)
	if !l.pass() {
		return
	}
	if l.server.(*net.TCPConn).CloseWrite() != nil {
		l.close()
	}
}

// expect notes that a reply is due.
func (l *link) expect(args []string, in *Injection) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.raw = l.raw || repliesFreely(args); l.raw {
		return
	}
	l.pending = append(l.pending, in)
}

// repliesFreely reports whether, from this command on, replies are not one for each command.
func repliesFreely(args []string) bool {
	switch strings.ToUpper(args[0]) {
	case "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE",
		"MONITOR", "SYNC", "PSYNC":
		return true
	case "CLIENT":
		return len(args) > 1 && strings.EqualFold(args[1], "REPLY")
	}
	return false
}

// replies passes the server's replies on.
func (l *link) replies() {
	d := decoder{r: bufio.NewReader(l.server), raw: new(bytes.Buffer)}
	for {
		d.raw.Reset()
		if _, err := d.r.Peek(1); err != nil {
			break
		}
		if l.free() {
			l.copy(d.r)
			break
		}
		r, err := d.read()
		if err != nil {
			l.p.note(err)
			l.write(d.raw.Bytes())
			break
		}
		if !l.reply(r.kind, d.raw.Bytes()) {
			l.close()
			return
		}
	}
	l.pass() // during a partition, the client does not hear that the server has closed
	l.close()
}

// reply passes one reply or push on. It returns false if the link is to be closed.
func (l *link) reply(kind byte, data []byte) bool {
	var in *Injection
	if kind != '>' {
		in = l.due()
	}
	switch {
	case in.does(DropReply):
		in.hit()
		return false
	case in.does(CutReply):
		l.write(data[:len(data)/2])
		in.hit()
		return false
	case in.does(HangReply):
		in.hit()
		if !l.wait(in.released) {
			return false
		}
	case in.does(DelayReply):
		in.hit()
		l.delay(in)
	}
	return l.write(data)
}

// delay waits for the injection's delay, its release, or the end of the link.
func (l *link) delay(in *Injection) {
	t := time.NewTimer(in.fault.Delay)
	defer t.Stop()
	select {
	case <-t.C:
	case <-in.released:
	case <-l.done:
	}
}

// write sends bytes to the client.
func (l *link) write(data []byte) bool {
	if !l.pass() {
		return false
	}
	_, err := l.client.Write(data)
	return err == nil
}

// due returns what harms the reply that is due first.
func (l *link) due() *Injection {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pending) == 0 {
		return nil // the server says something unasked, such as that it has too many clients
	}
	in := l.pending[0]
	l.pending = l.pending[1:]
	return in
}

// free reports whether what comes now is passed on without a look.
func (l *link) free() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.raw && len(l.pending) == 0
}

// copy passes on all that the server says.
func (l *link) copy(r *bufio.Reader) {
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		if n > 0 && !l.write(buf[:n]) || err != nil {
			return
		}
	}
}
