package plan_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// Ordered worlds have a universe of their own, small enough for three looks at every
// point of it: 16 IPv4 addresses, 8 of IPv6, two of the platform, two of the Internet,
// 11 service ports, two client ports.
const orderedPorts = 10

func orderedAddress(rng *rand.Rand) netip.Addr {
	switch rng.IntN(10) {
	case 0:
		return netip.AddrFrom4([4]byte{100, 64, 0, byte(rng.IntN(2))})
	case 1:
		return netip.AddrFrom4([4]byte{20, 0, 0, byte(rng.IntN(2))})
	case 2, 3:
		return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(rng.IntN(8))})
	}
	return netip.AddrFrom4([4]byte{10, 0, 0, byte(rng.IntN(16))})
}

// orderedPolicy writes basic or enterprise groups with priorities, denies, ties,
// restrictions of the own side, and network ACLs.
func orderedPolicy(rng *rand.Rand) string {
	var b strings.Builder
	b.WriteString("platform none")
	if rng.IntN(2) == 0 {
		b.WriteString(" admitted=100.64.0.0/31")
	}
	if rng.IntN(3) == 0 {
		b.WriteString(" acl-exempt=10.0.0.14/31")
	}
	if rng.IntN(2) == 0 {
		b.WriteString(" groups-deny")
	}
	if rng.IntN(2) == 0 {
		b.WriteString(" no-self-peer")
	}
	b.WriteString("\nsubnet subnet-0 10.0.0.8/30 2001:db8::/126\nsubnet subnet-1 10.0.0.12/30\n")
	b.WriteString("list pl-1 10.0.0.0/31 10.0.0.4/32\n")
	if rng.IntN(4) == 0 {
		b.WriteString("list pl-2 unknown\n")
	} else {
		b.WriteString("list pl-2 10.0.0.2/31\n")
	}
	groups, enis := 1+rng.IntN(3), 1+rng.IntN(3)
	for e := range enis {
		fmt.Fprintf(&b, "interface eni-%d 10.0.0.%d", e, 8+e)
		if rng.IntN(3) > 0 {
			fmt.Fprintf(&b, " 2001:db8::%d", e)
		}
		for g := range groups {
			if rng.IntN(3) > 0 {
				fmt.Fprintf(&b, " sg-%d", g)
			}
		}
		if rng.IntN(30) == 0 {
			b.WriteString(" sg-missing")
		}
		fmt.Fprintf(&b, " subnet=subnet-%d vpc=vpc-1", rng.IntN(2))
		for k, word := range []string{"requester-managed", "transit", "ingress-open", "no-acl"} {
			if rng.IntN([]int{8, 25, 15, 12}[k]) == 0 {
				b.WriteString(" " + word)
			}
		}
		b.WriteString("\n")
	}
	basic := rng.IntN(3) > 0
	ranks := 1 + rng.IntN(4)
	for g := range groups {
		fmt.Fprintf(&b, "group sg-%d vpc=vpc-1", g)
		if basic {
			b.WriteString(" kind=normal egress-open")
			if rng.IntN(2) == 0 {
				b.WriteString(" intra")
			}
		} else {
			b.WriteString(" kind=enterprise unnamed")
		}
		b.WriteString("\n")
		for r := range rng.IntN(9) {
			fmt.Fprintf(&b, "  r%d %s priority=%d\n", r, orderedRule(rng, groups, 3), 1+rng.IntN(ranks))
		}
	}
	for n := range rng.IntN(3) {
		fmt.Fprintf(&b, "acl acl-%d subnet=subnet-%d\n", n, n)
		for _, d := range []string{"ingress", "egress"} {
			for k := range rng.IntN(5) {
				fmt.Fprintf(&b, "  %d %s\n", 10+10*k, aclLine(rng, d))
			}
			if rng.IntN(3) > 0 {
				fmt.Fprintf(&b, "  90 %s allow all %s any\n", d, word(d))
			}
		}
	}
	return b.String()
}

func orderedService(rng *rand.Rand) string {
	switch rng.IntN(9) {
	case 0, 1:
		return "all"
	case 2:
		return []string{"icmp", "icmp type 8", "50"}[rng.IntN(3)]
	case 3:
		return "udp all"
	}
	lo := rng.IntN(orderedPorts)
	return fmt.Sprintf("tcp %d-%d", lo, lo+rng.IntN(orderedPorts-lo))
}

func orderedPrefix(rng *rand.Rand) string {
	a := orderedAddress(rng)
	bits := a.BitLen() - rng.IntN(5)
	if rng.IntN(4) == 0 {
		bits = 0
	}
	return netip.PrefixFrom(a, bits).Masked().String()
}

