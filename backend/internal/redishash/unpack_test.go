package redishash_test

import (
	"errors"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/faeeb396/session/backend/internal/redishash"
)

// Texts as MessagePack's specification has them, also in forms that are longer than need be.
func TestUnpack(t *testing.T) {
	long := strings.Repeat("v", 300)
	for packed, want := range map[string]map[string]string{
		"\x90":                               {},
		"\x92\xa1a\xa0":                      {"a": ""},
		"\x94\xa1a\xa1b\xa0\xa2\x00\xff":     {"a": "b", "": "\x00\xff"},
		"\xdc\x00\x02\xd9\x01a\xda\x00\x01b": {"a": "b"},
		"\xdd\x00\x00\x00\x02\xdb\x00\x00\x00\x00\xa1b": {"": "b"},
		"\x92\xbf" + long[:31] + "\xda\x01\x2c" + long:  {long[:31]: long},
	} {
		got, err := redishash.Unpack(packed)
		if err != nil {
			t.Errorf("Unpack(%q): %v", packed, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Unpack(%q), mismatch (-want +got):\n%s", packed, diff)
		}
	}
}

func TestUnpackWhatIsNoRecord(t *testing.T) {
	whole := "\xdc\x00\x04\xa1a\xd9\x02bc\xda\x00\x01d\xdb\x00\x00\x00\x01e"
	broken := []string{
		"OK", "\x91\xa1a", "\x93\xa1a\xa1b\xa1c", // no array, an odd number of texts
		"\x92\xa1a\x01", "\x92\xc0\xa1a", "\x92\xa1a\x91\xa1b", "\x82\xa1a\xa1b", // a number, a nil, an array, a map
		"\x92\xa1a\x00", "\x00", "\x92\xa1a\xc4\x01b", // what the form of arrays and texts has no byte for
		"\xdd\xff\xff\xff\xff\xa1a\xa1b", "\x92\xa1a\xdb\xff\xff\xff\xffb", // far longer than it is
		whole + "\xa0", // more than an array
	}
	for i := range whole {
		broken = append(broken, whole[:i])
	}
	for _, packed := range broken {
		if got, err := redishash.Unpack(packed); !errors.Is(err, redishash.ErrReply) {
			t.Errorf("Unpack(%q) = %q, %v; want ErrReply", packed, got, err)
		}
	}
	if _, err := redishash.Unpack(whole); err != nil {
		t.Errorf("Unpack(%q): %v", whole, err)
	}
}

// Who keeps a value of a long reply does not keep the reply.
func TestUnpackOfLongTexts(t *testing.T) {
	for size, shared := range map[int]bool{900: true, 1100: false} {
		packed := "\x92\xa1a\xda" + string([]byte{byte(size >> 8), byte(size)}) + strings.Repeat("v", size)
		hash, err := redishash.Unpack(packed)
		if err != nil {
			t.Fatal(err)
		}
		begin := uintptr(unsafe.Pointer(unsafe.StringData(packed)))
		value := uintptr(unsafe.Pointer(unsafe.StringData(hash["a"])))
		if got := value >= begin && value < begin+uintptr(len(packed)); got != shared {
			t.Errorf("a value of %d bytes is a part of the reply: %v, want %v", size, got, shared)
		}
	}
}
