package sqlbackend_test

import (
	"context"
	"database/sql"
	"testing"
)

// open returns a database in which schema has been run. It is closed when the test ends.
func open(t *testing.T, driver, dsn, schema string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(16)
	if _, err := db.ExecContext(t.Context(), schema); err != nil {
		t.Fatalf("creating the table: %v", err)
	}
	return db
}

// plants are ways to store what is no record.
func plants(db *sql.DB) map[string]func(context.Context, string) error {
	fields := map[string]string{"no fields": "", "another format": "\x00", "broken fields": "\x01\x04name\x7fvalue"}
	plants := make(map[string]func(context.Context, string) error)
	for name, value := range fields {
		plants[name] = func(ctx context.Context, id string) error {
			_, err := db.ExecContext(ctx, `INSERT INTO sessions (id, fields, ttl_seconds, expires_at_ms)
				VALUES ($1, $2, 60, 9000000000000)`, id, []byte(value))
			return err
		}
	}
	return plants
}
