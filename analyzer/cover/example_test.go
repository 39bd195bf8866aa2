package cover_test

import (
	"fmt"
	"net/netip"

	"github.com/sgadvise/sgadvise/analyzer/cover"
	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// A rule admits TCP from 10.0.0.0/8; seen were two web clients and a metrics
// collector. Each rule more exposes less.
func ExampleSolve() {
	seen := func(addr string, port uint16) cover.Point {
		return cover.Point{Addr: flow.AddrFrom(netip.MustParseAddr(addr)), Services: netset.Point(flow.TCP, port)}
	}
	points := []cover.Point{seen("10.0.1.4", 443), seen("10.0.1.7", 443), seen("10.9.0.20", 9100)}
	rule := netset.Box{
		Services: netset.ServiceOf(flow.TCP, netset.AllPorts),
		Addrs:    netset.AddrsOf(netip.MustParsePrefix("10.0.0.0/8")),
	}
	for _, s := range cover.Solve(points, 3, cover.Options{Inside: []netset.Box{rule}}) {
		fmt.Println(s.Exposure, s.Boxes)
	}
	fmt.Println("of", cover.Exposure([]netset.Box{rule}))
	// Output:
	// 9144631296 [tcp 443-9100 10.0.0.0/12]
	// 5 [tcp 443 10.0.1.4/30 tcp 9100 10.9.0.20/32]
	// 3 [tcp 443 10.0.1.4/32 tcp 443 10.0.1.7/32 tcp 9100 10.9.0.20/32]
	// of 1101155794944
}

// The cheapest rules to keep so that every observed connection is still admitted:
// each set names the rules that admit one.
func ExampleMinCover() {
	admittedBy := [][]int32{{0, 1}, {1, 2}, {1, 3}, {3}}
	keep, lower, optimal := cover.MinCover(admittedBy, []uint64{1, 1, 1, 1}, 1000)
	fmt.Println(keep, lower, optimal)
	// Output: [1 3] 2 true
}
