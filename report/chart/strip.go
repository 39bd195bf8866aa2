package chart

import (
	"fmt"
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

// single is the number of days up to which each has its own block; beyond it runs of
// equal days are one shape, as there are too many to tell apart.
const single = 92

// Strip draws one block a day.
func Strip(days []Day, title string) template.HTML {
	paths := [len(dayClass)]strings.Builder{}
	blocks(len(days), func(i int) int { return int(days[i]) }, func(state, from int, w float64) {
		y, h := 0, 10
		switch Day(state) {
		case Lossy:
			y, h = 5, 5
		case None:
			y, h = 9, 1
		}
		fmt.Fprintf(&paths[state], "M%d %dh%.2fv%dh-%.2fz", from, y, w, h, w)
	})
	p := open("strip", max(len(days), 1), 10, true, title, "")
	for i := range paths {
		p.path(dayClass[i], &paths[i])
	}
	return p.done()
}

// blocks goes through n units that stand side by side, and calls draw with the class, the
// place and the width of each block.
func blocks(n int, class func(int) int, draw func(class, from int, w float64)) {
	gap := 0.14
	if n > single {
		gap = 0
	}
	for i := 0; i < n; {
		k := 1
		for gap == 0 && i+k < n && class(i+k) == class(i) {
			k++
		}
		draw(class(i), i, float64(k)-gap)
		i += k
	}
}

// Heat draws one bar for each digit of units, which is as high and as dark as the digit
// says, from 0 to 5. Other characters count as 0.
func Heat(units, title string) template.HTML {
	var paths [classes]strings.Builder
	blocks(len(units), func(i int) int { return classOf(units[i]) }, func(class, from int, w float64) {
		if class > 0 {
			fmt.Fprintf(&paths[class], "M%d %dh%.2fv%dh-%.2fz", from, 10-2*class, w, 2*class, w)
		}
	})
	p := open("heat", max(len(units), 1), 10, true, title, "")
	p.printf(`<path class="base" d="M0 9.5h%dv.5h-%dz"/>`, max(len(units), 1), max(len(units), 1))
	for i := range paths {
		p.path(fmt.Sprintf("h%d", i), &paths[i])
	}
	return p.done()
}

// classes is the number of classes of use: none, and five of more and more.
const classes = 6

func classOf(c byte) int {
	if c < '0' || c >= '0'+classes {
		return 0
	}
	return int(c - '0')
}
