package policy_test

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// The golden vectors and the traps of Alibaba Cloud, by number. Each is written twice,
// as the replies of the aliyun command line and in the policy language, and both must
// decide alike.

// alibabaText is what every policy text here begins with.
const alibabaText = `
platform none admitted=100.64.0.0/10 acl-exempt=100.100.2.112/28 acl-exempt=100.100.2.128/28 acl-exempt=100.100.100.200/32 id=alibaba quota=200 groups-deny
`

// reply is one reply of the command line.
type reply map[string]any

// aliGroup returns what DescribeSecurityGroups and DescribeSecurityGroupAttribute say
// of a group: "ID normal|enterprise Accept|Drop", and its rules as aliRule reads them.
func aliGroup(head string, rules ...string) []reply {
	w := strings.Fields(head)
	permissions := []reply{}
	for _, r := range rules {
		permissions = append(permissions, aliRule(r))
	}
	return []reply{
		{"SecurityGroups": reply{"SecurityGroup": []reply{{"SecurityGroupId": w[0], "SecurityGroupType": w[1], "VpcId": "vpc-1"}}}},
		{"SecurityGroupId": w[0], "VpcId": "vpc-1", "InnerAccessPolicy": w[2], "Permissions": reply{"Permission": permissions}},
	}
}

// aliRule reads "ID DIRECTION PRIORITY POLICY PROTOCOL PORTS PEER [KEY=VALUE]…".
func aliRule(text string) reply {
	w := strings.Fields(text)
	r := reply{"SecurityGroupRuleId": w[0], "Direction": w[1], "Priority": w[2], "Policy": w[3], "IpProtocol": w[4], "PortRange": w[5], "NicType": "intranet",
		"SourceCidrIp": "", "DestCidrIp": "", "SourceGroupId": "", "DestGroupId": "", "SourcePortRange": ""}
	side := "Source"
	if w[1] == "egress" {
		side = "Dest"
	}
	switch peer := w[6]; {
	case strings.HasPrefix(peer, "sg-"):
		r[side+"GroupId"] = peer
	case strings.HasPrefix(peer, "pl-"):
		r[side+"PrefixListId"] = peer
	case strings.Contains(peer, ":"):
		r["Ipv6"+side+"CidrIp"] = peer
	default:
		r[side+"CidrIp"] = peer
	}
	for _, o := range w[7:] {
		k, v, _ := strings.Cut(o, "=")
		r[k] = v
	}
	if strings.HasPrefix(w[5], "prl-") {
		r["PortRange"], r["PortRangeListId"] = "", w[5]
	}
	return r
}

// aliENI returns an interface: "ID ADDRESS GROUP[,GROUP]… [KEY=VALUE]…"; more
// addresses are secondary ones, of either family, or delegated prefixes.
func aliENI(text string) reply {
	w := strings.Fields(text)
	eni := reply{"NetworkInterfaceId": w[0], "PrivateIpAddress": w[1], "Type": "Primary", "VpcId": "vpc-1", "InstanceId": "i-" + w[0],
		"SecurityGroupIds": reply{"SecurityGroupId": strings.Split(w[2], ",")}}
	var v4, v6, prefixes []reply
	for _, o := range w[3:] {
		switch k, v, ok := strings.Cut(o, "="); {
		case ok:
			eni[k] = v
		case strings.Contains(o, "/"):
			prefixes = append(prefixes, reply{"Ipv4Prefix": o})
		case strings.Contains(o, ":"):
			v6 = append(v6, reply{"Ipv6Address": o})
		default:
			v4 = append(v4, reply{"PrivateIpAddress": o, "AssociatedPublicIp": reply{"PublicIpAddress": "47.9.9.9"}})
		}
	}
	eni["PrivateIpSets"], eni["Ipv6Sets"], eni["Ipv4PrefixSets"] = reply{"PrivateIpSet": v4}, reply{"Ipv6Set": v6}, reply{"Ipv4PrefixSet": prefixes}
	return reply{"NetworkInterfaceSets": reply{"NetworkInterfaceSet": []reply{eni}}}
}

