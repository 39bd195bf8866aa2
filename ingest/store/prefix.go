package store

import (
	"math/bits"
	"slices"
	"sort"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// maxLevel is the coarsest level of roll-up. Level 0 keeps addresses; the first one has
// prefixes of /24 (IPv6 /48), the next /20 (/40), and so on to /0: unless a bound of the
// rules cuts them.
const maxLevel = 7

// levelFree returns how many low bits of a are free at the level, bounds aside.
func levelFree(a flow.Addr, level uint8) int {
	switch {
	case level == 0:
		return 0
	case a.Is4():
		return 4 + 4*int(level)
	}
	return 72 + 8*int(level)
}

// addrClasses cuts the addresses, as numbers of 128 bits, into classes that no rule tells apart.
type addrClasses struct {
	bounds []flow.Addr // the first address of each class but the lowest
	// The class that was looked up last, which is often the next one.
	from, next flow.Addr
}

func newAddrClasses(bounds []flow.Addr) []flow.Addr {
	// "No address", and the IPv4 addresses, are classes of their own.
	all := append(slices.Clone(bounds), flow.Addr{Lo: 1}, flow.Addr4(0), flow.Addr{Lo: flow.Addr4(1<<32-1).Lo + 1})
	slices.SortFunc(all, compareNumbers)
	all = slices.Compact(all)
	if all[0] == (flow.Addr{}) {
		all = all[1:]
	}
	return all
}

func compareNumbers(a, b flow.Addr) int {
	switch {
	case lessNumber(a, b):
		return -1
	case lessNumber(b, a):
		return 1
	}
	return 0
}

func lessNumber(a, b flow.Addr) bool { return a.Hi < b.Hi || a.Hi == b.Hi && a.Lo < b.Lo }

// room returns the length, as free bits, of the largest prefix with a in it that no bound cuts.
func (c *addrClasses) room(a flow.Addr) int {
	if lessNumber(a, c.from) || c.next != (flow.Addr{}) && !lessNumber(a, c.next) || c.from == c.next {
		n := sort.Search(len(c.bounds), func(i int) bool { return lessNumber(a, c.bounds[i]) })
		c.from, c.next = flow.Addr{}, flow.Addr{}
		if n > 0 {
			c.from = c.bounds[n-1]
		}
		if n < len(c.bounds) {
			c.next = c.bounds[n]
		}
	}
	// A prefix ends where a differs from the last address before the class, and from the
	// first one behind it.
	room := 128
	if c.from != (flow.Addr{}) {
		before := flow.Addr{Hi: c.from.Hi, Lo: c.from.Lo - 1}
		if c.from.Lo == 0 {
			before.Hi--
		}
		room = bitLen(a, before) - 1
	}
	if c.next != (flow.Addr{}) {
		room = min(room, bitLen(a, c.next)-1)
	}
	return room
}

// bitLen returns the number of bits from the first in which a and b differ.
func bitLen(a, b flow.Addr) int {
	if hi := a.Hi ^ b.Hi; hi != 0 {
		return 64 + bits.Len64(hi)
	}
	return bits.Len64(a.Lo ^ b.Lo)
}

// fold returns the prefix with a in it at the level: its first address and how many low
// bits of it are free. All addresses of the prefix give the same one; that of a higher
// level holds it, and folding its first address to that level gives the same as folding a.
func (c *addrClasses) fold(a flow.Addr, level uint8) (first flow.Addr, free uint8) {
	if level == 0 {
		return a, 0
	}
	n := min(c.room(a), levelFree(a, level))
	return cutBits(a, n), uint8(n)
}

// cutBits returns a with its n low bits cleared.
func cutBits(a flow.Addr, n int) flow.Addr {
	if n >= 64 {
		return flow.Addr{Hi: a.Hi >> (n - 64) << (n - 64)}
	}
	return flow.Addr{Hi: a.Hi, Lo: a.Lo >> n << n}
}
