package store

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
	"sync"
)

const (
	// shardBits: 128 shards give a full batch 64 rows for each lock taken, and
	// keep any two of a few workers apart most of the time.
	shardBits = 7
	numShards = 1 << shardBits

	// chunkRows: 512 narrow rows are 32 KiB, the largest size that Go's allocator
	// serves without going to its page heap, so a shard's last chunk wastes little.
	chunkBits = 9
	chunkRows = 1 << chunkBits

	// wideRef marks a reference to a wide row.
	wideRef = 1 << 31
)

type (
	narrowChunk [chunkRows]narrowRow
	wideChunk   [chunkRows]wideRow
)

// shard holds the rows whose hash begins with its number.
//
// Rows lie in chunks that are only appended to and never move. The index over
// them is a hash table with linear probing; an entry is the low half of the
// row's hash, then a reference: the row's number in its form plus 1, with
// wideRef. 0 is an empty entry. As the entry has the hash, growing the index
// does not read the rows.
type shard struct {
	mu    sync.Mutex
	index []uint64
	used  int

	narrow    []*narrowChunk
	wide      []*wideChunk
	numNarrow int
	numWide   int

	touched uint64   // see touch
	_       [64]byte // keeps neighbours off each other's cache line
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
	if k.is4() {
		return s.narrow(k.ends4(), k.remote4(), k.kind)
	}
	h := s.narrow(uint64(k.iface), uint64(k.localPort)<<16|uint64(k.remotePort), k.kind)
	h = mix(k.local.Hi^s[0]^h, k.local.Lo^s[1])
	return mix(k.remote.Hi^s[2]^h, k.remote.Lo^s[3])
}

func shardOf(h uint64) int { return int(h >> (64 - shardBits)) }

func (s *shard) narrowAt(n uint32) *narrowRow { return &s.narrow[n>>chunkBits][n%chunkRows] }
func (s *shard) wideAt(n uint32) *wideRow     { return &s.wide[n>>chunkBits][n%chunkRows] }

// touch reads the index entries and rows that the hashes are going to need, in
// loops whose reads do not wait for each other, so that misses of the cache
// overlap instead of adding up.
func (s *shard) touch(hashes []uint64, order []uint16) {
	if len(s.index) == 0 {
		return
	}
	var entries [touchRows]uint64
	mask := uint32(len(s.index) - 1)
	for i, p := range order {
		entries[i%touchRows] = s.index[uint32(hashes[p])&mask]
	}
	sum := s.touched
	for i := range order {
		if e := uint32(entries[i%touchRows]); e != 0 && e&wideRef == 0 {
			sum += s.narrowAt(e - 1).ends
		}
	}
	s.touched = sum
}

// touchRows is how many rows are touched ahead: more than the misses a processor
// keeps under way, few enough for their lines to stay in the first-level cache.
const touchRows = 32

// addNarrow adds one row, of hash h. The caller holds the lock.
func (s *shard) addNarrow(h uint64, r *narrowRow) {
	s.reserve()
	tag, mask := uint32(h), uint32(len(s.index)-1)
	for i := tag & mask; ; i = (i + 1) & mask {
		e := s.index[i]
		switch ref := uint32(e); {
		case e == 0:
			s.index[i] = uint64(tag)<<32 | uint64(s.appendNarrow(r))
			s.used++
			return
		case uint32(e>>32) != tag:
		case ref&wideRef == 0:
			have := s.narrowAt(ref - 1)
			if !have.sameKey(r) {
				continue
			}
			if !have.add(r) {
				wide := r.wide()
				s.widen(i).add(&wide)
			}
			return
		default:
			have := s.wideAt(ref&^wideRef - 1)
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
	s.reserve()
	tag, mask := uint32(h), uint32(len(s.index)-1)
	for i := tag & mask; ; i = (i + 1) & mask {
		e := s.index[i]
		switch ref := uint32(e); {
		case e == 0:
			s.index[i] = uint64(tag)<<32 | uint64(s.appendWide(r))
			s.used++
			return
		case uint32(e>>32) != tag:
		case ref&wideRef == 0:
			if s.narrowAt(ref-1).key() == r.wideKey {
				s.widen(i).add(r)
				return
			}
		default:
			if have := s.wideAt(ref&^wideRef - 1); have.wideKey == r.wideKey {
				have.add(r)
				return
			}
		}
	}
}

// widen moves the narrow row at entry i to the wide form and returns it.
func (s *shard) widen(i uint32) *wideRow {
	narrow := s.narrowAt(uint32(s.index[i]) - 1)
	wide := narrow.wide()
	ref := s.appendWide(&wide)
	s.index[i] = s.index[i]>>32<<32 | uint64(ref)
	*narrow = narrowRow{}
	return s.wideAt(ref&^wideRef - 1)
}

func (s *shard) appendNarrow(r *narrowRow) (ref uint32) {
	n := s.numNarrow
	if n>>chunkBits == len(s.narrow) {
		s.narrow = append(s.narrow, new(narrowChunk))
	}
	s.narrow[n>>chunkBits][n%chunkRows] = *r
	s.numNarrow++
	return uint32(n + 1)
}

func (s *shard) appendWide(r *wideRow) (ref uint32) {
	n := s.numWide
	if n>>chunkBits == len(s.wide) {
		s.wide = append(s.wide, new(wideChunk))
	}
	s.wide[n>>chunkBits][n%chunkRows] = *r
	s.numWide++
	return uint32(n+1) | wideRef
}

// reserve makes room for one more entry. The index is at most three quarters
// full: beyond that the probes of rows not yet there grow long.
func (s *shard) reserve() {
	if 4*(s.used+1) <= 3*len(s.index) {
		return
	}
	old := s.index
	s.index = make([]uint64, max(64, 2*len(old)))
	mask := uint32(len(s.index) - 1)
	for _, e := range old {
		if e == 0 {
			continue
		}
		i := uint32(e>>32) & mask
		for s.index[i] != 0 {
			i = (i + 1) & mask
		}
		s.index[i] = e
	}
}