// aliWorld reads replies: interfaces as texts, the rest as they are.
func aliWorld(t *testing.T, parts ...any) *policy.Snapshot {
	t.Helper()
	var b strings.Builder
	add := func(r reply) {
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(text, '\n'))
	}
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			add(aliENI(p))
		case reply:
			add(p)
		case []reply:
			for _, r := range p {
				add(r)
			}
		}
	}
	path := filepath.Join(t.TempDir(), "export.json")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	s, _, err := cloud.Read([]string{path}, cloud.Options{})
	if err != nil {
		t.Fatalf("%v in\n%s", err, b.String())
	}
	return s
}

// aliConn reads a question as conn does, with at=ADDRESS for another local address and
// peer=PORT for another port of the far side.
func aliConn(t *testing.T, s *policy.Snapshot, q string) (string, *policy.Conn) {
	t.Helper()
	var words, options []string
	for _, w := range strings.Fields(q) {
		if strings.Contains(w, "=") {
			options = append(options, w)
		} else {
			words = append(words, w)
		}
	}
	id, c := conn(t, s, strings.Join(words, " "))
	for _, o := range options {
		k, v, _ := strings.Cut(o, "=")
		switch k {
		case "at":
			c.Local = netip.MustParseAddr(v)
		case "client":
			port, err := strconv.ParseUint(v, 10, 16)
			if err != nil {
				t.Fatal(err)
			}
			if c.Direction == flow.Ingress {
				c.RemotePort = uint16(port)
			} else {
				c.LocalPort = uint16(port)
			}
		default:
			t.Fatalf("%s: no option %s", q, k)
		}
	}
	return id, c
}

// askBoth checks lines "QUESTION = DECISION" of an export and of the same policy as
// text, and of the export written as text.
func askBoth(t *testing.T, export *policy.Snapshot, text, lines string) {
	t.Helper()
	parse := func(text string) *policy.Snapshot {
		s, err := cloud.ParseText("policy", []byte(text))
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		return s
	}
	worlds := []struct {
		name string
		s    *policy.Snapshot
	}{{"export", export}, {"text", parse(alibabaText + text)}, {"export as text", parse(cloud.Format(export))}}
	n := 0
	for line := range strings.Lines(lines) {
		q, want, ok := strings.Cut(strings.TrimSpace(line), " = ")
		if !ok {
			continue
		}
		n++
		var first policy.Decision
		for i, w := range worlds {
			id, c := aliConn(t, w.s, q)
			d := policy.Decide(w.s.Path(id, c.Direction), c)
			if got := strings.TrimSpace(said(d)); got != want {
				t.Errorf("%s: %s\n got  %s\n want %s", w.name, q, got, want)
			}
			if i == 0 {
				first = d
			} else if !reflect.DeepEqual(first, d) {
				t.Errorf("%s: %s: %+v, the export says %+v", w.name, q, d, first)
			}
		}
	}
	if n == 0 {
		t.Fatal("no question")
	}
}

// At equal priority Drop goes first.
func TestAlibabaVector01(t *testing.T) {
	askBoth(t, aliWorld(t, "eni-1 10.0.0.8 sg-1",
		aliGroup("sg-1 normal Accept", "sgr-a ingress 1 Accept TCP 22/22 10.0.0.0/8", "sgr-d ingress 1 Drop TCP 22/22 10.1.0.0/16")), `
interface eni-1 10.0.0.8 sg-1 platform=alibaba
group sg-1 egress-open intra
  sgr-a ingress tcp 22 from 10.0.0.0/8 priority=1
  sgr-d ingress deny tcp 22 from 10.1.0.0/16 priority=1
`, `
eni-1 in tcp 10.1.2.3 22 = deny: sg deny by sg-1/sgr-d, next allow, decisive
eni-1 in tcp 10.2.2.3 22 = allow: sg allow by sg-1/sgr-a, next deny, decisive
`)
}

