package chart

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strings"
)

// Scale is a logarithmic axis that several [Bars] share. The zero Scale has no length.
type Scale struct{ bits float64 }

// NewScale returns the axis on which the greatest of values is as long as it goes.
func NewScale(values ...float64) Scale {
	var s Scale
	for _, v := range values {
		s.bits = max(s.bits, bits(v))
	}
	return s
}

// bits is the length of v on a logarithmic axis: 0 for 0, 1 for 1, 2 for 3.
func bits(v float64) float64 {
	if !(v > 0) || math.IsInf(v, 0) {
		return 0
	}
	return math.Log2(v + 1)
}

// width is the length of the axis in the units of the drawing.
const width = 1000.0

func (s Scale) x(v float64) float64 {
	if s.bits == 0 {
		return 0
	}
	x := bits(v) / s.bits * width
	if v > 0 {
		x = max(x, 4) // what is not nothing is seen
	}
	return x
}

// Bars draws before over after on s, with a grid line at each factor of 2^16. The
// title is read out in place of the picture.
func Bars(s Scale, before, after float64, title string) template.HTML {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="bars" role="img" viewBox="0 0 %g 26" preserveAspectRatio="none"><title>%s</title>`, width, html.EscapeString(title))
	for step := 16.0; step < s.bits; step += 16 {
		x := step / s.bits * width
		fmt.Fprintf(&b, `<path class="grid" d="M%.1f 0v26"/>`, x)
	}
	fmt.Fprintf(&b, `<rect class="before" y="3" height="8" width="%.1f"/><rect class="after" y="14" height="8" width="%.1f"/></svg>`, s.x(before), s.x(after))
	return template.HTML(b.String())
}
