package policy_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// The vectors of the model that concern Alibaba Cloud, through its export. 4 and 7 are
// the golden vectors 4 and 1.

func TestAlibabaModelVectors05And06(t *testing.T) {
	const accept = "sgr-a egress 1 Accept TCP 443/443 0.0.0.0/0"
	askBoth(t, aliWorld(t, "eni-b 10.0.0.8 sg-b", "eni-e 10.0.0.9 sg-e", aliGroup("sg-b normal Accept", accept), aliGroup("sg-e enterprise Drop", accept)), `
interface eni-b 10.0.0.8 sg-b platform=alibaba
interface eni-e 10.0.0.9 sg-e platform=alibaba
group sg-b egress-open intra
  sgr-a egress tcp 443 to 0.0.0.0/0 priority=1
group sg-e
  sgr-a egress tcp 443 to 0.0.0.0/0 priority=1
`, `
eni-b out tcp 198.51.100.1 443 = allow: sg allow by sg-b/sgr-a, next allow
eni-b out tcp 198.51.100.1 80 = allow: sg allow by default:sg:egress:allow, next allow
eni-e out tcp 198.51.100.1 443 = allow: sg allow by sg-e/sgr-a, next deny, decisive
eni-e out tcp 198.51.100.1 80 = deny: sg deny by default:sg:egress, next deny
`)
}

func TestAlibabaModelVector08(t *testing.T) {
	askBoth(t, aliWorld(t, "eni-1 10.0.0.8 sg-1", aliGroup("sg-1 normal Accept", "sgr-10 ingress 10 Accept TCP 22/22 10.1.0.0/16",
		"sgr-20 ingress 20 Drop TCP 22/22 10.0.0.0/8", "sgr-30 ingress 30 Accept TCP 22/22 0.0.0.0/0")), `
interface eni-1 10.0.0.8 sg-1 platform=alibaba
group sg-1 egress-open intra
  sgr-10 ingress tcp 22 from 10.1.0.0/16 priority=10
  sgr-20 ingress deny tcp 22 from 10.0.0.0/8 priority=20
  sgr-30 ingress tcp 22 from 0.0.0.0/0 priority=30
`, `
eni-1 in tcp 10.1.0.1 22 = allow: sg allow by sg-1/sgr-10, next deny, decisive
`)
}

// aliACL is a network ACL of the vSwitch vsw-1, 10.0.0.0/24, with these lines:
// "POLICY PROTOCOL PORT CIDR".
func aliACL(ingress, egress [][4]string) []reply {
	lines := func(all [][4]string, side string) []reply {
		out := []reply{}
		for _, l := range all {
			out = append(out, reply{"Policy": l[0], "Protocol": l[1], "Port": l[2], side: l[3], "EntryType": "custom"})
		}
		return out
	}
	return []reply{
		{"NetworkAcls": reply{"NetworkAcl": []reply{{"NetworkAclId": "nacl-1", "VpcId": "vpc-1", "NetworkAclName": "", "Resources": reply{"Resource": []reply{{"ResourceId": "vsw-1", "ResourceType": "VSwitch"}}},
			"IngressAclEntries": reply{"IngressAclEntry": lines(ingress, "SourceCidrIp")}, "EgressAclEntries": reply{"EgressAclEntry": lines(egress, "DestinationCidrIp")}}}}},
		{"VSwitches": reply{"VSwitch": []reply{{"VSwitchId": "vsw-1", "VpcId": "vpc-1", "CidrBlock": "10.0.0.0/24"}}}},
	}
}

func TestAlibabaModelVector09(t *testing.T) {
	askBoth(t, aliWorld(t, "eni-1 10.0.0.8 sg-1 VSwitchId=vsw-1", aliGroup("sg-1 normal Drop", "sgr-a ingress 1 Accept TCP 22/22 10.0.0.0/8"),
		aliACL([][4]string{{"drop", "all", "-1/-1", "0.0.0.0/0"}, {"accept", "tcp", "22/22", "0.0.0.0/0"}}, nil)), `
interface eni-1 10.0.0.8 sg-1 subnet=vsw-1 platform=alibaba
group sg-1 egress-open
  sgr-a ingress tcp 22 from 10.0.0.0/8 priority=1
acl nacl-1 subnet=vsw-1
  1 ingress deny all from 0.0.0.0/0
  2 ingress allow tcp 22 from 0.0.0.0/0
subnet vsw-1 10.0.0.0/24
`, `
eni-1 in tcp 10.0.0.77 22 = allow: nacl skipped; sg allow by sg-1/sgr-a, next deny, decisive
eni-1 in tcp 10.0.1.77 22 = deny: nacl deny by nacl-1/ingress-1, next allow, decisive
`)
}

