package analyzer

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/space"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// ruleCoverage says for every declared rule where it is in force and whether the
// configuration alone makes it needless there, whatever the traffic.
type ruleCoverage struct {
	lists      *ruleLists
	interfaces [][]int // rule → indexes of the interfaces that carry its group or ACL
	rules      []covered
	boxes      []ruleBoxes
	words      []string // what the rule says, in canonical words
	byACL      map[aclSide][]netset.Box
}

// covered is what the configuration alone says of a rule.
type covered struct {
	everywhere bool         // the same is decided without it on every interface where it is in force (and there is one)
	own        bool         // by rules of its own group or ACL: safe under any attachment
	shadowed   bool         // stronger rules match all that it does: it never speaks
	by         []policy.Ref // a small set that does it on the first interface; implicit rules included, the default is not
	conflict   bool         // one of those that speak before it does the opposite
	instead    instead      // who decides without it
	members    bool         // group members as of the snapshot are part of the reason
	duplicate  policy.Ref   // another rule of the same owner with the same boxes; zero: none
	acls       []string     // network ACLs that deny all that it admits, on every interface where it is in force
}

// instead says what kind of thing decides the same where a rule is needless.
type instead uint8

const (
	byRules   instead = iota
	byDefault         // nothing else: what happens without any rule
	byIntra           // the hidden rule that lets members of a group talk to one another
	byNobody          // nothing needs to: its peers are members, but the interface itself or ones that cannot reach it
)

// reason says why a rule is needless, without where.
func (c *covered) reason() string {
	switch c.instead {
	case byDefault:
		return "what it could decide is decided the same without any rule"
	case byIntra:
		return "its peers are members of " + groupList(c.by) + ", who may talk to one another whatever the rules say"
	case byNobody:
		return "its peers are the interface itself, or of an address family that the interface does not have"
	}
	return "other rules decide all that it could"
}

// ruleBoxes is a rule as boxes with its references resolved.
type ruleBoxes struct {
	boxes   []netset.Box
	exact   bool // the boxes say all of it
	members bool // they depend on who is member of a group
}

func newRuleCoverage(s *policy.Snapshot) *ruleCoverage {
	rules := s.Rules()
	c := &ruleCoverage{lists: newRuleLists(s), interfaces: make([][]int, len(rules)), rules: make([]covered, len(rules)), byACL: make(map[aclSide][]netset.Box)}
	c.boxes, c.words = make([]ruleBoxes, len(rules)), make([]string, len(rules))
	parallel(len(rules), func(i int) { c.boxes[i], c.words[i] = boxesOf(&c.lists.lines[i], rules[i]), substance(rules[i]) })

	byOwner := make(map[string][]int)
	for i, r := range rules {
		byOwner[r.Ref.Owner] = append(byOwner[r.Ref.Owner], i)
	}
	for i := range s.Interfaces {
		f := &s.Interfaces[i]
		owners := slices.Clone(f.Groups)
		if acl, _, ok := s.ACLFor(f); ok {
			owners = append(owners, acl.ID)
		}
		for _, o := range owners {
			for _, r := range byOwner[o] {
				c.interfaces[r] = append(c.interfaces[r], i)
			}
		}
	}

	for i := range s.ACLs {
		for _, d := range directions {
			c.byACL[aclSide{s.ACLs[i].ID, side(d)}] = c.lists.own[s.ACLs[i].ID][side(d)].Permits().Perhaps
		}
	}
	parallel(len(rules), func(r int) {
		cov := &c.rules[r]
		cov.duplicate = c.duplicateOf(rules, r, byOwner[rules[r].Ref.Owner])
		if c.alone(s, r); !cov.own && len(c.interfaces[r]) > 0 && !isACL(s, rules[r].Ref.Owner) {
			c.together(s, r)
		}
		cov.everywhere = cov.everywhere || cov.own && len(c.interfaces[r]) > 0
		if !isACL(s, rules[r].Ref.Owner) {
			cov.acls = c.maskedBy(s, r)
		}
	})
	return c
}

// alone settles whether the rules of r's own group or ACL make it needless wherever they
// are attached together. For a rule of a group that takes rules as strong as it or
// stronger: between it and weaker ones the rules of another group may speak.
func (c *ruleCoverage) alone(s *policy.Snapshot, r int) {
	rule, cov := s.Rules()[r], &c.rules[r]
	own := *c.lists.own[rule.Ref.Owner][side(rule.Direction)]
	l := &own
	i, _ := l.FindRule(c.lists.lines[r].Rule)
	var keep func(int) bool
	if !isACL(s, rule.Ref.Owner) {
		hedge := !c.boxes[r].members && slices.ContainsFunc(c.interfaces[r], func(f int) bool { return c.lists.scopes[c.lists.of[f]].behind })
		keep = func(j int) bool {
			n, _ := s.RuleIndex(l.Lines[j].Rule.Ref)
			return stronger(l.Lines[j].Rule, rule) && !(hedge && c.boxes[n].members)
		}
		if rule.Action == policy.Deny {
			l.Default = policy.Allow // so that nothing but rules denies
		}
	}
	if reason := l.Redundant(i, keep); reason != space.Needed {
		*cov = c.why(s, l, i, reason, keep)
		cov.own = true
	}
}

