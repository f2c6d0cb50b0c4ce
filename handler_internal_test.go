package session

import (
	"testing"
	"unsafe"
)

// The next larger class of Go's allocator costs each request 64 bytes more.
func TestRequestMemoryFitsItsClass(t *testing.T) {
	const class, header = 640, 8
	if size := unsafe.Sizeof(requestMemory{}); size > class-header {
		t.Errorf("a request takes %d bytes, want at most %d", size, class-header)
	}
}
