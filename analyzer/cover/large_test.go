package cover

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// traffic returns n points of ports services between 20 subnets, each of which uses
// about a quarter of the services, and a little of the others.
func traffic(n, ports int) []Point {
	rng := rand.New(rand.NewPCG(42, uint64(n)))
	points := make([]Point, n)
	for i := range points {
		subnet := rng.IntN(20)
		p := (subnet*7 + rng.IntN(max(1, ports/4))) % ports
		if rng.IntN(50) == 0 {
			p = rng.IntN(ports)
		}
		host := 10<<24 | uint32(subnet)*7919<<10&0xffffff | rng.Uint32N(1<<14)
		points[i] = Point{Addr: flow.Addr4(host), Services: netset.Point(flow.TCP, uint16(8000+13*p))}
	}
	return points
}

// Inputs that are rolled up first still are covered whole, inside the bound.
func TestRolledUpInputsAreCovered(t *testing.T) {
	box := func(prefix string, first, last uint16) netset.Box {
		return netset.Box{Services: netset.ServiceOf(flow.TCP, netset.PortRange{First: first, Last: last}), Addrs: netset.AddrsOf(pfx(prefix))}
	}
	halves := []netset.Box{box("10.0.0.0/9", 8000, 8100), box("10.0.0.0/9", 8050, 65535), box("10.128.0.0/9", 1, 65535)}
	for _, c := range []struct {
		name   string
		points []Point
		budget int
		opt    Options
		atMost float64 // of the exposure of one box, at the last of the budget
	}{
		{"one service", traffic(150000, 1), 30, Options{}, 0.02},
		{"many services", traffic(20000, 300), 20, Options{}, 0.2},
		{"many atoms", traffic(20000, 12), 20, Options{}, 0.02},
		{"bound of several boxes", traffic(5000, 20), 20, Options{Inside: halves}, 0.1},
		{"subnets", traffic(5000, 12), 20, Options{Named: []netip.Prefix{pfx("10.0.0.0/18"), pfx("10.124.0.0/18")}}, 0.02},
	} {
		t.Run(c.name, func(t *testing.T) {
			sols := Solve(c.points, c.budget, c.opt)
			if len(sols) != c.budget {
				t.Fatalf("%d solutions", len(sols))
			}
			checkSolutions(t, c.points, c.budget, c.opt, sols)
			last := sols[len(sols)-1]
			if r := netset.Ratio(last.Exposure, sols[0].Exposure); len(sols[0].Boxes) > 0 && r > c.atMost {
				t.Errorf("%d boxes expose %.4f of what one does", len(last.Boxes), r)
			}
			if last.Optimal {
				t.Error("an input that was rolled up is marked optimal")
			}
		})
	}
}

func TestLargeInputsDoNotDependOnOrder(t *testing.T) {
	points := traffic(3000, 8)
	sols := Solve(points, 8, Options{})
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
	if again := Solve(points, 8, Options{}); !reflect.DeepEqual(sols, again) {
		t.Error("the result depends on the order of points")
	}
}

// benchPoints adds a size to BenchmarkSolve, such as 10000000.
var benchPoints = flag.Int("points", 0, "a further number of points in BenchmarkSolve")

func BenchmarkSolve(b *testing.B) {
	cases := []struct{ points, ports, budget int }{{100, 1, 10}, {100, 4, 10}, {3000, 10, 20}, {300000, 30, 60}, {1000000, 1, 60}, {1000000, 40, 60}}
	if n := *benchPoints; n > 0 {
		cases = append(cases, cases[4], cases[5])
		cases[len(cases)-2].points, cases[len(cases)-1].points = n, n
	}
	for _, c := range cases {
		points := traffic(c.points, c.ports)
		b.Run(fmt.Sprintf("%d points %d services budget %d", c.points, c.ports, c.budget), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Solve(points, c.budget, Options{})
			}
			b.ReportMetric(float64(c.points)*float64(b.N)/b.Elapsed().Seconds(), "points/s")
		})
	}
}
