package main

import (
	"math"
	"slices"
)

// targetParallel is at how many requests at a time targets are judged.
const targetParallel = 32

// verdict is a target beside what was measured, both as a ratio in one run, or as a number where against is empty.
type verdict struct {
	What     string  `json:"what"`
	Against  string  `json:"against"`
	Target   float64 `json:"target"`
	AtMost   bool    `json:"at_most"` // the target is a ceiling
	Measured float64 `json:"measured"`
	Low      float64 `json:"low,omitempty"` // between this and High lies the middle half of the rounds' ratios
	High     float64 `json:"high,omitempty"`
	Met      bool    `json:"met"`
}

// judge compares the run with the targets. What was not measured has no verdict.
func judge(rep *report) []verdict {
	j := judgement{rep: rep}
	j.rates()
	j.costs()
	return j.verdicts
}

type judgement struct {
	rep      *report
	verdicts []verdict
}

// rates judges requests per second.
func (j *judgement) rates() {
	for _, t := range []struct {
		name    string
		route   route
		against string
		target  float64
	}{
		{nameGo, routeRead, namePlainGo, 0.88},
		{nameRu, routeRead, namePlainRu, 0.85},
		{nameGoTouch, routeRead, nameGuideGo, 1.5},
		{nameRuTouch, routeRead, nameGuideRu, 1.5},
		{nameGo, routeRead, nameSCS, 2.8},
		{nameRu, routeRead, nameSCS, 4.5},
		{nameGo, routeChange, nameSCS, 1.6},
		{nameRu, routeChange, nameSCS, 2.4},
		{nameGoToken, routeCount, nameSCS, 2.3},
		{nameRuToken, routeCount, nameSCS, 3.5},
		{nameRuCache, routeRead, nameSCS, 40},
		{nameMemory, routeRead, nameSCSMemory, 15},
		{nameMemory, routeChange, nameSCSMemory, 7},
	} {
		a, b := j.result(t.name, t.route), j.result(t.against, t.route)
		if a == nil || b == nil || len(a.Rates) == 0 || len(a.Rates) != len(b.Rates) {
			continue
		}
		ratios := ratiosOfRounds(a, b)
		j.add(verdict{
			What: t.name + ": " + string(t.route), Against: t.against, Target: t.target,
			Measured: quantile(ratios, 0.5), Low: quantile(ratios, 0.25), High: quantile(ratios, 0.75),
		})
	}
}

// ratiosOfRounds returns how many times the requests of b each round of a had, in ascending order. The two of one round
// were measured within seconds of each other: what slows the machine for longer than that slows both.
func ratiosOfRounds(a, b *result) []float64 {
	ratios := make([]float64, len(a.Rates))
	for i := range ratios {
		ratios[i] = a.Rates[i] / b.Rates[i]
	}
	slices.Sort(ratios)
	return ratios
}

// costs judges what requests and sessions take.
func (j *judgement) costs() {
	for _, r := range j.rep.Results {
		if r.Kind == ours && r.Route == routeIgnore && r.Store == "redis" && r.Parallel == j.parallel() {
			j.add(verdict{What: r.Contender + ": Redis commands of a route that ignores the session", Target: 0, AtMost: true, Measured: r.Commands})
		}
	}
	for _, t := range []struct{ name, plain string }{{nameGo, namePlainGo}, {nameRu, namePlainRu}} {
		if a, b := j.result(t.name, routeRead), j.result(t.plain, routeRead); a != nil && b != nil {
			j.add(verdict{What: t.name + ": allocations of a read, beyond", Against: t.plain, Target: 8, AtMost: true, Measured: math.Round(a.Allocs - b.Allocs)})
		}
	}
	if r := j.result(nameMemory, routeRead); r != nil {
		j.add(verdict{What: nameMemory + ": allocations of a read", Target: 10, AtMost: true, Measured: math.Round(r.Allocs)})
	}
	for _, t := range []struct {
		name, against string
		target        float64
	}{{nameMemory, nameSCSMemory, 0.85}, {nameGo, nameSCS, 1}} {
		if a, b := j.size(t.name), j.size(t.against); a > 0 && b > 0 {
			j.add(verdict{What: t.name + ": bytes per session", Against: t.against, Target: t.target, AtMost: true, Measured: a / b})
		}
	}
}

func (j *judgement) add(v verdict) {
	v.Met = v.Measured >= v.Target
	if v.AtMost {
		v.Met = v.Measured <= v.Target
	}
	j.verdicts = append(j.verdicts, v)
}

// parallel is targetParallel, or what was measured if that was not.
func (j *judgement) parallel() int {
	last := 0
	for _, r := range j.rep.Results {
		if r.Parallel == targetParallel {
			return targetParallel
		}
		last = r.Parallel
	}
	return last
}

func (j *judgement) result(name string, r route) *result {
	parallel := j.parallel()
	for i := range j.rep.Results {
		res := &j.rep.Results[i]
		if res.Contender == name && res.Route == r && res.Parallel == parallel {
			return res
		}
	}
	return nil
}

func (j *judgement) size(name string) float64 {
	for _, s := range j.rep.Sizes {
		if s.Contender == name {
			return s.Bytes
		}
	}
	return 0
}