// together settles whether rule r is needless on every interface that carries its group.
func (c *ruleCoverage) together(s *policy.Snapshot, r int) {
	cov := &c.rules[r]
	seen := make(map[int]bool)
	var all *covered
	for _, f := range c.interfaces[r] {
		n := c.lists.of[f]
		if seen[n] {
			continue
		}
		seen[n] = true
		in := c.lists.ofRule(r, f)
		if len(in) == 0 && all == nil {
			all = &covered{instead: byDefault} // nothing filters this direction here
		}
		for _, x := range in {
			l := x.list
			if c.lists.scopes[n].behind && !c.boxes[r].members {
				l = x.in.hedged
			}
			reason := l.Redundant(x.at, nil)
			if reason == space.Needed {
				return
			}
			if all == nil {
				first := c.why(s, l, x.at, reason, nil)
				all = &first
			}
			all.shadowed = all.shadowed && reason == space.Shadowed
			if who := insteadOf(l, x.at, reason); who != all.instead {
				all.instead = byRules
			}
			all.members = all.members || x.in.hedged.Redundant(x.at, nil) == space.Needed
		}
	}
	if all.instead == byIntra {
		mates := false
		if c.eachMate(s, r, func(netip.Prefix, policy.Ref) bool { mates = true; return false }); !mates {
			all.instead = byNobody
		}
	}
	all.everywhere, all.duplicate, all.members = true, cov.duplicate, all.members || c.boxes[r].members
	*cov = *all
}

// why says why line i of l is needless, for reason, given the lines that keep picks.
func (c *ruleCoverage) why(s *policy.Snapshot, l *space.List, i int, reason space.Reason, keep func(int) bool) covered {
	ref := l.Lines[i].Rule.Ref
	r, _ := s.RuleIndex(ref)
	out := covered{duplicate: c.rules[r].duplicate, shadowed: reason == space.Shadowed, instead: insteadOf(l, i, reason), members: c.boxes[r].members}
	for _, j := range l.By(i, reason, fewer(l, i, reason, keep)) {
		x := l.Lines[j].Rule
		out.by = append(out.by, x.Ref)
		out.conflict = out.conflict || out.shadowed && x.Action != l.Lines[i].Rule.Action
		n, declared := s.RuleIndex(x.Ref)
		out.members = out.members || isIntra(x.Ref) || declared && c.boxes[n].members
	}
	slices.SortFunc(out.by, policy.Ref.Compare)
	return out
}

// insteadOf says who decides instead of line i of l, which is needless for reason.
func insteadOf(l *space.List, i int, reason space.Reason) instead {
	deny := l.Lines[i].Rule.Action == policy.Deny
	keep, who := func(j int) bool { return isIntra(l.Lines[j].Rule.Ref) }, byIntra
	if reason == space.Covered {
		keep, who = func(j int) bool {
			x := l.Lines[j].Rule
			return x.Implicit && !isIntra(x.Ref) || deny && x.Action != policy.Deny // what allows limits the default
		}, byDefault
	}
	if l.Redundant(i, keep) == reason {
		return who
	}
	return byRules
}

// manyLines is the number of lines from which on the reason for a needless one is looked
// for among those that share most with it first: the small sets that serve as a reason are
// mostly there, and leaving out what is not needed of hundreds of lines takes minutes.
const manyLines = 32

// fewer returns keep, or less of it that still makes line i of l needless for reason.
func fewer(l *space.List, i int, reason space.Reason, keep func(int) bool) func(int) bool {
	type shared struct {
		line int
		size netset.Size
	}
	mine := l.Lines[i].Perhaps
	var beside []shared
	always := make(map[int]bool) // limit what others do
	for j := range l.Lines {
		if j == i || keep != nil && !keep(j) {
			continue
		}
		if reason == space.Covered && l.Lines[i].Rule.Action == policy.Deny && l.Lines[j].Rule.Action != policy.Deny {
			always[j] = true
			continue
		}
		var size netset.Size
		for _, b := range both(l.Lines[j].Sure, mine) {
			size = size.Add(b.Size())
		}
		if size != (netset.Size{}) {
			beside = append(beside, shared{j, size})
		}
	}
	if len(beside) <= manyLines {
		return keep
	}
	slices.SortStableFunc(beside, func(a, b shared) int { return b.size.Cmp(a.size) })
	for n := 1; n < len(beside); n *= 2 {
		set := maps.Clone(always)
		for _, x := range beside[:n] {
			set[x.line] = true
		}
		if in := func(j int) bool { return set[j] }; l.Redundant(i, in) == reason {
			return in
		}
	}
	return keep
}

