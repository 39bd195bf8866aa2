package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// plainRow is what a segment's file says of a row, made one field at a time.
func plainRow(name string, k *Kept, day int32) fileRow {
	text := func(a flow.Addr) string {
		if !a.IsValid() {
			return ""
		}
		return a.String()
	}
	f := fileRow{
		Interface: name, Direction: wordsOf[colDirection][k.Side], Protocol: uint8(k.Proto), Local: text(k.Local), Remote: text(k.Remote),
		LocalPort: k.LocalPort, RemotePort: k.RemotePort, Action: wordsOf[colAction][k.Action], Class: wordsOf[colClass][k.Class],
		Client: wordsOf[colClient][k.Client], PortHi: k.PortHi, Flags: uint16(k.Flags),
		Records: k.Records, Packets: k.Packets, Bytes: k.Bytes, First: k.First, Last: k.Last, Over: k.Over,
		Src: text(k.Src), Dst: text(k.Dst),
	}
	switch k.Client {
	case LocalClient:
		f.LocalPort = k.PortLo
	case RemoteClient:
		f.RemotePort = k.PortLo
	}
	if k.Client != NoClient && k.PortBits != bitsOf(k.PortLo, k.PortHi) {
		f.PortBits = k.PortBits
	}
	if day == OddDay {
		f.Days = k.Days
	}
	return f
}

// TestSegmentFilesAreOrdinaryParquet reads them as any other program would.
func TestSegmentFilesAreOrdinaryParquet(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	recs := someRecords(rng, 3000, false, true)
	// Many different ports and addresses, more rows than a row group has, and large numbers.
	for i := range rowsPerGroup + 5000 {
		r := flow.Record{Interface: fmt.Sprintf("eni-%d", i%3), Proto: 6, Action: flow.Accept, Flags: flow.FlagsKnown | flow.SYN,
			Src: netip.AddrFrom4([4]byte{20, byte(i >> 16), byte(i >> 8), byte(i)}), Dst: netip.MustParseAddr("10.0.0.1"),
			SrcPort: uint16(rng.IntN(1 << 16)), DstPort: uint16(rng.IntN(1 << 16)), Packets: rng.Uint64() >> rng.IntN(64), Bytes: rng.Uint64() >> rng.IntN(64)}
		r.Start = 19_002*secondsPerDay + int64(rng.IntN(secondsPerDay-60))
		r.End = r.Start + int64(rng.IntN(60))
		recs = append(recs, r)
	}
	groups := 0
	for _, s := range daysOf(Config{}, recs) {
		var file, again bytes.Buffer
		if err := s.WriteParquet(&file); err != nil {
			t.Fatal(err)
		}
		if err := s.WriteParquet(&again); err != nil || !bytes.Equal(file.Bytes(), again.Bytes()) {
			t.Errorf("day %d: written twice, the bytes differ: %v", s.Day, err)
		}
		var want []fileRow
		_ = s.each(func(name string, k *Kept) error { want = append(want, plainRow(name, k, s.Day)); return nil })
		p, err := parquet.OpenFile(bytes.NewReader(file.Bytes()), int64(file.Len()))
		if err != nil {
			t.Fatal(err)
		}
		groups = max(groups, len(p.RowGroups()))
		got := make([]fileRow, len(want))
		r := parquet.NewGenericReader[fileRow](p)
		if n, err := r.Read(got); n != len(want) {
			t.Fatalf("day %d: %d rows of %d: %v", s.Day, n, len(want), err)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("day %d, row %d (-want +got):\n%s", s.Day, i, gocmp.Diff(want[i], got[i]))
			}
		}
	}
	if groups < 2 {
		t.Error("no file with several row groups")
	}
}

// TestSegmentOfNoRows writes a day that has coverage only.
func TestSegmentOfNoRows(t *testing.T) {
	var file bytes.Buffer
	if err := (&Segment{Day: 19_000}).WriteParquet(&file); err != nil {
		t.Fatal(err)
	}
	err := ReadParquet(bytes.NewReader(file.Bytes()), int64(file.Len()), 19_000, func(_ []string, rows []Kept) error {
		return fmt.Errorf("%d rows", len(rows))
	})
	if err != nil {
		t.Error(err)
	}
}
