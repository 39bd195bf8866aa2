package analyzer

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// TestCoverageAgainstDecide holds what the configuration alone says of rules to the
// definition: in random worlds with priorities, both actions, hidden tiers, open defaults
// and network ACLs, a policy without a needless rule decides every connection as before; a
// rule needless by its own group stays so beside any other group; and what a network ACL is
// said to mask comes through nowhere.
func TestCoverageAgainstDecide(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 7))
	var needless, own, masked, conflicts int
	for n := range 200 {
		text := randomOrdered(rng, false)
		s, err := cloud.ParseText("policy", []byte(text))
		if err != nil {
			t.Fatalf("world %d: %v\n%s", n, err, text)
		}
		cov := newRuleCoverage(s)
		for i, r := range s.Rules() {
			c := &cov.rules[i]
			if c.everywhere {
				needless++
				if w := changed(s, without(t, text, r.Ref), r.Direction); w != "" {
					t.Fatalf("world %d: %s is needless by %v (%+v), but without it %s\n%s", n, r.Ref, c.by, c, w, text)
				}
			}
			if c.conflict {
				conflicts++
			}
			if c.own && !isACL(s, r.Ref.Owner) {
				own++
				joined := everyGroup.ReplaceAllString(text, "${1} sg-1 sg-2 sg-3 platform")
				all, err := cloud.ParseText("policy", []byte(joined))
				if err != nil {
					t.Fatal(err)
				}
				// Members change with attachments; what does not rest on them must hold.
				if !c.members {
					if w := changed(all, without(t, joined, r.Ref), r.Direction); w != "" {
						t.Fatalf("world %d: %s is said to be needless under any attachment, but beside others %s\n%s", n, r.Ref, w, joined)
					}
				}
			}
			if len(c.acls) > 0 {
				masked++
				for _, f := range cov.interfaces[i] {
					for _, conn := range universe(&s.Interfaces[f], r.Direction) {
						d := policy.Decide(s.Path(s.Interfaces[f].ID, r.Direction), &conn)
						if d.Verdict == policy.Allowed && slices.ContainsFunc(d.Stages, func(sd policy.StageDecision) bool { return slices.Contains(sd.Winners, r.Ref) }) {
							t.Fatalf("world %d: %v mask %s, but it lets %+v through\n%s", n, c.acls, r.Ref, conn, text)
						}
					}
				}
			}
		}
	}
	t.Logf("%d needless rules, %d by their own group, %d masked, %d in conflict", needless, own, masked, conflicts)
	if needless < 500 || own < 100 || masked < 20 || conflicts < 50 {
		t.Errorf("%d needless rules, %d by their own group, %d masked, %d in conflict: the worlds show too little", needless, own, masked, conflicts)
	}
}

// TestNeedlessRulesAreFound asks the other way round: a rule without which nothing changes,
// whatever the connection, is found, if all rules are known to the end and it matches
// anything at all.
func TestNeedlessRulesAreFound(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 13))
	missed, found := 0, 0
	for range 150 {
		text := randomOrdered(rng, true)
		s, err := cloud.ParseText("policy", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		cov := newRuleCoverage(s)
		for i, r := range s.Rules() {
			if len(cov.interfaces[i]) == 0 || len(cov.boxes[i].boxes) == 0 || isACL(s, r.Ref.Owner) {
				continue // of ACL lines, those for the subnet itself change nothing and are not found
			}
			switch {
			case cov.rules[i].everywhere:
				found++
			case changed(s, without(t, text, r.Ref), r.Direction) == "":
				missed++ // connections are tried at the edges of all sets, so there is none that changes
				t.Errorf("%s changes nothing and is not found\n%s", r.Ref, text)
			}
		}
	}
	if found < 50 {
		t.Errorf("%d found, %d missed: the worlds show too little", found, missed)
	}
}

// without returns the policy of text without rule ref.
func without(t *testing.T, text string, ref policy.Ref) *policy.Snapshot {
	t.Helper()
	s, err := cloud.ParseText("policy", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	is := func(r policy.Rule) bool { return r.Ref == ref }
	for i := range s.Groups {
		s.Groups[i].Rules = slices.DeleteFunc(s.Groups[i].Rules, is)
	}
	for i := range s.ACLs {
		s.ACLs[i].Rules = slices.DeleteFunc(s.ACLs[i].Rules, is)
	}
	if err := s.Seal(); err != nil {
		t.Fatal(err)
	}
	return s
}

// changed returns a connection that a and b decide otherwise, stage by stage, or "".
func changed(a, b *policy.Snapshot, d flow.Direction) string {
	for i := range a.Interfaces {
		f := &a.Interfaces[i]
		pa, pb := a.Path(f.ID, d), b.Path(f.ID, d)
		for _, c := range universe(f, d) {
			for n := range pa {
				x, y := pa[n].Decide(&c), pb[n].Decide(&c)
				if x.Verdict != y.Verdict {
					return fmt.Sprintf("%s at %s decides %+v as %v, not %v", pa[n].Name, f.ID, c, y.Verdict, x.Verdict)
				}
			}
		}
	}
	return ""
}

// universe returns connections of f at the edges of everything that random worlds hold.
func universe(f *policy.Interface, d flow.Direction) []policy.Conn {
	var out []policy.Conn
	for _, remote := range edgeAddresses {
		for _, p := range []flow.Proto{flow.TCP, flow.UDP, 47} {
			ports := edgePorts
			if !p.HasPorts() {
				ports = []uint16{0}
			}
			for _, port := range ports {
				for _, other := range []uint16{1000, 40000} {
					c := policy.Conn{Direction: d, Proto: p, Local: f.Addresses[0], Remote: remote, LocalPort: port, RemotePort: other, ICMP: policy.AnyICMP}
					if d == flow.Egress {
						c.LocalPort, c.RemotePort = other, port
					}
					if !p.HasPorts() {
						c.LocalPort, c.RemotePort = 0, 0
					}
					out = append(out, c)
				}
			}
		}
	}
	return out
}

var (
	edgeAddresses = func() (out []netip.Addr) {
		for _, s := range []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.9", "10.0.1.9", "10.1.0.9", "11.0.0.1", "100.64.0.1", "203.0.113.9", "2001:db8::1", "2001:db9::1"} {
			out = append(out, netip.MustParseAddr(s))
		}
		return out
	}()
	edgePorts = []uint16{0, 1, 10, 11, 15, 16, 20, 21, 65535}
)

