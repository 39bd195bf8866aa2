package orient_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"

	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// population is traffic of which the truth is known. Its shapes are those that lead
// inference astray: clients behind address translation, services in the range of
// clients, reserved source ports, active FTP, scanners, datagrams that are never
// answered, the same port at both ends, and connections that happen once.
type population struct {
	rng    *rand.Rand
	recs   []flow.Record
	opener map[tuple]flow.Direction
	served []rule // what the services need
}

type tuple struct {
	iface          string
	proto          flow.Proto
	remote         netip.Addr
	local, remPort uint16
}

func newPopulation(seed uint64) *population {
	p := &population{rng: rand.New(rand.NewPCG(seed, 1)), opener: make(map[tuple]flow.Direction)}
	client := func(n int) netip.Addr { return netip.AddrFrom4([4]byte{198, 51, byte(n >> 8), byte(n)}) }
	eph := func() uint16 { return uint16(32768 + p.rng.IntN(28000)) }
	for n, s := range []struct {
		iface string
		port  uint16
		proto flow.Proto
	}{
		{"eni-1", 443, flow.TCP}, {"eni-1", 7443, flow.TCP}, {"eni-2", 50010, flow.TCP}, {"eni-2", 5432, flow.TCP},
		{"eni-3", 53, flow.UDP}, {"eni-3", 8125, flow.UDP}, {"eni-3", 2049, flow.TCP},
	} {
		p.served = append(p.served, rule{iface: s.iface, dir: flow.Ingress, first: s.port, last: s.port})
		for i := range 120 {
			from := client(n*300 + i)
			port := eph()
			switch {
			case s.port == 2049: // NFS clients bind reserved ports
				port = uint16(600 + p.rng.IntN(400))
			case i%5 == 0: // address translation hands out ports from 1024
				port = uint16(1024 + p.rng.IntN(30000))
			}
			p.pair(s.iface, s.proto, from, s.port, port, flow.Ingress, s.port != 8125)
		}
	}
	for i := range 80 { // what our hosts ask of the internet
		p.pair("eni-1", flow.TCP, client(5000+i%9), eph(), 443, flow.Egress, true)
		p.pair("eni-2", flow.UDP, client(5100+i%3), eph(), 53, flow.Egress, true)
	}
	for i := range 8 {
		p.pair("eni-3", flow.TCP, client(5200+i), 20, eph(), flow.Egress, true) // active FTP
		p.pair("eni-1", flow.UDP, client(5300+i), 123, 123, flow.Egress, true)
		p.pair("eni-2", flow.TCP, client(5400+i), uint16(6000+p.rng.IntN(900)), uint16(7000+p.rng.IntN(900)), flow.Egress, true)
	}
	p.served = append(p.served,
		rule{iface: "eni-1", dir: flow.Egress, last: 65535},
		rule{iface: "eni-2", dir: flow.Egress, last: 65535},
		rule{iface: "eni-3", dir: flow.Egress, first: 1024, last: 65535})
	for i := range 60 { // a scanner with one source port
		p.log("eni-1", flow.TCP, client(6000), uint16(1+i*37), 45000, flow.Ingress, flow.Ingress, flow.Reject)
	}
	return p
}

// rules are what the hosts need: narrow inbound, wide outbound.
func (p *population) rules() rules { return p.served }

// pair logs a connection in both directions; one record in fifty is lost.
func (p *population) pair(iface string, proto flow.Proto, remote netip.Addr, lport, rport uint16, opener flow.Direction, answered bool) {
	for _, side := range []flow.Direction{opener, opener.Reverse()} {
		if (answered || side == opener) && p.rng.IntN(50) > 0 {
			p.log(iface, proto, remote, lport, rport, side, opener, flow.Accept)
		}
	}
}

func (p *population) log(iface string, proto flow.Proto, remote netip.Addr, lport, rport uint16, side, opener flow.Direction, action flow.Action) {
	own := netip.MustParseAddr(local[iface])
	r := flow.Record{Interface: iface, Src: remote, Dst: own, SrcPort: rport, DstPort: lport, Proto: proto, Action: action,
		Packets: 3, Bytes: 300, Start: 1700000000, End: 1700000060}
	if side == flow.Egress {
		r.Src, r.Dst, r.SrcPort, r.DstPort = own, remote, lport, rport
	}
	p.recs = append(p.recs, r)
	k := tuple{iface, proto, remote, lport, rport}
	if old, ok := p.opener[k]; ok && old != opener {
		panic(fmt.Sprintf("BUG: %v was opened by both sides", k))
	}
	p.opener[k] = opener
}

// truth returns who opened what is in row r, if that is the same for all of it.
func (p *population) truth(c *store.Connections, r *store.Row) (flow.Direction, bool) {
	iface, remote := c.Interfaces()[r.Interface], r.Remote.Netip()
	var found [3]bool
	for k, opener := range p.opener {
		if k.iface != iface || k.proto != r.Proto || k.remote != remote ||
			r.Client != store.LocalClient && k.local != r.LocalPort || r.Client != store.RemoteClient && k.remPort != r.RemotePort {
			continue
		}
		found[opener] = true
	}
	switch {
	case found[flow.Ingress] && !found[flow.Egress]:
		return flow.Ingress, true
	case found[flow.Egress] && !found[flow.Ingress]:
		return flow.Egress, true
	}
	return flow.DirectionUnknown, false
}
