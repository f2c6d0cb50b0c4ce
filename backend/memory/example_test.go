package memory_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
)

// A Manager that keeps its sessions in memory, at most 100 000 of them.
func ExampleNew() {
	store := memory.New(&memory.Options{MaxRecords: 100_000})
	sessions, err := session.New(store, nil)
	if err != nil {
		log.Fatal(err)
	}
	_ = sessions // sessions.Handler wraps a server's handler
	fmt.Println(store.Len(), "sessions")
	// Output: 0 sessions
}

// A backend that rather refuses new sessions than end any.
func ExampleOptions_failWhenFull() {
	ctx := context.Background()
	store := memory.New(&memory.Options{MaxRecords: 1, FailWhenFull: true})
	for _, id := range []string{"first", "second"} {
		err := store.Create(ctx, id, backend.Record{TTL: time.Minute})
		fmt.Println(id, errors.Is(err, memory.ErrFull))
	}
	// Output:
	// first false
	// second true
}
