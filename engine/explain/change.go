package explain

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// Change is one way to make a stage say the opposite. All of its parts are needed.
type Change struct {
	Remove  []policy.Ref // rules that would have to go, all of them
	Isolate []string     // groups whose members would no longer talk to one another by the hidden rule
	Add     *Addition
}

// Addition is a rule that would have to be there.
type Addition struct {
	Direction flow.Direction
	Action    policy.Action
	Proto     flow.Proto
	Ports     netset.PortRange // the local ones of an ingress rule, the remote ones of an egress rule
	ICMP      policy.TypeCode
	Peer      netip.Prefix
	// Rank is the weakest that will do and that no other rule of the tier has; AnyRank:
	// nothing outranks the new rule, whatever its rank.
	Rank    uint32
	AnyRank bool
	Ranked  bool         // rules of its stage have ranks
	Before  []policy.Ref // what it must outrank
	Owners  []string     // the groups, or the network ACL, any one of which can take it
}

// Rule returns a as a rule of owner; id names it there.
func (a *Addition) Rule(owner, id string) policy.Rule {
	m := policy.NewMatch(a.Direction, policy.OneProto(a.Proto), a.Ports, a.ICMP, policy.AddrSet{Prefixes: []netip.Prefix{a.Peer}})
	return policy.Rule{Ref: policy.Ref{Owner: owner, Rule: id}, Direction: a.Direction, Rank: a.Rank, Action: a.Action,
		Match: []policy.Match{m}, Editable: true}
}

// site is a stage of the path of one interface, where changes can be made.
type site struct {
	snap  *policy.Snapshot
	iface *policy.Interface
	stage *policy.Stage
	conns []policy.Conn    // one for each class of client ports that some rule tells apart
	ports netset.PortRange // what a rule for all of them must name
	taken map[line]bool    // numbers that other additions have
}

// line is the place of a rule that numbers it: no two may share one.
type line struct {
	owner     string
	direction flow.Direction
	rank      uint32
}

// toAllow lists what makes the stage allow.
func (x *site) toAllow() []Change {
	var out []Change
	if a := x.addition(policy.Allow); a != nil {
		out = append(out, Change{Add: a})
	}
	if c := x.removal(policy.Allowed); c != nil {
		out = append(out, *c)
	}
	if len(out) == 0 {
		if c := x.both(policy.Allow); c != nil {
			out = append(out, *c)
		}
	}
	return out
}

// toDeny lists what makes the stage deny.
func (x *site) toDeny() []Change {
	var out []Change
	if c := x.removal(policy.Denied); c != nil {
		out = append(out, *c)
	}
	if x.knowsDeny() {
		if a := x.addition(policy.Deny); a != nil {
			out = append(out, Change{Add: a})
		}
	}
	if len(out) == 0 && x.knowsDeny() {
		if c := x.both(policy.Deny); c != nil {
			out = append(out, *c)
		}
	}
	return out
}

// knowsDeny reports whether rules that deny can be added: the stage ranks its rules, has
// one that does not allow, or would have no way to deny otherwise.
func (x *site) knowsDeny() bool {
	if !x.stage.Stateful || x.stage.Default != policy.Deny {
		return true
	}
	for _, t := range x.stage.Tiers {
		if slices.ContainsFunc(t.Rules, func(r policy.Rule) bool { return r.Rank > 0 || r.Action == policy.Deny || r.Action == policy.Next }) {
			return true
		}
	}
	return false
}

// removal takes rules away, the speakers first, until the stage says want to all of the
// connections. It is nil if there are none to take, or if that does not lead there.
func (x *site) removal(want policy.Verdict) *Change {
	st := *x.stage
	var c Change
	for i := range x.conns {
		for {
			d := st.Decide(&x.conns[i])
			if d.Verdict == want {
				break
			}
			gone := opposing(&st, &x.conns[i], &d, want)
			if !x.take(&c, gone) {
				return nil
			}
			st = without(&st, gone)
		}
	}
	return &c
}

// both takes rules away, the speakers first, until an addition is enough. It is for
// where neither alone leads there: what opposes ranks too high to be outranked, and
// what speaks behind it opposes too.
func (x *site) both(action policy.Action) *Change {
	want := verdictFor(action)
	st := *x.stage
	var c Change
	for {
		left := st
		for i := range x.conns {
			d := left.Decide(&x.conns[i])
			if d.Verdict == want {
				continue
			}
			gone := opposing(&left, &x.conns[i], &d, want)
			if !x.take(&c, gone) {
				return nil
			}
			left = without(&left, gone)
		}
		st = left
		rest := *x
		rest.stage = &st
		if c.Add = rest.addition(action); c.Add != nil {
			return &c
		}
	}
}

// verdictFor is what a stage says if a rule with this action speaks.
func verdictFor(action policy.Action) policy.Verdict {
	if action == policy.Deny {
		return policy.Denied
	}
	return policy.Allowed
}

// take adds the removal of rules to c. It reports false if there are none, or if one is
// not for users to remove: the platform's own, or what is not in the export.
func (x *site) take(c *Change, gone []policy.Ref) bool {
	for _, ref := range gone {
		switch _, ok := x.snap.RuleIndex(ref); {
		case ok:
			c.Remove = append(c.Remove, ref)
		case x.intra(ref) != "":
			c.Isolate = append(c.Isolate, x.intra(ref))
		default:
			return false
		}
	}
	return len(gone) > 0
}

