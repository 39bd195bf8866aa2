package cover

import (
	"net/netip"
	"slices"
	"sync"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// Weights say how much it matters that a point is admitted. The exposure of a set of
// points is the sum over its addresses and services of address weight × service
// weight. Services count by what a rule can name: each port of TCP and UDP, each type
// of ICMP, any other protocol as a whole; a part of such a unit counts in full.
// Weights are immutable once used.
type Weights struct {
	Public, Private uint64         // of one address
	Blocks          []netip.Prefix // which addresses are private
	Port, AdminPort uint64         // of one port; ICMP types and other protocols weigh 1
	AdminPorts      []uint16

	once sync.Once
	made *measure // see measure
}

// DefaultWeights returns the weights that exposure is reported in. A public address
// weighs 64 times a private one (RFC 1918, shared address space, unique local and
// link-local), and a port on which machines are administered 8 times another.
func DefaultWeights() *Weights {
	w := &Weights{Public: 64, Private: 1, Port: 1, AdminPort: 8,
		// SSH, telnet, MS-RPC, NetBIOS, SMB, rlogin and rsh, Docker, RDP, VNC, WinRM, kubelet
		AdminPorts: []uint16{22, 23, 135, 139, 445, 513, 514, 2375, 2376, 3389, 5900, 5985, 5986, 10250}}
	for _, s := range []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "fe80::/10"} {
		w.Blocks = append(w.Blocks, netip.MustParsePrefix(s))
	}
	return w
}

// Exposure returns the exposure of the union of boxes in the default weights.
func Exposure(boxes []netset.Box) netset.Size { return DefaultWeights().Exposure(boxes) }

// Exposure returns the exposure of the union of boxes: points in several boxes count
// once. Exact, in O(m log m).
func (w *Weights) Exposure(boxes []netset.Box) netset.Size { return w.measure().union(boxes) }

// measure returns w made ready for sums, once.
func (w *Weights) measure() *measure {
	w.once.Do(func() { w.made = newMeasure(w) })
	return w.made
}

// measure is Weights made ready for sums.
type measure struct {
	public, private uint64
	blocks4         []span4        // private, disjoint
	blocks6         []netset.Addrs // private, disjoint
	port, admin     uint64
	admins          []uint16    // in order, distinct
	before          [257]uint64 // service weight of all protocols before this one
}

// span4 is an interval of IPv4 addresses.
type span4 struct{ first, last uint32 }

func newMeasure(w *Weights) *measure {
	m := &measure{public: w.Public, private: w.Private, port: w.Port, admin: w.AdminPort}
	m.admins = slices.Clone(w.AdminPorts)
	slices.Sort(m.admins)
	m.admins = slices.Compact(m.admins)
	var blocks []netset.Addrs
	for _, p := range w.Blocks {
		if p.IsValid() {
			blocks = append(blocks, netset.AddrsOf(p))
		}
	}
	for _, b := range outermost(blocks) {
		if b.Is4() {
			m.blocks4 = append(m.blocks4, span4{b.First.V4(), b.Last.V4()})
		} else {
			m.blocks6 = append(m.blocks6, b)
		}
	}
	for p := range 256 {
		m.before[p+1] = m.before[p] + m.within(netset.ServiceOf(flow.Proto(p), netset.AllPorts))
	}
	return m
}

// compareAddrs orders intervals by first address, the wider first.
func compareAddrs(a, b netset.Addrs) int {
	if c := a.First.Compare(b.First); c != 0 {
		return c
	}
	return b.Last.Compare(a.Last)
}

// outermost sorts prefixes and drops those inside others.
func outermost(as []netset.Addrs) []netset.Addrs {
	slices.SortFunc(as, compareAddrs)
	out := as[:0]
	for _, a := range as {
		if len(out) == 0 || !out[len(out)-1].Covers(a) {
			out = append(out, a)
		}
	}
	return out
}

// addrs returns the weight of the addresses of a.
func (m *measure) addrs(a netset.Addrs) netset.Size {
	if a.Is4() { // most calls: words are enough
		first, last := a.First.V4(), a.Last.V4()
		var private uint64
		for _, b := range m.blocks4 {
			if b.first <= last && first <= b.last {
				private += uint64(min(last, b.last)-max(first, b.first)) + 1
			}
		}
		return netset.SizeOf(uint64(last-first) + 1 - private).Mul(m.public).Add(netset.SizeOf(private).Mul(m.private))
	}
	var private netset.Size
	for _, b := range m.blocks6 {
		if x, ok := b.Intersect(a); ok {
			private = private.Add(x.Size())
		}
	}
	return a.Size().Sub(private).Mul(m.public).Add(private.Mul(m.private))
}

// services returns the weight of the services of s.
func (m *measure) services(s netset.Services) uint64 {
	first, last := s.First>>16, s.Last>>16
	if first == last {
		return m.within(s)
	}
	return m.within(netset.Services{First: s.First, Last: s.First | 0xffff}) + m.before[last] - m.before[first+1] +
		m.within(netset.Services{First: s.Last &^ 0xffff, Last: s.Last})
}

