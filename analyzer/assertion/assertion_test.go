package assertion

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/analyzer/yamlfile"
	"github.com/sgadvise/sgadvise/engine/explain"
	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

func parse(t *testing.T, list string) []Assertion {
	t.Helper()
	out, err := Parse("assert.yaml", []byte("version: 1\nassert:\n"+list))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func world(t *testing.T, text string) *policy.Snapshot {
	t.Helper()
	s, err := cloud.ParseText("policy", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return s
}

func TestParseReadsFlowsAndEnds(t *testing.T) {
	got := parse(t, `  - name: shop
    flow: 10.0.0.5 -> 10.0.1.5:5432/tcp
    interface: eni-1
    expect: allow
  - name: no ssh
    from: any
    to: sg-web
    protocol: tcp
    ports: 22, 8000-8100
    expect: deny
  - {name: nothing else, from: 10.0.0.0/8, to: eni-2, protocol: all, expect: deny}
  - {name: ping, from: sg-a, to: sg-b, protocol: "icmp:8/0", expect: allow}
  - {name: one port, from: sg-a, to: sg-b, protocol: udp, ports: 53, expect: allow}
`)
	var texts []string
	for i := range got {
		texts = append(texts, fmt.Sprintf("%d %s: %s: %s", got[i].Line, got[i].Name, got[i].Text(), got[i].Expect))
	}
	want := `3 shop: 10.0.0.5 -> 10.0.1.5:5432/tcp at eni-1: allow
7 no ssh: any -> sg-web, tcp 22,8000-8100: deny
13 nothing else: 10.0.0.0/8 -> eni-2, all traffic: deny
14 ping: sg-a -> sg-b, icmp type 8 code 0: allow
15 one port: sg-a -> sg-b, udp 53: allow`
	if s := strings.Join(texts, "\n"); s != want {
		t.Errorf("got\n%s\nwant\n%s", s, want)
	}
}

func TestParseRefusesWhatItCannotAsk(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"no name", "{flow: '1.1.1.1 -> 2.2.2.2:1/tcp', expect: allow}", "a.yaml:3: name: not there"},
		{"no verdict", "{name: a, flow: '1.1.1.1 -> 2.2.2.2:1/tcp'}", `a.yaml:3: expect: "" is neither`},
		{"another verdict", "{name: a, flow: '1.1.1.1 -> 2.2.2.2:1/tcp', expect: unknown}", "a.yaml:3: expect: "},
		{"half a flow", "{name: a, flow: '1.1.1.1 -> 2.2.2.2/tcp', expect: allow}", `a.yaml:3: flow "1.1.1.1 -> 2.2.2.2/tcp": the destination has no port`},
		{"nothing", "{name: a, expect: allow}", "a.yaml:3: flow, from, to: "},
		{"one end", "{name: a, from: sg-1, expect: allow}", "a.yaml:3: flow, from, to: "},
		{"both ways", "{name: a, flow: '1.1.1.1 -> 2.2.2.2:1/tcp', from: sg-1, expect: allow}", "a.yaml:3: flow: "},
		{"no protocol", "{name: a, from: sg-1, to: sg-2, expect: allow}", "a.yaml:3: protocol: not there"},
		{"no such protocol", "{name: a, from: sg-1, to: sg-2, protocol: http, expect: allow}", `a.yaml:3: protocol "http"`},
		{"no ports", "{name: a, from: sg-1, to: sg-2, protocol: tcp, expect: allow}", "a.yaml:3: ports: not there"},
		{"bad ports", "{name: a, from: sg-1, to: sg-2, protocol: tcp, ports: 80-, expect: allow}", `a.yaml:3: ports: "80-"`},
		{"ports of icmp", "{name: a, from: sg-1, to: sg-2, protocol: icmp, ports: 8, expect: allow}", "a.yaml:3: ports: icmp has none"},
		{"ports of everything", "{name: a, from: sg-1, to: sg-2, protocol: all, ports: 8, expect: allow}", "a.yaml:3: ports: "},
		{"host bits", "{name: a, from: 10.0.0.1/8, to: sg-2, protocol: all, expect: deny}", `a.yaml:3: from: "10.0.0.1/8" is no block`},
		{"a mapped address", "{name: a, from: '::ffff:10.0.0.1', to: sg-2, protocol: all, expect: deny}", `a.yaml:3: from: "::ffff:10.0.0.1" is no address that flow logs have`},
		{"a mapped block", "{name: a, from: sg-2, to: '::ffff:10.0.0.0/104', protocol: all, expect: deny}", "a.yaml:3: to: "},
		{"an address of a link", "{name: a, from: 'fe80::1%eth0', to: sg-2, protocol: all, expect: deny}", "a.yaml:3: from: "},
		{"interface beside ends", "{name: a, from: sg-1, to: sg-2, interface: eni-1, protocol: all, expect: deny}", "a.yaml:3: interface: "},
		{"unknown key", "{name: a, flows: x, expect: deny}", "a.yaml:3: flows: no such key"},
		{"a name twice", "{name: a, flow: '1.1.1.1 -> 2.2.2.2:1/tcp', expect: allow}\n  - {name: a, flow: '1.1.1.1 -> 2.2.2.2:1/tcp', expect: deny}", `a.yaml:4: name: "a" is the name of line 3`},
	} {
		_, err := Parse("a.yaml", []byte("version: 1\nassert:\n  - "+c.text+"\n"))
		var e *yamlfile.Error
		if !errors.As(err, &e) || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
	if _, err := Parse("a.yaml", []byte("assert: []\n")); err == nil || err.Error() != "a.yaml: version: 0 is not known; write version: 1" {
		t.Error(err)
	}
}

const shop = `interface eni-web 10.0.0.5 sg-web
interface eni-db 10.0.1.5 sg-db
interface eni-db2 10.0.1.6 sg-db
group sg-web name=web
  sgr-1 ingress tcp 443 from 0.0.0.0/0
  sgr-2 ingress tcp 22 from 10.9.0.0/16
  sgr-4 egress tcp 5432 to sg-db
group sg-db
  sgr-6 ingress tcp 5432 from sg-web
  sgr-7 ingress tcp 22 from sg-nowhere
group sg-spare
  sgr-8 ingress tcp 1 from 0.0.0.0/0
`

func TestCheckSaysWhatStandsAgainst(t *testing.T) {
	s := world(t, shop)
	for text, want := range map[string]string{
		"flow: '10.0.0.5 -> 10.0.1.5:5432/tcp', expect: allow":                           "holds 1",
		"flow: '10.0.0.5 -> 10.0.1.5:5432/tcp', expect: deny":                            "fails 1 10.0.0.5 -> 10.0.1.5:5432/tcp: allow by sg-db/sgr-6, sg-web/sgr-4",
		"flow: '10.0.0.5 -> 10.0.1.5:3306/tcp', expect: allow":                           "fails 1 10.0.0.5 -> 10.0.1.5:3306/tcp: deny by implicit/default:sg:egress, implicit/default:sg:ingress",
		"flow: '10.1.0.5 -> 10.1.1.5:1/tcp', expect: deny":                               "unknown 0 no interface of the policy owns 10.1.0.5 or 10.1.1.5",
		"flow: '10.9.0.5 -> 10.0.0.5:22/tcp', interface: eni-db, expect: deny":           "unknown 0 eni-db owns neither 10.9.0.5 nor 10.0.0.5",
		"from: sg-web, to: sg-db, protocol: tcp, ports: 5432, expect: allow":             "holds 2",
		"from: web, to: eni-db2, protocol: tcp, ports: 5432, expect: allow":              "holds 1",
		"from: any, to: sg-web, protocol: tcp, ports: 443, expect: allow":                "holds",
		"from: 10.9.0.0/16, to: sg-web, protocol: tcp, ports: 22, expect: deny":          "fails 1 10.9.0.0 -> 10.0.0.5:22/tcp: allow by sg-web/sgr-2",
		"from: 10.0.0.0/8, to: web, protocol: tcp, ports: 22, expect: deny":              "fails 3 10.9.0.0 -> 10.0.0.5:22/tcp: allow by sg-web/sgr-2",
		"from: any, to: sg-db, protocol: tcp, ports: 22, expect: deny":                   "unknown",
		"from: any, to: sg-db, protocol: tcp, ports: 23-5431, expect: deny":              "holds",
		"from: sg-db, to: any, protocol: all, expect: deny":                              "holds",
		"from: sg-web, to: any, protocol: udp, ports: all, expect: deny":                 "holds",
		"from: sg-web, to: sg-web, protocol: tcp, ports: 443, expect: deny":              "unknown 0 there is no such connection: the ends have no addresses of one family, or are the same interface",
		"from: sg-web, to: sg-spare, protocol: tcp, ports: 443, expect: deny":            "unknown 0 to: no interface carries sg-spare",
		"from: sg-gone, to: sg-web, protocol: tcp, ports: 443, expect: deny":             "unknown 0 from: sg-gone is no address, and no interface or group of the policy",
		"from: 10.8.0.1, to: 10.0.0.5, protocol: tcp, ports: 22, expect: deny":           "holds 1",
		"from: 10.8.0.1, to: 10.8.0.2, protocol: tcp, ports: 22, expect: deny":           "unknown 0 neither end is an interface of the policy: no rule is asked",
		"from: '2001:db8::/32', to: sg-web, protocol: tcp, ports: 443, expect: allow":    "unknown 0 there is no such connection: the ends have no addresses of one family, or are the same interface",
		"from: 198.51.100.7, to: sg-web, protocol: tcp, ports: '443,444', expect: allow": "fails 2 198.51.100.7 -> 10.0.0.5:444/tcp: deny by implicit/default:sg:ingress",
	} {
		a := parse(t, "  - {name: a, "+text+"}\n")[0]
		out := Check(&a, s)
		got := fmt.Sprintf("%s %d %s", out.Status, out.Tried, out.Why)
		if len(out.Against) > 0 {
			got = fmt.Sprintf("%s %d %s", out.Status, out.Tried, out.Against[0].String())
		}
		if !strings.HasPrefix(got, want) || len(strings.Fields(want)) > 2 && got != want {
			t.Errorf("%s:\n got %s\nwant %s", text, got, want)
		}
	}
}

// randomWorld has three interfaces and a block 10.9.0.0/28 of addresses outside.
func randomWorld(t *testing.T, r *rand.Rand) *policy.Snapshot {
	var b strings.Builder
	acl := r.IntN(3) == 0
	at := ""
	if acl {
		at = " subnet=subnet-1"
		b.WriteString("subnet subnet-1 10.0.0.0/24\n")
	}
	fmt.Fprintf(&b, "interface eni-a 10.0.0.1 sg-a%s\ninterface eni-b 10.0.0.2 sg-b%s\ninterface eni-c 10.0.0.3 sg-a sg-b%s\n", at, at, at)
	peer := func() string {
		switch r.IntN(8) {
		case 0:
			return "sg-a"
		case 1:
			return "sg-b"
		case 2:
			return "0.0.0.0/0"
		case 3:
			return "10.0.0.0/30"
		case 4:
			if r.IntN(3) == 0 {
				return "sg-foreign"
			}
		}
		bits := 28 + r.IntN(5)
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 9, 0, byte(r.IntN(16))}), bits).Masked().String()
	}
	service := func() string {
		first := 1 + r.IntN(12)
		return [...]string{"all all", "icmp all", fmt.Sprintf("tcp %d-%d", first, first+r.IntN(6)), fmt.Sprintf("udp %d", first), "47 all", "tcp all"}[r.IntN(6)]
	}
	side := func(d string) string {
		if d == "ingress" {
			return "from"
		}
		return "to"
	}
	for _, g := range []string{"sg-a", "sg-b"} {
		fmt.Fprintf(&b, "group %s\n", g)
		for i := range 1 + r.IntN(5) {
			d := [...]string{"ingress", "egress"}[r.IntN(2)]
			fmt.Fprintf(&b, "  sgr-%d %s %s %s %s\n", i, d, service(), side(d), peer())
		}
	}
	if acl {
		b.WriteString("acl acl-1 subnets=subnet-1\n")
		for i := range 2 + r.IntN(4) {
			d := [...]string{"ingress", "egress"}[r.IntN(2)]
			action := [...]string{"allow", "deny"}[r.IntN(2)]
			s, p := service(), peer()
			if strings.HasPrefix(p, "sg-") {
				p = "0.0.0.0/0"
			}
			if i < 2 {
				d, action, s, p = [...]string{"ingress", "egress"}[i], "allow", "all all", "0.0.0.0/0"
			}
			fmt.Fprintf(&b, "  %d %s %s %s %s %s\n", 200-i*10, d, action, s, side(d), p)
		}
	}
	return world(t, b.String())
}

