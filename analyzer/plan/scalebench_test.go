package plan_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// At the size that docs/performance.md names:
//
//	go test ./analyzer/plan -run '^$' -bench 'JointRemoval|Certify' -benchtime 1x -rules 10000 -connections 10000000
var benchRules = flag.Int("rules", 1000, "rules in BenchmarkJointRemoval")

// BenchmarkJointRemoval finds the rules that can go together: all rules are in ten groups
// that an interface carries, and most say what others say.
func BenchmarkJointRemoval(b *testing.B) {
	rng := rand.New(rand.NewPCG(42, 43))
	var p strings.Builder
	p.WriteString("interface eni-1 10.0.0.10 subnet=subnet-1")
	for g := range 10 {
		fmt.Fprintf(&p, " sg-%d", g)
	}
	p.WriteString("\nsubnet subnet-1 10.0.0.0/24\n")
	ports := []int{22, 53, 80, 443, 1433, 3306, 5432, 6379, 8080, 8443, 9092, 9200, 27017}
	for g := range 10 {
		fmt.Fprintf(&p, "group sg-%d\n", g)
		for r := range *benchRules / 10 {
			port := fmt.Sprint(ports[rng.IntN(len(ports))])
			if rng.IntN(5) == 0 {
				first := 1024 + rng.IntN(60000)
				port = fmt.Sprintf("%d-%d", first, first+rng.IntN(1000))
			}
			peer := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(rng.IntN(16)), byte(rng.IntN(256)), byte(rng.IntN(256))}), 16+rng.IntN(17)).Masked()
			fmt.Fprintf(&p, "  r%d ingress tcp %s from %s\n", r, port, peer)
		}
	}
	s := parse(b, p.String())
	recs := make([]flow.Record, *benchConnections)
	for i := range recs {
		src := netip.AddrFrom4([4]byte{10, byte(rng.IntN(16)), byte(rng.IntN(256)), byte(rng.IntN(256))})
		recs[i] = flow.Record{Interface: "eni-1", Src: src, Dst: s.Interfaces[0].Addresses[0], SrcPort: uint16(32768 + rng.IntN(20000)),
			DstPort: uint16(ports[rng.IntN(len(ports))]), Proto: flow.TCP, Flags: flow.FlagsKnown | flow.SYN, Packets: 5, Bytes: 500,
			Action: flow.Accept, Start: day0 + int64(rng.IntN(42*86400))}
		recs[i].End = recs[i].Start + 60
	}
	res, err := engine.Replay(context.Background(), store.FromRecords(engine.StoreConfig(s), recs), s, 2)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		p, err := plan.Make(context.Background(), plan.Input{Result: res, Mode: plan.ModeTidy, Evidence: enough(s)})
		if err != nil || len(p.Edits) == 0 {
			b.Fatal(err, p.Declined)
		}
		b.ReportMetric(float64(len(p.Edits)), "edits")
	}
}
