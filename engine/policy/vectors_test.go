package policy

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// The vectors that separate right readings from plausible ones, by number.

// AWS: of two groups one allows.
func TestModelVector01(t *testing.T) {
	path := []Stage{testStage("sg", Deny, testTier("a 0 allow tcp 443 0.0.0.0/0", "b 0 allow tcp 22 10.0.0.0/8"))}
	expect(t, path, "tcp 198.51.100.1 443", Allowed, "sg allow by a next deny decisive")
	expect(t, path, "tcp 198.51.100.1 22", Denied, "sg deny by default:sg next deny")
}

// AWS: both groups allow; both rules have the hit, neither is decisive.
func TestModelVector02(t *testing.T) {
	path := []Stage{testStage("sg", Deny, testTier("a 0 allow tcp 443 10.0.0.0/8", "b 0 allow tcp 443 0.0.0.0/0"))}
	expect(t, path, "tcp 10.1.1.1 443", Allowed, "sg allow by a b next deny")
	expect(t, path, "tcp 11.1.1.1 443", Allowed, "sg allow by b next deny decisive")
}

// AWS: the network ACL lets the request in and stops the reply at its ephemeral port.
func TestModelVector03(t *testing.T) {
	group := testStage("sg", Deny, testTier("web 0 allow tcp 443 0.0.0.0/0"))
	in := []Stage{testStage("nacl", Deny, testTier("in100 100 allow tcp 443 0.0.0.0/0")), group}
	expect(t, in, "tcp 198.51.100.1 443", Allowed, "nacl allow by in100 next deny decisive", "sg allow by web next deny decisive")

	// The outbound list names the remote port; the client's is not 443.
	line := func(id string, remote netset.PortRange) Rule {
		r := testRule(id + " 100 allow tcp all 0.0.0.0/0")
		r.Direction, r.Match[0].RemotePorts = flow.Egress, remote
		return r
	}
	out := []Stage{testStage("sg", Deny), testStage("nacl", Deny, Tier{Rules: []Rule{line("out100", netset.Port(443))}})}
	reply := testConn("tcp 198.51.100.1 443")
	reply.Direction = flow.Egress
	expectDecision(t, DecidePacket(out, reply), "reply", Denied, "nacl deny by default:nacl next deny")

	// The usual line for ephemeral ports passes it, and is thereby used; the group is not asked.
	out[1].Tiers[0].Rules = append(out[1].Tiers[0].Rules, line("out110", netset.PortRange{First: 1024, Last: 65535}))
	expectDecision(t, DecidePacket(out, reply), "reply", Allowed, "nacl allow by out110 next deny decisive")
}

// A tier above the custom rules speaks before any rank of theirs.
func TestModelVector04(t *testing.T) {
	path := []Stage{testStage("sg", Deny, testTier("mates 0 allow all all 10.0.0.7/32"), testTier("drop 1 deny all all 0.0.0.0/0"))}
	expect(t, path, "tcp 10.0.0.7 22", Allowed, "sg allow by mates next deny decisive")
	expect(t, path, "tcp 10.0.0.8 22", Denied, "sg deny by drop next deny")
}

// Where the default allows, an allow rule has a hit and decides nothing; where it
// denies, the same rule is decisive.
func TestModelVectors05And06(t *testing.T) {
	accept := testTier("a 1 allow tcp 443 0.0.0.0/0")
	for _, c := range []struct {
		fallback Action
		none     string
		hit      string
	}{
		{Allow, "sg allow by default:sg next allow", "sg allow by a next allow"},
		{Deny, "sg deny by default:sg next deny", "sg allow by a next deny decisive"},
	} {
		verdict := Denied
		if c.fallback == Allow {
			verdict = Allowed
		}
		expect(t, []Stage{testStage("sg", c.fallback, Tier{})}, "tcp 10.0.0.7 443", verdict, c.none)
		expect(t, []Stage{testStage("sg", c.fallback, accept)}, "tcp 10.0.0.7 443", Allowed, c.hit)
	}
}

// At equal rank deny goes before allow, and is decisive: without it the allow speaks.
func TestModelVector07(t *testing.T) {
	path := []Stage{testStage("sg", Deny, testTier("accept 50 allow tcp 22 10.0.0.0/8", "drop 50 deny tcp 22 10.1.0.0/16"))}
	expect(t, path, "tcp 10.1.0.1 22", Denied, "sg deny by drop next allow decisive")
	// One rank lower it never speaks.
	path = []Stage{testStage("sg", Deny, testTier("accept 40 allow tcp 22 10.0.0.0/8", "drop 50 deny tcp 22 10.1.0.0/16"))}
	expect(t, path, "tcp 10.1.0.1 22", Allowed, "sg allow by accept next deny decisive")
}