// What cannot be resolved above the winner makes the decision unknown (also trap 18).
func TestAlibabaModelVector15(t *testing.T) {
	askBoth(t, aliWorld(t, "eni-1 10.0.0.8 sg-1", aliGroup("sg-1 normal Accept", "sgr-d ingress 10 Drop ALL -1/-1 pl-dark", "sgr-a ingress 20 Accept TCP 443/443 0.0.0.0/0")), `
interface eni-1 10.0.0.8 sg-1 platform=alibaba
group sg-1 egress-open intra
  sgr-d ingress deny all from pl-dark priority=10
  sgr-a ingress tcp 443 from 0.0.0.0/0 priority=20
`, `
eni-1 in tcp 198.51.100.1 443 = unknown: sg unknown by sg-1/sgr-a, perhaps sg-1/sgr-d, next deny
eni-1 in tcp 198.51.100.1 80 = deny: sg deny by default:sg:ingress, perhaps sg-1/sgr-d, next deny
`)
}

// Trap 1: traffic between members needs no rule and has a rule of its own to credit.
// Traps 2 and 3 are the golden vectors 4 and 6.
func TestAlibabaTrap01(t *testing.T) {
	askBoth(t, aliWorld(t, "eni-1 10.0.0.8 sg-g", "eni-2 10.0.0.5 sg-g", aliGroup("sg-g normal Accept", "sgr-a ingress 1 Accept TCP 22/22 10.0.0.5/32")), `
interface eni-1 10.0.0.8 sg-g platform=alibaba
interface eni-2 10.0.0.5 sg-g platform=alibaba
group sg-g egress-open intra
  sgr-a ingress tcp 22 from 10.0.0.5/32 priority=1
`, `
eni-1 in tcp 10.0.0.5 23 = allow: sg allow by intra-group:sg-g, next deny, decisive
eni-1 in tcp 10.0.0.5 22 = allow: sg allow by intra-group:sg-g, next allow
`)
}

// Trap 4: the allowance needs an Accept group that both ends share.
func TestAlibabaTrap04(t *testing.T) {
	askBoth(t, aliWorld(t, "eni-a 10.0.0.1 sg-1", "eni-b 10.0.0.2 sg-1,sg-2", "eni-c 10.0.0.3 sg-2", aliGroup("sg-1 normal Drop"), aliGroup("sg-2 normal Accept")), `
interface eni-a 10.0.0.1 sg-1 platform=alibaba
interface eni-b 10.0.0.2 sg-1 sg-2 platform=alibaba
interface eni-c 10.0.0.3 sg-2 platform=alibaba
group sg-1 egress-open
group sg-2 egress-open intra
`, `
eni-b in tcp 10.0.0.1 22 = deny: sg deny by default:sg:ingress, next deny
eni-a in tcp 10.0.0.2 22 = deny: sg deny by default:sg:ingress, next deny
eni-c in tcp 10.0.0.2 22 = allow: sg allow by intra-group:sg-2, next deny, decisive
eni-b in tcp 10.0.0.3 22 = allow: sg allow by intra-group:sg-2, next deny, decisive
eni-a in tcp 10.0.0.3 22 = deny: sg deny by default:sg:ingress, next deny
eni-c in tcp 10.0.0.1 22 = deny: sg deny by default:sg:ingress, next deny
`)
}

