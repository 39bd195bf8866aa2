package engine

import (
	"iter"
	"runtime"
	"slices"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// Connections are the connections of a [Result]: millions, so they are kept packed, and
// apart from the collector's heap. A Connection is unpacked as it is asked for. The zero
// value holds none. They are immutable and safe for concurrent use.
type Connections struct {
	blocks *store.Blocks // has the memory of what is packed
	runs   []run
	len    int
	folded bool // some stand for the peers of a prefix
}

// run is connections of one interface that follow each other.
type run struct {
	first  int // index of the first
	packed []packed
	*site
}

// site is what the connections of one interface share.
type site struct {
	iface      int32
	signatures []int32      // by the number that a packed connection has for its own
	wide       []Connection // those that cannot be packed; Signature is the number only
}

// packed is a connection with an IPv4 peer and with counts that fit, as nearly all are: in
// 40 bytes instead of 88. Otherwise it says which of the wide ones it is.
type packed struct {
	days                    uint64
	remote                  uint32 // or the index of the wide one
	records, packets, bytes uint32
	first, last             uint32
	port                    uint16
	signature               uint16
	flags                   uint16
	proto                   flow.Proto
	free                    uint8
}

// The flags of a packed connection: two bits each, then one.
const (
	directionAt    = 0
	actionAt       = 2
	verdictAt      = 4
	groupVerdictAt = 6
	certain        = 1 << 8
	proven         = 1 << 9
	answered       = 1 << 10
	carried        = 1 << 11
	isWide         = 1 << 12
)

func flagIf(b bool, flag uint16) uint16 {
	if b {
		return flag
	}
	return 0
}

// pack returns c packed, with the given number of its signature.
func (s *site) pack(c *Connection, signature int32) packed {
	if big := c.Records | c.Packets | c.Bytes | uint64(c.First) | uint64(c.Last); !c.Remote.Is4() || big>>32 != 0 || c.PortHi != c.Port || signature>>16 != 0 {
		s.wide = append(s.wide, *c)
		s.wide[len(s.wide)-1].Signature = signature
		return packed{flags: isWide, remote: uint32(len(s.wide) - 1)}
	}
	return packed{
		days: c.Days, remote: c.Remote.V4(), records: uint32(c.Records), packets: uint32(c.Packets), bytes: uint32(c.Bytes),
		first: uint32(c.First), last: uint32(c.Last), port: c.Port, signature: uint16(signature), proto: c.Proto, free: c.RemoteFree,
		flags: uint16(c.Direction)<<directionAt | uint16(c.Action)<<actionAt | uint16(c.Verdict)<<verdictAt | uint16(c.GroupVerdict)<<groupVerdictAt |
			flagIf(c.Certain, certain) | flagIf(c.Proven, proven) | flagIf(c.Answered, answered) | flagIf(c.Carried, carried),
	}
}

// unpack sets c to what p is, and returns the number of its signature.
func (s *site) unpack(p *packed, c *Connection) int32 {
	if p.flags&isWide != 0 {
		*c = s.wide[p.remote]
		number := c.Signature
		c.Signature = s.signatures[number]
		return number
	}
	f := p.flags
	*c = Connection{
		Interface: s.iface, Direction: flow.Direction(f >> directionAt & 3), Proto: p.proto, Action: flow.Action(f >> actionAt & 3),
		Remote: flow.Addr4(p.remote), RemoteFree: p.free, Port: p.port, PortHi: p.port,
		Certain: f&certain != 0, Proven: f&proven != 0, Answered: f&answered != 0, Carried: f&carried != 0,
		Verdict: policy.Verdict(f >> verdictAt & 3), GroupVerdict: policy.Verdict(f >> groupVerdictAt & 3),
		Signature: s.signatures[p.signature],
		Records:   uint64(p.records), Packets: uint64(p.packets), Bytes: uint64(p.bytes), First: int64(p.first), Last: int64(p.last), Days: p.days,
	}
	return int32(p.signature)
}

// ConnectionsOf returns Connections with those of list, in its order.
func ConnectionsOf(list []Connection) Connections {
	var all Connections
	for lo, hi := 0, 0; lo < len(list); lo = hi {
		s := &site{iface: list[lo].Interface}
		numbers := make(map[int32]int32)
		var run []packed
		for ; hi < len(list) && list[hi].Interface == s.iface; hi++ {
			c := &list[hi]
			n, ok := numbers[c.Signature]
			if !ok {
				n = int32(len(s.signatures))
				numbers[c.Signature] = n
				s.signatures = append(s.signatures, c.Signature)
			}
			run = append(run, s.pack(c, n))
			all.folded = all.folded || c.RemoteFree > 0
		}
		all.add(s, run)
	}
	return all
}

// add appends the connections of s.
func (c *Connections) add(s *site, p []packed) {
	if len(p) > 0 {
		c.runs = append(c.runs, run{c.len, p, s})
		c.len += len(p)
	}
}

// Len returns how many there are.
func (c *Connections) Len() int { return c.len }

// At returns connection i.
func (c *Connections) At(i int) Connection {
	var out Connection
	r := &c.runs[c.runOf(i)]
	r.unpack(&r.packed[i-r.first], &out)
	runtime.KeepAlive(c)
	return out
}

// runOf returns the index of the run that has connection i.
func (c *Connections) runOf(i int) int {
	n, found := slices.BinarySearchFunc(c.runs, i, func(r run, i int) int { return r.first - i })
	if !found {
		n--
	}
	return n
}

// All ranges over the connections with their indexes, in order. Each is overwritten by the
// next: who keeps one keeps a copy.
func (c *Connections) All() iter.Seq2[int, *Connection] { return c.Range(0, c.len) }

// Range is All for the connections from lo up to, and without, hi.
func (c *Connections) Range(lo, hi int) iter.Seq2[int, *Connection] {
	return func(yield func(int, *Connection) bool) {
		if lo >= hi {
			return
		}
		var x Connection
		for n := c.runOf(lo); n < len(c.runs) && c.runs[n].first < hi; n++ {
			r := &c.runs[n]
			from := max(lo-r.first, 0)
			for k := range r.packed[from:min(hi-r.first, len(r.packed))] {
				r.unpack(&r.packed[from+k], &x)
				if !yield(r.first+from+k, &x) {
					return
				}
			}
		}
		runtime.KeepAlive(c)
	}
}

// localNumber is the number that a signature of a worker has in a site of the part with the
// given serial.
type localNumber struct{ serial, number int32 }

// numberOf returns the number in direction d of p of a signature of w.
func (w *worker) numberOf(p *part, d int, signature int32) int32 {
	if more := len(w.sigList) - len(w.local[d]); more > 0 {
		w.local[d] = append(w.local[d], make([]localNumber, more)...)
	}
	l := &w.local[d][signature]
	if l.serial != w.serial {
		s := p.halves[d].site
		*l = localNumber{w.serial, int32(len(s.signatures))}
		s.signatures = append(s.signatures, signature)
	}
	return l.number
}

// pack adds c, whose signature has the worker's number, to p.
func (w *worker) pack(p *part, c *Connection) {
	d := side(c.Direction)
	w.packing[d].add(w.e, p.halves[d].site.pack(c, w.numberOf(p, d, c.Signature)))
	p.folded = p.folded || c.RemoteFree > 0
}

const (
	// blockSize connections are taken from the system at once: a huge page.
	blockSize = 2 << 20 / 40
	// fewRows make fewer connections than are worth a block.
	fewRows = 1 << 13
)

// packing is the connections of one direction being packed, where they are to stay.
type packing struct {
	block []packed
	from  int // where those of the part at hand begin
	to    int
}

// begin begins a part.
func (k *packing) begin() { k.from = k.to }

// done returns the connections of the part.
func (k *packing) done() []packed { return k.block[k.from:k.to:k.to] }

// add adds one. A block that is full is left to the parts before.
func (k *packing) add(e *replayer, c packed) {
	if k.to == len(k.block) {
		was := k.done()
		if size := max(blockSize, 2*len(was)); e.c.Len() < fewRows {
			k.block = make([]packed, 2*len(was)+8)
		} else {
			k.block = store.NewBlock[packed](e.blocks, size)
		}
		k.from, k.to = 0, copy(k.block, was)
	}
	k.block[k.to] = c
	k.to++
}
