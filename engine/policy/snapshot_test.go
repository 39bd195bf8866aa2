package policy

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// testSnapshot is a small VPC, listed out of order:
//
//	eni-web  sg-web         10.1.0.5, fd00:1::5  subnet-a, behind acl-a
//	eni-lb   sg-lb          10.2.0.8             subnet-b, which no ACL names
//	eni-db   sg-db, sg-gone 10.3.0.9             subnet-c, which is not here
//	eni-nat  no group       10.1.0.6             subnet-a
func testSnapshot(t *testing.T) *Snapshot {
	t.Helper()
	s := unsealedSnapshot()
	if err := s.Seal(); err != nil {
		t.Fatal(err)
	}
	return s
}

func unsealedSnapshot() *Snapshot {
	in := func(owner, text string) Rule {
		r := testRule(text)
		r.Ref.Owner = owner
		return r
	}
	out := func(owner, text string) Rule {
		r := in(owner, text)
		r.Direction = flow.Egress
		m := &r.Match[0]
		m.LocalPorts, m.RemotePorts = m.RemotePorts, m.LocalPorts
		return r
	}
	from := func(r Rule, refs ...SetRef) Rule {
		r.Match[0].Remote = AddrSet{Refs: refs}
		return r
	}
	addrs := func(text string) []netip.Addr {
		var as []netip.Addr
		for a := range strings.SplitSeq(text, ",") {
			as = append(as, netip.MustParseAddr(a))
		}
		return as
	}
	return &Snapshot{
		Platforms: []Platform{{Exempt: []netip.Prefix{netip.MustParsePrefix("169.254.169.254/32")}}},
		Interfaces: []Interface{
			{ID: "eni-web", Subnet: "subnet-a", Groups: []string{"sg-web"}, Addresses: addrs("10.1.0.5,fd00:1::5")},
			{ID: "eni-nat", Subnet: "subnet-a", Addresses: addrs("10.1.0.6")},
			{ID: "eni-lb", Subnet: "subnet-b", Groups: []string{"sg-lb", "sg-lb"}, Addresses: addrs("10.2.0.8"), Prefixes: []netip.Prefix{netip.MustParsePrefix("10.2.0.16/28")}},
			{ID: "eni-db", Subnet: "subnet-c", Groups: []string{"sg-gone", "sg-db"}, Addresses: addrs("10.3.0.9")},
		},
		Groups: []Group{
			{ID: "sg-web", Rules: []Rule{
				out("sg-web", "to-db 0 allow tcp 5432 10.3.0.0/16"),
				in("sg-web", "https 0 allow tcp 443 0.0.0.0/0,::/0"),
				from(in("sg-web", "from-lb 0 allow tcp 8080 ::/0"), SetRef{ID: "sg-lb"}),
			}},
			{ID: "sg-lb"},
			{ID: "sg-db", Rules: []Rule{from(in("sg-db", "from-web 0 allow tcp 5432 ::/0"), SetRef{ID: "sg-web"})}},
		},
		ACLs: []ACL{{ID: "acl-a", Subnets: []string{"subnet-a"}, Rules: []Rule{
			in("acl-a", "in100 100 allow all all 0.0.0.0/0"),
			in("acl-a", "in90 90 deny tcp all 203.0.113.0/24"),
			in("acl-a", "in80 80 deny all all 10.1.0.0/16"),
			out("acl-a", "out100 100 allow tcp 1024-65535 0.0.0.0/0"),
		}}},
		Subnets: []Subnet{
			{ID: "subnet-b", Blocks: []netip.Prefix{netip.MustParsePrefix("10.2.0.0/24")}},
			{ID: "subnet-a", Blocks: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/24"), netip.MustParsePrefix("fd00:1::/64")}},
		},
		Lists: []PrefixList{
			{ID: "pl-2"},
			{ID: "pl-1", Known: true, Entries: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("10.3.0.0/16")}},
			{ID: "pl-0", Known: true},
		},
	}
}

func stageNames(path []Stage) []string {
	var out []string
	for _, s := range path {
		out = append(out, s.Name)
	}
	return out
}

