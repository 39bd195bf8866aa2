package digest

import (
	"cmp"
	"math/bits"
	"net/netip"
	"slices"

	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

const (
	addrCells = 4096 // of IPv4 addresses at most: a square of 64 by 64
	lineCells = 256  // of IPv6 addresses and ports at most
	mostUsed  = 8    // cells that are listed
)

// Space is a range of addresses or ports that a rule admits, cut into cells of equal
// size, and how many accepted connections each cell saw.
type Space struct {
	Rule   int          // index into Result.Rules
	Prefix netip.Prefix // of addresses; the zero Prefix: it is about ports
	Ports  netset.PortRange
	Cells  []byte // a [Class] digit each, in order
	Used   []Cell // the greatest by connections
	Filled int    // cells with any connection
}

// Cell is one cell of a [Space] with its connections.
type Cell struct {
	Index       int
	Connections uint64
}

// Cell returns the prefix or the ports of cell i.
func (s *Space) Cell(i int) (netip.Prefix, netset.PortRange) {
	if !s.Prefix.IsValid() {
		size := (int(s.Ports.Last) - int(s.Ports.First) + len(s.Cells)) / len(s.Cells)
		lo := int(s.Ports.First) + i*size
		return netip.Prefix{}, netset.PortRange{First: uint16(lo), Last: uint16(min(lo+size-1, int(s.Ports.Last)))}
	}
	depth := bits.TrailingZeros(uint(len(s.Cells)))
	b := s.Prefix.Addr().AsSlice()
	for k := range depth {
		if i>>(depth-1-k)&1 != 0 {
			at := s.Prefix.Bits() + k
			b[at/8] |= 0x80 >> (at % 8)
		}
	}
	a, _ := netip.AddrFromSlice(b)
	return netip.PrefixFrom(a, s.Prefix.Bits()+depth), netset.PortRange{}
}

// Spaces measures the given rules of res, indexes into Result.Rules: the addresses of
// those that name one prefix of at least 256 addresses, the ports of those that name one
// range of at least 16. Connections that may have used the rule count as such that did.
// Rules of neither kind have no Space.
func Spaces(res *engine.Result, rules []int) []Space {
	var out []*space
	of := make(map[int32][]*space)
	for _, id := range rules {
		for _, s := range spacesOf(id, res.Rules[id]) {
			out = append(out, s)
			of[int32(id)] = append(of[int32(id)], s)
		}
	}
	bySignature := make([][]*space, len(res.Signatures))
	for i := range res.Signatures {
		s := &res.Signatures[i]
		for _, id := range s.Hits {
			bySignature[i] = append(bySignature[i], of[id]...)
		}
		for _, id := range s.Possible {
			if !slices.Contains(s.Hits, id) {
				bySignature[i] = append(bySignature[i], of[id]...)
			}
		}
	}
	for _, c := range res.Connections.All() {
		if c.Action != flow.Accept {
			continue
		}
		for _, s := range bySignature[c.Signature] {
			s.add(c)
		}
	}
	var done []Space
	for _, s := range out {
		done = append(done, s.finish())
	}
	return done
}

type space struct {
	Space
	proto  policy.ProtoSet
	addrs  netset.Addrs
	counts []uint64
}

func spacesOf(id int, r *policy.Rule) []*space {
	if len(r.Match) != 1 {
		return nil
	}
	m := &r.Match[0]
	var out []*space
	if len(m.Remote.Prefixes) == 1 && len(m.Remote.Refs) == 0 && !m.Remote.Unknown {
		p := m.Remote.Prefixes[0]
		free := p.Addr().BitLen() - p.Bits()
		depth := bits.TrailingZeros(addrCells)
		if p.Addr().Is6() {
			depth = bits.TrailingZeros(lineCells)
		}
		depth = min(depth, free&^1) // an even number of bits is a square
		if free >= 8 {
			out = append(out, &space{Space: Space{Rule: id, Prefix: p}, proto: m.Protos, addrs: netset.AddrsOf(p), counts: make([]uint64, 1<<depth)})
		}
	}
	ports := m.ServicePorts(r.Direction)
	if n := int(ports.Last) - int(ports.First) + 1; n >= 16 && r.PortList == "" && (m.Protos.Has(flow.TCP) || m.Protos.Has(flow.UDP)) {
		size := (n + lineCells - 1) / lineCells
		out = append(out, &space{Space: Space{Rule: id, Ports: ports}, proto: m.Protos, counts: make([]uint64, (n+size-1)/size)})
	}
	return out
}

func (s *space) add(c *engine.Connection) {
	if s.Prefix.IsValid() {
		at, ok := s.addrs.Intersect(c.Peers())
		if !ok {
			return
		}
		depth := bits.TrailingZeros(uint(len(s.counts)))
		// The bits below the prefix, of 128 with IPv4 at the end.
		shift := s.Prefix.Addr().BitLen() - s.Prefix.Bits() - depth
		cell := func(a flow.Addr) int {
			v := a.Lo >> min(shift, 63)
			if shift >= 64 {
				v = a.Hi >> (shift - 64)
			} else if shift > 0 {
				v = a.Lo>>shift | a.Hi<<(64-shift)
			}
			return int(v & uint64(len(s.counts)-1))
		}
		for i := cell(at.First); i <= cell(at.Last); i++ { // peers that were rolled up may be in any
			s.counts[i]++
		}
		return
	}
	if !c.Proto.HasPorts() || c.PortHi < s.Ports.First || c.Port > s.Ports.Last {
		return
	}
	size := (int(s.Ports.Last) - int(s.Ports.First) + len(s.counts)) / len(s.counts)
	lo, hi := max(c.Port, s.Ports.First), min(c.PortHi, s.Ports.Last)
	for i := int(lo-s.Ports.First) / size; i <= int(hi-s.Ports.First)/size; i++ {
		s.counts[i]++
	}
}

func (s *space) finish() Space {
	s.Cells = make([]byte, len(s.counts))
	for i, n := range s.counts {
		if s.Cells[i] = Class(n); n > 0 {
			s.Used = append(s.Used, Cell{i, n})
		}
	}
	s.Filled = len(s.Used)
	slices.SortFunc(s.Used, func(a, b Cell) int {
		return cmp.Or(cmp.Compare(b.Connections, a.Connections), cmp.Compare(a.Index, b.Index))
	})
	s.Used = s.Used[:min(len(s.Used), mostUsed)]
	return s.Space
}