func TestAlibabaVector02(t *testing.T) {
	askBoth(t, aliWorld(t, "eni-1 10.0.0.8 sg-1",
		aliGroup("sg-1 normal Accept", "sgr-d ingress 2 Drop ALL -1/-1 0.0.0.0/0", "sgr-a ingress 1 Accept TCP 443/443 0.0.0.0/0")), `
interface eni-1 10.0.0.8 sg-1 platform=alibaba
group sg-1 egress-open intra
  sgr-d ingress deny all from 0.0.0.0/0 priority=2
  sgr-a ingress tcp 443 from 0.0.0.0/0 priority=1
`, `
eni-1 in tcp 1.2.3.4 443 = allow: sg allow by sg-1/sgr-a, next deny, decisive
eni-1 in tcp 1.2.3.4 444 = deny: sg deny by sg-1/sgr-d, next deny
`)
}

// The group that a rule is of does not matter.
func TestAlibabaVector03(t *testing.T) {
	askBoth(t, aliWorld(t, "eni-1 10.0.0.8 sg-1,sg-2",
		aliGroup("sg-1 normal Accept", "sgr-a ingress 50 Accept TCP 80/80 0.0.0.0/0"), aliGroup("sg-2 normal Accept", "sgr-d ingress 10 Drop TCP 80/80 0.0.0.0/0")), `
interface eni-1 10.0.0.8 sg-1 sg-2 platform=alibaba
group sg-1 egress-open intra
  sgr-a ingress tcp 80 from 0.0.0.0/0 priority=50
group sg-2 egress-open intra
  sgr-d ingress deny tcp 80 from 0.0.0.0/0 priority=10
`, `
eni-1 in tcp 1.2.3.4 80 = deny: sg deny by sg-2/sgr-d, next allow, decisive
`)
}

// Members of an Accept group reach one another whatever the rules say, both ways.
func TestAlibabaVector04(t *testing.T) {
	askBoth(t, aliWorld(t, "eni-1 10.0.0.8 sg-g", "eni-2 10.0.0.5 sg-g",
		aliGroup("sg-g normal Accept", "sgr-d ingress 1 Drop ALL -1/-1 10.0.0.0/8", "sgr-e egress 1 Drop ALL -1/-1 10.0.0.0/8")), `
interface eni-1 10.0.0.8 sg-g platform=alibaba
interface eni-2 10.0.0.5 sg-g platform=alibaba
group sg-g egress-open intra
  sgr-d ingress deny all from 10.0.0.0/8 priority=1
  sgr-e egress deny all to 10.0.0.0/8 priority=1
`, `
eni-1 in tcp 10.0.0.5 22 = allow: sg allow by intra-group:sg-g, next deny, decisive
eni-2 out tcp 10.0.0.8 22 = allow: sg allow by intra-group:sg-g, next deny, decisive
eni-1 in 47 10.0.0.5 = allow: sg allow by intra-group:sg-g, next deny, decisive
eni-1 in tcp 10.0.0.6 22 = deny: sg deny by sg-g/sgr-d, next deny
`)
}

func TestAlibabaVector05(t *testing.T) {
	askBoth(t, aliWorld(t, "eni-1 10.0.0.8 sg-g", "eni-2 10.0.0.5 sg-g", aliGroup("sg-g normal Drop")), `
interface eni-1 10.0.0.8 sg-g platform=alibaba
interface eni-2 10.0.0.5 sg-g platform=alibaba
group sg-g egress-open
`, `
eni-1 in tcp 10.0.0.5 22 = deny: sg deny by default:sg:ingress, next deny
`)
}

// Isolation takes an allowance away and denies nothing.
func TestAlibabaVector06(t *testing.T) {
	askBoth(t, aliWorld(t, "eni-1 10.1.0.8 sg-g", "eni-2 10.1.0.7 sg-g",
		aliGroup("sg-g normal Drop", "sgr-a ingress 1 Accept TCP 2379/2379 10.1.0.0/24")), `
interface eni-1 10.1.0.8 sg-g platform=alibaba
interface eni-2 10.1.0.7 sg-g platform=alibaba
group sg-g egress-open
  sgr-a ingress tcp 2379 from 10.1.0.0/24 priority=1
`, `
eni-1 in tcp 10.1.0.7 2379 = allow: sg allow by sg-g/sgr-a, next deny, decisive
`)
}

