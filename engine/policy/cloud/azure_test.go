package cloud

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// No reader for Azure exists. These tests are its design.
//
//   - Each network security group that is attached is a stage of its own: nsg-subnet
//     before nsg-nic on the way in, the other way round on the way out; a place without
//     one is no stage. Security admin rules are a stage that speaks first both ways:
//     Allow goes on to the groups ("allow"), AlwaysAllow ends it ("allow-all").
//   - The default rules 65000, 65001 and 65500 are implicit rules of every group.
//   - Augmented rules: the peers of a box are a list, port ranges are boxes; source and
//     destination may both be given ("at", peer-ports=).
//   - An application security group is a group outside of the stages: its members carry
//     it, rules name it as a peer or after "at".
//   - Service tags are lists of the provider's, unknown unless somebody resolves them;
//     VirtualNetwork, AzureLoadBalancer and Internet can be resolved from the exports.
//   - 168.63.129.16 and 169.254.169.254 are outside of all groups.

const azureDefaultRules = `
  AllowVnetInBound ingress allow all from list=VirtualNetwork at list=VirtualNetwork priority=65000 implicit
  AllowAzureLoadBalancerInBound ingress allow all from list=AzureLoadBalancer priority=65001 implicit
  DenyAllInBound ingress deny all from any priority=65500 implicit
  AllowVnetOutBound egress allow all to list=VirtualNetwork at list=VirtualNetwork priority=65000 implicit
  AllowInternetOutBound egress allow all to list=Internet priority=65001 implicit
  DenyAllOutBound egress deny all to any priority=65500 implicit
`

const azureNetwork = `
platform 168.63.129.16/32 169.254.169.254/32 groups-deny
list VirtualNetwork 10.1.0.0/16 192.168.0.0/16 fd00:1::/48 provider
list AzureLoadBalancer 168.63.129.16/32 provider
list Internet 0.0.0.0/5 8.0.0.0/7 11.0.0.0/8 12.0.0.0/6 16.0.0.0/4 32.0.0.0/3 64.0.0.0/2 128.0.0.0/2 provider
list Storage unknown provider
interface nic-web 10.1.1.4 fd00:1::4 asg-web
  stage admin allow/allow first admin
  stage nsg-subnet deny/deny nsg-front
  stage nsg-nic deny/deny nsg-web
interface nic-web2 10.1.1.5 asg-web
  stage admin allow/allow first admin
  stage nsg-subnet deny/deny nsg-front
interface nic-db 10.1.2.4 asg-db
  stage admin allow/allow first admin
  stage nsg-nic deny/deny nsg-db
interface nic-open 10.1.3.4
  stage admin allow/allow first admin
group admin kind=admin
  always-ssh ingress allow-all tcp 22 from 10.1.9.0/24 priority=1 readonly
  allow-rdp ingress allow tcp 3389 from 10.1.9.0/24 priority=2 readonly
  never-telnet ingress deny tcp 23 from any priority=3 readonly
  always-dns egress allow-all udp 53 to 10.1.9.53 priority=1 readonly
  never-smb egress deny tcp 445 to list=Internet priority=2 readonly
group nsg-front
  https ingress allow tcp 443 from list=Internet at 10.1.1.0/24 priority=100
  augmented ingress allow tcp 80 from 203.0.113.0/25 198.51.100.0/24 at 10.1.1.0/24 or tcp 8000-8100 from 203.0.113.0/25 198.51.100.0/24 at 10.1.1.0/24 priority=110
  no-ssh ingress deny tcp 22 from any priority=120
  low-source ingress deny udp from any peer-ports=0-1023 priority=130
  udp ingress allow udp 5000 from list=Internet priority=140
  no-out-ssh egress deny tcp 22 to any priority=100` + azureDefaultRules + `
group nsg-web
  https ingress allow tcp 443 from any priority=100
  alt ingress allow tcp 8080 from any priority=110
  no-web2web ingress deny all from group=asg-web priority=120
  dns egress deny udp 53 to any priority=100` + azureDefaultRules + `
group nsg-db
  sql ingress allow tcp 1433 from group=asg-web at group=asg-db priority=100
  rest ingress deny tcp from list=VirtualNetwork priority=200
  storage egress allow tcp 443 to list=Storage priority=100
  closed egress deny all to list=Internet priority=110` + azureDefaultRules + `
group asg-web
group asg-db
`

func TestAzureBothGroupsMustAllow(t *testing.T) {
	decide(t, azureNetwork, `
nic-web in tcp 34.5.6.7 443 = allow default:admin:ingress nsg-front/https nsg-web/https
nic-web in tcp 198.51.100.9 8080 = allow default:admin:ingress nsg-front/augmented nsg-web/alt
nic-web in tcp 198.51.100.9 80 = deny default:admin:ingress nsg-front/augmented nsg-web/DenyAllInBound
nic-web in tcp 34.5.6.7 8080 = deny default:admin:ingress nsg-front/DenyAllInBound
nic-web in tcp 192.168.7.7 9999 = allow default:admin:ingress nsg-front/AllowVnetInBound nsg-web/AllowVnetInBound
nic-web in tcp 10.1.1.5 9999 = deny default:admin:ingress nsg-front/AllowVnetInBound nsg-web/no-web2web
nic-web in tcp fd00:1::9 9999 = allow default:admin:ingress nsg-front/AllowVnetInBound nsg-web/AllowVnetInBound
nic-web out tcp 34.5.6.7 443 = allow default:admin:egress nsg-web/AllowInternetOutBound nsg-front/AllowInternetOutBound
nic-web out tcp 34.5.6.7 22 = deny default:admin:egress nsg-web/AllowInternetOutBound nsg-front/no-out-ssh
nic-web out tcp 10.2.0.1 443 = deny default:admin:egress nsg-web/DenyAllOutBound
`)
}

