package store

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// Tally reduces records to distinct connections. Make one with [NewTally], add
// batches through one [TallyWorker] per goroutine, then call [Tally.Finish] once.
type Tally struct {
	cfg    Config
	ports  *portSets // guarded by mu
	seed   hashSeed
	shards []shard
	pages  *pageSource
	narrow *table[narrowRow]
	wide   *table[wideRow]
	gate   sync.RWMutex // held while adding; locked to roll up
	roll   rollUp       // written with gate locked
	rollAt uint64       // how many rows are too many to go on without rolling up
	eager  bool         // for tests: roll up after each batch

	mu    sync.Mutex // guards what follows
	ids   map[string]uint32
	names []string
	known []ifaceConfig // what the Config says of each interface
	// The rows of an era are kept under an id of their own, which follows those before in
	// names; eras holds it, and base the id of its interface. Without cuts both are nil.
	eras    map[eraKey]uint32
	base    map[uint32]eraKey
	workers []*TallyWorker
}

// eraKey names an era, or several that follow each other, of an interface.
type eraKey struct{ iface, lo, hi uint32 }

// NewTally returns an empty Tally. It keeps cfg.Local and cfg.Cuts, which must not change
// until Finish has returned.
func NewTally(cfg Config) *Tally {
	mem := newArena()
	t := &Tally{
		cfg:    cfg,
		ports:  newPortSets(cfg),
		seed:   newHashSeed(),
		shards: make([]shard, numShards),
		pages:  &pageSource{mem: newArena()},
		narrow: &table[narrowRow]{mem: mem},
		wide:   &table[wideRow]{mem: mem},
		ids:    make(map[string]uint32),
	}
	t.roll, t.rollAt = newRollUp(cfg), uint64(cfg.MaxRows)+uint64(cfg.MaxRows)/4
	for i := range t.shards {
		t.shards[i] = newShard(t.pages, t.narrow, t.wide)
	}
	return t
}

// Worker returns a new way to add batches to t, for one goroutine. Worker itself
// is safe for concurrent use.
func (t *Tally) Worker() *TallyWorker {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := &TallyWorker{
		t:   t,
		ids: make(map[string]uint32),
		// Workers that begin at different shards do not queue at the same locks.
		firstShard: len(t.workers) * (numShards*5/8 + 1) % numShards,
	}
	t.workers = append(t.workers, w)
	return w
}

// intern returns the id of an interface, its name to keep, and its own addresses.
func (t *Tally) intern(name string) (id uint32, kept string, known ifaceConfig) {
	t.mu.Lock()
	defer t.mu.Unlock()
	id, ok := t.ids[name]
	if !ok {
		name = strings.Clone(name) // it may be a piece of a decoder's block
		id = uint32(len(t.names))
		t.ids[name] = id
		t.names = append(t.names, name)
		t.known = append(t.known, newIfaceConfig(t.cfg.Local[name], t.ports.of(name), t.cfg.Cuts[name]))
	}
	return id, t.names[id], t.known[id]
}

// internEra returns the id under which the rows of an era are kept.
func (t *Tally) internEra(k eraKey) uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	id, ok := t.eras[k]
	if !ok {
		if t.eras == nil {
			t.eras, t.base = make(map[eraKey]uint32), make(map[uint32]eraKey)
		}
		id = uint32(len(t.names))
		t.eras[k], t.base[id] = id, k
		t.names, t.known = append(t.names, t.names[k.iface]), append(t.known, ifaceConfig{})
	}
	return id
}

// TallyWorker adds batches to a Tally. It is for one goroutine at a time; the
// workers of one Tally run concurrently.
type TallyWorker struct {
	t          *Tally
	firstShard int

	ids    map[string]uint32    // names this worker has met
	eras   map[eraKey]uint32    // the same of eras
	ifaces []ifaceState         // by id; the zero value for those it has not
	of     []uint32             // ids of the names of the batch at hand: one of the two below
	series map[*Series][]uint32 // of the series met, as far as they have been looked at
	single []uint32             // of a batch of no series

	dayFrom int64 // the day that dayBit was asked for last, and what it returned
	day     uint64

	roll    *rollUp      // while adding
	classes *addrClasses // nil until something is rolled up

	outside, unsupported, noData, skipData uint64

	// The rows of the batch at hand, one per record, and their hashes.
	narrow       []narrowRow
	narrowHashes []uint64
	wide         []wideRow
	wideHashes   []uint64
	// Their places there, by shard.
	narrowOrder, wideOrder shardOrder

	touched uint16 // see fold
}

