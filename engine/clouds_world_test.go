package engine_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
)

// A world is a cloud network as the vendor's documents describe it, with no type of
// the engine in it: what its rules mean is said once more, in clouds_oracle_test.go.
// Its text form is what the reader of an export would make of it.
type world struct {
	groups   []*worldGroup
	enis     []*worldENI
	lists    map[string]*worldList // pl-… → entries
	switches []*worldSwitch
	numbered bool // lines of network ACLs have numbers, in any order; else their place is their rank
}

type worldGroup struct {
	id          string
	enterprise  bool // else basic
	innerDrop   bool // InnerAccessPolicy=Drop
	permissions []permission
}

// permission is one rule of a group, or one line of a network ACL. Ports is the
// destination port in both directions.
type permission struct {
	id       string
	egress   bool
	drop     bool
	priority int
	protocol int      // 0-255; anyProtocol
	ports    [][2]int // none: -1/-1; several: a port list
	source   *[2]int  // SourcePortRange; nil: any
	peer     string   // a CIDR, an address, sg-… or pl-…
	local    string   // the CIDR of a quintuple rule's own side; empty: every address

	peerBlock, localBlock block // of texts that are blocks
}

const anyProtocol = -1

type worldENI struct {
	id         string
	addresses  []address
	delegated  []block
	groups     []string
	balancer   bool // ALB or NLB
	cutThrough bool // network ACLs do not filter it
	vswitch    *worldSwitch
}

type worldList struct {
	known  bool
	blocks []block
}

type worldSwitch struct {
	id     string
	blocks []block
	acl    []permission // in order of the export
	bound  bool         // acl is bound; else nothing filters here
}

// address is an IPv4 address, in the first four bytes, or an IPv6 one.
type address struct {
	b   [16]byte
	six bool
}

func parseAddress(s string) address { return addressOf(netip.MustParseAddr(s)) }

func addressOf(a netip.Addr) address {
	var out address
	out.six = a.Is6()
	copy(out.b[:], a.AsSlice())
	return out
}

func (a address) netip() netip.Addr {
	if a.six {
		return netip.AddrFrom16(a.b)
	}
	return netip.AddrFrom4([4]byte(a.b[:4]))
}

// block is the addresses of one family that share the first bits of start.
type block struct {
	start address
	bits  int
}

// parseBlock reads a CIDR, with or without host bits, or an address.
func parseBlock(s string) block {
	a, n, cidr := strings.Cut(s, "/")
	b := block{start: parseAddress(a), bits: 32}
	if b.start.six {
		b.bits = 128
	}
	if cidr {
		fmt.Sscan(n, &b.bits)
	}
	return b
}

func (b block) has(a address) bool {
	if b.start.six != a.six {
		return false
	}
	whole := b.bits / 8
	for i := range whole {
		if a.b[i] != b.start.b[i] {
			return false
		}
	}
	rest := b.bits % 8
	return rest == 0 || a.b[whole]>>(8-rest) == b.start.b[whole]>>(8-rest)
}

// edges returns the first and the last address of b and those beside them; not the
// unspecified IPv6 address, which is in no flow.
func (b block) edges() []address {
	p, _ := b.start.netip().Prefix(b.bits)
	last := p.Addr().AsSlice()
	for i := b.bits; i < 8*len(last); i++ {
		last[i/8] |= 1 << (7 - i%8)
	}
	end, _ := netip.AddrFromSlice(last)
	var out []address
	for _, a := range []netip.Addr{p.Addr().Prev(), p.Addr(), p.Addr().Next(), end.Prev(), end, end.Next()} {
		if a.IsValid() && a.Is6() == b.start.six && a != netip.IPv6Unspecified() {
			out = append(out, addressOf(a))
		}
	}
	return out
}

func (b block) String() string { return fmt.Sprintf("%s/%d", b.start.netip(), b.bits) }

func (w *world) group(id string) *worldGroup {
	for _, g := range w.groups {
		if g.id == id {
			return g
		}
	}
	return nil
}

// The platform of the documents: what groups admit below their rules, and what
// network ACLs do not filter.
var (
	platformBlock = parseBlock("100.64.0.0/10")
	aclExempt     = []block{parseBlock("100.100.2.128/28"), parseBlock("100.100.2.112/28"), parseBlock("100.100.100.200/32")}
)

