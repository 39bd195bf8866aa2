package main

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
)

const (
	account = "123456789010"
	region  = "eu-west-1"
	anyPort = -1 // both ports of rules for all protocols
)

// tier is a part of the network: four subnets, one in each zone.
type tier int

const (
	public tier = iota
	app
	data
	ops
	tiers
)

var tierName = [tiers]string{"public", "app", "data", "ops"}

// The address plan: one VPC, a /20 and a quarter of a /56 for each tier.
var (
	vpc4 = netip.MustParsePrefix("10.20.0.0/16")
	vpc6 = netip.MustParsePrefix("2600:1f18:4e1:da00::/56")
)

func tier4(t tier) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 20, byte(t * 16), 0}), 20)
}

type subnet struct {
	id, zone string
	v4, v6   netip.Prefix
	acl      *acl
}

type iface struct {
	id, instance string
	index        int
	tier         tier
	subnet       *subnet
	v4, v6       netip.Addr // v6 is zero outside the public and the application tier
	publicIP     netip.Addr // zero: none
	groups       []*group
	service      *service

	vpc     string
	rules   [2][]*rule // of all groups, by direction
	hasRows bool       // a record of the current day names it
}

type service struct {
	name    string
	tier    tier
	group   *group
	members []*iface
	ports   []int
	open    bool // egress to everywhere
	cdn     bool // public service behind a content network
}

type group struct {
	id, name, description string
	rules                 []*rule
	members               []*iface
	seen                  map[ruleKey]bool
}

// ruleKey is what the cloud compares when it refuses a rule that exists already.
type ruleKey struct {
	egress          bool
	proto, from, to int
	peer            peer
}

// peer is the far side of a rule: exactly one field is set.
type peer struct {
	prefix netip.Prefix
	group  *group
	list   *prefixList
}

type rule struct {
	ruleKey
	id, description string
}

type prefixList struct {
	id, name string
	v6       bool
	managed  bool // kept by the provider
	max      int
	entries  []netip.Prefix
}

type acl struct {
	id        string
	isDefault bool
	subnets   []*subnet
	entries   [2][]aclEntry // in, out; ascending numbers
}

type aclEntry struct {
	number          int
	proto, from, to int
	prefix          netip.Prefix
	allow           bool
}

// edge is traffic that happens again and again: a client, a server and a port.
type edge struct {
	client, server *iface
	proto          uint8
	port           uint16
	oneWay         bool // UDP that nobody answers
	out, back      verdicts
}

// verdicts of one packet at the sender and at the receiver.
type verdicts struct{ sender, receiver bool }

type world struct {
	rng      *rand.Rand
	subnets  [tiers][4]*subnet
	ifaces   []*iface
	services []*service
	groups   []*group
	lists    []*prefixList
	acls     []*acl
	edges    []edge
	vpcID    string
	logID    string

	public, apps []*iface
	blocked      []netip.Prefix // sources that the public ACL denies
	cdnEdge      []netip.Prefix // where the content network comes from
	cdn4         *prefixList    // the same as a list
	inner        *prefixList    // application and public tier
	store        *prefixList    // object storage
}

// hex returns n hexadecimal digits.
func (w *world) hex(n int) string {
	return fmt.Sprintf("%016x%016x", w.rng.Uint64(), w.rng.Uint64())[:n]
}

func (w *world) id(kind string) string { return kind + "-0" + w.hex(16) }

// newWorld makes a network of n interfaces.
func newWorld(n int, seed uint64) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 0x5eed))}
	w.vpcID, w.logID = w.id("vpc"), w.id("fl")
	w.makeNetwork()
	w.makeLists()
	w.makeInterfaces(n)
	w.makeGroups()
	w.makeRelations(60 * n)
	w.fillGroups()
	w.settle()
	return w
}

func (w *world) makeNetwork() {
	open, front, back := &acl{id: w.id("acl"), isDefault: true}, &acl{id: w.id("acl")}, &acl{id: w.id("acl")}
	w.acls = []*acl{open, front, back}
	w.blocked = []netip.Prefix{netip.MustParsePrefix("45.155.204.0/22"), netip.MustParsePrefix("92.63.192.0/20")}
	any4, any6 := netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")
	for d := range 2 {
		open.entries[d] = []aclEntry{{100, -1, 0, 65535, any4, true}, {101, -1, 0, 65535, any6, true}}
		front.entries[d] = open.entries[d]
	}
	front.entries[0] = slices.Concat([]aclEntry{
		{50, -1, 0, 65535, w.blocked[0], false}, {60, -1, 0, 65535, w.blocked[1], false}}, open.entries[0])
	back.entries[0] = []aclEntry{
		{100, 6, 1024, 65535, vpc4, true},
		{110, 6, 22, 22, tier4(ops), true},
		{120, 17, 1024, 65535, vpc4, true},
		{130, 1, 0, 65535, vpc4, true},
		{140, 6, 32768, 65535, any4, true},
	}
	back.entries[1] = []aclEntry{
		{100, -1, 0, 65535, vpc4, true},
		{110, 6, 443, 443, any4, true},
	}
	for t := range tiers {
		for z := range 4 {
			s := &subnet{id: w.id("subnet"), zone: fmt.Sprintf("euw1-az%d", z+1),
				v4: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 20, byte(int(t)*16 + z*4), 0}), 22)}
			a := vpc6.Addr().As16()
			a[7] = byte(int(t)*16 + z)
			s.v6 = netip.PrefixFrom(netip.AddrFrom16(a), 64)
			s.acl = [tiers]*acl{front, open, back, open}[t]
			s.acl.subnets = append(s.acl.subnets, s)
			w.subnets[t][z] = s
		}
	}
}

