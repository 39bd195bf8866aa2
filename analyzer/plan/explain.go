package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// explain says why e is made. rest is what the equivalent edits leave.
func (p *planner) explain(e *Edit, rest *world) {
	at, ok := p.old.at[e.Rule]
	if !ok {
		e.Check, e.Reason = "unused-rule", "no accepted connection and no reply passed this line in the window"
		if why := p.lines[e.Rule]; why != "" {
			e.Check, e.Reason, e.Confidence = "shadowed-rule", why, High
		}
		return
	}
	r := &p.old.rules[at]
	if e.Basis == Equivalent {
		e.Confidence = Medium
		// Prefixes stay what they are, members of groups come and go. The same peer
		// named twice needs no members.
		plain := func(q *rule) bool { return !q.refs || namesSame(r.Rule, q.Rule) }
		if rest.covered(r, plain, lasting) && (!r.refs || r.dead || sameName(r, rest)) && !rest.deniedBySets(r) {
			e.Confidence = High
		}
		switch {
		case e.Op == Replace && insideRule(e.With, r):
			e.Check, e.Reason = "shadowed-rule", "other rules permit the rest of what it permits"
		case e.Op == Replace:
			e.Check, e.Reason = "mergeable-rules", "two rules of the group are together exactly the new one"
		case r.dead:
			e.Check, e.Reason = "dead-reference", "the group or list that it names can match nothing any more"
		case r.silent():
			e.Check, e.Reason = "shadowed-rule", "stronger rules deny all that it would permit, on every interface where it is in force"
		default:
			e.Check = "shadowed-rule"
			e.Reason = "all it permits is permitted by other rules on every interface where it is in force"
			own := func(q *rule) bool { _, made := p.origin[q.Ref]; return !made }
			if into := p.mergedInto(rest, r); into != "" && !rest.covered(r, own, lasting) {
				e.Check = "mergeable-rules"
				e.Reason = "what it permits goes into the rule that replaces " + into + ": that edit comes first"
			} else if twin, ok := rest.twin(r); ok {
				e.Reason = fmt.Sprintf("it says the same as %s", p.root(twin))
			} else if by := rest.needs(r); by != 0 {
				e.Reason = "all it permits is permitted without it on every interface where it is in force: " + by.String()
			}
		}
		return
	}
	u := p.usage(r.Ref)
	switch {
	case e.Op == Replace:
		e.Check = "wide-ports"
		if len(r.Match) == 1 && slices.ContainsFunc(e.With, func(n policy.Rule) bool { return !samePeer(n.Match[0].Remote, r.Match[0].Remote) }) {
			e.Check = "wide-source"
		}
		e.Reason = "no use of it is settled: what may have used it fits into " + plural(len(e.With), "narrower rule")
		if p.masked(r.index) {
			e.Reason = "stronger rules decide at present what it matches; what it is to carry without them fits into " + plural(len(e.With), "narrower rule")
		}
		if u.Hits > 0 {
			e.Reason = fmt.Sprintf("what used it, %s from %s, fits into %s", plural(int(u.Hits), "connection"), plural(int(u.Peers), "peer"), plural(len(e.With), "narrower rule"))
			if r.Direction == flow.Egress {
				e.Reason = fmt.Sprintf("what used it, %s to %s, fits into %s", plural(int(u.Hits), "connection"), plural(int(u.Peers), "peer"), plural(len(e.With), "narrower rule"))
			}
		}
		if attempts(u) {
			e.Reason += "; nobody ever answered those who used it: ask whether it is needed at all"
		}
		if r.Match[0].Protos == policy.AnyProto && !slices.ContainsFunc(e.With, func(n policy.Rule) bool { return n.Match[0].Protos.Has(1) }) {
			e.Reason += "; path MTU discovery, if it is needed, wants icmp type 3 code 4"
		}
	case u.Hits > 0 || u.Possible > 0:
		e.Check = "redundant-rule"
		e.Reason = fmt.Sprintf("every one of its %s is admitted by other rules, too", plural(int(u.Hits), "hit"))
		switch by := p.carried[r.index]; by {
		case 0:
		case byIntra: // which is stronger than any rule: what it carries is no hit
			e.Reason += "; of what it matches besides, " + by.String()
		default:
			e.Reason = fmt.Sprintf("every one of its %s is admitted without it: %s", plural(int(u.Hits), "hit"), by)
		}
	case p.matched[r.index]:
		e.Check, e.Reason = "redundant-rule", "what it matches of the accepted connections is admitted by other rules, which decide before it"
		if by := p.carried[r.index]; by != 0 {
			e.Reason = "what it matches of the accepted connections is admitted without it: " + by.String()
		}
	default:
		e.Check, e.Reason = "unused-rule", "no accepted connection used it in the window"
	}
}