// The ACL stands at the subnet's edge: first on the way in, last on the way out.
// What is not in the snapshot gives no stage.
func TestPath(t *testing.T) {
	s := testSnapshot(t)
	for _, c := range []struct {
		id       string
		in, out  []string
		inRules  string // of all stages
		outRules string
	}{
		{"eni-web", []string{"nacl", "sg"}, []string{"sg", "nacl"}, "in80 in90 in100 from-lb https", "to-db out100"},
		{"eni-nat", []string{"nacl"}, []string{"nacl"}, "in80 in90 in100", "out100"},
		{"eni-lb", []string{"sg"}, []string{"sg"}, "", ""},
		{"eni-db", []string{"sg"}, []string{"sg"}, "from-web unknown-group:sg-gone:ingress", "unknown-group:sg-gone:egress"},
	} {
		for _, d := range []flow.Direction{flow.Ingress, flow.Egress} {
			want, rules := c.in, c.inRules
			if d == flow.Egress {
				want, rules = c.out, c.outRules
			}
			path := s.Path(c.id, d)
			if got := stageNames(path); !slices.Equal(got, want) {
				t.Errorf("%s %v: stages %v, want %v", c.id, d, got, want)
			}
			var refs []Ref
			for _, st := range path {
				if st.Stateful != (st.Name == "sg") || st.Default != Deny {
					t.Errorf("%s %v: stage %s stateful %v, default %v", c.id, d, st.Name, st.Stateful, st.Default)
				}
				if want := (Ref{ImplicitOwner, "default:" + st.Name + ":" + d.String()}); st.DefaultRef != want {
					t.Errorf("%s %v: the default of %s is %v, want %v", c.id, d, st.Name, st.DefaultRef, want)
				}
				for _, tier := range st.Tiers {
					for _, r := range tier.Rules {
						refs = append(refs, r.Ref)
						if r.Direction != d || len(r.Refs()) != 0 {
							t.Errorf("%s %v: rule %v of direction %v with references %v", c.id, d, r.Ref, r.Direction, r.Refs())
						}
					}
				}
			}
			if got := names(refs); got != rules {
				t.Errorf("%s %v: rules %q, want %q", c.id, d, got, rules)
			}
		}
	}
	if path := s.Path("eni-none", flow.Ingress); path != nil {
		t.Errorf("the path of an interface that is not here: %v, want nil", path)
	}
}

// Path resolves copies; the declared rules keep their references.
func TestPathLeavesRulesAlone(t *testing.T) {
	s := testSnapshot(t)
	s.Path("eni-web", flow.Ingress)
	i, _ := s.RuleIndex(Ref{"sg-web", "from-lb"})
	if m := s.Rules()[i].Match[0].Remote; len(m.Refs) != 1 || len(m.Prefixes) != 0 {
		t.Errorf("the declared rule became %+v", m)
	}
}

// A group whose rules are not here may allow anything: nothing is denied for
// certain, and what another group allows is certain still.
func TestUnknownAttachedGroup(t *testing.T) {
	path := testSnapshot(t).Path("eni-db", flow.Ingress)
	expect(t, path, "tcp 10.1.0.5 5432", Allowed, "sg allow by from-web next next possible unknown-group:sg-gone:ingress decisive")
	expect(t, path, "tcp 10.9.9.9 5432", Unknown, "sg unknown by default:sg:ingress next deny possible unknown-group:sg-gone:ingress")
	expect(t, path, "icmp 10.9.9.9", Unknown, "sg unknown by default:sg:ingress next deny possible unknown-group:sg-gone:ingress")
}

// Neither groups nor ACLs filter the platform's addresses, and no ACL the subnet's.
func TestExemptions(t *testing.T) {
	s := testSnapshot(t)
	out := s.Path("eni-web", flow.Egress)
	conn := func(remote string, port uint16) *Conn {
		c := testConn("tcp " + remote)
		c.Direction, c.LocalPort, c.RemotePort = flow.Egress, 50000, port
		return c
	}
	expectDecision(t, Decide(out, conn("169.254.169.254", 80)), "metadata", Allowed, "sg skipped", "nacl skipped")
	expectDecision(t, Decide(out, conn("169.254.169.253", 80)), "its neighbour", Denied, "sg deny by default:sg:egress next deny")
	expectDecision(t, Decide(out, conn("10.3.0.9", 5432)), "other subnet", Allowed, "sg allow by to-db next deny decisive", "nacl allow by out100 next deny decisive")
	in := s.Path("eni-web", flow.Ingress)
	expect(t, in, "tcp fd00:1::77 443", Allowed, "nacl skipped", "sg allow by https next deny decisive")
	expect(t, in, "tcp fd00:2::77 443", Denied, "nacl deny by default:nacl:ingress next deny")
}

func TestMembers(t *testing.T) {
	s := testSnapshot(t)
	for id, want := range map[string]string{
		"sg-web":  "10.1.0.5/32 fd00:1::5/128",
		"sg-lb":   "10.2.0.8/32 10.2.0.16/28",
		"sg-gone": "10.3.0.9/32",
		"sg-none": "",
	} {
		if got := prefixNames(s.Members(id)); got != want {
			t.Errorf("members of %s: %s, want %s", id, got, want)
		}
	}
	if a := s.Attached("sg-lb"); len(a) != 1 || a[0].ID != "eni-lb" {
		t.Errorf("%d interfaces carry sg-lb, want eni-lb alone", len(a))
	}
	if a := s.Attached("sg-none"); len(a) != 0 {
		t.Errorf("%d interfaces carry sg-none, want none", len(a))
	}
}

