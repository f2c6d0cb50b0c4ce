package main

import (
	"fmt"
	"html"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The style of all charts. A chart has a ground of its own, so that it can be read on any page.
const svgStyle = `<style>
text{font:12px system-ui,sans-serif;fill:#1f2328}.title{font-size:14px;font-weight:600}.note{fill:#59636e;font-size:11px}
.ground{fill:#ffffff;stroke:#d1d9e0}.axis{stroke:#d1d9e0}.ours{fill:#0969da;stroke:#0969da}.floor{fill:#afb8c1;stroke:#afb8c1}
.guide{fill:#8250df;stroke:#8250df}.peer{fill:#bc4c00;stroke:#bc4c00}.line{fill:none;stroke-width:2}.cut{stroke:#ffffff;stroke-width:3}
@media (prefers-color-scheme: dark){text{fill:#f0f6fc}.note{fill:#9198a1}.ground{fill:#0d1117;stroke:#3d444d}.axis{stroke:#3d444d}
.ours{fill:#4493f8;stroke:#4493f8}.floor{fill:#656c76;stroke:#656c76}.guide{fill:#ab7df8;stroke:#ab7df8}.peer{fill:#db6d28;stroke:#db6d28}
.line{fill:none}.cut{stroke:#0d1117}}
.line{fill:none}</style>
`

// svg is a drawing that is being made.
type svg struct {
	strings.Builder
	width, height int
}

func (s *svg) text(x, y float64, class, anchor, text string) {
	fmt.Fprintf(s, `<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>`+"\n", x, y, class, anchor, html.EscapeString(text))
}

func (s *svg) rect(x, y, w, h float64, class string) {
	fmt.Fprintf(s, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" class="%s"/>`+"\n", x, y, w, h, class)
}

func (s *svg) line(x1, y1, x2, y2 float64, class string) {
	fmt.Fprintf(s, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>`+"\n", x1, y1, x2, y2, class)
}

// write writes the drawing to a file, with a title for those who do not see it.
func (s *svg) write(dir, name, title string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	head := fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`+"\n<title>%s</title>\n",
		s.width, s.height, s.width, s.height, html.EscapeString(title))
	ground := fmt.Sprintf(`<rect x="0.5" y="0.5" width="%d" height="%d" rx="6" class="ground"/>`+"\n", s.width-1, s.height-1)
	return os.WriteFile(filepath.Join(dir, name), []byte(head+svgStyle+ground+s.String()+"</svg>\n"), 0o644)
}

// draw writes the charts of what was measured.
func (rep *report) draw(dir string) error {
	for _, store := range []string{"redis", "memory"} {
		if err := rep.drawRates(dir, store); err != nil {
			return err
		}
	}
	if rep.Growth != nil {
		return rep.Growth.draw(dir, rep)
	}
	return nil
}

// Measures of the bar charts, in pixels.
const (
	panelWidth = 470
	labelWidth = 225
	barWidth   = 150
	rowHeight  = 19
	panelHead  = 40
)

// drawRates draws requests per second, a panel for each route.
func (rep *report) drawRates(dir, store string) error {
	j := judgement{rep: rep}
	parallel := j.parallel()
	panels := make([][]result, 0, len(measured))
	longest := 0
	for _, r := range measured {
		var rows []result
		for _, res := range rep.Results {
			if res.Store == store && res.Route == r && res.Parallel == parallel {
				rows = append(rows, res)
			}
		}
		if len(rows) > 0 {
			panels = append(panels, rows)
			longest = max(longest, len(rows))
		}
	}
	if len(panels) == 0 {
		return nil
	}
	height := panelHead + longest*rowHeight + 12
	s := &svg{width: 2 * panelWidth, height: 40 + (len(panels)+1)/2*height}
	title := fmt.Sprintf("Sessions in %s: requests per second, %d at a time", map[string]string{"redis": "Redis", "memory": "memory"}[store], parallel)
	s.text(14, 24, "title", "start", title)
	s.text(float64(s.width)-14, 24, "note", "end", fmt.Sprintf("%s, %s, Redis %s, %s, %s", rep.Machine.Go, rep.Machine.cores(), rep.Machine.Redis, rep.Machine.OS, rep.Date.Format("2006-01-02")))
	for i, rows := range panels {
		s.bars(float64(i%2*panelWidth), float64(34+i/2*height), rows)
	}
	return s.write(dir, store+".svg", title)
}

// bars draws one panel. A bar that would leave no room for the others is cut.
func (s *svg) bars(x, y float64, rows []result) {
	s.text(x+14, y+24, "title", "start", panelTitle(rows[0].Route))
	scale := cutAt(rows)
	for i, r := range rows {
		top := y + panelHead + float64(i*rowHeight)
		length := min(r.Rate/scale, 1) * barWidth
		s.text(x+14+labelWidth, top+12, "", "end", r.Contender)
		s.rect(x+20+labelWidth, top+2, length, rowHeight-6, string(r.Kind))
		if r.Rate > scale {
			at := x + 20 + labelWidth + length*0.85
			s.line(at, top+rowHeight-2, at+6, top, "cut")
		}
		s.text(x+26+labelWidth+length, top+12, "note", "start", thousands(r.Rate))
	}
}

func panelTitle(r route) string {
	return map[route]string{routeRead: "read a field", routeChange: "change a field", routeCount: "count", routeLogin: "log in",
		routeLogout: "log out", routeIgnore: "a route that ignores the session"}[r]
}

// cutAt returns the rate that fills the panel: the highest, or a little more than the
// highest below the first gap of a factor of four that has three below it.
func cutAt(rows []result) float64 {
	rates := make([]float64, len(rows))
	for i, r := range rows {
		rates[i] = r.Rate
	}
	slices.Sort(rates)
	for i := 1; i < len(rates); i++ {
		if i >= 3 && rates[i] > 4*rates[i-1] {
			return rates[i-1] * 1.3
		}
	}
	return rates[len(rates)-1]
}