// String says who admits, as the end of a sentence.
func (c carrier) String() string {
	var by []string
	if c&byDefault != 0 {
		by = append(by, "what no rule matches is allowed here")
	}
	if c&byIntra != 0 {
		by = append(by, "the members of its group reach one another by the hidden intra-group rule, and this holds while the group lets its members talk")
	}
	if c&byPlatform != 0 {
		by = append(by, "the platform admits its own addresses")
	}
	return strings.Join(by, "; ")
}

// silent reports whether r admits nothing anywhere, for the denies above it.
func (r *rule) silent() bool {
	for k := range r.classes {
		if at := r.in(k); len(at.perhaps) == 0 || len(at.admits.Perhaps) > 0 {
			return false
		}
	}
	return true
}

// needs returns what else than declared rules w needs to admit all of r; 0: nothing.
func (w *world) needs(r *rule) carriers {
	everything := func(*rule) bool { return true }
	if w.covered(r, everything, 0) {
		return 0
	}
	need := lasting
	for _, by := range [...]carrier{byPlatform, byDefault} {
		if w.covered(r, everything, need&^by) {
			need &^= by
		}
	}
	return need
}

// deniedBySets reports whether what r admits depends on denies whose peers are kept
// elsewhere.
func (w *world) deniedBySets(r *rule) bool {
	for k, c := range r.classes {
		for _, i := range w.classes[c].rules[side(r.Direction)] {
			q := &w.rules[i]
			if q.Action == policy.Deny && q.refs && r.meets(q) && q.Rank <= r.Rank && meet(r.in(k).perhaps, anyone(q)) {
				return true
			}
		}
	}
	return false
}

// attempts reports whether all that used a rule were attempts that nobody answered:
// scanners, mostly, and nothing to narrow a rule by with any confidence.
func attempts(u *engine.Usage) bool { return u.Hits > 0 && u.Answered == 0 }

// insideRule reports whether r alone admits all that rules name by prefix.
func insideRule(rules []policy.Rule, r *rule) bool {
	return !slices.ContainsFunc(rules, func(n policy.Rule) bool {
		boxes, exact := n.Boxes()
		ok, _ := netset.CoveredAll(boxes, r.boxes)
		return !exact || !ok
	})
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// sameName reports whether on each interface of r a rule with its very peer admits it.
func sameName(r *rule, w *world) bool {
	for _, c := range r.classes {
		if !slices.ContainsFunc(w.classes[c].rules[side(r.Direction)], func(i int32) bool {
			q := &w.rules[i]
			return q.Ref != r.Ref && q.Rank <= r.Rank && namesSame(r.Rule, q.Rule)
		}) {
			return false
		}
	}
	return true
}

// twin returns a rule that admits exactly what r does on every interface of r.
func (w *world) twin(r *rule) (policy.Ref, bool) {
	for _, i := range w.classes[r.classes[0]].rules[side(r.Direction)] {
		q := &w.rules[i]
		if q.Ref == r.Ref || q.Action != r.Action || q.Rank != r.Rank || len(r.boxes) == 0 || !netset.Equal(r.boxes, q.boxes) {
			continue
		}
		if !slices.ContainsFunc(r.classes, func(c int32) bool { return !slices.Contains(q.classes, c) }) {
			return q.Ref, true
		}
	}
	return policy.Ref{}, false
}

// mergedInto names the rules of the snapshot whose replacements in rest permit something
// of r.
func (p *planner) mergedInto(rest *world, r *rule) string {
	var into []string
	for i := range rest.rules {
		q := &rest.rules[i]
		if from, made := p.origin[q.Ref]; made && from != r.Ref && q.Direction == r.Direction && meet(q.boxes, r.boxes) {
			into = append(into, from.String())
		}
	}
	slices.Sort(into)
	return strings.Join(slices.Compact(into), " and ")
}

// masked reports whether rule i of the snapshot matches what was accepted and never
// decides it: stronger rules do.
func (p *planner) masked(i int) bool {
	u := p.usage(p.old.rules[i].Ref)
	return p.matched[i] && u.Hits == 0 && u.Possible == 0
}

func (p *planner) maskedRef(ref policy.Ref) bool {
	i, ok := p.old.at[ref]
	return ok && p.masked(i)
}