// A place without a group filters nothing.
func TestAzureAbsentGroupIsNoStage(t *testing.T) {
	s := decide(t, azureNetwork, `
nic-web2 in tcp 198.51.100.9 80 = allow default:admin:ingress nsg-front/augmented
nic-db out tcp 10.1.1.4 22 = allow default:admin:egress nsg-db/AllowVnetOutBound
nic-open in tcp 34.5.6.7 1 = allow default:admin:ingress
nic-open out tcp 34.5.6.7 1 = allow default:admin:egress
`)
	names := func(path []policy.Stage) string {
		var out []string
		for _, st := range path {
			out = append(out, st.Name)
		}
		return strings.Join(out, " ")
	}
	for _, c := range []struct{ id, in, out string }{
		{"nic-web", "admin nsg-subnet nsg-nic", "admin nsg-nic nsg-subnet"},
		{"nic-web2", "admin nsg-subnet", "admin nsg-subnet"},
		{"nic-db", "admin nsg-nic", "admin nsg-nic"},
		{"nic-open", "admin", "admin"},
	} {
		if in, out := names(s.Path(c.id, flow.Ingress)), names(s.Path(c.id, flow.Egress)); in != c.in || out != c.out {
			t.Errorf("%s: in %s, out %s, want %s, %s", c.id, in, out, c.in, c.out)
		}
	}
}

// Admin rules speak before the groups in both directions: AlwaysAllow ends the path,
// Allow does not, Deny does.
func TestAzureAdminRules(t *testing.T) {
	decide(t, azureNetwork, `
nic-web in tcp 10.1.9.1 22 = allow admin/always-ssh
nic-web in tcp 10.1.8.1 22 = deny default:admin:ingress nsg-front/no-ssh
nic-db in tcp 10.1.9.1 3389 = deny admin/allow-rdp nsg-db/rest
nic-web in tcp 10.1.9.1 3389 = allow admin/allow-rdp nsg-front/AllowVnetInBound nsg-web/AllowVnetInBound
nic-open in tcp 10.1.9.1 23 = deny admin/never-telnet
nic-web out udp 10.1.9.53 53 = allow admin/always-dns
nic-web out udp 10.1.9.54 53 = deny default:admin:egress nsg-web/dns
nic-open out tcp 34.5.6.7 445 = deny admin/never-smb
nic-open out tcp 10.1.1.1 445 = allow default:admin:egress
`)
}

// Several prefixes and port ranges in a rule, on either side.
func TestAzureAugmentedRules(t *testing.T) {
	s := decide(t, azureNetwork, `
nic-web2 in tcp 203.0.113.127 8000 = allow default:admin:ingress nsg-front/augmented
nic-web2 in tcp 203.0.113.127 8100 = allow default:admin:ingress nsg-front/augmented
nic-web2 in tcp 203.0.113.127 8101 = deny default:admin:ingress nsg-front/DenyAllInBound
nic-web2 in tcp 203.0.113.128 8000 = deny default:admin:ingress nsg-front/DenyAllInBound
nic-web2 in udp 34.5.6.7 5000 = allow default:admin:ingress nsg-front/udp
`)
	// Source ports: the connection of a client on a low port meets the deny above.
	c := &policy.Conn{Direction: flow.Ingress, Proto: flow.UDP, Local: netip.MustParseAddr("10.1.1.5"), Remote: netip.MustParseAddr("34.5.6.7"),
		LocalPort: 5000, RemotePort: 1023, ICMP: policy.AnyICMP}
	if got := policy.Decide(s.Path("nic-web2", flow.Ingress), c); got.Verdict != policy.Denied || got.Stages[1].Winners[0].Rule != "low-source" {
		t.Errorf("from port 1023: %+v", got)
	}
}

// An application security group is a set of interfaces on either side of a rule.
func TestAzureApplicationGroups(t *testing.T) {
	decide(t, azureNetwork, `
nic-db in tcp 10.1.1.4 1433 = allow default:admin:ingress nsg-db/sql
nic-db in tcp 10.1.1.5 1433 = allow default:admin:ingress nsg-db/sql
nic-db in tcp 10.1.3.4 1433 = deny default:admin:ingress nsg-db/rest
nic-db in udp 10.1.3.4 1433 = allow default:admin:ingress nsg-db/AllowVnetInBound
`)
	// The same group on an interface that is no member of asg-db: the rule is not about it.
	decide(t, strings.Replace(azureNetwork, "interface nic-db 10.1.2.4 asg-db", "interface nic-db 10.1.2.4", 1), `
nic-db in tcp 10.1.1.4 1433 = deny default:admin:ingress nsg-db/rest
`)
}

// What a service tag holds is not known: nothing is proven of a rule that names one, nor
// of those below it.
func TestAzureServiceTagsAreUnknown(t *testing.T) {
	decide(t, azureNetwork, `
nic-db out tcp 34.5.6.7 443 = unknown default:admin:egress nsg-db/closed
nic-db out tcp 34.5.6.7 444 = deny default:admin:egress nsg-db/closed
nic-db out tcp 10.1.1.4 443 = allow default:admin:egress nsg-db/AllowVnetOutBound
`)
}

// The platform's addresses pass outside of the groups.
func TestAzurePlatformIsOutside(t *testing.T) {
	decide(t, azureNetwork, `
nic-web in tcp 168.63.129.16 23 = allow skipped skipped skipped
nic-db out tcp 169.254.169.254 80 = allow skipped skipped
`)
}