// The few connections that are asked about speak for all: every address, port and
// protocol is explained one by one.
func TestCheckSpeaksForEveryConnection(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	seen := map[string]int{}
	rounds := 400
	if testing.Short() {
		rounds = 120
	}
	for range rounds {
		s := randomWorld(t, r)
		a := Assertion{Name: "a", Expect: [...]policy.Verdict{policy.Allowed, policy.Denied}[r.IntN(2)], ICMP: policy.AnyICMP}
		ends := []string{"eni-a", "sg-a", "sg-b", "10.9.0.0/28", "10.9.0.8/30", "10.0.0.3", "10.9.0.3"}
		a.From, a.To = ends[r.IntN(len(ends))], ends[r.IntN(len(ends))]
		switch r.IntN(4) {
		case 0:
			a.AnyProto, a.Ports = true, []netset.PortRange{netset.AllPorts}
		case 1:
			a.Proto = flow.ICMP
		default:
			a.Proto = flow.TCP
			first := uint16(1 + r.IntN(12))
			a.Ports = []netset.PortRange{{First: first, Last: first + uint16(r.IntN(5))}}
		}
		out := Check(&a, s)
		want, tried := brute(t, &a, s)
		if tried == 0 {
			want = Unknown
		}
		seen[string(want)]++
		if out.Status != want || out.Tried > tried {
			t.Fatalf("%s %s: %s of %d tried, one by one %s of %d (%s)", a.Text(), a.Expect, out.Status, out.Tried, want, tried, out.Why)
		}
		for i := range out.Against {
			w := &out.Against[i]
			if v, refs := w.Judge(s); v != w.Verdict || fmt.Sprint(refs) != fmt.Sprint(w.Refs) {
				t.Fatalf("%s: judged again %s by %v", w, v, refs)
			}
		}
	}
	if len(seen) < 3 {
		t.Errorf("only these: %v", seen)
	}
}

