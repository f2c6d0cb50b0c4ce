// Package sqlbackend keeps sessions in SQLite or PostgreSQL, through database/sql. It is the example of a backend of
// one's own: the guide "Writing a backend" of package session's repository is about it.
//
// # Layout
//
// A record is one row of the table sessions, which [SQLiteSchema] and [PostgreSQLSchema] create: its fields in one
// binary column, its time to live in seconds, and when it expires, in milliseconds since 1970. Whether a record has
// expired is judged by the database's clock in each statement. An expired row stays until its ID is used again or
// [Backend.DeleteExpired] is called.
//
// # Transactions
//
// Create, Load and Delete are single statements. Apply is a transaction that locks the row, so that changes of one
// record happen one after the other. What the database has refused because of other transactions (SQLITE_BUSY,
// serialization failures, deadlocks) has changed nothing, and is tried again until the context ends. Nothing else is
// tried again. All writes are as durable as the database makes them, those with Patch.Durable no more than others.
//
// # Databases
//
// SQLite 3.42 or newer, with a driver whose errors have a method Code() int, such as modernc.org/sqlite. Its data
// source name should end in
//
//	?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)
//
// Without these it works as well, but refuses and repeats more.
//
// PostgreSQL, tested with version 15, with a driver whose errors have a method SQLState() string, such as
// github.com/jackc/pgx/v5/stdlib. All connections must lead to the primary, since a standby is behind.
package sqlbackend

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/faeeb396/session/backend"
)

// Options are the optional settings of a Backend. A nil *Options means all defaults.
type Options struct {
	// Timeout bounds each call whose context has no deadline, and each page of a Scan or a DeleteExpired. If zero,
	// 5 seconds.
	Timeout time.Duration
}

// Backend is a backend.Backend on a SQL database. It is safe for concurrent use.
type Backend struct {
	db        *sql.DB
	sql       statements
	isolation sql.IsolationLevel
	timeout   time.Duration
	writer    chan struct{} // Holds the turn of a writer. Nil where any number may write at once.
}

var (
	_ backend.Backend = (*Backend)(nil)
	_ backend.Scanner = (*Backend)(nil)
	_ backend.Pinger  = (*Backend)(nil)
)

// NewSQLite returns a backend on db, a SQLite database with the table of [SQLiteSchema]. The caller closes db.
func NewSQLite(db *sql.DB, opts *Options) *Backend {
	b := newBackend(db, sqlite, opts)
	b.writer = make(chan struct{}, 1)
	return b
}

// NewPostgreSQL returns a backend on db, a PostgreSQL database with the table of [PostgreSQLSchema]. The caller
// closes db.
func NewPostgreSQL(db *sql.DB, opts *Options) *Backend {
	b := newBackend(db, postgreSQL, opts)
	b.isolation = sql.LevelReadCommitted
	return b
}

func newBackend(db *sql.DB, d dialect, opts *Options) *Backend {
	b := &Backend{db: db, sql: d.statements(), timeout: 5 * time.Second}
	if opts != nil && opts.Timeout > 0 {
		b.timeout = opts.Timeout
	}
	return b
}

// Create stores a new record under id.
func (b *Backend) Create(ctx context.Context, id string, rec backend.Record) error {
	return b.write(ctx, "create", func(ctx context.Context) error {
		n, err := exec(ctx, b.db, b.sql.create, id, encode(rec.Fields), seconds(rec.TTL))
		if err == nil && n == 0 {
			err = backend.ErrExists
		}
		return err
	})
}

// Load returns the record under id.
func (b *Backend) Load(ctx context.Context, id string) (rec backend.Record, err error) {
	err = b.call(ctx, "load", func(ctx context.Context) error {
		for {
			var live bool
			if rec, live, err = read(ctx, b.db, b.sql.load, id); live || err != nil {
				return err
			}
			// An Apply that began in time may not be committed yet. Deleting the row waits for it, and then deletes
			// only what has expired all the same.
			if n, err := exec(ctx, b.db, b.sql.expire, id); n > 0 || err != nil {
				return cmp.Or(err, backend.ErrNotFound)
			}
		}
	})
	return rec, err
}

// Apply changes the record under id.
func (b *Backend) Apply(ctx context.Context, id string, p backend.Patch) (rec backend.Record, err error) {
	err = b.write(ctx, "apply", func(ctx context.Context) error {
		tx, err := b.db.BeginTx(ctx, &sql.TxOptions{Isolation: b.isolation})
		if err != nil {
			return err
		}
		defer tx.Rollback() // Does nothing after Commit.

		if rec, err = b.change(ctx, tx, id, p); err != nil {
			return err
		}
		return tx.Commit()
	})
	if err != nil {
		rec = backend.Record{}
	}
	return rec, err
}