func TestAlibabaVector07(t *testing.T) {
	askBoth(t, aliWorld(t, "eni-1 10.1.0.8 sg-1,sg-2", "eni-2 10.1.0.7 sg-1,sg-2", aliGroup("sg-1 normal Drop"), aliGroup("sg-2 normal Accept")), `
interface eni-1 10.1.0.8 sg-1 sg-2 platform=alibaba
interface eni-2 10.1.0.7 sg-1 sg-2 platform=alibaba
group sg-1 egress-open
group sg-2 egress-open intra
`, `
eni-1 in tcp 10.1.0.7 22 = allow: sg allow by intra-group:sg-2, next deny, decisive
`)
}

func TestAlibabaVector08(t *testing.T) {
	askBoth(t, aliWorld(t, "eni-b 10.1.0.8 sg-b", "eni-e 10.1.0.9 sg-e", aliGroup("sg-b normal Accept"), aliGroup("sg-e enterprise Drop")), `
interface eni-b 10.1.0.8 sg-b platform=alibaba
interface eni-e 10.1.0.9 sg-e platform=alibaba
group sg-b egress-open intra
group sg-e
`, `
eni-b out udp 8.8.8.8 53 = allow: sg allow by default:sg:egress:allow, next allow
eni-e out udp 8.8.8.8 53 = deny: sg deny by default:sg:egress, next deny
`)
}

func TestAlibabaVector09(t *testing.T) {
	askBoth(t, aliWorld(t, "eni-1 10.0.0.8 sg-1",
		aliGroup("sg-1 normal Accept", "sgr-d egress 100 Drop ALL -1/-1 0.0.0.0/0", "sgr-a egress 1 Accept TCP 443/443 47.0.0.0/8")), `
interface eni-1 10.0.0.8 sg-1 platform=alibaba
group sg-1 egress-open intra
  sgr-d egress deny all to 0.0.0.0/0 priority=100
  sgr-a egress tcp 443 to 47.0.0.0/8 priority=1
`, `
eni-1 out tcp 47.1.1.1 80 = deny: sg deny by sg-1/sgr-d, next allow, decisive
eni-1 out tcp 47.1.1.1 443 = allow: sg allow by sg-1/sgr-a, next deny, decisive
`)
}

// DestCidrIp of an ingress rule names addresses of the interface.
func TestAlibabaVector10(t *testing.T) {
	askBoth(t, aliWorld(t, "eni-1 10.0.0.8 sg-1 10.0.0.9",
		aliGroup("sg-1 normal Accept", "sgr-a ingress 1 Accept TCP 80/80 0.0.0.0/0 DestCidrIp=10.0.0.9/32")), `
interface eni-1 10.0.0.8 10.0.0.9 sg-1 platform=alibaba
group sg-1 egress-open intra
  sgr-a ingress tcp 80 from 0.0.0.0/0 at 10.0.0.9/32 priority=1
`, `
eni-1 in tcp 1.2.3.4 80 at=10.0.0.8 = deny: sg deny by default:sg:ingress, next deny
eni-1 in tcp 1.2.3.4 80 at=10.0.0.9 = allow: sg allow by sg-1/sgr-a, next deny, decisive
`)
}

// A group as a peer is its members' private addresses.
func TestAlibabaVector11(t *testing.T) {
	askBoth(t, aliWorld(t, "eni-1 10.0.0.8 sg-1", "eni-2 10.0.0.5 sg-2 10.0.0.6",
		aliGroup("sg-1 normal Accept", "sgr-a ingress 1 Accept TCP 22/22 sg-2"), aliGroup("sg-2 normal Accept")), `
interface eni-1 10.0.0.8 sg-1 platform=alibaba
interface eni-2 10.0.0.5 10.0.0.6 sg-2 platform=alibaba
group sg-1 egress-open intra
  sgr-a ingress tcp 22 from sg-2 priority=1
group sg-2 egress-open intra
`, `
eni-1 in tcp 47.9.9.9 22 = deny: sg deny by default:sg:ingress, next deny
eni-1 in tcp 10.0.0.5 22 = allow: sg allow by sg-1/sgr-a, next deny, decisive
eni-1 in tcp 10.0.0.6 22 = allow: sg allow by sg-1/sgr-a, next deny, decisive
`)
}