// opposing lists the rules that have a part in d, the decision of st on c, and keep it
// from being want.
func opposing(st *policy.Stage, c *policy.Conn, d *policy.StageDecision, want policy.Verdict) []policy.Ref {
	var out []policy.Ref
	for _, m := range matching(st, c) {
		ref, action := m.rule.Ref, m.rule.Action
		against := action == policy.Deny
		if want == policy.Denied {
			against = action == policy.Allow || action == policy.AllowAll
		}
		if against && (slices.Contains(d.Winners, ref) || slices.Contains(d.Possible, ref)) {
			out = append(out, ref)
		}
	}
	return out
}

// intra returns the group whose hidden rule ref is, or "".
func (x *site) intra(ref policy.Ref) string {
	for _, g := range x.iface.Groups {
		if policy.IntraRef(g) == ref {
			return g
		}
	}
	return ""
}

// addition returns the rule with this action that makes the stage say so, at the weakest
// place that will do; nil if there is none.
func (x *site) addition(action policy.Action) *Addition {
	want := verdictFor(action)
	blocker := x.blocker(action)
	for t := len(x.stage.Tiers) - 1; t >= 0; t-- {
		if blocker != nil && t > blocker.tier {
			continue
		}
		owners := x.owners(t)
		if len(owners) == 0 {
			continue
		}
		c := &x.conns[0]
		a := &Addition{Direction: c.Direction, Action: action, Proto: c.Proto, Ports: x.ports, ICMP: c.ICMP,
			Peer: netip.PrefixFrom(c.Remote, c.Remote.BitLen()), Owners: owners, AnyRank: true, Ranked: x.knowsDeny()}
		if blocker != nil && t == blocker.tier {
			a.AnyRank = false
			a.Before = x.rivals(t, blocker.rule.Rank, action)
			if a.Rank = x.free(t, owners, blocker.rule.Rank); a.Rank == 0 {
				if !x.stage.Stateful || action != policy.Deny {
					continue
				}
				a.Rank = blocker.rule.Rank // deny goes first among equals
			}
		}
		st := *x.stage
		st.Tiers = slices.Clone(st.Tiers)
		st.Tiers[t].Rules = append(slices.Clip(st.Tiers[t].Rules), a.Rule(owners[0], "new"))
		if slices.ContainsFunc(x.conns, func(c policy.Conn) bool { return st.Decide(&c).Verdict != want }) {
			continue
		}
		if !a.AnyRank {
			for _, o := range owners {
				x.taken[line{o, a.Direction, a.Rank}] = true
			}
		}
		return a
	}
	return nil
}

// blocker returns the strongest rule that may do otherwise than action with any of the
// connections, or nil.
func (x *site) blocker(action policy.Action) *ranked {
	var out *ranked
	for i := range x.conns {
		for _, m := range matching(x.stage, &x.conns[i]) {
			if m.rule.Action == action {
				continue
			}
			if out == nil || m.tier < out.tier || m.tier == out.tier && m.rule.Rank < out.rule.Rank {
				out = &m
			}
			break
		}
	}
	return out
}

// rivals lists the rules of tier t and this rank that match and do otherwise than action.
func (x *site) rivals(t int, rank uint32, action policy.Action) []policy.Ref {
	var out []policy.Ref
	for i := range x.conns {
		for _, m := range matching(x.stage, &x.conns[i]) {
			if m.tier == t && m.rule.Rank == rank && m.rule.Action != action {
				out = append(out, m.rule.Ref)
			}
		}
	}
	slices.SortFunc(out, policy.Ref.Compare)
	return slices.Compact(out)
}

// free returns the greatest rank below limit that no rule of tier t has and no earlier
// addition took, or 0.
func (x *site) free(t int, owners []string, limit uint32) uint32 {
	used := make(map[uint32]bool)
	for i := range x.stage.Tiers[t].Rules {
		used[x.stage.Tiers[t].Rules[i].Rank] = true
	}
	for rank := limit; rank > 1; {
		rank--
		if !used[rank] && !slices.ContainsFunc(owners, func(o string) bool { return x.taken[line{o, x.conns[0].Direction, rank}] }) {
			return rank
		}
	}
	return 0
}

// owners lists what can take a new rule of tier t: groups that are in the snapshot and
// for users to edit, in order, or the network ACL.
func (x *site) owners(t int) []string {
	var ids []string
	switch {
	case !x.stage.Stateful:
		if acl, _, ok := x.snap.ACLFor(x.iface); ok {
			return []string{acl.ID}
		}
	case len(x.iface.Stages) > 0:
		for i := range x.iface.Stages {
			if spec := &x.iface.Stages[i]; spec.Name == x.stage.Name && t < len(spec.Tiers) {
				ids = slices.Clone(spec.Tiers[t])
			}
		}
	case x.stage.Tiers[t].Name == policy.RuleTier:
		ids = slices.Clone(x.iface.Groups)
	}
	ids = slices.DeleteFunc(ids, func(id string) bool {
		g, ok := x.snap.Group(id)
		return !ok || g.Managed
	})
	slices.SortFunc(ids, func(a, b string) int {
		// A group of few interfaces first: the new rule is in force on all of them.
		return cmp.Or(cmp.Compare(len(x.snap.Attached(a)), len(x.snap.Attached(b))), strings.Compare(a, b))
	})
	return slices.Compact(ids)
}
