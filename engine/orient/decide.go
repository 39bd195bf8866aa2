package orient

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// Env is what the ladder asks of the policy. Its functions are called concurrently,
// with worker telling the callers apart.
type Env struct {
	// Possible reports whether the policy admits row r, accepted as it was, if its
	// connection was opened in direction opener. It must answer true where it cannot
	// tell. Rows of interfaces the policy does not have, or that carry the traffic
	// of others, are always possible.
	Possible func(worker int, r *store.Row, opener flow.Direction) bool
	// Peer returns the interface code that owns address a in the same network as
	// interface code i, if its log is in the store.
	Peer    func(i uint32, a flow.Addr) (uint32, bool)
	Workers int
}

// Decide returns an opinion for every row of c, in order. The result does not depend
// on the number of workers.
func Decide(c *store.Connections, env Env) []Opinion {
	d := newDecider(c, env)
	d.parallel(d.local)
	d.peers()
	d.parallel(d.inferred)
	return d.ops
}

// span is a half-open range of rows: those of one interface.
type span struct{ lo, hi int }

type decider struct {
	c      *store.Connections
	env    Env
	ops    []Opinion
	spans  []span // by interface code
	rolled bool   // some rows are rolled up
	order  []span // those with rows, the largest first, so that no worker is left alone with one at the end
}

func newDecider(c *store.Connections, env Env) *decider {
	d := &decider{c: c, env: env, ops: make([]Opinion, c.Len()), rolled: c.RollUp().Rows > 0}
	starts := c.Spans()
	for i := range len(starts) - 1 {
		s := span{starts[i], starts[i+1]}
		d.spans = append(d.spans, s)
		if s.lo < s.hi {
			d.order = append(d.order, s)
		}
	}
	slices.SortStableFunc(d.order, func(a, b span) int { return cmp.Compare(b.hi-b.lo, a.hi-a.lo) })
	return d
}

// parallel runs f for the rows of every interface.
func (d *decider) parallel(f func(worker int, s span)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for w := range max(1, d.env.Workers) {
		wg.Go(func() {
			for {
				n := int(next.Add(1)) - 1
				if n >= len(d.order) {
					return
				}
				f(w, d.order[n])
			}
		})
	}
	wg.Wait()
}

// local is the part of the ladder that one interface's own log proves: flags, pairs,
// rules.
func (d *decider) local(worker int, s span) {
	veils := d.veils(s)
	d.hosts(s, func(at far, talks []talk) {
		look := veils.next(at, talks)
		var r store.Row
		var known services
		open, flags := false, false
		for t := range talks {
			for _, i := range talks[t].rows {
				d.c.Head(i, &r)
				switch {
				case r.Side == flow.DirectionUnknown:
				case r.Class == flow.Opener:
					d.ops[i] = Opinion{r.Side, ByFlags, false}
				case r.Class == flow.Answer:
					d.ops[i] = Opinion{r.Side.Reverse(), ByFlags, false}
				}
				open, flags = open || d.ops[i].Method == ByNothing, flags || d.ops[i].Method == ByFlags
			}
		}
		if !open {
			return
		}
		hidden := look()
		if flags {
			d.learn(&known, talks)
		}
		for t := range talks {
			dir, k := known.opener(&talks[t])
			for _, i := range talks[t].rows {
				if d.ops[i].Method != ByNothing {
					continue
				}
				d.c.Head(i, &r)
				if r.Side == flow.DirectionUnknown {
					continue
				}
				// Flags prove the connection they were seen on, and no other of that service:
				// peers may have opened one to each other, each from the port it serves.
				// Of hosts that are rolled up it is not known whose connection it was.
				if k.method != ByNothing && !at.folded() && talks[t].clientBits(dir)&^k.clients == 0 {
					d.ops[i] = Opinion{dir, ByPair, false}
					if hidden.parts() || hidden.against(at.proto, &talks[t], dir) {
						d.ops[i] = staysOpen
					}
					continue
				}
				if r.Action != flow.Accept {
					continue
				}
				in, out := d.env.Possible(worker, &r, flow.Ingress), d.env.Possible(worker, &r, flow.Egress)
				switch {
				case in && !out && hidden.against(at.proto, &talks[t], flow.Ingress),
					out && !in && hidden.against(at.proto, &talks[t], flow.Egress):
					d.ops[i] = staysOpen
				case in && !out:
					d.ops[i] = Opinion{flow.Ingress, ByRules, false}
				case out && !in:
					d.ops[i] = Opinion{flow.Egress, ByRules, false}
				}
			}
		}
	})
}

