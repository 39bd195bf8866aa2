package classify_test

import (
	"fmt"
	"net/netip"

	"github.com/sgadvise/sgadvise/engine/classify"
	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// One interface, one security group: HTTPS from anywhere, and once more from the
// office.
func Example() {
	https := func(id, peer string) policy.Rule {
		m := policy.NewMatch(flow.Ingress, policy.OneProto(flow.TCP), netset.Port(443), policy.AnyICMP,
			policy.AddrSet{Prefixes: []netip.Prefix{netip.MustParsePrefix(peer)}})
		return policy.Rule{Ref: policy.Ref{Owner: "sg-web", Rule: id}, Direction: flow.Ingress, Action: policy.Allow, Match: []policy.Match{m}}
	}
	rules := []policy.Rule{https("anywhere", "0.0.0.0/0"), https("office", "203.0.113.0/24")}
	path := []policy.Stage{{Name: "sg", Stateful: true, Tiers: []policy.Tier{{Rules: rules}}}}

	// The caller numbers the rules; the default has the number 2.
	names := []string{"anywhere", "office", "default"}
	table := classify.Compile(path, func(r policy.Ref) (int32, bool) {
		for i := range rules {
			if rules[i].Ref == r {
				return int32(i), true
			}
		}
		return 2, true
	})

	var out classify.Outcome
	for _, remote := range []string{"203.0.113.9", "198.51.100.1", "2001:db8::1"} {
		key := classify.Key{Proto: flow.TCP, Local: flow.AddrFrom(netip.MustParseAddr("10.0.0.5")),
			Remote: flow.AddrFrom(netip.MustParseAddr(remote)), LocalPort: 443, RemotePort: 50000}
		table.Decide(&key, &out)
		fmt.Print(remote, ": ", out.Verdict, " by")
		for _, id := range out.Stages[0].Winners {
			fmt.Print(" ", names[id])
		}
		fmt.Println(", decisive:", out.Stages[0].Decisive)
	}
	// Output:
	// 203.0.113.9: allow by anywhere office, decisive: false
	// 198.51.100.1: allow by anywhere, decisive: true
	// 2001:db8::1: deny by default, decisive: false
}
