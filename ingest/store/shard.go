package store

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
	"sync"
)

const (
	// shardBits: 64 shards give a full batch 32 rows for each lock taken, whose misses of
	// the cache overlap, and keep any two of a few workers apart most of the time.
	shardBits = 6
	numShards = 1 << shardBits
)

// shard holds the rows whose hash begins with its number.
type shard struct {
	mu     sync.Mutex
	index  index
	narrow region[narrowRow]
	wide   region[wideRow]
	// Rows for which the index has no room, as too many have the same hash: chance does
	// not do that, nor can anyone who does not know the seed.
	spilled map[wideKey]uint32

	touched uint64   // see addAll
	_       [64]byte // keeps neighbours off each other's cache line
}

func newShard(pages *pageSource, narrow *table[narrowRow], wide *table[wideRow]) shard {
	return shard{
		index:  index{source: pages, dir: []*indexPage{&noPage}},
		narrow: region[narrowRow]{table: narrow},
		wide:   region[wideRow]{table: wide},
	}
}

// hashSeed keys the hash: whoever can write to a log must not be able to aim
// many rows at one place of the index.
type hashSeed [4]uint64

func newHashSeed() (s hashSeed) {
	var b [32]byte
	rand.Read(b[:])
	for i := range s {
		s[i] = binary.LittleEndian.Uint64(b[i*8:])
	}
	return s
}

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// narrow returns the hash of a row of two IPv4 addresses, in either form.
func (s *hashSeed) narrow(ends, remote uint64, k kind) uint64 {
	return mix(mix(ends^s[0], remote^s[1])^s[2], uint64(k)^s[3])
}

// wide returns the hash of any row.
func (s *hashSeed) wide(k *wideKey) uint64 {
	if k.is4() && k.free == 0 {
		return s.narrow(k.ends4(), k.remote4(), k.kind)
	}
	h := s.narrow(uint64(k.iface), uint64(k.localPort)<<16|uint64(k.remotePort), k.kind)
	h = mix(k.local.Hi^s[0]^h, k.local.Lo^s[1]^uint64(k.free))
	return mix(k.remote.Hi^s[2]^h, k.remote.Lo^s[3])
}

func shardOf(h uint64) int { return int(h >> (64 - shardBits)) }

// addAll adds rows, at most touchRows of them: those of the given hashes that order lists.
// First it reads, in loops whose reads do not wait for each other, the index entries and
// then the lines of the rows, so that misses of the cache overlap instead of adding up. The
// caller holds the lock.
func (s *shard) addAll(hashes []uint64, all []narrowRow, order []uint16) {
	sum := s.touched
	for _, p := range order {
		tag := uint32(hashes[p])
		sum += s.index.page(tag).entries[tag%pageEntries]
	}
	var refs [touchRows]uint32
	for i, p := range order {
		refs[i%touchRows] = s.index.find(uint32(hashes[p]))
	}
	fresh := s.narrow.next
	for i := range order {
		switch ref := refs[i%touchRows]; {
		case ref == 0 && fresh < s.narrow.end: // it will be appended, unless it was meanwhile
			sum += s.narrow.at(fresh).ends
			fresh++
		case ref-1 < wideRef-1:
			sum += s.narrow.at(ref - 1).ends
		}
	}
	s.touched = sum
	for i, p := range order {
		r := &all[p]
		if ref := refs[i%touchRows]; ref-1 < wideRef-1 {
			if have := s.narrow.at(ref - 1); have.sameKey(r) && have.add(r) {
				continue
			}
		}
		s.addNarrow(hashes[p], r)
	}
}

// touchWide does the same for wide rows. There are few of them, so it comes before addAll, for
// their misses to overlap with those of the narrow ones.
func (s *shard) touchWide(hashes []uint64, order []uint16) {
	for _, p := range order {
		tag := uint32(hashes[p])
		if e := uint32(s.index.page(tag).entries[tag%pageEntries]); e&wideRef != 0 {
			r := s.wide.at(e&^wideRef - 1)
			s.touched += r.local.Lo + r.records // it may be on two lines
		}
	}
}

// touchRows is how many rows are touched ahead: nearly always all that a batch has for a
// shard, few enough for their lines to stay in the first-level cache.
const touchRows = 64

// addNarrow adds one row, of hash h. The caller holds the lock.
func (s *shard) addNarrow(h uint64, r *narrowRow) {
	tag := uint32(h)
	p := s.index.page(tag)
	for i := tag % pageEntries; ; i = (i + 1) % pageEntries {
		e := p.entries[i]
		switch ref := uint32(e); {
		case e == 0:
			if p.used >= pageRows && !s.index.grow(tag) {
				wide := r.wide()
				s.spill(&wide)
				return
			}
			s.index.page(tag).insert(tag, s.narrow.append(r)+1)
			return
		case uint32(e>>32) != tag:
		case ref&wideRef == 0:
			have := s.narrow.at(ref - 1)
			if !have.sameKey(r) {
				continue
			}
			if !have.add(r) {
				wide := r.wide()
				s.widen(&p.entries[i]).add(&wide)
			}
			return
		default:
			have := s.wide.at(ref&^wideRef - 1)
			if have.wideKey == r.key() {
				wide := r.wide()
				have.add(&wide)
				return
			}
		}
	}
}

// addWide adds one row, of hash h. The caller holds the lock.
func (s *shard) addWide(h uint64, r *wideRow) {
	tag := uint32(h)
	p := s.index.page(tag)
	for i := tag % pageEntries; ; i = (i + 1) % pageEntries {
		e := p.entries[i]
		switch ref := uint32(e); {
		case e == 0:
			if p.used >= pageRows && !s.index.grow(tag) {
				s.spill(r)
				return
			}
			s.index.page(tag).insert(tag, wideRef|(s.wide.append(r)+1))
			return
		case uint32(e>>32) != tag:
		case ref&wideRef == 0:
			if s.narrow.at(ref-1).key() == r.wideKey {
				s.widen(&p.entries[i]).add(r)
				return
			}
		default:
			if have := s.wide.at(ref&^wideRef - 1); have.wideKey == r.wideKey {
				have.add(r)
				return
			}
		}
	}
}

// widen moves the narrow row of the entry e to the wide form and returns it.
func (s *shard) widen(e *uint64) *wideRow {
	narrow := s.narrow.at(uint32(*e) - 1)
	wide := narrow.wide()
	n := s.wide.append(&wide)
	*e = *e>>32<<32 | wideRef | uint64(n+1)
	*narrow = narrowRow{}
	return s.wide.at(n)
}

// spill adds a row that the index has no room for.
func (s *shard) spill(r *wideRow) {
	if n, ok := s.spilled[r.wideKey]; ok {
		s.wide.at(n).add(r)
		return
	}
	s.spilledRows()[r.wideKey] = s.wide.append(r)
}

func (s *shard) spilledRows() map[wideKey]uint32 {
	if s.spilled == nil {
		s.spilled = make(map[wideKey]uint32)
	}
	return s.spilled
}
