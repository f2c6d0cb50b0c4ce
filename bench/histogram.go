package main

import (
	"math/bits"
	"time"
)

// Each power of two is split into so many parts: quantiles are right within 3 %.
const (
	partBits = 5
	parts    = 1 << partBits
)

// histogram counts durations. The zero value is empty.
type histogram struct {
	counts [parts * 40]uint32 // up to half an hour
	n      int
}

func (h *histogram) add(d time.Duration) {
	h.counts[min(bucket(d), len(h.counts)-1)]++
	h.n++
}

func bucket(d time.Duration) int {
	ns := uint64(max(d, 0))
	if ns < parts {
		return int(ns)
	}
	shift := bits.Len64(ns) - partBits - 1
	return (shift+1)*parts + int(ns>>shift) - parts
}

// upper returns the shortest duration that is past the bucket.
func upper(bucket int) time.Duration {
	if bucket < parts {
		return time.Duration(bucket + 1)
	}
	shift := bucket/parts - 1
	return time.Duration(parts+bucket%parts+1) << shift
}

func (h *histogram) merge(other *histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.n += other.n
}

// quantile returns a duration that the fraction q of all does not pass.
func (h *histogram) quantile(q float64) time.Duration {
	left := int(q * float64(h.n))
	for i, n := range h.counts {
		if left -= int(n); left < 0 {
			return upper(i)
		}
	}
	return 0
}