// An allow over a deny is decisive though a later, wider allow covers it.
func TestModelVector08(t *testing.T) {
	path := []Stage{testStage("sg", Deny, testTier("p30 30 allow tcp 22 0.0.0.0/0", "p10 10 allow tcp 22 10.1.0.0/16", "p20 20 deny tcp 22 10.0.0.0/8"))}
	expect(t, path, "tcp 10.1.0.1 22", Allowed, "sg allow by p10 next deny decisive")
	expect(t, path, "tcp 10.2.0.1 22", Denied, "sg deny by p20 next allow decisive")
	expect(t, path, "tcp 11.2.0.1 22", Allowed, "sg allow by p30 next deny decisive")
}

// Inside the subnet no network ACL speaks.
func TestModelVector09(t *testing.T) {
	acl := testStage("nacl", Deny, testTier("drop 1 deny all all 0.0.0.0/0", "ssh 2 allow tcp 22 0.0.0.0/0"))
	acl.Exempt = []netip.Prefix{netip.MustParsePrefix("10.9.0.0/24")}
	path := []Stage{acl, testStage("sg", Deny, testTier("a 0 allow tcp 22 10.0.0.0/8"))}
	expect(t, path, "tcp 10.9.0.255 22", Allowed, "nacl skipped", "sg allow by a next deny decisive")
	expect(t, path, "tcp 10.9.0.255 23", Denied, "nacl skipped", "sg deny by default:sg next deny")
	expect(t, path, "tcp 10.9.1.0 22", Denied, "nacl deny by drop next allow decisive")
}

// Next goes on to the following tier, where deny beats allow at equal rank.
func TestModelVector10(t *testing.T) {
	path := []Stage{testStage("gcp", Deny, testTier("go 1 next tcp 22 0.0.0.0/0", "folder 2 allow all all 0.0.0.0/0"),
		testTier("allow 1000 allow tcp 22 0.0.0.0/0", "deny 1000 deny tcp 22 0.0.0.0/0"))}
	expect(t, path, "tcp 198.51.100.1 22", Denied, "gcp deny by deny next allow decisive")
	expect(t, path, "tcp 198.51.100.1 80", Allowed, "gcp allow by folder next deny decisive")
}

// The order of the tiers is the platform's, and decides.
func TestModelVector11(t *testing.T) {
	policy, vpc := testTier("net 1 deny tcp 80 0.0.0.0/0"), testTier("vpc 1000 allow tcp 80 0.0.0.0/0")
	expect(t, []Stage{testStage("gcp", Deny, vpc, policy)}, "tcp 198.51.100.1 80", Allowed, "gcp allow by vpc next deny decisive")
	expect(t, []Stage{testStage("gcp", Deny, policy, vpc)}, "tcp 198.51.100.1 80", Denied, "gcp deny by net next allow decisive")
}

// Two stages must both allow; the defaults of a stage may be rules.
func TestModelVectors12And13(t *testing.T) {
	subnet := testStage("nsg-subnet", Deny, testTier("https 100 allow tcp 443 0.0.0.0/0", "vnet 65000 allow all all 10.0.0.0/8", "end 65500 deny all all 0.0.0.0/0"))
	nic := testStage("nsg-nic", Deny, testTier("vnet 65000 allow all all 10.0.0.0/8", "end 65500 deny all all 0.0.0.0/0"))
	expect(t, []Stage{subnet, nic}, "tcp 198.51.100.1 443", Denied, "nsg-subnet allow by https next deny decisive", "nsg-nic deny by end next deny")
	expect(t, []Stage{nic}, "tcp 10.0.0.4 445", Allowed, "nsg-nic allow by vnet next deny decisive")
}

// AllowAll ends the path.
func TestModelVector14(t *testing.T) {
	admin := testStage("admin", Allow, testTier("always 1 allow-all tcp 22 0.0.0.0/0"))
	path := []Stage{admin, testStage("nsg", Deny, testTier("no 100 deny tcp 22 0.0.0.0/0"))}
	expect(t, path, "tcp 198.51.100.1 22", Allowed, "admin allow by always next allow decisive")
	expect(t, path, "tcp 198.51.100.1 23", Denied, "admin allow by default:admin next allow", "nsg deny by default:nsg next deny")
}

// What cannot be resolved above the winner makes the verdict unknown.
func TestModelVector15(t *testing.T) {
	path := []Stage{testStage("sg", Deny, testTier("drop 10 deny all all ?", "accept 20 allow tcp 443 0.0.0.0/0"))}
	expect(t, path, "tcp 198.51.100.1 443", Unknown, "sg unknown by accept next deny possible drop")
}