// change is Apply within a transaction. It returns what Apply does.
func (b *Backend) change(ctx context.Context, tx *sql.Tx, id string, p backend.Patch) (backend.Record, error) {
	rec, live, err := read(ctx, tx, b.sql.lock, id)
	if err != nil {
		return rec, err
	}
	if !live {
		return rec, backend.ErrNotFound
	}
	if err := patch(&rec, p); err != nil {
		return rec, err
	}

	n, touch := int64(1), p.Touch || p.TTL > 0
	switch {
	case p.Remove:
		n, err = exec(ctx, tx, b.sql.remove, id)
	case writesFields(p):
		n, err = exec(ctx, tx, b.sql.update, id, encode(rec.Fields), seconds(rec.TTL), touch)
	case touch:
		n, err = exec(ctx, tx, b.sql.update, id, nil, seconds(rec.TTL), touch)
	}
	if err == nil && n == 0 {
		err = backend.ErrNotFound // It has expired since it was read.
	}
	return reply(rec, p), err
}

// Delete removes the record under id.
func (b *Backend) Delete(ctx context.Context, id string) error {
	return b.write(ctx, "delete", func(ctx context.Context) error {
		_, err := exec(ctx, b.db, b.sql.remove, id)
		return err
	})
}

// DeleteExpired deletes the rows of all records that have expired, and reports how many it deleted. Nothing but space
// depends on it: the application calls it now and then, from one process or several. It deletes up to 1,000 rows at a
// time, so as not to keep others waiting.
func (b *Backend) DeleteExpired(ctx context.Context) (int64, error) {
	for total := int64(0); ; {
		var n int64
		err := b.write(ctx, "delete expired", func(ctx context.Context) (err error) {
			n, err = exec(ctx, b.db, b.sql.purge, pageSize)
			return err
		})
		total += n
		if err != nil || n < pageSize {
			return total, err
		}
	}
}

// Scan yields the ID of every live record, in pages that it reads one by one. It holds no connection while the loop
// runs, so that the loop may call the backend.
func (b *Backend) Scan(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for after := ""; ; {
			ids, err := b.page(ctx, after)
			if err != nil {
				yield("", err)
				return
			}
			for _, id := range ids {
				if err := ctx.Err(); err != nil {
					yield("", fmt.Errorf("sqlbackend: scan: %w", err))
					return
				}
				if !yield(id, nil) {
					return
				}
				after = id
			}
			if len(ids) < pageSize {
				return
			}
		}
	}
}

// page returns the first IDs after the one given, in order, up to pageSize.
func (b *Backend) page(ctx context.Context, after string) (ids []string, err error) {
	err = b.call(ctx, "scan", func(ctx context.Context) error {
		rows, err := b.db.QueryContext(ctx, b.sql.scan, after, pageSize)
		if err != nil {
			return err
		}
		defer rows.Close()
		ids = make([]string, 0, pageSize)
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return err
			}
			ids = append(ids, id)
		}
		return rows.Err()
	})
	return ids, err
}

// Ping returns nil if the database answers, has the table and permits all statements that the backend uses. It
// changes nothing.
func (b *Backend) Ping(ctx context.Context) error {
	return b.write(ctx, "ping", func(ctx context.Context) error {
		for _, statement := range b.sql.ping {
			if _, err := exec(ctx, b.db, statement); err != nil {
				return err
			}
		}
		return nil
	})
}

// read runs a query for one row, and returns the record and whether it is live. If there is no row, it fails with
// ErrNotFound.
func read(ctx context.Context, db querier, query, id string) (rec backend.Record, live bool, err error) {
	var ttl int64
	var fields []byte
	err = db.QueryRowContext(ctx, query, id).Scan(&live, &ttl, &fields)
	if errors.Is(err, sql.ErrNoRows) {
		return rec, false, backend.ErrNotFound
	}
	if err != nil || !live {
		return rec, false, err
	}
	if rec.Fields, err = decode(fields); err == nil {
		rec.TTL = time.Duration(ttl) * time.Second
	}
	return rec, true, err
}

// exec runs a statement and returns how many rows it changed.
func exec(ctx context.Context, db querier, statement string, args ...any) (int64, error) {
	res, err := db.ExecContext(ctx, statement, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// querier is what *sql.DB and *sql.Tx share.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }
