package cloud

import (
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// No reader for Google Cloud exists. These tests are its design: what one would have
// to write down of a project, and that the model then answers as the platform does.
//
//   - A network is one stage: default deny in, allow out. Its tiers are the layers in
//     the network's order: organisation, folders, VPC firewall rules, global and
//     regional network policies; networkFirewallPolicyEnforcementOrder
//     BEFORE_CLASSIC_FIREWALL moves the VPC rules behind the network policies.
//   - goto_next is "next"; a layer without a match goes on by itself.
//   - Target tags and service accounts are settled by the reader: the rules of one
//     selector are one group, which the machines that it selects carry in the tier of
//     the layer. A tag that only serves as a source is a group outside of the tiers.
//   - A rule with several protocols, ports, ranges or tags is one rule of several boxes.
//   - A layer that a project's export lacks (folders) is a group that is not there.

// decide checks lines "INTERFACE in|out PROTOCOL REMOTE[ PORT] = VERDICT RULE…", the
// rules being those that decide at each stage asked, joined by +.
func decide(t *testing.T, text, lines string) *policy.Snapshot {
	t.Helper()
	s, err := ParseText("policy", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseText("again", []byte(Format(s)))
	if err != nil {
		t.Fatalf("%v\n%s", err, Format(s))
	}
	if d := diff(s, again); d != "" {
		t.Fatalf("the text reads back differently:\n%s", d)
	}
	decideLines(t, s, lines)
	return s
}

// decideLines checks lines as decide does, of a snapshot.
func decideLines(t *testing.T, s *policy.Snapshot, lines string) {
	t.Helper()
	for line := range strings.Lines(lines) {
		question, want, ok := strings.Cut(strings.TrimSpace(line), " = ")
		if !ok {
			continue
		}
		f := strings.Fields(question)
		remote := netip.MustParseAddr(f[3])
		face, ok := s.Interface(f[0])
		if !ok {
			t.Fatalf("%s: no such interface", question)
		}
		local := face.Addresses[0]
		for _, a := range face.Addresses {
			if a.Is4() == remote.Is4() {
				local = a
			}
		}
		var v service
		v.proto, _ = flow.ParseProto(f[2])
		if len(f) > 4 {
			port, err := strconv.ParseUint(f[4], 10, 16)
			if err != nil {
				t.Fatal(err)
			}
			v.port = uint16(port)
		}
		d, src, dst := flow.Ingress, remote, local
		if f[1] == "out" {
			d, src, dst = flow.Egress, local, remote
		}
		got := policy.Decide(s.Path(f[0], d), v.conn(src, dst, d))
		answer := got.Verdict.String()
		for _, st := range got.Stages {
			var by []string
			for _, w := range st.Winners {
				by = append(by, strings.TrimPrefix(w.String(), policy.ImplicitOwner+"/"))
			}
			if st.Skipped {
				by = []string{"skipped"}
			}
			answer += " " + strings.Join(by, "+")
		}
		if answer != want {
			t.Errorf("%s\n got  %s\n want %s", question, answer, want)
		}
	}
}

// gcpNetwork is a project with both kinds of policies, tags and a service account.
const gcpNetwork = `
platform 169.254.169.254/32 groups-deny
interface vm-web 10.128.0.2 fd20::2 tag-frontend subnet=us vpc=prod
  stage gcp deny/allow org folder vpc,vpc:web net-global
interface vm-db 10.128.0.3 subnet=us vpc=prod
  stage gcp deny/allow org folder vpc,vpc:db net-global
interface vm-job 10.132.0.4 sa-batch subnet=eu vpc=prod
  stage gcp deny/allow org folder vpc net-global
group org kind=policy
  scanners ingress deny all from 203.0.113.0/24 priority=10 readonly
  health ingress allow tcp from 35.191.0.0/16 130.211.0.0/22 priority=20 readonly
  leave-ssh ingress next tcp 22 from any priority=30 readonly
group folder kind=policy
  no-ssh-v4 ingress deny tcp 22 from 198.51.100.0/24 priority=1 readonly
  smtp egress deny tcp 25 to any priority=1 readonly
group vpc
  default-allow-internal ingress allow tcp from 10.128.0.0/9 or udp from 10.128.0.0/9 or icmp from 10.128.0.0/9 priority=65534
  default-allow-ssh ingress allow tcp 22 from 0.0.0.0/0 priority=65534
  iap ingress allow tcp 22 from 35.235.240.0/20 priority=1000
group vpc:web
  web ingress allow tcp 80 from any or tcp 443 from any or icmp from any priority=1000
  web-tie-allow ingress allow tcp 8000-8100 from 198.51.100.0/24 priority=900
  web-tie-deny ingress deny tcp 8080 from 198.51.100.0/24 priority=900
group vpc:db
  from-frontend ingress allow tcp 5432 from group=tag-frontend or tcp 5432 from group=sa-batch or tcp 5432 from 10.9.0.0/16 priority=1000
  no-internet egress deny all to 0.0.0.0/0 priority=2000
  to-web egress allow tcp 443 to group=tag-frontend priority=1000
group tag-frontend
group sa-batch
group net-global
  late-deny ingress deny tcp 443 from 192.0.2.0/24 priority=5
  late-allow ingress allow udp 53 from 192.0.2.0/24 priority=6
`

func TestGCPLayersSpeakInOrder(t *testing.T) {
	decide(t, gcpNetwork, `
vm-web in tcp 203.0.113.9 443 = deny org/scanners
vm-web in tcp 35.191.0.9 9999 = allow org/health
vm-web in tcp 198.51.100.7 22 = deny folder/no-ssh-v4
vm-web in tcp 192.0.2.7 22 = allow vpc/default-allow-ssh
vm-web in tcp 192.0.2.7 443 = allow vpc:web/web
vm-web in udp 192.0.2.7 53 = allow net-global/late-allow
vm-web in udp 192.0.2.7 54 = deny default:gcp:ingress
vm-web in tcp fd20::9 443 = allow vpc:web/web
vm-web in tcp fd20::9 22 = deny default:gcp:ingress
vm-web out tcp 192.0.2.7 25 = deny folder/smtp
vm-web out tcp 192.0.2.7 443 = allow default:gcp:egress
vm-web out udp 169.254.169.254 53 = allow skipped
`)
}

// BEFORE_CLASSIC_FIREWALL: the network policies speak before the VPC rules.
func TestGCPEnforcementOrderIsTheOrderOfTiers(t *testing.T) {
	before := strings.NewReplacer("vpc,vpc:web net-global", "net-global vpc,vpc:web").Replace(gcpNetwork)
	if before == gcpNetwork {
		t.Fatal("nothing replaced")
	}
	decide(t, before, `
vm-web in tcp 192.0.2.7 443 = deny net-global/late-deny
vm-web in tcp 192.0.3.7 443 = allow vpc:web/web
vm-web in udp 192.0.2.7 53 = allow net-global/late-allow
`)
}

func TestGCPDenyGoesFirstAtOnePriority(t *testing.T) {
	decide(t, gcpNetwork, `
vm-web in tcp 198.51.100.7 8079 = allow vpc:web/web-tie-allow
vm-web in tcp 198.51.100.7 8080 = deny vpc:web/web-tie-deny
`)
}

// Ranges, tags and accounts of one rule are a union, and tags mean internal addresses.
func TestGCPSourcesAreAUnion(t *testing.T) {
	decide(t, gcpNetwork, `
vm-db in tcp 10.128.0.2 5432 = allow vpc:db/from-frontend
vm-db in tcp 10.132.0.4 5432 = allow vpc:db/from-frontend
vm-db in tcp 10.9.1.1 5432 = allow vpc:db/from-frontend
vm-db in tcp 10.128.0.3 5433 = allow vpc/default-allow-internal
vm-db in tcp 34.1.2.3 5432 = deny default:gcp:ingress
vm-db out tcp 10.128.0.2 443 = allow vpc:db/to-web
vm-db out tcp 10.128.0.2 80 = deny vpc:db/no-internet
vm-db out tcp fd20::2 80 = allow default:gcp:egress
`)
}

// A rule's targets: only the machines that carry the group.
func TestGCPTargetsAreWhoCarriesTheGroup(t *testing.T) {
	s := decide(t, gcpNetwork, `
vm-db in tcp 198.51.100.1 443 = deny default:gcp:ingress
vm-job in tcp 198.51.100.1 443 = deny default:gcp:ingress
vm-job in icmp 10.130.0.1 = allow vpc/default-allow-internal
vm-job in tcp 35.235.240.7 22 = allow vpc/iap
`)
	// A tag makes no rule of its own: the path has the tiers of the stage alone.
	for _, st := range s.Path("vm-web", flow.Ingress) {
		var names []string
		for _, tier := range st.Tiers {
			names = append(names, tier.Name)
		}
		if got := strings.Join(names, " "); got != "org folder vpc net-global" {
			t.Errorf("tiers %s", got)
		}
	}
}

// A project's export has no folders: what they would say is not known, unless a
// stronger layer has spoken.
func TestGCPLayerThatIsNotExportedIsUnknown(t *testing.T) {
	begin, rest, _ := strings.Cut(gcpNetwork, "group folder")
	_, end, _ := strings.Cut(rest, "group vpc\n")
	decide(t, begin+"group vpc\n"+end, `
vm-web in tcp 203.0.113.9 443 = deny org/scanners
vm-web in tcp 35.191.0.9 9999 = allow org/health
vm-web in tcp 192.0.2.7 443 = unknown vpc:web/web
vm-web out tcp 192.0.2.7 443 = unknown default:gcp:egress
`)
}

// A folder that is exported with rules of its own and passes the rest on.
func TestGCPNextInTheMiddleOfALayer(t *testing.T) {
	decide(t, `
platform none groups-deny
interface vm-1 10.128.0.2
  stage gcp deny/allow folder vpc
group folder
  mine ingress next tcp 8000-8999 from 10.0.0.0/8 priority=10
  wide ingress deny tcp 8080 from any priority=20
  also-next ingress next tcp 22 from any priority=30
  ssh ingress allow tcp 22 from any priority=40
group vpc
  late ingress allow tcp 8080 from 10.1.0.0/16 priority=1000
`, `
vm-1 in tcp 10.1.2.3 8080 = allow vpc/late
vm-1 in tcp 10.2.2.3 8080 = deny default:gcp:ingress
vm-1 in tcp 11.1.2.3 8080 = deny folder/wide
vm-1 in tcp 11.1.2.3 22 = deny default:gcp:ingress
`)
}