// Trap 5: in an advanced group the Accept between members is the only one, whatever
// InnerAccessPolicy says.
func TestAlibabaTrap05(t *testing.T) {
	askBoth(t, aliWorld(t, "eni-1 10.0.0.8 sg-e", "eni-2 10.0.0.5 sg-e", aliGroup("sg-e enterprise Accept", "sgr-a ingress 1 Accept TCP 22/22 10.0.0.0/24")), `
interface eni-1 10.0.0.8 sg-e platform=alibaba
interface eni-2 10.0.0.5 sg-e platform=alibaba
group sg-e
  sgr-a ingress tcp 22 from 10.0.0.0/24 priority=1
`, `
eni-1 in tcp 10.0.0.5 22 = allow: sg allow by sg-e/sgr-a, next deny, decisive
eni-1 in tcp 10.0.0.5 23 = deny: sg deny by default:sg:ingress, next deny
`)
}

// Traps 6, 7 and 34: neither how narrow a rule is nor its group ranks it; what a rule
// does is known on an interface only; a narrow Accept over a wide one changes nothing.
func TestAlibabaTraps06And07And34(t *testing.T) {
	askBoth(t, aliWorld(t, "eni-1 10.0.0.8 sg-a,sg-b", "eni-2 10.0.0.9 sg-a",
		aliGroup("sg-a normal Drop", "sgr-narrow ingress 50 Accept TCP 22/22 10.1.2.3/32", "sgr-wide ingress 60 Accept TCP 22/22 10.0.0.0/8"),
		aliGroup("sg-b normal Drop", "sgr-drop ingress 40 Drop ALL -1/-1 0.0.0.0/0")), `
interface eni-1 10.0.0.8 sg-a sg-b platform=alibaba
interface eni-2 10.0.0.9 sg-a platform=alibaba
group sg-a egress-open
  sgr-narrow ingress tcp 22 from 10.1.2.3 priority=50
  sgr-wide ingress tcp 22 from 10.0.0.0/8 priority=60
group sg-b egress-open
  sgr-drop ingress deny all from 0.0.0.0/0 priority=40
`, `
eni-1 in tcp 10.1.2.3 22 = deny: sg deny by sg-b/sgr-drop, next allow, decisive
eni-2 in tcp 10.1.2.3 22 = allow: sg allow by sg-a/sgr-narrow, next allow
eni-2 in tcp 10.1.2.4 22 = allow: sg allow by sg-a/sgr-wide, next deny, decisive
`)
}

// Trap 9: a Drop inside an Accept of its priority decides; without it traffic opens.
func TestAlibabaTrap09(t *testing.T) {
	askBoth(t, aliWorld(t, "eni-1 10.0.0.8 sg-1", aliGroup("sg-1 normal Accept", "sgr-a ingress 1 Accept ALL -1/-1 0.0.0.0/0", "sgr-d ingress 1 Drop TCP 22/22 10.1.0.0/16")), `
interface eni-1 10.0.0.8 sg-1 platform=alibaba
group sg-1 egress-open intra
  sgr-a ingress all from 0.0.0.0/0 priority=1
  sgr-d ingress deny tcp 22 from 10.1.0.0/16 priority=1
`, `
eni-1 in tcp 10.1.0.1 22 = deny: sg deny by sg-1/sgr-d, next allow, decisive
`)
}

// Traps 10, 11 and 12: what an Accept and a Drop of egress do depends on the default.
func TestAlibabaTraps10To12(t *testing.T) {
	askBoth(t, aliWorld(t, "eni-e 10.0.0.1 sg-e", "eni-b 10.0.0.2 sg-b", "eni-d 10.0.0.3 sg-d",
		aliGroup("sg-e enterprise Drop", "sgr-all egress 1 Accept ALL -1/-1 0.0.0.0/0"),
		aliGroup("sg-b normal Drop", "sgr-all egress 1 Accept ALL -1/-1 0.0.0.0/0"),
		aliGroup("sg-d normal Drop", "sgr-web egress 1 Accept TCP 443/443 0.0.0.0/0", "sgr-drop egress 100 Drop ALL -1/-1 0.0.0.0/0")), `
interface eni-e 10.0.0.1 sg-e platform=alibaba
interface eni-b 10.0.0.2 sg-b platform=alibaba
interface eni-d 10.0.0.3 sg-d platform=alibaba
group sg-e
  sgr-all egress all to 0.0.0.0/0 priority=1
group sg-b egress-open
  sgr-all egress all to 0.0.0.0/0 priority=1
group sg-d egress-open
  sgr-web egress tcp 443 to 0.0.0.0/0 priority=1
  sgr-drop egress deny all to 0.0.0.0/0 priority=100
`, `
eni-e out tcp 198.51.100.1 443 = allow: sg allow by sg-e/sgr-all, next deny, decisive
eni-b out tcp 198.51.100.1 443 = allow: sg allow by sg-b/sgr-all, next allow
eni-d out tcp 198.51.100.1 443 = allow: sg allow by sg-d/sgr-web, next deny, decisive
eni-d out tcp 198.51.100.1 80 = deny: sg deny by sg-d/sgr-drop, next allow, decisive
`)
}

