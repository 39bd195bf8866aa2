package cloud

import (
	"math"
	"slices"
	"strings"
)

// A slot is one thing that a policy may hold: a group, a rule with a certain content, a
// line of a network ACL, an address of an interface. What is known of a slot over time
// are points: snapshots say what it was, events what it was before and after.
//
//	snapshot      event                 present
//	   A      (unknown → B)                B
//	---+-----------+-----------------------+--->
//	       A                  B
//
// Between two points, what the left one left behind and what the right one found should
// be the same. Where one of them does not know, the other is believed; where neither
// does, the slot is unknown; where they contradict, something changed that nothing
// recorded, and the slot was one or the other.

// state is what a slot is, or may be, at some time.
type state struct {
	kind  stateKind
	text  string // of what is there: equal texts are equal things
	value any
}

type stateKind uint8

const (
	unknown stateKind = iota
	absent
	present
)

func (s state) same(o state) bool { return s.kind == o.kind && s.text == o.text }

// fits reports whether s and o can be the same.
func (s state) fits(o state) bool { return s.kind == unknown || o.kind == unknown || s.same(o) }

// there is the state of a slot that holds value.
func there(text string, value any) state { return state{present, text, value} }

var (
	gone   = state{kind: absent}
	unsure = state{}
)

// point is what is known of a slot at a moment.
type point struct {
	at            int64
	before, after state
	order         string // of points at the same time, to be the same for any order of files
}

// now is the time of the present snapshot: after every event.
const now = math.MaxInt64

// period is a time, up to the next period, in which a slot was one state or the other.
type period struct {
	from     int64
	old, new state
}

// solve returns the periods of a slot. points need no order.
func solve(points []point) []period {
	points = arrange(points)
	periods := []period{{from: math.MinInt64}}
	left := unsure
	for i := range points {
		p := &points[i]
		periods[len(periods)-1].old, periods[len(periods)-1].new = between(left, p.before)
		left = p.after
		periods = append(periods, period{from: p.at})
	}
	periods = periods[:len(periods)-1] // what follows the present
	// Join what is the same.
	out := periods[:1]
	for _, s := range periods[1:] {
		last := &out[len(out)-1]
		if s.from == last.from {
			*last = s
		} else if !s.old.same(last.old) || !s.new.same(last.new) {
			out = append(out, s)
		}
	}
	return out
}

// between is what a slot was between two points.
func between(left, right state) (old, new state) {
	switch {
	case left.kind == unknown:
		return right, right
	case right.kind == unknown || left.same(right):
		return left, left
	}
	return left, right
}

// arrange puts points in order. Times are in whole seconds, so the order of points of
// one second is found by what fits; where nothing does, all that they say is that
// something happened.
func arrange(points []point) []point {
	points = slices.Clone(points)
	slices.SortStableFunc(points, func(a, b point) int {
		switch {
		case a.at < b.at:
			return -1
		case a.at > b.at:
			return 1
		}
		return strings.Compare(a.order, b.order)
	})
	var out []point
	for lo := 0; lo < len(points); {
		hi := lo + 1
		for hi < len(points) && points[hi].at == points[lo].at {
			hi++
		}
		if hi-lo == 1 {
			out = append(out, points[lo])
			lo = hi
			continue
		}
		left, right := unsure, unsure
		if len(out) > 0 {
			left = out[len(out)-1].after
		}
		if hi < len(points) && (hi+1 == len(points) || points[hi+1].at != points[hi].at) {
			right = points[hi].before
		}
		out = append(out, joined(points[lo:hi], left, right))
		lo = hi
	}
	return out
}

// joined is what points of one second say together: the chain of them that fits best
// between what was before and what came after.
func joined(points []point, left, right state) point {
	wild := point{at: points[0].at}
	const most = 5 // chains are tried one by one
	if len(points) > most {
		return wild
	}
	best, found := -1, wild
	var try func(chain, rest []point)
	try = func(chain, rest []point) {
		if len(rest) == 0 {
			first, last := chain[0].before, chain[len(chain)-1].after
			score := 0
			if first.fits(left) {
				score++
			}
			if last.fits(right) {
				score++
			}
			if score > best {
				best, found = score, point{at: points[0].at, before: first, after: last}
			} else if score == best && (!found.before.same(first) || !found.after.same(last)) {
				found = merge(found, point{at: points[0].at, before: first, after: last})
			}
			return
		}
		for i, p := range rest {
			if len(chain) > 0 && !chain[len(chain)-1].after.fits(p.before) {
				continue
			}
			next := append(slices.Clone(chain), p)
			try(next, append(slices.Clone(rest[:i]), rest[i+1:]...))
		}
	}
	try(nil, points)
	return found
}

// merge keeps of two readings of a second what they agree on.
func merge(a, b point) point {
	if !a.before.same(b.before) {
		a.before = unsure
	}
	if !a.after.same(b.after) {
		a.after = unsure
	}
	return a
}

// periodAt returns the period in force at t.
func periodAt(periods []period, t int64) period {
	n, found := slices.BinarySearchFunc(periods, t, func(s period, t int64) int {
		switch {
		case s.from < t:
			return -1
		case s.from > t:
			return 1
		}
		return 0
	})
	if found {
		return periods[n]
	}
	return periods[n-1]
}
