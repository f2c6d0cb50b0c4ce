package rueidis_test

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/rueidis"
	"github.com/faeeb396/session/internal/redistest"
)

func TestPrefix(t *testing.T) {
	server := redistest.Start(t, nil)
	client := connect(t, server.Addr())
	rec := backend.Record{TTL: time.Hour}
	for i, tt := range []struct {
		name string
		opts *rueidis.Options
		want string
	}{
		{name: "nil", opts: nil, want: "session:"},
		{name: "zero", opts: &rueidis.Options{}, want: "session:"},
		{name: "other", opts: &rueidis.Options{Prefix: "{app}/\x00"}, want: "{app}/\x00"},
	} {
		id := "x" + strconv.Itoa(i)
		if err := rueidis.New(client, tt.opts).Create(t.Context(), id, rec); err != nil {
			t.Fatal(err)
		}
		if n := server.Do(t, "EXISTS", tt.want+id).Int(); n != 1 {
			t.Errorf("%s: no key %q", tt.name, tt.want+id)
		}
	}
}

func TestNewWithoutClientPanics(t *testing.T) {
	defer func() {
		if r := recover(); !strings.Contains(fmt.Sprint(r), "no client") {
			t.Errorf("New(nil, nil) panicked with %v", r)
		}
	}()
	rueidis.New(nil, nil)
}

func TestBackendDoesNotClose(t *testing.T) {
	if _, ok := any(new(rueidis.Backend)).(io.Closer); ok {
		t.Error("Backend has a Close: whose is the client?")
	}
}
