package main

import (
	"math"
	"testing"
	"time"
)

// A machine that is slow for some rounds changes rates, and no ratio.
func TestJudgeComparesRoundByRound(t *testing.T) {
	rep := &report{Results: []result{
		{Contender: nameGo, Route: routeRead, Parallel: 32, Rate: 200, Rates: []float64{400, 100, 200, 50, 1000}},
		{Contender: namePlainGo, Route: routeRead, Parallel: 32, Rate: 90, Rates: []float64{200, 50, 100, 100, 90}},
	}}
	verdicts := judge(rep)
	if len(verdicts) == 0 {
		t.Fatal("no verdicts")
	}
	want := verdict{What: nameGo + ": read", Against: namePlainGo, Target: 0.88, Measured: 2, Low: 2, High: 2, Met: true}
	if got := verdicts[0]; got != want {
		t.Errorf("verdict = %+v, want %+v", got, want)
	}
}

func TestNewMeter(t *testing.T) {
	cfg := config{time: 50 * time.Millisecond, rounds: 25}
	for _, tt := range []struct {
		srv                       *server
		parallel, rounds, logouts int
		d                         time.Duration
	}{
		{&server{}, 1, 25, 1000, 50 * time.Millisecond},
		{&server{}, 32, 25, 1000, 50 * time.Millisecond},
		{&server{}, 256, 6, 4000, 200 * time.Millisecond},
		{nil, 256, 6, 16_000, 200 * time.Millisecond},
		{nil, 1 << 20, 1, 65_536_000, 819_200 * time.Millisecond},
	} {
		m, rounds := newMeter(tt.srv, cfg, tt.parallel)
		if rounds != tt.rounds || m.logouts != tt.logouts || m.d != tt.d {
			t.Errorf("%d at a time: %d rounds of %v and %d logouts, want %d, %v, %d",
				tt.parallel, rounds, m.d, m.logouts, tt.rounds, tt.d, tt.logouts)
		}
	}
}

func TestQuantile(t *testing.T) {
	for _, tt := range []struct {
		values  []float64
		q, want float64
	}{
		{[]float64{7}, 0.5, 7},
		{[]float64{1, 3}, 0.5, 2},
		{[]float64{1, 2, 9}, 0.5, 2},
		{[]float64{1, 2, 9}, 0, 1},
		{[]float64{1, 2, 9}, 1, 9},
		{[]float64{0, 10, 20, 30}, 0.25, 7.5},
	} {
		if got := quantile(tt.values, tt.q); math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("quantile(%v, %v) = %v, want %v", tt.values, tt.q, got, tt.want)
		}
	}
}
