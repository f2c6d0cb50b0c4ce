package rueidis_test

import (
	"maps"
	"strconv"
	"testing"
	"time"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/rueidis"
	"github.com/faeeb396/session/internal/redistest"
)

// fields are those of a session with some data.
var fields = map[string]string{
	"created_at":       "2026-11-23T08:37:29+00:00",
	"last_accessed_at": "2026-11-23T08:40:10+00:00",
	"session_token":    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	"username":         "andrew",
	"page_views":       "3",
}

// benchmark returns a backend on a real server, the key of a record in it, and the record's ID.
func benchmark(b *testing.B) (store *rueidis.Backend, key, id string) {
	server := redistest.Shared(b)
	prefix := server.Prefix(b)
	store = rueidis.New(connect(b, server.Addr()), &rueidis.Options{Prefix: prefix})
	rec := backend.Record{Fields: maps.Clone(fields), TTL: time.Hour}
	if err := store.Create(b.Context(), "x", rec); err != nil {
		b.Fatal(err)
	}
	return store, prefix + "x", "x"
}

// BenchmarkHGetAll is what Load cannot do without.
func BenchmarkHGetAll(b *testing.B) {
	_, key, _ := benchmark(b)
	client := connect(b, redistest.Shared(b).Addr())
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Do(ctx, client.B().Hgetall().Key(key).Build()).AsStrMap(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	store, _, id := benchmark(b)
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := store.Load(ctx, id); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkApply(b *testing.B) {
	conditions := map[string]string{"created_at": fields["created_at"], "session_epoch": ""}
	for _, bb := range []struct {
		name string
		p    backend.Patch
	}{
		{name: "touch", p: backend.Patch{If: conditions, Touch: true, Set: map[string]string{"last_accessed_at": fields["created_at"]}}},
		{name: "count", p: backend.Patch{If: conditions, Add: map[string]int64{"page_views": 1}}},
		{name: "load", p: backend.Patch{If: conditions, Touch: true, Load: true}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			store, _, id := benchmark(b)
			ctx := b.Context()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := store.Apply(ctx, id, bb.p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCreate(b *testing.B) {
	store, _, _ := benchmark(b)
	ctx := b.Context()
	rec := backend.Record{Fields: fields, TTL: time.Minute}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := store.Create(ctx, "c"+strconv.Itoa(i), rec); err != nil {
			b.Fatal(err)
		}
	}
}
