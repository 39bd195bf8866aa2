package cloud

import (
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// rule parses one rule of a group.
func rule(t *testing.T, text string) policy.Rule {
	t.Helper()
	s, err := ParseText("test", []byte("group sg-x\n  "+text+"\n"))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s.Groups[0].Rules[0]
}

func TestRulesOfTheLanguage(t *testing.T) {
	prefixes := func(ps ...string) policy.AddrSet {
		var s policy.AddrSet
		for _, p := range ps {
			s.Prefixes = append(s.Prefixes, netip.MustParsePrefix(p))
		}
		return s
	}
	box := func(d flow.Direction, p flow.Proto, first, last uint16, peer policy.AddrSet) policy.Match {
		return policy.NewMatch(d, policy.OneProto(p), netset.PortRange{First: first, Last: last}, policy.AnyICMP, peer)
	}
	in, out := flow.Ingress, flow.Egress
	ten := prefixes("10.0.0.0/8")
	for _, c := range []struct {
		text string
		want policy.Rule
	}{
		{"sgr-1 ingress tcp 443 from 10.0.0.0/8", policy.Rule{Direction: in, Action: policy.Allow, Editable: true, Match: []policy.Match{box(in, flow.TCP, 443, 443, ten)}}},
		{"sgr-1 egress udp 1024-65535 to 10.9.9.9/8", policy.Rule{Direction: out, Action: policy.Allow, Editable: true, Match: []policy.Match{box(out, flow.UDP, 1024, 65535, ten)}}},
		{"sgr-1 ingress tcp from 10.0.0.1", policy.Rule{Direction: in, Action: policy.Allow, Editable: true, Match: []policy.Match{box(in, flow.TCP, 0, 65535, prefixes("10.0.0.1/32"))}}},
		{"sgr-1 ingress 47 from any", policy.Rule{Direction: in, Action: policy.Allow, Editable: true, Match: []policy.Match{box(in, 47, 0, 65535, policy.AnyAddr)}}},
		{"sgr-1 egress all to none", policy.Rule{Direction: out, Action: policy.Allow, Editable: true, Match: []policy.Match{policy.NewMatch(out, policy.AnyProto, netset.AllPorts, policy.AnyICMP, policy.AddrSet{})}}},
		{"sgr-1 ingress icmp type 8 code 0 from 10.0.0.0/8", policy.Rule{Direction: in, Action: policy.Allow, Editable: true,
			Match: []policy.Match{policy.NewMatch(in, policy.OneProto(flow.ICMP), netset.AllPorts, policy.TypeCode{Type: 8}, ten)}}},
		{"sgr-1 ingress icmpv6 type 2 from ::/0", policy.Rule{Direction: in, Action: policy.Allow, Editable: true,
			Match: []policy.Match{policy.NewMatch(in, policy.OneProto(flow.ICMPv6), netset.AllPorts, policy.TypeCode{Type: 2, Code: -1}, prefixes("::/0"))}}},
		{`sgr-1 ingress deny tcp 22 from pl-a list=b sg-b foreign=2 peer-vpc=vpc-2 group=c dead="peering deleted" unknown 10.0.0.0/8 priority=7 created=2024-01-01T00:00:00Z readonly "why"`,
			policy.Rule{Direction: in, Action: policy.Deny, Rank: 7, Created: time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC), Description: "why",
				Match: []policy.Match{box(in, flow.TCP, 22, 22, policy.AddrSet{Prefixes: ten.Prefixes, Unknown: true, Refs: []policy.SetRef{
					{Kind: policy.ListSet, ID: "pl-a"}, {Kind: policy.ListSet, ID: "b"}, {ID: "sg-b", Account: "2", VPC: "vpc-2"}, {ID: "c", Dead: "peering deleted"}}})}}},
		{"sgr-1 egress allow-all tcp+udp 53 to 10.0.0.0/8 at 10.1.0.0/16 peer-ports=1024-65535 or all to sg-x",
			policy.Rule{Direction: out, Action: policy.AllowAll, Editable: true, Match: []policy.Match{
				{Protos: policy.ProtoSet{1<<6 | 1<<17}, ICMP: policy.AnyICMP, LocalPorts: netset.PortRange{First: 1024, Last: 65535}, RemotePorts: netset.Port(53), Local: prefixes("10.1.0.0/16"), Remote: ten},
				policy.NewMatch(out, policy.AnyProto, netset.AllPorts, policy.AnyICMP, policy.AddrSet{Refs: []policy.SetRef{{ID: "sg-x"}}})}}},
	} {
		c.want.Ref = policy.Ref{Owner: "sg-x", Rule: "sgr-1"}
		c.want.File, c.want.Line = "test", 2
		if got := rule(t, c.text); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s\n got  %+v\n want %+v", c.text, got, c.want)
		}
	}
}

