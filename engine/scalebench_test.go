package engine_test

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/classify"
	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// At the size that docs/performance.md names:
//
//	go test ./engine -run '^$' -bench Scale -benchtime 1x -interfaces 100000 -groups 20000 -connections 2000000
var (
	scaleInterfaces  = flag.Int("interfaces", 5000, "interfaces in BenchmarkScale")
	scaleGroups      = flag.Int("groups", 1000, "groups in BenchmarkScale")
	scaleConnections = flag.Int("connections", 100_000, "connections in BenchmarkScale")
)

// scaleRules returns n rules of a group: some name everybody or all private addresses,
// one in five the hosts of a fleet, the others a network.
func scaleRules(rng *rand.Rand, owner string, n int) []policy.Rule {
	ports := []uint16{22, 53, 80, 443, 3306, 5432, 6379, 8080, 8443, 9092, 9200, 27017}
	rules := make([]policy.Rule, n)
	for i := range rules {
		var peer policy.AddrSet
		switch k := rng.IntN(20); {
		case k < 4:
			for range 20 {
				peer.Prefixes = append(peer.Prefixes, netip.PrefixFrom(scaleHost(rng), 32))
			}
		case k == 4:
			peer.Prefixes = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		case k == 5:
			peer.Prefixes = policy.AnyAddr.Prefixes[:1]
		default:
			peer.Prefixes = []netip.Prefix{netip.PrefixFrom(scaleHost(rng), 16+rng.IntN(13)).Masked()}
		}
		at := netset.Port(ports[rng.IntN(len(ports))])
		if rng.IntN(10) == 0 {
			at.First = uint16(1024 + rng.IntN(20000))
			at.Last = at.First + uint16(rng.IntN(2000))
		}
		proto := flow.TCP
		if rng.IntN(5) == 0 {
			proto = flow.UDP
		}
		rules[i] = policy.Rule{Ref: policy.Ref{Owner: owner, Rule: fmt.Sprint("sgr-", i)}, Direction: flow.Ingress, Action: policy.Allow,
			Match: []policy.Match{policy.NewMatch(flow.Ingress, policy.OneProto(proto), at, policy.AnyICMP, peer)}}
	}
	return rules
}

func scaleHost(rng *rand.Rand) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(20 + rng.IntN(2)), byte(rng.IntN(64)), byte(rng.IntN(256))})
}

// fleets returns a policy of fleets of interfaces, each fleet with one group of its own
// and up to two that many share, 60 rules each.
func fleets(b *testing.B, interfaces, groups int) *policy.Snapshot {
	rng := rand.New(rand.NewPCG(1, 2))
	s := &policy.Snapshot{Platforms: []policy.Platform{{ID: "aws"}}}
	for g := range groups {
		id := fmt.Sprintf("sg-%05d", g)
		s.Groups = append(s.Groups, policy.Group{ID: id, VPC: "vpc-1", Rules: scaleRules(rng, id, 60)})
	}
	common := max(1, groups/1000)
	size := max(1, interfaces/groups)
	for i := range interfaces {
		of := []string{s.Groups[i/size%groups].ID}
		for k := range i / size % 3 {
			if id := s.Groups[(i/size*7+k*31)%common].ID; !slices.Contains(of, id) {
				of = append(of, id)
			}
		}
		s.Interfaces = append(s.Interfaces, policy.Interface{ID: fmt.Sprintf("eni-%06d", i), VPC: "vpc-1", Platform: "aws", Groups: of,
			Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, byte(64 + i>>16), byte(i >> 8), byte(i)})}})
	}
	if err := s.Seal(); err != nil {
		b.Fatal(err)
	}
	return s
}