func orderedRule(rng *rand.Rand, groups, denies int) string {
	d := []string{"ingress", "egress"}[rng.IntN(2)]
	action := "allow"
	if rng.IntN(denies) == 0 {
		action = "deny"
	}
	peer := orderedPrefix(rng)
	switch rng.IntN(12) {
	case 0:
		peer = fmt.Sprintf("sg-%d", rng.IntN(groups))
	case 1:
		peer = "pl-1"
	case 2:
		peer = "pl-2"
	}
	tail := ""
	switch rng.IntN(14) {
	case 0:
		tail = fmt.Sprintf(" at 10.0.0.%d/32", 8+rng.IntN(3))
	case 1:
		tail = " peer-ports=0-99"
	}
	if rng.IntN(10) == 0 {
		tail += " readonly"
	}
	if rng.IntN(5) == 0 {
		tail += ` "said"`
	}
	return fmt.Sprintf("%s %s %s %s %s%s", d, action, orderedService(rng), word(d), peer, tail)
}

func aclLine(rng *rand.Rand, d string) string {
	peer := orderedPrefix(rng)
	if rng.IntN(10) == 0 {
		peer = "pl-1"
	}
	action := []string{"allow", "deny"}[rng.IntN(2)]
	return fmt.Sprintf("%s %s %s %s %s", d, action, orderedService(rng), word(d), peer)
}

func newOrderedWorld(t testing.TB, seed uint64) *randomWorld {
	rng := rand.New(rand.NewPCG(77, seed))
	w := &randomWorld{policy: orderedPolicy(rng)}
	s := parse(t, w.policy)
	quality := rng.IntN(3)
	w.evidence = func(i int) plan.RuleEvidence {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		e := plan.RuleEvidence{Attached: true, Observable: true, NarrowOK: true, UnusedOK: true}
		if quality == 0 {
			e.NarrowOK = r.IntN(3) > 0
			e.UnusedOK = e.NarrowOK && r.IntN(3) > 0
			e.Observable = r.IntN(6) > 0
		}
		return e
	}
	if rng.IntN(3) == 0 {
		w.budget = 1 + rng.IntN(8)
	}
	used := make(map[string]bool)
	for range rng.IntN(40) {
		f := &s.Interfaces[rng.IntN(len(s.Interfaces))]
		local := f.Addresses[rng.IntN(len(f.Addresses))]
		remote := orderedAddress(rng)
		if remote.Is4() != local.Is4() {
			continue
		}
		c := policy.Conn{Direction: []flow.Direction{flow.Ingress, flow.Egress}[rng.IntN(2)], Local: local, Remote: remote, ICMP: policy.AnyICMP,
			Proto: []flow.Proto{flow.TCP, flow.TCP, flow.TCP, flow.TCP, flow.UDP, flow.ICMP, 50}[rng.IntN(7)]}
		flags := rng.IntN(3) > 0
		if c.Proto.HasPorts() {
			service, client := uint16(rng.IntN(orderedPorts)), uint16(32768+rng.IntN(5000))
			switch rng.IntN(8) {
			case 0:
				client = service // nobody can tell who opened it
			case 1:
				if flags && c.Proto == flow.TCP { // or two such ports would be taken for each other
					client = uint16(rng.IntN(orderedPorts))
				}
			}
			c.LocalPort, c.RemotePort = service, client
			if c.Direction == flow.Egress {
				c.LocalPort, c.RemotePort = client, service
			}
		}
		ends := []string{fmt.Sprint(c.Proto, c.Local, c.LocalPort), fmt.Sprint(c.Proto, c.Remote, c.RemotePort)}
		slices.Sort(ends)
		if key := strings.Join(ends, " "); !used[key] { // else one connection's flags tell of the other
			used[key] = true
			w.log(s, f.ID, c, flags, rng)
		}
	}
	rng.Shuffle(len(w.recs), func(i, j int) { w.recs[i], w.recs[j] = w.recs[j], w.recs[i] })
	return w
}

// orderedPoints calls f with every connection of the universe at an interface.
func orderedPoints(nic *policy.Interface, f func(policy.Conn)) {
	var remotes []netip.Addr
	for i := range 16 {
		remotes = append(remotes, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
	}
	for i := range 8 {
		remotes = append(remotes, netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i)}))
	}
	for i := range 2 {
		remotes = append(remotes, netip.AddrFrom4([4]byte{100, 64, 0, byte(i)}), netip.AddrFrom4([4]byte{20, 0, 0, byte(i)}))
	}
	for _, remote := range remotes {
		c := policy.Conn{Remote: remote, Local: netip.MustParseAddr("2001:db8::99")}
		if remote.Is4() {
			c.Local = nic.Addresses[0]
		}
		for _, c.Direction = range []flow.Direction{flow.Ingress, flow.Egress} {
			for _, c.Proto = range []flow.Proto{flow.TCP, flow.UDP} {
				for port := range uint16(orderedPorts + 1) {
					if c.Proto == flow.UDP && port > 1 {
						break
					}
					for _, client := range []uint16{7, 40000} {
						c.LocalPort, c.RemotePort = port, client
						if c.Direction == flow.Egress {
							c.LocalPort, c.RemotePort = client, port
						}
						f(c)
					}
				}
			}
			c.LocalPort, c.RemotePort = 0, 0
			for _, typ := range []int16{8, 3} {
				c.Proto, c.ICMP = flow.ICMP, policy.TypeCode{Type: typ, Code: 0}
				f(c)
			}
			c.Proto, c.ICMP = 50, policy.AnyICMP
			f(c)
		}
	}
}
