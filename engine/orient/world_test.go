package orient_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/engine/orient"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// local are the addresses of the interfaces in these tests.
var local = map[string]string{"eni-1": "10.0.0.1", "eni-2": "10.0.0.2", "eni-3": "10.0.0.3"}

// second is the other address of eni-1.
const second = "10.0.0.9"

// rule is a rule as the ladder sees it: which side may open what. A zero prefix is any
// peer.
type rule struct {
	iface       string
	dir         flow.Direction
	first, last uint16
	peer        netip.Prefix
}

// rules are a policy; nil admits everything.
type rules []rule

// possible is Env.Possible: stateful, so a reply passes if its opener may open.
func (rs rules) possible(c *store.Connections) func(int, *store.Row) (bool, bool) {
	admits := func(r *store.Row, opener flow.Direction) bool {
		if rs == nil {
			return true
		}
		for _, x := range orient.Readings(nil, r, orient.Opinion{Opener: opener}) {
			for _, rule := range rs {
				if rule.iface == c.Interfaces()[r.Interface] && rule.dir == opener && rule.first <= x.PortHi && x.Port <= rule.last &&
					(!rule.peer.IsValid() || rule.peer.Contains(x.Remote.Netip())) {
					return true
				}
			}
		}
		return false
	}
	return func(_ int, r *store.Row) (ingress, egress bool) {
		return admits(r, flow.Ingress), admits(r, flow.Egress)
	}
}

// connections reduces records as a run does.
func connections(recs []flow.Record, rs rules) *store.Connections { return reduce(recs, rs, 0, false) }

// reduce is connections with a limit of rows; with eras, the rules of eni-1 changed twice.
func reduce(recs []flow.Record, rs rules, limit int, eras bool) *store.Connections {
	cfg := store.Config{Local: make(map[string][]flow.Addr), MaxRows: limit}
	if eras {
		cfg.Cuts = map[string][]int64{"eni-1": {1700001000, 1700002000}}
	}
	bound := func(first, last flow.Addr) {
		last.Lo++
		cfg.AddrBounds = append(cfg.AddrBounds, first, last)
	}
	for name, a := range local {
		own := flow.AddrFrom(netip.MustParseAddr(a))
		cfg.Local[name] = []flow.Addr{own}
		bound(own, own)
	}
	other := flow.AddrFrom(netip.MustParseAddr(second))
	cfg.Local["eni-1"] = append(cfg.Local["eni-1"], other)
	bound(other, other)
	for _, r := range rs {
		if r.peer.IsValid() {
			last := flow.AddrFrom(r.peer.Addr())
			last.Lo |= 1<<(32-r.peer.Bits()) - 1
			bound(flow.AddrFrom(r.peer.Addr()), last)
		}
		cfg.PortBounds = append(cfg.PortBounds, r.first)
		if r.last < 65535 {
			cfg.PortBounds = append(cfg.PortBounds, r.last+1)
		}
	}
	tally := store.NewTally(cfg)
	worker := tally.Worker()
	var batch store.Batch
	for i, r := range recs {
		if i > 0 && i%store.BatchSize == 0 {
			worker.Add(&batch)
			batch.Reset()
		}
		batch.AppendRow(r)
	}
	worker.Add(&batch)
	return tally.Finish()
}

func env(c *store.Connections, rs rules, workers int) orient.Env {
	code := make(map[flow.Addr]uint32)
	for i, name := range c.Interfaces() {
		if a, ok := local[name]; ok {
			code[flow.AddrFrom(netip.MustParseAddr(a))] = uint32(i)
		}
	}
	return orient.Env{
		Possible: rs.possible(c),
		Peer:     func(_ uint32, a flow.Addr) (uint32, bool) { i, ok := code[a]; return i, ok },
		Workers:  workers,
	}
}

func decide(recs []flow.Record, rs rules) (*store.Connections, []orient.Opinion) {
	c := connections(recs, rs)
	return c, orient.Decide(c, env(c, rs, 1))
}

// record reads "IFACE SOURCE:PORT > DESTINATION:PORT PROTOCOL [REJECT] [FLAG…] [+SECONDS]";
// flags are SYN, ACK, FIN, RST, and none for stated ones without any of these.
func record(line string) flow.Record {
	f := strings.Fields(line)
	src, dst := netip.MustParseAddrPort(f[1]), netip.MustParseAddrPort(f[3])
	r := flow.Record{Interface: f[0], Src: src.Addr(), Dst: dst.Addr(), SrcPort: src.Port(), DstPort: dst.Port(),
		Proto: map[string]flow.Proto{"tcp": flow.TCP, "udp": flow.UDP, "icmp": flow.ICMP}[f[4]], Action: flow.Accept, Packets: 1, Bytes: 100, Start: 1700000000, End: 1700000060}
	for _, w := range f[5:] {
		if after, ok := strings.CutPrefix(w, "+"); ok {
			n, err := strconv.ParseInt(after, 10, 64)
			if err != nil {
				panic(err)
			}
			r.Start, r.End = r.Start+n, r.End+n
			continue
		}
		switch w {
		case "REJECT":
			r.Action = flow.Reject
		case "none":
			r.Flags |= flow.FlagsKnown
		default:
			r.Flags |= flow.FlagsKnown | map[string]flow.TCPFlags{"SYN": flow.SYN, "ACK": flow.ACK, "FIN": flow.FIN, "RST": flow.RST}[w]
		}
	}
	return r
}

func records(text string) []flow.Record {
	var out []flow.Record
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) != "" {
			out = append(out, record(line))
		}
	}
	return out
}

// describe writes a row and what is thought of it; a folded port is a star.
func describe(c *store.Connections, r *store.Row, o orient.Opinion) string {
	lport, rport := fmt.Sprint(r.LocalPort), fmt.Sprint(r.RemotePort)
	switch r.Client {
	case store.LocalClient:
		lport = "*"
	case store.RemoteClient:
		rport = "*"
	}
	reject := ""
	if r.Action == flow.Reject {
		reject = " REJECT"
	}
	return fmt.Sprintf("%s %s %s:%s %s:%s%s opened %s by %s", c.Interfaces()[r.Interface], r.Side, r.Local, lport, r.Remote, rport, reject, o.Opener, o.Method)
}

// opinions describes every row, sorted.
func opinions(recs []flow.Record, rs rules) []string {
	c, ops := decide(recs, rs)
	var out []string
	var r store.Row
	for i, o := range ops {
		c.Row(i, &r)
		out = append(out, describe(c, &r, o))
	}
	slices.Sort(out)
	return out
}

func lines(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	slices.Sort(out)
	return out
}

func checkOpinions(t *testing.T, flows string, rs rules, want string) {
	t.Helper()
	got := opinions(records(flows), rs)
	if !slices.Equal(got, lines(want)) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(lines(want), "\n  "))
	}
}
