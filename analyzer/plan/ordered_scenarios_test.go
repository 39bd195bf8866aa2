package plan_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine/policy"
)

// planned plans for a policy and flows and returns the edits and what was declined by rule.
func planned(t *testing.T, mode plan.Mode, text, flows string) (*plan.Plan, map[string]plan.Edit, map[string]string) {
	t.Helper()
	s := parse(t, text)
	recs := records(t, flows)
	p := made(t, plan.Input{Result: replay(t, s, recs), Mode: mode, Evidence: enough(s)})
	if !p.Proof.Holds() {
		t.Fatalf("proof: %+v", p.Proof)
	}
	edits, declined := make(map[string]plan.Edit), make(map[string]string)
	for _, e := range p.Edits {
		edits[e.Rule.String()] = e
	}
	for _, d := range p.Declined {
		declined[d.Rule.String()] = d.Reason
	}
	return p, edits, declined
}

const one = "platform none admitted=100.64.0.0/10\ninterface eni-1 10.1.0.1 sg-1\n"

// The new rule of a narrowing has the rank of the old one, and may name what a stronger
// deny takes out of it.
func TestNewRulesKeepTheirRank(t *testing.T) {
	p, edits, _ := planned(t, plan.ModeTighten, one+`group sg-1 egress-open
  drop ingress deny all from 10.9.0.0/16 priority=20
  accept ingress tcp 1-65535 from 10.0.0.0/8 priority=50
`, "eni-1 10.8.255.7 10.1.0.1 40000 443 6 ACCEPT 2\neni-1 10.10.0.7 10.1.0.1 40000 443 6 ACCEPT 2")
	e := edits["sg-1/accept"]
	if len(e.With) != 1 || e.With[0].Rank != 50 || e.With[0].Action != policy.Allow {
		t.Fatalf("%v", lines(p.Edits))
	}
}

// Services of the platform change their addresses inside its block.
func TestPeersOfThePlatformAreItsBlock(t *testing.T) {
	p, edits, _ := planned(t, plan.ModeTighten, one+`group sg-1 egress-open
  all ingress tcp 1-65535 from 0.0.0.0/0 priority=1
  other ingress tcp 22 from 172.16.0.0/12 priority=1
  drop ingress deny all from 0.0.0.0/0 priority=100
`, "eni-1 100.64.3.4 10.1.0.1 40000 8080 6 ACCEPT 2\neni-1 10.3.0.7 10.1.0.1 40000 443 6 ACCEPT 2")
	var with []string
	for _, r := range edits["sg-1/all"].With {
		with = append(with, r.Ports()+" from "+r.Peer())
	}
	if diff := cmp.Diff([]string{"443 from 10.3.0.7/32", "8080 from 100.64.0.0/10"}, with); diff != "" {
		t.Errorf("%s\nof %v", diff, lines(p.Edits))
	}
}

