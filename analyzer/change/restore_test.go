package change_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/analyzer/change"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

func refs(rules []policy.Rule) (out []string) {
	for _, r := range rules {
		out = append(out, r.Ref.String())
	}
	return out
}

func TestLostRulesAreThoseThatAllowedAndAreNotAsTheyWere(t *testing.T) {
	old := parse(t, before)
	for _, c := range []struct {
		text string
		want []string
	}{
		{before, nil},
		{strings.Replace(before, "  ssh ingress tcp 22 from 10.1.0.0/16\n", "", 1), []string{"sg-a/ssh"}},
		{strings.Replace(before, "10.1.0.0/16", "10.1.2.0/24", 1), []string{"sg-a/ssh"}},
		{strings.Replace(before, "tcp 443", "tcp 442-443", 1), []string{"sg-a/web"}},
		{strings.Replace(before, "10.0.0.0/8", `10.0.0.0/8 "shop"`, 1), nil},
		{strings.ReplaceAll(before, "sg-a", "sg-b"), []string{"sg-a/out", "sg-a/ssh", "sg-a/web"}},
		{before + "  more ingress tcp 80 from any\n", nil},
	} {
		got := refs(change.Lost(old, parse(t, c.text)))
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("with the policy\n%slost are %v, want %v", c.text, got, c.want)
		}
	}
}

func TestARestoredPolicyIsTheOldOneAgain(t *testing.T) {
	old := parse(t, before)
	for _, text := range []string{
		strings.Replace(before, "  ssh ingress tcp 22 from 10.1.0.0/16\n", "", 1),
		strings.NewReplacer("10.1.0.0/16", "10.1.2.0/24", "10.0.0.0/8", "10.9.0.0/16").Replace(before),
	} {
		now := parse(t, text)
		was := fmt.Sprint(refs(rulesOf(now)))
		back, without, err := change.Restore(now, change.Lost(old, now))
		if err != nil || len(without) > 0 {
			t.Fatalf("%v, without %v", err, without)
		}
		if lost := change.Lost(old, back); len(lost) > 0 {
			t.Errorf("lost after all: %v", refs(lost))
		}
		if out := compare(t, old, back, nil, 1); len(out.Paths) > 0 {
			t.Errorf("the paths differ: %+v", out.Paths)
		}
		if is := fmt.Sprint(refs(rulesOf(now))); is != was {
			t.Errorf("the policy was changed: %s, was %s", is, was)
		}
	}
}

func TestLinesOfNetworkACLsComeBack(t *testing.T) {
	const with = `interface eni-1 10.0.0.5 sg-a subnet=subnet-1
group sg-a
  all ingress all from any
acl acl-1 subnets=subnet-1
  100 ingress allow tcp 443 from 0.0.0.0/0
  110 ingress allow tcp 22 from 10.0.0.0/8
  100 egress allow all to 0.0.0.0/0
subnet subnet-1 10.0.0.0/24
`
	old := parse(t, with)
	now := parse(t, strings.Replace(with, "  110 ingress allow tcp 22 from 10.0.0.0/8\n", "", 1))
	lost := change.Lost(old, now)
	back, without, err := change.Restore(now, lost)
	if err != nil || len(without) > 0 || fmt.Sprint(refs(lost)) != "[acl-1/ingress-110]" {
		t.Fatalf("lost %v, without %v, %v", refs(lost), without, err)
	}
	out := compare(t, now, back, []flow.Record{
		syn("eni-1", "10.1.0.9", "10.0.0.5", 40000, 22, flow.Ingress, flow.Reject),
		syn("eni-1", "11.1.0.9", "10.0.0.5", 40000, 22, flow.Ingress, flow.Reject),
	}, 1)
	if len(out.Opened) != 1 || !slices.Contains(out.Opened[0].Through, lost[0].Ref) {
		t.Errorf("opened again: %+v", out.Opened)
	}
}

func rulesOf(s *policy.Snapshot) (out []policy.Rule) {
	for _, r := range s.Rules() {
		out = append(out, *r)
	}
	return out
}

func TestRulesOfGroupsThatAreGoneStayAway(t *testing.T) {
	old := parse(t, before)
	now := parse(t, strings.ReplaceAll(before, "sg-a", "sg-b"))
	back, without, err := change.Restore(now, change.Lost(old, now))
	if err != nil || len(without) != 3 || len(back.Rules()) != len(now.Rules()) {
		t.Errorf("%v, without %v, %d rules of %d", err, without, len(back.Rules()), len(now.Rules()))
	}
}

// TestWhatARuleWouldHaveAllowedIsTracedToIt is the question that Restore is for.
func TestWhatARuleWouldHaveAllowedIsTracedToIt(t *testing.T) {
	old := parse(t, before)
	now := parse(t, strings.NewReplacer("  ssh ingress tcp 22 from 10.1.0.0/16\n", "", "443 from 10.0.0.0/8", "443 from 10.2.0.0/16").Replace(before))
	back, _, err := change.Restore(now, change.Lost(old, now))
	if err != nil {
		t.Fatal(err)
	}
	out := compare(t, now, back, []flow.Record{
		syn("eni-1", "10.1.0.9", "10.0.0.5", 40000, 22, flow.Ingress, flow.Reject),
		syn("eni-1", "10.3.0.9", "10.0.0.5", 40000, 443, flow.Ingress, flow.Reject),
		syn("eni-1", "10.3.0.9", "10.0.0.5", 40000, 80, flow.Ingress, flow.Reject), // was never allowed
		syn("eni-1", "10.2.0.9", "10.0.0.5", 40000, 443, flow.Ingress, flow.Accept),
	}, 1)
	var got []string
	for _, c := range out.Opened {
		got = append(got, fmt.Sprintf("%s %s:%d %v", c.Action, c.Remote, c.Port, c.Through))
	}
	want := []string{"REJECT 10.1.0.9:22 [sg-a/ssh]", "REJECT 10.3.0.9:443 [sg-a/web]"}
	if !slices.Equal(got, want) {
		t.Errorf("opened again: %v, want %v", got, want)
	}
}
