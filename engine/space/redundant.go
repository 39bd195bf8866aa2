package space

import (
	"slices"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
)

// Reason says why a line changes nothing.
type Reason uint8

const (
	Needed   Reason = iota // or not proven needless
	Shadowed               // stronger lines match all that it does: it never speaks
	Covered                // what speaks beside or after it does the same
)

// Redundant reports whether the list permits the same without line i, given the other
// lines that keep picks (nil: all), and why. A line that matches nothing for certain
// and nothing perhaps is not redundant: what is empty today may be filled tomorrow.
//
// Lines that pass on or that skip later stages are always needed, and so are denies in
// a list that has lines which pass on.
func (l *List) Redundant(i int, keep func(int) bool) Reason {
	x := &l.Lines[i]
	if len(x.Perhaps) == 0 {
		return Needed
	}
	others := func(j int) bool { return j != i && (keep == nil || keep(j)) }
	if x.Rule.Action != policy.Next && l.shadowed(i, others) {
		return Shadowed
	}
	switch x.Rule.Action {
	case policy.Allow:
		if boxes := l.Admits(i).Perhaps; !l.skipsBelow(i, boxes, others) && l.stillPermitted(boxes, others) {
			return Covered
		}
	case policy.Deny:
		if !l.passing && l.stillDenied(i, others) {
			return Covered
		}
	}
	return Needed
}

// shadowed reports whether stronger lines match all that line i is asked about.
func (l *List) shadowed(i int, others func(int) bool) bool {
	if l.Lines[i].class == 0 && !l.passing {
		return false // none is stronger
	}
	by := l.gather(func(j int) bool { return others(j) && l.stronger(j, i) })
	if len(by.Sure) == 0 && !l.passing {
		return false
	}
	return covered(l.acts(i).Perhaps, by.Sure)
}

// covered reports whether by holds all of boxes. Most often one of by holds a whole box,
// or all of them are too small for it, and both are seen sooner than by subtraction.
func covered(boxes, by []netset.Box) bool {
	var buf [16]netset.Box
	open := buf[:0] // those that no box holds alone
	for _, b := range boxes {
		if slices.ContainsFunc(by, func(c netset.Box) bool { return c.Covers(b) }) {
			continue
		}
		var most netset.Size
		for _, c := range by {
			if x, ok := c.Intersect(b); ok {
				most = most.Add(x.Size())
			}
		}
		if most.Less(b.Size()) {
			return false
		}
		open = append(open, b)
	}
	ok, _ := netset.CoveredAll(open, by)
	return ok
}

// skipsBelow reports whether a line weaker than line i may match some of boxes and skip
// the later stages, which line i has asked.
func (l *List) skipsBelow(i int, boxes []netset.Box, others func(int) bool) bool {
	if !l.skipping {
		return false
	}
	for j := range l.Lines {
		if l.Lines[j].Rule.Action == policy.AllowAll && others(j) && l.stronger(i, j) && l.meets(j, boxes) {
			return true
		}
	}
	return false
}

// stillPermitted reports whether the other lines and the default permit all of boxes.
func (l *List) stillPermitted(boxes []netset.Box, others func(int) bool) bool {
	if len(boxes) == 0 {
		return true
	}
	var buf [32]netset.Box
	by := append(buf[:0], l.ByDefault().Sure...)
	all := boxes[0].Services
	for _, b := range boxes {
		all.First, all.Last = min(all.First, b.Services.First), max(all.Last, b.Services.Last)
	}
	for j := range l.Lines {
		// Most lines are for other services.
		if l.Lines[j].reach.Overlaps(all) && l.meets(j, boxes) && others(j) {
			by = append(by, l.Admits(j).Sure...)
		}
	}
	return covered(boxes, by)
}

// meets reports whether line j may match something of boxes. It is asked of all pairs of
// lines, so it copies none, and looks at the services first: they differ most often.
func (l *List) meets(j int, boxes []netset.Box) bool {
	mine := l.Lines[j].Perhaps
	for i := range mine {
		for k := range boxes {
			if mine[i].Services.Overlaps(boxes[k].Services) && mine[i].Addrs.Overlaps(boxes[k].Addrs) {
				return true
			}
		}
	}
	return false
}

// stillDenied reports whether what deny line i decides is denied without it.
func (l *List) stillDenied(i int, others func(int) bool) bool {
	asked := l.Lines[i].Perhaps
	if l.Default == policy.Deny {
		asked = l.metBelow(i, others) // the rest is denied whatever denies it
	}
	left, ok := minus(asked, l.gather(func(j int) bool {
		return others(j) && (l.stronger(j, i) || l.Lines[j].class == l.Lines[i].class)
	}).Sure)
	if !ok {
		return false
	}
	for j := range l.Lines {
		if len(left) == 0 {
			return true
		}
		if !others(j) || !l.stronger(i, j) {
			continue
		}
		if y := &l.Lines[j]; y.Rule.Action != policy.Deny {
			if l.meets(j, left) {
				return false
			}
		} else if left, ok = minus(left, y.Sure); !ok {
			return false
		}
	}
	return len(left) == 0 || l.Default == policy.Deny
}

// metBelow returns what of deny line i weaker lines that do not deny may match.
func (l *List) metBelow(i int, others func(int) bool) []netset.Box {
	var out []netset.Box
	for j := range l.Lines {
		if !others(j) || !l.stronger(i, j) || l.Lines[j].Rule.Action == policy.Deny {
			continue
		}
		for _, b := range l.Lines[j].Perhaps {
			for _, mine := range l.Lines[i].Perhaps {
				if x, ok := b.Intersect(mine); ok {
					out = append(out, x)
				}
			}
		}
	}
	return out
}

// By returns few of the lines that make line i redundant for reason: lines without
// which it would not be, given the others that keep picks. nil with Covered: the
// default alone does.
func (l *List) By(i int, reason Reason, keep func(int) bool) []int {
	var cand []int
	for j := range l.Lines {
		if j == i || keep != nil && !keep(j) || !l.meets(j, l.Lines[i].Perhaps) {
			continue
		}
		if reason == Shadowed && !l.stronger(j, i) {
			continue
		}
		if reason == Covered && l.Lines[i].Rule.Action == policy.Deny && l.Lines[j].Rule.Action != policy.Deny {
			continue // it stays, see holds
		}
		cand = append(cand, j)
	}
	in := func(set []int) func(int) bool {
		return func(j int) bool { _, ok := slices.BinarySearch(set, j); return ok }
	}
	holds := func(set []int) bool {
		// Denies that stay limit what allows admit, so only lines that do the same as
		// line i, or stand above it, are left out.
		if reason == Shadowed {
			return l.shadowed(i, in(set))
		}
		if l.Lines[i].Rule.Action == policy.Deny {
			return l.stillDenied(i, func(j int) bool { return j != i && (in(set)(j) || l.Lines[j].Rule.Action != policy.Deny) })
		}
		return l.stillPermitted(l.Admits(i).Perhaps, in(set))
	}
	if holds(nil) {
		return nil
	}
	for _, j := range cand { // one line that does it alone is the best reason
		if holds([]int{j}) {
			return []int{j}
		}
	}
	for k := 0; k < len(cand); {
		without := slices.Delete(slices.Clone(cand), k, k+1)
		if holds(without) {
			cand = without
		} else {
			k++
		}
	}
	return cand
}
