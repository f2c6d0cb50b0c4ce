package sqlbackend_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/examples/sqlbackend"
)

const (
	id       = "id"
	someTime = time.Minute

	past   = 1000          // For expires_at_ms.
	future = 9000000000000 // For expires_at_ms, in the year 2255.
)

// TestWriterInFlight has a transaction open that has extended a record in time, and is committed after the moment at
// which the record would have expired. Nobody may take the record for gone meanwhile, nor wait for ever.
func TestWriterInFlight(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		hasty := d.newBackend(d.open(t), &sqlbackend.Options{Timeout: 300 * time.Millisecond})
		if err := hasty.Create(t.Context(), id, backend.Record{TTL: someTime}); err != nil {
			t.Fatal(err)
		}
		patient := d.newBackend(d.open(t), nil)
		db := d.open(t)
		mustExec(t, db, `UPDATE sessions SET expires_at_ms = $1`, past)
		tx, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		mustExec(t, tx, `UPDATE sessions SET expires_at_ms = $1`, future)

		for _, call := range calls {
			if err := call.do(t.Context(), hasty); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s while the writer is at work = %v, want %v", call.name, err, context.DeadlineExceeded)
			}
		}

		errs := make([]error, len(calls))
		var wg sync.WaitGroup
		for i, call := range calls {
			wg.Go(func() { errs[i] = call.do(t.Context(), patient) })
		}
		time.Sleep(300 * time.Millisecond) // So that they wait, most likely.
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		for i, call := range calls {
			if !errors.Is(errs[i], call.want) {
				t.Errorf("%s that waited for the writer = %v, want %v", call.name, errs[i], call.want)
			}
		}
	})
}

// calls are what to do with a record that a writer has just extended, and what should come of it.
var calls = []struct {
	name string
	do   func(context.Context, *sqlbackend.Backend) error
	want error
}{
	{
		name: "Create",
		do: func(ctx context.Context, b *sqlbackend.Backend) error {
			return b.Create(ctx, id, backend.Record{TTL: someTime})
		},
		want: backend.ErrExists,
	},
	{
		name: "Load",
		do:   func(ctx context.Context, b *sqlbackend.Backend) error { _, err := b.Load(ctx, id); return err },
	},
	{
		name: "Apply",
		do: func(ctx context.Context, b *sqlbackend.Backend) error {
			_, err := b.Apply(ctx, id, backend.Patch{})
			return err
		},
	},
	{
		name: "DeleteExpired",
		do: func(ctx context.Context, b *sqlbackend.Backend) error {
			n, err := b.DeleteExpired(ctx)
			if n > 0 {
				err = errors.Join(err, errors.New("it has deleted the record"))
			}
			return err
		},
	},
}

// TestApplyThatWaitedTooLong has an Apply wait for a lock while its record expires.
func TestApplyThatWaitedTooLong(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		db := d.open(t)
		b := d.newBackend(d.open(t), nil)
		if err := b.Create(t.Context(), id, backend.Record{TTL: time.Second}); err != nil {
			t.Fatal(err)
		}
		tx, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		mustExec(t, tx, `UPDATE sessions SET ttl_seconds = ttl_seconds`)

		done := make(chan error)
		go func() {
			_, err := b.Apply(t.Context(), id, backend.Patch{TTL: someTime})
			done <- err
		}()
		time.Sleep(1500 * time.Millisecond) // The database's clock is a real one.
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; !errors.Is(err, backend.ErrNotFound) {
			t.Errorf("Apply that got its lock after the record's end = %v, want %v", err, backend.ErrNotFound)
		}
		if _, err := b.Load(t.Context(), id); !errors.Is(err, backend.ErrNotFound) {
			t.Errorf("Load afterwards = %v, want %v", err, backend.ErrNotFound)
		}
	})
}

// TestRefusedApplyEndsItsTransaction counts connections in use while the context of the call still has time.
func TestRefusedApplyEndsItsTransaction(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		db := d.open(t)
		b := d.newBackend(db, nil)
		if err := b.Create(t.Context(), id, backend.Record{TTL: someTime}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err := b.Apply(ctx, id, backend.Patch{Has: []string{"what is not there"}})
		if !errors.Is(err, backend.ErrConflict) {
			t.Errorf("Apply = %v, want %v", err, backend.ErrConflict)
		}
		if n := db.Stats().InUse; n != 0 {
			t.Errorf("%d connections are in use afterwards, want 0", n)
		}
	})
}

// TestRefusalsAreRepeated runs calls on one record at once on databases that refuse some of them: SQLite as it is
// without options, and PostgreSQL where transactions are serializable if they do not say otherwise.
func TestRefusalsAreRepeated(t *testing.T) {
	for name, newDatabase := range map[string]func(*testing.T, string) database{
		"SQLite": sqliteDatabase, "PostgreSQL": postgresDatabase,
	} {
		options := map[string]string{"PostgreSQL": "&default_transaction_isolation=serializable"}[name]
		t.Run(name, func(t *testing.T) {
			const writers, rounds = 8, 10
			d := newDatabase(t, options)
			d.open(t)
			var wg sync.WaitGroup
			for range writers {
				b := d.newBackend(d.openEmpty(t), &sqlbackend.Options{Timeout: time.Minute})
				wg.Go(func() {
					for range rounds {
						err := b.Create(t.Context(), id, backend.Record{TTL: someTime})
						if err != nil && !errors.Is(err, backend.ErrExists) {
							t.Errorf("Create: %v", err)
						}
						_, err = b.Apply(t.Context(), id, backend.Patch{Add: map[string]int64{"n": 1}})
						if err != nil {
							t.Errorf("Apply: %v", err)
						}
						if err := b.Delete(t.Context(), "another"); err != nil {
							t.Errorf("Delete: %v", err)
						}
						err = b.Create(t.Context(), "another", backend.Record{TTL: someTime})
						if err != nil && !errors.Is(err, backend.ErrExists) {
							t.Errorf("Create: %v", err)
						}
					}
				})
			}
			wg.Wait()
			rec, err := d.newBackend(d.openEmpty(t), nil).Load(t.Context(), id)
			if got, want := rec.Fields["n"], strconv.Itoa(writers*rounds); err != nil || got != want {
				t.Errorf("the counter holds %q, %v, want %q", got, err, want)
			}
		})
	}
}