// peers asks the far end's own log. It reads only what local proved, so the order of
// interfaces does not matter.
func (d *decider) peers() {
	if d.env.Peer == nil {
		return
	}
	type answer struct {
		row    uint32
		opener flow.Direction
	}
	found := make([][]answer, max(1, d.env.Workers))
	d.parallel(func(worker int, s span) {
		var r store.Row
		var far farLog
		for i := s.lo; i < s.hi; i++ {
			if d.ops[i].Method.Proven() {
				continue
			}
			d.c.Head(i, &r)
			if r.Side == flow.DirectionUnknown || !r.Proto.HasPorts() {
				continue
			}
			if !far.answersFor(&r) {
				far.read(d, &r)
			}
			first, last := d.c.Times(i)
			if dir := far.opener(&r, times{first, last}); dir != flow.DirectionUnknown {
				found[worker] = append(found[worker], answer{uint32(i), dir})
			}
		}
	})
	for _, answers := range found {
		for _, a := range answers {
			d.ops[a.row] = Opinion{a.opener, ByPeer, false}
		}
	}
}

// inferred is the rest of the ladder: fan-in, ports, one-way traffic, and what
// follows from those for other rows of the same hosts.
func (d *decider) inferred(_ int, s span) {
	if !slices.ContainsFunc(d.ops[s.lo:s.hi], func(o Opinion) bool { return o.Method == ByNothing }) {
		return
	}
	veils := d.veils(s)
	ends := d.fanIn(s, veils != nil)
	d.hosts(s, func(at far, talks []talk) {
		look := veils.next(at, talks)
		var r store.Row
		var known services
		if !d.open(talks) {
			return
		}
		open := false
		hidden := look()
		talks = d.cut(at.proto, talks)
		for t := range talks {
			guess := Opinion{}
			if talks[t].accept != [3]bool{} {
				guess = talks[t].guess(at, ends, hidden)
			}
			for _, i := range talks[t].rows {
				d.c.Head(i, &r)
				if d.ops[i] == (Opinion{}) && r.Side != flow.DirectionUnknown && !maybeAttempt(at, &r, guess) {
					d.ops[i] = guess
				}
				open = open || d.ops[i].Method == ByNothing
			}
		}
		if !open {
			return
		}
		d.learn(&known, talks)
		for t := range talks {
			dir, k := known.opener(&talks[t])
			if talks[t].apart {
				dir, k = d.within(&talks[t])
			}
			if k.method.Proven() {
				k.method, k.weak = ByPorts, true // what proves one connection does not prove the next
			}
			// It may have been another host's, or more may be known of the same one.
			k.weak = k.weak || at.folded() || hidden.hides()
			if hidden.against(at.proto, &talks[t], dir) {
				k = service{}
			}
			for _, i := range talks[t].rows {
				if d.ops[i].Method != ByNothing {
					continue
				}
				d.c.Head(i, &r)
				switch {
				case d.ops[i] == staysOpen:
					d.ops[i] = Opinion{}
				case r.Side == flow.DirectionUnknown:
				case k.method != ByNothing && !maybeAttempt(at, &r, Opinion{Opener: dir}):
					d.ops[i] = Opinion{dir, k.method, k.weak}
				case r.Action == flow.Reject && r.Class == flow.NoFlags && talks[t].accept == [3]bool{} && (!at.folded() || talks[t].attempt(at, r.Side, ends)):
					d.ops[i] = Opinion{r.Side, ByRejection, false}
				}
			}
		}
	})
}

// open reports whether any row of talks is undecided.
func (d *decider) open(talks []talk) bool {
	for t := range talks {
		for _, i := range talks[t].rows {
			if d.ops[i].Method == ByNothing {
				return true
			}
		}
	}
	return false
}

// learn notes what the decided rows of talks say of the services of their hosts.
func (d *decider) learn(known *services, talks []talk) {
	var r store.Row
	for t := range talks {
		if talks[t].apart {
			continue
		}
		for _, i := range talks[t].rows {
			if d.ops[i].Method != ByNothing {
				d.c.Head(i, &r)
				known.note(d.ops[i], &talks[t], &r)
			}
		}
	}
}

// within returns what the decided rows of t say of the others.
func (d *decider) within(t *talk) (flow.Direction, service) {
	var by [3]service
	var r store.Row
	for _, i := range t.rows {
		if o := d.ops[i]; o.Method != ByNothing {
			d.c.Head(i, &r)
			by[o.Opener] = by[o.Opener].with(o, clientBits(&r, o.Opener))
		}
	}
	return either(by[flow.Ingress], by[flow.Egress])
}
