package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// someRecords returns records over a few days, near midnight more often than elsewhere,
// of few interfaces, addresses and ports, so that many fall together.
func someRecords(rng *rand.Rand, n int, directed, odd bool) []flow.Record {
	const day0 = 19_000
	addr := func() netip.Addr {
		if rng.IntN(8) == 0 {
			return netip.MustParseAddr(fmt.Sprintf("fd00::%d", 1+rng.IntN(3)))
		}
		return netip.AddrFrom4([4]byte{10, 0, 0, byte(1 + rng.IntN(6))})
	}
	ports := []uint16{22, 443, 1024, 3306, 8080, 32768, 40000, 49152, 50051, 60999, 61000, 65535}
	var out []flow.Record
	for range n {
		r := flow.Record{
			Interface: fmt.Sprintf("eni-%d", rng.IntN(4)), Src: addr(), Dst: addr(),
			Proto: []flow.Proto{6, 6, 17, 1}[rng.IntN(4)], Action: flow.Accept, Flags: []flow.TCPFlags{0, flow.FlagsKnown, flow.FlagsKnown | flow.SYN, flow.FlagsKnown | flow.SYN | flow.ACK}[rng.IntN(4)],
			Packets: uint64(rng.IntN(9)), Bytes: uint64(rng.IntN(9999)),
		}
		r.SrcPort, r.DstPort = ports[rng.IntN(len(ports))]+uint16(rng.IntN(2)), ports[rng.IntN(len(ports))]
		if rng.IntN(5) == 0 {
			r.Action = flow.Reject
		}
		if directed {
			r.Direction = flow.Direction(rng.IntN(3))
		}
		if rng.IntN(3) == 0 {
			r.PktSrc = addr()
		}
		if rng.IntN(3) == 0 {
			r.PktDst = addr()
		}
		r.Start = int64(day0+rng.IntN(4))*secondsPerDay + int64(rng.IntN(200)-100)
		if rng.IntN(3) == 0 {
			r.Start += int64(rng.IntN(secondsPerDay))
		}
		r.End = r.Start + int64(rng.IntN(90))
		switch rng.IntN(20) {
		case 0:
			r.Status = flow.StatusNoData
		case 1:
			r.Status = flow.StatusSkipData
		case 2:
			r.Action = flow.ActionNone
		case 3:
			if odd {
				r.Start, r.End = []int64{-5, 0, 1 << 40}[rng.IntN(3)], 1<<40+7
			}
		}
		out = append(out, r)
	}
	return out
}

func restored(t *testing.T, cfg Config, segs []*Segment) (*Connections, error) {
	t.Helper()
	r, err := NewRestorer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	addAll(t, r, segs)
	return r.Connections()
}

// addAll adds segments by way of their files.
func addAll(t *testing.T, r *Restorer, segs []*Segment) {
	t.Helper()
	w := r.Worker()
	for _, s := range segs {
		if !r.Wants(s.Day) {
			for i := range s.Coverage {
				if r.within(s.Day, s.Coverage[i].Over) {
					t.Fatalf("day %d is wanted", s.Day)
				}
			}
		}
		w.Cover(s.Day, s.Coverage)
		var file bytes.Buffer
		if err := s.WriteParquet(&file); err != nil {
			t.Fatal(err)
		}
		n := 0
		err := ReadParquet(bytes.NewReader(file.Bytes()), int64(file.Len()), s.Day, func(names []string, rows []Kept) error {
			n += len(rows)
			w.Rows(s.Day, names, rows)
			return nil
		})
		if err != nil || n != s.Len() {
			t.Fatalf("file of day %d: %d rows of %d, %v", s.Day, n, s.Len(), err)
		}
	}
	w.Flush()
}

