package plan_test

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
)

func TestNoPlanWithoutFidelityOrAcceptedTraffic(t *testing.T) {
	s := parse(t, web)
	for _, tc := range []struct{ name, flows, want string }{
		{"rejected traffic only", "eni-1 10.1.2.3 10.0.0.5 49152 22 6 REJECT 2", "rejected traffic only"},
		{"low fidelity", "eni-1 10.1.2.3 10.0.0.5 49152 22 6 ACCEPT 2\neni-1 10.1.2.3 10.0.0.5 49152 443 6 ACCEPT 2", "explains 50 %"},
	} {
		in := plan.Input{Result: replay(t, s, records(t, tc.flows)), Mode: plan.ModeTighten, MinFidelity: 0.9, Evidence: enough(s)}
		p := made(t, in)
		if len(p.Edits) != 0 || len(p.Declined) != 1 || !p.Declined[0].Rule.IsZero() || !strings.Contains(p.Declined[0].Reason, tc.want) {
			t.Errorf("%s: edits %v, declined %v", tc.name, lines(p.Edits), p.Declined)
		}
		if p.Planned != s || p.Exposure.Ratio != 1 {
			t.Errorf("%s: planned %p, exposure %v", tc.name, p.Planned, p.Exposure)
		}
	}
}

func TestModeNonePlansNothing(t *testing.T) {
	s := parse(t, web)
	in := plan.Input{Result: replay(t, s, records(t, "eni-1 10.1.2.3 10.0.0.5 49152 443 6 ACCEPT 2")), Mode: plan.ModeNone, Evidence: enough(s)}
	if p := made(t, in); len(p.Edits)+len(p.Declined) != 0 || p.Exposure.Before != p.Exposure.After {
		t.Errorf("%+v", p)
	}
}

func TestThinEvidenceIsDeclinedWithItsReason(t *testing.T) {
	s := parse(t, web)
	in := plan.Input{Result: replay(t, s, records(t, "eni-1 192.0.2.3 10.0.0.5 49152 443 6 ACCEPT 2")), Mode: plan.ModeTighten}
	for range s.Rules() {
		in.Evidence = append(in.Evidence, plan.RuleEvidence{Attached: true, Observable: true, Why: "3 days of 14"})
	}
	p := made(t, in)
	if got := lines(p.Edits); len(got) != 1 || got[0] != "remove sg-base/sgr-2 (equivalent)" {
		t.Errorf("edits %v", got)
	}
	if len(p.Declined) != 1 || p.Declined[0].Rule.String() != "sg-web/sgr-1" || !strings.Contains(p.Declined[0].Reason, "3 days of 14") {
		t.Errorf("declined %v", p.Declined)
	}
}

func TestDenyLinesStayAndTheReasonIsGiven(t *testing.T) {
	s := parse(t, `
subnet subnet-1 10.0.0.0/24
interface eni-1 10.0.0.5 sg-1 subnet=subnet-1
group sg-1
  sgr-1 ingress tcp 443 from 10.1.2.3/32
acl acl-1 subnets=subnet-1
  90 ingress deny tcp 25 from 203.0.113.0/24
  100 ingress allow all from 0.0.0.0/0
  100 egress allow all to 0.0.0.0/0
`)
	flows := "eni-1 10.1.2.3 10.0.0.5 49152 443 6 ACCEPT 2\neni-1 10.0.0.5 10.1.2.3 443 49152 6 ACCEPT 18"
	p := made(t, plan.Input{Result: replay(t, s, records(t, flows)), Mode: plan.ModeTighten, Evidence: enough(s)})
	if len(p.Edits) != 0 {
		t.Errorf("edits %v", lines(p.Edits))
	}
	if len(p.Declined) != 1 || p.Declined[0].Rule.String() != "acl-1/ingress-90" || !strings.HasPrefix(p.Declined[0].Reason, "it denies") {
		t.Errorf("declined %v", p.Declined)
	}
}

func TestFidelityBelowTheMinimumNeverReadsLikeIt(t *testing.T) {
	s := parse(t, web)
	flows := "eni-1 10.1.2.3 10.0.0.5 49152 22 6 ACCEPT 2" + strings.Repeat("\neni-1 10.1.2.3 10.0.0.5 49152 443 6 ACCEPT 2", 2)
	p := made(t, plan.Input{Result: replay(t, s, records(t, flows)), Mode: plan.ModeTighten, MinFidelity: 0.6667, Evidence: enough(s)})
	if len(p.Declined) != 1 || !strings.Contains(p.Declined[0].Reason, "explains 66.66 % of the judged records, less than the minimum of 66.67 %") {
		t.Errorf("declined %v", p.Declined)
	}
}

