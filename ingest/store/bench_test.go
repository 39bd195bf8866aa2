package store

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// shape is one kind of log: how many interfaces, services and clients speak.
type shape struct {
	name       string
	interfaces int
	peers      int     // size of the client pool
	skew       float64 // of the choice of client and edge; Zipf's s
	edges      int     // (interface, peer, service) triples of internal traffic
	internal   float64 // share of records that are of such an edge
	ipv6       float64 // share of clients with IPv6
	direction  bool    // whether the log states it
	bounds     int     // of the ports on each side of an interface, if it has its own
}

var shapes = []shape{
	{name: "mixed", interfaces: 500, peers: 3_000_000, skew: 1.08, edges: 30_000, internal: 0.69, ipv6: 0.03, direction: true},
	{name: "no-direction", interfaces: 500, peers: 3_000_000, skew: 1.08, edges: 30_000, internal: 0.69, ipv6: 0.03},
	{name: "many-bounds", interfaces: 500, peers: 3_000_000, skew: 1.08, edges: 30_000, internal: 0.69, ipv6: 0.03, bounds: 120},
	{name: "distinct", interfaces: 500, peers: 1 << 31, skew: 0, edges: 1, internal: 0, ipv6: 0, direction: true},
	{name: "ipv6", interfaces: 500, peers: 3_000_000, skew: 1.08, edges: 30_000, internal: 0.3, ipv6: 1, direction: true},
	{name: "one-interface", interfaces: 1, peers: 3_000_000, skew: 1.08, edges: 100, internal: 0.3, ipv6: 0, direction: true},
}

// batches makes n records of s, in full batches. Client ports are random, so
// that folding them matters.
func (s shape) batches(n int) []*Batch {
	rng := rand.New(rand.NewPCG(42, 42))
	services := []uint16{443, 80, 22, 53, 5432, 3306, 6379, 8080, 8443, 9090, 9100, 27017}
	own := func(i int) flow.Addr { return flow.Addr4(0x0a00_0004 + uint32(i)*7) }
	peer := func() uint64 { return rng.Uint64N(uint64(s.peers)) }
	edge := func() uint64 { return rng.Uint64N(uint64(s.edges)) }
	if s.skew > 0 {
		peer = rand.NewZipf(rng, s.skew, 1, uint64(s.peers-1)).Uint64
		edge = rand.NewZipf(rng, 1.05, 1, uint64(s.edges)).Uint64
	}
	var names []string
	for i := range s.interfaces {
		names = append(names, fmt.Sprintf("eni-%017x", i))
	}
	var out []*Batch
	for at := 0; at < n; at += BatchSize {
		b := &Batch{Names: names}
		b.Resize(min(BatchSize, n-at))
		for i := range b.Len() {
			var iface int
			var far flow.Addr
			var service uint16
			if rng.Float64() < s.internal {
				e := edge() * 0x9e3779b97f4a7c15 >> 20
				iface, far, service = int(e%uint64(s.interfaces)), own(int(e>>10%500)), services[e>>20%12]
			} else {
				p := peer() * 0x9e3779b97f4a7c15 >> 20
				iface, service = rng.IntN(min(50, s.interfaces)), services[p%2]
				far = flow.Addr4(uint32(p))
				if float64(p>>32&0xff) < s.ipv6*256 {
					far = flow.Addr{Hi: 0x2600_1f18_0000_0000 | p&0xffff, Lo: p}
				}
			}
			near, nearPort, farPort := own(iface), service, uint16(32768+rng.IntN(28232))
			if s.ipv6 > 0 && !far.Is4() {
				near = flow.Addr{Hi: 0x2600_1f18 << 32, Lo: near.Lo}
			}
			answer := rng.IntN(2) == 0
			b.Src[i], b.Dst[i], b.SrcPort[i], b.DstPort[i] = far, near, farPort, nearPort
			direction := flow.Ingress
			b.Flags[i] = flow.FlagsKnown | flow.SYN
			if answer {
				b.Src[i], b.Dst[i], b.SrcPort[i], b.DstPort[i] = near, far, nearPort, farPort
				direction = flow.Egress
				b.Flags[i] = flow.FlagsKnown | flow.SYN | flow.ACK
			}
			b.Interface[i] = uint32(iface)
			b.PktSrc[i], b.PktDst[i] = flow.Addr{}, flow.Addr{}
			b.Direction[i] = flow.DirectionUnknown
			if s.direction {
				b.Direction[i] = direction
			}
			b.Proto[i], b.Action[i], b.Status[i] = flow.TCP, flow.Accept, flow.StatusOK
			b.Packets[i], b.Bytes[i] = uint64(1+rng.IntN(50)), uint64(rng.IntN(100_000))
			b.Start[i] = 1_700_000_000 + int64(at+i)/100
			b.End[i] = b.Start[i] + 60
		}
		out = append(out, b)
	}
	return out
}

func (s shape) config() Config {
	cfg := Config{Workers: 2, Local: make(map[string][]flow.Addr), PortBounds: []uint16{22, 23, 80, 81, 443, 444, 1024, 32768, 61000}}
	rng := rand.New(rand.NewPCG(43, 43))
	ports := func() (bounds []uint16) {
		for range s.bounds {
			bounds = append(bounds, uint16(rng.Uint32()))
		}
		return bounds
	}
	if s.bounds > 0 {
		cfg.Ports = make(map[string]SideBounds)
	}
	for i := range s.interfaces {
		name := fmt.Sprintf("eni-%017x", i)
		cfg.Local[name] = []flow.Addr{
			flow.Addr4(0x0a00_0004 + uint32(i)*7), {Hi: 0x2600_1f18 << 32, Lo: 0xffff_0a00_0004 + uint64(i)*7},
		}
		if s.bounds > 0 {
			cfg.Ports[name] = SideBounds{Local: ports(), Remote: ports()}
		}
	}
	return cfg
}

var benchRecords = flag.Int("records", 2_000_000, "records that BenchmarkTally reduces")

// BenchmarkTally reduces records with two workers; the time of Finish is shown
// apart as well.
func BenchmarkTally(b *testing.B) {
	records := *benchRecords
	for _, s := range shapes {
		b.Run(s.name, func(b *testing.B) {
			batches := s.batches(records)
			cfg := s.config()
			b.ReportAllocs()
			var finish time.Duration
			var rows int
			for b.Loop() {
				tally := NewTally(cfg)
				var wg sync.WaitGroup
				for n := range cfg.Workers {
					w := tally.Worker()
					wg.Go(func() {
						for i := n; i < len(batches); i += cfg.Workers {
							w.Add(batches[i])
						}
					})
				}
				wg.Wait()
				t := time.Now()
				rows = tally.Finish().Len()
				finish += time.Since(t)
			}
			b.ReportMetric(float64(records*b.N)/b.Elapsed().Seconds(), "records/s")
			b.ReportMetric(float64(rows), "rows")
			b.ReportMetric(finish.Seconds()/float64(b.N)*1e3, "finish-ms")
			runtime.KeepAlive(batches)
		})
	}
}

// BenchmarkAddKnown adds records whose rows are all known, with one worker.
func BenchmarkAddKnown(b *testing.B) {
	batch := shapes[0].batches(BatchSize)[0]
	w := NewTally(shapes[0].config()).Worker()
	w.Add(batch)
	b.ReportAllocs()
	for b.Loop() {
		w.Add(batch)
	}
	b.ReportMetric(float64(BatchSize*b.N)/b.Elapsed().Seconds(), "records/s")
}
