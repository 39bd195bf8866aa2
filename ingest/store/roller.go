package store

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// roller rolls up the rows of a Tally that nobody else uses. Services are dealt out to
// parts by their hash, which are worked at in parallel.
type roller struct {
	t       *Tally
	wide    rows[wideRow] // those of t so far: what is folded is appended to them
	u       rollUp        // the next one
	parts   [rollParts]rollPart
	helpers []rollHelper
	single  int // how many rows there are that are exact whatever their service
}

const (
	rollPartBits = 6
	rollParts    = 1 << rollPartBits
)

// rollPart is the services whose hash begins with its number.
type rollPart struct {
	keys   []sortKey     // see roller.key
	wide   []serviceRows // the services of more than one row, or beyond level 0
	single int           // how many other rows there are
	sum    int           // of the sizes at the step that is looked at
	levels []serviceLevel
}

// rollHelper is what a goroutine that works at parts has for itself.
type rollHelper struct {
	*roller
	classes addrClasses
	out     region[wideRow]
	sums    []rollSum
}

// serviceRows are rows of one service: keys[from:end] of its part.
type serviceRows struct {
	from, end int
	level     uint8
	counts    *[maxLevel + 1]int // n(s, l); of levels below its own it is not known
}

type serviceLevel struct {
	service wideKey
	level   uint8
}

// foldRows folds the rows as far as they ask for. The index is of no use afterwards.
func (t *Tally) foldRows() {
	if t.roll.limit == 0 || t.roll.levels == nil && uint64(t.narrow.next)+uint64(t.wide.next) <= uint64(t.roll.limit) {
		return
	}
	r := &roller{t: t, wide: t.wide.all, u: t.roll, helpers: make([]rollHelper, max(1, t.cfg.Workers))}
	for i := range r.helpers {
		r.helpers[i] = rollHelper{roller: r, classes: addrClasses{bounds: t.roll.bounds}, out: region[wideRow]{table: t.wide}}
	}
	scratch := newArena()
	if n := r.collect(scratch); t.roll.levels != nil || n > t.roll.limit {
		r.each(func(h *rollHelper, p *rollPart) {
			radixSort(p.keys, 0)
			h.group(p)
		})
		r.choose()
		r.apply()
	}
	scratch.releaseAll()
	t.roll = r.u
	var wg sync.WaitGroup
	wg.Go(func() { compact(t.wide, func(r *wideRow) bool { return r.kind == 0 }) })
	compact(t.narrow, func(r *narrowRow) bool { return r.kind == 0 })
	wg.Wait()
}

// each calls f with all parts, in parallel.
func (r *roller) each(f func(*rollHelper, *rollPart)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for i := range r.helpers {
		wg.Go(func() {
			for n := next.Add(1) - 1; n < rollParts; n = next.Add(1) - 1 {
				f(&r.helpers[i], &r.parts[n])
			}
		})
	}
	wg.Wait()
}

// collect gives the rows to the parts, and returns how many there are in all. The keys are
// in memory of scratch.
func (r *roller) collect(scratch *arena) int {
	// Each helper has a piece of the rows, and looks at it twice: to count, then to fill.
	type tally struct {
		rows, single int
		next         [rollParts]int // how many there are for the part, then where the next one goes
	}
	tallies := make([]tally, len(r.helpers))
	inParallel := func(f func(i int)) {
		var wg sync.WaitGroup
		for i := range r.helpers {
			wg.Go(func() { f(i) })
		}
		wg.Wait()
	}
	inParallel(func(i int) {
		var n tally
		r.scan(i, func(k sortKey, folds bool) {
			n.rows++
			if folds {
				n.next[k.hi>>(64-rollPartBits)]++
			} else {
				n.single++
			}
		})
		tallies[i] = n
	})
	rows := 0
	for i := range tallies {
		rows += tallies[i].rows
		r.single += tallies[i].single
	}
	keys := allocSlice[sortKey](scratch, max(1, rows-r.single))
	from := 0
	for n := range r.parts {
		start := from
		for i := range tallies {
			next := &tallies[i].next[n]
			*next, from = from, from+*next
		}
		r.parts[n].keys = keys[start:from]
	}
	inParallel(func(i int) {
		next := tallies[i].next
		r.scan(i, func(k sortKey, folds bool) {
			if folds {
				at := &next[k.hi>>(64-rollPartBits)]
				keys[*at] = k
				*at++
			}
		})
	})
	return rows
}

