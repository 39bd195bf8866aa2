package classify

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// groupPath returns an ingress path of one group stage with n rules, of which a
// fifth name lists of 20 addresses, as the groups of an interface have them.
func groupPath(rng *rand.Rand, n int) []policy.Stage {
	ports := []uint16{22, 53, 80, 443, 3306, 5432, 6379, 8080, 8443, 9092, 9200, 27017}
	st := policy.Stage{Name: "sg", Stateful: true, DefaultRef: policy.Ref{Owner: policy.ImplicitOwner, Rule: "default:sg:ingress"}, Tiers: make([]policy.Tier, 1)}
	for i := range n {
		var peer policy.AddrSet
		switch k := rng.IntN(10); {
		case k < 2:
			for range 20 {
				peer.Prefixes = append(peer.Prefixes, netip.PrefixFrom(host(rng), 32))
			}
		case k < 3:
			peer.Prefixes = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		case k < 4:
			peer.Prefixes = policy.AnyAddr.Prefixes[:1]
		default:
			peer.Prefixes = []netip.Prefix{netip.PrefixFrom(host(rng), 16+rng.IntN(13)).Masked()}
		}
		r := netset.Port(ports[rng.IntN(len(ports))])
		if rng.IntN(10) == 0 {
			r.First = uint16(1024 + rng.IntN(20000))
			r.Last = r.First + uint16(rng.IntN(2000))
		}
		protos := policy.OneProto(flow.TCP)
		if rng.IntN(5) == 0 {
			protos = policy.OneProto(flow.UDP)
		}
		st.Tiers[0].Rules = append(st.Tiers[0].Rules, policy.Rule{Ref: policy.Ref{Owner: "sg-1", Rule: fmt.Sprint("sgr-", i)}, Direction: flow.Ingress,
			Action: policy.Allow, Match: []policy.Match{policy.NewMatch(flow.Ingress, protos, r, policy.AnyICMP, peer)}})
	}
	return []policy.Stage{st}
}

// host draws an address of a network of 16 subnets.
func host(rng *rand.Rand) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 20, byte(rng.IntN(16)), byte(rng.IntN(256))})
}

// groupKeys returns keys with ports of the rules, most of them few; clustered ones
// are in the order in which replay sees them.
func groupKeys(rng *rand.Rand, path []policy.Stage, n int, clustered bool) []Key {
	rules := path[0].Tiers[0].Rules
	keys := make([]Key, n)
	for i := range keys {
		m := &rules[min(rng.IntN(len(rules)), rng.IntN(len(rules)))].Match[0]
		p, _ := m.Protos.Single()
		keys[i] = Key{Proto: p, Local: flow.AddrFrom(netip.MustParseAddr("10.20.0.9")), Remote: flow.AddrFrom(host(rng)), LocalPort: m.LocalPorts.First, RemotePort: uint16(rng.Uint32())}
	}
	if clustered {
		slices.SortFunc(keys, func(a, b Key) int {
			if a.Proto != b.Proto {
				return int(a.Proto) - int(b.Proto)
			}
			if a.LocalPort != b.LocalPort {
				return int(a.LocalPort) - int(b.LocalPort)
			}
			return a.Remote.Compare(b.Remote)
		})
	}
	return keys
}

var sizes = []int{60, 300, 1000}

func BenchmarkDecide(b *testing.B) {
	for _, n := range sizes {
		for _, order := range []string{"clustered", "random"} {
			b.Run(fmt.Sprintf("rules=%d/%s", n, order), func(b *testing.B) {
				rng := rand.New(rand.NewPCG(1, 2))
				path := groupPath(rng, n)
				keys := groupKeys(rng, path, 1<<16, order == "clustered")
				table := Compile(path, func(policy.Ref) (int32, bool) { return 0, true })
				var out Outcome
				hits, i := 0, 0
				b.ReportAllocs()
				for b.Loop() {
					table.Decide(&keys[i&(1<<16-1)], &out)
					hits += len(out.Stages[0].Winners)
					i++
				}
				b.ReportMetric(float64(hits)/float64(i), "hits/op")
			})
		}
	}
}

// BenchmarkLinear is the linear scan that a table replaces.
func BenchmarkLinear(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			path := groupPath(rng, n)
			keys := groupKeys(rng, path, 1<<12, true)
			i := 0
			for b.Loop() {
				k := &keys[i&(1<<12-1)]
				policy.Decide(path, &policy.Conn{Direction: flow.Ingress, Proto: k.Proto, Local: k.Local.Netip(), Remote: k.Remote.Netip(),
					LocalPort: k.LocalPort, RemotePort: k.RemotePort, ICMP: policy.AnyICMP})
				i++
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			path := groupPath(rand.New(rand.NewPCG(1, 2)), n)
			b.ReportAllocs()
			var t *Table
			for b.Loop() {
				t = Compile(path, func(policy.Ref) (int32, bool) { return 0, true })
			}
			s := &t.stages[0]
			b.ReportMetric(float64(8*len(s.pool)+8*len(s.remote.in4)+24*len(s.remote.in6))/1024, "KiB/table")
		})
	}
}