// randomWorld draws a world whose addresses, ports and priorities are few, so that
// everything meets.
func randomWorld(r *rand.Rand) *world {
	pick := func(s ...string) string { return s[r.IntN(len(s))] }
	one := func(n int) bool { return r.IntN(n) == 0 }
	w := &world{numbered: one(2), lists: map[string]*worldList{
		"pl-four":  {known: true, blocks: []block{parseBlock("10.1.0.0/29"), parseBlock("47.9.9.0/25")}},
		"pl-six":   {known: true, blocks: []block{parseBlock("2001:db8:1::/80")}},
		"pl-empty": {known: true},
		"pl-dark":  {},
	}}
	for i := range 3 {
		s := &worldSwitch{id: fmt.Sprintf("vsw-%d", i), bound: !one(3),
			blocks: []block{parseBlock(fmt.Sprintf("10.%d.0.0/27", i)), parseBlock(fmt.Sprintf("2001:db8:%d::/64", i))}}
		w.switches = append(w.switches, s)
	}
	const groups = 6 // the last two are enterprise groups
	for i := range groups {
		w.groups = append(w.groups, &worldGroup{id: fmt.Sprintf("sg-%d", i), enterprise: i >= groups-2, innerDrop: one(2)})
	}
	for i := range 7 {
		sw := w.switches[i%len(w.switches)]
		e := &worldENI{id: fmt.Sprintf("eni-%d", i), vswitch: sw, balancer: one(7), cutThrough: one(7)}
		e.addresses = append(e.addresses, parseAddress(fmt.Sprintf("10.%d.0.%d", i%3, 4+i)))
		if one(2) {
			e.addresses = append(e.addresses, parseAddress(fmt.Sprintf("2001:db8:%d::%d", i%3, 4+i)))
		}
		if one(4) {
			e.addresses = append(e.addresses, parseAddress(fmt.Sprintf("10.%d.0.%d", i%3, 14+i)))
		}
		if one(4) {
			e.delegated = append(e.delegated, parseBlock(fmt.Sprintf("10.%d.0.24/30", i%3)))
		}
		lo, hi := 0, groups-2
		if one(3) {
			lo, hi = groups-2, groups
		}
		for _, g := range w.groups[lo:hi] {
			if one(2) {
				e.groups = append(e.groups, g.id)
			}
		}
		if one(12) {
			e.groups = append(e.groups, "sg-gone") // a group that is not in the export
		}
		w.enis = append(w.enis, e)
	}
	four := func() string {
		return pick("0.0.0.0/0", "0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/15", "10.1.0.0/27", "10.1.0.9/28", "10.0.0.4/31", "10.1.0.5", "10.2.0.6",
			"100.64.0.0/10", "100.100.0.0/16", "100.100.2.136", "47.0.0.0/8", "47.9.9.9/32", "47.9.9.128/25", "128.0.0.0/1", "255.255.255.255",
			fmt.Sprintf("10.%d.0.%d/%d", r.IntN(3), r.IntN(32), 24+r.IntN(9)))
	}
	six := func() string {
		return pick("::/0", "2001:db8::/32", "2001:db8:1::/64", "2001:db8:1::5", "2001:db8:2::/126", "8000::/1", "2001:db8:0:0::4/127")
	}
	service := func(p *permission) {
		ports := func() [2]int {
			return [][2]int{{1, 65535}, {22, 22}, {80, 80}, {80, 443}, {443, 443}, {1024, 65535}, {5432, 5432}, {1, 1}, {65535, 65535}, {81, 5432}}[r.IntN(10)]
		}
		p.protocol = []int{6, 6, 6, 6, 17, 17, 1, 58, 47, 50, anyProtocol, anyProtocol}[r.IntN(12)]
		if p.protocol != 6 && p.protocol != 17 {
			return
		}
		p.ports = append(p.ports, ports())
		if one(6) { // a port list
			for range r.IntN(3) {
				p.ports = append(p.ports, ports())
			}
		}
	}
	var drawn []permission
	for n, g := range w.groups {
		for i := range r.IntN(14) {
			p := permission{id: fmt.Sprintf("sgr-%d-%d", n, i), egress: one(2), drop: one(3),
				priority: []int{1, 1, 2, 10, 50, 50, 51, 100, 100, 110, 1 + r.IntN(100)}[r.IntN(11)]}
			service(&p)
			if (p.protocol == 6 || p.protocol == 17) && one(6) {
				p.source = &[2]int{1024 * r.IntN(2), 32768 + r.IntN(2)}
			}
			switch p.peer = four(); r.IntN(10) {
			case 0, 1:
				p.peer = six()
			case 2:
				p.peer = pick("pl-four", "pl-six", "pl-empty", "pl-dark")
			case 3, 4:
				// Basic groups alone have groups as peers, other ones than themselves, and
				// basic ones; sg-far is of another account.
				if peer := pick("sg-0", "sg-1", "sg-2", "sg-3", "sg-far"); !g.enterprise && peer != g.id {
					p.peer = peer
				}
			}
			if one(6) {
				p.local = pick("10.0.0.4/30", "10.1.0.0/29", "10.2.0.6", "2001:db8:1::/65", "0.0.0.0/0", "::/0")
			}
			if len(drawn) > 0 && one(3) { // much like another rule, of this group or another
				was := p
				p = drawn[r.IntN(len(drawn))]
				if p.id = was.id; strings.HasPrefix(p.peer, "sg-") {
					p.peer = was.peer
				}
				if one(2) {
					p.drop = was.drop
				}
				if one(3) {
					p.priority = was.priority
				}
			}
			p.fill()
			drawn = append(drawn, p)
			g.permissions = append(g.permissions, p)
		}
	}
	for _, s := range w.switches {
		for _, egress := range []bool{false, true} {
			used := make(map[int]bool)
			for i := range r.IntN(7) {
				p := permission{id: fmt.Sprintf("nae-%t-%d", egress, i), egress: egress, drop: one(3), priority: 1 + i}
				if w.numbered {
					for p.priority = 100 * (1 + r.IntN(9)); used[p.priority]; {
						p.priority = 1 + r.IntN(32766)
					}
					used[p.priority] = true
				}
				service(&p)
				p.peer = four()
				switch r.IntN(8) {
				case 0:
					p.peer = six()
				case 1:
					p.peer = pick("pl-four", "pl-six", "pl-dark")
				}
				if p.fill(); w.numbered {
					p.id = fmt.Sprintf("%s-%d", map[bool]string{false: "ingress", true: "egress"}[egress], p.priority)
					if p.peerBlock.start.six {
						p.id += "-ipv6"
					}
				}
				s.acl = append(s.acl, p)
			}
		}
	}
	return w
}