// scan calls f with the keys of the rows of piece i, and whether they may be folded.
func (r *roller) scan(i int, f func(k sortKey, folds bool)) {
	piece := func(n uint32) (from, end uint32) {
		of := uint64(len(r.helpers))
		return uint32(uint64(n) * uint64(i) / of), uint32(uint64(n) * uint64(i+1) / of)
	}
	for n, end := piece(r.t.narrow.next); n < end; n++ {
		if row := r.t.narrow.all.at(n); row.kind != 0 {
			local, remote := flow.Addr4(uint32(row.ends)), flow.Addr4(uint32(row.remote>>32))
			f(r.key(local, remote, row.iface(), uint32(row.remote), row.kind, n), row.kind.mayFold())
		}
	}
	for n, end := piece(r.t.wide.next); n < end; n++ {
		if row := r.wide.at(n); row.kind != 0 {
			f(r.key(row.local, row.remote, row.iface, uint32(row.localPort)<<16|uint32(row.remotePort), row.kind, wideRef|n), row.kind.mayFold())
		}
	}
}

// restBits are those of a kind that the rows of a service may differ in.
const restBits = 1<<6 - 1

// key returns a key that orders by a hash of the service, then by remote address so far as
// it fits: all of an IPv4 one. Its era is what else the service leaves out. The reference is
// the row's number, with wideRef.
func (r *roller) key(local, remote flow.Addr, iface, ports uint32, k kind, ref uint32) sortKey {
	exact := exactPorts(k)
	rest := ports &^ exact
	s := &r.t.seed
	h := mix(local.Hi^s[0], local.Lo^s[1])
	h = mix(h^uint64(iface)<<32^uint64(ports&exact), uint64(k&^restBits)^s[2])
	key := sortKey{hi: mix(h, s[3]), row: ref, era: (rest>>16|rest)<<8 | uint32(k&restBits)}
	if remote.Is4() {
		key.lo = uint64(remote.V4())
	} else {
		key.lo = beyond4 | remote.Hi>>1
	}
	return key
}

// beyond4 is in the lo of keys of other than IPv4 addresses, which do not fit in full.
const beyond4 = 1 << 63

// exactPorts returns the bits of the ports, local then remote, that belong to the service.
func exactPorts(k kind) uint32 {
	switch ClientSide(k >> 6 & 3) {
	case LocalClient:
		return 1<<16 - 1
	case RemoteClient:
		return 1<<32 - 1<<16
	}
	return 1<<32 - 1
}

func (r *roller) keyOf(k *sortKey) wideKey {
	if k.row&wideRef != 0 {
		return r.wide.at(k.row &^ wideRef).wideKey
	}
	return r.t.narrow.all.at(k.row).key()
}

func (r *roller) remote(k *sortKey) flow.Addr {
	if k.lo&beyond4 == 0 {
		return flow.Addr4(uint32(k.lo))
	}
	return r.wide.at(k.row &^ wideRef).remote
}

// free returns how many low bits of the row's remote address are folded.
func (r *roller) free(k *sortKey) uint8 {
	if k.row&wideRef != 0 {
		return r.wide.at(k.row &^ wideRef).free
	}
	return 0
}

// isOf reports whether the row of k is of the service s.
func (r *roller) isOf(k *sortKey, s *wideKey) bool {
	if k.row&wideRef != 0 {
		return service(r.wide.at(k.row&^wideRef).wideKey) == *s
	}
	row := r.t.narrow.all.at(k.row)
	ports := uint32(s.localPort)<<16 | uint32(s.remotePort)
	return s.local.Is4() && row.ends == s.ends4() && row.kind&^restBits == s.kind && uint32(row.remote)&exactPorts(row.kind) == ports
}

// group cuts the sorted keys of p into services, in each of which remote addresses ascend.
func (h *rollHelper) group(p *rollPart) {
	for from, end := 0, 0; from < len(p.keys); from = end {
		same, sorted := true, true
		for end = from + 1; end < len(p.keys) && p.keys[end].hi == p.keys[from].hi; end++ {
			if p.keys[end].lo&beyond4 != 0 && p.keys[end].lo == p.keys[end-1].lo {
				sorted = false
			}
		}
		if end == from+1 && h.u.levels == nil {
			p.single++
			continue
		}
		keys := p.keys[from:end]
		first := service(h.keyOf(&keys[0]))
		for i := range keys {
			if !h.isOf(&keys[i], &first) { // two services have one hash
				same = false
				break
			}
		}
		if !same || !sorted {
			h.sortExactly(keys)
		}
		for a, b := from, from; a < end; a = b {
			s := service(h.keyOf(&p.keys[a]))
			for b = a + 1; b < end && (same || h.isOf(&p.keys[b], &s)); b++ {
			}
			if level := h.u.levels[s]; level > 0 || b-a > 1 {
				p.wide = append(p.wide, serviceRows{from: a, end: b, level: level})
			} else {
				p.single++
			}
		}
	}
}

// sortExactly sorts keys by service and remote address.
func (r *roller) sortExactly(keys []sortKey) {
	slices.SortFunc(keys, func(a, b sortKey) int {
		x, y := r.keyOf(&a), r.keyOf(&b)
		s, o := service(x), service(y)
		if c := s.compare(&o); c != 0 {
			return c
		}
		return x.remote.Compare(y.remote)
	})
}

