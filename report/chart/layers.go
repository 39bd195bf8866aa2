package chart

import (
	"cmp"
	"html"
	"html/template"
	"slices"
)

// Link is a flow through three layers: who opens, by what, to whom.
type Link struct {
	From, Via, To string
	Size          uint64
	Title         string // shown on pointing at it
}

// Layers draws links as bands between three columns of names. The thickness of a band says
// how much it is, but none is thinner than can be seen. The same name in two columns is
// drawn twice. Names for which last says true stand at the end of their column.
func Layers(links []Link, last func(string) bool, title, desc string) template.HTML {
	const w, left, middle, right, box, pad = 760, 176, 374, 574, 10, 12
	n := newLayers(links, last)
	height := 0.0
	for c := range n.columns {
		sum := 0.0
		for _, b := range n.columns[c] {
			sum += b.height + pad
		}
		height = max(height, sum)
	}
	p := open("layers", w, int(height)+24, false, title, desc)
	for c, x := range [3]float64{left, middle, right} {
		p.text("label", x+float64([3]int{0, box / 2, box}[c]), 12, [3]string{"start", "middle", "end"}[c], [3]string{"who opens", "by", "to whom"}[c])
	}
	for c := range n.columns { // columns stand in the middle
		sum := 0.0
		for _, b := range n.columns[c] {
			sum += b.height + pad
		}
		y := 24 + (height-sum)/2
		for _, b := range n.columns[c] {
			b.y = y
			y += b.height + pad
		}
	}
	band := func(x0, y0, x1, y1, t float64, title string) {
		m := (x0 + x1) / 2
		p.printf(`<path class="band" stroke-width="%s" d="M%s %sC%s %s %s %s %s %s"><title>%s</title></path>`, num(t),
			num(x0), num(y0+t/2), num(m), num(y0+t/2), num(m), num(y1+t/2), num(x1), num(y1+t/2), html.EscapeString(title))
	}
	// In the order of where they go, so that bands do not cross at their ends.
	order := func(key func(*flowLink) (a, b float64)) []*flowLink {
		out := slices.Clone(n.links)
		slices.SortStableFunc(out, func(x, y *flowLink) int {
			xa, xb := key(x)
			ya, yb := key(y)
			return cmp.Or(cmp.Compare(xa, ya), cmp.Compare(xb, yb))
		})
		return out
	}
	for _, l := range order(func(l *flowLink) (float64, float64) { return l.via.y, l.to.y }) {
		l.y[0] = l.from.take(0, l.thick)
	}
	for _, l := range order(func(l *flowLink) (float64, float64) { return l.from.y, l.to.y }) {
		l.y[1] = l.via.take(0, l.thick)
	}
	for _, l := range order(func(l *flowLink) (float64, float64) { return l.to.y, l.from.y }) {
		l.y[2] = l.via.take(1, l.thick)
	}
	for _, l := range order(func(l *flowLink) (float64, float64) { return l.via.y, l.from.y }) {
		l.y[3] = l.to.take(0, l.thick)
	}
	for _, l := range n.links {
		band(left+box, l.y[0], middle, l.y[1], l.thick, l.title)
		band(middle+box, l.y[2], right, l.y[3], l.thick, l.title)
	}
	for c, x := range [3]float64{left, middle, right} {
		for _, b := range n.columns[c] {
			p.printf(`<rect class="node" x="%s" y="%s" width="%d" height="%s"/>`, num(x), num(b.y), box, num(b.height))
			switch y := b.y + b.height/2 + 4; c {
			case 0:
				p.text("name", x-8, y, "end", cut(b.name, 26))
			case 1:
				p.text("name halo", x+box/2, b.y-2, "middle", cut(b.name, 22))
			case 2:
				p.text("name", x+box+8, y, "start", cut(b.name, 26))
			}
		}
	}
	return p.done()
}

type flowNode struct {
	name      string
	size      uint64
	height, y float64
	used      [2]float64 // of its height, on its two sides
}

// take gives a band its place on one side of the node.
func (b *flowNode) take(side int, thick float64) float64 {
	y := b.y + b.used[side]
	b.used[side] += thick
	return y
}

type flowLink struct {
	from, via, to *flowNode
	thick         float64
	title         string
	y             [4]float64
}

type layers struct {
	columns [3][]*flowNode
	links   []*flowLink
}

const (
	tall  = 300 // units for all links together
	thin  = 1.5 // of the thinnest
	lower = 14  // of the lowest node: a line of text
)

func newLayers(all []Link, last func(string) bool) *layers {
	n := &layers{}
	total := uint64(0)
	for _, l := range all {
		total += l.Size
	}
	nodes := [3]map[string]*flowNode{{}, {}, {}}
	node := func(c int, name string, size uint64, thick float64) *flowNode {
		b := nodes[c][name]
		if b == nil {
			b = &flowNode{name: name}
			nodes[c][name] = b
			n.columns[c] = append(n.columns[c], b)
		}
		b.size, b.height = b.size+size, b.height+thick
		return b
	}
	for _, l := range all {
		thick := thin
		if total > 0 {
			thick = max(thin, float64(l.Size)/float64(total)*tall)
		}
		n.links = append(n.links, &flowLink{from: node(0, l.From, l.Size, thick), via: node(1, l.Via, l.Size, thick), to: node(2, l.To, l.Size, thick), thick: thick, title: l.Title})
	}
	for c := range n.columns {
		for _, b := range n.columns[c] {
			b.height = max(b.height, lower)
		}
		// The first column by size, the others by where their bands come from.
		from := n.centres(c)
		slices.SortFunc(n.columns[c], func(a, b *flowNode) int {
			return cmp.Or(falseFirst(last(a.name), last(b.name)), cmp.Compare(from[a], from[b]), cmp.Compare(b.size, a.size), cmp.Compare(a.name, b.name))
		})
	}
	return n
}

// centres gives each node of column c the mean place of those before it that it is linked
// to; nothing for the first column.
func (n *layers) centres(c int) map[*flowNode]float64 {
	out := make(map[*flowNode]float64)
	if c == 0 {
		return out
	}
	place := make(map[*flowNode]float64)
	for i, b := range n.columns[c-1] {
		place[b] = float64(i)
	}
	weight := make(map[*flowNode]float64)
	for _, l := range n.links {
		before, node := l.from, l.via
		if c == 2 {
			before, node = l.via, l.to
		}
		out[node] += place[before] * l.thick
		weight[node] += l.thick
	}
	for b, w := range weight {
		out[b] /= w
	}
	return out
}

func falseFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
