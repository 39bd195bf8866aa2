package chart

import (
	"fmt"
	"html/template"
	"math"
	"strings"
)

// Series is one line of a [Curve], a Y for each X. Y is a height from 0 to 1.
type Series struct {
	Name string
	Y    []float64
}

// Mark names a point of a [Curve].
type Mark struct {
	At   int // index into X
	Name string
	Main bool // ringed
}

// Curve draws at most two lines over numbers x, which ascend, with dots at their points;
// the second line is dashed and has square dots. Points that are not on the line are dots
// only; those that lie far from all others stand at the edge, with an arrow at their mark.
// Up and across name the axes.
func Curve(x []int, on []bool, series []Series, marks []Mark, up, across, title, desc string) template.HTML {
	const w, h, left, right, top, bottom = 420, 250, 14, 406, 34, 206
	p := open("curve", w, h, false, title, desc)
	if len(x) == 0 || len(on) != len(x) {
		return p.done()
	}
	lo, hi := extent(x, on)
	px := func(v int) float64 {
		if hi == lo {
			return (left + right) / 2
		}
		v = min(max(v, lo), hi)
		return left + 16 + float64(v-lo)/float64(hi-lo)*(right-left-32)
	}
	py := func(v float64) float64 { return bottom - 12 - min(max(v, 0), 1)*(bottom-top-24) }
	p.printf(`<path class="axis" d="M%d %dV%dH%d"/>`, left, top, bottom, right)
	p.text("label", left, top-20, "start", "↑ "+up)
	for _, v := range ticks(lo, hi) {
		p.printf(`<path class="tick" d="M%s %dv5"/>`, num(px(v)), bottom)
		p.text("label", px(v), bottom+18, "middle", fmt.Sprint(v))
	}
	p.text("label", right, h-8, "end", across+" →")
	for k, s := range series[:min(len(series), 2)] {
		if len(s.Y) != len(x) {
			continue
		}
		var line, dots strings.Builder
		cmd := "M"
		for i, v := range s.Y {
			cx, cy := px(x[i]), py(v)
			if on[i] {
				fmt.Fprintf(&line, "%s%s %s", cmd, num(cx), num(cy))
				cmd = "L"
			}
			if k == 0 {
				fmt.Fprintf(&dots, "M%s %sm-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0", num(cx), num(cy))
			} else {
				fmt.Fprintf(&dots, "M%s %sm-3-3h6v6h-6z", num(cx), num(cy))
			}
		}
		p.path(fmt.Sprintf("line s%d", k), &line)
		p.path(fmt.Sprintf("dots s%d", k), &dots)
		for _, m := range marks {
			if m.At < 0 || m.At >= len(x) {
				continue
			}
			cx, cy := px(x[m.At]), py(s.Y[m.At])
			if m.Main {
				p.printf(`<circle class="ring" cx="%s" cy="%s" r="8"/>`, num(cx), num(cy))
			}
			if k == 0 {
				anchor, dx := "start", 13.0
				if cx > (left+right)/2 {
					anchor, dx = "end", -13
				}
				name := m.Name
				if x[m.At] > hi {
					name += " →"
				} else if x[m.At] < lo {
					name = "← " + name
				}
				p.text("name", cx+dx, cy-8, anchor, name)
			}
		}
	}
	return p.done()
}

// extent is the range of x that is drawn: all that is on the line, and the rest if it is
// not further away than that is long.
func extent(x []int, on []bool) (lo, hi int) {
	found := false
	for i, v := range x {
		if on[i] && !found {
			lo, hi, found = v, v, true
		} else if on[i] {
			lo, hi = min(lo, v), max(hi, v)
		}
	}
	if !found {
		return x[0], x[len(x)-1]
	}
	least, most, room := lo, hi, max(hi-lo, 4)
	for i, v := range x {
		if !on[i] && v >= least-room && v <= most+room {
			lo, hi = min(lo, v), max(hi, v)
		}
	}
	return lo, hi
}

// ticks returns round numbers from lo to hi, at most six.
func ticks(lo, hi int) []int {
	if hi <= lo {
		return []int{lo}
	}
	step := 1
	for k := 0; (hi-lo)/step > 5; k++ {
		step = [3]int{1, 2, 5}[(k+1)%3] * int(math.Pow10((k+1)/3))
	}
	var out []int
	for v := (lo + step - 1) / step * step; v <= hi; v += step {
		out = append(out, v)
	}
	return out
}

// Steps draws a number over runs as a line of steps, each run as wide as the others, on
// a scale from the least to the greatest of values.
func Steps(values []float64, title string) template.HTML {
	const h = 40
	p := open("steps", max(len(values), 1)*20, h, true, title, "")
	if len(values) == 0 {
		return p.done()
	}
	lo, hi := values[0], values[0]
	for _, v := range values {
		lo, hi = min(lo, v), max(hi, v)
	}
	y := func(v float64) float64 {
		if hi == lo {
			return h / 2
		}
		return h - 4 - (v-lo)/(hi-lo)*(h-8)
	}
	var line strings.Builder
	fmt.Fprintf(&line, "M0 %s", num(y(values[0])))
	for i, v := range values {
		fmt.Fprintf(&line, "V%sH%d", num(y(v)), (i+1)*20)
	}
	p.path("line", &line)
	return p.done()
}
