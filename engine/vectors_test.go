package engine_test

import "testing"

// The vectors of the AWS semantics by number. Those of the formats (5, 6, 7, 14)
// are also tests of the decoders, 13 of the reader, 18 of the analyzer.

func TestAWSVector01PingAnsweredButStoppedByACL(t *testing.T) {
	res := replay(t, `
subnet subnet-1 172.31.16.0/24
interface eni-1 172.31.16.139 sg-1 subnet=subnet-1
group sg-1
  sgr-icmp ingress icmp from 0.0.0.0/0
acl acl-1 subnets=subnet-1
  100 ingress allow all from 0.0.0.0/0
`, `
eni-1 203.0.113.12 172.31.16.139 0 0 1 ACCEPT -
eni-1 172.31.16.139 203.0.113.12 0 0 1 REJECT -
`)
	want(t, res, `
permitted 1
blocked 1
sg-1/sgr-icmp 1 1 0
acl-1/ingress-100 1 1 0
implicit/default:nacl:egress 1 0 0
`)
	if u := usage(t, res, "sg-1/sgr-icmp"); u.Proven > 1 {
		t.Errorf("proven %d", u.Proven)
	}
}

func TestAWSVector01WithAllowAllEgressIsInferredFromTheRejectedAnswer(t *testing.T) {
	res := replay(t, `
subnet subnet-1 172.31.16.0/24
interface eni-1 172.31.16.139 sg-1 subnet=subnet-1
group sg-1
  sgr-icmp ingress icmp from 0.0.0.0/0
  sgr-out egress all to 0.0.0.0/0
acl acl-1 subnets=subnet-1
  100 ingress allow all from 0.0.0.0/0
`, `
eni-1 203.0.113.12 172.31.16.139 0 0 1 ACCEPT -
eni-1 172.31.16.139 203.0.113.12 0 0 1 REJECT -
`)
	want(t, res, `
permitted 1
blocked 1
sg-1/sgr-icmp 1 1 0
sg-1/sgr-out 0 0 0
`)
}

const webPolicy = `
interface eni-1 10.0.0.62 sg-1
group sg-1
  sgr-in ingress tcp 5001 from 0.0.0.0/0
  sgr-out egress all to 0.0.0.0/0
`

func TestAWSVector02FlagsTellTheOpener(t *testing.T) {
	want(t, replay(t, webPolicy, `
eni-1 52.213.180.42 10.0.0.62 43416 5001 6 ACCEPT 2
eni-1 10.0.0.62 52.213.180.42 5001 43416 6 ACCEPT 18
`), `
permitted 1
reply 1
sg-1/sgr-in 1 1 0
sg-1/sgr-out 0 0 0
`)
}

func TestAWSVector03ClosedWithinTheInterval(t *testing.T) {
	want(t, replay(t, webPolicy, `
eni-1 52.213.180.42 10.0.0.62 43418 5001 6 ACCEPT 3
eni-1 10.0.0.62 52.213.180.42 5001 43418 6 ACCEPT 19
`), `
permitted 1
reply 1
sg-1/sgr-in 1 1 0
sg-1/sgr-out 0 0 0
`)
}

func TestAWSVector04MidlifeRowsCountForBothReadings(t *testing.T) {
	want(t, replay(t, `
interface eni-1 10.0.0.62 sg-1
group sg-1
  sgr-in ingress tcp 40001 from 0.0.0.0/0
  sgr-out egress all to 0.0.0.0/0
`, `
eni-1 52.213.180.42 10.0.0.62 43418 40001 6 ACCEPT 0
eni-1 10.0.0.62 52.213.180.42 40001 43418 6 ACCEPT 1
`), `
undirected 2
sg-1/sgr-in 0 0 1
sg-1/sgr-out 0 0 1
`)
}

func TestAWSVector05And06StatusRowsAreNoFlows(t *testing.T) {
	want(t, replay(t, webPolicy, `
eni-1 NODATA
eni-1 SKIPDATA
`), `
nodata 1
skipdata 1
permitted 0
sg-1/sgr-in 0 0 0
sg-1/sgr-out 0 0 0
`)
}

func TestAWSVector08LatePacketIsNoDemand(t *testing.T) {
	want(t, replay(t, webPolicy, `
eni-1 52.213.180.42 10.0.0.62 43418 5001 6 ACCEPT 3
eni-1 10.0.0.62 52.213.180.42 5001 43418 6 ACCEPT 19
eni-1 10.0.0.62 52.213.180.42 5001 43418 6 REJECT 4
`), `
permitted 1
reply 1
late 1
sg-1/sgr-in 1 1 0
sg-1/sgr-out 0 0 0
`)
}

func TestAWSVector09AllMatchingRulesWin(t *testing.T) {
	want(t, replay(t, `
interface eni-1 10.0.0.5 sg-1
group sg-1
  sgr-wide ingress tcp 443 from 10.0.0.0/8
  sgr-narrow ingress tcp 443 from 10.0.9.0/24
`, `eni-1 10.0.9.9 10.0.0.5 50000 443 6 ACCEPT 2`), `
permitted 1
sg-1/sgr-wide 1 0 0
sg-1/sgr-narrow 1 0 0
`)
}

