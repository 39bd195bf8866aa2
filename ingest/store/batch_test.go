package store

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

func TestBatchIsReusable(t *testing.T) {
	w := randomWorld(11)
	first, second := w.records(100), w.records(60)
	var b Batch
	tally := NewTally(Config{})
	worker := tally.Worker()
	for _, recs := range [][]flow.Record{first, second} {
		b.Reset()
		for _, r := range recs {
			b.AppendRow(r)
		}
		if b.Len() != len(recs) {
			t.Fatalf("%d records, want %d", b.Len(), len(recs))
		}
		worker.Add(&b)
	}
	requireSame(t, "one batch used twice", contentsOf(tally.Finish()), oracle(Config{}, append(first, second...)))
}

// A column of length 0 is one that is absent from all records.
func TestColumnsThatALogLacksMayBeEmpty(t *testing.T) {
	for absent := range 16 {
		w := randomWorld(uint64(300 + absent))
		cfg, recs := w.config(), w.records(700)
		var b Batch
		for i := range recs {
			b.AppendRow(recs[i])
			r := &recs[i]
			if absent&1 != 0 {
				r.PktSrc = netip.Addr{}
			}
			if absent&2 != 0 {
				r.PktDst = netip.Addr{}
			}
			if absent&4 != 0 {
				r.Direction = flow.DirectionUnknown
			}
			if absent&8 != 0 {
				r.Flags = 0
			}
		}
		if absent&1 != 0 {
			b.PktSrc = nil
		}
		if absent&2 != 0 {
			b.PktDst = nil
		}
		if absent&4 != 0 {
			b.Direction = nil
		}
		if absent&8 != 0 {
			b.Flags = nil
		}
		tally := NewTally(cfg)
		tally.Worker().Add(&b)
		requireSame(t, fmt.Sprintf("absent %04b", absent), contentsOf(tally.Finish()), oracle(cfg, recs))
	}
}

func TestNamesCutWithoutReset(t *testing.T) {
	var b Batch
	b.AppendRow(flow.Record{Interface: "eni-a"})
	b.Resize(0)
	b.Names = append(b.Names[:0], "eni-b")
	b.AppendRow(flow.Record{Interface: "eni-a"})
	b.AppendRow(flow.Record{Interface: "eni-b"})
	for i, want := range []string{"eni-a", "eni-b"} {
		if got := b.Names[b.Interface[i]]; got != want {
			t.Errorf("record %d is of %q, want %q", i, got, want)
		}
	}
}

func TestOneInterfaceNamedTwice(t *testing.T) {
	r := tcp("192.0.2.1", 40000, "10.0.0.1", 443, 0)
	var b Batch
	b.AppendRow(r)
	b.AppendRow(r)
	b.Names = append(b.Names, b.Names[0])
	b.Interface[1] = 1
	tally := NewTally(Config{})
	tally.Worker().Add(&b)
	requireSame(t, "two names", contentsOf(tally.Finish()), oracle(Config{}, []flow.Record{r, r}))
}

func TestGrowMakesRoom(t *testing.T) {
	recs := randomWorld(12).records(1000)
	for i := range recs {
		recs[i].Interface = "eni-a"
	}
	var b Batch
	b.AppendRow(recs[0])
	b.Grow(len(recs))
	if b.Len() != 1 {
		t.Fatalf("growing made it %d records", b.Len())
	}
	if n := testing.AllocsPerRun(1, func() {
		b.Resize(1)
		for _, r := range recs[:400] {
			b.AppendRow(r)
		}
	}); n != 0 {
		t.Errorf("appending into room allocates %v times", n)
	}
}

func TestAddKeepsNothingOfTheBatch(t *testing.T) {
	recs := randomWorld(13).records(500)
	tally := NewTally(Config{})
	w := tally.Worker()
	var b Batch
	for _, r := range recs {
		b.AppendRow(r)
	}
	w.Add(&b)
	for i := range b.Len() {
		b.Src[i], b.Dst[i], b.Start[i], b.End[i], b.Bytes[i] = flow.Addr4(9), flow.Addr4(9), 9, 9, 9
	}
	for i := range b.Names {
		b.Names[i] = "scratched"
	}
	requireSame(t, "after scratching the batch", contentsOf(tally.Finish()), oracle(Config{}, recs))
}

