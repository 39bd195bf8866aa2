package main

import (
	"fmt"
	"net/netip"
	"strings"
)

const (
	tcp = 6
	udp = 17

	fin, syn, rst, synAck = 1, 2, 4, 18
)

// record is a row of the flow log.
type record struct {
	n              *network
	on             *iface
	src, dst       netip.Addr
	pktSrc, pktDst netip.Addr // where they differ
	sport, dport   int
	proto          int
	packets, bytes int
	start, end     int64
	reject         bool
	status         string // empty: OK
	flags          int
	egress         bool
}

// end is one end of a connection: an interface of the network, or an address outside.
type end struct {
	addr netip.Addr
	on   *iface
}

func (n *network) at(name string) end { f := n.byName[name]; return end{f.v4, f} }

func outside(addr string) end { return end{addr: netip.MustParseAddr(addr)} }

// roll returns a number from 0 to limit-1 (splitmix64, which no release will change).
func (n *network) roll(limit int) int {
	n.rng += 0x9e3779b97f4a7c15
	z := n.rng
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return int((z ^ z>>31) % uint64(limit))
}

func (n *network) ephemeral() int { return 32768 + n.roll(28000) }

// half logs the packets from one end to the other, at each end that has an interface.
func (n *network) half(t int64, from, to end, sport, dport, proto, flags, packets, size int) {
	r := record{n: n, src: from.addr, dst: to.addr, sport: sport, dport: dport, proto: proto, flags: flags,
		packets: packets, bytes: packets * size, start: t, end: t + int64(1+n.roll(58))}
	if from.on != nil {
		r.on, r.egress = from.on, true
		n.out = append(n.out, r)
	}
	if to.on != nil {
		r.on, r.egress = to.on, false
		n.out = append(n.out, r)
	}
}

// connect logs a connection that was opened, answered and closed within a minute.
func (n *network) connect(t int64, client, server end, port int) {
	sport := n.ephemeral()
	packets := 6 + n.roll(20)
	n.half(t, client, server, sport, port, tcp, syn|fin, packets, 120)
	n.half(t, server, client, port, sport, tcp, synAck|fin, packets, 700)
}

// session logs a connection that lives for several minutes: the rows in the middle
// carry no flag that tells who opened it.
func (n *network) session(t int64, client, server end, port, minutes int) {
	sport := n.ephemeral()
	for m := range minutes {
		there, back := 0, 0
		switch m {
		case 0:
			there, back = syn, synAck
		case minutes - 1:
			there, back = fin, fin
		}
		n.half(t+int64(60*m), client, server, sport, port, tcp, there, 40, 90)
		n.half(t+int64(60*m), server, client, port, sport, tcp, back, 50, 400)
	}
}

// refuse logs a packet that the rules of its receiver reject.
func (n *network) refuse(t int64, from, to end, sport, port, flags int) {
	n.out = append(n.out, record{n: n, on: to.on, src: from.addr, dst: to.addr, sport: sport, dport: port, proto: tcp,
		flags: flags, packets: 1, bytes: 40, start: t, end: t + 5, reject: true})
}

// knock logs a SYN that the rules admit and the host does not answer.
func (n *network) knock(t int64, from, to end, port int) {
	n.out = append(n.out, record{n: n, on: to.on, src: from.addr, dst: to.addr, sport: n.ephemeral(), dport: port, proto: tcp,
		flags: syn, packets: 1, bytes: 40, start: t, end: t + 5})
}

