package store

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// printsOf makes the prints of one interface from its records one at a time.
func printsOf(cfg Config, recs []flow.Record, name string) []Print {
	var out []Print
	var b Batch
	for _, r := range recs {
		sound := r.Start >= 0 && r.Start <= r.End && r.Start/secondsPerDay <= maxDay
		verdict := r.Action == flow.Accept || r.Action == flow.Reject
		if r.Interface != name || r.Status != flow.StatusOK || !sound || !verdict || !r.Src.IsValid() || !r.Dst.IsValid() ||
			cfg.From != 0 && r.End < cfg.From || cfg.To != 0 && r.Start >= cfg.To {
			continue
		}
		b.Reset()
		b.AppendRow(r)
		p := Print{Day: int32(r.Start / secondsPerDay), Reject: r.Action == flow.Reject}
		i := slices.IndexFunc(out, func(o Print) bool { return o.Day == p.Day && o.Reject == p.Reject })
		if i < 0 {
			i = len(out)
			out = append(out, p)
		}
		out[i].Records++
		out[i].Sum ^= hashRecord(&b, 0)
	}
	slices.SortFunc(out, comparePrints)
	return out
}

// traffic returns n accepted records of an interface on a day.
func traffic(iface string, day, n int) []flow.Record {
	var out []flow.Record
	for i := range n {
		start := int64(day)*secondsPerDay + int64(i)*60
		out = append(out, flow.Record{Interface: iface, Src: netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), Dst: netip.MustParseAddr("10.1.0.1"),
			SrcPort: uint16(40000 + i), DstPort: 443, Proto: 6, Action: flow.Accept, Packets: uint64(i + 1), Bytes: 100, Start: start, End: start + 59})
	}
	return out
}

// TestTwice finds traffic that two flow logs have, and nothing else.
func TestTwice(t *testing.T) {
	one := traffic("eni-1", 19_000, 20)
	other := slices.Clone(one)
	for i := range other { // a format that has more fields
		other[i].PktSrc, other[i].Direction, other[i].Flags = netip.MustParseAddr("192.0.2.1"), flow.Ingress, flow.FlagsKnown|flow.SYN
	}
	changed := slices.Clone(one)
	changed[7].Bytes++
	silent := []flow.Record{}
	for i := range 20 {
		r := flow.Record{Interface: "eni-1", Status: flow.StatusNoData, Start: 19_000*secondsPerDay + int64(i), End: 19_000*secondsPerDay + 60}
		silent = append(silent, r, r)
	}
	refused := slices.Clone(one)
	for i := range refused {
		refused[i].Action = flow.Reject
		refused[i].Dst = netip.MustParseAddr("10.1.0.2")
	}
	for name, c := range map[string]struct {
		recs []flow.Record
		want []int32
	}{
		"one log":                     {one, nil},
		"two logs":                    {slices.Concat(one, other), []int32{19_000}},
		"four logs":                   {slices.Concat(one, other, one, one), []int32{19_000}},
		"one record is another":       {slices.Concat(one, changed), nil},
		"one log has one more":        {slices.Concat(one, other, traffic("eni-1", 19_000, 21)[20:]), nil},
		"of one day of two":           {slices.Concat(one, other, traffic("eni-1", 19_001, 20)), []int32{19_000}},
		"another interface has it":    {slices.Concat(one, traffic("eni-2", 19_000, 20)), nil},
		"NODATA only":                 {silent, nil},
		"NODATA twice, records once":  {slices.Concat(silent, one), nil},
		"a log of refusals, and all":  {slices.Concat(one, refused, refused), []int32{19_000}},
		"too few to mean anything":    {slices.Concat(one[:3], one[:3]), nil},
		"no traffic":                  {nil, nil},
		"the same without the bounds": {slices.Concat(one, other)[1:], nil},
	} {
		rng := rand.New(rand.NewPCG(1, 1))
		recs := slices.Clone(c.recs)
		rng.Shuffle(len(recs), func(i, j int) { recs[i], recs[j] = recs[j], recs[i] })
		conns := []*Connections{FromRecords(Config{}, recs)}
		back, err := restored(t, Config{}, slices.Concat(daysOf(Config{}, recs[:len(recs)/3]), daysOf(Config{}, recs[len(recs)/3:])))
		if err != nil {
			t.Fatal(err)
		}
		for i, conn := range append(conns, back, Merge(FromRecords(Config{}, recs[:len(recs)/2]), FromRecords(Config{}, recs[len(recs)/2:]))) {
			var got []int32
			for _, v := range conn.Coverage() {
				got = append(got, v.Twice()...)
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("%s, way %d: %v, want %v", name, i, got, c.want)
			}
		}
	}
}

// TestHashRecordSeesEveryField changes one bit of a record at a time.
func TestHashRecordSeesEveryField(t *testing.T) {
	hash := func(r flow.Record) uint64 {
		var b Batch
		b.AppendRow(r)
		return hashRecord(&b, 0)
	}
	base := traffic("eni-1", 19_000, 1)[0]
	seen := map[uint64]string{hash(base): "unchanged"}
	try := func(name string, r flow.Record) {
		h := hash(r)
		if was, ok := seen[h]; ok {
			t.Errorf("%s has the hash of %s", name, was)
		}
		seen[h] = name
	}
	for bit := range 64 {
		r := base
		r.Packets ^= 1 << bit
		try(fmt.Sprint("packets ", bit), r)
		r = base
		r.Bytes ^= 1 << bit
		try(fmt.Sprint("bytes ", bit), r)
		r = base
		r.Start ^= 1 << bit
		try(fmt.Sprint("start ", bit), r)
		r = base
		r.End ^= 1 << bit
		try(fmt.Sprint("end ", bit), r)
	}
	for bit := range 16 {
		r := base
		r.SrcPort ^= 1 << bit
		try(fmt.Sprint("source port ", bit), r)
		r = base
		r.DstPort ^= 1 << bit
		try(fmt.Sprint("destination port ", bit), r)
	}
	for i := range 200 {
		r := base
		r.Src = netip.AddrFrom4([4]byte{172, 16, byte(i), 1})
		try(fmt.Sprint("source ", i), r)
		r.Src, r.Dst = base.Src, r.Src
		try(fmt.Sprint("destination ", i), r)
	}
	r := base
	r.Proto = 17
	try("protocol", r)
	r = base
	r.Action = flow.Reject
	try("action", r)
}
