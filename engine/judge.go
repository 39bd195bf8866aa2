package engine

import (
	"slices"
	"sync"
	"sync/atomic"

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

// compile builds the paths of the interfaces for which used is true, on the given number
// of workers.
func compile(snap *policy.Snapshot, used []bool, workers int) *paths {
	p := &paths{class: make([]int32, len(snap.Interfaces))}
	byKey := make(map[string]int32)
	var of []*policy.Interface // by table: one of those that share it
	for i := range snap.Interfaces {
		p.class[i] = -1
		if !used[i] {
			continue
		}
		f := &snap.Interfaces[i]
		key := snap.PathKey(f)
		class, ok := byKey[key]
		if !ok {
			class = int32(len(of))
			byKey[key] = class
			of = append(of, f)
		}
		p.class[i] = class
	}
	p.tables = make([][2]compiled, len(of))
	each(len(of), workers, func(_, i int) {
		for _, d := range [2]flow.Direction{flow.Ingress, flow.Egress} {
			p.tables[i][side(d)].stages = snap.Path(of[i].ID, d)
		}
	})
	implicit := make(map[policy.Ref]*policy.Rule)
	for i := range p.tables {
		for _, d := range [2]flow.Direction{flow.Ingress, flow.Egress} {
			for _, st := range p.tables[i][side(d)].stages {
				implicit[st.DefaultRef] = defaultRule(&st, d)
				for _, tier := range st.Tiers {
					for i := range tier.Rules {
						r := &tier.Rules[i]
						if !r.Implicit {
							continue
						}
						if _, declared := snap.RuleIndex(r.Ref); !declared && implicit[r.Ref] == nil {
							implicit[r.Ref] = r
						}
					}
				}
			}
		}
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
	each(len(p.tables), workers, func(_, i int) {
		for d := range p.tables[i] {
			c := &p.tables[i][d]
			c.table = classify.Compile(c.stages, func(r policy.Ref) (int32, bool) { id, ok := p.ids[r]; return id, ok })
		}
	})
	return p
}

// each calls f with every number below n, on the given number of workers, and with the
// number of the worker.
func each(n, workers int, f func(worker, i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for w := range min(n, workers) {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				f(w, i)
			}
		})
	}
	wg.Wait()
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
	// serial is another number whenever this may be another judgement than the one before.
	serial uint64
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
	if c.table.DecideAll(&k, &j.out); j.out.Changed {
		c.combine(j)
	}
}

// packet judges the packets of reading x at the stateless stages of the path, which
// must be of x.Packet's direction.
func (c *compiled) packet(proto flow.Proto, x *orient.Reading, j *judgement) {
	k := key(proto, x)
	if c.table.DecidePacket(&k, &j.out); j.out.Changed {
		c.combine(j)
	}
}

func (c *compiled) combine(j *judgement) {
	j.serial++
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
