package main

import (
	"fmt"
	"net/netip"
	"time"
)

const (
	account = "123456789012"
	region  = "eu-west-1"
	days    = 42
)

// firstDay is the day of the first record.
var firstDay = time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)

// rule is one rule of a group. The peer is a CIDR, or the name of a group or list.
type rule struct {
	egress   bool
	proto    string
	from, to int
	peer     string
	text     string // its description
}

type group struct {
	name, text string
	rules      []rule
}

// iface is a network interface. One with requester is run by a service of the cloud.
type iface struct {
	name      string
	subnet    string
	v4, v6    netip.Addr
	groups    []string
	kind      string // of the API; empty: interface
	requester string // its description, for those that a service runs
	gone      bool   // in the log and no longer in the export
}

type subnet struct {
	name, v4, v6, zone, acl string
}

type aclLine struct {
	egress bool
	number int
	deny   bool
	proto  string
	from   int
	to     int
	peer   string
}

type network struct {
	vpc, flowLog string
	groups       []group
	subnets      []subnet
	publicACL    []aclLine
	ifaces       []*iface
	offices      []string // the entries of the prefix list

	rng    uint64
	out    []record
	byName map[string]*iface
}

// newNetwork returns the network with its rules. What is wrong about each is said
// beside it.
func newNetwork() *network {
	n := &network{vpc: id("vpc", "shop"), flowLog: id("fl", "shop"), rng: 2026, byName: make(map[string]*iface)}
	n.offices = []string{"10.200.16.0/20", "10.200.32.0/20"}
	n.subnets = []subnet{
		{"public", "10.20.0.0/24", "2001:db8:20::/64", "euw1-az1", "public"},
		{"app", "10.20.10.0/24", "", "euw1-az1", "default"},
		{"data", "10.20.20.0/24", "", "euw1-az2", "default"},
		{"tools", "10.20.30.0/24", "", "euw1-az2", "default"},
	}
	in := func(proto string, from, to int, peer, text string) rule {
		return rule{false, proto, from, to, peer, text}
	}
	out := func(proto string, from, to int, peer, text string) rule {
		return rule{true, proto, from, to, peer, text}
	}
	n.groups = []group{
		{"shop-lb", "public load balancer", []rule{
			in("tcp", 443, 443, "0.0.0.0/0", "shop"),
			in("tcp", 443, 443, "::/0", "shop, IPv6"),
			in("tcp", 80, 80, "0.0.0.0/0", "redirect to https"),
			out("tcp", 8000, 9000, "shop-app", "to the application"),
		}},
		{"shop-app", "application servers", []rule{
			// Only 8080 is ever used.
			in("tcp", 8000, 9000, "shop-lb", "from the load balancer"),
			in("tcp", 22, 22, "bastion", "operators"),
			out("tcp", 5432, 5432, "shop-db", "database"),
			out("tcp", 443, 443, "0.0.0.0/0", "payment provider, updates"),
			// Traffic to the resolver of the network is in no flow log.
			out("udp", 53, 53, "10.20.0.2/32", "resolver"),
		}},
		{"shop-db", "database servers", []rule{
			in("tcp", 5432, 5432, "shop-app", "application"),
			in("tcp", 5432, 5432, "reports", "nightly reports"),
			// Forgotten: it hides the precise rules beside it.
			in("tcp", 5432, 5432, "10.0.0.0/8", "TEMPORARY migration 2023"),
			in("tcp", 5432, 5432, "offices", "analysts"),
			in("tcp", 22, 22, "bastion", ""),
		}},
		{"bastion", "ssh entry", []rule{
			// One office uses it; the whole internet may try.
			in("tcp", 22, 22, "0.0.0.0/0", "operators"),
			out("tcp", 22, 22, "10.20.0.0/16", "to all servers"),
		}},
		// The same rule in two groups that sit on the same interfaces: either may go,
		// both may not.
		{"base", "on every server", []rule{
			in("tcp", 9100, 9100, "10.20.30.0/24", "metrics"),
			// Time is asked from port 123 to port 123: who asked, no log can say.
			in("udp", 123, 123, "10.20.0.0/16", "time"),
			out("udp", 123, 123, "10.20.0.0/16", "time"),
		}},
		{"monitored", "to be monitored", []rule{
			in("tcp", 9100, 9100, "10.20.30.0/24", "node exporter"),
		}},
		{"monitoring", "metrics and dashboards", []rule{
			in("tcp", 3000, 3000, "offices", "dashboards"),
			out("tcp", 9100, 9100, "10.20.0.0/16", "metrics"),
		}},
		{"reports", "nightly reports", []rule{
			// Nothing ever came, but the log of its interface has a hole.
			in("tcp", 8443, 8443, "shop-app", "ad-hoc reports"),
			out("tcp", 5432, 5432, "shop-db", "database"),
		}},
		{"logs-lb", "syslog load balancer", []rule{
			in("tcp", 6514, 6514, "10.200.0.0/16", "log shippers of the offices"),
			out("tcp", 6514, 6514, "logs", "to the collector"),
		}},
		{"logs", "log collector", []rule{
			in("tcp", 6514, 6514, "logs-lb", "from the load balancer"),
		}},
		{"standby", "standby host, kept for the next release", []rule{
			in("tcp", 3389, 3389, "10.0.0.0/8", "remote desktop"),
		}},
		{"legacy-ftp", "file exchange with partners", []rule{ // on no interface
			in("tcp", 20, 21, "0.0.0.0/0", "partners"),
		}},
		{"default", "default VPC security group", []rule{
			in("-1", -1, -1, "default", ""),
			out("-1", -1, -1, "0.0.0.0/0", ""),
		}},
	}
	n.publicACL = []aclLine{
		{number: 90, deny: true, proto: "tcp", from: 22, to: 22, peer: "198.51.100.128/25"}, // a known scanner
		{number: 100, proto: "tcp", from: 443, to: 443, peer: "0.0.0.0/0"},
		{number: 101, proto: "tcp", from: 443, to: 443, peer: "::/0"},
		{number: 110, proto: "tcp", from: 80, to: 80, peer: "0.0.0.0/0"},
		{number: 120, proto: "tcp", from: 22, to: 22, peer: "0.0.0.0/0"},
		{number: 130, proto: "tcp", from: 1024, to: 65535, peer: "0.0.0.0/0"}, // answers
		{number: 140, proto: "udp", from: 123, to: 123, peer: "10.20.0.0/16"},
		{egress: true, number: 100, proto: "tcp", from: 1024, to: 65535, peer: "0.0.0.0/0"}, // answers, and the application
		{egress: true, number: 101, proto: "tcp", from: 1024, to: 65535, peer: "::/0"},
		{egress: true, number: 110, proto: "tcp", from: 443, to: 443, peer: "0.0.0.0/0"},
		{egress: true, number: 120, proto: "tcp", from: 22, to: 22, peer: "10.20.0.0/16"},
		{egress: true, number: 140, proto: "udp", from: 123, to: 123, peer: "10.20.0.0/16"},
	}
	host := func(name, subnet, v4 string, groups ...string) {
		n.ifaces = append(n.ifaces, &iface{name: name, subnet: subnet, v4: netip.MustParseAddr(v4), groups: groups})
	}
	for i, v4 := range []string{"10.20.0.21", "10.20.0.22"} {
		f := &iface{name: fmt.Sprintf("shop-lb-%d", i+1), subnet: "public", v4: netip.MustParseAddr(v4), groups: []string{"shop-lb"},
			requester: "ELB app/shop/50dc6c495c0c9188"}
		f.v6 = netip.MustParseAddr(fmt.Sprintf("2001:db8:20::2%d", i+1))
		n.ifaces = append(n.ifaces, f)
	}
	host("bastion", "public", "10.20.0.10", "bastion", "base")
	n.ifaces = append(n.ifaces, &iface{name: "nat", subnet: "public", v4: netip.MustParseAddr("10.20.0.5"), kind: "natGateway",
		requester: "Interface for NAT Gateway " + id("nat", "shop")})
	host("app-1", "app", "10.20.10.11", "shop-app", "base", "monitored")
	host("app-2", "app", "10.20.10.12", "shop-app", "base", "monitored")
	host("db-1", "data", "10.20.20.11", "shop-db", "base", "monitored")
	host("reports", "data", "10.20.20.40", "reports")
	host("monitoring", "tools", "10.20.30.10", "monitoring", "base")
	// A load balancer adds and drops interfaces as it pleases: the second of these was
	// there for the first eleven days.
	for i, v4 := range []string{"10.20.30.20", "10.20.30.21"} {
		n.ifaces = append(n.ifaces, &iface{name: fmt.Sprintf("logs-lb-%d", i+1), subnet: "tools", v4: netip.MustParseAddr(v4), groups: []string{"logs-lb"},
			kind: "network_load_balancer", requester: "ELB net/logs/8c3f6e2b9d0a4715", gone: i == 1})
	}
	host("collector", "tools", "10.20.30.30", "logs")
	host("standby", "tools", "10.20.30.99", "standby")
	for _, f := range n.ifaces {
		n.byName[f.name] = f
	}
	return n
}

func (n *network) subnetOf(f *iface) *subnet {
	for i := range n.subnets {
		if n.subnets[i].name == f.subnet {
			return &n.subnets[i]
		}
	}
	return nil
}

func (n *network) isGroup(name string) bool {
	for i := range n.groups {
		if n.groups[i].name == name {
			return true
		}
	}
	return false
}