// ifaceState is what a worker knows of one interface.
type ifaceState struct {
	sightings
	ifaceConfig
}

// ifaceConfig is what the Config says of one interface.
type ifaceConfig struct {
	only4 uint64 // the low word of the address, if no other one is of IPv4; else 0
	ports sidePorts
	local []flow.Addr // sorted
	cuts  []int64     // see Config.Cuts; nil for most
}

func newIfaceConfig(local []flow.Addr, ports sidePorts, cuts []int64) ifaceConfig {
	c := ifaceConfig{local: slices.Clone(local), ports: ports, cuts: cuts}
	slices.SortFunc(c.local, flow.Addr.Compare) // IPv4 comes first
	if n := len(c.local); n > 0 && c.local[0].Is4() && (n == 1 || !c.local[1].Is4()) {
		c.only4 = c.local[0].Lo
	}
	return c
}

// Add adds the records of b and keeps no reference to it. In the steady state,
// when the rows and interfaces of b are known, it does not allocate.
//
// A record outside the window is counted, nothing else. NODATA and SKIPDATA go
// to the coverage and the ledger. Records without a verdict or without addresses
// are no flows of a network interface: they count as unsupported.
func (w *TallyWorker) Add(b *Batch) {
	w.begin()
	w.identify(b)
	for from, n := 0, b.Len(); from < n; from += BatchSize {
		w.read(b, from, min(from+BatchSize, n))
		w.flush()
	}
	w.end()
}

// begin begins to add rows.
func (w *TallyWorker) begin() {
	w.t.gate.RLock()
	w.roll = &w.t.roll
	if w.roll.levels != nil && w.classes == nil {
		w.classes = &addrClasses{bounds: w.roll.bounds}
	}
}

// end ends what begin began.
func (w *TallyWorker) end() {
	full := w.t.overfull()
	w.t.gate.RUnlock()
	if full {
		w.t.rollUp()
	}
}

// maxSeries bounds the series that a worker remembers: more than there are decoders.
const maxSeries = 64

// identify sets of to the ids of the names of b.
func (w *TallyWorker) identify(b *Batch) {
	of := w.single[:0]
	if b.Series != nil {
		of = w.series[b.Series]
	}
	for _, name := range b.Names[min(len(of), len(b.Names)):] {
		of = append(of, w.id(name))
	}
	w.of = of
	switch {
	case b.Series == nil:
		w.single = of
	case len(of) > len(w.series[b.Series]):
		if w.series == nil || len(w.series) >= maxSeries {
			w.series = make(map[*Series][]uint32)
		}
		w.series[b.Series] = of
	}
}

func (w *TallyWorker) id(name string) uint32 {
	if id, ok := w.ids[name]; ok {
		return id
	}
	id, name, known := w.t.intern(name)
	w.ids[name] = id
	if n := int(id) + 1; n > len(w.ifaces) {
		w.ifaces = slices.Grow(w.ifaces, n-len(w.ifaces))[:n]
	}
	w.ifaces[id].ifaceConfig = known
	return id
}

// era returns the id for the eras of interface id that a record from start to last may
// belong to: id itself for the first one.
func (w *TallyWorker) era(id uint32, cuts []int64, start, last int64) uint32 {
	lo, hi := eraAt(cuts, min(start, last), EraSlack), eraAt(cuts, max(start, last), -EraSlack)
	return w.eraID(eraKey{id, lo, hi})
}

func (w *TallyWorker) eraID(k eraKey) uint32 {
	if k.lo == 0 && k.hi == 0 {
		return k.iface
	}
	id, ok := w.eras[k]
	if !ok {
		if w.eras == nil {
			w.eras = make(map[eraKey]uint32)
		}
		id = w.t.internEra(k)
		w.eras[k] = id
	}
	return id
}

// eraAt returns the era at time t: how many cuts, each moved by shift, are not after it.
// The cuts are moved, not t: those are times of this world, and t is whatever a log says.
func eraAt(cuts []int64, t, shift int64) uint32 {
	n, found := slices.BinarySearchFunc(cuts, t, func(cut, t int64) int { return cmp.Compare(cut+shift, t) })
	if found {
		n++
	}
	return uint32(n)
}

