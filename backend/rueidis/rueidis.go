package rueidis

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	rueidisclient "github.com/redis/rueidis"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/internal/batch"
	"github.com/faeeb396/session/backend/internal/redishash"
)

// What the errors of each method begin with.
const (
	opCreate = "rueidis: create"
	opLoad   = "rueidis: load"
	opApply  = "rueidis: apply"
	opDelete = "rueidis: delete"
	opPing   = "rueidis: ping"
	opScan   = "rueidis: scan"
)

// Options are the options of a Backend. Nil is the same as the zero value.
type Options struct {
	// Prefix is what the keys of records begin with; the ID follows. If empty, "session:". There is always
	// one: it is what an ACL rule can name and what tells records from everything else in the database.
	//
	// Backends with the same prefix share their records. No prefix may begin with another one that is in
	// use: IDs hold colons, too. A prefix with a hash tag, such as "{app}session:", would put all records
	// on one node of a cluster.
	Prefix string

	// LocalCache, if positive, has Load answer from a cache in the process, which the server keeps coherent by
	// telling of changes (CLIENT TRACKING), and is how old a record from it may be at most, whatever happens
	// to the connection. See the package comment for what that means. If zero, there is no cache. The client
	// must not have DisableCache set: then nothing is cached.
	LocalCache time.Duration

	// WaitReplicas, if positive, has Create, Delete and every durable Apply, a login or a logout, return only
	// when so many replicas have acknowledged it, and else fail with backend.ErrNotReplicated. If zero, they
	// return when the master has done it.
	WaitReplicas int

	// WaitTimeout is how long they wait. If zero, one second.
	WaitTimeout time.Duration

	// DisableBatching has each read given to the client by itself, where each is to have its own span in a trace, for
	// example. If false, reads that are made while many others are under way are given to it together. See the
	// package comment.
	DisableBatching bool
}

// Backend keeps records in Redis. It is safe for concurrent use, and holds nothing that is to be closed.
type Backend struct {
	client      rueidisclient.Client
	prefix      string
	localCache  time.Duration
	own         *own // nil without a local cache, as are the next two
	generations *generations
	apart       *apart
	reads       *batch.Queue[read] // nil if each read goes by itself
	replicas    int
	waitTimeout time.Duration
}

var (
	_ backend.Backend = (*Backend)(nil)
	_ backend.Pinger  = (*Backend)(nil)
	_ backend.Scanner = (*Backend)(nil)
	_ backend.Cacher  = (*Backend)(nil)
)

// New returns a backend that uses client, which must not be nil. The client stays the caller's: the backend
// never closes it, and others may use it, too. See the package comment for how it is best set up.
func New(client rueidisclient.Client, opts *Options) *Backend {
	if client == nil {
		panic("rueidis: New: no client")
	}
	var o Options
	if opts != nil {
		o = *opts
	}
	b := &Backend{
		client:      client,
		prefix:      cmp.Or(o.Prefix, redishash.DefaultPrefix),
		localCache:  max(0, o.LocalCache),
		replicas:    max(0, o.WaitReplicas),
		waitTimeout: cmp.Or(max(0, o.WaitTimeout), redishash.DefaultWaitTimeout),
	}
	if !o.DisableBatching {
		b.reads = newReads(client)
	}
	if b.localCache > 0 {
		b.own, b.generations, b.apart = newOwn(b.localCache), newGenerations(b.localCache), newApart(b.localCache)
	}
	return b
}

// Create implements [backend.Backend] with one EVALSHA.
func (b *Backend) Create(ctx context.Context, id string, rec backend.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	defer b.wrote(id)
	call := redishash.Create(b.prefix+id, &rec)
	result, unreplicated := b.write(ctx, opCreate, &call, true)
	if err := result.Error(); err != nil {
		return fail(ctx, opCreate, err)
	}
	return unreplicated
}

// Load implements [backend.Backend] with one HGETALL, which is sent again if the connection ends under it, or from
// the local cache if there is one.
func (b *Backend) Load(ctx context.Context, id string) (backend.Record, error) {
	if b.own == nil {
		return b.load(ctx, id)
	}
	rec, err := b.loadCached(ctx, id)
	if rec.Packed != "" {
		rec.Fields = rec.Packed.Map()
	}
	return backend.Record{Fields: rec.Fields, TTL: rec.TTL}, err
}