func TestReasonsOfOrderedEdits(t *testing.T) {
	web := "eni-1 10.3.0.7 10.1.0.1 40000 443 6 ACCEPT 2"
	for _, tc := range []struct {
		name, policy, flows, rule string
		mode                      plan.Mode
		edit, declined            string // what the reason holds
		confidence                plan.Confidence
	}{
		{"a deny that stronger rules decide", one + `group sg-1 egress-open
  a ingress deny tcp 22 from 10.0.0.0/9 priority=1
  b ingress tcp 22 from 10.128.0.0/9 priority=1
  d ingress deny tcp 22 from 10.0.0.0/8 priority=5
  web ingress tcp 443 from 10.3.0.7/32 priority=1
`, web, "sg-1/d", plan.ModeTidy, "stronger rules decide all that it matches: sg-1/a, sg-1/b", "", plan.High},
		{"a deny that a weaker one repeats", one + `group sg-1 egress-open
  d ingress deny tcp 22 from 10.0.0.0/9 priority=1
  e ingress deny tcp 22 from 10.0.0.0/8 priority=5
  all ingress tcp 1-1000 from 10.0.0.0/8 priority=9
`, web, "sg-1/d", plan.ModeTidy, "other rules deny what it denies: sg-1/e", "", plan.High},
		{"a deny of the same list", one + `list pl-1 unknown
group sg-1 egress-open
  d ingress deny tcp 22 from pl-1 priority=5
  e ingress deny tcp 20-30 from pl-1 priority=5
  all ingress tcp 1-1000 from 10.0.0.0/8 priority=9
`, web, "sg-1/d", plan.ModeTidy, "it says the same as sg-1/e", "", plan.High},
		{"a deny of a group within a deny of its members", `platform none
interface eni-1 10.1.0.1 sg-1
interface eni-2 10.2.0.2 sg-2
group sg-2
group sg-1 egress-open
  d ingress deny tcp 22 from sg-2 priority=5
  e ingress deny tcp 22 from 10.2.0.0/24 priority=5
  all ingress tcp 1-1000 from 10.0.0.0/8 priority=9
`, web, "sg-1/d", plan.ModeTidy, "", "", ""},
		{"a guard", one + `group sg-1 egress-open
  d ingress deny tcp 22 from 10.0.0.0/9 priority=1
  web ingress tcp 443 from 10.3.0.7/32 priority=1
`, web, "sg-1/d", plan.ModeTidy, "", "kept as a guard", ""},
		{"an allow that a deny silences", one + `group sg-1 egress-open
  d ingress deny tcp 443 from 10.0.0.0/8 priority=1
  a ingress tcp 443 from 10.4.0.0/16 priority=1
  web ingress tcp 443 from 192.168.0.0/16 priority=1
`, web, "sg-1/a", plan.ModeTidy, "stronger rules deny all that it would permit", "", plan.High},
		{"an allow of what leaves anyway", one + `group sg-1 egress-open
  out egress tcp 443 to 10.0.0.0/8 priority=1
  web ingress tcp 443 from 10.3.0.7/32 priority=1
`, web, "sg-1/out", plan.ModeTidy, "what no rule matches is allowed here", "", plan.High},
		{"an allow that a deny of a group may silence or not tomorrow", `platform none
interface eni-1 10.1.0.1 sg-1
interface eni-2 10.2.0.2 sg-2
group sg-2
group sg-1 egress-open
  d ingress deny tcp 22 from sg-2 priority=1
  a ingress tcp 22 from 10.2.0.2/32 priority=9
  web ingress tcp 443 from 10.3.0.7/32 priority=1
`, web, "sg-1/a", plan.ModeTidy, "stronger rules deny all that it would permit", "", plan.Medium},
		{"members by the hidden rule only", `platform none
interface eni-1 10.1.0.1 sg-1
interface eni-2 10.1.0.2 sg-1
group sg-1 egress-open intra
  mates ingress tcp 443 from 10.1.0.1/32 priority=1
`, "eni-2 10.1.0.1 10.1.0.2 40000 443 6 ACCEPT 2", "sg-1/mates", plan.ModeTighten, "", "needed as soon as they are isolated", ""},
		{"members by the hidden rule, and nobody else", `platform none
interface eni-1 10.1.0.1 sg-1
interface eni-2 10.1.0.2 sg-1
group sg-1 egress-open intra
  near ingress tcp 443 from 10.1.0.0/24 priority=1
`, "eni-2 10.1.0.1 10.1.0.2 40000 443 6 ACCEPT 2", "sg-1/near", plan.ModeTighten, "this holds while the group lets its members talk", "", ""},
		{"a rule that stronger ones leave nothing to do", one + `group sg-1 egress-open
  narrow ingress tcp 443 from 10.3.0.7/32 priority=1
  wide ingress tcp 443 from 10.0.0.0/8 priority=9
`, web, "sg-1/wide", plan.ModeTighten, "admitted by other rules, which decide before it", "", ""},
		{"a narrowing that would gain nothing", `platform none
interface eni-1 10.1.0.1 sg-1 sg-2
group sg-1 egress-open
  a ingress tcp 443-444 from 10.0.0.0/8 priority=1
group sg-2 egress-open
  b ingress tcp 444 from 10.0.0.0/8 priority=9 readonly
`, "eni-1 10.0.0.0 10.1.0.1 40000 443 6 ACCEPT 2\neni-1 10.255.255.255 10.1.0.1 40000 443 6 ACCEPT 2", "sg-1/a", plan.ModeTighten, "", "narrowing it gains nothing", ""},
		{"a rule that weaker ones cover together", `platform none
interface eni-1 10.1.0.1 sg-1 sg-2
group sg-1 egress-open
  a ingress tcp 443-450 from 10.0.0.0/8 priority=1
group sg-2 egress-open
  b ingress tcp 444-1024 from 10.0.0.0/8 priority=9 readonly
  d ingress tcp 443 from 10.0.0.0/9 priority=9 readonly
  e ingress tcp 443 from 10.128.0.0/9 priority=9 readonly
`, web, "sg-1/a", plan.ModeTighten, "all it permits is permitted by other rules", "", plan.High},
		{"members, and a router that may pass their packets on", `platform none
interface eni-1 10.1.0.1 sg-1 vpc=vpc-1
interface eni-2 10.1.0.2 sg-1 vpc=vpc-1
interface eni-3 10.1.0.3 sg-fw vpc=vpc-1 transit
group sg-fw
group sg-1 vpc=vpc-1 egress-open intra
  near ingress tcp 443 from 10.1.0.1/32 priority=1
`, "eni-2 10.1.0.1 10.1.0.2 40000 443 6 ACCEPT 2", "sg-1/near", plan.ModeTighten, "", "something in the network passes traffic on", ""},
		{"an allow below a deny of addresses that come and go", `platform none
interface eni-1 10.1.0.1 sg-1
interface eni-2 10.2.0.2 sg-lb subnet=subnet-2 requester-managed
subnet subnet-2 10.2.0.0/24
group sg-lb
group sg-1 egress-open
  d ingress deny tcp 443 from sg-lb priority=1
  a ingress tcp 443 from 10.2.0.2/32 priority=9
  web ingress tcp 443 from 10.3.0.7/32 priority=1
`, web, "sg-1/a", plan.ModeTidy, "", "", ""},
		{"a line below one that may have rejected", `platform none
subnet subnet-1 10.1.0.0/24
interface eni-1 10.1.0.1 sg-1 subnet=subnet-1
group sg-1
  web ingress tcp 443 from 10.3.0.7/32
  ping ingress icmp from 10.3.0.7/32
acl acl-1 subnet=subnet-1
  10 ingress deny icmp type 8 from 10.0.0.0/8
  20 ingress allow icmp from 10.0.0.0/8
  30 ingress allow tcp 443 from 10.0.0.0/8
  10 egress allow all to any
`, web + "\neni-1 10.3.0.7 10.1.0.1 0 0 1 ACCEPT -", "acl-1/ingress-20", plan.ModeTighten, "", "whether a line above it rejects", ""},
		{"addresses of the platform", one + `group sg-1 egress-open
  health ingress tcp 443 from 100.64.0.0/10 priority=1
  web ingress tcp 443 from 10.3.0.7/32 priority=1
`, web, "sg-1/health", plan.ModeTighten, "", "addresses of the platform", ""},
		{"stages that are spelled out", `platform none
interface eni-1 10.1.0.1
  stage first deny/deny sg-1
group sg-1
  a ingress tcp 443 from 10.0.0.0/8
`, web, "sg-1/a", plan.ModeTighten, "", "stages of rules are spelled out", ""},
		{"masked by a network ACL", `platform none
subnet subnet-1 10.1.0.0/24
interface eni-1 10.1.0.1 sg-1 subnet=subnet-1
group sg-1
  web ingress tcp 443 from 10.3.0.7/32
  db ingress tcp 5432 from 10.3.0.0/16
acl acl-1 subnet=subnet-1
  10 ingress deny tcp 5000-6000 from 10.0.0.0/8
  20 ingress allow all from any
  10 egress allow all to any
`, web, "sg-1/db", plan.ModeTighten, "", "masked by network ACL acl-1", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, edits, declined := planned(t, tc.mode, tc.policy, tc.flows)
			e, made := edits[tc.rule]
			if made != (tc.edit != "") || !strings.Contains(e.Reason, tc.edit) || tc.confidence != "" && e.Confidence != tc.confidence {
				t.Errorf("edit %v %q %s\nof %v", made, e.Reason, e.Confidence, lines(p.Edits))
			}
			if !strings.Contains(declined[tc.rule], tc.declined) {
				t.Errorf("declined %q", declined[tc.rule])
			}
		})
	}
}