// read turns the records from to end of b into rows of their own.
func (w *TallyWorker) read(b *Batch, from, end int) {
	w.clear()
	if w.classes == nil {
		w.readPlain(b, from, end)
		return
	}
	for i := from; i < end; i++ {
		w.record(b, i)
	}
}

// record notes record i of b, and turns it into a row if it is of a flow.
func (w *TallyWorker) record(b *Batch, i int) {
	start, last := b.Start[i], b.End[i]
	if lo, hi := w.t.cfg.From, w.t.cfg.To; lo != 0 && last < lo || hi != 0 && start >= hi {
		w.outside++
		return
	}
	id := w.of[b.Interface[i]]
	s := &w.ifaces[id]
	s.saw(start, last)
	switch b.Status[i] {
	case flow.StatusOK:
		s.mark(start, last)
		s.print(b, i)
		if s.cuts != nil {
			id = w.era(id, s.cuts, start, last)
		}
		w.row(b, i, id, &s.ifaceConfig)
	case flow.StatusNoData:
		s.mark(start, last)
		s.noData++
		w.noData++
	case flow.StatusSkipData:
		s.skip(start, last)
		s.skipRows++
		w.skipData++
	default:
		s.mark(start, last)
		w.unsupported++
	}
}

// clear drops the rows at hand.
func (w *TallyWorker) clear() {
	w.narrow, w.narrowHashes = w.narrow[:0], w.narrowHashes[:0]
	w.wide, w.wideHashes = w.wide[:0], w.wideHashes[:0]
}

// addRow appends a row in the form that fits, with its remote address folded if its
// service is rolled up.
func (w *TallyWorker) addRow(r *wideRow) {
	if w.classes != nil && r.free == 0 {
		w.roll.fold(&r.wideKey, w.classes)
	}
	h := w.t.seed.wide(&r.wideKey)
	var n narrowRow
	if r.narrow(&n) {
		w.narrow = append(w.narrow, n)
		w.narrowHashes = append(w.narrowHashes, h)
		return
	}
	w.wide = append(w.wide, *r)
	w.wideHashes = append(w.wideHashes, h)
}

// flush adds the rows at hand to the shards. It takes the lock of each shard once for all
// of its rows.
func (w *TallyWorker) flush() {
	w.narrowOrder.sort(w.narrowHashes)
	w.wideOrder.sort(w.wideHashes)
	for i := range numShards {
		n := (i + w.firstShard) % numShards
		narrow, wide := w.narrowOrder.of(n), w.wideOrder.of(n)
		if len(narrow)+len(wide) == 0 {
			continue
		}
		s := &w.t.shards[n]
		s.mu.Lock()
		s.touchWide(w.wideHashes, wide[:min(len(wide), touchRows)])
		for part := range slices.Chunk(narrow, touchRows) {
			s.addAll(w.narrowHashes, w.narrow, part)
		}
		for _, p := range wide {
			s.addWide(w.wideHashes[p], &w.wide[p])
		}
		s.mu.Unlock()
	}
}

// shardOrder lists rows by shard: order[starts[s]:starts[s+1]] are those of shard s.
type shardOrder struct {
	order  []uint16
	starts [numShards + 1]uint16
}

// of returns the rows of shard s.
func (o *shardOrder) of(s int) []uint16 { return o.order[o.starts[s]:o.starts[s+1]] }

// sort sets o for rows with the given hashes: a counting sort. There are at most
// BatchSize of them.
func (o *shardOrder) sort(hashes []uint64) {
	var next [numShards + 1]uint16
	for _, h := range hashes {
		next[shardOf(h)+1]++
	}
	for i := range numShards {
		next[i+1] += next[i]
	}
	o.starts = next
	o.order = slices.Grow(o.order[:0], len(hashes))[:len(hashes)]
	for i, h := range hashes {
		s := shardOf(h)
		o.order[next[s]] = uint16(i)
		next[s]++
	}
}

// FromRecords returns the Connections of recs.
func FromRecords(cfg Config, recs []flow.Record) *Connections {
	t := NewTally(cfg)
	w := t.Worker()
	var b Batch
	for part := range slices.Chunk(recs, BatchSize) {
		b.Reset()
		for _, r := range part {
			b.AppendRow(r)
		}
		w.Add(&b)
	}
	return t.Finish()
}
