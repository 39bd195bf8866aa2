package report

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// ranked lists the edits in the order in which a reader should look at them: those that
// answer critical and high findings first, then by how much an edit takes away, in bits,
// for which medium confidence counts two thirds and low a fifth. What permits the same as
// before takes nothing away.
func ranked(r *Report) []*Edit {
	grave := gravest(r)
	rules := rulesByRef(r)
	high := 1 + slices.Index(severities, "high")
	score := make(map[*Edit]float64, len(r.Plan.Edits))
	out := make([]*Edit, 0, len(r.Plan.Edits))
	for i := range r.Plan.Edits {
		e := &r.Plan.Edits[i]
		gain := 0.0
		if old := rules[string(e.Ref)]; old != nil && e.Basis != "equivalent" {
			before := bitsOf(old.Protocol, old.Ports, old.Peer)
			gain = before
			for _, n := range e.With {
				gain = min(gain, before-bitsOf(n.Protocol, n.Ports, n.Peer))
			}
		}
		if g := grave[string(e.Ref)]; g >= high {
			gain += float64(100 * g)
		}
		switch e.Confidence {
		case "medium":
			gain *= 2.0 / 3
		case "low":
			gain /= 5
		}
		score[e] = gain
		out = append(out, e)
	}
	slices.SortStableFunc(out, func(a, b *Edit) int { return cmp.Compare(score[b], score[a]) })
	return out
}

// severities are the words of findings, the least grave first.
var severities = []string{"info", "low", "medium", "high", "critical"}

// gravest gives the rank of the gravest finding on each subject that is not suppressed,
// from 1 for info.
func gravest(r *Report) map[string]int {
	out := make(map[string]int)
	for i := range r.Findings {
		if f := &r.Findings[i]; f.Suppressed == nil {
			out[string(f.Ref)] = max(out[string(f.Ref)], 1+slices.Index(severities, f.Severity))
		}
	}
	return out
}

// ofRules lists the rules in the order in which a reader should look at them: those on
// which there is a grave finding, then the declared ones before the implicit, then those
// with most hits.
func ofRules(r *Report) []*Rule {
	grave := gravest(r)
	out := make([]*Rule, 0, len(r.Rules))
	for i := range r.Rules {
		out = append(out, &r.Rules[i])
	}
	slices.SortStableFunc(out, func(a, b *Rule) int {
		return cmp.Or(compareTrue(b.Implicit, a.Implicit), cmp.Compare(grave[b.Ref], grave[a.Ref]), cmp.Compare(b.Hits, a.Hits))
	})
	return out
}

// portRange reads ports as documents write them; false: they are no numbers.
func portRange(s string) (lo, hi int, ok bool) {
	first, last, two := strings.Cut(s, "-")
	lo, err := strconv.Atoi(first)
	if err != nil {
		return 0, 0, false
	}
	if hi = lo; two {
		if hi, err = strconv.Atoi(last); err != nil {
			return 0, 0, false
		}
	}
	return lo, hi, 0 <= lo && lo <= hi && hi <= 65535
}