// What the default lets out anyway counts for nothing, and neither does what stronger
// denies take from a rule.
func TestExposureIsWhatTheListsPermit(t *testing.T) {
	p, _, _ := planned(t, plan.ModeTighten, one+`group sg-1 egress-open
  out egress tcp 443 to 10.0.0.0/8 priority=1
  drop ingress deny tcp 80 from 10.0.0.0/8 priority=1
  in ingress tcp 80-81 from 10.0.0.0/8 priority=2
`, "eni-1 10.3.0.7 10.1.0.1 40000 81 6 ACCEPT 2\neni-1 10.1.0.1 10.3.0.7 40000 443 6 ACCEPT 2")
	if p.Exposure.Before != "16777216" || p.Exposure.After != "1" {
		t.Errorf("exposure %+v of %v", p.Exposure, lines(p.Edits))
	}
}

// A connection that a deny of better or equal rank keeps from a rule is no use of it.
func TestNoObligationBelowADeny(t *testing.T) {
	_, edits, _ := planned(t, plan.ModeTighten, one+`group sg-1
  above ingress tcp 443 from 10.3.0.0/16 priority=1
  drop ingress deny tcp 443 from 10.0.0.0/8 priority=9
  tie ingress tcp 443 from 10.0.0.0/8 priority=9
  below ingress tcp 443-444 from 0.0.0.0/0 priority=20
`, "eni-1 10.3.0.7 10.1.0.1 40000 443 6 ACCEPT 2")
	for rule, op := range map[string]plan.Op{"sg-1/above": plan.Replace, "sg-1/tie": plan.Remove, "sg-1/below": plan.Remove} {
		if edits[rule].Op != op {
			t.Errorf("%s: %q, want %q", rule, edits[rule].Op, op)
		}
	}
	if edits["sg-1/tie"].Basis != plan.Equivalent || edits["sg-1/below"].Basis != plan.Observed {
		t.Errorf("%+v %+v", edits["sg-1/tie"], edits["sg-1/below"])
	}
}

