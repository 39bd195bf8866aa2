package chart

import (
	"fmt"
	"html"
	"html/template"
	"strings"
)

// Day is the state of one day in a [Strip].
type Day uint8

const (
	Data  Day = iota // records, nothing lost: a full block
	Lossy            // some records were lost: half a block
	None             // no record: a line at the bottom
)

var dayClass = [...]string{"data", "lossy", "none"}

// Strip draws one block a day. Runs of equal days are one shape once there are too
// many to tell apart.
func Strip(days []Day, title string) template.HTML {
	const single = 92 // days up to which each has its own block
	gap := 0.14
	if len(days) > single {
		gap = 0
	}
	paths := [len(dayClass)]strings.Builder{}
	for i := 0; i < len(days); {
		n := 1
		for gap == 0 && i+n < len(days) && days[i+n] == days[i] {
			n++
		}
		y, h := 0, 10
		switch days[i] {
		case Lossy:
			y, h = 5, 5
		case None:
			y, h = 9, 1
		}
		w := float64(n) - gap
		fmt.Fprintf(&paths[days[i]], "M%d %dh%.2fv%dh-%.2fz", i, y, w, h, w)
		i += n
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="strip" role="img" viewBox="0 0 %d 10" preserveAspectRatio="none"><title>%s</title>`, max(len(days), 1), html.EscapeString(title))
	for i := range paths {
		if paths[i].Len() > 0 {
			fmt.Fprintf(&b, `<path class="%s" d="%s"/>`, dayClass[i], paths[i].String())
		}
	}
	b.WriteString("</svg>")
	return template.HTML(b.String())
}