// Traps 13 and 14: PortRange is the far port of an egress rule; source ports and the
// interface's own address restrict a rule.
func TestAlibabaTraps13And14(t *testing.T) {
	askBoth(t, aliWorld(t, "eni-1 10.0.0.8 sg-e 10.0.0.9", aliGroup("sg-e enterprise Drop",
		"sgr-out egress 1 Accept TCP 3306/3306 10.9.0.0/16", "sgr-quint egress 1 Accept UDP 53/53 10.9.0.0/16 SourcePortRange=40000/40100 SourceCidrIp=10.0.0.9",
		"sgr-in ingress 1 Accept UDP 123/123 10.9.0.0/16 SourcePortRange=123/123 DestCidrIp=10.0.0.8/32")), `
interface eni-1 10.0.0.8 10.0.0.9 sg-e platform=alibaba
group sg-e
  sgr-out egress tcp 3306 to 10.9.0.0/16 priority=1
  sgr-quint egress udp 53 to 10.9.0.0/16 at 10.0.0.9/32 peer-ports=40000-40100 priority=1
  sgr-in ingress udp 123 from 10.9.0.0/16 at 10.0.0.8/32 peer-ports=123 priority=1
`, `
eni-1 out tcp 10.9.0.1 3306 = allow: sg allow by sg-e/sgr-out, next deny, decisive
eni-1 out tcp 10.9.0.1 50000 client=3306 = deny: sg deny by default:sg:egress, next deny
eni-1 out udp 10.9.0.1 53 at=10.0.0.9 client=40000 = allow: sg allow by sg-e/sgr-quint, next deny, decisive
eni-1 out udp 10.9.0.1 53 at=10.0.0.8 client=40000 = deny: sg deny by default:sg:egress, next deny
eni-1 out udp 10.9.0.1 53 at=10.0.0.9 client=40101 = deny: sg deny by default:sg:egress, next deny
eni-1 in udp 10.9.0.1 123 client=123 = allow: sg allow by sg-e/sgr-in, next deny, decisive
eni-1 in udp 10.9.0.1 123 client=124 = deny: sg deny by default:sg:ingress, next deny
eni-1 in udp 10.9.0.1 123 client=123 at=10.0.0.9 = deny: sg deny by default:sg:ingress, next deny
`)
}

// Trap 15: -1/-1 is every port; ALL is more than every port of TCP.
func TestAlibabaTrap15(t *testing.T) {
	s := aliWorld(t, "eni-1 10.0.0.8 sg-1", aliGroup("sg-1 normal Drop", "sgr-minus ingress 1 Accept TCP -1/-1 10.0.0.0/8",
		"sgr-full ingress 1 Accept TCP 1/65535 10.0.0.0/8", "sgr-all ingress 1 Accept ALL -1/-1 10.0.0.0/8", "sgr-any ingress 1 Accept UDP 53/53 10.0.0.0/8 SourcePortRange=-1/-1"))
	rules := make(map[string]*policy.Rule)
	for _, r := range s.Rules() {
		rules[r.Ref.Rule] = r
	}
	if a, b := rules["sgr-minus"].Match[0].LocalPorts, rules["sgr-full"].Match[0].LocalPorts; a != b || a.First != 1 || a.Last != 65535 {
		t.Errorf("-1/-1 of TCP is %v, 1/65535 is %v", a, b)
	}
	if r := rules["sgr-all"]; r.Protocol() != "all" || r.Ports() != "all" {
		t.Errorf("ALL is %s %s", r.Protocol(), r.Ports())
	}
	if p := rules["sgr-any"].Match[0].RemotePorts; p.String() != "all" {
		t.Errorf("any source port is %v", p)
	}
	askBoth(t, s, `
interface eni-1 10.0.0.8 sg-1 platform=alibaba
group sg-1 egress-open
  sgr-minus ingress tcp 1-65535 from 10.0.0.0/8 priority=1
  sgr-full ingress tcp 1-65535 from 10.0.0.0/8 priority=1
  sgr-all ingress all from 10.0.0.0/8 priority=1
  sgr-any ingress udp 53 from 10.0.0.0/8 priority=1
`, `
eni-1 in tcp 10.2.3.4 22 = allow: sg allow by sg-1/sgr-all sg-1/sgr-full sg-1/sgr-minus, next deny
eni-1 in tcp 10.2.3.4 0 = allow: sg allow by sg-1/sgr-all, next deny, decisive
eni-1 in 50 10.2.3.4 = allow: sg allow by sg-1/sgr-all, next deny, decisive
`)
}

