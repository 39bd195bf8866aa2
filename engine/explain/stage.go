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

// Part is what a rule that matches has to do with the verdict of its stage.
type Part uint8

const (
	Decides    Part = iota // it speaks, alone or with its equals
	Perhaps                // it would speak if what is not known of it turned out so
	PassesOn               // it sends the connection to the next tier
	PassedOver             // a rule of its tier passes the connection on before it
	Masked                 // stronger rules speak first
)

func (p Part) String() string {
	return [...]string{"decides", "perhaps", "passes on", "passed over", "masked"}[p]
}

// Match is a rule that matches a connection, or perhaps does.
type Match struct {
	Rule    *policy.Rule // as declared, references not resolved
	Tier    string
	Part    Part
	By      []policy.Ref // Masked, PassedOver: by what
	Through string       // the set that holds the peer: the id of a group or prefix list; empty: the rule names the address itself
	Certain bool         // false: part of it is not known
}

// Stage is what one stage says of a connection, with everything that has a part in it.
type Stage struct {
	Name     string
	Stateful bool
	Reached  bool // false: an earlier stage had the last word
	Decision policy.StageDecision
	Exempt   netip.Prefix // of a stage that does not apply: why
	Default  policy.Ref
	Matches  []Match // the strongest first

	// Next is what would speak if the winners were not there; the default's ref, or
	// rules. NextVerdict is Unknown if rules that perhaps match might.
	Next        []policy.Ref
	NextVerdict policy.Verdict

	// ToAllow and ToDeny are changes after which the stage allows or denies: any one of
	// each list will do. They are empty where it does so already or nothing can be
	// changed to that end.
	ToAllow, ToDeny []Change
}

// ranked is a rule that matches, or perhaps does.
type ranked struct {
	tier int
	rule *policy.Rule // references resolved
	tri  policy.Tri
}

// matching lists the rules of st that match c, the strongest first: by tier, rank, deny
// before allow; the certain before others.
func matching(st *policy.Stage, c *policy.Conn) []ranked {
	var all []ranked
	for t := range st.Tiers {
		for i := range st.Tiers[t].Rules {
			r := &st.Tiers[t].Rules[i]
			if tri := r.Matches(c); tri != policy.No {
				all = append(all, ranked{t, r, tri})
			}
		}
	}
	slices.SortFunc(all, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(a.tier, b.tier), cmp.Compare(a.rule.Rank, b.rule.Rank),
			cmp.Compare(a.rule.Action, b.rule.Action), -cmp.Compare(a.tri, b.tri), a.rule.Ref.Compare(b.rule.Ref))
	})
	return all
}

// newStage explains what st says of c.
func newStage(s *policy.Snapshot, st *policy.Stage, c *policy.Conn) Stage {
	out := Stage{Name: st.Name, Stateful: st.Stateful, Decision: st.Decide(c), Default: st.DefaultRef}
	d := &out.Decision
	if d.Skipped {
		for _, p := range st.Exempt {
			if p.Contains(c.Remote) {
				out.Exempt = p
				break
			}
		}
		return out
	}
	passed := make(map[int]policy.Ref) // tier → the rule that passes on
	for _, m := range matching(st, c) {
		line := Match{Rule: declared(s, m.rule), Tier: st.Tiers[m.tier].Name, Certain: m.tri == policy.Yes}
		line.Through = through(s, line.Rule, c)
		by, over := passed[m.tier]
		switch {
		case over:
			line.Part, line.By = PassedOver, []policy.Ref{by}
		case slices.Contains(d.Winners, m.rule.Ref):
			line.Part = Decides
		case slices.Contains(d.Possible, m.rule.Ref):
			line.Part = Perhaps
		case m.rule.Action == policy.Next && line.Certain:
			line.Part = PassesOn
			passed[m.tier] = m.rule.Ref
		default:
			line.Part, line.By = Masked, d.Winners
		}
		out.Matches = append(out.Matches, line)
	}
	rest := without(st, d.Winners)
	next := rest.Decide(c)
	out.Next, out.NextVerdict = next.Winners, next.Verdict
	if next.Verdict == policy.Unknown {
		out.Next = next.Possible
	}
	return out
}

// declared returns r as the snapshot has it, references not resolved. Implicit rules are
// themselves, but that the hidden rule of a group names the group.
func declared(s *policy.Snapshot, r *policy.Rule) *policy.Rule {
	if i, ok := s.RuleIndex(r.Ref); ok {
		return s.Rules()[i]
	}
	if id, ok := strings.CutPrefix(r.Ref.Rule, policy.IntraRef("").Rule); ok && r.Implicit {
		return intraRule(id, r.Direction)
	}
	return r
}

// intraRule is the hidden rule of group id.
func intraRule(id string, d flow.Direction) *policy.Rule {
	m := policy.NewMatch(d, policy.AnyProto, netset.AllPorts, policy.AnyICMP, policy.AddrSet{Refs: []policy.SetRef{{Kind: policy.GroupSet, ID: id}}})
	return &policy.Rule{Ref: policy.IntraRef(id), Direction: d, Action: policy.Allow, Match: []policy.Match{m}, Implicit: true}
}

// through names the set by which r matches the far side of c, if no prefix of its own does.
func through(s *policy.Snapshot, r *policy.Rule, c *policy.Conn) string {
	best, name := policy.No, ""
	for i := range r.Match {
		m := r.Match[i]
		own := policy.AddrSet{Prefixes: m.Remote.Prefixes}
		for n := -1; n < len(m.Remote.Refs); n++ {
			part, id := own, ""
			if n >= 0 {
				part, id = s.Resolve(policy.AddrSet{Refs: m.Remote.Refs[n : n+1]}), m.Remote.Refs[n].ID
			}
			try := m
			try.Remote, try.Local = part, s.Resolve(m.Local)
			if tri := try.Matches(c); tri > best {
				best, name = tri, id
			}
		}
	}
	return name
}

// without returns st without the rules refs.
func without(st *policy.Stage, refs []policy.Ref) policy.Stage {
	out := *st
	out.Tiers = slices.Clone(st.Tiers)
	for t := range out.Tiers {
		out.Tiers[t].Rules = slices.DeleteFunc(slices.Clone(out.Tiers[t].Rules), func(r policy.Rule) bool { return slices.Contains(refs, r.Ref) })
	}
	return out
}