// fleetTraffic returns records of new connections, of which nine in ten are to a port
// that a rule of the interface has.
func fleetTraffic(s *policy.Snapshot, n int) []flow.Record {
	rng := rand.New(rand.NewPCG(3, 4))
	recs := make([]flow.Record, n)
	for i := range recs {
		f := &s.Interfaces[rng.IntN(len(s.Interfaces))]
		g, _ := s.Group(f.Groups[rng.IntN(len(f.Groups))])
		m := &g.Rules[min(rng.IntN(60), rng.IntN(60))].Match[0]
		proto, _ := m.Protos.Single()
		port := m.LocalPorts.First
		if rng.IntN(10) == 0 {
			port = uint16(rng.IntN(1 << 15))
		}
		flags := flow.TCPFlags(0)
		if proto == flow.TCP {
			flags = flow.FlagsKnown | flow.SYN
		}
		recs[i] = flow.Record{Interface: f.ID, Src: scaleHost(rng), Dst: f.Addresses[0], SrcPort: uint16(32768 + rng.IntN(28000)), DstPort: port,
			Proto: proto, Flags: flags, Direction: flow.Ingress, Action: flow.Accept, Packets: 5, Bytes: 500, Start: 1700000000 + int64(rng.IntN(86400))}
		recs[i].End = recs[i].Start + 60
	}
	return recs
}

// linear finds all rules of a path that match, one after the other.
func linear(path []policy.Stage, c *policy.Conn, hits []*policy.Rule) []*policy.Rule {
	for s := range path {
		for t := range path[s].Tiers {
			rules := path[s].Tiers[t].Rules
			for r := range rules {
				for m := range rules[r].Match {
					if rules[r].Match[m].Matches(c) != policy.No {
						hits = append(hits, &rules[r])
						break
					}
				}
			}
		}
	}
	return hits
}

// heldBy returns how many bytes of memory f leaves behind.
func heldBy(f func()) int64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f()
	runtime.GC()
	runtime.ReadMemStats(&after)
	return int64(after.HeapAlloc) - int64(before.HeapAlloc)
}

// storeOrder sorts keys as the rows of one interface are sorted.
func storeOrder(keys []classify.Key) {
	slices.SortFunc(keys, func(a, b classify.Key) int {
		return cmp.Or(cmp.Compare(a.Proto, b.Proto), cmp.Compare(a.LocalPort, b.LocalPort), a.Remote.Compare(b.Remote))
	})
}

// BenchmarkScaleTables compiles the rules of interfaces, one set of groups after the
// other, and matches the connections of those interfaces in the order of the store;
// beside it, all rules are tried one after the other.
func BenchmarkScaleTables(b *testing.B) {
	for _, c := range []struct {
		name                  string
		build                 func([]policy.Stage, func(policy.Ref) (int32, bool)) *classify.Table
		rules, sets, perTable int
	}{
		{"5 groups of 60 rules", classify.Compile, 300, 50, 2000},
		{"5 groups of 60 rules, tried", classify.Try, 300, 50, 2000},
		{"1,000 rules on an interface", classify.Compile, 1000, 10, 5000},
		{"1,000 rules on an interface, tried", classify.Try, 1000, 10, 5000},
	} {
		b.Run(c.name, func(b *testing.B) {
			rng := rand.New(rand.NewPCG(5, 6))
			paths := make([][]policy.Stage, c.sets)
			keys := make([][]classify.Key, c.sets)
			for i := range paths {
				rules := scaleRules(rng, "sg-1", c.rules)
				paths[i] = []policy.Stage{{Name: policy.GroupStage, Stateful: true, Tiers: []policy.Tier{{Rules: rules}}}}
				for range c.perTable {
					m := &rules[rng.IntN(len(rules))].Match[0]
					proto, _ := m.Protos.Single()
					keys[i] = append(keys[i], classify.Key{Proto: proto, Local: flow.Addr4(10 << 24), Remote: flow.AddrFrom(scaleHost(rng)),
						LocalPort: m.LocalPorts.First, RemotePort: uint16(rng.Uint32())})
				}
				storeOrder(keys[i])
			}
			tables := make([]*classify.Table, c.sets)
			compile := func() {
				for i := range paths {
					tables[i] = c.build(paths[i], func(policy.Ref) (int32, bool) { return 0, true })
				}
			}
			held := heldBy(compile)
			var built, matched, scanned time.Duration
			var out classify.Outcome
			var hits []*policy.Rule
			byTable, byScan := 0, 0
			for b.Loop() {
				start := time.Now()
				compile()
				built += time.Since(start)
				start = time.Now()
				for i, t := range tables {
					for k := range keys[i] {
						t.Decide(&keys[i][k], &out)
						if out.Verdict == policy.Allowed {
							byTable += len(out.Stages[0].Winners)
						}
					}
				}
				matched += time.Since(start)
				start = time.Now()
				for i := range paths {
					for k := range keys[i] {
						key := &keys[i][k]
						hits = linear(paths[i], &policy.Conn{Direction: flow.Ingress, Proto: key.Proto, Local: key.Local.Netip(), Remote: key.Remote.Netip(),
							LocalPort: key.LocalPort, RemotePort: key.RemotePort, ICMP: policy.AnyICMP}, hits[:0])
						byScan += len(hits)
					}
				}
				scanned += time.Since(start)
			}
			if byTable != byScan {
				b.Fatalf("the tables found %d rules, the scan %d", byTable, byScan)
			}
			n := float64(c.sets * c.perTable * b.N)
			b.ReportMetric(float64(matched.Nanoseconds())/n, "ns/connection")
			b.ReportMetric(float64(scanned.Nanoseconds())/n, "linear-ns/connection")
			b.ReportMetric(matched.Seconds()/scanned.Seconds(), "of-linear")
			b.ReportMetric(built.Seconds()*1e3/float64(c.sets*b.N), "ms/table")
			b.ReportMetric(float64(held)/1024/float64(c.sets), "KiB/table")
			runtime.KeepAlive(tables)
		})
	}
}

