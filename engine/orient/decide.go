package orient

import (
	"cmp"
	"math/bits"
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
	// connection was opened in direction ingress, and if it was in direction egress. It
	// must answer true where it cannot tell. Rows of interfaces the policy does not have,
	// or that carry the traffic of others, are always possible.
	Possible func(worker int, r *store.Row) (ingress, egress bool)
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

// span is the rows of one interface.
type span struct {
	lo, hi int
	code   uint32
	fans   *fans
	begins bitset // by row behind lo: where the conversations with another far end begin
}

type decider struct {
	c       *store.Connections
	env     Env
	ops     []Opinion
	spans   []span  // by interface code
	rolled  bool    // some rows are rolled up
	order   []*span // those with rows, the largest first, so that no worker is left alone with one at the end
	workers []worker
}

// worker is what one goroutine uses for one interface after another.
type worker struct {
	hosts   hosts
	row     store.Row
	known   services
	counter counter
}

func newDecider(c *store.Connections, env Env) *decider {
	d := &decider{c: c, env: env, ops: make([]Opinion, c.Len()), rolled: c.RollUp().Rows > 0, workers: make([]worker, max(1, env.Workers))}
	starts := c.Spans()
	for i := range len(starts) - 1 {
		d.spans = append(d.spans, span{lo: starts[i], hi: starts[i+1], code: uint32(i)})
	}
	for i := range d.spans {
		if s := &d.spans[i]; s.lo < s.hi {
			d.order = append(d.order, s)
		}
	}
	slices.SortStableFunc(d.order, func(a, b *span) int { return cmp.Compare(b.hi-b.lo, a.hi-a.lo) })
	return d
}

// parallel runs f for the rows of every interface.
func (d *decider) parallel(f func(worker int, s *span)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for w := range d.workers {
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
// rules. It also counts what the rest will compare.
func (d *decider) local(worker int, s *span) {
	w := &d.workers[worker]
	veils := d.veils(s)
	s.begins = make(bitset, (s.hi-s.lo+63)/64)
	w.row.Interface = s.code
	w.counter.begin(veils != nil)
	for lo := s.lo; lo < s.hi; lo = w.hosts.hi() {
		w.hosts.read(d.c, lo, s.hi)
		s.begins.set(lo - s.lo)
		veils.next(&w.hosts)
		w.counter.note(&w.hosts)
		d.prove(worker, &w.hosts, veils)
	}
	s.fans = w.counter.end()
}

// prove sets the opinions on the rows of g that are proven, and what is to stay open.
func (d *decider) prove(worker int, g *hosts, veils *veils) {
	open, flags := false, false
	for k := range g.heads {
		h := &g.heads[k]
		switch {
		case h.side == flow.DirectionUnknown:
			open = true
		case h.class == flow.Opener:
			d.ops[g.lo+k], flags = Opinion{h.side, ByFlags, false}, true
		case h.class == flow.Answer:
			d.ops[g.lo+k], flags = Opinion{h.side.Reverse(), ByFlags, false}, true
		default:
			open = true
		}
	}
	if !open {
		return
	}
	w := &d.workers[worker]
	hidden := veils.of(g)
	w.known.reset()
	if flags {
		d.learn(&w.known, g, g.talks)
	}
	for i := range g.talks {
		t := &g.talks[i]
		dir, k := w.known.opener(t)
		for _, row := range t.rows {
			h := g.head(row)
			if d.ops[row].Method != ByNothing || h.side == flow.DirectionUnknown {
				continue
			}
			// Flags prove the connection they were seen on, and no other of that service:
			// peers may have opened one to each other, each from the port it serves.
			// Of hosts that are rolled up it is not known whose connection it was.
			if k.method != ByNothing && !g.at.folded() && t.clientBits(dir)&^k.clients == 0 {
				d.ops[row] = Opinion{dir, ByPair, false}
				if hidden.parts() || hidden.against(g.at.proto, t, dir) {
					d.ops[row] = staysOpen
				}
				continue
			}
			if h.action != flow.Accept {
				continue
			}
			h.row(&g.at, &w.row)
			in, out := d.env.Possible(worker, &w.row)
			switch {
			case in && !out && hidden.against(g.at.proto, t, flow.Ingress),
				out && !in && hidden.against(g.at.proto, t, flow.Egress):
				d.ops[row] = staysOpen
			case in && !out:
				d.ops[row] = Opinion{flow.Ingress, ByRules, false}
			case out && !in:
				d.ops[row] = Opinion{flow.Egress, ByRules, false}
			}
		}
	}
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
	found := make([][]answer, len(d.workers))
	d.parallel(func(worker int, s *span) {
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
func (d *decider) inferred(worker int, s *span) {
	if !slices.ContainsFunc(d.ops[s.lo:s.hi], func(o Opinion) bool { return o.Method == ByNothing }) {
		return
	}
	g := &d.workers[worker].hosts
	if veils := d.veils(s); veils != nil {
		for lo := s.lo; lo < s.hi; lo = g.hi() {
			g.read(d.c, lo, s.hi)
			veils.next(g)
			if d.open(g) {
				d.infer(worker, g, s.fans, veils.of(g))
			}
		}
		return
	}
	for row := s.lo; row < s.hi; row++ {
		if d.ops[row].Method != ByNothing {
			continue
		}
		g.read(d.c, s.lo+s.begins.last(row-s.lo), s.hi)
		d.infer(worker, g, s.fans, nil)
		row = g.hi() - 1
	}
}

// open reports whether any row of g is undecided.
func (d *decider) open(g *hosts) bool {
	return slices.ContainsFunc(d.ops[g.lo:g.hi()], func(o Opinion) bool { return o.Method == ByNothing })
}

// infer sets opinions on the undecided rows of g.
func (d *decider) infer(worker int, g *hosts, ends *fans, hidden *veil) {
	g.count()
	talks := d.cut(g)
	open := false
	for i := range talks {
		t := &talks[i]
		guess := Opinion{}
		if t.accept != [3]bool{} {
			guess = g.guess(t, ends, hidden)
		}
		for _, row := range t.rows {
			if h := g.head(row); d.ops[row] == (Opinion{}) && h.side != flow.DirectionUnknown && !maybeAttempt(&g.at, h, guess) {
				d.ops[row] = guess
			}
			open = open || d.ops[row].Method == ByNothing
		}
	}
	if !open {
		return
	}
	known := &d.workers[worker].known
	known.reset()
	d.learn(known, g, talks)
	for i := range talks {
		t := &talks[i]
		dir, k := known.opener(t)
		if t.apart {
			dir, k = d.within(g, t)
		}
		if k.method.Proven() {
			k.method, k.weak = ByPorts, true // what proves one connection does not prove the next
		}
		// It may have been another host's, or more may be known of the same one.
		k.weak = k.weak || g.at.folded() || hidden.hides()
		if hidden.against(g.at.proto, t, dir) {
			k = service{}
		}
		for _, row := range t.rows {
			if d.ops[row].Method != ByNothing {
				continue
			}
			h := g.head(row)
			switch {
			case d.ops[row] == staysOpen:
				d.ops[row] = Opinion{}
			case h.side == flow.DirectionUnknown:
			case k.method != ByNothing && !maybeAttempt(&g.at, h, Opinion{Opener: dir}):
				d.ops[row] = Opinion{dir, k.method, k.weak}
			case h.action == flow.Reject && h.class == flow.NoFlags && t.accept == [3]bool{} && (!g.at.folded() || t.attempt(&g.at, h.side, ends)):
				d.ops[row] = Opinion{h.side, ByRejection, false}
			}
		}
	}
}

// learn notes what the decided rows of talks, those of g, say of the services of their hosts.
func (d *decider) learn(known *services, g *hosts, talks []talk) {
	for i := range talks {
		if talks[i].apart {
			continue
		}
		for _, row := range talks[i].rows {
			if d.ops[row].Method != ByNothing {
				known.note(d.ops[row], &talks[i], g.head(row))
			}
		}
	}
}

// within returns what the decided rows of t say of the others.
func (d *decider) within(g *hosts, t *talk) (flow.Direction, service) {
	var by [3]service
	for _, row := range t.rows {
		if o := d.ops[row]; o.Method != ByNothing {
			by[o.Opener] = by[o.Opener].with(o, g.head(row).clientBits(o.Opener))
		}
	}
	return either(by[flow.Ingress], by[flow.Egress])
}

// bitset is a set of small numbers.
type bitset []uint64

func (b bitset) set(i int) { b[i>>6] |= 1 << (i & 63) }

// last returns the greatest number in b that is not above i. There is one.
func (b bitset) last(i int) int {
	word := b[i>>6] & (1<<(i&63)<<1 - 1)
	for i >>= 6; word == 0; {
		i--
		word = b[i]
	}
	return i<<6 + 63 - bits.LeadingZeros64(word)
}