func (w *world) makeLists() {
	list := func(name string, v6, managed bool, max int, cidrs ...string) *prefixList {
		l := &prefixList{id: w.id("pl"), name: name, v6: v6, managed: managed, max: max}
		for _, c := range cidrs {
			l.entries = append(l.entries, netip.MustParsePrefix(c))
		}
		w.lists = append(w.lists, l)
		return l
	}
	list("corporate-offices", false, false, 20, "192.168.16.0/22", "192.168.40.0/24", "172.19.0.0/20", "198.18.7.0/28")
	w.inner = list("vpc-application", false, false, 10, tier4(app).String(), tier4(public).String())
	w.store = list("com.amazonaws."+region+".s3", false, true, 1, "52.218.0.0/17", "3.5.64.0/21", "3.5.72.0/23")
	w.cdnEdge = []netip.Prefix{netip.MustParsePrefix("13.32.0.0/15"), netip.MustParsePrefix("18.64.0.0/14"), netip.MustParsePrefix("205.251.249.0/24")}
	w.cdn4 = list("com.amazonaws.global.cloudfront.origin-facing", false, true, 55, "13.32.0.0/15", "18.64.0.0/14", "205.251.249.0/24")
	list("partners", false, false, 30, "203.0.113.0/26", "198.51.100.64/27", "192.0.2.17/32")
	list("office-v6", true, false, 5, "2a02:26f0:77::/48")
}

// makeInterfaces cuts n interfaces into services: a tenth load balancers, six
// tenths application, two tenths data, a tenth operations.
func (w *world) makeInterfaces(n int) {
	quota := [tiers]int{max(1, n/10), 0, max(1, n/5), max(1, n/10)}
	quota[app] = max(1, n-quota[public]-quota[data]-quota[ops])
	size := [tiers]int{5, 6, 5, 5}
	kinds := [...]string{"bastion", "dns", "ntp", "monitoring", "logs", "vault", "ldap", "ci", "backup", "proxy"}
	used := map[netip.Addr]bool{}
	for t := range tiers {
		for left, k := quota[t], 0; left > 0; k++ {
			s := &service{name: fmt.Sprintf("%s-%02d", tierName[t], k), tier: t}
			switch t {
			case public:
				s.ports, s.cdn = []int{443, 80}, k%5 == 4
			case app:
				all := []int{8080, 8443, 9090, 3000, 5000}
				s.ports = all[k%5 : k%5+1]
				if k%3 == 0 {
					s.ports = []int{all[k%5], all[(k+2)%5]}
				}
			case data:
				s.ports = []int{[]int{5432, 3306, 6379, 9200, 27017}[k%5]}
			case ops:
				kind := kinds[k%len(kinds)]
				s.name = fmt.Sprintf("%s-%02d", kind, k)
				s.ports = map[string][]int{"dns": {53}, "ntp": {123}, "logs": {514}, "vault": {8200}, "ldap": {389, 636}, "proxy": {3128}}[kind]
			}
			s.open = w.rng.IntN(10) < 6
			for range min(left, size[t]) {
				w.addInterface(s, used)
			}
			left -= len(s.members)
			w.services = append(w.services, s)
		}
	}
}

func (w *world) addInterface(s *service, used map[netip.Addr]bool) {
	f := &iface{id: w.id("eni"), instance: w.id("i"), index: len(w.ifaces), tier: s.tier, service: s, vpc: w.vpcID,
		subnet: w.subnets[s.tier][len(s.members)%4]}
	for {
		host := 10 + w.rng.IntN(1000)
		b := f.subnet.v4.Addr().As4()
		f.v4 = netip.AddrFrom4([4]byte{b[0], b[1], b[2] + byte(host>>8), byte(host)})
		if !used[f.v4] {
			used[f.v4] = true
			break
		}
	}
	if s.tier == public || s.tier == app {
		b := f.subnet.v6.Addr().As16()
		b[8], b[9], b[14], b[15] = 0x0a, byte(w.rng.IntN(256)), byte(f.index>>8), byte(f.index)
		f.v6 = netip.AddrFrom16(b)
	}
	if s.tier == public || s.name[:3] == "bas" {
		f.publicIP = netip.AddrFrom4([4]byte{54, 171, byte(f.index >> 8), byte(f.index)})
	}
	s.members = append(s.members, f)
	w.ifaces = append(w.ifaces, f)
	switch s.tier {
	case public:
		w.public = append(w.public, f)
	case app:
		w.apps = append(w.apps, f)
	}
}
