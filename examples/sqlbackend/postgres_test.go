//go:build unix

package sqlbackend_test

import (
	"database/sql"
	"testing"

	"github.com/faeeb396/session/conformance"
	"github.com/faeeb396/session/examples/sqlbackend"
	_ "github.com/jackc/pgx/v5/stdlib"
)

func TestConformancePostgreSQL(t *testing.T) {
	dsn := postgresDSN(t)
	conformance.Run(t, func(t *testing.T) conformance.Target {
		first, second := openPostgres(t, dsn), openPostgres(t, dsn)
		return conformance.Target{
			Backend: sqlbackend.NewPostgreSQL(first, nil),
			Second:  sqlbackend.NewPostgreSQL(second, nil),
			Plant:   plants(first),
		}
	})
}

// openPostgres returns a database with the table.
func openPostgres(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	return open(t, "pgx", dsn, sqlbackend.PostgreSQLSchema)
}