// brute asks about every connection that a stands for.
func brute(t *testing.T, a *Assertion, s *policy.Snapshot) (Status, int) {
	addrs := func(text string) (out []netip.Addr) {
		switch text {
		case "eni-a":
			text = "10.0.0.1"
		case "sg-a":
			return []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.3")}
		case "sg-b":
			return []netip.Addr{netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.3")}
		}
		if p, err := netip.ParsePrefix(text); err == nil {
			for x := p.Addr(); p.Contains(x); x = x.Next() {
				out = append(out, x)
			}
			return out
		}
		return []netip.Addr{netip.MustParseAddr(text)}
	}
	protos := []flow.Proto{a.Proto}
	if a.AnyProto {
		protos = []flow.Proto{flow.ICMP, flow.TCP, flow.UDP, 47, 50, 132}
	}
	tried, worst := 0, Holds
	for _, src := range addrs(a.From) {
		for _, dst := range addrs(a.To) {
			if src == dst {
				continue
			}
			for _, p := range protos {
				ports := []uint16{0}
				if p.HasPorts() {
					ports = nil
					for _, x := range a.Ports {
						for port := int(x.First); port <= min(int(x.Last), 24); port++ {
							ports = append(ports, uint16(port))
						}
					}
				}
				for _, port := range ports {
					e, err := explain.Explain(s, explain.Flow{Src: src, Dst: dst, Proto: p, Port: port, ICMP: policy.AnyICMP, ClientPorts: explain.ClientPorts}, nil)
					if err != nil {
						continue
					}
					tried++
					switch {
					case e.Verdict == a.Expect:
					case e.Verdict == policy.Unknown:
						if worst == Holds {
							worst = Unknown
						}
					default:
						worst = Fails
					}
				}
			}
		}
	}
	if tried == 0 {
		return Unknown, 0
	}
	return worst, tried
}

func TestPartsOfABlockBeginWhereRulesDo(t *testing.T) {
	block := netip.MustParsePrefix("10.0.0.0/8")
	var peers []netip.Prefix
	for _, p := range []string{"0.0.0.0/0", "10.1.0.0/16", "10.1.2.0/24", "10.255.255.255/32", "192.0.2.0/24", "::/0"} {
		peers = append(peers, netip.MustParsePrefix(p))
	}
	if got, want := fmt.Sprint(startsIn(block, peers)), "[10.0.0.0 10.1.0.0 10.1.2.0 10.1.3.0 10.2.0.0 10.255.255.255]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	whole := netip.MustParsePrefix("0.0.0.0/0")
	if got := fmt.Sprint(startsIn(whole, []netip.Prefix{whole, netip.MustParsePrefix("255.255.255.255/32")})); got != "[0.0.0.0 255.255.255.255]" {
		t.Error(got)
	}
}
