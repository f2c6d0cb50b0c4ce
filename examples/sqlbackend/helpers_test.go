package sqlbackend_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/faeeb396/session/examples/sqlbackend"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"
)

// sqliteOptions end a data source name as the package comment says, but for the last: tests need not survive a power
// cut.
const sqliteOptions = "?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_pragma=synchronous(OFF)"

// database is one database, empty at first, that any number of clients may open.
type database struct {
	driver, dsn, schema string

	newBackend func(*sql.DB, *sqlbackend.Options) *sqlbackend.Backend
}

func sqliteDatabase(t *testing.T, options string) database {
	path := filepath.Join(t.TempDir(), "sessions.db")
	return database{"sqlite", path + options, sqlbackend.SQLiteSchema, sqlbackend.NewSQLite}
}

func postgresDatabase(t *testing.T, options string) database {
	return database{"pgx", postgresDSN(t) + options, sqlbackend.PostgreSQLSchema, sqlbackend.NewPostgreSQL}
}

// open returns a client of d, with the table. It is closed when the test ends.
func (d database) open(t *testing.T) *sql.DB {
	t.Helper()
	db := d.openEmpty(t)
	mustExec(t, db, d.schema)
	return db
}

// openEmpty is open without creating the table.
func (d database) openEmpty(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open(d.driver, d.dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(16)
	return db
}

// onEach runs a test on a new database of each kind.
func onEach(t *testing.T, test func(t *testing.T, d database)) {
	t.Run("SQLite", func(t *testing.T) { test(t, sqliteDatabase(t, sqliteOptions)) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, postgresDatabase(t, "")) })
}

type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func mustExec(t *testing.T, db execer, query string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatal(err)
	}
}
