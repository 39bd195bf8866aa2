package orient

import (
	"math/bits"

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

// hosts calls f with the conversations between each pair of hosts in s. The slice and
// what it holds are reused.
func (d *decider) hosts(s span, f func(at far, talks []talk)) {
	var r store.Row
	var talks []talk
	for lo := s.lo; lo < s.hi; {
		d.c.Head(lo, &r)
		at := far{r.Proto, r.Remote, r.RemoteFree}
		for i := range talks {
			talks[i].rows = talks[i].rows[:0]
		}
		n, last := 0, 0
		var index map[talkKey]int
		hi := lo
		for ; hi < s.hi; hi++ {
			d.c.Head(hi, &r)
			if r.Proto != at.proto || r.Remote != at.remote || r.RemoteFree != at.free {
				break
			}
			k := keyOf(&r)
			of := -1
			switch {
			case n > 0 && talks[last].key() == k: // as a rule, as rows are ordered
				of = last
			case index == nil:
				for i := range talks[:n] {
					if talks[i].key() == k {
						of = i
						break
					}
				}
				if of < 0 && n >= 16 {
					index = make(map[talkKey]int)
					for i := range talks[:n] {
						index[talks[i].key()] = i
					}
				}
			default:
				if i, ok := index[k]; ok {
					of = i
				}
			}
			if of < 0 {
				of = n
				n++
				if len(talks) < n {
					talks = append(talks, talk{})
				}
				talks[of] = talk{local: k.local, client: k.client, lport: k.lport, rport: k.rport,
					lo: r.PortLo, hi: r.PortHi, rows: talks[of].rows[:0]}
				if index != nil {
					index[k] = of
				}
			}
			talks[of].add(hi, &r)
			last = of
		}
		f(at, talks[:n])
		lo = hi
	}
}

type talkKey struct {
	local        flow.Addr
	client       store.ClientSide
	lport, rport uint16
}

func keyOf(r *store.Row) talkKey {
	k := talkKey{r.Local, r.Client, r.LocalPort, r.RemotePort}
	switch r.Client {
	case store.LocalClient:
		k.lport = 0
	case store.RemoteClient:
		k.rport = 0
	}
	return k
}

func (t *talk) key() talkKey { return talkKey{t.local, t.client, t.lport, t.rport} }

func (t *talk) add(i int, r *store.Row) {
	t.rows = append(t.rows, i)
	t.lo, t.hi, t.bits = min(t.lo, r.PortLo), max(t.hi, r.PortHi), t.bits|r.PortBits
	t.notice(r)
}

// notice notes the action of row r.
func (t *talk) notice(r *store.Row) {
	switch r.Action {
	case flow.Accept:
		t.accept[r.Side] = true
		t.accepted |= r.PortBits
	case flow.Reject:
		t.reject[r.Side] = true
	}
}

// ends returns how many client ends t has, by the bits of folded ports: never too many.
func (t *talk) ends() int {
	if t.client == store.NoClient {
		return 1
	}
	return bits.OnesCount64(t.bits)
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
	return clientBits(&store.Row{Client: t.client, LocalPort: t.lport, RemotePort: t.rport, PortBits: t.bits}, opener)
}

// services are the service ports of decided connections between two hosts.
type services struct{ in, out map[uint16]service }

// service is how a service is known, and by which client ports.
type service struct {
	method  Method // the strongest
	weak    bool   // none of the opinions behind it rules the other reading out
	clients uint64 // as Row.PortBits
}

// clientBits returns the client ports of r in the form of Row.PortBits, if its
// connections were opened in direction opener.
func clientBits(r *store.Row, opener flow.Direction) uint64 {
	switch {
	case opener == flow.Ingress && r.Client == store.RemoteClient, opener == flow.Egress && r.Client == store.LocalClient:
		return r.PortBits
	case opener == flow.Ingress:
		return 1 << (r.RemotePort & 63)
	}
	return 1 << (r.LocalPort & 63)
}

// note adds what o says of the row r of t.
func (s *services) note(o Opinion, t *talk, r *store.Row) {
	var m *map[uint16]service
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
		*m = make(map[uint16]service)
	}
	(*m)[port] = (*m)[port].with(o, clientBits(r, o.Opener))
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
		in = s.in[p]
	}
	if p, ok := t.remotePort(); ok {
		out = s.out[p]
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
