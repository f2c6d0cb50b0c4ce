package redistest_test

import (
	"testing"

	"github.com/faeeb396/session/internal/redistest"
)

func TestProxyPipeline(t *testing.T) {
	s, p, c, key := through(t)
	in := p.Inject(redistest.Fault{Command: "INCR", Skip: 1, Do: redistest.HangReply})
	for range 3 {
		send(t, c, "INCR", key)
	}
	send(t, c, "PING")
	expect(t, c, "1")
	heard := listen(c)
	in.Await(t)
	await(t, "third INCR", func() bool { return s.Do(t, "GET", key).String() == "3" })
	quiet(t, heard)
	in.Release()
	(<-heard).expect(t, "2")
	expect(t, c, "3")
	expect(t, c, "PONG")
}

func TestProxyTransaction(t *testing.T) {
	s, p, c, key := through(t)
	p.Inject(redistest.Fault{Command: "EXEC", Do: redistest.DropReply})
	for _, args := range [][]string{{"MULTI"}, {"INCR", key}, {"INCR", key}, {"EXEC"}} {
		send(t, c, args...)
	}
	for _, want := range []string{"OK", "QUEUED", "QUEUED"} {
		expect(t, c, want)
	}
	expectClosed(t, c)
	if got := s.Do(t, "GET", key).String(); got != "2" {
		t.Errorf("GET = %s, want 2", got)
	}
}

func TestProxyPushIsNoReply(t *testing.T) {
	s, p, c, key := through(t)
	if _, err := c.Do("HELLO", "3"); err != nil {
		t.Fatal(err)
	}
	do(t, c, "OK", "CLIENT", "TRACKING", "ON")
	do(t, c, "0", "GET", key)
	s.Do(t, "INCR", key)
	push := "[invalidate [" + key + "]]"
	expect(t, c, push)
	do(t, c, "1", "GET", key)

	// A push that arrives between a command and its reply.
	in := p.Inject(redistest.Fault{Command: "BLPOP", Do: redistest.DropReply})
	send(t, c, "BLPOP", key+"list", "0")
	await(t, "BLPOP", func() bool { return p.Calls()["BLPOP"] == 1 })
	s.Do(t, "INCR", key)
	expect(t, c, push)
	if in.Hits() != 0 {
		t.Errorf("Hits = %d after the push, want 0", in.Hits())
	}
	s.Do(t, "RPUSH", key+"list", "x")
	expectClosed(t, c)
	if in.Hits() != 1 {
		t.Errorf("Hits = %d after the reply, want 1", in.Hits())
	}
}

func TestProxySubscription(t *testing.T) {
	s, p, c, channel := through(t)
	in := p.Inject(redistest.Fault{Command: "PING", Do: redistest.DropReply})
	send(t, c, "GET", channel)
	send(t, c, "SUBSCRIBE", channel, channel+"2")
	expect(t, c, "0")
	expect(t, c, "[subscribe "+channel+" 1]")
	expect(t, c, "[subscribe "+channel+"2 2]")
	s.Do(t, "PUBLISH", channel, "hello")
	expect(t, c, "[message "+channel+" hello]")
	do(t, c, "[pong ]", "PING")
	if in.Hits() != 0 {
		t.Errorf("Hits = %d, want 0", in.Hits())
	}
	p.Inject(redistest.Fault{Command: "PING", Do: redistest.RefuseCommand})
	send(t, c, "PING")
	expectClosed(t, c)
}

func TestProxyReplyBeforeSubscription(t *testing.T) {
	s, p, c, key := through(t)
	p.Inject(redistest.Fault{Command: "BLPOP", Do: redistest.DropReply})
	send(t, c, "BLPOP", key+"list", "0")
	send(t, c, "SUBSCRIBE", key)
	await(t, "SUBSCRIBE", func() bool { return p.Calls()["SUBSCRIBE"] == 1 })
	s.Do(t, "RPUSH", key+"list", "x")
	expectClosed(t, c)
}