// Vectors of the AWS semantics, by number, as far as rules alone express them.

func TestAWSVector09CoMatch(t *testing.T) {
	path := []Stage{testStage("sg", Deny, testTier("wide 0 allow tcp 443 10.0.0.0/8", "narrow 0 allow tcp 443 10.0.9.0/24"))}
	expect(t, path, "tcp 10.0.9.9 443", Allowed, "sg allow by narrow wide next deny")
}

func TestAWSVector12ICMPIsNotICMPv6(t *testing.T) {
	path := []Stage{testStage("sg", Deny, testTier("ping 0 allow icmp all 0.0.0.0/0,::/0"))}
	expect(t, path, "icmpv6 2001:db8::1", Denied, "sg deny by default:sg next deny")
	expect(t, path, "icmp 198.51.100.1", Allowed, "sg allow by ping next deny decisive")
}

func TestAWSVector13PortsOfOtherProtocols(t *testing.T) {
	path := []Stage{testStage("sg", Deny, testTier("all 0 allow all all 0.0.0.0/0"))}
	for _, c := range []string{"tcp 198.51.100.1 22", "udp 198.51.100.1 53", "icmp 198.51.100.1", "50 198.51.100.1", "0 198.51.100.1", "255 198.51.100.1"} {
		expect(t, path, c, Allowed, "sg allow by all next deny decisive")
	}
	// A port on a protocol without ports is not read, nor is an ICMP type on TCP.
	path = []Stage{testStage("sg", Deny, testTier("esp 0 allow 50 22 0.0.0.0/0", "ssh 0 allow tcp 22 0.0.0.0/0"))}
	path[0].Tiers[0].Rules[1].Match[0].ICMP = TypeCode{8, 0}
	expect(t, path, "50 198.51.100.1", Allowed, "sg allow by esp next deny decisive")
	expect(t, path, "tcp 198.51.100.1 22", Allowed, "sg allow by ssh next deny decisive")
	expect(t, path, "tcp 198.51.100.1 23", Denied, "sg deny by default:sg next deny")
}

func TestAWSVector17FamiliesDoNotMix(t *testing.T) {
	path := []Stage{testStage("sg", Deny, testTier("four 0 allow all all 0.0.0.0/0"))}
	expect(t, path, "tcp 2001:db8::1 443", Denied, "sg deny by default:sg next deny")
	path = []Stage{testStage("sg", Deny, testTier("six 0 allow all all ::/0"))}
	expect(t, path, "tcp 198.51.100.1 443", Denied, "sg deny by default:sg next deny")
	expect(t, path, "tcp 2001:db8::1 443", Allowed, "sg allow by six next deny decisive")
}

// A group reference means the members' private addresses, so traffic from the
// Elastic IP of a member does not match it.
func TestAWSVector10ElasticIPIsNoMember(t *testing.T) {
	s := testSnapshot(t)
	path := s.Path("eni-web", flow.Ingress)
	c := testConn("tcp 10.2.0.8 8080")
	c.Local = netip.MustParseAddr("10.1.0.5")
	expectDecision(t, Decide(path, c), "private", Allowed, "nacl allow by in100 next deny decisive", "sg allow by from-lb next deny decisive")
	c.Remote = netip.MustParseAddr("198.51.100.80")
	expectDecision(t, Decide(path, c), "elastic", Denied, "nacl allow by in100 next deny decisive", "sg deny by default:sg:ingress next deny")
}

// A NAT gateway has no groups: the network ACL alone decides.
func TestAWSVector15InterfaceWithoutGroups(t *testing.T) {
	path := testSnapshot(t).Path("eni-nat", flow.Ingress)
	if got := stageNames(path); !slices.Equal(got, []string{"nacl"}) {
		t.Fatalf("stages %v, want the ACL alone", got)
	}
	expect(t, path, "tcp 198.51.100.1 22", Allowed, "nacl allow by in100 next deny decisive")
	expect(t, path, "tcp 203.0.113.9 22", Denied, "nacl deny by in90 next allow decisive")
}

// Inside a subnet the network ACL is not asked, even where it would deny.
func TestAWSVector16SameSubnet(t *testing.T) {
	path := testSnapshot(t).Path("eni-web", flow.Ingress)
	expect(t, path, "tcp 10.1.0.77 443", Allowed, "nacl skipped", "sg allow by https next deny decisive")
	expect(t, path, "tcp 10.1.1.77 443", Denied, "nacl deny by in80 next allow decisive")
}
