package rueidis

import (
	"context"

	rueidisclient "github.com/redis/rueidis"

	"github.com/faeeb396/session/backend"
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
}

// Backend keeps records in Redis. It is safe for concurrent use, and holds nothing that is to be closed.
type Backend struct {
	client rueidisclient.Client
	prefix string
}

var (
	_ backend.Backend = (*Backend)(nil)
	_ backend.Pinger  = (*Backend)(nil)
	_ backend.Scanner = (*Backend)(nil)
)

// New returns a backend that uses client, which must not be nil. The client stays the caller's: the backend
// never closes it, and others may use it, too. See the package comment for how it is best set up.
func New(client rueidisclient.Client, opts *Options) *Backend {
	if client == nil {
		panic("rueidis: New: no client")
	}
	b := &Backend{client: client, prefix: redishash.DefaultPrefix}
	if opts != nil && opts.Prefix != "" {
		b.prefix = opts.Prefix
	}
	return b
}

// Create implements [backend.Backend] with one EVALSHA.
func (b *Backend) Create(ctx context.Context, id string, rec backend.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	call := redishash.Create(b.prefix+id, &rec)
	if err := run(ctx, b.client, &call).Error(); err != nil {
		return fail(ctx, opCreate, err)
	}
	return nil
}

// Load implements [backend.Backend] with one HGETALL, which is sent again if the connection ends under it.
func (b *Backend) Load(ctx context.Context, id string) (backend.Record, error) {
	if err := ctx.Err(); err != nil {
		return backend.Record{}, err
	}
	key := b.prefix + id
	hash, err := do(ctx, b.client, "HGETALL", key).AsStrMap()
	for sent := 1; redishash.Again(ctx, err, sent); sent++ {
		hash, err = do(ctx, b.client, "HGETALL", key).AsStrMap()
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
	counters := redishash.Counters(&p)
	call := redishash.Apply(b.prefix+id, &p, counters)
	result := run(ctx, b.client, &call)
	if p.Load {
		hash, err := result.AsStrMap()
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

// Delete implements [backend.Backend] with one DEL.
//
// That is sent once, too. A DEL that was run and is sent again may find another record by then: an ID that is
// not random, of an index for example, can be created anew as soon as the first DEL has run.
func (b *Backend) Delete(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := do(ctx, b.client, "DEL", b.prefix+id).Error(); err != nil {
		return fail(ctx, opDelete, err)
	}
	return nil
}

// Ping implements [backend.Pinger]. Beside a PING it asks the server, without writing anything, whether it lets
// this user run each command that the four methods of [backend.Backend] need, on keys with the prefix; the error
// names those that it refuses. A replica and a server out of memory refuse what writes. On a cluster it asks one
// node.
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
	return redishash.Refused(opPing, refused)
}

// fail returns the error of a call that has failed.
func fail(ctx context.Context, op string, err error) error {
	_, reply := rueidisclient.IsRedisErr(err)
	return redishash.Fail(ctx, op, err, reply)
}
