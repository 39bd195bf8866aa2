package risk

import "math/bits"

// maxDays is the number of days a day mask can tell apart.
const maxDays = 64

// minSplit is the least window that a back-test is made for: under four days the
// last quarter is not a day.
const minSplit = 4

// Window is a span of Unix days: First and the Days-1 that follow. The zero value
// holds no day.
type Window struct{ First, Days int }

// WindowOf returns the days that the Unix seconds from and to lie in, with all
// between them; the zero Window if to is before from or both are 0.
func WindowOf(from, to int64) Window {
	if to < from || from == 0 && to == 0 {
		return Window{}
	}
	first := floorDay(from)
	return Window{int(first), int(floorDay(to)-first) + 1}
}

func floorDay(s int64) int64 {
	d := s / 86400
	if s%86400 < 0 {
		d--
	}
	return d
}

// Fits reports whether a day mask tells all days of w apart.
func (w Window) Fits() bool { return w.Days >= 1 && w.Days <= maxDays }

// Mask returns the day mask of n days of w from the i-th on. Bit d%64 stands for
// Unix day d, as in the store.
func (w Window) Mask(i, n int) uint64 {
	var m uint64
	for d := range n {
		m |= 1 << (uint(w.First+i+d) % maxDays)
	}
	return m
}

// Split cuts w for a back-test: the first three quarters of the days, rounded up,
// and the rest. It reports false where the window is too short or too long.
func (w Window) Split() (train, test uint64, testDays int, ok bool) {
	if w.Days < minSplit || !w.Fits() {
		return 0, 0, 0, false
	}
	n := (3*w.Days + 3) / 4
	return w.Mask(0, n), w.Mask(n, w.Days-n), w.Days - n, true
}

// since returns the mask in the order of days: bit i stands for day i of w.
func (w Window) since(mask uint64) uint64 { return bits.RotateLeft64(mask, -(w.First % maxDays)) }

// trailing bounds the days that the rate of first sightings is taken over: four
// weeks, so that a change of the population shows.
const trailing = 28

// terms bounds the alternating series of Good and Toulmin; later terms only add noise.
const terms = 8

// NewPeers estimates how many peers will appear within the next days that were not
// seen in w: the greater of the estimate of Good and Toulmin on day incidences, and
// the trailing rate of first sightings, (c + 1/2) in w days, whose half keeps silence
// from proving that nothing will ever come. seen holds the day mask of each distinct
// peer. Windows of more than 64 days are estimated as 64; it returns days, one new
// peer a day, for the empty window.
func (w Window) NewPeers(seen []uint64, days int) float64 {
	if w.Days < 1 {
		return float64(days)
	}
	if !w.Fits() {
		w = Window{w.First + w.Days - maxDays, maxDays}
	}
	last := min(trailing, w.Days/2)
	if last < 1 {
		last = 1
	}
	var q [terms + 1]float64
	fresh := 0
	for _, m := range seen {
		m = w.since(m)
		if n := bits.OnesCount64(m); n >= 1 && n <= terms {
			q[n]++
		}
		if m != 0 && bits.TrailingZeros64(m) >= w.Days-last {
			fresh++
		}
	}
	// Good and Toulmin: -sum of (-t)^j Q_j. Beyond t = 1 the series says nothing.
	t := min(1, float64(days)/float64(w.Days))
	gt, power := 0.0, -1.0
	for j := 1; j <= terms; j++ {
		power *= -t
		gt += power * q[j]
	}
	rate := float64(days) * (float64(fresh) + 0.5) / float64(last)
	return max(gt, rate)
}

// Class says how sure a plan is.
type Class uint8

// The classes, the surest first.
const (
	High Class = iota
	Medium
	Low
)

func (c Class) String() string { return [...]string{"high", "medium", "low"}[c] }

// Outcome is what is known of the risk of one edit, or of a whole plan.
type Outcome struct {
	Days        int     // of the window
	Tested      bool    // a back-test was made
	BlockedDays int     // held-out days on which it would have blocked something
	Blocked     int     // peers it would have blocked
	New         int     // peers first seen in the held-out days
	NewPeers    float64 // estimate for the next 7 days
}

// enoughDays is the window under which nothing is called sure: four weeks, twice
// what narrowing needs.
const enoughDays = 28

// Class returns High for no blocked day, a window of 28 days and an estimate under
// 0.2 after the discount for what the cover generalises; Medium for an estimate
// under 0.5 or at most one blocked day in a back-test; else Low.
func (o Outcome) Class() Class {
	discounted := o.NewPeers
	if o.Tested {
		discounted *= min(1, (float64(o.Blocked)+0.5)/(float64(o.New)+0.5))
	}
	switch {
	case o.Tested && o.BlockedDays == 0 && o.Days >= enoughDays && discounted < 0.2:
		return High
	case o.NewPeers < 0.5 || o.Tested && o.BlockedDays <= 1:
		return Medium
	}
	return Low
}