// load is Load past the local cache.
func (b *Backend) load(ctx context.Context, id string) (backend.Record, error) {
	if err := ctx.Err(); err != nil {
		return backend.Record{}, err
	}
	key := b.prefix + id
	hash, err := b.hgetall(ctx, key)
	for sent := 1; redishash.Again(ctx, err, sent); sent++ {
		hash, err = b.hgetall(ctx, key)
	}
	if err != nil {
		return backend.Record{}, fail(ctx, opLoad, err)
	}
	return redishash.Record(opLoad, hash)
}

// Apply implements [backend.Backend] with one EVALSHA.
func (b *Backend) Apply(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
	if err := ctx.Err(); err != nil {
		return backend.Record{}, err
	}
	defer b.wrote(id)
	counters := redishash.Counters(&p)
	call := redishash.Apply(b.prefix+id, &p, counters)
	result, unreplicated := b.write(ctx, opApply, &call, p.Durable)
	if unreplicated != nil {
		return backend.Record{}, unreplicated
	}
	if p.Load {
		hash, err := loaded(result)
		if err != nil {
			return backend.Record{}, fail(ctx, opApply, err)
		}
		return redishash.Record(opApply, hash)
	}
	sums, err := result.AsIntSlice()
	if err != nil {
		return backend.Record{}, fail(ctx, opApply, err)
	}
	return redishash.Sums(opApply, counters, sums)
}

// Delete implements [backend.Backend] with one DEL, or with one EVALSHA where it waits for replicas.
//
// That is sent once, too. A DEL that was run and is sent again may find another record by then: an ID that is
// not random, of an index for example, can be created anew as soon as the first DEL has run.
func (b *Backend) Delete(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	defer b.wrote(id)
	if b.replicas == 0 {
		if err := do(ctx, b.client, "DEL", b.prefix+id).Error(); err != nil {
			return fail(ctx, opDelete, err)
		}
		return nil
	}
	call := redishash.Delete(b.prefix + id)
	result, unreplicated := b.write(ctx, opDelete, &call, true)
	if err := result.Error(); err != nil {
		return fail(ctx, opDelete, err)
	}
	return unreplicated
}

// Ping implements [backend.Pinger]. Beside a PING it asks the server, without writing anything, whether it lets
// this user run each command that the four methods of [backend.Backend] need, with these options, on keys with the
// prefix; the error names those that it refuses. A replica and a server out of memory refuse what writes. On a cluster
// it asks one node.
func (b *Backend) Ping(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := b.client.Do(ctx, b.client.B().Ping().Build()).Error(); err != nil {
		return fail(ctx, opPing+": PING", err)
	}
	call := redishash.Probe(b.prefix)
	if err := evalsha(ctx, b.client, &call).Error(); err != nil && !isNoScript(err) {
		return fail(ctx, opPing+": EVALSHA", err)
	}
	refused, err := eval(ctx, b.client, &call).AsStrSlice()
	if err != nil {
		return fail(ctx, opPing+": EVAL", err)
	}
	if err := redishash.Refused(opPing, refused); err != nil {
		return err
	}
	if b.replicas > 0 {
		err := b.client.Do(ctx, b.client.B().Wait().Numreplicas(0).Timeout(1).Build()).Error()
		if answered(err) != nil { // a replica of a cluster may say that it has no replicas
			return fail(ctx, opPing+": WAIT", err)
		}
	}
	return b.pingCache(ctx, call.Key)
}

// answered returns err unless it is a reply of the server to a command that this user may run.
func answered(err error) error {
	if reply, ok := asReply(err); ok && !strings.HasPrefix(reply.Error(), "NOPERM") {
		return nil
	}
	return err
}

// fail returns the error of a call that has failed.
func fail(ctx context.Context, op string, err error) error {
	if reply, ok := asReply(err); ok {
		return redishash.Fail(ctx, op, err, reply)
	}
	return redishash.Fail(ctx, op, err, nil)
}

// asReply returns the server's error reply in err's chain, which a wrapper of the client may have made longer.
func asReply(err error) (*rueidisclient.RedisError, bool) {
	reply, ok := errors.AsType[*rueidisclient.RedisError](err)
	return reply, ok && reply != rueidisclient.Nil
}
