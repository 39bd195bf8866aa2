package store

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// Restorer makes the Connections of stored days for a policy: the same that a [Tally] with
// the same Config would make of the records. Where the rows that are kept cannot tell what
// the policy tells apart, it says so with a [BoundsError]; it does not guess.
//
// The window of Config must begin and end at midnight UTC. Rows that straddle one of
// Config.Cuts that was not known when they were made are rows of both eras.
type Restorer struct {
	cfg   Config
	tally *Tally
	keep  bool // make parts of days again, not rows for a policy

	mu      sync.Mutex
	astride map[uint16]uint64 // rows by the bound that they straddle
	spread  uint64            // odd records on both sides of the window's ends
	cover   map[int32][]DayCoverage
}

// BoundsError says that stored rows have ports on both sides of bounds that the policy
// tells apart, and that were not known when the rows were made.
type BoundsError struct {
	Bounds []uint16 // the first ports of the classes that rows straddle, ascending
	Rows   uint64   // rows that straddle one
}

func (e *BoundsError) Error() string {
	return fmt.Sprintf("the store was made for other rules: %d of its rows have client ports on both sides of port %d, which the policy tells apart", e.Rows, e.Bounds[0])
}

// OddError says that records without a sound time lie on both sides of an end of the window.
type OddError struct{ Records uint64 }

func (e *OddError) Error() string {
	return fmt.Sprintf("records that last longer than a day, or are of no plausible year: %d; which of them lie in the window is not kept", e.Records)
}

// NewRestorer returns an empty Restorer. It keeps cfg as NewTally does. The error is about
// a window that does not begin and end at midnight.
func NewRestorer(cfg Config) (*Restorer, error) {
	if cfg.From%secondsPerDay != 0 || cfg.To%secondsPerDay != 0 {
		return nil, fmt.Errorf("a store keeps days: the window must begin and end at midnight UTC")
	}
	return &Restorer{cfg: cfg, tally: NewTally(cfg), astride: make(map[uint16]uint64)}, nil
}

// NewCompactor returns a Restorer whose [Restorer.Segments] are those of the segments that
// are added: rows that are the same become one. It heeds PortBounds, Ports, Cuts and Workers of
// cfg, which should be the union of what the segments were made with.
func NewCompactor(cfg Config) *Restorer {
	cfg.Local, cfg.From, cfg.To = nil, 0, 0
	return &Restorer{cfg: cfg, tally: newDaysTally(cfg), keep: true, cover: make(map[int32][]DayCoverage)}
}

// Wants reports whether any row of a segment of day can lie in the window.
func (r *Restorer) Wants(day int32) bool {
	return day == OddDay || r.within(day, false) || r.within(day, true)
}

// within reports whether what starts on day, and ends on the day after if over, meets the
// window.
func (r *Restorer) within(day int32, over bool) bool {
	lo, hi := r.cfg.From, r.cfg.To
	return (lo == 0 || int64(day)+int64(b2i(over)) >= lo/secondsPerDay) && (hi == 0 || int64(day) < hi/secondsPerDay)
}

// Worker returns a new way to add segments, for one goroutine. Worker itself is safe for
// concurrent use.
func (r *Restorer) Worker() *RestoreWorker {
	return &RestoreWorker{r: r, w: r.tally.Worker(), astride: make(map[uint16]uint64)}
}

// RestoreWorker adds segments to a Restorer. It is for one goroutine at a time.
type RestoreWorker struct {
	r       *Restorer
	w       *TallyWorker
	astride map[uint16]uint64
	pending int
}

// Cover adds the coverage of a segment of day, and counts its records outside the window.
func (w *RestoreWorker) Cover(day int32, list []DayCoverage) {
	if w.r.keep {
		w.r.mu.Lock()
		w.r.cover[day] = append(w.r.cover[day], list...)
		w.r.mu.Unlock()
		return
	}
	for i := range list {
		c := &list[i]
		if day == OddDay && !w.r.oddWithin(c) || day != OddDay && !w.r.within(day, c.Over) {
			w.w.outside = saturatingAdd(w.w.outside, c.Records)
			continue
		}
		id := w.w.id(c.Interface)
		w.w.ifaces[id].add(c.Coverage.sightings())
		w.w.noData = saturatingAdd(w.w.noData, c.NoData)
		w.w.skipData = saturatingAdd(w.w.skipData, c.SkipRows)
		w.w.unsupported = saturatingAdd(w.w.unsupported, c.Unsupported)
	}
}

