package store

import "sync"

// The index of a shard is cut into pages, found by the top bits of an entry's tag. A
// page that is full is split in two by one bit more: no entry is moved but those of one
// page, in the first-level cache, and no memory is given up. A table that doubled as a
// whole would touch its memory anew each time, at all shards at once.

const (
	pageEntries = 512
	// pageRows entries are a full page: beyond 13 of 16 the probes of rows not yet there
	// grow long.
	pageRows = pageEntries * 13 / 16
	// maxDepth bits at most choose the page; the low ones of the tag choose the place in it.
	maxDepth = 22

	// wideRef marks a reference to a wide row.
	wideRef = 1 << 31
)

// indexPage is a hash table with linear probing. An entry is the tag of a row, the low
// half of its hash, then a reference: the row's number in its form plus 1, with wideRef. 0
// is an empty entry. As the entry has the tag, splitting a page does not read the rows.
type indexPage struct {
	used    uint32
	depth   uint32 // how many top bits its entries have in common
	entries [pageEntries]uint64
}

func (p *indexPage) insert(tag, ref uint32) {
	i := tag % pageEntries
	for p.entries[i] != 0 {
		i = (i + 1) % pageEntries
	}
	p.entries[i] = uint64(tag)<<32 | uint64(ref)
	p.used++
}

// pageSource gives out pages. It is safe for concurrent use.
type pageSource struct {
	mem  *arena
	mu   sync.Mutex
	free []indexPage
}

const (
	firstPages  = 16  // from the collector's heap: most logs are small
	sourcePages = 511 // just under a huge page
)

// noPage is the page of an index without entries; it counts as full, so that the first
// row replaces it.
var noPage = indexPage{used: pageEntries}

func (s *pageSource) page() *indexPage {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.free == nil:
		s.free = make([]indexPage, firstPages)
	case len(s.free) == 0:
		s.free = alloc[[sourcePages]indexPage](s.mem, true)[:]
	}
	p := &s.free[0]
	s.free = s.free[1:]
	return p
}

// index finds the entries of a shard.
type index struct {
	source *pageSource
	dir    []*indexPage // by the top depth bits of a tag
	depth  uint32
}

func (x *index) page(tag uint32) *indexPage { return x.dir[tag>>(32-x.depth)] }

// find returns the reference of the first entry with the tag, or 0.
func (x *index) find(tag uint32) uint32 {
	p := x.page(tag)
	for i := tag % pageEntries; ; i = (i + 1) % pageEntries {
		if e := p.entries[i]; e == 0 || uint32(e>>32) == tag {
			return uint32(e)
		}
	}
}

// add adds the reference of a row that is not there yet. It returns false if there is no room.
func (x *index) add(tag, ref uint32) bool {
	if x.page(tag).used >= pageRows && !x.grow(tag) {
		return false
	}
	x.page(tag).insert(tag, ref)
	return true
}

// grow makes room in the page of tag, or returns false if nothing tells its entries apart.
func (x *index) grow(tag uint32) bool {
	p := x.page(tag)
	if p == &noPage {
		x.dir[0] = x.source.page()
		return true
	}
	if p.depth == maxDepth {
		return p.used < pageEntries-1 // a probe ends at an empty entry
	}
	if p.depth == x.depth {
		dir := make([]*indexPage, 2*len(x.dir))
		for i, p := range x.dir {
			dir[2*i], dir[2*i+1] = p, p
		}
		x.dir, x.depth = dir, x.depth+1
	}
	p.depth++
	bit := uint64(1) << (64 - p.depth)
	q := x.source.page()
	q.depth = p.depth
	old := p.entries
	p.used, p.entries = 0, [pageEntries]uint64{}
	for _, e := range old {
		switch {
		case e == 0:
		case e&bit != 0:
			q.insert(uint32(e>>32), uint32(e))
		default:
			p.insert(uint32(e>>32), uint32(e))
		}
	}
	// The slots of p are those whose top p.depth-1 bits are the tag's; q has the second half.
	n := 1 << (x.depth - p.depth)
	first := int(tag>>(32-p.depth)|1) * n
	for i := range n {
		x.dir[first+i] = q
	}
	return x.page(tag).used < pageRows || x.grow(tag)
}
