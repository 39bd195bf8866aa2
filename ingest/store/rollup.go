package store

import (
	"math"
	"runtime"

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
	if c.rolled != nil {
		return *c.rolled
	}
	u := RollUp{MaxRows: c.roll.limit, Services: len(c.roll.levels)}
	if u.Services > 0 {
		u.Peers = c.roll.peers
	}
	if c.isWide != nil { // no other row is folded
		for i := range c.len {
			if n, wide := c.find(i); wide && c.wide.at(n).free > 0 {
				u.Rows++
			}
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

// rollUp folds the rows as far as those so far ask for, and gives them to the shards anew.
func (t *Tally) rollUp() {
	t.gate.Lock() // no worker is adding
	defer t.gate.Unlock()
	if !t.overfull() { // another worker was faster
		return
	}
	t.pages.mem.releaseAll() // before more is taken
	t.pages = &pageSource{mem: newArena()}
	t.foldRows()
	t.reindex()
	n := max(uint64(t.narrow.next)+uint64(t.wide.next), uint64(t.roll.limit))
	t.rollAt = n + n/4 + numShards*chunkRows
	if t.eager {
		t.rollAt = 0
	}
}

// overfull reports whether there are so many rows that it is time to roll up.
func (t *Tally) overfull() bool {
	return t.roll.limit > 0 && uint64(t.narrow.len())+uint64(t.wide.len()) > t.rollAt
}
