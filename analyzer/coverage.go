package analyzer

import (
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// ruleCoverage says for every declared rule where it is in force and whether other
// rules permit all that it permits there, whatever the traffic.
type ruleCoverage struct {
	interfaces [][]int // rule → indexes of the interfaces where it is in force
	rules      []covered
	boxes      []ruleBoxes
	words      []string // what the rule says, in canonical words
	passed     []bool   // rule → in force where an appliance may pass traffic on
}

// covered is what the configuration alone says of a rule.
type covered struct {
	everywhere bool         // by other rules, on every interface where it is in force (and there is one)
	own        bool         // by other rules of its own group or ACL: safe under any attachment
	by         []policy.Ref // a small set that does it on the first interface
	members    bool         // group members as of the snapshot are part of the reason
	duplicate  policy.Ref   // another rule of the same owner with the same boxes; zero: none
}

// ruleBoxes is a rule as boxes with its references resolved.
type ruleBoxes struct {
	boxes   []netset.Box
	exact   bool // the boxes say all of it
	members bool // they depend on who is member of a group
}

func newRuleCoverage(s *policy.Snapshot) *ruleCoverage {
	c := &ruleCoverage{}
	rules := s.Rules()
	c.interfaces = make([][]int, len(rules))
	c.rules = make([]covered, len(rules))
	for _, r := range rules {
		c.boxes = append(c.boxes, boxesOf(s, r))
		c.words = append(c.words, substance(r))
	}

	// Rules by owner and direction; interfaces by what they share.
	byOwner := make(map[string][]int)
	for i, r := range rules {
		k := r.Ref.Owner + " " + r.Direction.String()
		byOwner[k] = append(byOwner[k], i)
	}
	for i := range s.Interfaces {
		f := &s.Interfaces[i]
		owners := slices.Clone(f.Groups)
		if acl, _, ok := s.ACLFor(f); ok {
			owners = append(owners, acl.ID)
		}
		for _, o := range owners {
			for _, d := range [2]flow.Direction{flow.Ingress, flow.Egress} {
				for _, r := range byOwner[o+" "+d.String()] {
					c.interfaces[r] = append(c.interfaces[r], i)
				}
			}
		}
	}

	behind := behindAppliance(s)
	c.passed = make([]bool, len(rules))
	for i := range rules {
		c.passed[i] = slices.ContainsFunc(c.interfaces[i], func(f int) bool { return behind[f] })
	}

	type scope struct {
		r   int
		key string
	}
	seen := make(map[scope]bool)
	for r := range rules {
		own := byOwner[rules[r].Ref.Owner+" "+rules[r].Direction.String()]
		cov := &c.rules[r]
		cov.duplicate = c.duplicateOf(rules, r, own)
		by, ok := c.covers(rules, r, own)
		cov.own = ok
		if ok {
			cov.by = refsOf(rules, by)
			cov.members = c.membersMatter(r, by)
		}
		if len(c.interfaces[r]) == 0 {
			continue
		}
		if ok {
			cov.everywhere = true
			continue
		}
		if isACL(s, rules[r].Ref.Owner) {
			continue // no other list speaks in the same stage
		}
		cov.everywhere = true
		for n, i := range c.interfaces[r] {
			key := scope{r, strings.Join(s.Interfaces[i].Groups, " ")}
			if seen[key] {
				continue
			}
			seen[key] = true
			var others []int
			for _, g := range s.Interfaces[i].Groups {
				others = append(others, byOwner[g+" "+rules[r].Direction.String()]...)
			}
			by, ok := c.covers(rules, r, others)
			if !ok {
				cov.everywhere, cov.by, cov.members = false, nil, false
				break
			}
			if n == 0 {
				cov.by = refsOf(rules, by)
			}
			cov.members = cov.members || c.membersMatter(r, by)
		}
	}
	return c
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

func boxesOf(s *policy.Snapshot, r *policy.Rule) ruleBoxes {
	e := *r
	e.Match = slices.Clone(r.Match)
	out := ruleBoxes{}
	for i := range e.Match {
		for _, ref := range e.Match[i].Remote.Refs {
			out.members = out.members || ref.Kind == policy.GroupSet
		}
		e.Match[i].Remote = s.Resolve(e.Match[i].Remote)
		e.Match[i].Local = s.Resolve(e.Match[i].Local)
	}
	out.boxes, out.exact = e.Boxes()
	return out
}

// covers reports whether the rules among others that rank at least as high as r
// permit (in an ordered list: decide) all that r does, and names few that do. A rule
// that matches nothing at present, or not for certain, is covered by nothing; one
// that is not for certain covers nothing. Members of groups do not cover a prefix where
// an appliance passes traffic on.
func (c *ruleCoverage) covers(rules []*policy.Rule, r int, others []int) ([]int, bool) {
	mine := &c.boxes[r]
	if !mine.exact || len(mine.boxes) == 0 {
		return nil, false
	}
	var by []int
	for _, o := range others {
		if o == r || !c.boxes[o].exact || !stronger(rules[o], rules[r]) || c.passed[r] && c.boxes[o].members && !mine.members {
			continue
		}
		if slices.ContainsFunc(c.boxes[o].boxes, func(b netset.Box) bool {
			return slices.ContainsFunc(mine.boxes, b.Overlaps)
		}) {
			by = append(by, o)
		}
	}
	union := func(of []int) []netset.Box {
		var out []netset.Box
		for _, o := range of {
			out = append(out, c.boxes[o].boxes...)
		}
		return out
	}
	if ok, _ := netset.CoveredAll(mine.boxes, union(by)); !ok {
		return nil, false
	}
	// One rule that does it alone is the best reason; else leave out what is not needed.
	for _, o := range by {
		if ok, _ := netset.CoveredAll(mine.boxes, c.boxes[o].boxes); ok {
			return []int{o}, true
		}
	}
	for i := 0; i < len(by); {
		without := slices.Delete(slices.Clone(by), i, i+1)
		if ok, _ := netset.CoveredAll(mine.boxes, union(without)); ok {
			by = without
		} else {
			i++
		}
	}
	return by, true
}

// stronger reports whether o speaks before r, or beside it to the same effect.
func stronger(o, r *policy.Rule) bool {
	if o.Rank != r.Rank {
		return o.Rank < r.Rank
	}
	return o.Action == r.Action || o.Action == policy.Deny
}

func (c *ruleCoverage) membersMatter(r int, by []int) bool {
	return c.boxes[r].members || slices.ContainsFunc(by, func(o int) bool { return c.boxes[o].members })
}

// duplicateOf returns the first other rule of the same owner that permits exactly the
// same, in words as well as in effect.
func (c *ruleCoverage) duplicateOf(rules []*policy.Rule, r int, own []int) policy.Ref {
	for _, o := range own {
		if o != r && c.words[o] == c.words[r] && stronger(rules[o], rules[r]) {
			return rules[o].Ref
		}
	}
	return policy.Ref{}
}

func refsOf(rules []*policy.Rule, ids []int) []policy.Ref {
	var out []policy.Ref
	for _, i := range ids {
		out = append(out, rules[i].Ref)
	}
	slices.SortFunc(out, policy.Ref.Compare)
	return out
}
