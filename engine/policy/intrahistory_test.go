package policy_test

import (
	"net/netip"
	"testing"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// The hidden rule of members is on the paths of the past as on those of the present: for
// the members of then, and not for those that came later.
func TestHiddenRuleIsForTheMembersOfThen(t *testing.T) {
	s, err := cloud.ParseText("policy", []byte(`platform none
interface eni-1 10.0.0.1 sg-1
interface eni-2 10.0.0.2 sg-1
interface eni-3 10.0.0.3 sg-1
group sg-1 intra
`))
	if err != nil {
		t.Fatal(err)
	}
	now, _ := s.Interface("eni-3")
	before := *now
	before.Groups = nil
	h := policy.NewHistory(policy.Past{Present: s, Interfaces: map[string][]policy.Version[policy.Interface]{
		"eni-3": {{From: policy.Ever, Old: &before, New: &before}, {From: 1000, Old: now, New: now}},
	}})
	if cuts := h.Cuts("eni-1"); len(cuts) != 1 || cuts[0] != 1000 {
		t.Fatalf("cuts of eni-1 %v, want one at 1000", cuts)
	}
	ask := func(era int, remote string) policy.Verdict {
		paths := h.Paths("eni-1", era)
		if len(paths) != 1 {
			t.Fatalf("era %d: %d paths", era, len(paths))
		}
		return policy.Decide(paths[0][0], &policy.Conn{Direction: flow.Ingress, Proto: flow.TCP, Local: netip.MustParseAddr("10.0.0.1"),
			Remote: netip.MustParseAddr(remote), LocalPort: 22, RemotePort: 40000, ICMP: policy.AnyICMP}).Verdict
	}
	for _, c := range []struct {
		era    int
		remote string
		want   policy.Verdict
	}{
		{0, "10.0.0.2", policy.Allowed}, {0, "10.0.0.3", policy.Denied},
		{1, "10.0.0.2", policy.Allowed}, {1, "10.0.0.3", policy.Allowed},
	} {
		if got := ask(c.era, c.remote); got != c.want {
			t.Errorf("era %d, from %s: %s, want %s", c.era, c.remote, got, c.want)
		}
	}
}