func TestApplyRefusesWhatDoesNotFit(t *testing.T) {
	s := parse(t, web)
	rule := *s.Rules()[0]
	remove := plan.Edit{Op: plan.Remove, Rule: rule.Ref, Group: rule.Ref.Owner}
	for name, edits := range map[string][]plan.Edit{
		"no such rule":  {{Op: plan.Remove, Rule: policy.Ref{Owner: "sg-web", Rule: "none"}}},
		"twice":         {remove, remove},
		"no such group": {{Op: plan.Add, Group: "sg-none", With: []policy.Rule{rule}}},
		"wrong group":   {{Op: plan.Add, Group: "sg-web", With: []policy.Rule{rule}}},
		"already there": {{Op: plan.Add, Group: rule.Ref.Owner, With: []policy.Rule{rule}}},
	} {
		if _, err := plan.Apply(s, edits); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	before := cloud.Format(s)
	after, err := plan.Apply(s, []plan.Edit{remove, {Op: plan.Add, Group: rule.Ref.Owner, With: []policy.Rule{rule}}})
	if err != nil {
		t.Fatal(err)
	}
	if cloud.Format(after) != before || cloud.Format(s) != before {
		t.Errorf("removing and adding a rule changed the policy:\n%s\n%s", cloud.Format(after), cloud.Format(s))
	}
}

// changed parses a policy with old replaced by new.
func changed(t *testing.T, text, old, new string) *policy.Snapshot {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("no %q", old)
	}
	return parse(t, strings.ReplaceAll(text, old, new))
}

const filtered = `
interface eni-1 10.0.0.5 sg-app subnet=subnet-1
subnet subnet-1 10.0.0.0/24
group sg-app
  in ingress tcp 443 from 10.0.0.0/8
  out egress udp 53 to 10.0.0.0/8
acl acl-1 subnet=subnet-1
  100 ingress allow tcp 443 from 0.0.0.0/0
  110 ingress allow udp 1024-65535 from 0.0.0.0/0
  120 ingress deny tcp 23 from 0.0.0.0/0
  130 ingress allow tcp 1-1023 from 172.16.0.0/12
  140 ingress deny tcp 25 from 0.0.0.0/0
  100 egress allow all to 0.0.0.0/0
`

func TestCertifyNamesWhatBreaks(t *testing.T) {
	flows := `
eni-1 10.4.4.4 10.0.0.5 49152 443 6 ACCEPT 2
eni-1 10.0.0.5 10.4.4.4 443 49152 6 ACCEPT 18
eni-1 10.0.0.5 10.4.4.5 50000 53 17 ACCEPT -
eni-1 10.4.4.5 10.0.0.5 53 50000 17 ACCEPT -
eni-1 10.4.4.6 10.0.0.5 50000 80 6 REJECT 2
`
	s := parse(t, filtered)
	res := replay(t, s, records(t, flows))
	for _, tc := range []struct {
		name, old, new  string
		denied, allowed uint64
		witness         string
	}{
		{"nothing", "tcp 443 from 10.0.0.0/8", "tcp 443 from 10.0.0.0/8", 0, 0, ""},
		{"a peer is lost", "  in ingress tcp 443 from 10.0.0.0/8", "  new ingress tcp 443 from 10.4.4.5/32", 2, 0,
			"eni-1 ingress tcp 10.4.4.4 -> 10.0.0.5:443: allow before, deny after (connection of 1 records)"},
		{"replies are lost", "  110 ingress allow udp 1024-65535 from 0.0.0.0/0\n", "", 1, 0,
			"eni-1 ingress udp 10.4.4.5:53 -> 10.0.0.5:50000: allow before, deny after (reply of 1 records)"},
		{"a rule opens what was rejected", "  in ingress tcp 443 from 10.0.0.0/8", "  new ingress tcp 80-443 from 10.0.0.0/8", 0, 1,
			"rule sg-app/new (ingress tcp 80-443 10.0.0.0/8) admits more than the old rules of its interfaces"},
		{"a deny line goes", "  120 ingress deny tcp 23 from 0.0.0.0/0\n", "", 0, 1, "line acl-1/ingress-120, which does not allow, is gone"},
		{"a deny line goes that only repeats the default", "  140 ingress deny tcp 25 from 0.0.0.0/0\n", "", 0, 0, ""},
		{"a line is added that other lines outdo", "  140 ingress deny", "  135 ingress allow tcp 80 from 172.16.1.0/24\n  140 ingress deny", 0, 0, ""},
		{"a line is added", "  120 ingress deny", "  115 ingress allow tcp 80 from 0.0.0.0/0\n  120 ingress deny", 0, 1, "line acl-1/ingress-115 is new or changed"},
	} {
		p, err := plan.Certify(context.Background(), res, changed(t, filtered, tc.old, tc.new))
		if err != nil {
			t.Fatal(err)
		}
		if p.NewlyDenied != tc.denied || p.NewlyAllowed != tc.allowed || p.Witness != tc.witness || p.Records != 5 || p.Tuples != 3 {
			t.Errorf("%s: %+v", tc.name, p)
		}
		if p.Holds() != (tc.witness == "") {
			t.Errorf("%s: holds = %v", tc.name, p.Holds())
		}
	}
}