func TestAddAllocatesNothingInSteadyState(t *testing.T) {
	var b Batch
	w := randomWorld(14)
	for range BatchSize {
		r := w.record()
		if r.Status == flow.StatusSkipData {
			continue // gaps are a list until they are merged
		}
		b.AppendRow(r)
	}
	worker := NewTally(w.config()).Worker()
	worker.Add(&b)
	if n := testing.AllocsPerRun(20, func() { worker.Add(&b) }); n != 0 {
		t.Errorf("adding known rows allocates %v times a batch", n)
	}
}

func TestRowsOfTwoFamiliesAreKept(t *testing.T) {
	// A NAT64 gateway may log an IPv4 address and an IPv6 packet address.
	r := tcp("192.0.2.1", 40000, "10.0.0.1", 443, 0)
	r.PktSrc = flow.Addr{Hi: 0x20010db8 << 32, Lo: 1}.Netip()
	c := FromRecords(Config{}, []flow.Record{r})
	var row Row
	c.Row(0, &row)
	if row.Remote.Netip() != r.PktSrc || row.Local.Netip() != r.Dst {
		t.Errorf("remote %v, local %v", row.Remote, row.Local)
	}
}

func TestUndecidedSideKeepsSourceLocal(t *testing.T) {
	own := flow.Addr4(0x0a000001)
	for _, c := range []struct {
		src, dst string
		want     flow.Direction
	}{
		{"10.0.0.1", "192.0.2.1", flow.Egress},
		{"192.0.2.1", "10.0.0.1", flow.Ingress},
		{"192.0.2.1", "192.0.2.2", flow.DirectionUnknown},
		{"10.0.0.1", "10.0.0.1", flow.DirectionUnknown},
		{"::ffff:10.0.0.1", "192.0.2.1", flow.Egress},
		{"::a00:1", "192.0.2.1", flow.DirectionUnknown},
	} {
		r := tcp(c.src, 40000, c.dst, 443, 0)
		r.Direction = flow.DirectionUnknown
		// Packet addresses do not decide the side.
		r.PktSrc, r.PktDst = flow.Addr4(1).Netip(), own.Netip()
		var row Row
		FromRecords(Config{Local: map[string][]flow.Addr{"eni-1": {own}}}, []flow.Record{r}).Row(0, &row)
		if row.Side != c.want {
			t.Errorf("%s to %s: %v, want %v", c.src, c.dst, row.Side, c.want)
		}
		local, remote, client := flow.Addr4(1), own, LocalClient
		if c.want == flow.Ingress {
			local, remote, client = own, flow.Addr4(1), RemoteClient
		}
		if row.Local != local || row.Remote != remote || row.Client != client {
			t.Errorf("%s to %s: local %v, remote %v, client %v", c.src, c.dst, row.Local, row.Remote, row.Client)
		}
	}
}

// Batches of one series are of any worker, and beside others.
func TestNamesOfASeriesAreOfAllItsBatches(t *testing.T) {
	w := randomWorld(12)
	cfg, recs := w.config(), w.records(3000)
	tally := NewTally(cfg)
	workers := []*TallyWorker{tally.Worker(), tally.Worker()}
	growing := []*Batch{{Series: new(Series)}, {Series: new(Series)}, {}}
	for from := 0; from < len(recs); from += 10 {
		b := growing[w.next(len(growing))]
		if b.Resize(0); b.Series == nil {
			b.Reset()
		} else if w.next(20) == 0 {
			b.Reset()
			b.Series = new(Series)
		}
		for _, r := range recs[from : from+10] {
			b.AppendRow(r)
		}
		workers[w.next(2)].Add(b)
	}
	requireSame(t, "series", contentsOf(tally.Finish()), oracle(cfg, recs))
	for _, worker := range workers {
		if n := len(worker.series); n == 0 || n > maxSeries {
			t.Errorf("a worker remembers %d series", n)
		}
	}
}
