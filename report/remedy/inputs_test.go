package remedy

import (
	"strconv"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine/policy"
)

const awsText = `
subnet subnet-0 10.0.0.0/28
interface eni-0 10.0.0.8 sg-a sg-b subnet=subnet-0
interface eni-1 10.0.0.9 sg-a subnet=subnet-0
group sg-a
  sgr-1 ingress tcp 443 from 10.0.0.0/8 "it's 'web' $(touch owned) ` + "`id`" + ` \"q\" ü"
  sgr-2 ingress tcp 80 from 0.0.0.0/0
  sgr-3 egress all to ::/0
  sgr-4 ingress icmp type 3 code 4 from 10.0.0.0/8
  sgr-5 ingress tcp 443 from 10.1.0.0/16
group sg-b
  r-0123 ingress udp 53 from sg-a "by digest"
  sgr-7 ingress 50 from pl-1
list pl-1 10.9.0.0/16
acl acl-1 subnet=subnet-0
  100 ingress allow tcp 22 from 10.0.0.0/8
  110 ingress deny icmp type 8 from 0.0.0.0/0
  120 ingress allow all from 0.0.0.0/0
  100 egress allow all to 0.0.0.0/0
`

// awsInput is a plan with an edit of every kind, one of which brings a rule that is
// there already and that another one takes.
func awsInput(t *testing.T) Input {
	t.Helper()
	s := parse(t, awsText)
	return Input{Snapshot: s, Platforms: Platforms(s), Report: "r.json", Edits: reread(t, s, []plan.Stored{
		replacing("sg-a/sgr-1", "ingress tcp 443 10.1.0.0/16", "ingress tcp 443 10.2.0.1/32"),
		removing("sg-a/sgr-2"),
		replacing("sg-a/sgr-3", "egress tcp all 2001:db8::/32", "egress icmpv6 all 2001:db8::/32", "egress 47 all 2001:db8::/32"),
		removing("sg-a/sgr-4"),
		removing("sg-a/sgr-5"),
		replacing("sg-b/r-0123", "ingress udp 53 10.0.0.9/32"),
		replacing("sg-b/sgr-7", "ingress 50 all sg-b"),
		removing("acl-1/ingress-100"),
		removing("acl-1/ingress-110"),
	})}
}

func removing(ref string) plan.Stored {
	owner, rule, _ := strings.Cut(ref, "/")
	return plan.Stored{Op: plan.Remove, Rule: policy.Ref{Owner: owner, Rule: rule}, Group: owner}
}

// replacing reads rules as "direction [deny] protocol ports peer [priority] [description]".
func replacing(ref string, rules ...string) plan.Stored {
	out := removing(ref)
	out.Op = plan.Replace
	for _, r := range rules {
		f := strings.SplitN(r, " ", 6)
		w := plan.Words{Direction: f[0], Action: "allow", Priority: 1, Protocol: f[1], Ports: f[2], Peer: f[3]}
		if len(f) > 4 {
			n, _ := strconv.Atoi(f[4])
			w.Priority = uint32(n)
		}
		if len(f) > 5 {
			w.Description = f[5]
		}
		out.With = append(out.With, w)
	}
	return out
}

func reread(t *testing.T, s *policy.Snapshot, stored []plan.Stored) []plan.Edit {
	t.Helper()
	edits, err := plan.Reread(s, stored)
	if err != nil {
		t.Fatal(err)
	}
	return edits
}

const alibabaText = `
platform none id=alibaba groups-deny
subnet vsw-0 10.0.0.0/28
interface eni-0 10.0.0.8 sg-a subnet=vsw-0 platform=alibaba
group sg-a kind=normal egress-open
  sgr-1 ingress tcp 443 from 10.0.0.0/8 priority=10 "it's $(touch owned) ` + "`id`" + `"
  sgr-2 ingress deny tcp 22 from 10.9.0.0/16 priority=20
  sgr-3 ingress allow tcp 22 from 0.0.0.0/0 priority=30
  sgr-4 ingress tcp 1-65535 from 2001:db8::/32 at 2001:db8::8/128 peer-ports=1024-65535 priority=5
  r-0123 egress all to sg-a priority=1
  sgr-6 ingress icmp from 10.0.0.0/8 priority=1
acl nacl-1 subnet=vsw-0
  1 ingress allow tcp 22 from 10.0.0.0/8 "clients: say 'hi'"
  2 ingress deny udp 1-65535 from 0.0.0.0/0
  3 ingress allow all from 0.0.0.0/0
  1-ipv6 ingress allow tcp 443 from ::/0 priority=1
  1 egress allow all to 0.0.0.0/0
  2 egress allow tcp 443 to 10.0.0.0/8
`

func alibabaInput(t *testing.T) Input {
	t.Helper()
	s := parse(t, alibabaText)
	return Input{Snapshot: s, Platforms: Platforms(s), Report: "r.json", Edits: reread(t, s, []plan.Stored{
		replacing("sg-a/sgr-1", "ingress tcp 443 10.1.0.1/32 10 it's $(touch owned)", "ingress tcp 443 10.2.0.0/16 10"),
		removing("sg-a/sgr-2"),
		removing("sg-a/sgr-3"),
		removing("sg-a/sgr-4"),
		removing("sg-a/r-0123"),
		replacing("sg-a/sgr-6", "ingress icmp all 10.0.0.0/16 1"),
		removing("nacl-1/ingress-1"),
		removing("nacl-1/ingress-2"),
		removing("nacl-1/egress-2"),
	})}
}