// Edits of different kinds hold by themselves: a deny that is shadowed today stays where
// the plan narrows what shadows it, and one that only the plan makes needless stays, too.
func TestDeniesDoNotRestOnOtherEdits(t *testing.T) {
	_, edits, _ := planned(t, plan.ModeTighten, one+`group sg-1
  wide ingress tcp 443 from 10.0.0.0/8 priority=1
  shadowed ingress deny tcp 443 from 10.9.0.0/16 priority=5
  later ingress deny tcp 22 from 10.9.0.0/16 priority=5
  unused ingress tcp 22 from 10.0.0.0/8 priority=6
  last ingress deny tcp 1-100 from 10.0.0.0/8 priority=50
  web ingress tcp 80 from 192.168.0.0/16 priority=60
`, "eni-1 10.3.0.7 10.1.0.1 40000 443 6 ACCEPT 2")
	for _, rule := range []string{"sg-1/shadowed", "sg-1/later"} {
		if e, ok := edits[rule]; ok {
			t.Errorf("%s: %+v", rule, e)
		}
	}
	if edits["sg-1/unused"].Op != plan.Remove || edits["sg-1/wide"].Op != plan.Replace {
		t.Errorf("%v", edits)
	}
}

// Neighbours of different ranks are one rule only if no deny that ranks between them
// meets either.
func TestMergesOfRanks(t *testing.T) {
	for deny, merged := range map[string]bool{
		"tcp 440-450 from 10.2.1.7/32 priority=10": false,
		"tcp 443 from 10.2.1.7/32 priority=20":     false, // it beats sgr-hi already, and would not be beaten by sgr-lo's rank
		"tcp 440-450 from 10.2.0.7/32 priority=10": false,
		"tcp 444-450 from 10.2.1.7/32 priority=10": true,
		"tcp 443 from 10.2.1.7/32 priority=1":      true,
		"tcp 443 from 10.2.1.7/32 priority=21":     true,
	} {
		p, _, _ := planned(t, plan.ModeTidy, one+`group sg-1 egress-open
  lo ingress tcp 443 from 10.2.0.0/24 priority=1
  hi ingress tcp 443 from 10.2.1.0/24 priority=20
  d ingress deny `+deny+"\n", "eni-1 10.2.0.9 10.1.0.1 40000 443 6 ACCEPT 2")
		var with []policy.Rule
		for _, e := range p.Edits {
			with = append(with, e.With...)
		}
		if (len(with) > 0) != merged {
			t.Errorf("%s: %v", deny, lines(p.Edits))
		}
	}
}

// What is joined with another rule after it was narrowed is in every option, too: else an
// option would admit less than what was seen.
func TestOptionsHoldRulesThatThePlanJoins(t *testing.T) {
	p, edits, _ := planned(t, plan.ModeTighten, `
interface eni-1 10.0.0.5 sg-1
group sg-1
  sgr-22 ingress tcp 22 from 10.0.0.0/8
  sgr-23 ingress tcp 23 from 10.0.0.0/8
`, `
eni-1 10.3.0.9 10.0.0.5 41000 22 6 ACCEPT 2
eni-1 10.0.0.5 10.3.0.9 22 41000 6 ACCEPT 18
eni-1 10.3.0.9 10.0.0.5 41001 23 6 ACCEPT 2 41
eni-1 10.0.0.5 10.3.0.9 23 41001 6 ACCEPT 18 41
`)
	if edits["sg-1/sgr-22"].Op != plan.Replace || edits["sg-1/sgr-23"].Op != plan.Remove {
		t.Fatalf("the plan joins nothing: %+v", edits)
	}
	for _, o := range p.Tradeoff {
		if o.Kind == plan.Option {
			t.Errorf("options of %d rules that admit %v cannot hold both connections in less space than the plan", o.Rules, o.Families)
		}
	}
}
