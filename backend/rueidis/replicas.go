package rueidis

import (
	"context"
	"time"

	rueidisclient "github.com/redis/rueidis"

	"github.com/faeeb396/session/backend/internal/redishash"
)

// write runs a script, and waits for replicas where that is wanted.
func (b *Backend) write(ctx context.Context, op string, call *redishash.Call, durable bool) (rueidisclient.RedisResult, error) {
	if !durable || b.replicas == 0 {
		return run(ctx, b.client, call), nil
	}
	source := false
	return b.durably(ctx, op, func(c rueidisclient.Client) rueidisclient.Completed {
		if source {
			return evalCommand(c, call)
		}
		return evalshaCommand(c, call)
	}, func(err error) bool {
		missing := isNoScript(err) && !source
		source = source || missing
		return missing
	})
}

// durably sends the command that build returns, and WAIT after it on the same connection: the server counts the
// replicas that have what came before on that connection. It sends a command that was not run again, because the
// server redirects it or because again says so, and none that may have run.
func (b *Backend) durably(ctx context.Context, op string, build func(rueidisclient.Client) rueidisclient.Completed,
	again func(error) bool) (rueidisclient.RedisResult, error) {
	if _, ok := ctx.Deadline(); !ok { // the client has none for a command that waits, as WAIT does
		timeout, cancel := context.WithTimeout(ctx, b.waitTimeout+defaultTimeout)
		defer cancel()
		ctx = undated{timeout}
	}
	node, asking := b.client, false
	for sent := 1; ; sent++ {
		written, acked := b.writeAndWait(ctx, node, build(node), asking)
		err := written.Error()
		if sent < redishash.Redirects {
			var redirected bool
			if node, asking, redirected = b.redirect(err); redirected && (node != b.client || pause(ctx, sent)) || again(err) {
				continue
			}
		}
		if err != nil {
			return written, nil //nolint:nilerr // written holds it
		}
		n, err := acked.AsInt64()
		return written, redishash.Replicated(op, n, err, b.replicas, b.waitTimeout)
	}
}

// redirect returns where a command is to be sent to that failed with err, and whether it is: to the node that the
// server names, since the client looks where slots are by now only after a while, or through the client if that
// does not know the node.
func (b *Backend) redirect(err error) (node rueidisclient.Client, asking, redirected bool) {
	node = b.client
	reply, ok := asReply(err)
	if !ok {
		return node, false, false
	}
	addr, ask := reply.IsAsk()
	if !ask {
		var moved bool
		if addr, moved = reply.IsMoved(); !moved {
			return node, false, false
		}
	}
	if n := b.client.Nodes()[addr]; n != nil {
		return n, ask, true
	}
	return node, false, true
}

// undated is a context that does not say when it ends. The client looks at nothing else but the deadline of one that
// says so, and would not see that the caller has cancelled it.
type undated struct{ context.Context }

func (undated) Deadline() (time.Time, bool) { return time.Time{}, false }

// writeAndWait sends a command and WAIT on one connection.
func (b *Backend) writeAndWait(ctx context.Context, node rueidisclient.Client, write rueidisclient.Completed,
	asking bool) (written, acked rueidisclient.RedisResult) {
	conn, err := dedicate(ctx, node)
	if err != nil {
		failed := rueidisclient.NewErrorResult(err)
		return failed, failed
	}
	// The client cleans a connection that is given back, and waits for replies to that, whatever ctx says.
	defer func() { go conn.release() }()
	commands := make([]rueidisclient.Completed, 0, 3)
	if asking {
		commands = append(commands, node.B().Asking().Build())
	}
	wait := node.B().Wait().Numreplicas(int64(b.replicas)).Timeout(redishash.Milliseconds(b.waitTimeout)).Build()
	results := conn.DoMulti(ctx, append(commands, write, wait)...)
	return results[len(results)-2], results[len(results)-1]
}

// dedicated is a connection that nobody else uses until it is released.
type dedicated struct {
	rueidisclient.DedicatedClient
	release func()
}

// dedicate returns a connection of the client's, or the error of ctx if that ends first: the client does not look at
// it while it waits for a connection of its pool, or makes one.
func dedicate(ctx context.Context, client rueidisclient.Client) (dedicated, error) {
	found := make(chan dedicated)
	go func() {
		conn, release := client.Dedicate()
		select {
		case found <- dedicated{conn, release}:
		case <-ctx.Done():
			release()
		}
	}()
	select {
	case d := <-found:
		return d, nil
	case <-ctx.Done():
		return dedicated{}, ctx.Err()
	}
}

// pause gives the client time to see where a slot has moved to, and reports whether ctx has not ended.
func pause(ctx context.Context, sent int) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(time.Duration(sent) * 20 * time.Millisecond):
		return true
	}
}