// Traps 16 and 17: families do not mix; addresses are compared, not their text.
func TestAlibabaTraps16And17(t *testing.T) {
	askBoth(t, aliWorld(t, "eni-1 10.0.0.8 sg-1 2408:4321::8", aliGroup("sg-1 normal Drop", "sgr-six ingress 1 Accept ALL -1/-1 ::/0",
		"sgr-host ingress 1 Accept TCP 22/22 10.159.6.18/12", "sgr-one ingress 1 Accept TCP 23/23 192.168.7.7", "sgr-long ingress 1 Drop TCP 22/22 2001:0DB8:0000::0001/32")), `
interface eni-1 10.0.0.8 2408:4321::8 sg-1 platform=alibaba
group sg-1 egress-open
  sgr-six ingress all from ::/0 priority=1
  sgr-host ingress tcp 22 from 10.144.0.0/12 priority=1
  sgr-one ingress tcp 23 from 192.168.7.7/32 priority=1
  sgr-long ingress deny tcp 22 from 2001:db8::/32 priority=1
`, `
eni-1 in tcp 198.51.100.1 22 = deny: sg deny by default:sg:ingress, next deny
eni-1 in tcp 2001:db9::1 22 = allow: sg allow by sg-1/sgr-six, next deny, decisive
eni-1 in tcp 2001:db8:ffff::1 22 = deny: sg deny by sg-1/sgr-long, next allow, decisive
eni-1 in tcp 10.145.0.1 22 = allow: sg allow by sg-1/sgr-host, next deny, decisive
eni-1 in tcp 192.168.7.7 23 = allow: sg allow by sg-1/sgr-one, next deny, decisive
eni-1 in tcp 192.168.7.8 23 = deny: sg deny by default:sg:ingress, next deny
`)
}

// Trap 18: lists, ports and groups that are not here make what they might decide
// unknown, and nothing else.
func TestAlibabaTrap18(t *testing.T) {
	s := aliWorld(t, "eni-1 10.0.0.8 sg-1", "eni-2 10.0.0.9 sg-1,sg-gone",
		aliGroup("sg-1 normal Drop", "sgr-ports ingress 1 Drop TCP prl-dark 10.0.0.0/8", "sgr-foreign ingress 2 Accept TCP 22/22 sg-theirs SourceGroupOwnerAccount=15000",
			"sgr-a ingress 3 Accept TCP 443/443 0.0.0.0/0"))
	askBoth(t, s, `
interface eni-1 10.0.0.8 sg-1 platform=alibaba
interface eni-2 10.0.0.9 sg-1 sg-gone platform=alibaba
group sg-1 egress-open
  sgr-ports ingress deny tcp from 10.0.0.0/8 at unknown ports-of=prl-dark priority=1
  sgr-foreign ingress tcp 22 from sg-theirs foreign="15000" priority=2
  sgr-a ingress tcp 443 from 0.0.0.0/0 priority=3
`, `
eni-1 in tcp 10.2.3.4 443 = unknown: sg unknown by sg-1/sgr-a, perhaps sg-1/sgr-ports, next deny
eni-1 in tcp 198.51.100.1 443 = allow: sg allow by sg-1/sgr-a, next deny, decisive
eni-1 in udp 10.2.3.4 443 = deny: sg deny by default:sg:ingress, next deny
eni-1 in tcp 198.51.100.1 22 = unknown: sg unknown by default:sg:ingress, perhaps sg-1/sgr-foreign, next deny
eni-2 in tcp 198.51.100.1 443 = unknown: sg unknown by sg-1/sgr-a, perhaps unknown-group:sg-gone:ingress unknown-group:sg-gone:ingress:deny, next next
eni-2 out udp 198.51.100.1 53 = unknown: sg unknown by default:sg:egress, perhaps unknown-group:sg-gone:egress unknown-group:sg-gone:egress:deny, next allow
`)
	for _, what := range []string{"port-list prl-dark", "group sg-theirs", "group sg-gone"} {
		if !s.MissingWhat(what) {
			t.Errorf("%s is not named missing", what)
		}
	}
	i, _ := s.RuleIndex(policy.Ref{Owner: "sg-1", Rule: "sgr-ports"})
	if r := s.Rules()[i]; r.Peer() != "10.0.0.0/8" || r.Ports() != "prl-dark" || r.Protocol() != "tcp" {
		t.Errorf("the rule reads %s %s from %s", r.Protocol(), r.Ports(), r.Peer())
	}
}

