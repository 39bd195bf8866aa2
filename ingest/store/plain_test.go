package store

import (
	"fmt"
	"math"
	"testing"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// oneByOne adds the records of batches without the loop for plain ones.
func oneByOne(cfg Config, batches []*Batch) *Connections {
	t := NewTally(cfg)
	w := t.Worker()
	for _, b := range batches {
		w.begin()
		w.identify(b)
		for from := 0; from < b.Len(); from += BatchSize {
			w.clear()
			for i := from; i < min(from+BatchSize, b.Len()); i++ {
				w.record(b, i)
			}
			w.flush()
		}
		w.end()
	}
	return t.Finish()
}

func TestPlainRecordsAreReadAsOthers(t *testing.T) {
	plain := func(cfg Config, batches []*Batch) *Connections {
		t := NewTally(cfg)
		w := t.Worker()
		for _, b := range batches {
			w.Add(b)
		}
		return t.Finish()
	}
	for n, s := range shapes {
		s.peers = min(s.peers, 3000)
		cfg, batches := s.config(), s.batches(3*BatchSize)
		w := randomWorld(uint64(700 + n))
		// The first batch has long runs of plain records, of clients at either end.
		for i, side := range batches[0].Direction {
			if i%3 == 0 && side != flow.DirectionUnknown {
				batches[0].Direction[i] = flow.Ingress + flow.Egress - side
			}
		}
		for _, b := range batches[1:] {
			// What is not plain, here and there: at the edges of what is, above all.
			for range 400 {
				i := w.next(b.Len())
				switch w.next(12) {
				case 0:
					b.Status[i] = pick(w, flow.StatusNoData, flow.StatusSkipData, flow.Status(9))
				case 1:
					b.Action[i] = pick(w, flow.ActionNone, flow.Reject, flow.Action(3))
				case 2:
					b.Proto[i] = pick(w, flow.UDP, flow.ICMP, flow.Proto(47))
				case 3:
					b.SrcPort[i], b.DstPort[i] = pick[uint16](w, 0, 22, 3306, 32767, 32768, 65535), pick[uint16](w, 0, 22, 3306, 32767, 32768, 65535)
				case 4:
					b.Packets[i] = pick[uint64](w, math.MaxUint32, math.MaxUint32+1, math.MaxUint64)
				case 5:
					b.Start[i] += pick[int64](w, -86400, 86400, -b.Start[i]-1, math.MaxUint32)
				case 6:
					b.End[i] = b.Start[i] + pick[int64](w, -1, 0, 86400, 3*86400)
				case 7:
					b.Src[i] = pick(w, flow.Addr{}, flow.Addr{Lo: 1}, flow.Addr{Hi: 1, Lo: b.Src[i].Lo}, b.Dst[i])
				case 8:
					b.PktSrc[i] = pick(w, flow.Addr4(7), flow.Addr{Hi: 0x2001_0db8 << 32}, b.Dst[i])
				case 9:
					b.PktDst[i] = pick(w, flow.Addr4(8), flow.Addr{Hi: 0x2001_0db8 << 32}, b.Src[i])
				case 10:
					b.Flags[i] = pick(w, 0, flow.SYN, flow.FlagsKnown, flow.FlagsKnown|flow.ACK)
				case 11:
					b.Direction[i] = pick(w, flow.DirectionUnknown, flow.Ingress, flow.Egress)
				}
			}
		}
		for range 3 {
			what := fmt.Sprintf("%s, window %d to %d, %d cuts", s.name, cfg.From, cfg.To, len(cfg.Cuts))
			requireSame(t, what, contentsOf(plain(cfg, batches)), contentsOf(oneByOne(cfg, batches)))
			start := batches[0].Start[0]
			cfg.From, cfg.To = start+20, start+50
			cfg.Cuts = map[string][]int64{batches[0].Names[0]: {start + 30}}
			for _, b := range batches {
				b.PktSrc, b.PktDst, b.Flags, b.Direction = nil, nil, nil, nil
			}
		}
	}
}
