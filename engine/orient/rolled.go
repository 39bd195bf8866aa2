package orient

import (
	"math"

	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// Roll-up
//
// A row that was rolled up says that some of its hosts did what it says, not which of them.
// What it says by itself, by its flags or by the rules, holds for all of them. What rows say
// of each other holds for rows of the same host alone. So of a conversation that roll-up
// touches no more is said than what all exact rows that may be behind the rows would have
// said: where flags may have proven that another end opened it, it stays open; both ends are
// taken for the least and the most that may have met there, and what does not come out
// alike is weak or nothing.

// holds reports whether host is one of f.
func (f *far) holds(host flow.Addr) bool {
	return f.last().Compare(host) >= 0 && f.remote.Compare(host) <= 0
}

// last returns the last of the addresses of f.
func (f *far) last() flow.Addr {
	a := f.remote
	if n := f.free; n > 64 {
		a.Hi |= 1<<(n-64) - 1
	}
	a.Lo |= 1<<min(f.free, 64) - 1
	return a
}

// crowd sums up conversations that may be of the same hosts as others.
type crowd struct {
	// What flags prove: that local endpoints were asked, or remote ports.
	served map[endpoint]bool
	asked  map[uint16]bool
	// No less than what meets at any host's port, where the port is exact: of rolled-up
	// hosts, and the most of one that is not.
	ends, alone map[uint16]int
	many        int // conversations with rolled-up hosts by several remote ports
}

// note adds the conversations of g.
func (c *crowd) note(g *hosts) {
	if c.ends == nil {
		c.ends, c.alone = make(map[uint16]int), make(map[uint16]int)
	}
	for i := range g.heads {
		if h := &g.heads[i]; h.side != flow.DirectionUnknown && (h.class == flow.Opener || h.class == flow.Answer) {
			c.prove(g.at.proto, h)
		}
	}
	ends := make(map[uint16]int)
	for i := range g.talks {
		t := &g.talks[i]
		switch p, ok := t.remotePort(); {
		case !g.at.proto.HasPorts() || t.accept == [3]bool{}:
		case ok:
			ends[p] += t.ends()
		case g.at.folded():
			c.many++
		}
	}
	for p, n := range ends {
		if g.at.folded() {
			c.ends[p] += n
		} else {
			c.alone[p] = max(c.alone[p], n)
		}
	}
}

// prove adds what the flags of h prove.
func (c *crowd) prove(proto flow.Proto, h *head) {
	if c.served == nil {
		c.served, c.asked = make(map[endpoint]bool), make(map[uint16]bool)
	}
	if (h.side == flow.Ingress) == (h.class == flow.Opener) {
		c.served[endpoint{h.local, h.lport, proto}] = true
	} else {
		c.asked[h.rport] = true
	}
}

// against reports whether the flags behind c may prove of t that it was not opened in
// direction o.
func (c *crowd) against(proto flow.Proto, t *talk, o flow.Direction) bool {
	if o == flow.Egress {
		if p, ok := t.localPort(); ok {
			return c.served[endpoint{t.local, p, proto}]
		}
		for e := range c.served {
			if e.addr == t.local && t.mayBe(e.port) {
				return true
			}
		}
		return false
	}
	if p, ok := t.remotePort(); ok {
		return c.asked[p]
	}
	for p := range c.asked {
		if t.mayBe(p) {
			return true
		}
	}
	return false
}

// at returns how many may meet at the remote port of t, or at any that it may be.
func (c *crowd) at(t *talk) int {
	if p, ok := t.remotePort(); ok {
		return c.ends[p] + c.alone[p] + c.many
	}
	most, alone := 0, 0
	for p, n := range c.ends {
		if n > most && t.mayBe(p) {
			most = n
		}
	}
	for p, n := range c.alone {
		if n > alone && t.mayBe(p) {
			alone = n
		}
	}
	return most + alone + c.many
}

// veil is what roll-up hides of the conversations with one far end. That of a log that is
// not rolled up is nil.
type veil struct {
	crowds []*crowd // of those that may be of the same hosts
	over   bool     // there are others that may
	mixed  bool     // some of the same conversation may be elsewhere
}

// against reports whether flags may prove of t that it was not opened in direction o.
func (v *veil) against(proto flow.Proto, t *talk, o flow.Direction) bool {
	if v == nil || o == flow.DirectionUnknown {
		return false
	}
	for _, c := range v.crowds {
		if c.against(proto, t, o) {
			return true
		}
	}
	return false
}

// hides reports whether there may be more of the same hosts than what is seen.
func (v *veil) hides() bool { return v != nil && (v.over || v.mixed) }

// parts reports whether there may be more of the same conversations than what is seen.
func (v *veil) parts() bool { return v != nil && v.over && v.mixed }

// soften returns o as far as it can be said of conversations behind v.
func (v *veil) soften(o Opinion) Opinion {
	o.Weak = o.Weak || v != nil && v.mixed && o.Method != ByNothing
	return o
}

// veils makes the veils of the conversations of an interface, in their order.
type veils struct {
	d     *decider
	s     *span
	mixed bool
	open  []fold // those that the current far end may be in, itself included
	over  bool   // some of them are others
	// The first row of the current protocol and address.
	first  int
	proto  flow.Proto
	remote flow.Addr
}

// fold is the conversations with the hosts of a prefix.
type fold struct {
	far
	crowd *crowd
}

// veils returns nil if nothing of s is rolled up.
func (d *decider) veils(s *span) *veils {
	if !d.rolled {
		return nil
	}
	v := &veils{d: d, s: s}
	var r store.Row
	folded := false
	for i := s.lo; i < s.hi; i++ {
		d.c.Head(i, &r)
		folded = folded || r.RemoteFree > 0
		// Rows that are the same but for these are one conversation, though some may be
		// rolled up and some not.
		v.mixed = v.mixed || r.EraHi > 0 || r.Side == flow.DirectionUnknown
	}
	if !folded {
		return nil
	}
	return v
}

// next goes on to the conversations of g.
func (v *veils) next(g *hosts) {
	if v == nil {
		return
	}
	at := g.at
	if v.proto != at.proto || v.remote != at.remote {
		v.first, v.proto, v.remote = g.lo, at.proto, at.remote
	}
	open := v.open[:0]
	for _, f := range v.open {
		if f.proto == at.proto && f.holds(at.remote) {
			open = append(open, f)
		}
	}
	v.open = open
	v.over = len(open) > 0
	if at.folded() {
		own := new(crowd)
		own.note(g)
		v.open = append(v.open, fold{at, own})
	}
}

// of returns what is hidden of the conversations of g, which are those that next went on to.
func (v *veils) of(g *hosts) *veil {
	if v == nil {
		return nil
	}
	out := &veil{mixed: v.mixed, over: v.over}
	for _, f := range v.open {
		out.crowds = append(out.crowds, f.crowd)
	}
	v.inside(out, &g.at, span{lo: v.first, hi: g.lo}, span{lo: g.hi(), hi: v.s.hi})
	return out
}

// inside adds to out what is within the prefix of at, or begins where it does, before and
// behind its own rows.
func (v *veils) inside(out *veil, at *far, before, behind span) {
	var r store.Row
	var g hosts
	last := at.last()
	end := behind.lo
	for ; end < behind.hi; end++ {
		v.d.c.Head(end, &r)
		if r.Proto != at.proto || r.Remote.Compare(last) > 0 {
			break
		}
	}
	behind.hi = end
	inside := new(crowd)
	for _, s := range [2]span{before, behind} {
		for row := s.lo; row < s.hi; row = g.hi() {
			g.read(v.d.c, row, s.hi)
			out.over = true
			inside.note(&g)
		}
	}
	if out.over {
		out.crowds = append(out.crowds, inside)
	}
}

// seen are the two ends of a conversation as they look, if as much as possible speaks for
// the local end as the service, and for the remote one.
type seen struct{ forLocal, forRemote [2]looks }

// see returns how the ends of t look, of which l and r is certain.
func (t *talk) see(at *far, e *fans, v *veil, l, r looks) seen {
	lport, lok := t.localPort()
	rport, rok := t.remotePort()
	x := seen{[2]looks{l, r}, [2]looks{l, r}}
	most := &x.forLocal[0]
	switch {
	case lok && isSource(lport):
	case lok:
		if n := e.mostAt(t.local, at.proto, lport); n > most.ends {
			most.ends, most.hosts = n, n
		}
	case at.folded():
		x.forRemote[0].ephemeral = t.hi >= ephemeral
		n := max(e.mostIn(t, at.proto), 1)
		most.ends, most.hosts, most.service = n, n, t.mayServe(at.proto)
	}
	most = &x.forRemote[1]
	hidden := 0
	for _, c := range v.crowds {
		hidden += c.at(t)
	}
	switch {
	case at.folded():
		least := &x.forLocal[1]
		least.ends, least.hosts = 1, 1
		if !rok {
			least.ephemeral = t.hi >= ephemeral
			most.service = t.mayServe(at.proto)
		}
		if !rok || !isSource(rport) {
			most.ends, most.hosts = max(hidden, 1), crowded
		}
	case rok && !isSource(rport):
		most.ends += hidden
	}
	return x
}

// mayBe reports whether p is one of the client's ports of t, as far as these are known.
func (t *talk) mayBe(p uint16) bool { return t.lo <= p && p <= t.hi && t.bits>>(p&63)&1 != 0 }

// mayServe reports whether a service's port is one of the client's ports of t.
func (t *talk) mayServe(proto flow.Proto) bool {
	for _, p := range allServices {
		if t.mayBe(p) && isService(proto, p) {
			return true
		}
	}
	return false
}

// allServices are the ports that some protocol has services at.
var allServices = func() (out []uint16) {
	for p := range uint16(ephemeral) {
		if isService(flow.TCP, p) || isService(flow.UDP, p) {
			out = append(out, p)
		}
	}
	return out
}()

// localEnds is what may meet at the ports of a local address, beside what is known of each.
type localEnds struct {
	blocks map[uint16]int // no less than what meets at any one of 64 ports
	// The ports of ranges that rolled-up hosts saw: of one of them it may have been the
	// only one.
	lo, hi uint16
	hidden bool
}

// crowded is more than ever meets at one end.
const crowded = math.MaxInt / 4

// mostAt returns no less than what meets at port p of local.
func (e *fans) mostAt(local flow.Addr, proto flow.Proto, p uint16) int {
	f := e.at[endpoint{local, p, proto}]
	if x := e.local[endpoint{addr: local, proto: proto}]; f.more || x != nil && x.hidden && x.lo <= p && p <= x.hi {
		return crowded
	}
	return f.ends
}

// mostIn returns no less than what meets at any one of the client's ports of t, which are local.
func (e *fans) mostIn(t *talk, proto flow.Proto) int {
	x := e.local[endpoint{addr: t.local, proto: proto}]
	if x == nil {
		return 0
	}
	if x.hidden && t.lo <= x.hi && x.lo <= t.hi {
		return crowded
	}
	most := 0
	for b, n := range x.blocks {
		if n > most && t.lo>>6 <= b && b <= t.hi>>6 {
			most = n
		}
	}
	return most
}

// noteLocal notes what t adds to what may meet at local ends.
func (c *counter) noteLocal(at *far, t *talk) {
	key := endpoint{addr: t.local, proto: at.proto}
	x := c.out.local[key]
	if x == nil {
		x = &localEnds{blocks: make(map[uint16]int)}
		c.out.local[key] = x
	}
	p, ok := t.localPort()
	switch {
	case ok && isSource(p):
	case ok:
		n := crowded
		if f := c.at(endpoint{t.local, p, at.proto}); !f.more {
			n = f.ends
		}
		x.blocks[p>>6] = max(x.blocks[p>>6], n)
	case at.folded() && !x.hidden:
		x.lo, x.hi, x.hidden = t.lo, t.hi, true
	case at.folded():
		x.lo, x.hi = min(x.lo, t.lo), max(x.hi, t.hi)
	}
}

// attempt reports whether a rejected packet of t on this side, of hosts that are rolled up
// and had nothing accepted, can only have been an attempt: no other conversation, which may
// be of the same hosts, has the port that would then be the service's.
func (t *talk) attempt(at *far, side flow.Direction, e *fans) bool {
	if side == flow.Egress {
		p, ok := t.localPort()
		return !ok || e.at[endpoint{t.local, p, at.proto}].ends == 0
	}
	p, ok := t.remotePort()
	return !ok || !e.used[endpoint{port: p, proto: at.proto}]
}

// maybeAttempt reports whether o may be wrong of the rejected row of h because it is of hosts
// that are rolled up: of one without any accepted row, it is an attempt of its sender, or
// nothing is known of it.
func maybeAttempt(at *far, h *head, o Opinion) bool {
	return at.folded() && h.action == flow.Reject && (h.class != flow.NoFlags || o.Opener != h.side)
}

// or returns what is left of o if it may as well be p.
func (o Opinion) or(p Opinion) Opinion {
	switch {
	case o.Method != ByNothing && p.Method != ByNothing && o.Opener != p.Opener:
		return Opinion{}
	case o.Method == ByNothing:
		o, p = p, o
	}
	o.Weak = o.Method != ByNothing && (o.Weak || p.Weak || p.Method == ByNothing)
	return o
}

// staysOpen is the opinion, while opinions are made, on a row of which nothing is to be
// inferred any more.
var staysOpen = Opinion{Weak: true}