// within returns the weight of services of one protocol.
func (m *measure) within(s netset.Services) uint64 {
	p, _ := s.Proto()
	switch {
	case p.HasPorts():
		r := s.Ports()
		lo, _ := slices.BinarySearch(m.admins, r.First)
		hi, found := slices.BinarySearch(m.admins, r.Last)
		if found {
			hi++
		}
		return uint64(r.Len()-(hi-lo))*m.port + uint64(hi-lo)*m.admin
	case p.IsICMP():
		return uint64(s.Last>>8-s.First>>8) + 1
	}
	return 1
}

// whole widens s to the units that services counts in, so that weights of disjoint
// widened intervals add up.
func whole(s netset.Services) netset.Services {
	s.First &^= unitMask(s.First)
	s.Last |= unitMask(s.Last)
	return s
}

func unitMask(x uint32) uint32 {
	switch p := flow.Proto(x >> 16); {
	case p.HasPorts():
		return 0
	case p.IsICMP():
		return 0xff
	}
	return 0xffff
}

// box returns the exposure of one box.
func (m *measure) box(b netset.Box) netset.Size { return m.addrs(b.Addrs).Mul(m.services(b.Services)) }

// union returns the exposure of the union of boxes. A line moves along the addresses;
// a tree over the services knows the weight of what is covered at the line.
func (m *measure) union(boxes []netset.Box) netset.Size {
	if len(boxes) <= 1 {
		if len(boxes) == 0 {
			return netset.Size{}
		}
		return m.box(boxes[0])
	}
	type event struct {
		at   flow.Addr
		end  bool
		a, b int32 // cells [a, b)
	}
	cuts := make([]uint32, 0, 2*len(boxes))
	for _, b := range boxes {
		s := whole(b.Services)
		cuts = append(cuts, s.First, s.Last+1)
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	cell := func(x uint32) int32 { i, _ := slices.BinarySearch(cuts, x); return int32(i) }
	events := make([]event, 0, 2*len(boxes))
	for _, b := range boxes {
		s := whole(b.Services)
		lo, hi := cell(s.First), cell(s.Last+1)
		events = append(events, event{b.Addrs.First, false, lo, hi}, event{b.Addrs.Last, true, lo, hi})
	}
	// A box ends after its last address, so at one address starts come before ends.
	slices.SortFunc(events, func(x, y event) int {
		if c := x.at.Compare(y.at); c != 0 {
			return c
		}
		switch {
		case x.end == y.end:
			return 0
		case x.end:
			return 1
		}
		return -1
	})
	t := newCoverTree(m, cuts)
	// from is the first address not yet counted; open says that it is the address
	// after from, which has just been counted.
	var total netset.Size
	var from flow.Addr
	open := false
	count := func(to flow.Addr, including bool) {
		w := t.weight()
		if w == 0 {
			return
		}
		a := netset.Addrs{First: from, Last: to}
		n := m.addrs(a)
		if open {
			n = n.Sub(m.addrs(netset.OneAddr(from)))
		}
		if !including {
			n = n.Sub(m.addrs(netset.OneAddr(to)))
		}
		total = total.Add(n.Mul(w))
	}
	for i, e := range events {
		if i > 0 && (e.at != from || e.end != open) {
			count(e.at, e.end)
		}
		if e.end {
			t.add(1, 0, t.n, int(e.a), int(e.b), -1)
		} else {
			t.add(1, 0, t.n, int(e.a), int(e.b), 1)
		}
		from, open = e.at, e.end
	}
	return total
}

// coverTree knows the weight of the cells that something covers; cells lie between
// successive cuts.
type coverTree struct {
	n     int
	m     *measure
	cuts  []uint32
	count []int32  // intervals that cover the node's cells whole
	weigh []uint64 // weight of the covered cells under the node
}

func newCoverTree(m *measure, cuts []uint32) *coverTree {
	n := len(cuts) - 1
	return &coverTree{n, m, cuts, make([]int32, 4*n), make([]uint64, 4*n)}
}

func (t *coverTree) weight() uint64 { return t.weigh[1] }

// add covers (d = 1) or uncovers (d = -1) the cells [a, b); v is the node of [l, r).
func (t *coverTree) add(v, l, r, a, b int, d int32) {
	if a <= l && r <= b {
		t.count[v] += d
	} else {
		mid := (l + r) / 2
		if a < mid {
			t.add(2*v, l, mid, a, b, d)
		}
		if b > mid {
			t.add(2*v+1, mid, r, a, b, d)
		}
	}
	switch {
	case t.count[v] > 0:
		t.weigh[v] = t.m.services(netset.Services{First: t.cuts[l], Last: t.cuts[r] - 1})
	case r-l == 1:
		t.weigh[v] = 0
	default:
		t.weigh[v] = t.weigh[2*v] + t.weigh[2*v+1]
	}
}
