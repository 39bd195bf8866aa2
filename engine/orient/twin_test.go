package orient

import (
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// Slowly is Decide without anything that is there for speed: every row is looked at on its
// own, in full, on every rung.
func Slowly(c *store.Connections, env Env) []Opinion {
	d := &slow{newDecider(c, env)}
	for i := range d.spans {
		s := &d.spans[i]
		groups := d.groups(s)
		veils := d.veils(s)
		for _, g := range groups {
			veils.next(g)
			d.prove(g, veils.of(g))
		}
	}
	d.far()
	for i := range d.spans {
		s := &d.spans[i]
		groups := d.groups(s)
		veils := d.veils(s)
		ends := d.count(groups, veils != nil)
		for _, g := range groups {
			veils.next(g)
			d.infer(g, ends, veils.of(g))
		}
	}
	return d.ops
}

type slow struct{ *decider }

// groups returns the conversations of s by far end, in order.
func (d *slow) groups(s *span) (out []*hosts) {
	of := make(map[far]*hosts)
	talks := make(map[far]map[talkKey]int)
	for i := s.lo; i < s.hi; i++ {
		var r store.Row
		d.c.Row(i, &r)
		at := far{r.Proto, r.Remote, r.RemoteFree}
		g := of[at]
		if g == nil {
			g = &hosts{at: at, lo: i}
			of[at], talks[at] = g, make(map[talkKey]int)
			out = append(out, g)
		}
		h := headOf(&r)
		g.heads = append(g.heads, h)
		t := talkOf(&h)
		n, ok := talks[at][t.key()]
		if !ok {
			n = len(g.talks)
			talks[at][t.key()] = n
			g.talks = append(g.talks, t)
		}
		g.talks[n].add(i, &h)
	}
	return out
}

// row returns row i in full.
func (d *slow) row(i int) *store.Row {
	r := new(store.Row)
	d.c.Row(i, r)
	return r
}

func (d *slow) prove(g *hosts, hidden *veil) {
	for i := g.lo; i < g.hi(); i++ {
		switch r := d.row(i); {
		case r.Side == flow.DirectionUnknown:
		case r.Class == flow.Opener:
			d.ops[i] = Opinion{r.Side, ByFlags, false}
		case r.Class == flow.Answer:
			d.ops[i] = Opinion{r.Side.Reverse(), ByFlags, false}
		}
	}
	var known services
	d.learn(&known, g, g.talks)
	for i := range g.talks {
		t := &g.talks[i]
		dir, k := known.opener(t)
		for _, row := range t.rows {
			r := d.row(row)
			if d.ops[row].Method != ByNothing || r.Side == flow.DirectionUnknown {
				continue
			}
			if k.method != ByNothing && r.RemoteFree == 0 && t.clientBits(dir)&^k.clients == 0 {
				if d.ops[row] = (Opinion{dir, ByPair, false}); hidden.parts() || hidden.against(r.Proto, t, dir) {
					d.ops[row] = staysOpen
				}
				continue
			}
			if r.Action != flow.Accept {
				continue
			}
			o := Opinion{}
			if in, out := d.env.Possible(0, r); in && !out {
				o = Opinion{flow.Ingress, ByRules, false}
			} else if out && !in {
				o = Opinion{flow.Egress, ByRules, false}
			}
			if hidden.against(r.Proto, t, o.Opener) {
				o = staysOpen
			}
			d.ops[row] = o
		}
	}
}

// far asks the far ends' logs.
func (d *slow) far() {
	before := append([]Opinion(nil), d.ops...)
	for i := range d.ops {
		r := d.row(i)
		if d.env.Peer == nil || before[i].Method.Proven() || r.Side == flow.DirectionUnknown || !r.Proto.HasPorts() || r.RemoteFree > 0 {
			continue
		}
		peer, ok := d.env.Peer(r.Interface, r.Remote)
		if !ok || peer == r.Interface {
			continue
		}
		var opened, served uint64 // client ports of connections that we opened to the remote port, and that it opened to ours
		var near [3]bool
		for k := d.spans[peer].lo; k < d.spans[peer].hi; k++ {
			x := d.row(k)
			if x.Proto != r.Proto || x.Local != r.Remote || x.Remote != r.Local || x.RemoteFree > 0 || !before[k].Method.Proven() {
				continue
			}
			if even(x) && x.LocalPort == r.LocalPort && x.First <= r.Last+idle && r.First <= x.Last+idle {
				near[before[k].Opener.Reverse()] = true
			}
			h := headOf(x)
			if before[k].Opener == flow.Ingress && x.Client != store.LocalClient && x.LocalPort == r.RemotePort {
				opened |= h.clientBits(flow.Ingress)
			}
			if before[k].Opener == flow.Egress && x.Client != store.RemoteClient && x.RemotePort == r.LocalPort {
				served |= h.clientBits(flow.Egress)
			}
		}
		h := headOf(r)
		out := r.Client != store.RemoteClient && opened != 0 && h.clientBits(flow.Egress)&^opened == 0
		in := r.Client != store.LocalClient && served != 0 && h.clientBits(flow.Ingress)&^served == 0
		if even(r) {
			in, out = near[flow.Ingress], near[flow.Egress]
		}
		switch {
		case in && !out:
			d.ops[i] = Opinion{flow.Ingress, ByPeer, false}
		case out && !in:
			d.ops[i] = Opinion{flow.Egress, ByPeer, false}
		}
	}
}

// slowEnds is what meets at every endpoint, on either side.
type slowEnds struct {
	*fans
	remote map[slowEnd]*fan
}

type slowEnd struct {
	far
	port uint16
}

func (d *slow) count(groups []*hosts, rolled bool) *slowEnds {
	c := new(counter)
	c.begin(rolled)
	e := &slowEnds{remote: make(map[slowEnd]*fan)}
	local := make(map[endpoint]fan)
	for _, g := range groups {
		if rolled {
			c.note(g) // for what is beside the fans
		}
		for i := range g.talks {
			t := &g.talks[i]
			if t.accept == [3]bool{} || !g.at.proto.HasPorts() {
				continue
			}
			if p, ok := t.localPort(); ok {
				f := local[endpoint{t.local, p, g.at.proto}]
				f.add(&g.at, t.surely(&g.at))
				local[endpoint{t.local, p, g.at.proto}] = f
			}
			if p, ok := t.remotePort(); ok {
				f := e.remote[slowEnd{g.at, p}]
				if f == nil {
					f = new(fan)
					e.remote[slowEnd{g.at, p}] = f
				}
				f.add(&far{remote: t.local}, t.surely(&g.at))
			}
		}
	}
	e.fans = c.out
	e.at = local
	return e
}

func (e *slowEnds) guess(g *hosts, t *talk, v *veil) Opinion {
	oneWay, rejected := flow.DirectionUnknown, false
	var o Opinion
	in, out := t.accept[flow.Ingress], t.accept[flow.Egress]
	if in != out && !t.accept[flow.DirectionUnknown] {
		side := flow.Ingress
		if out {
			side = flow.Egress
		}
		rejected = t.reject[side.Reverse()]
		if rejected || g.at.proto == flow.UDP && !t.equalPorts() {
			oneWay = side
		}
	}
	if rejected && !g.at.folded() {
		return v.soften(Opinion{oneWay, ByOneWay, false})
	}
	if g.at.proto.HasPorts() && !t.equalPorts() {
		lport, lok := t.localPort()
		rport, rok := t.remotePort()
		l, r := plain(g.at.proto, lport, lok), plain(g.at.proto, rport, rok)
		if f, ok := e.at[endpoint{t.local, lport, g.at.proto}]; ok && lok && !isSource(lport) {
			l.ends, l.hosts = f.ends, f.hosts
		}
		if f := e.remote[slowEnd{g.at, rport}]; f != nil && rok && !isSource(rport) {
			r.ends, r.hosts = f.ends, f.hosts
		}
		o = compare(l, r, g.at.proto)
		if v != nil {
			x := t.see(&g.at, e.fans, v, l, r)
			o = compare(x.forLocal[0], x.forLocal[1], g.at.proto).or(compare(x.forRemote[0], x.forRemote[1], g.at.proto))
		}
		if v.against(g.at.proto, t, o.Opener) {
			o = Opinion{}
		}
	}
	if o.Method == ByNothing && oneWay != flow.DirectionUnknown {
		o = Opinion{oneWay, ByOneWay, true}
	}
	for _, side := range [2]flow.Direction{flow.Ingress, flow.Egress} {
		if g.at.folded() && t.accept[side] && t.reject[side.Reverse()] {
			o = o.or(Opinion{side, ByOneWay, false})
		}
	}
	return v.soften(o)
}

func (d *slow) infer(g *hosts, ends *slowEnds, hidden *veil) {
	talks := d.cut(g)
	for i := range talks {
		t := &talks[i]
		if t.accept == [3]bool{} {
			continue
		}
		guess := ends.guess(g, t, hidden)
		for _, row := range t.rows {
			if h := g.head(row); d.ops[row] == (Opinion{}) && h.side != flow.DirectionUnknown && !maybeAttempt(&g.at, h, guess) {
				d.ops[row] = guess
			}
		}
	}
	var known services
	d.learn(&known, g, talks)
	for i := range talks {
		t := &talks[i]
		dir, k := known.opener(t)
		if t.apart {
			dir, k = d.within(g, t)
		}
		if k.method.Proven() {
			k.method, k.weak = ByPorts, true
		}
		k.weak = k.weak || g.at.folded() || hidden.hides()
		if hidden.against(g.at.proto, t, dir) {
			k = service{}
		}
		for _, row := range t.rows {
			h := g.head(row)
			switch {
			case d.ops[row].Method != ByNothing:
			case d.ops[row] == staysOpen:
				d.ops[row] = Opinion{}
			case h.side == flow.DirectionUnknown:
			case k.method != ByNothing && !maybeAttempt(&g.at, h, Opinion{Opener: dir}):
				d.ops[row] = Opinion{dir, k.method, k.weak}
			case h.action == flow.Reject && h.class == flow.NoFlags && t.accept == [3]bool{} && (!g.at.folded() || t.attempt(&g.at, h.side, ends.fans)):
				d.ops[row] = Opinion{h.side, ByRejection, false}
			}
		}
	}
}