var everyGroup = regexp.MustCompile(`(?m)^(interface \S+ \S+) .*platform`)

// randomOrdered returns a small world in the policy language. With plain, no rule names
// more than peers and services.
func randomOrdered(rng *rand.Rand, plain bool) string {
	var b strings.Builder
	pick := func(of ...string) string { return of[rng.IntN(len(of))] }
	some := func(odds int, word string) string {
		if rng.IntN(odds) == 0 {
			return " " + word
		}
		return ""
	}
	b.WriteString("platform none id=x groups-deny" + some(2, "admitted=100.64.0.0/10") + "\n")
	b.WriteString("subnet n-1 10.0.0.0/24\n")
	open := some(2, "egress-open")
	for i := range 4 {
		groups := pick(" sg-1 ", " sg-1 sg-2 ", " sg-2 ", " sg-1 sg-3 ")
		if i == 0 {
			groups = " sg-1 "
		}
		fmt.Fprintf(&b, "interface eni-%d 10.0.0.%d%splatform=x vpc=v%s%s\n", i, i+1, groups, some(2, "subnet=n-1"), some(8, "ingress-open"))
	}
	box := func(d string) string {
		proto := pick("tcp", "tcp", "tcp", "udp", "all")
		if proto != "all" {
			proto += " " + pick("10-20", "10", "11-15", "16-20", "all", "1-65535", "15-16")
		}
		peer := pick("10.0.0.0/8", "10.0.0.0/16", "10.0.0.2", "10.0.0.2/31", "0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "any", "sg-2", "sg-3", "::/0", "100.64.0.0/10")
		prep := map[string]string{"ingress": "from", "egress": "to"}[d]
		only := ""
		if strings.HasPrefix(proto, "tcp ") && !plain {
			only = some(10, "peer-ports=1024-65535")
		}
		return proto + " " + prep + " " + peer + only
	}
	for g := 1; g <= 3; g++ {
		fmt.Fprintf(&b, "group sg-%d%s%s\n", g, open, some(3, "intra"))
		for r := range 2 + rng.IntN(6) {
			d := pick("ingress", "ingress", "egress")
			fmt.Fprintf(&b, "  r%d %s %s %s priority=%s\n", r, d, pick("allow", "allow", "deny"), box(d), pick("1", "2", "2", "3"))
		}
	}
	if rng.IntN(2) == 0 {
		b.WriteString("acl acl-1 subnets=n-1\n")
		for r := range 1 + rng.IntN(5) {
			d := pick("ingress", "egress")
			fmt.Fprintf(&b, "  %d %s %s %s\n", 10*(r+1), d, pick("allow", "deny"), strings.Replace(strings.Replace(box(d), "sg-2", "10.0.0.2", 1), "sg-3", "10.0.0.3", 1))
		}
	}
	return b.String()
}

// TestEverybody holds the notion of "the world" to plain cases.
func TestEverybody(t *testing.T) {
	for _, c := range []struct {
		prefixes string
		v4, v6   bool
	}{
		{"0.0.0.0/0", true, false},
		{"::/0", false, true},
		{"2000::/3", false, true},
		{"2000::/4", false, false},
		{"0.0.0.0/1 128.0.0.0/1", true, false},
		{"0.0.0.0/1", false, false},
		{"0.0.0.0/1 128.0.0.0/2 192.0.0.0/3", true, false}, // the rest is multicast and reserved
		{"0.0.0.0/1 128.0.0.0/2", false, false},
		{"10.0.0.0/8 172.16.0.0/12 192.168.0.0/16", false, false},
		{"::/1 8000::/1 0.0.0.0/0", true, true},
		{"", false, false},
	} {
		var ps []netip.Prefix
		for _, s := range strings.Fields(c.prefixes) {
			ps = append(ps, netip.MustParsePrefix(s))
		}
		if v4, v6 := everybody(ps); v4 != c.v4 || v6 != c.v6 {
			t.Errorf("everybody(%s) = %v, %v, want %v, %v", c.prefixes, v4, v6, c.v4, c.v6)
		}
	}
}

// TestBeyondPorts tries every pair of bounds around the ports that are left out.
func TestBeyondPorts(t *testing.T) {
	edges := []uint16{0, 1, 79, 80, 81, 442, 443, 444, 65534, 65535}
	for i, first := range edges {
		for _, last := range edges[i:] {
			m := policy.NewMatch(flow.Ingress, policy.OneProto(flow.TCP), netset.PortRange{First: first, Last: last}, policy.AnyICMP, policy.AnyAddr)
			boxes, _ := m.Boxes(flow.Ingress)
			o := &opening{rule: &policy.Rule{Direction: flow.Ingress}, match: &m, v4: true, places: []place{{1, boxes}}}
			want := slices.ContainsFunc(edges, func(p uint16) bool { return first <= p && p <= last && p != 80 && p != 443 }) || first < 80 && last > 80 && first+1 < last
			if got := o.beyond(flow.TCP, authorizedPorts); got != want {
				t.Errorf("beyond in %d-%d = %v, want %v", first, last, got, want)
			}
		}
	}
}
