package sqlbackend_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/faeeb396/session/conformance"
	"github.com/faeeb396/session/examples/sqlbackend"
	_ "modernc.org/sqlite"
)

// sqliteOptions end a data source name as the package comment says.
const sqliteOptions = "?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)"

func TestConformanceSQLite(t *testing.T) {
	conformance.Run(t, func(t *testing.T) conformance.Target {
		path := filepath.Join(t.TempDir(), "sessions.db")
		first, second := openSQLite(t, path+sqliteOptions), openSQLite(t, path+sqliteOptions)
		return conformance.Target{
			Backend: sqlbackend.NewSQLite(first, nil),
			Second:  sqlbackend.NewSQLite(second, nil),
			Plant:   plants(first),
		}
	})
}

// openSQLite returns a database with the table.
func openSQLite(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	return open(t, "sqlite", dsn, sqlbackend.SQLiteSchema)
}
