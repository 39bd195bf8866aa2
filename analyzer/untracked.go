package analyzer

import (
	"net/netip"
	"slices"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// untrackedFact says what an edit of rule n does to connections that are not tracked:
// those of a rule for every address while the other direction has a rule for every
// address and all ports. Their answers pass by that other rule.
func (p *Pass) untrackedFact(n int) (Fact, bool) {
	rules := p.Snapshot.Rules()
	r := rules[n]
	if !p.openUntracked(n) || r.Action != policy.Allow || isACL(p.Snapshot, r.Ref.Owner) {
		return Fact{}, false
	}
	if !toSomeAll(r) {
		return Fact{}, false
	}
	for k, q := range rules {
		if q.Direction == r.Direction || q.Action != policy.Allow || !toSomeAll(q) || isACL(p.Snapshot, q.Ref.Owner) || !together(p.Coverage, n, k) {
			continue
		}
		for _, proto := range []flow.Proto{flow.TCP, flow.UDP} {
			for _, v4 := range []bool{true, false} {
				if !toAll(r, proto, v4) || !toAll(q, proto, v4) {
					continue
				}
				switch {
				case p.Result.Usage[n].Hits > 0 && allPorts(q, proto):
					return Fact{"tracking", "because of " + q.Ref.String() + " its connections are not tracked: those that what remains does not admit are cut at once"}, true
				case p.Result.Usage[k].Hits > 0 && allPorts(r, proto):
					return Fact{"tracking", "answers to what " + q.Ref.String() + " admits pass by this rule: without it new connections are tracked instead, and open ones may be cut"}, true
				}
			}
		}
	}
	return Fact{}, false
}

// openUntracked reports whether rule n is in force where such connections are not tracked.
func (p *Pass) openUntracked(n int) bool {
	return slices.ContainsFunc(p.Coverage.interfaces[n], func(f int) bool { return p.Snapshot.PlatformOf(&p.Snapshot.Interfaces[f]).OpenUntracked })
}

// together reports whether rules i and j are in force on one interface.
func together(c *ruleCoverage, i, j int) bool {
	return slices.ContainsFunc(c.interfaces[i], func(f int) bool {
		_, ok := slices.BinarySearch(c.interfaces[j], f)
		return ok
	})
}

// toSomeAll reports whether r names every address of a family.
func toSomeAll(r *policy.Rule) bool {
	for i := range r.Match {
		if v4, v6 := worldOpen(r.Match[i].Remote.Prefixes); v4 || v6 {
			return true
		}
	}
	return false
}

// toAll reports whether r permits proto for every address of a family.
func toAll(r *policy.Rule, proto flow.Proto, v4 bool) bool {
	return slices.ContainsFunc(r.Match, func(m policy.Match) bool {
		return m.Protos.Has(proto) && slices.ContainsFunc(m.Remote.Prefixes, func(p netip.Prefix) bool { return p.Bits() == 0 && p.Addr().Is4() == v4 })
	})
}

func allPorts(r *policy.Rule, proto flow.Proto) bool {
	return slices.ContainsFunc(r.Match, func(m policy.Match) bool {
		return m.Protos.Has(proto) && m.ServicePorts(r.Direction) == netset.AllPorts
	})
}
