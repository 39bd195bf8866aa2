package engine

import (
	"slices"

	"github.com/sgadvise/sgadvise/engine/classify"
	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/orient"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// paths are the compiled paths of a snapshot: one pair for each distinct set of
// groups, network ACL and subnet, not for each interface.
type paths struct {
	class  []int32 // interface index → index into tables
	tables [][2]compiled
	rules  []*policy.Rule // by rule id: declared rules first, then implicit ones by ref
	ids    map[policy.Ref]int32
}

// compiled is one path in one direction.
type compiled struct {
	stages []policy.Stage
	table  *classify.Table
}

func side(d flow.Direction) int {
	if d == flow.Egress {
		return 1
	}
	return 0
}

// compile builds the paths of the interfaces for which used is true.
func compile(snap *policy.Snapshot, used []bool) *paths {
	p := &paths{class: make([]int32, len(snap.Interfaces))}
	byKey := make(map[string]int32)
	implicit := make(map[policy.Ref]*policy.Rule)
	for i := range snap.Interfaces {
		p.class[i] = -1
		if !used[i] {
			continue
		}
		f := &snap.Interfaces[i]
		key := snap.PathKey(f)
		class, ok := byKey[key]
		if !ok {
			class = int32(len(p.tables))
			byKey[key] = class
			var t [2]compiled
			for _, d := range [2]flow.Direction{flow.Ingress, flow.Egress} {
				t[side(d)].stages = snap.Path(f.ID, d)
				for _, st := range t[side(d)].stages {
					implicit[st.DefaultRef] = defaultRule(&st, d)
					for _, tier := range st.Tiers {
						for i := range tier.Rules {
							r := &tier.Rules[i]
							if _, declared := snap.RuleIndex(r.Ref); r.Implicit && !declared && implicit[r.Ref] == nil {
								implicit[r.Ref] = r
							}
						}
					}
				}
			}
			p.tables = append(p.tables, t)
		}
		p.class[i] = class
	}
	declared := snap.Rules()
	p.rules = slices.Clone(declared)
	for _, r := range implicit {
		p.rules = append(p.rules, r)
	}
	slices.SortFunc(p.rules[len(declared):], func(a, b *policy.Rule) int { return a.Ref.Compare(b.Ref) })
	p.ids = make(map[policy.Ref]int32, len(p.rules))
	for i, r := range p.rules {
		p.ids[r.Ref] = int32(i)
	}
	for i := range p.tables {
		for d := range p.tables[i] {
			c := &p.tables[i][d]
			c.table = classify.Compile(c.stages, func(r policy.Ref) (int32, bool) { id, ok := p.ids[r]; return id, ok })
		}
	}
	return p
}

// defaultRule gives the default of st the shape of a rule.
func defaultRule(st *policy.Stage, d flow.Direction) *policy.Rule {
	m := policy.NewMatch(d, policy.AnyProto, netset.AllPorts, policy.AnyICMP, policy.AnyAddr)
	return &policy.Rule{Ref: st.DefaultRef, Direction: d, Action: st.Default, Match: []policy.Match{m}, Implicit: true}
}

// judgement is what a path says of a connection or packet, stage by stage, every
// stage asked even if an earlier one denied.
type judgement struct {
	out       classify.Outcome
	stateful  policy.Verdict // of the stateful stages together
	stateless policy.Verdict // of the others
	all       policy.Verdict
}

// key returns the look-up key of a reading.
func key(proto flow.Proto, x *orient.Reading) classify.Key {
	return classify.Key{Proto: proto, Local: x.Local, Remote: x.Remote, LocalPort: x.LocalPort, RemotePort: x.RemotePort}
}

// join combines the verdicts of two stages that must both allow.
func join(a, b policy.Verdict) policy.Verdict {
	switch {
	case a == policy.Denied || b == policy.Denied:
		return policy.Denied
	case a == policy.Unknown || b == policy.Unknown:
		return policy.Unknown
	}
	return policy.Allowed
}

// connection judges the new connection of reading x at every stage of the path, which
// must be of x.Opener's direction.
func (c *compiled) connection(proto flow.Proto, x *orient.Reading, j *judgement) {
	k := key(proto, x)
	c.table.DecideAll(&k, &j.out)
	c.combine(j)
}

// packet judges the packets of reading x at the stateless stages of the path, which
// must be of x.Packet's direction.
func (c *compiled) packet(proto flow.Proto, x *orient.Reading, j *judgement) {
	k := key(proto, x)
	c.table.DecidePacket(&k, &j.out)
	c.combine(j)
}

func (c *compiled) combine(j *judgement) {
	j.stateful, j.stateless, j.all = policy.Allowed, policy.Allowed, policy.Allowed
	for i := range j.out.Stages {
		st := &j.out.Stages[i]
		j.all = join(j.all, st.Verdict)
		if c.stages[st.Stage].Stateful {
			j.stateful = join(j.stateful, st.Verdict)
		} else {
			j.stateless = join(j.stateless, st.Verdict)
		}
	}
}