func TestCertifyNeedsTheConnections(t *testing.T) {
	s := parse(t, web)
	if _, err := plan.Certify(context.Background(), &engine.Result{Snapshot: s}, s); err == nil {
		t.Error("no error without connections")
	}
}

// The labels follow what is still to come: a steady peer, a new peer every week.
func TestConfidenceFollowsTheBacktest(t *testing.T) {
	text := `
interface eni-1 10.0.0.5 sg-a
interface eni-2 10.0.0.6 sg-b
group sg-a
  steady ingress tcp 443 from 10.0.0.0/8
group sg-b
  moving ingress tcp 443 from 10.0.0.0/8
`
	var b strings.Builder
	for day := range 42 {
		writeFlow(&b, "eni-1 10.1.0.1 10.0.0.5", day)
		writeFlow(&b, "eni-2 10."+strconv.Itoa(day)+".0.1 10.0.0.6", day)
	}
	s := parse(t, text)
	p := made(t, plan.Input{Result: replay(t, s, records(t, b.String())), Mode: plan.ModeTighten, Evidence: enough(s)})
	want := map[string]plan.Confidence{"steady": plan.High, "moving": plan.Low}
	for _, e := range p.Edits {
		if e.Confidence != want[e.Rule.Rule] {
			t.Errorf("%s is %s, want %s", e.Rule, e.Confidence, want[e.Rule.Rule])
		}
	}
	if len(p.Edits) != 2 || p.Backtest.Days != 10 || p.Backtest.BlockedDays == 0 || p.Backtest.BlockedTuples == 0 || p.Backtest.ExpectedNewPeers7d < 3 {
		t.Errorf("%v %+v", lines(p.Edits), p.Backtest)
	}
}

func writeFlow(b *strings.Builder, ends string, day int) {
	b.WriteString(ends + " 49152 443 6 ACCEPT 2 " + strconv.Itoa(day) + "\n")
	f := strings.Fields(ends)
	b.WriteString(f[0] + " " + f[2] + " " + f[1] + " 443 49152 6 ACCEPT 18 " + strconv.Itoa(day) + "\n")
}

// Attempts that nobody answered are no ground to narrow a rule by with confidence.
func TestNarrowingToAttemptsIsOfLowConfidence(t *testing.T) {
	s := parse(t, "interface eni-1 10.0.0.5 sg-a\ngroup sg-a\n  ssh ingress tcp 22 from 10.0.0.0/8\n")
	var b strings.Builder
	for day := range 42 {
		b.WriteString("eni-1 10.1.0.1 10.0.0.5 49152 22 6 ACCEPT 2 " + strconv.Itoa(day) + "\n")
	}
	p := made(t, plan.Input{Result: replay(t, s, records(t, b.String())), Mode: plan.ModeTighten, Evidence: enough(s)})
	if len(p.Edits) != 1 || p.Edits[0].Confidence != plan.Low || !strings.Contains(p.Edits[0].Reason, "nobody ever answered") {
		t.Errorf("%+v", p.Edits)
	}
}

// The trade-off has the policy of today and the plan in it, as the plan itself measures
// them, and more rules never admit more.
func TestTradeoffHoldsTodayAndThePlan(t *testing.T) {
	s := parse(t, `
subnet subnet-1 10.0.0.0/24
interface eni-1 10.0.0.5 sg-1 subnet=subnet-1
group sg-1
  sgr-1 ingress tcp 1-9000 from 10.0.0.0/8
  sgr-2 ingress tcp 22 from 10.9.0.0/16
`)
	log := ""
	for _, peer := range []string{"10.1.2.3", "10.77.1.1", "10.200.4.4"} {
		for _, port := range []string{"80", "443", "8443"} {
			log += "eni-1 " + peer + " 10.0.0.5 49152 " + port + " 6 ACCEPT 2\n"
		}
	}
	p := made(t, plan.Input{Result: replay(t, s, records(t, log)), Mode: plan.ModeTighten, Evidence: enough(s)})
	var today, planned, last *plan.Tradeoff
	for i := range p.Tradeoff {
		x := &p.Tradeoff[i]
		switch x.Kind {
		case plan.Today:
			today = x
		case plan.Planned:
			planned = x
		case plan.Option:
			if last != nil && (x.Rules < last.Rules || len(x.Families[0]) > len(last.Families[0]) || len(x.Families[0]) == len(last.Families[0]) && x.Families[0] > last.Families[0]) {
				t.Errorf("%+v after %+v", x, last)
			}
			last = x
		}
	}
	if today == nil || planned == nil || last == nil {
		t.Fatalf("%+v", p.Tradeoff)
	}
	if today.Rules != 2 || today.Families[0] != p.Exposure.Before || planned.Families[0] != p.Exposure.After || last.Rules < 3 {
		t.Errorf("%+v of %+v", p.Tradeoff, p.Exposure)
	}
	if p := made(t, plan.Input{Result: replay(t, s, records(t, log)), Mode: plan.ModeNone}); p.Tradeoff != nil {
		t.Errorf("without a plan: %+v", p.Tradeoff)
	}
}