func daysOf(cfg Config, recs []flow.Record) []*Segment {
	d := NewDays(cfg)
	w := []*DaysWorker{d.Worker(), d.Worker()}
	var b Batch
	var names []string
	series := new(Series)
	for i, part := range slices.Collect(slices.Chunk(recs, 37)) {
		b.Reset()
		for _, r := range part {
			b.AppendRow(r)
		}
		if i%2 == 0 {
			// As decoders do: one list of names that grows.
			for _, name := range b.Names {
				if !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
			for j, n := range b.Interface {
				b.Interface[j] = uint32(slices.Index(names, b.Names[n]))
			}
			b.Names, b.Series = slices.Clone(names), series
		}
		if !slices.ContainsFunc(part, func(r flow.Record) bool { return r.Direction != 0 }) {
			b.Direction = b.Direction[:0]
		}
		w[i%2].Add(&b)
	}
	return d.Finish()
}

// differ compares Connections by all that they show.
func differ(a, b *Connections) string {
	show := func(c *Connections) []string {
		var out []string
		from, to := c.Window()
		out = append(out, fmt.Sprint(c.Interfaces(), c.Ledger(), c.Outside(), from, to))
		for _, v := range c.Coverage() {
			out = append(out, fmt.Sprintf("%+v", v))
		}
		var r Row
		for i := range c.Len() {
			c.Row(i, &r)
			out = append(out, fmt.Sprintf("%+v", r))
		}
		return out
	}
	return gocmp.Diff(show(a), show(b))
}

// readerConfig is what a policy may ask for.
func readerConfig(rng *rand.Rand) Config {
	cfg := Config{PortBounds: []uint16{3306, 3307, 32768, 50051, 50052}, Local: map[string][]flow.Addr{}, Workers: 2}
	for i := range 3 {
		cfg.Local[fmt.Sprintf("eni-%d", i)] = []flow.Addr{flow.AddrFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(1 + rng.IntN(6))})), flow.AddrFrom(netip.MustParseAddr("fd00::1"))}
	}
	if rng.IntN(2) == 0 {
		cfg.Cuts = map[string][]int64{"eni-1": {19_001*secondsPerDay - 30, 19_001*secondsPerDay + 4000}, "eni-2": {19_002 * secondsPerDay}}
	}
	if rng.IntN(2) == 0 {
		cfg.Ports = map[string]SideBounds{"eni-0": {Local: []uint16{3306, 3307}, Remote: []uint16{50051}}, "eni-3": {Remote: []uint16{32768}}}
	}
	if rng.IntN(2) == 0 {
		cfg.From = int64(19_000+rng.IntN(2)) * secondsPerDay
	}
	if rng.IntN(2) == 0 {
		cfg.To = int64(19_002+rng.IntN(2)) * secondsPerDay
	}
	return cfg
}

func TestStoredDaysGiveTheRowsOfTheRecords(t *testing.T) {
	for seed := range uint64(24) {
		rng := rand.New(rand.NewPCG(seed, 1))
		cfg := readerConfig(rng)
		odd := seed%4 == 0
		if odd {
			cfg.From, cfg.To = 0, 0
		}
		recs := someRecords(rng, 1500, seed%2 == 0, odd)
		if odd {
			// The eras of odd records are not kept.
			cfg.Cuts = nil
		}
		want := FromRecords(cfg, recs)

		// Finer bounds than asked for, and three stores of a part each.
		keep := Config{PortBounds: append([]uint16{1024, 8080, 40001, 61000}, cfg.PortBounds...), Cuts: cfg.Cuts}
		if cfg.Ports != nil && rng.IntN(2) == 0 {
			keep.Ports = map[string]SideBounds{"eni-0": {Local: []uint16{443, 3306, 3307}, Remote: []uint16{50051, 60999}}}
		}
		a, b := rng.IntN(len(recs)), rng.IntN(len(recs))
		a, b = min(a, b), max(a, b)
		segs := slices.Concat(daysOf(keep, recs[:a]), daysOf(keep, recs[a:b]), daysOf(keep, recs[b:]))
		got, err := restored(t, cfg, segs)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if d := differ(want, got); d != "" {
			t.Fatalf("seed %d: stored days differ from the records:\n%s", seed, d)
		}

		// Compacted, there is one segment a day, and nothing else changes.
		c := NewCompactor(keep)
		addAll(t, c, segs)
		compact := c.Segments()
		if got, err = restored(t, cfg, compact); err != nil {
			t.Fatalf("seed %d: compacted: %v", seed, err)
		}
		if d := differ(want, got); d != "" {
			t.Fatalf("seed %d: compacted days differ from the records:\n%s", seed, d)
		}
		if !slices.IsSortedFunc(compact, func(a, b *Segment) int { return int(uint32(a.Day)) - int(uint32(b.Day)) }) || len(compact) > 7 {
			t.Errorf("seed %d: %d compacted segments", seed, len(compact))
		}
	}
}
