package netset_test

import (
	"fmt"
	"net/netip"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// Two rules for halves of a network make the rule for the whole of it superfluous,
// but only for the ports that both admit.
func ExampleCovered() {
	box := func(prefix string, first, last uint16) netset.Box {
		return netset.Box{
			Services: netset.ServiceOf(flow.TCP, netset.PortRange{First: first, Last: last}),
			Addrs:    netset.AddrsOf(netip.MustParsePrefix(prefix)),
		}
	}
	halves := []netset.Box{box("10.0.0.0/9", 443, 443), box("10.128.0.0/9", 80, 443)}

	ok, _ := netset.Covered(box("10.0.0.0/8", 443, 443), halves)
	fmt.Println(ok)
	ok, witness := netset.Covered(box("10.0.0.0/8", 442, 443), halves)
	fmt.Println(ok, witness)
	// Output:
	// true
	// false tcp 442 10.0.0.0/9
}