func TestAWSVector10PublicAddressIsNoMember(t *testing.T) {
	want(t, replay(t, `
interface eni-1 10.0.0.5 sg-1
interface eni-2 10.0.0.6 sg-b
group sg-1
  sgr-ref ingress tcp 443 from sg-b
group sg-b
`, `
eni-1 203.0.113.7 10.0.0.5 50000 443 6 ACCEPT 2
eni-1 10.0.0.6 10.0.0.5 50000 443 6 ACCEPT 2
`), `
permitted 1
unexplained 1
sg-1/sgr-ref 1 1 0
`)
}

func TestAWSVector11ReplyByExclusion(t *testing.T) {
	want(t, replay(t, `
interface eni-1 10.0.0.5 sg-1
group sg-1
  sgr-dns ingress udp 53 from 10.0.0.0/24
  sgr-web egress tcp 443 to 0.0.0.0/0
`, `eni-1 10.0.0.5 10.0.0.9 53 40001 17 ACCEPT -`), `
reply 1
sg-1/sgr-dns 1 1 0
sg-1/sgr-web 0 0 0
`)
}

func TestAWSVector12ICMPv6IsNotICMP(t *testing.T) {
	want(t, replay(t, `
interface eni-1 10.0.0.5 2001:db8::5 sg-1
group sg-1
  sgr-icmp ingress icmp from 0.0.0.0/0
`, `eni-1 2001:db8::9 2001:db8::5 0 0 58 ACCEPT -`), `
unexplained 1
sg-1/sgr-icmp 0 0 0
`)
}

func TestAWSVector15InterfaceWithoutGroupsMeetsTheACLOnly(t *testing.T) {
	want(t, replay(t, `
subnet subnet-1 10.0.0.0/24
interface eni-nat 10.0.0.220 subnet=subnet-1 kind=natGateway
acl acl-1 subnets=subnet-1
  100 ingress allow tcp 443 from 10.0.0.0/8
  100 egress allow all to 0.0.0.0/0
`, `
eni-nat 10.0.1.5 10.0.0.220 39812 443 6 ACCEPT 2 pkt-src=10.0.1.5 pkt-dst=203.0.113.5 dir=ingress
`), `
permitted 1
acl-1/ingress-100 1 1 0
`)
}

func TestAWSVector16ACLDoesNotSpeakInsideASubnet(t *testing.T) {
	want(t, replay(t, `
subnet subnet-1 10.0.0.0/24
interface eni-1 10.0.0.5 sg-1 subnet=subnet-1
group sg-1
  sgr-in ingress tcp 22 from 10.0.0.0/8
acl acl-1 subnets=subnet-1
  100 ingress deny all from 0.0.0.0/0
`, `eni-1 10.0.0.9 10.0.0.5 50000 22 6 ACCEPT 2`), `
permitted 1
sg-1/sgr-in 1 1 0
acl-1/ingress-100 0 0 0
`)
}

func TestAWSVector17OtherFamilyIsAnAnomaly(t *testing.T) {
	want(t, replay(t, `
interface eni-1 10.0.0.5 2001:db8::5 sg-1
group sg-1
  sgr-in ingress tcp 443 from 0.0.0.0/0
  sgr-out egress all to ::/0
`, `eni-1 2001:db8::9 2001:db8::5 50000 443 6 ACCEPT 2`), `
unexplained 1
reply 0
sg-1/sgr-in 0 0 0
sg-1/sgr-out 0 0 0
`)
}

// The vectors of the policy model that AWS can express.

func TestModelVector01OnlyOneGroupAllows(t *testing.T) {
	want(t, replay(t, `
interface eni-1 10.0.0.5 sg-1 sg-2
group sg-1
  sgr-1 ingress tcp 443 from 0.0.0.0/0
group sg-2
  sgr-2 ingress tcp 80 from 0.0.0.0/0
`, `eni-1 10.1.1.1 10.0.0.5 50000 443 6 ACCEPT 2`), `
permitted 1
sg-1/sgr-1 1 1 0
sg-2/sgr-2 0 0 0
`)
}

func TestModelVector02BothAllow(t *testing.T) {
	want(t, replay(t, `
interface eni-1 10.0.0.5 sg-1 sg-2
group sg-1
  sgr-1 ingress tcp 443 from 10.0.0.0/8
group sg-2
  sgr-2 ingress tcp 443 from 0.0.0.0/0
`, `eni-1 10.1.1.1 10.0.0.5 50000 443 6 ACCEPT 2`), `
permitted 1
sg-1/sgr-1 1 0 0
sg-2/sgr-2 1 0 0
`)
}

func TestModelVector03ReplyNeedsTheOutboundList(t *testing.T) {
	want(t, replay(t, `
subnet subnet-1 10.0.0.0/24
interface eni-1 10.0.0.5 sg-1 subnet=subnet-1
group sg-1
  sgr-1 ingress tcp 443 from 0.0.0.0/0
acl acl-1 subnets=subnet-1
  100 ingress allow tcp 443 from 0.0.0.0/0
  100 egress allow tcp 443 to 0.0.0.0/0
`, `
eni-1 203.0.113.9 10.0.0.5 50000 443 6 ACCEPT 2
eni-1 10.0.0.5 203.0.113.9 443 50000 6 REJECT 18
`), `
permitted 1
blocked 1
sg-1/sgr-1 1 1 0
acl-1/ingress-100 1 1 0
acl-1/egress-100 0 0 0
implicit/default:nacl:egress 1 0 0
`)
}
