package flow_test

import (
	"fmt"
	"net/netip"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// What the flags of one record say about who opened the connection.
func ExampleTCPFlags_Class() {
	r := flow.Record{
		Interface: "eni-web", Proto: flow.TCP, Direction: flow.Egress, Action: flow.Accept,
		Src: netip.MustParseAddr("10.0.0.1"), SrcPort: 443,
		Dst: netip.MustParseAddr("192.0.2.1"), DstPort: 40001,
		Flags: flow.FlagsKnown | flow.SYN | flow.ACK,
	}
	fmt.Println(r.Proto, r.Direction, r.Action, r.Flags.Class(r.Proto))
	// Output: tcp egress ACCEPT answer
}

func ExampleAddr() {
	a := flow.AddrFrom(netip.MustParseAddr("::ffff:192.0.2.1"))
	b := flow.AddrFrom(netip.MustParseAddr("2001:db8::1"))
	fmt.Println(a, a.Is4(), a.Compare(b))
	fmt.Println(flow.Addr{}, flow.Addr{}.IsValid())
	// Output:
	// 192.0.2.1 true -1
	// - false
}

func ExampleLedger() {
	var l flow.Ledger
	l[flow.Permitted] += 97
	l[flow.Blocked] += 3
	fmt.Println(l.Total(), "records,", l[flow.Blocked], flow.Blocked)
	// Output: 100 records, 3 blocked
}