func TestLinesOfACLs(t *testing.T) {
	s, err := ParseText("test", []byte(`
acl acl-1
	100 ingress allow tcp 443 from 0.0.0.0/0   # a comment
	100 egress deny all to 10.0.0.0/8
	90 egress allow all to ::/0
	200 egress allow all to any
	"300" egress allow all to any priority=5
	drop-ssh egress deny tcp 22 to 0.0.0.0/0 priority=4
`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range s.Rules() {
		got = append(got, r.Ref.String()+" "+r.Action.String()+" "+string(rune('0'+r.Rank%10)))
	}
	want := "acl-1/ingress-100 allow 0, acl-1/drop-ssh deny 4, acl-1/300 allow 5, acl-1/egress-90-ipv6 allow 0, acl-1/egress-100 deny 0, acl-1/egress-200 allow 0"
	if strings.Join(got, ", ") != want {
		t.Errorf("lines %s\nwant  %s", strings.Join(got, ", "), want)
	}
}

// A text that says nothing is missing has nothing missing but what it refers to.
func TestTextsNameOnlyWhatTheyReferTo(t *testing.T) {
	s, err := ParseText("test", []byte(`
interface eni-1 10.0.0.5 sg-1 sg-2
group sg-1
  r1 ingress all from sg-3
  r2 ingress all from pl-1
  r3 ingress all from sg-4 dead=gone
  r4 ingress all from pl-2
list pl-2 10.0.0.0/8
`))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(missingWhats(s), ", "); got != "group sg-2, group sg-3, prefix-list pl-1" {
		t.Errorf("missing %s", got)
	}
	c := policy.Conn{Direction: flow.Ingress, Proto: flow.TCP, Local: netip.MustParseAddr("10.0.0.5"), Remote: netip.MustParseAddr("169.254.169.254")}
	if d := policy.Decide(s.Path("eni-1", flow.Ingress), &c); !d.Stages[0].Skipped {
		t.Error("the platform's addresses are filtered")
	}
}

// unusual says everything the language can say, and with every word that could be
// mistaken for another.
const unusual = `taken 2024-05-06T07:08:09.123Z
platform 100.100.2.136/32 fd00::/64
missing "network-acls" "not exported: \"why\" # not a comment"
missing x
interface "10.0.0.5" "10.0.0.6" "transit" "all" "a b" 192.0.2.1 192.0.2.9 2001:db8::1 name="=x" transit
interface "007"
group "any" name="managed" description="line\nbreak" default
  "100" ingress allow tcp 443 from group=GroupId:77 group="sg-a b" list=x foreign="a=b" "d"
  300 ingress next 17 53 from 10.0.0.0/8 unknown
  ingress-400 ingress all from any
  "from" egress deny tcp+58+udp 1-2 type 1 code 0 to 10.0.0.0/8 10.1.0.0/16 2001:db8::/32 at sg-q peer-ports=7 or 1 type 0 to none readonly implicit
group sg-m managed
  r ingress all from 10.0.0.0/8 priority=4294967295
acl "a,b" subnet="s,1" subnet=s2 default
  0 ingress deny all from ::/0
subnet s2 10.0.0.0/24
list l max=3 provider
list pl-u unknown
flowlog "x y" vpc-1 ACCEPT failed="rate limited"
`

func TestFormatIsReadBack(t *testing.T) {
	aws, err := os.ReadFile("testdata/aws.policy")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "platform none\n", "platform none id=x quota=9 ranks=1-100\n", unusual, string(aws)} {
		s, err := ParseText("test", []byte(text))
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		written := Format(s)
		again, err := ParseText("again", []byte(written))
		if err != nil {
			t.Errorf("%v in\n%s", err, written)
			continue
		}
		if d := diff(s, again); d != "" {
			t.Errorf("-first +again:\n%s\nof\n%s", d, written)
		}
		if Format(again) != written {
			t.Errorf("formatted again:\n%s\nwas\n%s", Format(again), written)
		}
	}
}

func TestErrorsOfTheLanguage(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"\n\nfoo bar", `p:3: "foo" starts no statement`},
		{`"group" sg-1`, `p:1: "group" starts no statement`},
		{"  r ingress all from any", "p:1: an indented line must be a rule"},
		{"subnet s 10.0.0.0/8\n r ingress all from any", "p:2: an indented line must be a rule"},
		{"group", "p:1: no group id"},
		{"group sg-1\ngroup sg-1", "p:2: group sg-1 occurs twice, first at p:1"},
		{"group sg-1 colour=red", "p:1: unexpected colour=red"},
		{"group sg-1 red", `p:1: unexpected "red"`},
		{"group \"sg-1", "p:1: quoted word does not end"},
		{"group \"sg-1\"x", "p:1: no blank after"},
		{"interface eni-1 =x", "p:1: = without a name"},
		{"interface eni-1 a\"b", "p:1: quote the word"},
		{"interface eni-1 attached=today", `p:1: attached: "today" is not a time`},
		{"interface eni-1 prefix=x", `p:1: "x" is not an address`},
		{"subnet s 10.0.0.0/33", `p:1: "10.0.0.0/33" is not a CIDR`},
		{"list pl-1 unknown 10.0.0.0/8", "p:1: list pl-1: unknown, yet it has entries"},
		{"list pl-1 max=-1", `p:1: max: "-1" is not a number`},
		{"flowlog fl-1 vpc-1 SOME", `p:1: traffic "SOME" is none of`},
		{"platform", "p:1: platform: no CIDR"},
		{"platform none ranks=100-1", `p:1: ranks: "100-1" is not two numbers`},
		{"platform none ranks=100", `p:1: ranks: "100" is not two numbers`},
		{"platform none none", `p:1: unexpected "none"`},
		{"taken now", `p:1: taken: "now" is not a time`},
		{"acl acl-1 subnets=a,b\nacl acl-2 subnets=b", "p:2: acl of subnet b occurs twice"},
		{"group g\n r all from any", `p:2: rule r: "all" is neither ingress nor egress`},
		{"group g\n r ingress all to any", `p:2: "to" where "from" should be`},
		{"group g\n r egress all from any", `p:2: "from" where "to" should be`},
		{"group g\n r ingress tpc 443 from any", `p:2: protocol "tpc"`},
		{"group g\n r ingress 256 from any", `p:2: protocol "256"`},
		{"group g\n r ingress tcp 443-80 from any", "p:2: port range 443-80 runs backwards"},
		{"group g\n r ingress tcp 65536 from any", `p:2: port "65536" is not in 0-65535`},
		{"group g\n r ingress icmp 8 from any", "p:2: ports 8: only tcp and udp have ports"},
		{"group g\n r ingress tcp type 8 from any", "p:2: type: only icmp and icmpv6"},
		{"group g\n r ingress icmp type 256 from any", `p:2: type: "256" is not in 0-255`},
		{"group g\n r ingress all from", "p:2: nothing after from"},
		{"group g\n r ingress all from web", `p:2: peer "web" is no CIDR, group or list`},
		{"group g\n r ingress all from any foreign=1", "p:2: foreign= belongs after a group"},
		{"group g\n r ingress all from any \"a\" \"b\"", `p:2: unexpected "b"`},
		{"group g\n r ingress all from any priority=x", `p:2: priority: "x" is not a number`},
		{"group g\n r ingress all from any\n r egress all to any", "p:3: rule g/r occurs twice"},
		{"acl a\n 100 ingress deny all from any priority=1", "p:2: rule 100: the number of a line is its priority"},
		{"acl a\n 100 ingress deny all from 10.0.0.0/8\n 100 ingress deny all from 11.0.0.0/8", "p:3: rule a/ingress-100 occurs twice"},
	} {
		_, err := ParseText("p", []byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q\n error %v\n want  %s", c.text, err, c.want)
		}
	}
}

// The example of the design document.
func TestScenarioReadsAsWritten(t *testing.T) {
	s, err := ParseText("policy", []byte(`interface eni-1 10.0.0.5 sg-web sg-base
group sg-web
  sgr-1 ingress tcp 443 from 0.0.0.0/0
group sg-base
  sgr-2 ingress tcp 443 from 10.0.0.0/8
`))
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Missing) != 0 {
		t.Errorf("missing %v", s.Missing)
	}
	c := policy.Conn{Direction: flow.Ingress, Proto: flow.TCP, Local: netip.MustParseAddr("10.0.0.5"), Remote: netip.MustParseAddr("10.1.2.3"), LocalPort: 443, RemotePort: 49152}
	d := policy.Decide(s.Path("eni-1", flow.Ingress), &c)
	if len(d.Stages) != 1 || len(d.Stages[0].Winners) != 2 || d.Stages[0].Decisive {
		t.Errorf("decision %+v", d)
	}
}