// throughNAT logs a connection of a private host with the internet: at the host, and
// with both pairs of addresses at the gateway.
func (n *network) throughNAT(t int64, client end, server string, port int) {
	nat, far := n.at("nat"), outside(server)
	sport, natPort := n.ephemeral(), 1024+n.roll(60000)
	packets := 8 + n.roll(10)
	type row struct {
		on             *iface
		src, dst       netip.Addr
		pktSrc, pktDst netip.Addr
		sport, dport   int
		flags          int
		egress         bool
	}
	for _, r := range []row{
		{client.on, client.addr, far.addr, client.addr, far.addr, sport, port, syn | fin, true},
		{nat.on, client.addr, nat.addr, client.addr, far.addr, sport, port, syn | fin, false},
		{nat.on, nat.addr, far.addr, nat.addr, far.addr, natPort, port, syn | fin, true},
		{nat.on, far.addr, nat.addr, far.addr, nat.addr, port, natPort, synAck | fin, false},
		{nat.on, nat.addr, client.addr, far.addr, client.addr, port, sport, synAck | fin, true},
		{client.on, far.addr, client.addr, far.addr, client.addr, port, sport, synAck | fin, false},
	} {
		n.out = append(n.out, record{n: n, on: r.on, src: r.src, dst: r.dst, pktSrc: r.pktSrc, pktDst: r.pktDst, sport: r.sport, dport: r.dport,
			proto: tcp, flags: r.flags, packets: packets, bytes: packets * 300, start: t, end: t + 20, egress: r.egress})
	}
}

// shopper returns an address of the internet that buys.
func (n *network) shopper() end {
	nets := [...]string{"192.0.2", "198.51.100", "203.0.113"}
	return outside(fmt.Sprintf("%s.%d", nets[n.roll(3)], n.roll(120)+1))
}

// scanner returns an address of the internet that tries doors.
func (n *network) scanner() end {
	return outside(fmt.Sprintf("192.0.2.%d", 130+n.roll(120)))
}

// day returns the records of day d, which begins at the given time.
func (n *network) day(d int, from int64) []record {
	n.out = nil
	at := func() int64 { return from + int64(n.roll(86400-900)) }
	weekend := firstDay.AddDate(0, 0, d).Weekday()%6 == 0
	apps := [2]end{n.at("app-1"), n.at("app-2")}

	lbs := []end{n.at("shop-lb-1"), n.at("shop-lb-2")}
	for _, lb := range lbs {
		for range 26 {
			n.connect(at(), n.shopper(), lb, 443)
		}
		for range 6 {
			v6 := end{lb.on.v6, lb.on}
			n.connect(at(), outside(fmt.Sprintf("2001:db8:%x::%x", 0xc000+n.roll(40), 1+n.roll(4000))), v6, 443)
		}
		for range 5 {
			n.connect(at(), n.shopper(), lb, 80)
		}
		for range 12 {
			n.session(at(), lb, apps[n.roll(2)], 8080, 1+n.roll(3))
		}
		for range 6 { // doors that are shut
			n.refuse(at(), n.scanner(), lb, n.ephemeral(), [...]int{22, 23, 445, 3389, 5900, 8080}[n.roll(6)], syn)
		}
		// The end of a connection that is closed already is no attempt to open one.
		n.refuse(at(), n.shopper(), lb, n.ephemeral(), 443, [...]int{fin, rst, 0}[n.roll(3)])
	}
	for _, app := range apps {
		for range 6 {
			n.session(at(), app, n.at("db-1"), 5432, 2+n.roll(3))
		}
		for range 2 {
			n.throughNAT(at(), app, "203.0.113.200", 443)
		}
	}
	if d%7 == 1 {
		for _, app := range apps {
			n.throughNAT(at(), app, "198.51.100.20", 443)
		}
	}
	for _, host := range []end{apps[0], apps[1], n.at("db-1"), n.at("bastion")} {
		for range 3 {
			if host.on.name != "bastion" {
				n.connect(at(), n.at("monitoring"), host, 9100)
			}
			t := at()
			n.half(t, host, n.at("monitoring"), 123, 123, udp, 0, 1, 76)
			n.half(t, n.at("monitoring"), host, 123, 123, udp, 0, 1, 76)
		}
	}
	for range 2 {
		n.session(from+2*3600+int64(n.roll(900)), n.at("reports"), n.at("db-1"), 5432, 4)
	}
	balancers := []end{n.at("logs-lb-1")}
	if d < 11 {
		balancers = append(balancers, n.at("logs-lb-2"))
	}
	for _, lb := range balancers {
		for range 5 {
			n.connect(at(), outside(fmt.Sprintf("10.200.%d.%d", 16+n.roll(32), 10+n.roll(6))), lb, 6514)
			n.connect(at(), lb, n.at("collector"), 6514)
		}
	}
	if !weekend {
		for range 3 {
			office := outside(fmt.Sprintf("203.0.113.%d", 5+n.roll(10)))
			n.session(at(), office, n.at("bastion"), 22, 3)
			n.session(at(), n.at("bastion"), apps[n.roll(2)], 22, 2)
			n.session(at(), outside(fmt.Sprintf("10.200.%d.%d", 20+n.roll(2), 10+n.roll(8))), n.at("db-1"), 5432, 2)
			n.connect(at(), outside(fmt.Sprintf("10.200.%d.%d", 20+n.roll(2), 10+n.roll(8))), n.at("monitoring"), 3000)
		}
	}
	if d%7 == 3 {
		n.session(at(), n.at("bastion"), n.at("db-1"), 22, 4)
	}
	for range 5 {
		n.knock(at(), n.scanner(), n.at("bastion"), 22)
	}
	for range 3 { // the range that the network ACL keeps out
		n.refuse(at(), outside(fmt.Sprintf("198.51.100.%d", 130+n.roll(100))), n.at("bastion"), n.ephemeral(), 22, syn)
	}
	for h := range 8 {
		n.note("standby", from+int64(h)*3*3600, 600, "NODATA")
	}
	if d == 20 {
		n.note("reports", from+11*3600, 900, "SKIPDATA")
	}
	return n.out
}