// choose goes on to the step that the rows ask for.
func (r *roller) choose() {
	for r.u.peers > 1 {
		r.each(func(h *rollHelper, p *rollPart) {
			p.sum = p.single
			for i := range p.wide {
				p.sum += h.size(p, &p.wide[i], r.u.peers)
			}
		})
		sum := r.single
		for i := range r.parts {
			sum += r.parts[i].sum
		}
		if sum <= r.u.limit {
			return
		}
		r.u.peers = min(r.u.peers/2, firstPeers)
	}
}

// size returns size(s, peers): see rollUp.
func (h *rollHelper) size(p *rollPart, s *serviceRows, peers int) int {
	if n := s.end - s.from; s.level == 0 && n <= peers {
		return n
	}
	return max(peers, h.count(p, s)[maxLevel])
}

// count returns n(s, l) for each level from its own on.
func (h *rollHelper) count(p *rollPart, s *serviceRows) *[maxLevel + 1]int {
	if s.counts != nil {
		return s.counts
	}
	var n [maxLevel + 1]int
	var last [maxLevel + 1]flow.Addr
	var since [maxLevel + 1]int // where the rows of the prefix begin
	// By what the service leaves out: the last row of it that was counted.
	seen := make(map[uint32]*[maxLevel + 1]int)
	var at *[maxLevel + 1]int
	for i := s.from; i < s.end; i++ {
		k := &p.keys[i]
		if at == nil || k.era != p.keys[i-1].era {
			if at = seen[k.era]; at == nil {
				at = new([maxLevel + 1]int)
				for l := range at {
					at[l] = -1
				}
				seen[k.era] = at
			}
		}
		remote := h.remote(k)
		room := h.classes.room(remote)
		for l := s.level; l <= maxLevel; l++ {
			if first := cutBits(remote, min(room, levelFree(remote, l))); first != last[l] || i == s.from {
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

// apply folds the rows of the services that the step wants folded.
func (r *roller) apply() {
	r.each(func(h *rollHelper, p *rollPart) {
		for i := range p.wide {
			s := &p.wide[i]
			if s.level == 0 && s.end-s.from <= r.u.peers {
				continue
			}
			level := max(s.level, 1)
			for level < maxLevel && h.count(p, s)[level] > r.u.peers {
				level++
			}
			p.levels = append(p.levels, serviceLevel{service(h.keyOf(&p.keys[s.from])), level})
			h.foldRows(p.keys[s.from:s.end], level)
		}
	})
	r.u.levels = maps.Clone(r.u.levels) // of a merge, some have no rows yet
	if r.u.levels == nil {
		r.u.levels = make(map[wideKey]uint8)
	}
	for i := range r.parts {
		for _, l := range r.parts[i].levels {
			r.u.levels[l.service] = l.level
		}
	}
}

// rollSum is the row that some rows of a service become.
type rollSum struct {
	rest  uint32
	first *sortKey // of the first of them
	taken bool     // it is in wideRow, with those that were added
	wideRow
}

// foldRows puts the rows of keys, of a service, together that are of one prefix at the
// level, and the same but for the address.
func (h *rollHelper) foldRows(keys []sortKey, level uint8) {
	var b int
	for a := 0; a < len(keys); a = b {
		first, free := h.classes.fold(h.remote(&keys[a]), level)
		sums := h.sums[:0] // a few, as a rule
		for b = a; b < len(keys); b++ {
			k := &keys[b]
			if next, _ := h.classes.fold(h.remote(k), level); next != first {
				break
			}
			n := slices.IndexFunc(sums, func(x rollSum) bool { return x.rest == k.era })
			switch {
			case n < 0 && h.free(k) == free:
				sums = append(sums, rollSum{rest: k.era, first: k}) // it is as it should be, unless there is another
				continue
			case n < 0:
				sums = append(sums, rollSum{k.era, k, true, h.take(k)})
				continue
			case !sums[n].taken:
				sums[n].taken, sums[n].wideRow = true, h.take(sums[n].first)
			}
			o := h.take(k)
			sums[n].add(&o)
		}
		for i := range sums {
			if x := &sums[i]; x.taken {
				x.remote, x.free = first, free
				h.out.append(&x.wideRow)
			}
		}
		h.sums = sums
	}
}

// take takes the row of k out of its table.
func (r *roller) take(k *sortKey) wideRow {
	if k.row&wideRef != 0 {
		row := r.wide.at(k.row &^ wideRef)
		taken := *row
		*row = wideRow{}
		return taken
	}
	row := r.t.narrow.all.at(k.row)
	taken := row.wide()
	*row = narrowRow{}
	return taken
}