// isIntra reports whether ref is the hidden rule of a group's members.
func isIntra(ref policy.Ref) bool {
	return ref.Owner == policy.ImplicitOwner && ref == policy.IntraRef(intraGroup(ref))
}

// intraGroup returns the group whose members the hidden rule ref is for.
func intraGroup(ref policy.Ref) string {
	_, id, _ := strings.Cut(ref.Rule, ":")
	return id
}

// maskedBy returns the network ACLs that deny all that rule r admits, on every interface
// where it is in force; nil if there is one where something of it comes through, or
// nothing to come through.
func (c *ruleCoverage) maskedBy(s *policy.Snapshot, r int) []string {
	rule := s.Rules()[r]
	if rule.Action != policy.Allow {
		return nil
	}
	type place struct {
		scope       int
		acl, subnet string
	}
	seen := make(map[place]bool)
	var out []string
	for _, f := range c.interfaces[r] {
		acl, sub, ok := s.ACLFor(&s.Interfaces[f])
		if !ok {
			return nil
		}
		if seen[place{c.lists.of[f], acl.ID, sub.ID}] {
			continue
		}
		seen[place{c.lists.of[f], acl.ID, sub.ID}] = true
		var admits []netset.Box
		for _, x := range c.lists.ofRule(r, f) {
			admits = append(admits, x.list.Admits(x.at).Perhaps...)
		}
		if len(admits) == 0 || meet(admits, c.permitted(acl.ID, rule.Direction)) || meet(admits, prefixBoxes(s.ACLExempt(&s.Interfaces[f], sub))) {
			return nil
		}
		out = append(out, acl.ID)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// permitted returns what network ACL id may permit in direction d.
func (c *ruleCoverage) permitted(id string, d flow.Direction) []netset.Box {
	return c.byACL[aclSide{id, side(d)}]
}

// aclSide names one list of a network ACL.
type aclSide struct {
	id   string
	side int
}

// prefixBoxes returns all services at the addresses of ps.
func prefixBoxes(ps []netip.Prefix) []netset.Box {
	var out []netset.Box
	for _, p := range ps {
		out = append(out, netset.Box{Services: netset.AllServices, Addrs: netset.AddrsOf(p)})
	}
	return out
}

// behindAppliance says for each interface whether something in its network passes
// traffic on under its sender's address. A reference to the sender's group does not
// match it then, though a prefix does.
func behindAppliance(s *policy.Snapshot) []bool {
	has := make(map[string]bool)
	for i := range s.Interfaces {
		switch f := &s.Interfaces[i]; {
		case f.Transit && f.Role != policy.NAT, f.Role == policy.GatewayEndpoint, f.Role == policy.NetworkBalancer:
			has[f.VPC] = true
		}
	}
	out := make([]bool, len(s.Interfaces))
	for i := range s.Interfaces {
		out[i] = has[s.Interfaces[i].VPC]
	}
	return out
}

func isACL(s *policy.Snapshot, owner string) bool {
	_, isGroup := s.Group(owner)
	return !isGroup
}

// boxesOf returns rule r, whose line is x, as boxes.
func boxesOf(x *space.Line, r *policy.Rule) ruleBoxes {
	out := ruleBoxes{boxes: x.Sure, exact: x.Exact, members: namesGroup(r)}
	if !x.Exact {
		out.boxes, _ = x.Rule.Boxes()
	}
	return out
}

// stronger reports whether o speaks before r, or beside it to the same effect.
func stronger(o, r *policy.Rule) bool {
	if o.Rank != r.Rank {
		return o.Rank < r.Rank
	}
	return o.Action == r.Action || o.Action == policy.Deny
}

// duplicateOf returns the first other rule of the same owner that permits exactly the
// same, in words as well as in effect.
func (c *ruleCoverage) duplicateOf(rules []*policy.Rule, r int, own []int) policy.Ref {
	for _, o := range own {
		if o != r && rules[o].Direction == rules[r].Direction && c.words[o] == c.words[r] && stronger(rules[o], rules[r]) {
			return rules[o].Ref
		}
	}
	return policy.Ref{}
}
