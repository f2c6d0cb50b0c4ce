package redissuite

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/faeeb396/session/internal/redistest"
)

// faults are all faults that are tried, first those on the way to the server.
func faults() []fault { return slices.Concat(networkFaults(), serverFaults()) }

func networkFaults() []fault {
	return []fault{
		{
			name:  "the reply is lost",
			begin: inject(redistest.Fault{Do: redistest.DropReply}),
			read:  done, write: unknown,
		},
		{
			name:  "the reply is cut",
			begin: inject(redistest.Fault{Do: redistest.CutReply}),
			read:  done, write: unknown,
		},
		{
			name:  "every reply is lost",
			begin: inject(redistest.Fault{Do: redistest.DropReply, Times: redistest.Always}),
			read:  failed, write: unknown,
		},
		{
			name:  "the reply hangs",
			begin: inject(redistest.Fault{Do: redistest.HangReply, Times: redistest.Always}),
			read:  failed, write: unknown,
			wraps: context.DeadlineExceeded,
		},
		{
			name:  "the command hangs",
			begin: inject(redistest.Fault{Do: redistest.HangCommand, Times: redistest.Always}),
			read:  failed, write: failed,
			wraps: context.DeadlineExceeded,
		},
		{
			name:  "the connection is closed at the command",
			begin: inject(redistest.Fault{Do: redistest.RefuseCommand}),
			read:  done, write: refusal,
		},
		{
			name:  "the reply is late",
			begin: inject(redistest.Fault{Do: redistest.DelayReply, Delay: 100 * time.Millisecond}),
			read:  done, write: done,
		},
		{
			name: "nobody listens",
			begin: func(l *lab) func() {
				l.proxy.Refuse()
				l.proxy.Sever()
				return l.proxy.Heal
			},
			read: failed, write: refusal,
		},
		{
			name: "the network is parted in silence",
			begin: func(l *lab) func() {
				l.proxy.Partition()
				return l.proxy.Heal
			},
			read: failed, write: failed,
			wraps: context.DeadlineExceeded,
		},
	}
}

// inject returns what harms the commands of the backend.
func inject(f redistest.Fault) func(*lab) func() {
	f.Match = func(args []string) bool {
		return slices.Contains([]string{"HGETALL", "EVALSHA", "EVAL", "DEL"}, strings.ToUpper(args[0]))
	}
	return func(l *lab) func() { return l.proxy.Inject(f).Release }
}

func serverFaults() []fault {
	return []fault{
		{
			name:  "SCRIPT FLUSH",
			begin: command("SCRIPT", "FLUSH"),
			read:  done, write: done,
		},
		{
			name:  "CLIENT KILL",
			begin: command("CLIENT", "KILL", "TYPE", "normal"),
			read:  done, write: done | refusal,
		},
		{
			name:  "CLIENT PAUSE",
			begin: pause("ALL"),
			read:  failed, write: failed,
			wraps: context.DeadlineExceeded,
		},
		{
			name:  "CLIENT PAUSE WRITE",
			begin: pause("WRITE"),
			read:  done, write: failed,
			wraps: context.DeadlineExceeded,
		},
		{
			name:  "memory is full",
			begin: command("CONFIG", "SET", "maxmemory", "1").then("CONFIG", "SET", "maxmemory", "0"),
			read:  done, write: refusal,
			but:  map[string]outcome{"Touch": done, "Delete": done},
			says: "OOM", pings: "OOM",
		},
		{
			name:  "the server is a replica",
			begin: command("REPLICAOF", "127.0.0.1", "1").then("REPLICAOF", "NO", "ONE"),
			read:  done, write: refusal,
			says: "READONLY", pings: "READONLY",
		},
		{
			name: "the server is down",
			begin: func(l *lab) func() {
				l.server.Kill()
				return func() { l.server.Restart(l.t) }
			},
			keeps: true,
			read:  failed, write: refusal,
		},
		{
			name: "the server has stopped in its tracks",
			begin: func(l *lab) func() {
				l.server.Pause(l.t)
				return func() { l.server.Resume(l.t) }
			},
			read: failed, write: failed,
			wraps: context.DeadlineExceeded,
		},
		{
			name:  "the server has restarted with its data",
			begin: restart,
			keeps: true,
			read:  done, write: done | refusal,
		},
		{
			name:  "the server has restarted without its data",
			begin: restart,
			read:  gone, write: gone | refusal,
			// A Delete finds nothing to do, whether it was run or not.
			but: map[string]outcome{"Create": done | refusal, "Delete": done | unknown},
		},
		{
			name:   "a script runs for ever",
			config: []string{"busy-reply-threshold 20"},
			alone:  true,
			begin:  busy,
			read:   failed, write: refusal,
			says: "BUSY",
		},
		{
			name:  "a permission is missing",
			begin: command("ACL", "SETUSER", "default", "-hset", "-hgetall", "-hincrby", "-del", "-expire").then("ACL", "SETUSER", "default", "+@all"),
			read:  failed, write: refusal,
			says:  "", // NOPERM, and since Redis 7 in a script other words
			pings: "the server refuses HSET, HINCRBY, HGETALL, EXPIRE, DEL",
		},
	}
}

// A commander has the server run a command, and is a fault's begin.
type commander func(*lab) func()

func command(args ...string) commander {
	return func(l *lab) func() {
		l.server.Do(l.t, args...)
		return func() {}
	}
}

// then returns c with a command at the end of the fault.
func (c commander) then(args ...string) func(*lab) func() {
	return func(l *lab) func() {
		c(l)
		return func() { l.server.Do(l.t, args...) }
	}
}

// pause pauses clients for longer than a call may take. Nothing ends a pause of all: even the command for that
// waits.
func pause(which string) func(*lab) func() {
	return command("CLIENT", "PAUSE", "1500", which).then("PING")
}

func restart(l *lab) func() {
	l.server.Restart(l.t)
	return func() {}
}

// busy has the server run a script that does not end.
func busy(l *lab) func() {
	conn := l.server.Dial(l.t)
	if err := conn.Send("EVAL", "while true do end", "0"); err != nil {
		l.t.Fatal(err)
	}
	for {
		if _, err := l.server.Try("PING"); err != nil && strings.Contains(err.Error(), "BUSY") {
			break
		}
	}
	return func() {
		l.server.Do(l.t, "SCRIPT", "KILL")
		_, _ = conn.Receive() // it has ended
		_ = conn.Close()
	}
}
