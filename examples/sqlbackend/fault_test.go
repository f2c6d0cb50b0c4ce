package sqlbackend_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"testing"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/examples/sqlbackend"
)

// TestApplyOutcome lets the first COMMIT of an Apply that counts fail in many ways.
func TestApplyOutcome(t *testing.T) {
	lost := func(err error) func(driver.Tx) error { // The COMMIT has run, its reply is lost.
		return func(tx driver.Tx) error { return errors.Join(err, tx.Commit()) }
	}
	refused := func(err error) func(driver.Tx) error {
		return func(tx driver.Tx) error { return errors.Join(err, tx.Rollback()) }
	}
	for _, test := range []struct {
		name   string
		commit func(driver.Tx) error
		err    error
	}{
		{name: "connection lost", commit: lost(io.ErrUnexpectedEOF), err: io.ErrUnexpectedEOF},
		{name: "bad connection", commit: lost(driver.ErrBadConn), err: driver.ErrBadConn},
		{name: "I/O error", commit: lost(sqliteError(10)), err: sqliteError(10)},
		{name: "shutdown", commit: lost(postgresError("57P01")), err: postgresError("57P01")},
		{name: "completion unknown", commit: lost(postgresError("40003")), err: postgresError("40003")},
		{name: "busy", commit: refused(sqliteError(5))},
		{name: "busy with an older snapshot", commit: refused(sqliteError(5 | 2<<8))},
		{name: "locked", commit: refused(sqliteError(6))},
		{name: "serialization failure", commit: refused(postgresError("40001"))},
		{name: "deadlock", commit: refused(postgresError("40P01"))},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := sqliteDatabase(t, sqliteOptions)
			plain := d.open(t)
			faulty := sql.OpenDB(&faultyConnector{driver: plain.Driver(), dsn: d.dsn, commit: test.commit})
			defer faulty.Close()
			b := sqlbackend.NewSQLite(faulty, nil)
			if err := b.Create(t.Context(), id, backend.Record{TTL: someTime}); err != nil {
				t.Fatal(err)
			}

			_, err := b.Apply(t.Context(), id, backend.Patch{Add: map[string]int64{"n": 1}})
			if !errors.Is(err, test.err) {
				t.Errorf("Apply = %v, want %v", err, test.err)
			}
			rec, err := sqlbackend.NewSQLite(plain, nil).Load(t.Context(), id)
			if err != nil || rec.Fields["n"] != "1" {
				t.Errorf("afterwards the counter holds %q, %v, want 1", rec.Fields["n"], err)
			}
		})
	}
}

type sqliteError int

func (e sqliteError) Error() string { return "an error of SQLite" }
func (e sqliteError) Code() int     { return int(e) }

type postgresError string

func (e postgresError) Error() string    { return "an error of PostgreSQL" }
func (e postgresError) SQLState() string { return string(e) }

// faultyConnector connects to SQLite. The first transaction that commits does it by commit.
type faultyConnector struct {
	driver driver.Driver
	dsn    string
	commit func(driver.Tx) error
}

func (c *faultyConnector) Driver() driver.Driver { return c.driver }

func (c *faultyConnector) Connect(context.Context) (driver.Conn, error) {
	conn, err := c.driver.Open(c.dsn)
	if err != nil {
		return nil, err
	}
	return faultyConn{conn.(sqliteConn), c}, nil
}

type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ExecerContext
	driver.QueryerContext
}

type faultyConn struct {
	sqliteConn
	connector *faultyConnector
}

func (c faultyConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	tx, err := c.sqliteConn.BeginTx(ctx, opts)
	return faultyTx{tx, c.connector}, err
}

type faultyTx struct {
	driver.Tx
	connector *faultyConnector
}

func (tx faultyTx) Commit() error {
	if commit := tx.connector.commit; commit != nil {
		tx.connector.commit = nil
		return commit(tx.Tx)
	}
	return tx.Tx.Commit()
}
