package report

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// ranked lists the edits in the order in which a reader should look at them: the most
// certain first, of those the ones that answer the gravest findings, then those that take
// most away.
func ranked(r *Report) []*Edit {
	grave := gravest(r)
	rules := rulesByRef(r)
	type key struct {
		confidence, severity int
		gain                 float64
	}
	keys := make(map[*Edit]key, len(r.Plan.Edits))
	out := make([]*Edit, 0, len(r.Plan.Edits))
	for i := range r.Plan.Edits {
		e := &r.Plan.Edits[i]
		k := key{confidence: slices.Index([]string{"low", "medium", "high"}, e.Confidence), severity: grave[string(e.Ref)]}
		if old := rules[string(e.Ref)]; old != nil {
			k.gain = bitsOf(old.Protocol, old.Ports, old.Peer)
			for _, n := range e.With {
				k.gain = min(k.gain, bitsOf(old.Protocol, old.Ports, old.Peer)-bitsOf(n.Protocol, n.Ports, n.Peer))
			}
		}
		keys[e] = k
		out = append(out, e)
	}
	slices.SortStableFunc(out, func(a, b *Edit) int {
		x, y := keys[a], keys[b]
		return cmp.Or(cmp.Compare(y.confidence, x.confidence), cmp.Compare(y.severity, x.severity), cmp.Compare(y.gain, x.gain))
	})
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
