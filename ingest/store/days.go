package store

import (
	"encoding/binary"
	"slices"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// OddDay is the Day of a Segment that holds what belongs to no single day: records that
// end later than on the day after their start, and those of years before 1970 or after
// 2149. Logs that are sound have none.
const OddDay = -1

// maxOpenDays bounds how many days a [Days] tells apart; what a log claims beyond that
// is kept with the odd ones.
const maxOpenDays = 4096

// Days reduces records to rows as a [Tally] does, but keeps apart what a later reader may
// want apart: the days on which records start, those that end on the next day, and
// whatever the policy of that reader will decide. It knows no policy beyond Config's
// PortBounds, Ports and Cuts, which may be finer than those of the reader; see [Restorer].
//
// It works by giving each part of an interface a name of its own, so that a Tally, which
// tells rows apart by interface, does the rest.
type Days struct {
	tally *Tally
	cuts  map[string][]int64
}

// NewDays returns an empty Days. It heeds PortBounds, Ports, Cuts and Workers of cfg.
func NewDays(cfg Config) *Days {
	return &Days{tally: newDaysTally(cfg), cuts: cfg.Cuts}
}

// newDaysTally returns a Tally whose interfaces are parts of days.
func newDaysTally(cfg Config) *Tally {
	t := NewTally(Config{PortBounds: cfg.PortBounds, Ports: cfg.Ports, Workers: cfg.Workers})
	t.ports.parts = make(map[string]sidePorts)
	return t
}

// Worker returns a new way to add batches to d, for one goroutine. Worker itself is safe
// for concurrent use.
func (d *Days) Worker() *DaysWorker {
	return &DaysWorker{
		tally: d.tally.Worker(), cuts: d.cuts, series: new(Series),
		parts: make(map[part]uint32), days: make(map[int32]bool), plains: make(map[plainKey][]uint32),
	}
}

// DaysWorker adds batches to a Days. It is for one goroutine at a time.
type DaysWorker struct {
	tally *TallyWorker
	cuts  map[string][]int64

	// The parts met so far, by their number among names, which only grow: the tally looks
	// each up once.
	parts  map[part]uint32
	names  []string
	series *Series
	days   map[int32]bool // days met so far

	out Batch
	// The numbers, plus 1, of the parts of the day at hand that hold what starts and ends
	// there, by interface. It is the way that nearly all records go. Those of batches of a
	// series are kept for the next one.
	plain          []uint32
	plains         map[plainKey][]uint32
	dayFrom, dayTo int64
	hasCuts        []bool // of the interfaces of the batch at hand
}

// plainKey is a day of the batches of a series.
type plainKey struct {
	series *Series
	day    int64
}

// maxPlains bounds the days of series that a worker remembers.
const maxPlains = 1024

// part is what is kept apart of one interface.
type part struct {
	iface  string
	day    int32
	kind   partKind
	lo, hi uint32 // eras
	ends   [2]flow.Addr
}

type partKind uint8

const (
	overMidnight partKind = 1 << iota // ends on the day after its start
	withEnds                          // has source and destination beside the packet's addresses
	withEras
)

// Add adds the records of b, and keeps no reference to it.
func (w *DaysWorker) Add(b *Batch) {
	numbers := w.out.Interface[:0]
	w.out = *b
	w.out.Interface = slices.Grow(numbers, b.Len())
	w.out.ids = nil
	w.dayFrom, w.dayTo = 0, 0
	w.hasCuts = w.hasCuts[:0]
	for _, name := range b.Names {
		w.hasCuts = append(w.hasCuts, len(w.cuts[name]) > 0)
	}
	mayHaveEnds := len(b.PktSrc) > 0 || len(b.PktDst) > 0
	for i, name := range b.Interface {
		start, last := b.Start[i], b.End[i]
		if mayHaveEnds || w.hasCuts[name] || start < w.dayFrom || start > last || last >= w.dayTo {
			w.out.Interface = append(w.out.Interface, w.slow(b, i))
			continue
		}
		n := w.plain[name]
		if n == 0 {
			n = w.number(part{iface: b.Names[name], day: int32(w.dayFrom / secondsPerDay)}) + 1
			w.plain[name] = n
		}
		w.out.Interface = append(w.out.Interface, n-1)
	}
	w.keepPlain(b)
	w.out.Names, w.out.Series = w.names, w.series
	w.tally.Add(&w.out)
}

// openPlain makes day the one at hand, of which plain is.
func (w *DaysWorker) openPlain(b *Batch, day int64) {
	w.keepPlain(b)
	w.dayFrom, w.dayTo = day*secondsPerDay, (day+1)*secondsPerDay
	known := 0
	if b.Series != nil {
		w.plain = w.plains[plainKey{b.Series, day}]
		known = len(w.plain)
	}
	w.plain = slices.Grow(w.plain, max(0, len(b.Names)-known))[:max(known, len(b.Names))]
	clear(w.plain[known:])
}

// keepPlain keeps plain for later batches of the series of b.
func (w *DaysWorker) keepPlain(b *Batch) {
	if b.Series == nil || w.dayTo == 0 {
		return
	}
	if len(w.plains) >= maxPlains {
		clear(w.plains)
	}
	w.plains[plainKey{b.Series, w.dayFrom / secondsPerDay}] = w.plain
	w.plain = nil
}

// slow returns the number of the part of record i of b.
func (w *DaysWorker) slow(b *Batch, i int) uint32 {
	start, last := b.Start[i], b.End[i]
	p := part{iface: b.Names[b.Interface[i]], day: OddDay}
	first, end := dayOf(start), dayOf(last)
	if start <= last && end-first <= 1 && first >= 0 && end <= maxDay && w.opens(int32(first)) {
		p.day = int32(first)
		if end > first {
			p.kind |= overMidnight
		} else if w.dayFrom != first*secondsPerDay || w.dayTo == 0 {
			w.openPlain(b, first)
		}
	}
	if b.Status[i] == flow.StatusOK {
		if cuts := w.cuts[p.iface]; len(cuts) > 0 {
			p.kind |= withEras
			p.lo, p.hi = eraAt(cuts, min(start, last), EraSlack), eraAt(cuts, max(start, last), -EraSlack)
		}
		unknown := len(b.Direction) == 0 || b.Direction[i] != flow.Ingress && b.Direction[i] != flow.Egress
		if unknown && (replaces(b.PktSrc, i, b.Src[i]) || replaces(b.PktDst, i, b.Dst[i])) {
			p.kind |= withEnds
			p.ends = [2]flow.Addr{b.Src[i], b.Dst[i]}
		}
	}
	return w.number(p)
}

// replaces reports whether record i has an address in pkt that is not a.
func replaces(pkt []flow.Addr, i int, a flow.Addr) bool {
	return len(pkt) > 0 && pkt[i].IsValid() && pkt[i] != a
}

// opens reports whether day is, or may be, told apart.
func (w *DaysWorker) opens(day int32) bool {
	if !w.days[day] {
		if len(w.days) >= maxOpenDays {
			return false
		}
		w.days[day] = true
	}
	return true
}

// number returns the number of p among the names.
func (w *DaysWorker) number(p part) uint32 {
	n, ok := w.parts[p]
	if !ok {
		name := p.name()
		n = uint32(len(w.names))
		w.names = append(w.names, name)
		p.iface = name[len(name)-len(p.iface):] // the given one may be a piece of a decoder's block
		w.parts[p] = n
	}
	return n
}

// name returns a name that no other part has, and that begins with the day.
func (p *part) name() string {
	b := binary.BigEndian.AppendUint32(nil, uint32(p.day))
	b = append(b, byte(p.kind))
	if p.kind&withEras != 0 {
		b = binary.BigEndian.AppendUint32(b, p.lo)
		b = binary.BigEndian.AppendUint32(b, p.hi)
	}
	if p.kind&withEnds != 0 {
		for _, a := range p.ends {
			b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, a.Hi), a.Lo)
		}
	}
	return string(append(b, p.iface...))
}

// parsePart is the inverse of part.name.
func parsePart(name string) part {
	b := []byte(name)
	p := part{day: int32(binary.BigEndian.Uint32(b)), kind: partKind(b[4])}
	b = b[5:]
	if p.kind&withEras != 0 {
		p.lo, p.hi = binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
		b = b[8:]
	}
	if p.kind&withEnds != 0 {
		for i := range p.ends {
			p.ends[i] = flow.Addr{Hi: binary.BigEndian.Uint64(b), Lo: binary.BigEndian.Uint64(b[8:])}
			b = b[16:]
		}
	}
	p.iface = name[len(name)-len(b):]
	return p
}

// Rows returns about how many rows there are so far. It is safe for concurrent use.
func (d *Days) Rows() int { return d.tally.narrow.rows() + d.tally.wide.rows() }

// rows returns how many rows were given out.
func (t *table[T]) rows() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return int(t.next)
}

// Finish returns what all workers have added, by day; the odd ones come last. No Add may
// be running, and d is spent afterwards.
func (d *Days) Finish() []*Segment { return segmentsOf(d.tally.Finish()) }