// Trap 20: members are all addresses of their interfaces: secondary, IPv6, delegated.
// Trap 21: and nothing outside the VPC.
func TestAlibabaTraps20And21(t *testing.T) {
	away := aliGroup("sg-away normal Drop")
	for _, r := range away {
		r["VpcId"] = "vpc-2"
	}
	away[0]["SecurityGroups"].(reply)["SecurityGroup"].([]reply)[0]["VpcId"] = "vpc-2"
	askBoth(t, aliWorld(t, "eni-1 10.0.0.8 sg-1 2408:4321::8", "eni-2 10.0.0.5 sg-2 10.0.0.6 2408:4321::5 10.0.0.128/28", "eni-3 10.0.7.7 sg-away VpcId=vpc-2",
		aliGroup("sg-1 normal Drop", "sgr-a ingress 1 Accept TCP 22/22 sg-2", "sgr-away ingress 1 Accept TCP 23/23 sg-away"), aliGroup("sg-2 normal Drop"), away), `
interface eni-1 10.0.0.8 2408:4321::8 sg-1 platform=alibaba
interface eni-2 10.0.0.5 10.0.0.6 2408:4321::5 prefix=10.0.0.128/28 sg-2 platform=alibaba
interface eni-3 10.0.7.7 sg-away platform=alibaba vpc=vpc-2
group sg-1 egress-open vpc=vpc-1
  sgr-a ingress tcp 22 from sg-2 priority=1
  sgr-away ingress tcp 23 from sg-away peer-vpc=vpc-2 dead="group of another VPC" priority=1
group sg-2 egress-open vpc=vpc-1
group sg-away egress-open vpc=vpc-2
`, `
eni-1 in tcp 10.0.0.6 22 = allow: sg allow by sg-1/sgr-a, next deny, decisive
eni-1 in tcp 10.0.0.140 22 = allow: sg allow by sg-1/sgr-a, next deny, decisive
eni-1 in tcp 2408:4321::5 22 = allow: sg allow by sg-1/sgr-a, next deny, decisive
eni-1 in tcp 10.0.0.7 22 = deny: sg deny by default:sg:ingress, next deny
eni-1 in tcp 10.0.7.7 23 = deny: sg deny by default:sg:ingress, next deny
`)
}