func (p *permission) fill() {
	if !strings.HasPrefix(p.peer, "sg-") && !strings.HasPrefix(p.peer, "pl-") {
		p.peerBlock = parseBlock(p.peer)
	}
	if p.local != "" {
		p.localBlock = parseBlock(p.local)
	}
}

// text writes w in the policy language.
func (w *world) text() string {
	var b strings.Builder
	b.WriteString("platform none")
	for _, x := range aclExempt {
		fmt.Fprintf(&b, " acl-exempt=%s", x)
	}
	fmt.Fprintf(&b, " admitted=%s groups-deny\n", platformBlock)
	for _, e := range w.enis {
		fmt.Fprintf(&b, "interface %s", e.id)
		for _, a := range e.addresses {
			fmt.Fprintf(&b, " %s", a.netip())
		}
		for _, g := range e.groups {
			fmt.Fprintf(&b, " %s", g)
		}
		for _, p := range e.delegated {
			fmt.Fprintf(&b, " prefix=%s", p)
		}
		fmt.Fprintf(&b, " subnet=%s vpc=vpc-1", e.vswitch.id)
		if e.balancer {
			b.WriteString(" ingress-open")
		}
		if e.cutThrough {
			b.WriteString(" no-acl")
		}
		b.WriteByte('\n')
	}
	for _, g := range w.groups {
		fmt.Fprintf(&b, "group %s vpc=vpc-1", g.id)
		if !g.enterprise {
			b.WriteString(" kind=basic egress-open")
			if !g.innerDrop {
				b.WriteString(" intra")
			}
		}
		b.WriteByte('\n')
		for i := range g.permissions {
			fmt.Fprintf(&b, "  %s priority=%d\n", g.permissions[i].text(g.permissions[i].id), g.permissions[i].priority)
		}
	}
	for _, s := range w.switches {
		fmt.Fprintf(&b, "subnet %s", s.id)
		for _, x := range s.blocks {
			fmt.Fprintf(&b, " %s", x)
		}
		b.WriteString(" vpc=vpc-1\n")
		if !s.bound {
			continue
		}
		fmt.Fprintf(&b, "acl nacl-%s subnet=%s\n", s.id, s.id)
		for i := range s.acl {
			if p := &s.acl[i]; w.numbered {
				fmt.Fprintf(&b, "  %s\n", p.text(fmt.Sprint(p.priority)))
			} else {
				fmt.Fprintf(&b, "  %s priority=%d\n", p.text(p.id), p.priority)
			}
		}
	}
	for _, id := range []string{"pl-dark", "pl-empty", "pl-four", "pl-six"} {
		fmt.Fprintf(&b, "list %s", id)
		for _, x := range w.lists[id].blocks {
			fmt.Fprintf(&b, " %s", x)
		}
		if !w.lists[id].known {
			b.WriteString(" unknown")
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// text writes p as a rule with this id, without its priority.
func (p *permission) text(id string) string {
	d, side := "ingress", "from"
	if p.egress {
		d, side = "egress", "to"
	}
	action := "allow"
	if p.drop {
		action = "deny"
	}
	protocol := "all"
	if p.protocol != anyProtocol {
		protocol = fmt.Sprint(p.protocol)
	}
	services := []string{protocol}
	for i, x := range p.ports {
		s := fmt.Sprintf("%s %d-%d", protocol, x[0], x[1])
		if i == 0 {
			services = nil
		}
		services = append(services, s)
	}
	var boxes []string
	for _, s := range services {
		box := s + " " + side + " " + p.peer
		if p.peer == "sg-far" {
			box += " foreign=1234567890123456"
		}
		if p.local != "" {
			box += " at " + p.local
		}
		if p.source != nil {
			box += fmt.Sprintf(" peer-ports=%d-%d", p.source[0], p.source[1])
		}
		boxes = append(boxes, box)
	}
	return fmt.Sprintf("%s %s %s %s", id, d, action, strings.Join(boxes, " or "))
}
