package store

import (
	"maps"
	"math"
	"runtime"
	"slices"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// Roll-up
//
// A service is a conversation of an interface with whomever: its own address and era, the
// protocol, the ports that are exact. What a row's key holds beside, which are the remote
// address, side, action, class and the class of the client's port, belongs to the service:
// the two directions of a connection must be at one level, or nobody could tell that they
// belong together. When more rows than Config.MaxRows are distinct, the services with the
// most rows have their remote addresses folded to prefixes. Which, and how far, follows from
// the set of all records alone:
//
//   - n(s, l) is the number of distinct rows of service s with prefixes of level l; n(s, 0)
//     that with addresses.
//   - At a step K a service is at the lowest level at which n(s, l) ≤ K, or at maxLevel.
//     The steps are K = no bound, 2^20, 2^19, …, 1.
//   - size(s, K) = max(min(n(s, 0), K), n(s, maxLevel)): no less than the rows that s has at
//     step K. The step is the first one at which the sum of the sizes is at most MaxRows.
//
// To bound the memory, rows are folded while they come in: as soon as those so far ask for
// it. That changes nothing in the end. More records only raise n(s, l), and so each size
// and their sum, so the step of a part of the records is never beyond that of all, nor is
// the level of a service. And what is forgotten is not asked for again: prefixes of a level
// are made of those of the levels below, and of a service beyond level 0 it is known that
// min(n(s, 0), K) = K, for the current K and all smaller ones. So parts of the records may
// be added in any order, and [Merge] may put rolled-up parts together.

// rollUp is the state of a roll-up.
type rollUp struct {
	limit  int // see Config.MaxRows
	bounds []flow.Addr
	peers  int // K of the current step
	// The level of each service that is not at level 0; never changed once made. See service.
	levels map[wideKey]uint8
}

const (
	anyPeers   = math.MaxInt
	firstPeers = 1 << 20
)

func newRollUp(cfg Config) rollUp {
	if cfg.MaxRows <= 0 {
		return rollUp{}
	}
	return rollUp{limit: cfg.MaxRows, bounds: newAddrClasses(cfg.AddrBounds), peers: anyPeers}
}

// rankLevels returns levels by the final numbers of the interfaces.
func rankLevels(levels map[wideKey]uint8, ranks []uint32) map[wideKey]uint8 {
	if levels == nil {
		return nil
	}
	out := make(map[wideKey]uint8, len(levels))
	for k, level := range levels {
		k.iface = ranks[k.iface]
		out[k] = level
	}
	return out
}

// RollUp says how far the rows of some Connections were rolled up.
type RollUp struct {
	// MaxRows is that of the Config. 0: there was no limit.
	MaxRows int
	// Peers is how many rows a service may have before it is rolled up. 0: none was.
	Peers int
	// Services and Rows are how many services were rolled up, and to how many rows.
	Services, Rows int
}

// RollUp returns how far the rows were rolled up; see [Config].
func (c *Connections) RollUp() RollUp {
	u := RollUp{MaxRows: c.roll.limit, Services: len(c.roll.levels)}
	if u.Services > 0 {
		u.Peers = c.roll.peers
	}
	for i := range c.len {
		if n, wide := c.find(i); wide && c.wide.at(n).free > 0 {
			u.Rows++
		}
	}
	runtime.KeepAlive(c) // holds the memory of the rows
	return u
}

// service returns k without what the rows of one service may differ in.
func service(k wideKey) wideKey {
	proto, client, _, _, _ := k.kind.split()
	k.remote, k.free, k.kind = flow.Addr{}, 0, kindOf(proto, client, 0, 0, 0)
	switch client {
	case LocalClient:
		k.localPort = 0
	case RemoteClient:
		k.remotePort = 0
	}
	return k
}

// rest returns what service leaves out of k, but for the remote address.
func rest(k *wideKey) rowRest { return rowRest{k.localPort, k.remotePort, k.kind} }

type rowRest struct {
	localPort, remotePort uint16
	kind                  kind
}

// mayFold reports whether rows of kind k may be folded.
func (k kind) mayFold() bool {
	_, _, side, _, _ := k.split()
	return side == flow.Ingress || side == flow.Egress
}

// fold folds the remote address of k as the service's level says.
func (u *rollUp) fold(k *wideKey, classes *addrClasses) {
	if !k.kind.mayFold() {
		return
	}
	if level := u.levels[service(*k)]; level > 0 {
		k.remote, k.free = classes.fold(k.remote, level)
	}
}

// serviceRows are rows of one service: keys[from:end].
type serviceRows struct {
	from, end int
	level     uint8
	counts    *[maxLevel + 1]int // n(s, l); of levels below its own it is not known
}

// size returns size(s, peers) as above.
func (s *serviceRows) size(r *roller, peers int) int {
	if n := s.end - s.from; s.level == 0 && n <= peers {
		return n
	}
	return max(peers, r.count(s)[maxLevel])
}

// roller rolls up the rows of a Tally that nobody else uses.
type roller struct {
	t       *Tally
	u       rollUp // the next one
	classes addrClasses
	keys    []sortKey
	wide    []serviceRows // the services of more than one row, or beyond level 0
	single  int           // how many other rows there are
	out     region[wideRow]
}

// rollUp folds the rows as far as those so far ask for, and gives them to the shards anew.
func (t *Tally) rollUp() {
	t.gate.Lock() // no worker is adding
	defer t.gate.Unlock()
	if !t.overfull() { // another worker was faster
		return
	}
	t.pages.mem.releaseAll() // before more is taken
	t.pages = &pageSource{mem: newArena()}
	numNarrow, numWide := t.foldRows()
	t.reindex(numNarrow, numWide)
	n := max(uint64(numNarrow)+uint64(numWide), uint64(t.roll.limit))
	t.rollAt = n + n/4 + numShards*chunkRows
	if t.eager {
		t.rollAt = 0
	}
}

// overfull reports whether there are so many rows that it is time to roll up.
func (t *Tally) overfull() bool {
	return t.roll.limit > 0 && uint64(t.narrow.len())+uint64(t.wide.len()) > t.rollAt
}

// foldRows folds the rows as far as they ask for, and returns how many there are then of
// each form, some of which may be free if it folds nothing. The index is of no use afterwards.
func (t *Tally) foldRows() (numNarrow, numWide uint32) {
	if t.roll.limit == 0 || t.roll.levels == nil && uint64(t.narrow.next)+uint64(t.wide.next) <= uint64(t.roll.limit) {
		return t.narrow.next, t.wide.next
	}
	numNarrow, numWide = compact(t.narrow, narrowIsFree), compact(t.wide, wideIsFree)
	n := int(numNarrow) + int(numWide)
	if t.roll.levels == nil && n <= t.roll.limit {
		return numNarrow, numWide
	}
	scratch := newArena()
	r := &roller{
		t: t, u: t.roll, classes: addrClasses{bounds: t.roll.bounds}, out: region[wideRow]{table: t.wide},
		keys: allocSlice[sortKey](scratch, n)[:0],
	}
	r.collect(numNarrow, numWide)
	r.group()
	r.choose()
	r.apply()
	scratch.releaseAll()
	t.roll = r.u
	return compact(t.narrow, narrowIsFree), compact(t.wide, wideIsFree)
}

func narrowIsFree(r *narrowRow) bool { return r.kind == 0 }
func wideIsFree(r *wideRow) bool     { return r.kind == 0 }

// collect lists the rows by service and remote address.
func (r *roller) collect(numNarrow, numWide uint32) {
	t := r.t
	add := func(k *wideKey, ref uint32) {
		if k.kind.mayFold() {
			r.keys = append(r.keys, r.key(k, ref))
		} else {
			r.single++
		}
	}
	for i := range numNarrow {
		k := t.narrow.all.at(i).key()
		add(&k, i)
	}
	for i := range numWide {
		add(&t.wide.all.at(i).wideKey, wideRef|i)
	}
	radixSort(r.keys, 0)
}

// key returns a key that orders by a hash of the service, then by remote address so far as
// it fits. The reference is the row's number, with wideRef.
func (r *roller) key(k *wideKey, ref uint32) sortKey {
	s := service(*k)
	key := sortKey{hi: r.t.seed.wide(&s), row: ref}
	if k.remote.Is4() {
		key.lo = uint64(k.remote.V4())
	} else {
		key.lo = 1<<63 | k.remote.Hi>>1
	}
	return key
}

func (r *roller) at(i int) wideKey {
	if ref := r.keys[i].row; ref&wideRef != 0 {
		return r.t.wide.all.at(ref &^ wideRef).wideKey
	}
	return r.t.narrow.all.at(r.keys[i].row).key()
}

// group cuts the sorted keys into services, in each of which remote addresses ascend.
func (r *roller) group() {
	for from, end := 0, 0; from < len(r.keys); from = end {
		for end = from + 1; end < len(r.keys) && r.keys[end].hi == r.keys[from].hi; end++ {
		}
		first := service(r.at(from))
		same, sorted := true, true
		for i := from + 1; i < end; i++ {
			if service(r.at(i)) != first {
				same = false
			}
			if r.keys[i].lo>>63 != 0 && r.keys[i].lo == r.keys[i-1].lo {
				sorted = false
			}
		}
		if !same || !sorted {
			r.sortExactly(r.keys[from:end])
		}
		for a, b := from, from; a < end; a = b {
			s := service(r.at(a))
			for b = a + 1; b < end && (same || service(r.at(b)) == s); b++ {
			}
			if level := r.u.levels[s]; level > 0 || b-a > 1 {
				r.wide = append(r.wide, serviceRows{from: a, end: b, level: level})
			} else {
				r.single++
			}
		}
	}
}

// sortExactly sorts keys by service and remote address.
func (r *roller) sortExactly(keys []sortKey) {
	at := func(k sortKey) wideKey { return (&roller{t: r.t, keys: []sortKey{k}}).at(0) }
	slices.SortFunc(keys, func(a, b sortKey) int {
		x, y := at(a), at(b)
		s, o := service(x), service(y)
		if c := s.compare(&o); c != 0 {
			return c
		}
		return x.remote.Compare(y.remote)
	})
}

// count returns n(s, l) for each level from its own on.
func (r *roller) count(s *serviceRows) *[maxLevel + 1]int {
	if s.counts != nil {
		return s.counts
	}
	var n [maxLevel + 1]int
	var last [maxLevel + 1]flow.Addr
	var since [maxLevel + 1]int // where the rows of the prefix begin
	seen := make(map[rowRest]*[maxLevel + 1]int)
	for i := s.from; i < s.end; i++ {
		k := r.at(i)
		at := seen[rest(&k)]
		if at == nil {
			at = new([maxLevel + 1]int)
			for l := range at {
				at[l] = -1
			}
			seen[rest(&k)] = at
		}
		for l := s.level; l <= maxLevel; l++ {
			if first, _ := r.classes.fold(k.remote, l); first != last[l] || i == s.from {
				last[l], since[l] = first, i
			}
			if at[l] < since[l] {
				at[l] = i
				n[l]++
			}
		}
	}
	s.counts = &n
	return s.counts
}

// choose goes on to the step that the rows ask for.
func (r *roller) choose() {
	for r.u.peers > 1 {
		sum := r.single
		for i := range r.wide {
			sum += r.wide[i].size(r, r.u.peers)
		}
		if sum <= r.u.limit {
			return
		}
		r.u.peers = min(r.u.peers/2, firstPeers)
	}
}

// apply folds the rows of the services that the step wants folded.
func (r *roller) apply() {
	r.u.levels = maps.Clone(r.u.levels) // of a merge, some have no rows yet
	if r.u.levels == nil {
		r.u.levels = make(map[wideKey]uint8)
	}
	for i := range r.wide {
		s := &r.wide[i]
		if s.level == 0 && s.end-s.from <= r.u.peers {
			continue
		}
		level := max(s.level, 1)
		for level < maxLevel && r.count(s)[level] > r.u.peers {
			level++
		}
		r.u.levels[service(r.at(s.from))] = level
		r.foldRows(s, level)
	}
}

// foldRows puts the rows of s together that are of one prefix at the level, and the same
// but for the address.
func (r *roller) foldRows(s *serviceRows, level uint8) {
	type sum struct {
		rest  rowRest
		row   int  // the first one
		taken bool // it is in wideRow, with those that were added
		wideRow
	}
	var sums []sum // a few, as a rule
	var b int
	for a := s.from; a < s.end; a = b {
		k := r.at(a)
		first, free := r.classes.fold(k.remote, level)
		sums = sums[:0]
		for b = a; b < s.end; b++ {
			k := r.at(b)
			if next, _ := r.classes.fold(k.remote, level); next != first {
				break
			}
			n := slices.IndexFunc(sums, func(x sum) bool { return x.rest == rest(&k) })
			switch {
			case n < 0 && k.free == free:
				sums = append(sums, sum{rest: rest(&k), row: b}) // it is as it should be, unless there is another
				continue
			case n < 0:
				sums = append(sums, sum{rest(&k), b, true, r.take(b)})
				continue
			case !sums[n].taken:
				sums[n].taken, sums[n].wideRow = true, r.take(sums[n].row)
			}
			o := r.take(b)
			sums[n].add(&o)
		}
		for i := range sums {
			if x := &sums[i]; x.taken {
				x.remote, x.free = first, free
				r.out.append(&x.wideRow)
			}
		}
	}
}

// take takes row i out of its table.
func (r *roller) take(i int) wideRow {
	ref := r.keys[i].row
	if ref&wideRef != 0 {
		row := r.t.wide.all.at(ref &^ wideRef)
		taken := *row
		*row = wideRow{}
		return taken
	}
	row := r.t.narrow.all.at(ref)
	taken := row.wide()
	*row = narrowRow{}
	return taken
}

// reindex gives all rows to the shards anew.
func (t *Tally) reindex(numNarrow, numWide uint32) {
	for i := range t.shards {
		s := &t.shards[i]
		s.index = index{source: t.pages, dir: []*indexPage{&noPage}}
		s.narrow = region[narrowRow]{table: t.narrow, rows: t.narrow.all}
		s.wide = region[wideRow]{table: t.wide, rows: t.wide.all}
		s.spilled = nil
	}
	for i := range numWide {
		r := t.wide.all.at(i)
		h := t.seed.wide(&r.wideKey)
		if s := &t.shards[shardOf(h)]; !s.index.add(uint32(h), wideRef|(i+1)) {
			s.spilledRows()[r.wideKey] = i
		}
	}
	for i := range numNarrow {
		r := t.narrow.all.at(i)
		h := t.seed.narrow(r.ends, r.remote, r.kind)
		if s := &t.shards[shardOf(h)]; !s.index.add(uint32(h), i+1) {
			wide := r.wide()
			*r = narrowRow{}
			s.spill(&wide)
		}
	}
}
