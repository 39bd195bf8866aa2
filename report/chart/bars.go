package chart

import (
	"html/template"
	"math"
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
const width = 1000

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

// Bars draws before over after on s, with a grid line at each factor of 2^16.
func Bars(s Scale, before, after float64, title string) template.HTML {
	p := open("bars", width, 26, true, title, "")
	for step := 16.0; step < s.bits; step += 16 {
		p.printf(`<path class="grid" d="M%.1f 0v26"/>`, step/s.bits*width)
	}
	p.printf(`<rect class="before" y="3" height="8" width="%.1f"/><rect class="after" y="14" height="8" width="%.1f"/>`, s.x(before), s.x(after))
	return p.done()
}

// Share draws a part of a whole, both of them counts. It repeats what stands beside it, so
// it has no title, and is not read out.
func Share(part, whole uint64) template.HTML {
	x := 0.0
	if whole > 0 && part > 0 {
		x = max(min(float64(part)/float64(whole), 1)*width, 4)
	}
	p := &svg{}
	p.printf(`<svg class="share" aria-hidden="true" viewBox="0 0 %d 8" preserveAspectRatio="none">`, width)
	if x > 0 {
		p.printf(`<rect height="8" width="%.1f"/>`, x)
	}
	return p.done()
}