// note logs a row that holds no flow.
func (n *network) note(name string, t, length int64, status string) {
	n.out = append(n.out, record{n: n, on: n.byName[name], start: t, end: t + length, status: status})
}

// write appends the row in the order of logFields.
func (r *record) write(b *strings.Builder) {
	f := r.on
	sub := r.n.subnetOf(f)
	instance := id("i", f.name)
	if f.requester != "" {
		instance = "-"
	}
	if r.status != "" {
		fmt.Fprintf(b, "5 %s %s - - - - - - - %d %d - %s %s %s %s - - - - %s %s - - - - - -\n",
			account, id("eni", f.name), r.start, r.end, r.status, r.n.vpc, id("subnet", sub.name), instance, region, sub.zone)
		return
	}
	pktSrc, pktDst := r.src, r.dst
	if r.pktSrc.IsValid() {
		pktSrc, pktDst = r.pktSrc, r.pktDst
	}
	action, family, direction, path := "ACCEPT", "IPv4", "ingress", "-"
	if r.reject {
		action = "REJECT"
	}
	if r.src.Is6() {
		family = "IPv6"
	}
	if r.egress {
		direction, path = "egress", r.path()
	}
	fmt.Fprintf(b, "5 %s %s %s %s %d %d %d %d %d %d %d %s OK %s %s %s %d %s %s %s %s %s - - - - %s %s\n",
		account, id("eni", f.name), r.src, r.dst, r.sport, r.dport, r.proto, r.packets, r.bytes, r.start, r.end, action,
		r.n.vpc, id("subnet", sub.name), instance, r.flags, family, pktSrc, pktDst, region, sub.zone, direction, path)
}

var (
	inside  = netip.MustParsePrefix("10.20.0.0/16")
	private = netip.MustParsePrefix("10.0.0.0/8")
)

// path returns the traffic-path of a record that leaves: inside the network, through
// the gateway of the offices, or to the internet.
func (r *record) path() string {
	switch {
	case inside.Contains(r.dst):
		return "1"
	case private.Contains(r.dst):
		return "3"
	}
	return "8"
}