func TestAlibabaVector12(t *testing.T) {
	askBoth(t, aliWorld(t, "eni-1 10.0.0.8 sg-1 2408:4321::8", aliGroup("sg-1 normal Accept", "sgr-a ingress 1 Accept ALL -1/-1 0.0.0.0/0")), `
interface eni-1 10.0.0.8 2408:4321::8 sg-1 platform=alibaba
group sg-1 egress-open intra
  sgr-a ingress all from 0.0.0.0/0 priority=1
`, `
eni-1 in tcp 2001:db8::1 22 = deny: sg deny by default:sg:ingress, next deny
eni-1 in tcp 198.51.100.1 22 = allow: sg allow by sg-1/sgr-a, next deny, decisive
`)
}

// Priority 110, of rules that the system once made, comes after 100.
func TestAlibabaVector13(t *testing.T) {
	askBoth(t, aliWorld(t, "eni-1 10.0.0.8 sg-1",
		aliGroup("sg-1 normal Accept", "sgr-s ingress 110 Accept TCP 22/22 0.0.0.0/0", "sgr-d ingress 100 Drop TCP 22/22 0.0.0.0/0")), `
interface eni-1 10.0.0.8 sg-1 platform=alibaba
group sg-1 egress-open intra
  sgr-s ingress tcp 22 from 0.0.0.0/0 priority=110
  sgr-d ingress deny tcp 22 from 0.0.0.0/0 priority=100
`, `
eni-1 in tcp 198.51.100.1 22 = deny: sg deny by sg-1/sgr-d, next allow, decisive
`)
}

// All ports of TCP are neither other protocols nor port 0.
func TestAlibabaVector14(t *testing.T) {
	askBoth(t, aliWorld(t, "eni-1 10.0.0.8 sg-1", aliGroup("sg-1 normal Accept", "sgr-a ingress 1 Accept TCP 1/65535 0.0.0.0/0")), `
interface eni-1 10.0.0.8 sg-1 platform=alibaba
group sg-1 egress-open intra
  sgr-a ingress tcp 1-65535 from 0.0.0.0/0 priority=1
`, `
eni-1 in 47 198.51.100.1 = deny: sg deny by default:sg:ingress, next deny
eni-1 in tcp 198.51.100.1 1 = allow: sg allow by sg-1/sgr-a, next deny, decisive
eni-1 in tcp 198.51.100.1 65535 = allow: sg allow by sg-1/sgr-a, next deny, decisive
eni-1 in tcp 198.51.100.1 0 = deny: sg deny by default:sg:ingress, next deny
`)
}

// A load balancer lets in what no rule matches, and nothing that leaves is filtered.
func TestAlibabaVector15(t *testing.T) {
	askBoth(t, aliWorld(t, "eni-1 10.0.0.8 sg-1 InstanceId=nlb-0a1b2c3d ServiceManaged=true", aliGroup("sg-1 normal Accept", "sgr-a ingress 1 Accept TCP 443/443 10.0.0.0/8")), `
interface eni-1 10.0.0.8 sg-1 platform=alibaba ingress-open
group sg-1 egress-open intra
  sgr-a ingress tcp 443 from 10.0.0.0/8 priority=1
`, `
eni-1 in tcp 1.2.3.4 80 = allow: sg allow by default:sg:ingress, next allow
eni-1 in tcp 10.2.3.4 443 = allow: sg allow by sg-1/sgr-a, next allow
eni-1 out tcp 1.2.3.4 80 = allow:
`)
}