func prefixNames(ps []netip.Prefix) string {
	var out []string
	for _, p := range ps {
		out = append(out, p.String())
	}
	return strings.Join(out, " ")
}

func TestResolve(t *testing.T) {
	s := testSnapshot(t)
	own := []netip.Prefix{netip.MustParsePrefix("192.168.0.0/16")}
	for _, c := range []struct {
		name    string
		set     AddrSet
		want    string
		unknown bool
	}{
		{"prefixes alone", AddrSet{Prefixes: own}, "192.168.0.0/16", false},
		{"unknown stays", AddrSet{Prefixes: own, Unknown: true}, "192.168.0.0/16", true},
		{"group", AddrSet{Refs: []SetRef{{ID: "sg-lb"}}}, "10.2.0.8/32 10.2.0.16/28", false},
		{"group of both families", AddrSet{Refs: []SetRef{{ID: "sg-web"}}}, "10.1.0.5/32 fd00:1::5/128", false},
		{"group without members", AddrSet{Refs: []SetRef{{ID: "sg-db"}, {ID: "sg-web"}}}, "10.1.0.5/32 10.3.0.9/32 fd00:1::5/128", false},
		{"group that is not here, with members that are", AddrSet{Refs: []SetRef{{ID: "sg-gone"}}}, "10.3.0.9/32", true},
		{"group of another account", AddrSet{Refs: []SetRef{{ID: "sg-other", Account: "210987654321"}}}, "", true},
		{"dead group", AddrSet{Prefixes: own, Refs: []SetRef{{ID: "sg-web", Dead: "the group was deleted"}}}, "192.168.0.0/16", false},
		{"dead group beside a living one", AddrSet{Refs: []SetRef{{ID: "sg-none", Dead: "peering is gone"}, {ID: "sg-lb"}}}, "10.2.0.8/32 10.2.0.16/28", false},
		{"list", AddrSet{Refs: []SetRef{{Kind: ListSet, ID: "pl-1"}}}, "10.3.0.0/16 192.0.2.0/24", false},
		{"list known to be empty", AddrSet{Refs: []SetRef{{Kind: ListSet, ID: "pl-0"}}}, "", false},
		{"list without entries", AddrSet{Refs: []SetRef{{Kind: ListSet, ID: "pl-2"}}}, "", true},
		{"list that is not here", AddrSet{Prefixes: own, Refs: []SetRef{{Kind: ListSet, ID: "pl-9"}}}, "192.168.0.0/16", true},
		{"the same twice", AddrSet{Prefixes: own, Refs: []SetRef{{ID: "sg-web"}, {ID: "sg-web"}}}, "10.1.0.5/32 192.168.0.0/16 fd00:1::5/128", false},
		{"a list with the id of a group", AddrSet{Refs: []SetRef{{Kind: ListSet, ID: "sg-lb"}}}, "", true},
	} {
		got := s.Resolve(c.set)
		if prefixNames(got.Prefixes) != c.want || got.Unknown != c.unknown || len(got.Refs) != 0 {
			t.Errorf("%s: %s, unknown %v, %d references; want %s, unknown %v, none", c.name, prefixNames(got.Prefixes), got.Unknown, len(got.Refs), c.want, c.unknown)
		}
	}
}

// Without the interfaces no membership is known, of no group.
func TestResolveWithoutInterfaces(t *testing.T) {
	s := unsealedSnapshot()
	s.Missing = []Missing{{What: "network-interfaces"}, {What: "network-interfaces"}}
	if err := s.Seal(); err != nil {
		t.Fatal(err)
	}
	if len(s.Missing) != 1 || !s.MissingWhat("network-interfaces") || s.MissingWhat("subnets") {
		t.Errorf("missing: %+v", s.Missing)
	}
	if got := s.Resolve(AddrSet{Refs: []SetRef{{ID: "sg-lb"}}}); !got.Unknown {
		t.Errorf("a group without its interfaces resolved to %+v, want unknown", got)
	}
	if got := s.Resolve(AddrSet{Refs: []SetRef{{Kind: ListSet, ID: "pl-1"}}}); got.Unknown {
		t.Error("a known list became unknown for want of interfaces")
	}
}