// BenchmarkScaleReplay replays the traffic of fleets, compiling and orienting included.
// The linear scan, which does neither, gets a sample of the connections, sorted by
// interface like those of the store.
func BenchmarkScaleReplay(b *testing.B) {
	s := fleets(b, *scaleInterfaces, *scaleGroups)
	recs := fleetTraffic(s, *scaleConnections)
	conns := store.FromRecords(engine.StoreConfig(s), recs)
	const sampled = 100_000
	sample := recs[:min(sampled, len(recs))]
	slices.SortFunc(sample, func(a, b flow.Record) int { return cmp.Compare(a.Interface, b.Interface) })
	paths := make(map[string][]policy.Stage)
	for i := range sample {
		f, _ := s.Interface(sample[i].Interface)
		if key := s.PathKey(f); paths[key] == nil {
			paths[key] = s.Path(f.ID, flow.Ingress)
		}
	}
	of := make([][]policy.Stage, len(sample))
	for i := range sample {
		f, _ := s.Interface(sample[i].Interface)
		of[i] = paths[s.PathKey(f)]
	}
	var replayed, scanned time.Duration
	var held int64
	var hits []*policy.Rule
	for b.Loop() {
		var res *engine.Result
		var err error
		held = heldBy(func() {
			start := time.Now()
			res, err = engine.Replay(context.Background(), conns, s, runtime.GOMAXPROCS(0))
			replayed += time.Since(start)
		})
		if err != nil || res.Connections.Len() == 0 {
			b.Fatal(err, conns.Len())
		}
		start := time.Now()
		for i := range sample {
			r := &sample[i]
			hits = linear(of[i], &policy.Conn{Direction: flow.Ingress, Proto: r.Proto, Local: r.Dst, Remote: r.Src,
				LocalPort: r.DstPort, RemotePort: r.SrcPort, ICMP: policy.AnyICMP}, hits[:0])
		}
		scanned += time.Since(start)
		runtime.KeepAlive(res)
	}
	n := float64(conns.Len() * b.N)
	b.ReportMetric(float64(replayed.Nanoseconds())/n, "ns/connection")
	b.ReportMetric(float64(scanned.Nanoseconds())/float64(len(sample)*b.N), "linear-ns/connection")
	b.ReportMetric(float64(held)/float64(conns.Len()), "B/connection")
	b.ReportMetric(float64(conns.Len()), "connections")
}
