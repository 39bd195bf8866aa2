package policy_test

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// The vectors that separate right readings from plausible ones, by number, as whole
// policies in the policy language: what a reader of each cloud would make of its
// export, from the groups of an interface to the decision. vectors_test.go has the
// same of bare paths.

// conn reads "INTERFACE in|out PROTOCOL REMOTE[ PORT]" for an interface of s; the port
// is the service's.
func conn(t *testing.T, s *policy.Snapshot, text string) (string, *policy.Conn) {
	t.Helper()
	f := strings.Fields(text)
	id := f[0]
	iface, ok := s.Interface(id)
	if !ok {
		t.Fatalf("%s: no interface %s", text, id)
	}
	c := &policy.Conn{Direction: flow.Ingress, Remote: netip.MustParseAddr(f[3]), ICMP: policy.AnyICMP}
	c.Proto, _ = flow.ParseProto(f[2])
	for _, a := range iface.Addresses {
		if a.Is4() == c.Remote.Is4() {
			c.Local = a
			break
		}
	}
	if c.Proto.HasPorts() {
		port, err := strconv.ParseUint(f[4], 10, 16)
		if err != nil {
			t.Fatal(err)
		}
		c.LocalPort, c.RemotePort = uint16(port), 50000
	}
	if f[1] == "out" {
		c.Direction, c.LocalPort, c.RemotePort = flow.Egress, c.RemotePort, c.LocalPort
	}
	return id, c
}

// said writes d as "VERDICT: STAGE VERDICT by RULE…, next ACTION, decisive; …".
func said(d policy.Decision) string {
	var stages []string
	for _, s := range d.Stages {
		if s.Skipped {
			stages = append(stages, s.Stage+" skipped")
			continue
		}
		text := fmt.Sprintf("%s %s by", s.Stage, s.Verdict)
		for _, r := range s.Winners {
			text += " " + strings.TrimPrefix(r.String(), policy.ImplicitOwner+"/")
		}
		if len(s.Possible) > 0 {
			text += ", perhaps"
			for _, r := range s.Possible {
				text += " " + strings.TrimPrefix(r.String(), policy.ImplicitOwner+"/")
			}
		}
		text += ", next " + s.Next.String()
		if s.Decisive {
			text += ", decisive"
		}
		stages = append(stages, text)
	}
	return d.Verdict.String() + ": " + strings.Join(stages, "; ")
}