// Traps 24 and 38: an ACL names the service's port both ways, judges replies, and is
// silent inside its vSwitch, where a rejection can only be the groups'.
func TestAlibabaTraps24And38(t *testing.T) {
	s := aliWorld(t, "eni-1 10.0.0.8 sg-1 VSwitchId=vsw-1", aliGroup("sg-1 normal Drop", "sgr-a ingress 1 Accept TCP 443/443 0.0.0.0/0"),
		aliACL([][4]string{{"accept", "tcp", "443/443", "0.0.0.0/0"}}, [][4]string{{"accept", "tcp", "443/443", "0.0.0.0/0"}, {"accept", "udp", "53/53", "0.0.0.0/0"}}))
	askBoth(t, s, `
interface eni-1 10.0.0.8 sg-1 subnet=vsw-1 platform=alibaba
group sg-1 egress-open
  sgr-a ingress tcp 443 from 0.0.0.0/0 priority=1
acl nacl-1 subnet=vsw-1
  1 ingress allow tcp 443 from 0.0.0.0/0
  1 egress allow tcp 443 to 0.0.0.0/0
  2 egress allow udp 53 to 0.0.0.0/0
subnet vsw-1 10.0.0.0/24
`, `
eni-1 in tcp 198.51.100.1 443 = allow: nacl allow by nacl-1/ingress-1, next deny, decisive; sg allow by sg-1/sgr-a, next deny, decisive
eni-1 in tcp 198.51.100.1 50000 client=443 = deny: nacl deny by default:nacl:ingress, next deny
eni-1 out tcp 198.51.100.1 443 = allow: sg allow by default:sg:egress, next allow; nacl allow by nacl-1/egress-1, next deny, decisive
eni-1 out tcp 198.51.100.1 80 = deny: sg allow by default:sg:egress, next allow; nacl deny by default:nacl:egress, next deny
eni-1 in tcp 10.0.0.77 80 = deny: nacl skipped; sg deny by default:sg:ingress, next deny
eni-1 out udp 100.100.2.136 5353 = allow: sg allow by platform:sg:egress, next allow; nacl skipped
`)
	// The reply to port 443 leaves for an ephemeral port, which no line lets out.
	c := &policy.Conn{Direction: flow.Egress, Proto: flow.TCP, Local: netip.MustParseAddr("10.0.0.8"), Remote: netip.MustParseAddr("198.51.100.1"), LocalPort: 443, RemotePort: 50000, ICMP: policy.AnyICMP}
	if got := said(policy.DecidePacket(s.Path("eni-1", flow.Egress), c)); got != "deny: nacl deny by default:nacl:egress, next deny" {
		t.Errorf("reply: %s", got)
	}
}

// Trap 30: the platform's own addresses pass where no rule speaks; a Drop stops them.
func TestAlibabaTrap30(t *testing.T) {
	askBoth(t, aliWorld(t, "eni-1 10.0.0.8 sg-1", "eni-2 10.0.0.9 sg-2", aliGroup("sg-1 enterprise Drop"),
		aliGroup("sg-2 enterprise Drop", "sgr-d ingress 100 Drop ALL -1/-1 0.0.0.0/0", "sgr-p ingress 1 Accept TCP 80/80 100.64.0.0/10")), `
interface eni-1 10.0.0.8 sg-1 platform=alibaba
interface eni-2 10.0.0.9 sg-2 platform=alibaba
group sg-1
group sg-2
  sgr-d ingress deny all from 0.0.0.0/0 priority=100
  sgr-p ingress tcp 80 from 100.64.0.0/10 priority=1
`, `
eni-1 in tcp 100.97.0.1 80 = allow: sg allow by platform:sg:ingress, next deny, decisive
eni-1 out tcp 100.100.2.136 53 = allow: sg allow by platform:sg:egress, next deny, decisive
eni-2 in tcp 100.97.0.1 81 = deny: sg deny by sg-2/sgr-d, next allow, decisive
eni-2 in tcp 100.97.0.1 80 = allow: sg allow by sg-2/sgr-p, next deny, decisive
eni-1 in tcp 100.128.0.1 80 = deny: sg deny by default:sg:ingress, next deny
`)
}

