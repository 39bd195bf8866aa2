package orient

import (
	"math/bits"
	"slices"

	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// talk is all rows of one interface, protocol and pair of hosts that share their
// exact ports: one conversation, whatever the port class of its client.
type talk struct {
	local        flow.Addr
	client       store.ClientSide
	lport, rport uint16 // the folded one is 0
	lo, hi       uint16 // of the folded port
	bits         uint64
	accepted     uint64  // of bits, those of accepted rows
	accept       [3]bool // by packet direction
	reject       [3]bool
	rows         []int
	apart        bool // what is known of other conversations says nothing of this one: see decider.cut
}

// far is the remote end of conversations: a host, or all hosts in a prefix that the store
// rolled up. Of those it is not known who of them had which.
type far struct {
	proto  flow.Proto
	remote flow.Addr
	free   uint8 // see store.Row.RemoteFree
}

func (f *far) folded() bool { return f.free > 0 }

// head is what the ladder needs of a row, beside its far end.
type head struct {
	local        flow.Addr
	bits         uint64
	lport, rport uint16
	lo, hi       uint16
	client       store.ClientSide
	side         flow.Direction
	action       flow.Action
	class        flow.FlagClass
	eraLo, eraHi uint32
}

func headOf(r *store.Row) head {
	return head{local: r.Local, bits: r.PortBits, lport: r.LocalPort, rport: r.RemotePort, lo: r.PortLo, hi: r.PortHi,
		client: r.Client, side: r.Side, action: r.Action, class: r.Class, eraLo: r.EraLo, eraHi: r.EraHi}
}

// row sets r to what it was before headOf.
func (h *head) row(at *far, r *store.Row) {
	r.Proto, r.Remote, r.RemoteFree = at.proto, at.remote, at.free
	r.Local, r.PortBits, r.LocalPort, r.RemotePort, r.PortLo, r.PortHi = h.local, h.bits, h.lport, h.rport, h.lo, h.hi
	r.Client, r.Side, r.Action, r.Class, r.EraLo, r.EraHi = h.client, h.side, h.action, h.class, h.eraLo, h.eraHi
}

func (h *head) clientBits(opener flow.Direction) uint64 {
	return clientBits(h.client, h.lport, h.rport, h.bits, opener)
}

// hosts is the conversations between an interface and one far end: rows that follow one
// another. It is reused for the next one.
type hosts struct {
	at    far
	lo    int // the first row
	heads []head
	talks []talk
	ends  map[uint16]fan  // what meets at its ports; nil: see meet
	index map[talkKey]int // of talks; nil if they are few
}

// head returns that of row i.
func (g *hosts) head(i int) *head { return &g.heads[i-g.lo] }

// hi returns the row behind the last one.
func (g *hosts) hi() int { return g.lo + len(g.heads) }

// read reads the hosts that begin at row lo, and end before row hi.
func (g *hosts) read(c *store.Connections, lo, hi int) {
	var r store.Row
	c.Head(lo, &r)
	g.at, g.lo, g.heads, g.index = far{r.Proto, r.Remote, r.RemoteFree}, lo, g.heads[:0], nil
	talks := g.talks[:0]
	last := 0
	for i := lo; ; {
		g.heads = append(g.heads, headOf(&r))
		h := &g.heads[len(g.heads)-1]
		if len(talks) == 0 || !talks[last].has(h) { // as a rule it has, as rows are ordered
			if last = g.find(talks, h); last < 0 {
				last = len(talks)
				talks = extend(talks, h)
				if g.index != nil {
					g.index[talks[last].key()] = last
				}
			}
		}
		talks[last].add(i, h)
		if i++; i == hi {
			break
		}
		c.Head(i, &r)
		if r.Remote != g.at.remote || r.Proto != g.at.proto || r.RemoteFree != g.at.free {
			break
		}
	}
	g.talks = talks
}

// find returns which of talks has h, -1 if none.
func (g *hosts) find(talks []talk, h *head) int {
	if len(talks) < 16 {
		return slices.IndexFunc(talks, func(t talk) bool { return t.has(h) })
	}
	if g.index == nil {
		g.index = make(map[talkKey]int)
		for i := range talks {
			g.index[talks[i].key()] = i
		}
	}
	t := talkOf(h)
	if i, ok := g.index[t.key()]; ok {
		return i
	}
	return -1
}

// extend appends a conversation without rows, as that of h, whose memory for rows is that of
// an earlier one.
func extend(talks []talk, h *head) []talk {
	if len(talks) == cap(talks) {
		talks = slices.Grow(talks, 1)
	}
	rows := talks[:len(talks)+1][len(talks)].rows[:0]
	t := talkOf(h)
	t.rows = rows
	return append(talks, t)
}

func talkOf(h *head) talk {
	t := talk{local: h.local, client: h.client, lport: h.lport, rport: h.rport, lo: h.lo, hi: h.hi}
	switch h.client {
	case store.LocalClient:
		t.lport = 0
	case store.RemoteClient:
		t.rport = 0
	}
	return t
}

// has reports whether the row of h is one of t.
func (t *talk) has(h *head) bool {
	return t.client == h.client && (t.lport == h.lport || h.client == store.LocalClient) &&
		(t.rport == h.rport || h.client == store.RemoteClient) && t.local == h.local
}

type talkKey struct {
	local        flow.Addr
	client       store.ClientSide
	lport, rport uint16
}

func (t *talk) key() talkKey { return talkKey{t.local, t.client, t.lport, t.rport} }

func (t *talk) add(i int, h *head) {
	t.rows = append(t.rows, i)
	t.lo, t.hi, t.bits = min(t.lo, h.lo), max(t.hi, h.hi), t.bits|h.bits
	t.notice(h)
}

// notice notes the action of the row of h.
func (t *talk) notice(h *head) {
	switch h.action {
	case flow.Accept:
		t.accept[h.side] = true
		t.accepted |= h.bits
	case flow.Reject:
		t.reject[h.side] = true
	}
}

// ends returns how many client ends t has, by the bits of folded ports: never too many.
func (t *talk) ends() int {
	if t.client == store.NoClient {
		return 1
	}
	return bits.OnesCount64(t.bits)
}

// surely returns how many it has at least, if its hosts are rolled up: some may have had
// nothing accepted.
func (t *talk) surely(at *far) int {
	if at.folded() && t.client != store.NoClient {
		return bits.OnesCount64(t.accepted)
	}
	return t.ends()
}

// localPort returns the local port if it is exact: never folded, or only one was seen.
func (t *talk) localPort() (uint16, bool) {
	if t.client == store.LocalClient {
		return t.lo, t.lo == t.hi
	}
	return t.lport, true
}

func (t *talk) remotePort() (uint16, bool) {
	if t.client == store.RemoteClient {
		return t.lo, t.lo == t.hi
	}
	return t.rport, true
}

// clientBits returns the client ports of t, as those of a row.
func (t *talk) clientBits(opener flow.Direction) uint64 {
	return clientBits(t.client, t.lport, t.rport, t.bits, opener)
}

// services are the service ports of decided connections with one far end, by who opened them.
type services struct{ in, out map[servicePort]service }

// servicePort is the port of a service in connections of the local address.
type servicePort struct {
	local flow.Addr
	port  uint16
}

func (s *services) reset() { s.in, s.out = nil, nil }

// service is how a service is known, and by which client ports.
type service struct {
	method  Method // the strongest
	weak    bool   // none of the opinions behind it rules the other reading out
	clients uint64 // as Row.PortBits
}

// clientBits returns client ports in the form of store.Row.PortBits, of a row of these ports
// whose connections were opened in direction opener.
func clientBits(client store.ClientSide, lport, rport uint16, bits uint64, opener flow.Direction) uint64 {
	switch {
	case opener == flow.Ingress && client == store.RemoteClient, opener == flow.Egress && client == store.LocalClient:
		return bits
	case opener == flow.Ingress:
		return 1 << (rport & 63)
	}
	return 1 << (lport & 63)
}

// note adds what o says of the row of h, which is one of t.
func (s *services) note(o Opinion, t *talk, h *head) {
	var m *map[servicePort]service
	var port uint16
	var ok bool
	if o.Opener == flow.Ingress {
		m = &s.in
		port, ok = t.localPort()
	} else {
		m = &s.out
		port, ok = t.remotePort()
	}
	if !ok {
		return
	}
	if *m == nil {
		*m = make(map[servicePort]service)
	}
	at := servicePort{t.local, port}
	(*m)[at] = (*m)[at].with(o, h.clientBits(o.Opener))
}

// with returns k with what o says of connections from these client ports.
func (k service) with(o Opinion, clients uint64) service {
	known := k.method != ByNothing
	if !known || o.Method < k.method {
		k.method = o.Method
	}
	k.weak = o.Weak && (k.weak || !known)
	k.clients |= clients
	return k
}

// opener returns what decided connections of the same hosts say of t.
func (s *services) opener(t *talk) (flow.Direction, service) {
	var in, out service
	if p, ok := t.localPort(); ok {
		in = s.in[servicePort{t.local, p}]
	}
	if p, ok := t.remotePort(); ok {
		out = s.out[servicePort{t.local, p}]
	}
	return either(in, out)
}

// either returns the one of two services that is known, if the other one is not.
func either(in, out service) (flow.Direction, service) {
	switch {
	case in.method != ByNothing && out.method == ByNothing:
		return flow.Ingress, in
	case out.method != ByNothing && in.method == ByNothing:
		return flow.Egress, out
	}
	return flow.DirectionUnknown, service{}
}