// The snapshot has one order, whatever the order of the export.
func TestSealOrders(t *testing.T) {
	s := testSnapshot(t)
	var refs []string
	for i, r := range s.Rules() {
		refs = append(refs, r.Ref.String())
		if at, ok := s.RuleIndex(r.Ref); !ok || at != i {
			t.Errorf("RuleIndex(%v) = %d, %v, want %d", r.Ref, at, ok, i)
		}
	}
	want := "sg-db/from-web sg-web/from-lb sg-web/https sg-web/to-db acl-a/in80 acl-a/in90 acl-a/in100 acl-a/out100"
	if got := strings.Join(refs, " "); got != want {
		t.Errorf("rules %s, want %s", got, want)
	}
	if _, ok := s.RuleIndex(Ref{"sg-web", "none"}); ok {
		t.Error("a rule that is not here has an index")
	}
	for _, f := range s.Interfaces {
		if got, ok := s.Interface(f.ID); !ok || got.ID != f.ID {
			t.Errorf("interface %s is not found by its id", f.ID)
		}
	}
	for _, g := range s.Groups {
		if got, ok := s.Group(g.ID); !ok || got.ID != g.ID {
			t.Errorf("group %s is not found by its id", g.ID)
		}
	}
	if l, ok := s.List("pl-1"); !ok || !l.Known {
		t.Error("list pl-1 is not found by its id")
	}
	if _, ok := s.Subnet("subnet-c"); ok {
		t.Error("subnet-c is found, but is not here")
	}
	if f, _ := s.Interface("eni-db"); !slices.Equal(f.Groups, []string{"sg-db", "sg-gone"}) {
		t.Errorf("groups of eni-db: %v, want them in order", f.Groups)
	}
}

func TestSealRefusesAmbiguity(t *testing.T) {
	for _, c := range []struct {
		want string
		edit func(s *Snapshot)
	}{
		{"interface eni-lb occurs twice", func(s *Snapshot) { s.Interfaces = append(s.Interfaces, Interface{ID: "eni-lb"}) }},
		{"group sg-db occurs twice", func(s *Snapshot) { s.Groups = append(s.Groups, Group{ID: "sg-db"}) }},
		{"network ACL acl-a occurs twice", func(s *Snapshot) { s.ACLs = append(s.ACLs, ACL{ID: "acl-a"}) }},
		{"subnet subnet-a occurs twice", func(s *Snapshot) { s.Subnets = append(s.Subnets, Subnet{ID: "subnet-a"}) }},
		{"prefix list pl-1 occurs twice", func(s *Snapshot) { s.Lists = append(s.Lists, PrefixList{ID: "pl-1"}) }},
		{"rule sg-web/https occurs twice", func(s *Snapshot) { s.Groups[1].Rules = append(s.Groups[1].Rules, s.Groups[0].Rules[1]) }},
		{"subnet subnet-a has two network ACLs, acl-a and acl-b", func(s *Snapshot) { s.ACLs = append(s.ACLs, ACL{ID: "acl-b", Subnets: []string{"subnet-a"}}) }},
	} {
		s := unsealedSnapshot()
		c.edit(s)
		if err := s.Seal(); err == nil || err.Error() != c.want {
			t.Errorf("Seal: %v, want %s", err, c.want)
		}
	}
}

// The ports and peers of a rule as reports write them.
func TestRuleWords(t *testing.T) {
	group := testRule("r 0 allow tcp 443 0.0.0.0/0")
	group.Match[0].Remote = AddrSet{Refs: []SetRef{{ID: "sg-1"}}}
	egress := testRule("r 0 allow tcp all 10.0.0.0/8")
	egress.Direction, egress.Match[0].RemotePorts = flow.Egress, netset.PortRange{First: 8000, Last: 8100}
	listed := testRule("r 0 allow tcp 80 10.0.0.0/8")
	listed.PortList = "prl-web"
	listed.Match[0].Remote.Refs = []SetRef{{ID: "sg-1"}}
	listed.Match = append(listed.Match, listed.Match[0], listed.Match[0])
	for _, c := range []struct {
		rule                  Rule
		protocol, ports, peer string
	}{
		{testRule("r 0 allow tcp 443 0.0.0.0/0,::/0"), "tcp", "443", "0.0.0.0/0,::/0"},
		{testRule("r 0 allow udp all 10.0.0.0/8"), "udp", "all", "10.0.0.0/8"},
		{testRule("r 0 allow icmp 8 10.0.0.0/8"), "icmp", "type 8", "10.0.0.0/8"},
		{testRule("r 0 allow 50 all 10.0.0.0/8"), "50", "all", "10.0.0.0/8"},
		{testRule("r 0 allow all all ?"), "all", "all", "none"},
		{group, "tcp", "443", "sg-1"},
		{egress, "tcp", "8000-8100", "10.0.0.0/8"},
		{listed, "tcp", "prl-web", "10.0.0.0/8,sg-1"}, // a box for each range of the list
		{Rule{}, "all", "all", "none"},
	} {
		if p, q, r := c.rule.Protocol(), c.rule.Ports(), c.rule.Peer(); p != c.protocol || q != c.ports || r != c.peer {
			t.Errorf("%s %s %s, want %s %s %s", p, q, r, c.protocol, c.ports, c.peer)
		}
	}
}