// Traps 29, 31 and 32: what interfaces of services are, and which groups are not for editing.
func TestAlibabaTraps29And31And32(t *testing.T) {
	managed := aliGroup("sg-m normal Accept", "sgr-a ingress 1 Accept TCP 22/22 10.0.0.0/8")
	managed[0]["SecurityGroups"].(reply)["SecurityGroup"].([]reply)[0]["ServiceManaged"] = true
	s := aliWorld(t, "eni-alb 10.0.0.1 sg-1 InstanceId=alb-0a1b2c3d", "eni-fwd 10.0.0.2 sg-1 SourceDestCheck=false",
		"eni-nat 10.0.0.3 sg-m InstanceId= Description=nat/ngw-0a1b2c3d ServiceManaged=true", "eni-own 10.0.0.4 sg-1 Description=like/nlb-0a1b2c3d",
		"eni-lb 10.0.0.5 sg-m InstanceId=lb-0a1b2c3d", managed, aliGroup("sg-1 normal Accept", "sgr-a ingress 1 Accept TCP 22/22 10.0.0.0/8"))
	for _, want := range []policy.Interface{
		{ID: "eni-alb", Role: policy.Host, IngressOpen: true},
		{ID: "eni-fwd", Transit: true},
		{ID: "eni-nat", Role: policy.NAT, RequesterManaged: true},
		{ID: "eni-own"}, // people may write what they like
		{ID: "eni-lb", Role: policy.NetworkBalancer, NoACL: true},
	} {
		f, _ := s.Interface(want.ID)
		if f.Role != want.Role || f.IngressOpen != want.IngressOpen || f.NoACL != want.NoACL || f.Transit != want.Transit || f.RequesterManaged != want.RequesterManaged {
			t.Errorf("%s: %+v", want.ID, *f)
		}
	}
	for _, r := range s.Rules() {
		if r.Editable != (r.Ref.Owner == "sg-1") {
			t.Errorf("%s: editable %v", r.Ref, r.Editable)
		}
	}
	if g, _ := s.Group("sg-m"); !g.Managed {
		t.Error("sg-m is kept by a service")
	}
}

// Trap 19: the quota counts what a list may hold. Traps 33, 36 and 37: a rule without a
// priority is refused, 110 stays 110, and rules without ids differ by priority.
func TestAlibabaTraps19And36And37(t *testing.T) {
	group := aliGroup("sg-1 normal Accept", "sgr-a ingress 1 Accept TCP 22/22 pl-1", "sgr-b ingress 110 Accept TCP 22/22 pl-1")
	permissions := group[1]["Permissions"].(reply)["Permission"].([]reply)
	for _, p := range permissions {
		delete(p, "SecurityGroupRuleId")
	}
	s := aliWorld(t, group, reply{"PrefixListId": "pl-1", "AddressFamily": "IPv4", "MaxEntries": 20, "Entries": reply{"Entry": []reply{{"Cidr": "10.0.0.0/8"}}}})
	if l, ok := s.List("pl-1"); !ok || l.MaxEntries != 20 || len(l.Entries) != 1 {
		t.Errorf("list %+v", l)
	}
	var ranks []uint32
	for _, r := range s.Rules() {
		if r.Ref.Rule != cloud.RuleDigest(r) {
			t.Errorf("%s is not the digest of its rule", r.Ref)
		}
		ranks = append(ranks, r.Rank)
	}
	if !slices.Equal(ranks, []uint32{1, 110}) {
		t.Errorf("priorities %v", ranks)
	}
}

// A group without its type may be of either: what the type would decide is unknown.
func TestAlibabaGroupOfUnknownType(t *testing.T) {
	for _, c := range []struct{ inner, text, lines string }{
		{"Accept", "\n  unknown-type:members:ingress ingress all from unknown implicit\n  unknown-type:members:egress egress all to unknown implicit", `
eni-1 in tcp 10.0.0.5 22 = unknown: sg unknown by default:sg:ingress, perhaps sg-1/unknown-type:members:ingress, next deny
eni-1 out tcp 10.0.0.5 22 = unknown: sg unknown by default:sg:egress, perhaps sg-1/unknown-type:default sg-1/unknown-type:members:egress, next deny
`},
		{"Drop", "", `
eni-1 in tcp 10.0.0.5 22 = deny: sg deny by default:sg:ingress, next deny
eni-1 out tcp 10.0.0.5 22 = unknown: sg unknown by default:sg:egress, perhaps sg-1/unknown-type:default, next deny
`},
	} {
		s := aliWorld(t, "eni-1 10.0.0.8 sg-1", "eni-2 10.0.0.5 sg-1", aliGroup("sg-1 normal " + c.inner)[1:])
		if !s.MissingWhat("security-groups") {
			t.Error("the list of groups is missing and not named")
		}
		askBoth(t, s, `
interface eni-1 10.0.0.8 sg-1 platform=alibaba
interface eni-2 10.0.0.5 sg-1 platform=alibaba
group sg-1
  unknown-type:default egress all to unknown priority=4294967295 implicit`+c.text+"\n", c.lines)
	}
}
