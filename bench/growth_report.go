package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// growth writes a table for each thing that grows.
func (p *printer) growth(g *growth) {
	for _, grows := range []string{growsSessions, growsFields, growsValue, growsOwned} {
		how := fmt.Sprintf("%d requests at a time", targetParallel)
		if grows == growsOwned {
			how = "one request at a time"
		}
		p.printf("\n### Growth: %s, %s\n\n", grows, how)
		p.lines(grows, g.series(grows))
	}
	var rows [][]string
	for _, x := range g.Pauses {
		rows = append(rows, []string{x.Contender, thousands(float64(x.Expired)), fmt.Sprintf("%.2f", x.Before),
			fmt.Sprintf("%.2f", x.After), short(x.P99), fmt.Sprint(x.Left)})
	}
	p.printf("\n### Expiry in memory: the longest request\n\n")
	p.table([]string{"", "sessions", "before, ms", "after they expired, ms", "p99 after, µs", "still in memory at the end (-1: not known)"}, rows)
}

// lines writes a table of series: a row for the time of each, and one for the bytes of each contender.
func (p *printer) lines(grows string, all []series) {
	var ns []int
	for _, s := range all {
		for _, x := range s {
			ns = append(ns, x.N)
		}
	}
	slices.Sort(ns)
	ns = slices.Compact(ns)
	head := []string{grows}
	for _, n := range ns {
		head = append(head, thousands(float64(n)))
	}
	var rows [][]string
	sized := make(map[string]bool)
	for _, s := range all {
		rows = append(rows, s.row(s[0].Contender+": "+s[0].Call+", µs", ns, func(x point) float64 { return x.Micros }))
		if s[0].Bytes != 0 && !sized[s[0].Contender] {
			sized[s[0].Contender] = true
			rows = append(rows, s.row(s[0].Contender+": bytes per session", ns, func(x point) float64 { return math.Round(x.Bytes) }))
		}
	}
	p.table(head, rows)
}

// series is one line of a chart.
type series []point

// series returns the points of what grows, apart by contender and call.
func (g *growth) series(grows string) []series {
	var all []series
	for _, x := range g.Points {
		if x.Grows != grows {
			continue
		}
		i := slices.IndexFunc(all, func(s series) bool { return s[0].Contender == x.Contender && s[0].Call == x.Call })
		if i < 0 {
			all = append(all, nil)
			i = len(all) - 1
		}
		all[i] = append(all[i], x)
	}
	slices.SortStableFunc(all, func(a, b series) int { return strings.Compare(a[0].Contender, b[0].Contender) })
	return all
}

func (s series) row(label string, ns []int, f func(point) float64) []string {
	row := []string{label}
	for _, n := range ns {
		cell := ""
		for _, x := range s {
			if x.N == n {
				cell = short(f(x))
			}
		}
		row = append(row, cell)
	}
	return row
}

// Measures of the line charts, in pixels.
const (
	chartWidth  = 470
	chartHeight = 260
	plotLeft    = 56
	plotRight   = 190 // for the labels
	plotTop     = 42
	plotBottom  = 34
)

// draw draws the growth, a panel for each thing that grows. Both axes are logarithmic.
func (g *growth) draw(dir string, rep *report) error {
	s := &svg{width: 2 * chartWidth, height: 40 + 2*chartHeight}
	title := "Cost of a request, as things grow (µs, both axes logarithmic)"
	s.text(14, 24, "title", "start", title)
	s.text(float64(s.width)-14, 24, "note", "end", fmt.Sprintf("%s, Redis %s, %s", rep.Machine.Go, rep.Machine.Redis, rep.Date.Format("2006-01-02")))
	for i, grows := range []string{growsSessions, growsFields, growsValue, growsOwned} {
		s.lines(float64(i%2*chartWidth), float64(34+i/2*chartHeight), grows, g.series(grows))
	}
	return s.write(dir, "growth.svg", title)
}

// axis maps values to pixels, logarithmically.
type axis struct{ low, high, from, to float64 }

func (a axis) at(v float64) float64 {
	if a.high <= a.low {
		return a.from
	}
	return a.from + (math.Log10(v)-a.low)/(a.high-a.low)*(a.to-a.from)
}

func (s *svg) lines(x, y float64, title string, all []series) {
	s.text(x+14, y+24, "title", "start", title)
	if len(all) == 0 {
		return
	}
	h, v := axes(x, y, all)
	slices.SortFunc(all, func(a, b series) int { return cmp.Compare(b[len(b)-1].Micros, a[len(a)-1].Micros) }) // for the labels
	for e := math.Ceil(h.low); e <= h.high; e++ {
		at := h.at(math.Pow(10, e))
		s.line(at, v.to, at, v.from, "axis")
		s.text(at, v.from+16, "note", "middle", thousands(math.Pow(10, e)))
	}
	for e := v.low; e <= v.high; e++ {
		at := v.at(math.Pow(10, e))
		s.line(h.from, at, h.to, at, "axis")
		label := fmt.Sprintf("%g", math.Pow(10, e))
		if e >= 0 {
			label = thousands(math.Pow(10, e))
		}
		s.text(h.from-6, at+4, "note", "end", label)
	}
	var labels []float64
	for _, line := range all {
		var path strings.Builder
		var px, py float64
		for _, p := range line {
			px, py = h.at(float64(p.N)), v.at(p.Micros)
			fmt.Fprintf(&path, "%.1f,%.1f ", px, py)
		}
		fmt.Fprintf(s, `<polyline points="%s" class="%s line" style="fill:none"/>`+"\n", strings.TrimSpace(path.String()), line[0].Kind)
		s.text(h.to+6, apart(&labels, py+4), "note", "start", strings.TrimPrefix(line[0].Contender, "session ")+": "+line[0].Call)
	}
}

// apart returns the place nearest to y at which a label overlaps none of the others.
func apart(labels *[]float64, y float64) float64 {
	const step = 12
	free := func(y float64) bool {
		return !slices.ContainsFunc(*labels, func(other float64) bool { return math.Abs(other-y) < step })
	}
	for d := 0.0; ; d++ {
		for _, at := range []float64{y - d, y + d} {
			if free(at) {
				*labels = append(*labels, at)
				return at
			}
		}
	}
}

// axes returns axes that hold all points.
func axes(x, y float64, all []series) (h, v axis) {
	h = axis{low: math.Inf(1), high: math.Inf(-1), from: x + plotLeft, to: x + chartWidth - plotRight}
	v = axis{low: math.Inf(1), high: math.Inf(-1), from: y + chartHeight - plotBottom, to: y + plotTop}
	for _, line := range all {
		for _, p := range line {
			h.low, h.high = min(h.low, math.Log10(float64(p.N))), max(h.high, math.Log10(float64(p.N)))
			v.low, v.high = min(v.low, math.Floor(math.Log10(p.Micros))), max(v.high, math.Ceil(math.Log10(p.Micros)))
		}
	}
	return h, v
}
