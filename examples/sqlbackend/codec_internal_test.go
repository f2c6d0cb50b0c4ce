package sqlbackend

import (
	"errors"
	"testing"

	"github.com/faeeb396/session/backend"
	"github.com/google/go-cmp/cmp"
)

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		"", "\x00", "\x01", "\x01\x01a\x00", "\x01\x01a\x01b\x01c\x00", "\x01\x00\x00", "\x01\x01a", "\x01\x01a\x02b",
		"\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		fields, err := decode(b)
		if err != nil {
			if !errors.Is(err, backend.ErrUnreadable) || fields != nil {
				t.Fatalf("decode(%q) = %v, %v, want %v", b, fields, err, backend.ErrUnreadable)
			}
			return
		}
		again, err := decode(encode(fields))
		if diff := cmp.Diff(fields, again); diff != "" || err != nil {
			t.Errorf("decode(encode) of what %q holds: %v (-want +got):\n%s", b, err, diff)
		}
	})
}
