package store_test

import (
	"fmt"
	"net/netip"

	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// Two connections of one client to a web server: the client's ports, which no
// rule of the policy tells apart, fall together.
func ExampleTally() {
	web := netip.MustParseAddr("10.0.0.1")
	client := netip.MustParseAddr("192.0.2.1")
	tally := store.NewTally(store.Config{
		Local:      map[string][]flow.Addr{"eni-web": {flow.AddrFrom(web)}},
		PortBounds: []uint16{443, 444, 1024},
	})

	worker := tally.Worker() // one for each goroutine
	var batch store.Batch
	for _, port := range []uint16{40001, 51234} {
		batch.AppendRow(flow.Record{
			Interface: "eni-web", Src: client, Dst: web, SrcPort: port, DstPort: 443, Proto: flow.TCP,
			Action: flow.Accept, Flags: flow.FlagsKnown | flow.SYN, Packets: 10, Bytes: 1000, Start: 1700000000, End: 1700000060,
		})
	}
	worker.Add(&batch)

	connections := tally.Finish()
	var r store.Row
	for i := range connections.Len() {
		connections.Row(i, &r)
		fmt.Println(connections.Interfaces()[r.Interface], r.Side, r.Proto, r.Remote, r.RemotePort, "->", r.Local, r.LocalPort)
		fmt.Println(r.Records, "records,", r.Bytes, "bytes, client ports", r.PortLo, "to", r.PortHi)
	}
	// Output:
	// eni-web ingress tcp 192.0.2.1 1024 -> 10.0.0.1 443
	// 2 records, 2000 bytes, client ports 40001 to 51234
}