// ask checks lines "INTERFACE in|out PROTOCOL REMOTE[ PORT] = DECISION".
func ask(t *testing.T, text, lines string) *policy.Snapshot {
	t.Helper()
	s, err := cloud.ParseText("policy", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(lines) {
		q, want, ok := strings.Cut(strings.TrimSpace(line), " = ")
		if !ok {
			continue
		}
		id, c := conn(t, s, q)
		if got := said(policy.Decide(s.Path(id, c.Direction), c)); got != want {
			t.Errorf("%s\n got  %s\n want %s", q, got, want)
		}
	}
	return s
}

func TestModelVector01AsText(t *testing.T) {
	ask(t, `
interface eni-1 10.0.0.5 sg-a sg-b
group sg-a
  web ingress tcp 443 from 0.0.0.0/0
group sg-b
  ssh ingress tcp 22 from 10.0.0.0/8
`, `
eni-1 in tcp 198.51.100.1 443 = allow: sg allow by sg-a/web, next deny, decisive
`)
}

func TestModelVector02AsText(t *testing.T) {
	ask(t, `
interface eni-1 10.0.0.5 sg-a sg-b
group sg-a
  near ingress tcp 443 from 10.0.0.0/8
group sg-b
  any ingress tcp 443 from 0.0.0.0/0
`, `
eni-1 in tcp 10.1.1.1 443 = allow: sg allow by sg-a/near sg-b/any, next deny
`)
}

func TestModelVector03AsText(t *testing.T) {
	s := ask(t, `
subnet subnet-1 10.0.0.0/24
interface eni-1 10.0.0.5 sg-a subnet=subnet-1
group sg-a
  web ingress tcp 443 from 0.0.0.0/0
acl acl-1 subnet=subnet-1
  100 ingress allow tcp 443 from 0.0.0.0/0
  100 egress allow tcp 443 to 0.0.0.0/0
`, `
eni-1 in tcp 198.51.100.1 443 = allow: nacl allow by acl-1/ingress-100, next deny, decisive; sg allow by sg-a/web, next deny, decisive
`)
	// The answer leaves for the client's port.
	reply := &policy.Conn{Direction: flow.Egress, Proto: flow.TCP, Local: netip.MustParseAddr("10.0.0.5"), Remote: netip.MustParseAddr("198.51.100.1"),
		LocalPort: 443, RemotePort: 50000, ICMP: policy.AnyICMP}
	if got := said(policy.DecidePacket(s.Path("eni-1", flow.Egress), reply)); got != "deny: nacl deny by default:nacl:egress, next deny" {
		t.Errorf("reply: %s", got)
	}
}

// Alibaba Cloud: the platform of the vectors, and the two kinds of groups.
const basic = "platform none acl-exempt=100.100.2.128/28 acl-exempt=100.100.2.112/28 acl-exempt=100.100.100.200/32 admitted=100.64.0.0/10 groups-deny\n"

func TestModelVector04AsText(t *testing.T) {
	ask(t, basic+`
interface eni-1 10.0.0.5 sg-g
interface eni-2 10.0.0.6 sg-g
group sg-g kind=basic egress-open intra
  drop ingress deny all from 0.0.0.0/0 priority=1
`, `
eni-1 in tcp 10.0.0.6 22 = allow: sg allow by intra-group:sg-g, next deny, decisive
eni-1 in tcp 10.0.0.7 22 = deny: sg deny by sg-g/drop, next deny
eni-1 in tcp 100.64.0.9 22 = deny: sg deny by sg-g/drop, next allow, decisive
`)
}

func TestModelVectors05And06AsText(t *testing.T) {
	ask(t, basic+`
interface eni-1 10.0.0.5 sg-basic
interface eni-2 10.0.0.6 sg-advanced
interface eni-3 10.0.0.7 sg-basic2
interface eni-4 10.0.0.8 sg-advanced2
group sg-basic kind=basic egress-open
group sg-basic2 kind=basic egress-open
  out egress allow tcp 443 to 0.0.0.0/0 priority=1
group sg-advanced kind=enterprise
group sg-advanced2 kind=enterprise
  out egress allow tcp 443 to 0.0.0.0/0 priority=1
`, `
eni-1 out tcp 198.51.100.1 443 = allow: sg allow by default:sg:egress:allow, next allow
eni-3 out tcp 198.51.100.1 443 = allow: sg allow by sg-basic2/out, next allow
eni-2 out tcp 198.51.100.1 443 = deny: sg deny by default:sg:egress, next deny
eni-4 out tcp 198.51.100.1 443 = allow: sg allow by sg-advanced2/out, next deny, decisive
`)
}

func TestModelVector07AsText(t *testing.T) {
	ask(t, basic+`
interface eni-1 10.0.0.5 sg-a
group sg-a kind=basic egress-open
  accept ingress allow tcp 22 from 10.0.0.0/8 priority=50
  drop ingress deny tcp 22 from 10.1.0.0/16 priority=50
`, `
eni-1 in tcp 10.1.0.1 22 = deny: sg deny by sg-a/drop, next allow, decisive
eni-1 in tcp 10.2.0.1 22 = allow: sg allow by sg-a/accept, next deny, decisive
`)
}

func TestModelVector08AsText(t *testing.T) {
	ask(t, basic+`
interface eni-1 10.0.0.5 sg-a
group sg-a kind=basic egress-open
  p30 ingress allow tcp 22 from 0.0.0.0/0 priority=30
  p20 ingress deny tcp 22 from 10.0.0.0/8 priority=20
  p10 ingress allow tcp 22 from 10.1.0.0/16 priority=10
`, `
eni-1 in tcp 10.1.0.1 22 = allow: sg allow by sg-a/p10, next deny, decisive
`)
}

func TestModelVector09AsText(t *testing.T) {
	ask(t, basic+`
subnet vsw-1 10.0.0.0/24
interface eni-1 10.0.0.5 sg-a subnet=vsw-1
group sg-a kind=basic egress-open
  ssh ingress allow tcp 22 from 10.0.0.0/8 priority=1
acl nacl-1 subnet=vsw-1
  1 ingress deny all from 0.0.0.0/0
  2 ingress allow tcp 22 from 0.0.0.0/0
`, `
eni-1 in tcp 10.0.0.77 22 = allow: nacl skipped; sg allow by sg-a/ssh, next deny, decisive
eni-1 in tcp 10.0.0.77 23 = deny: nacl skipped; sg deny by default:sg:ingress, next deny
eni-1 in tcp 10.0.1.77 22 = deny: nacl deny by nacl-1/ingress-1, next allow, decisive
`)
}

// GCP: a tier for each layer, in the network's order; one stage.
func TestModelVector10AsText(t *testing.T) {
	ask(t, `
platform 169.254.169.254/32 groups-deny
interface vm-1 10.128.0.2
  stage gcp deny/allow folder vpc
group folder
  goto ingress next tcp 22 from any priority=100
group vpc
  deny-ssh ingress deny tcp 22 from 0.0.0.0/0 priority=1000
  allow-ssh ingress allow tcp 22 from 0.0.0.0/0 priority=1000
`, `
vm-1 in tcp 198.51.100.1 22 = deny: gcp deny by vpc/deny-ssh, next allow, decisive
`)
}

func TestModelVector11AsText(t *testing.T) {
	const rules = `
group vpc
  allow-web ingress allow tcp 80 from 0.0.0.0/0 priority=1000
group network-policy
  deny-web ingress deny tcp 80 from 0.0.0.0/0 priority=10
`
	ask(t, "platform none groups-deny\ninterface vm-1 10.128.0.2\n  stage gcp deny/allow vpc network-policy\n"+rules, `
vm-1 in tcp 198.51.100.1 80 = allow: gcp allow by vpc/allow-web, next deny, decisive
`)
	ask(t, "platform none groups-deny\ninterface vm-1 10.128.0.2\n  stage gcp deny/allow network-policy vpc\n"+rules, `
vm-1 in tcp 198.51.100.1 80 = deny: gcp deny by network-policy/deny-web, next allow, decisive
`)
}

// Azure: stages for the subnet's and the interface's group, with the default rules.
const azureDefaults = `
  AllowVnetInBound ingress allow all from list=VirtualNetwork at list=VirtualNetwork priority=65000 implicit
  AllowAzureLoadBalancerInBound ingress allow all from list=AzureLoadBalancer priority=65001 implicit
  DenyAllInBound ingress deny all from any priority=65500 implicit
  AllowVnetOutBound egress allow all to list=VirtualNetwork at list=VirtualNetwork priority=65000 implicit
  AllowInternetOutBound egress allow all to list=Internet priority=65001 implicit
  DenyAllOutBound egress deny all to any priority=65500 implicit
`

const azureLists = `
platform 168.63.129.16/32 169.254.169.254/32 groups-deny
list VirtualNetwork 10.1.0.0/16 10.2.0.0/16 provider
list AzureLoadBalancer 168.63.129.16/32 provider
list Internet 0.0.0.0/1 128.0.0.0/1 ::/0 provider
`

func TestModelVector12AsText(t *testing.T) {
	ask(t, azureLists+`
interface nic-1 10.1.0.4
  stage nsg-subnet deny/deny nsg-s
  stage nsg-nic deny/deny nsg-n
group nsg-s
  https ingress allow tcp 443 from list=Internet priority=100`+azureDefaults+`
group nsg-n`+azureDefaults, `
nic-1 in tcp 198.51.100.1 443 = deny: nsg-subnet allow by nsg-s/https, next deny, decisive; nsg-nic deny by nsg-n/DenyAllInBound, next deny
`)
}

func TestModelVector13AsText(t *testing.T) {
	ask(t, azureLists+`
interface nic-1 10.1.0.4
  stage nsg-subnet deny/deny nsg-s
group nsg-s`+azureDefaults, `
nic-1 in tcp 10.1.0.5 445 = allow: nsg-subnet allow by nsg-s/AllowVnetInBound, next deny, decisive
`)
}

func TestModelVector14AsText(t *testing.T) {
	ask(t, azureLists+`
interface nic-1 10.1.0.4
  stage admin allow/allow first admin
  stage nsg-subnet deny/deny nsg-s
group admin
  ssh ingress allow-all tcp 22 from any priority=1 readonly
group nsg-s
  no-ssh ingress deny tcp 22 from any priority=100`+azureDefaults, `
nic-1 in tcp 198.51.100.1 22 = allow: admin allow by admin/ssh, next allow, decisive
nic-1 in tcp 198.51.100.1 23 = deny: admin allow by default:admin:ingress, next allow; nsg-subnet deny by nsg-s/DenyAllInBound, next deny
`)
}

func TestModelVector15AsText(t *testing.T) {
	ask(t, basic+`
interface eni-1 10.0.0.5 sg-a
list pl-1 unknown
group sg-a kind=basic egress-open
  drop ingress deny all from pl-1 priority=10
  accept ingress allow tcp 443 from 0.0.0.0/0 priority=20
`, `
eni-1 in tcp 198.51.100.1 443 = unknown: sg unknown by sg-a/accept, perhaps sg-a/drop, next deny
`)
}
