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
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

var (
	benchConnections = flag.Int("connections", 100_000, "connections in benchmarks")
	benchInterfaces  = flag.Int("interfaces", 500, "interfaces in benchmarks")
)

// estate is interfaces with five groups each of 60 rules, and their traffic: most of it
// from private clients, to a few services.
func estate(b testing.TB, interfaces, connections int) *engine.Result {
	rng := rand.New(rand.NewPCG(42, 42))
	groups := interfaces / 2
	var p strings.Builder
	for e := range interfaces {
		fmt.Fprintf(&p, "interface eni-%04d 10.0.%d.%d subnet=subnet-%d", e, e/200, e%200+10, e/200)
		for k := range 5 {
			fmt.Fprintf(&p, " sg-%04d", (e/2*3+k*17+k*k)%groups)
		}
		p.WriteString("\n")
	}
	for s := range interfaces/200 + 1 {
		fmt.Fprintf(&p, "subnet subnet-%d 10.0.%d.0/24\n", s, s)
	}
	ports := []int{22, 80, 443, 3306, 5432, 6379, 8080, 8443, 9090, 9200}
	for g := range groups {
		fmt.Fprintf(&p, "group sg-%04d\n", g)
		for r := range 60 {
			port := ports[rng.IntN(len(ports))]
			ranged := fmt.Sprint(port)
			if rng.IntN(4) == 0 {
				ranged = fmt.Sprintf("%d-%d", port, port+rng.IntN(100))
			}
			peer := fmt.Sprintf("10.%d.%d.0/%d", rng.IntN(64), rng.IntN(256), 16+rng.IntN(9))
			switch rng.IntN(20) {
			case 0:
				peer = "10.0.0.0/8"
			case 1:
				peer = "0.0.0.0/0"
			case 2:
				peer = fmt.Sprintf("sg-%04d", rng.IntN(groups))
			}
			fmt.Fprintf(&p, "  r%d ingress tcp %s from %s\n", r, ranged, prefix(peer))
		}
	}
	s := parse(b, p.String())
	recs := make([]flow.Record, connections)
	for i := range recs {
		f := &s.Interfaces[rng.IntN(len(s.Interfaces))]
		src := netip.AddrFrom4([4]byte{10, byte(rng.IntN(64)), byte(rng.IntN(256)), byte(rng.IntN(256))})
		if rng.IntN(50) == 0 {
			src = netip.AddrFrom4([4]byte{52, byte(rng.IntN(4)), byte(rng.IntN(256)), byte(rng.IntN(256))})
		}
		recs[i] = flow.Record{Interface: f.ID, Src: src, Dst: f.Addresses[0], SrcPort: uint16(32768 + rng.IntN(20000)),
			DstPort: uint16(ports[rng.IntN(len(ports))]), Proto: flow.TCP, Flags: flow.FlagsKnown | flow.SYN, Packets: 5, Bytes: 500,
			Action: flow.Accept, Start: day0 + int64(rng.IntN(42*86400))}
		recs[i].End = recs[i].Start + 60
	}
	res, err := engine.Replay(context.Background(), store.FromRecords(engine.StoreConfig(s), recs), s, 2)
	if err != nil {
		b.Fatal(err)
	}
	return res
}

func prefix(p string) string {
	if n, err := netip.ParsePrefix(p); err == nil {
		return n.Masked().String()
	}
	return p
}

func BenchmarkMake(b *testing.B) {
	res := estate(b, *benchInterfaces, *benchConnections)
	for _, mode := range []plan.Mode{plan.ModeTidy, plan.ModeTighten} {
		b.Run(string(mode), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p, err := plan.Make(context.Background(), plan.Input{Result: res, Mode: mode, Evidence: enough(res.Snapshot)})
				if err != nil || len(p.Edits) == 0 {
					b.Fatal(err, p.Declined)
				}
				b.ReportMetric(float64(len(p.Edits)), "edits")
			}
			b.ReportMetric(float64(res.Connections.Len()*b.N)/b.Elapsed().Seconds(), "connections/s")
		})
	}
}

// ordered turns an estate's policy into one of ordered lists: ten ranks, one rule in ten
// denies, egress is open, members talk to one another.
func ordered(b testing.TB, res *engine.Result) *engine.Result {
	var p strings.Builder
	n := 0
	for line := range strings.Lines("platform none groups-deny admitted=100.64.0.0/10\n" + cloud.Format(res.Snapshot)) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "group "):
			line += " egress-open intra"
		case strings.HasPrefix(line, "  r"):
			if n++; n%10 == 0 {
				line = strings.Replace(line, "ingress ", "ingress deny ", 1)
			}
			line += fmt.Sprintf(" priority=%d", 1+n%7)
		case strings.HasPrefix(line, "platform ") && n == 0 && !strings.Contains(line, "groups-deny"):
			continue
		}
		p.WriteString(line + "\n")
	}
	s := parse(b, p.String())
	out, err := engine.Replay(context.Background(), res.Store, s, 2)
	if err != nil {
		b.Fatal(err)
	}
	return out
}

func BenchmarkMakeOrdered(b *testing.B) {
	res := ordered(b, estate(b, *benchInterfaces, *benchConnections))
	for _, mode := range []plan.Mode{plan.ModeTidy, plan.ModeTighten} {
		b.Run(string(mode), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p, err := plan.Make(context.Background(), plan.Input{Result: res, Mode: mode, Evidence: enough(res.Snapshot)})
				if err != nil || len(p.Edits) == 0 {
					b.Fatal(err, p.Declined)
				}
				b.ReportMetric(float64(len(p.Edits)), "edits")
			}
		})
	}
}

func BenchmarkCertify(b *testing.B) {
	res := estate(b, *benchInterfaces, *benchConnections)
	p, err := plan.Make(context.Background(), plan.Input{Result: res, Mode: plan.ModeTighten, Evidence: enough(res.Snapshot)})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := plan.Certify(context.Background(), res, p.Planned); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(res.Connections.Len()*b.N)/b.Elapsed().Seconds(), "connections/s")
}
