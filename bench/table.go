package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
)

// print writes the report as Markdown.
func (rep *report) print(out io.Writer) error {
	m := rep.Machine
	p := &printer{out: out}
	p.printf("%s · %s · %s · %s · %s · Redis %s · %s × %d rounds\n",
		rep.Date.Format("2006-01-02"), m.CPU, m.cores(), m.OS, m.Go, m.Redis, rep.Time, rep.Rounds)
	p.results(rep.Results)
	p.sizes(rep.Sizes)
	p.promises(rep.Promises)
	p.targets(rep.Targets)
	if rep.Growth != nil {
		p.growth(rep.Growth)
	}
	return p.err
}

// printer writes until the first error.
type printer struct {
	out io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.out, format, args...)
	}
}

// table writes a Markdown table whose columns are aligned.
func (p *printer) table(head []string, rows [][]string) {
	if p.err != nil || len(rows) == 0 {
		return
	}
	w := tabwriter.NewWriter(p.out, 0, 0, 1, ' ', 0)
	line := func(cells []string) { fmt.Fprintf(w, "| %s\t|\n", strings.Join(cells, "\t| ")) }
	line(head)
	rule := make([]string, len(head))
	for i := range rule {
		rule[i] = "---"
		if i > 0 {
			rule[i] = "---:"
		}
	}
	line(rule)
	for _, row := range rows {
		line(row)
	}
	p.err = w.Flush()
}

// results writes a table for each store, route and number of requests at a time.
func (p *printer) results(all []result) {
	head := []string{"", "requests/s", "spread", "p50 µs", "p99 µs", "allocs", "bytes", "CPU µs", "commands", "network B", "Redis CPU µs"}
	for len(all) > 0 {
		first := all[0]
		var rows [][]string
		for len(all) > 0 && all[0].Store == first.Store && all[0].Route == first.Route && all[0].Parallel == first.Parallel {
			rows = append(rows, all[0].row())
			all = all[1:]
		}
		p.printf("\n### %s: %s, %d at a time\n\n", first.Store, first.Route, first.Parallel)
		p.table(head, rows)
	}
}

func (r *result) row() []string {
	row := []string{r.Contender, thousands(r.Rate), fmt.Sprintf("%.0f %%", r.Spread*100), short(r.P50), short(r.P99),
		fmt.Sprintf("%.0f", r.Allocs), fmt.Sprintf("%.0f", r.Bytes), short(r.CPU)}
	if r.Store == "memory" {
		return append(row, "", "", "")
	}
	return append(row, short(r.Commands), fmt.Sprintf("%.0f", r.NetBytes), short(r.RedisCPU))
}

func (p *printer) sizes(all []size) {
	if len(all) == 0 {
		return
	}
	p.printf("\n### Bytes per session with two fields\n\n")
	var rows [][]string
	for _, s := range all {
		rows = append(rows, []string{s.Contender, s.Store, thousands(float64(s.Sessions)), fmt.Sprintf("%.0f", s.Bytes)})
	}
	p.table([]string{"", "store", "sessions", "bytes"}, rows)
}

func (p *printer) promises(all []promise) {
	if len(all) == 0 {
		return
	}
	p.printf("\n### What parallel requests lose\n\n")
	var rows [][]string
	for _, x := range all {
		undone := "no"
		if x.LogoutUndone {
			undone = "yes: the old cookie works again"
		}
		rows = append(rows, []string{x.Contender, fmt.Sprintf("%d of %d", x.WritesLost, x.Writes), fmt.Sprintf("%d of %d", x.CountsLost, x.Counts), undone})
	}
	p.table([]string{"", "writes to different fields lost", "counts lost", "logout undone by a slow request"}, rows)
}

func (p *printer) targets(all []verdict) {
	if len(all) == 0 {
		return
	}
	p.printf("\n### Targets\n\n")
	var rows [][]string
	for _, v := range all {
		bound := "≥"
		if v.AtMost {
			bound = "≤"
		}
		met := "met"
		if !v.Met {
			met = "NOT met"
		}
		half := ""
		if v.High > 0 {
			half = fmt.Sprintf("%.2f to %.2f", v.Low, v.High)
		}
		rows = append(rows, []string{v.What, v.Against, fmt.Sprintf("%s %g", bound, v.Target), fmt.Sprintf("%.2f", v.Measured), half, met})
	}
	p.table([]string{"what", "against", "target", "measured", "half of the rounds", ""}, rows)
}

// short writes a number with about three digits.
func short(f float64) string {
	switch {
	case f >= 100:
		return fmt.Sprintf("%.0f", f)
	case f >= 10 || f == float64(int(f)):
		return fmt.Sprintf("%.3g", f)
	default:
		return fmt.Sprintf("%.2f", f)
	}
}

// thousands writes a whole number with spaces between its thousands.
func thousands(f float64) string {
	digits := fmt.Sprintf("%.0f", f)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + " " + digits[i:]
	}
	return digits
}

// cpuName returns the processor's name where the system tells it.
func cpuName() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.TrimLeft(strings.TrimSpace(name), ": \t")
		}
	}
	return "unknown processor"
}
