package store

import (
	"cmp"
	"slices"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// sorter sorts the rows of one interface after another. Rows are long, so what is sorted
// is their keys; the rows are moved once.
type sorter struct {
	keys     []sortKey
	wideKeys []wideSortKey
}

// sortKey is the whole key of a narrow row but for the interface, as numbers that order as
// rows do, bits from the top:
//
//	hi: protocol 8, remote address 32, local address 24
//	lo: local address 8, local port 16, remote port 16, client, side, action, class 2 each, 0
//
// then the rank of its interface or era, as rows that are the same but for that are in
// its order.
type sortKey struct {
	hi, lo uint64
	era    uint32
	row    uint32
}

func (k *sortKey) less(o *sortKey) bool {
	if k.hi != o.hi {
		return k.hi < o.hi
	}
	if k.lo != o.lo {
		return k.lo < o.lo
	}
	return k.era < o.era
}

// at returns byte i of hi and lo, from the top.
func (k *sortKey) at(i int) uint8 {
	word := k.hi
	if i >= 8 {
		word = k.lo
	}
	return uint8(word >> (56 - 8*(i&7)))
}

// sortNarrow sorts the rows from to end.
func (s *sorter) sortNarrow(all *rows[narrowRow], from, end uint32) {
	s.keys = slices.Grow(s.keys[:0], int(end-from))
	for i := from; i < end; i++ {
		r := all.at(i)
		local, ports := r.ends&(1<<32-1), r.remote&(1<<32-1)
		s.keys = append(s.keys, sortKey{
			hi:  uint64(r.kind>>8)<<56 | r.remote>>32<<24 | local>>8,
			lo:  local<<56 | ports<<24 | uint64(r.kind&0xff)<<16,
			era: r.iface(), row: i - from,
		})
	}
	radixSort(s.keys, 0)
	permute(all, from, len(s.keys), func(i int) *uint32 { return &s.keys[i].row })
}

// smallSort keys or less are sorted by insertion.
const smallSort = 24

// radixSort sorts keys that have the first bytes, so many, in common.
func radixSort(keys []sortKey, bytes int) {
	for ; len(keys) > smallSort && bytes < 16; bytes++ {
		var starts, ends [257]uint32
		for i := range keys {
			ends[keys[i].at(bytes)]++
		}
		if ends[keys[0].at(bytes)] == uint32(len(keys)) {
			continue
		}
		sum := uint32(0)
		for d := range 256 {
			starts[d] = sum
			sum += ends[d]
			ends[d] = sum
		}
		next := starts
		for d := range 256 {
			for i := next[d]; i < ends[d]; {
				to := keys[i].at(bytes)
				if int(to) == d {
					i++
					continue
				}
				j := next[to]
				next[to]++
				keys[i], keys[j] = keys[j], keys[i]
			}
			next[d] = ends[d]
		}
		for d := range 256 {
			if part := keys[starts[d]:ends[d]]; len(part) > 1 {
				radixSort(part, bytes+1)
			}
		}
		return
	}
	if len(keys) > smallSort { // the same but for the era
		slices.SortFunc(keys, func(a, b sortKey) int { return cmp.Compare(a.era, b.era) })
		return
	}
	for i := 1; i < len(keys); i++ {
		k := keys[i]
		j := i
		for ; j > 0 && k.less(&keys[j-1]); j-- {
			keys[j] = keys[j-1]
		}
		keys[j] = k
	}
}

// permute moves n rows, from place first on, so that row i is the one that was number
// *source(i). It overwrites the numbers.
func permute[T any](all *rows[T], first uint32, n int, source func(i int) *uint32) {
	for i := range n {
		if int(*source(i)) == i {
			continue
		}
		kept := *all.at(first + uint32(i))
		at := i
		for {
			next := int(*source(at))
			*source(at) = uint32(at)
			if next == i {
				break
			}
			*all.at(first + uint32(at)) = *all.at(first + uint32(next))
			at = next
		}
		*all.at(first + uint32(at)) = kept
	}
}

// wideSortKey is the start of the key of a wide row.
type wideSortKey struct {
	remote flow.Addr
	row    uint32
	proto  uint8
}

// sortWide sorts the rows from to end.
func (s *sorter) sortWide(all *rows[wideRow], from, end uint32) {
	s.wideKeys = slices.Grow(s.wideKeys[:0], int(end-from))
	for i := from; i < end; i++ {
		r := all.at(i)
		s.wideKeys = append(s.wideKeys, wideSortKey{r.remote, i - from, uint8(r.kind >> 8)})
	}
	slices.SortFunc(s.wideKeys, func(a, b wideSortKey) int {
		if a.proto != b.proto {
			return cmp.Compare(a.proto, b.proto)
		}
		if c := a.remote.Compare(b.remote); c != 0 {
			return c
		}
		return all.at(from + a.row).compare(&all.at(from + b.row).wideKey)
	})
	permute(all, from, len(s.wideKeys), func(i int) *uint32 { return &s.wideKeys[i].row })
}

// compare orders the keys of rows of one interface.
func (k *wideKey) compare(o *wideKey) int {
	if a, b := k.kind>>8, o.kind>>8; a != b {
		return cmp.Compare(a, b)
	}
	if c := k.remote.Compare(o.remote); c != 0 {
		return c
	}
	if k.free != o.free {
		return cmp.Compare(k.free, o.free)
	}
	if c := k.local.Compare(o.local); c != 0 {
		return c
	}
	return cmp.Or(cmp.Compare(k.localPort, o.localPort), cmp.Compare(k.remotePort, o.remotePort),
		cmp.Compare(k.kind&0xff, o.kind&0xff), cmp.Compare(k.iface, o.iface))
}
