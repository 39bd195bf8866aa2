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

// paths are the paths of a snapshot: one pair for each distinct set of groups, network ACL
// and subnet, not for each interface. They are compiled when they are asked for, and given
// up behind the last interface that has them: a policy may have tens of thousands.
type paths struct {
	snap     *policy.Snapshot
	class    []int32 // interface index → index into sets
	sets     []pathSet
	rules    []*policy.Rule // by rule id: declared rules first, then implicit ones by ref
	implicit map[policy.Ref]int32
	tabling  tabling
}

// pathSet is the paths of the interfaces that have the same.
type pathSet struct {
	first  *policy.Interface // one of them
	rows   int               // of the store, of all of them
	left   atomic.Int32      // how many pieces of them are not replayed yet
	once   sync.Once
	tables [2]compiled
}

// tabling says which tables paths get.
type tabling uint8

const (
	byRows    tabling = iota // whichever takes less time for the rows that there are
	alwaysTry                // see classify.Try
	neverTry                 // see classify.Compile
	tryPerRow = 1            // a row takes as long to try on a path as this many parts of the path to compile
)

// compiled is one path in one direction.
type compiled struct {
	stateful []bool // by stage
	table    *classify.Table
}

func statefulOf(path []policy.Stage) []bool {
	out := make([]bool, len(path))
	for i := range path {
		out[i] = path[i].Stateful
	}
	return out
}

func side(d flow.Direction) int {
	if d == flow.Egress {
		return 1
	}
	return 0
}

// pathsOf returns the paths of the interfaces of which rows are in the store: rows has how
// many, -1 for others.
func pathsOf(snap *policy.Snapshot, rows []int, how tabling, workers int) *paths {
	p := &paths{snap: snap, class: make([]int32, len(snap.Interfaces)), tabling: how}
	byKey := make(map[string]int32)
	var firsts []*policy.Interface
	for i := range snap.Interfaces {
		p.class[i] = -1
		if rows[i] < 0 {
			continue
		}
		f := &snap.Interfaces[i]
		key := snap.PathKey(f)
		class, ok := byKey[key]
		if !ok {
			class = int32(len(firsts))
			byKey[key] = class
			firsts = append(firsts, f)
		}
		p.class[i] = class
	}
	p.sets = make([]pathSet, len(firsts))
	for i, f := range firsts {
		p.sets[i].first = f
	}
	for i, class := range p.class {
		if class >= 0 {
			p.sets[class].rows += rows[i]
			if rows[i] > 0 {
				p.sets[class].left.Add(1)
			}
		}
	}
	p.number(workers)
	return p
}

// number sets the rules and their ids.
func (p *paths) number(workers int) {
	declared := p.snap.Rules()
	frames := make([][2][]policy.Stage, len(p.sets))
	each(len(p.sets), workers, func(_, i int) {
		for _, d := range [2]flow.Direction{flow.Ingress, flow.Egress} {
			frames[i][side(d)] = p.snap.Frame(p.sets[i].first.ID, d)
		}
	})
	implicit := make(map[policy.Ref]*policy.Rule)
	for i := range frames {
		for _, d := range [2]flow.Direction{flow.Ingress, flow.Egress} {
			for _, st := range frames[i][side(d)] {
				implicit[st.DefaultRef] = defaultRule(&st, d)
				for _, tier := range st.Tiers {
					for i := range tier.Rules {
						if r := &tier.Rules[i]; implicit[r.Ref] == nil {
							implicit[r.Ref] = r
						}
					}
				}
			}
		}
	}
	p.rules = slices.Grow(slices.Clone(declared), len(implicit))
	for _, r := range implicit {
		p.rules = append(p.rules, r)
	}
	slices.SortFunc(p.rules[len(declared):], func(a, b *policy.Rule) int { return a.Ref.Compare(b.Ref) })
	p.implicit = make(map[policy.Ref]int32, len(implicit))
	for i, r := range p.rules[len(declared):] {
		p.implicit[r.Ref] = int32(len(declared) + i)
	}
}

// idsInOrder returns id for one who asks for the rules of a path in their order: that of the
// snapshot, group by group. The next is the one asked for then, which spares looking it up.
func (p *paths) idsInOrder() func(policy.Ref) (int32, bool) {
	next := 0
	return func(r policy.Ref) (int32, bool) {
		if next < len(p.rules) && p.rules[next].Ref == r {
			next++
			return int32(next - 1), true
		}
		id, ok := p.id(r)
		if ok {
			next = int(id) + 1
		}
		return id, ok
	}
}

// id returns the id of the rule or default r.
func (p *paths) id(r policy.Ref) (int32, bool) {
	if r.Owner == policy.ImplicitOwner {
		if id, ok := p.implicit[r]; ok {
			return id, true
		}
	}
	i, ok := p.snap.RuleIndex(r)
	return int32(i), ok
}

// of returns the paths of interface i.
func (p *paths) of(i int32) *[2]compiled {
	s := &p.sets[p.class[i]]
	s.once.Do(func() { p.compile(s) })
	return &s.tables
}

// compile sets the tables of s.
func (p *paths) compile(s *pathSet) {
	for _, d := range [2]flow.Direction{flow.Ingress, flow.Egress} {
		path := p.snap.Path(s.first.ID, d)
		build := classify.Compile
		if p.tabling == alwaysTry || p.tabling == byRows && tryPerRow*s.rows < weight(path) {
			build = classify.Try
		}
		s.tables[side(d)] = compiled{statefulOf(path), build(path, p.idsInOrder())}
	}
}

// weight returns how much of a path there is to compile.
func weight(path []policy.Stage) int {
	n := 0
	for _, st := range path {
		for _, tier := range st.Tiers {
			for i := range tier.Rules {
				for m := range tier.Rules[i].Match {
					n += 1 + len(tier.Rules[i].Match[m].Remote.Prefixes)
				}
			}
		}
	}
	return n
}

// more says that the rows of interface i are replayed in one piece more.
func (p *paths) more(i int32) { p.sets[p.class[i]].left.Add(1) }

// replayed gives up the paths of interface i if that was the last piece to need them.
func (p *paths) replayed(i int32) {
	if s := &p.sets[p.class[i]]; s.left.Add(-1) == 0 {
		s.tables = [2]compiled{}
	}
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

// connection judges the new connection k at every stage of the path, which must be of its
// opener's direction.
func (c *compiled) connection(k *classify.Key, j *judgement) {
	if c.table.DecideAll(k, &j.out); j.out.Changed {
		c.combine(j)
	}
}

// packet judges packets like k at the stateless stages of the path, which must be of their
// direction.
func (c *compiled) packet(k *classify.Key, j *judgement) {
	if c.table.DecidePacket(k, &j.out); j.out.Changed {
		c.combine(j)
	}
}

func (c *compiled) combine(j *judgement) {
	j.serial++
	j.stateful, j.stateless, j.all = policy.Allowed, policy.Allowed, policy.Allowed
	for i := range j.out.Stages {
		st := &j.out.Stages[i]
		j.all = join(j.all, st.Verdict)
		if c.stateful[st.Stage] {
			j.stateful = join(j.stateful, st.Verdict)
		} else {
			j.stateless = join(j.stateless, st.Verdict)
		}
	}
}
