package chart

import (
	"fmt"
	"html/template"
	"strings"
)

// Square draws cells, which are a power of four, along a Hilbert curve: neighbours in the
// order stay neighbours in the picture, and every aligned run of a power of four of them is
// a square. Each cell is a digit from 0 to 5, drawn the darker the greater, 0 not at all.
// The cells for which kept says true are framed, if kept is not nil. Cells that are no
// power of four draw nothing but an empty square.
func Square(cells string, kept func(i int) bool, title, desc string) template.HTML {
	side := 1
	for side*side < len(cells) {
		side *= 2
	}
	if side*side != len(cells) {
		cells, kept, side = "", nil, 1
	}
	p := open("square", side, side, false, title, desc)
	p.printf(`<path class="base" d="M0 0h%dv%dh-%dz"/>`, side, side, side)
	class, inside := make([]int, side*side), make([]bool, side*side)
	for i := range len(cells) {
		x, y := hilbert(side, i)
		class[y*side+x] = classOf(cells[i])
		inside[y*side+x] = kept != nil && kept(i)
	}
	var paths [classes]strings.Builder
	for y := range side {
		blocksOf(class[y*side:][:side], func(c, x, n int) {
			if c > 0 {
				fmt.Fprintf(&paths[c], "M%d %dh%dv1h-%dz", x, y, n, n)
			}
		})
	}
	for i := range paths {
		p.path(fmt.Sprintf("h%d", i), &paths[i])
	}
	var frame strings.Builder
	at := func(x, y int) bool { return x >= 0 && y >= 0 && x < side && y < side && inside[y*side+x] }
	for a := range side + 1 {
		// The edges between row a-1 and row a, and those between the columns.
		edges(side, func(b int) bool { return at(b, a) != at(b, a-1) }, func(b, n int) { fmt.Fprintf(&frame, "M%d %dh%d", b, a, n) })
		edges(side, func(b int) bool { return at(a, b) != at(a-1, b) }, func(b, n int) { fmt.Fprintf(&frame, "M%d %dv%d", a, b, n) })
	}
	p.path("frame", &frame)
	return p.done()
}

// blocksOf calls draw with each run of equal classes.
func blocksOf(row []int, draw func(class, from, n int)) {
	for i := 0; i < len(row); {
		n := 1
		for i+n < len(row) && row[i+n] == row[i] {
			n++
		}
		draw(row[i], i, n)
		i += n
	}
}

func edges(side int, on func(int) bool, draw func(from, n int)) {
	row := make([]int, side)
	for i := range row {
		if on(i) {
			row[i] = 1
		}
	}
	blocksOf(row, func(c, from, n int) {
		if c == 1 {
			draw(from, n)
		}
	})
}

// hilbert returns the place of the i-th cell of a square.
func hilbert(side, i int) (x, y int) {
	for s := 1; s < side; s *= 2 {
		rx := 1 & (i / 2)
		ry := 1 & (i ^ rx)
		if ry == 0 {
			if rx == 1 {
				x, y = s-1-x, s-1-y
			}
			x, y = y, x
		}
		x, y, i = x+s*rx, y+s*ry, i/4
	}
	return x, y
}
