package space

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// At the size that docs/performance.md names:
//
//	go test ./engine/space -run '^$' -bench Redundant -benchtime 1x -rules 10000
var benchRules = flag.Int("rules", 2000, "rules of the largest list in BenchmarkRedundant")

// realistic returns rules as long-lived groups have them: few services, networks of all
// sizes, some for everybody, and many that say what others say. wide ones are nested
// networks and long ranges of ports, which nearly all meet one another.
func realistic(rng *rand.Rand, n int, everybody, wide bool) *policy.Stage {
	st := &policy.Stage{Name: policy.GroupStage, Stateful: true, Tiers: make([]policy.Tier, 1)}
	ports := []uint16{22, 53, 80, 443, 1433, 3306, 5432, 6379, 8080, 8443, 9092, 9200, 27017}
	for i := range n {
		host := netip.AddrFrom4([4]byte{10, byte(rng.IntN(16)), byte(rng.IntN(256)), byte(rng.IntN(256))})
		bits := 16 + rng.IntN(17)
		at := netset.Port(ports[rng.IntN(len(ports))])
		switch {
		case wide:
			bits = 8 + rng.IntN(17)
			at.First = uint16(rng.IntN(1 << 16))
			at.Last = max(at.First, uint16(rng.IntN(1<<16)))
		case rng.IntN(5) == 0:
			at.First = uint16(1024 + rng.IntN(60000))
			at.Last = at.First + uint16(rng.IntN(1000))
		}
		proto := policy.OneProto(flow.TCP)
		if rng.IntN(5) == 0 {
			proto = policy.OneProto(flow.UDP)
		}
		peer := netip.PrefixFrom(host, bits).Masked()
		if everybody && rng.IntN(50) == 0 {
			peer = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		}
		st.Tiers[0].Rules = append(st.Tiers[0].Rules, policy.Rule{Ref: policy.Ref{Owner: "sg-1", Rule: fmt.Sprint("r", i)}, Direction: flow.Ingress,
			Action: policy.Allow, Match: []policy.Match{policy.NewMatch(flow.Ingress, proto, at, policy.AnyICMP, policy.AddrSet{Prefixes: []netip.Prefix{peer}})}})
	}
	return st
}

// BenchmarkRedundant asks of every rule of a list whether the others make it needless.
func BenchmarkRedundant(b *testing.B) {
	for _, c := range []struct {
		name            string
		rules           int
		everybody, wide bool
	}{
		{"realistic", 60, true, false},
		{"realistic", 1000, true, false},
		{"realistic", *benchRules, true, false},
		{"without everybody", *benchRules, false, false},
		{"wide and nested", 1000, false, true},
	} {
		b.Run(fmt.Sprintf("%s/rules=%d", c.name, c.rules), func(b *testing.B) {
			l := Of(realistic(rand.New(rand.NewPCG(42, 42)), c.rules, c.everybody, c.wide))
			b.ReportAllocs()
			found := 0
			for b.Loop() {
				found = 0
				for i := range l.Lines {
					if l.Redundant(i, nil) != Needed {
						found++
					}
				}
			}
			b.ReportMetric(float64(found), "redundant")
			b.ReportMetric(b.Elapsed().Seconds()*1e6/float64(b.N*c.rules), "us/rule")
		})
	}
}
