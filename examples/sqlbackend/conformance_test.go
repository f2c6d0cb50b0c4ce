package sqlbackend_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/faeeb396/session/conformance"
	"github.com/faeeb396/session/examples/sqlbackend"
)

func TestConformanceSQLite(t *testing.T) {
	conformance.Run(t, func(t *testing.T) conformance.Target {
		return target(t, sqliteDatabase(t, sqliteOptions))
	})
}

func TestConformancePostgreSQL(t *testing.T) {
	d := postgresDatabase(t, "")
	conformance.Run(t, func(t *testing.T) conformance.Target { return target(t, d) })
}

func target(t *testing.T, d database) conformance.Target {
	first, second := d.open(t), d.open(t)
	opts := &sqlbackend.Options{Timeout: time.Minute} // The machine may be busy.
	return conformance.Target{
		Backend: d.newBackend(first, opts),
		Second:  d.newBackend(second, opts),
		Plant:   plants(first),
	}
}

// plants are ways to store what is no record.
func plants(db *sql.DB) map[string]func(context.Context, string) error {
	plants := make(map[string]func(context.Context, string) error)
	for name, fields := range map[string]string{
		"no format": "", "another format": "\x00", "broken fields": "\x01\x04name\x7fvalue", "no name": "\x01\x00\x00",
	} {
		plants[name] = func(ctx context.Context, id string) error {
			_, err := db.ExecContext(ctx, `INSERT INTO sessions (id, fields, ttl_seconds, expires_at_ms)
				VALUES ($1, $2, 60, 9000000000000)`, id, []byte(fields))
			return err
		}
	}
	return plants
}