func TestProxyPartition(t *testing.T) {
	s, p, c, key := through(t)
	do(t, c, "1", "INCR", key)
	p.Partition()
	send(t, c, "INCR", key)
	old := listen(c)
	c2 := connect(t, p)
	send(t, c2, "INCR", key)
	young := listen(c2)
	quiet(t, old)
	quiet(t, young)
	if got := s.Do(t, "GET", key).String(); got != "1" {
		t.Errorf("INCR ran %s times during the partition, want 1", got)
	}
	p.Heal()
	for _, ch := range []<-chan answer{old, young} {
		if a := <-ch; a.err != nil || a.Int() < 2 {
			t.Errorf("received %v, %v after the partition, want 2 or 3", a.Reply, a.err)
		}
	}
	if got := s.Do(t, "GET", key).String(); got != "3" {
		t.Errorf("INCR ran %s times, want 3", got)
	}
}

func TestProxyPartitionHidesReply(t *testing.T) {
	_, p, c, key := through(t)
	in := p.Inject(redistest.Fault{Command: "INCR", Do: redistest.HangReply})
	send(t, c, "INCR", key)
	heard := listen(c)
	in.Await(t)
	p.Partition()
	in.Release()
	quiet(t, heard)
	p.Heal()
	(<-heard).expect(t, "1")
}

func TestProxyPartitionHidesClose(t *testing.T) {
	s := redistest.Start(t, nil)
	p := redistest.NewProxy(t, s.Addr())

	// The server closes.
	c := connect(t, p)
	do(t, c, "PONG", "PING")
	p.Partition()
	s.Do(t, "CLIENT", "KILL", "TYPE", "normal")
	heard := listen(c)
	quiet(t, heard)
	p.Heal()
	if a := <-heard; a.err == nil {
		t.Errorf("received %v after the partition, want a closed connection", a.Reply)
	}

	// The client closes.
	c = connect(t, p)
	do(t, c, "PONG", "PING")
	p.Partition()
	c.Close()
	await(t, "end of the connection", func() bool { return p.Connections() == 0 })
	if got := s.Clients(t); len(got) != 1 {
		t.Errorf("Clients during the partition = %q, want one", got)
	}
	p.Heal()
	await(t, "end of the client", func() bool { return len(s.Clients(t)) == 0 })
}

func TestProxyRefuse(t *testing.T) {
	_, p, c, key := through(t)
	do(t, c, "1", "INCR", key)
	p.Refuse()
	do(t, c, "2", "INCR", key)
	expectClosed(t, connect(t, p))
	p.Heal()
	do(t, connect(t, p), "3", "INCR", key)
}

func TestProxySever(t *testing.T) {
	_, p, c, key := through(t)
	do(t, c, "1", "INCR", key)
	c2 := connect(t, p)
	do(t, c2, "2", "INCR", key)
	if got := p.Connections(); got != 2 {
		t.Errorf("Connections = %d, want 2", got)
	}
	p.Sever()
	expectClosed(t, c)
	expectClosed(t, c2)
	if got := p.Connections(); got != 0 {
		t.Errorf("Connections = %d, want 0", got)
	}
	do(t, connect(t, p), "3", "INCR", key)
}

func TestProxyWithoutServer(t *testing.T) {
	s := redistest.Start(t, nil)
	p := redistest.NewProxy(t, s.Addr())
	c := connect(t, p)
	do(t, c, "PONG", "PING")
	s.Kill()
	expectClosed(t, c)
	expectClosed(t, connect(t, p))
	s.Restart(t)
	do(t, connect(t, p), "PONG", "PING")
}

func TestProxyReportsWhatIsNotRESP(t *testing.T) {
	s := redistest.Shared(t)
	var v *verdict
	t.Run("test", func(t *testing.T) {
		v = &verdict{TB: t}
		c, err := redistest.Dial(redistest.NewProxy(v, s.Addr()).Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		send(t, c)
		expectClosed(t, c)
	})
	if v.errors == "" {
		t.Error("the test did not fail")
	}
}

func TestServerPause(t *testing.T) {
	s := redistest.Start(t, nil)
	c := s.Dial(t)
	s.Pause(t)
	send(t, c, "PING")
	heard := listen(c)
	quiet(t, heard)
	s.Resume(t)
	(<-heard).expect(t, "PONG")
	s.Pause(t)
	s.Stop()
	if s.Running() {
		t.Error("Running = true after Pause and Stop")
	}
}