// oddWithin reports whether the records of c, of OddDay, meet the window. Those on both
// sides of an end of it are counted: which of them do is not known.
func (r *Restorer) oddWithin(c *DayCoverage) bool {
	lo, hi := r.cfg.From, r.cfg.To
	if (lo == 0 || c.From >= lo) && (hi == 0 || c.To < hi) {
		return true
	}
	if lo != 0 && c.To < lo || hi != 0 && c.From >= hi {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spread = saturatingAdd(r.spread, c.Records)
	return false
}

// Rows adds rows of a segment of day; their Interface indexes names.
func (w *RestoreWorker) Rows(day int32, names []string, rows []Kept) {
	for i := range rows {
		k := &rows[i]
		if w.r.keep {
			id := w.w.id(w.r.partOf(day, names[k.Interface], k).name())
			w.w.ifaces[id].saw(k.First, k.Last) // else the part would not count as seen
			w.row(id, k, &w.w.ifaces[id].ports, nil)
			continue
		}
		if day != OddDay && !w.r.within(day, k.Over) {
			continue
		}
		if lo, hi := w.r.cfg.From, w.r.cfg.To; day == OddDay && (lo != 0 && k.Last < lo || hi != 0 && k.First >= hi) {
			continue
		}
		id := w.w.id(names[k.Interface])
		own := &w.w.ifaces[id]
		if k.Side == flow.DirectionUnknown {
			orient(k, own.local)
		}
		if own.cuts != nil {
			if day == OddDay {
				id = w.w.eraID(eraKey{id, 0, uint32(len(own.cuts))})
			} else {
				id = w.w.era(id, own.cuts, k.First, k.Last)
			}
		}
		w.row(id, k, &own.ports, w.astride)
	}
}

// partOf returns the part of a row.
func (r *Restorer) partOf(day int32, name string, k *Kept) *part {
	p := part{iface: name, day: day}
	if k.Over {
		p.kind |= overMidnight
	}
	if k.Src.IsValid() || k.Dst.IsValid() {
		p.kind |= withEnds
		p.ends = [2]flow.Addr{k.Src, k.Dst}
	}
	if cuts := r.cfg.Cuts[name]; len(cuts) > 0 && day != OddDay {
		p.kind |= withEras
		p.lo, p.hi = eraAt(cuts, min(k.First, k.Last), EraSlack), eraAt(cuts, max(k.First, k.Last), -EraSlack)
	}
	return &p
}

// orient gives k, whose Local is the source, the direction that the addresses of its
// interface tell.
func orient(k *Kept, own []flow.Addr) {
	src, dst := k.Local, k.Remote
	if k.Src.IsValid() {
		src, dst = k.Src, k.Dst
	}
	if k.Side = sideOf(own, src, dst); k.Side == flow.Ingress {
		k.Local, k.Remote = k.Remote, k.Local
		k.LocalPort, k.RemotePort = k.RemotePort, k.LocalPort
		k.Client = k.Client.mirror()
	}
}

// row adds k under id, its folded port in the class that the present bounds give it. Rows
// that straddle a bound are counted in astride, and left as they are without it.
func (w *RestoreWorker) row(id uint32, k *Kept, ports *sidePorts, astride map[uint16]uint64) {
	if k.Client != NoClient {
		classes := ports.folded(k.Client, k.Side)
		class := classes.of(k.PortLo)
		if end := classes.of(k.PortHi); end != class {
			if astride != nil {
				astride[end]++
			}
			class = k.PortLo
		}
		if k.Client == LocalClient {
			k.LocalPort = class
		} else {
			k.RemotePort = class
		}
	}
	if w.pending == 0 {
		w.w.begin()
	}
	w.w.addKnown(id, &k.Row)
	if w.pending++; w.pending == BatchSize {
		w.flush()
	}
}

// flush adds the rows at hand.
func (w *RestoreWorker) flush() {
	w.w.flush()
	w.w.clear()
	w.w.end()
	w.pending = 0
}

// Flush adds the rows at hand. It must be called after the last Rows.
func (w *RestoreWorker) Flush() {
	if w.pending > 0 {
		w.flush()
	}
	if len(w.astride) > 0 {
		w.r.mu.Lock()
		for b, n := range w.astride {
			w.r.astride[b] += n
		}
		w.r.mu.Unlock()
		clear(w.astride)
	}
}

// Connections returns what all workers have added. The error is a [BoundsError] or an
// [OddError].
func (r *Restorer) Connections() (*Connections, error) {
	if len(r.astride) > 0 {
		e := &BoundsError{Bounds: slices.Sorted(maps.Keys(r.astride))}
		for _, n := range r.astride {
			e.Rows += n
		}
		return nil, e
	}
	if r.spread > 0 {
		return nil, &OddError{Records: r.spread}
	}
	return r.tally.Finish(), nil
}

// Segments returns what all workers of a compactor have added, by day.
func (r *Restorer) Segments() []*Segment {
	out := segmentsOf(r.tally.Finish())
	for _, s := range out {
		s.Coverage = mergeCoverage(r.cover[s.Day])
		delete(r.cover, s.Day)
	}
	for _, day := range slices.Sorted(maps.Keys(r.cover)) {
		out = append(out, &Segment{Day: day, Coverage: mergeCoverage(r.cover[day])}) // days without a flow
	}
	slices.SortFunc(out, func(a, b *Segment) int { return cmp.Compare(uint32(a.Day), uint32(b.Day)) })
	return out
}
