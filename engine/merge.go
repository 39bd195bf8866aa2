package engine

import (
	"encoding/binary"
	"slices"
)

// merger joins the parts of a replay.
type merger struct {
	e       *replayer
	res     *Result
	numbers map[*worker][]int32 // a worker's number of a signature → the result's; -1: none yet
	known   map[string]int32    // by key
}

func newMerger(e *replayer) *merger {
	return &merger{
		e:       e,
		res:     &Result{Snapshot: e.snap, Store: e.c, History: e.hist, Openers: e.openers, Ledger: e.c.Ledger(), Connections: Connections{blocks: e.blocks}},
		numbers: make(map[*worker][]int32), known: make(map[string]int32),
	}
}

// join makes the result of parts, which are in the order of rows. Of an
// interface that has several it takes one direction after the other.
func (m *merger) join(parts []*part) {
	m.res.Usage = make([]Usage, len(m.e.paths.rules))
	users := slices.Repeat([]int32{-1}, len(m.res.Usage)) // the last interface with a hit of a rule
	for lo, hi := 0, 0; lo < len(parts); lo = hi {
		for ; hi < len(parts) && parts[hi].code == parts[lo].code; hi++ {
			m.add(parts[hi])
		}
		for d := range parts[lo].halves {
			for _, p := range parts[lo:hi] {
				m.number(p, d, users)
			}
		}
	}
}

// add adds all of p but its connections.
func (m *merger) add(p *part) {
	res := m.res
	res.Ledger.Merge(&p.ledger)
	for method, n := range p.orientation {
		res.Orientation[method] += n
	}
	res.Former += p.former
	if m.e.known[p.code] >= 0 {
		res.Traffic.Any, res.Traffic.Accepted = true, res.Traffic.Accepted || p.accepted
	}
	res.Outlived = sum(res.Outlived, p.fidelity.Outlived)
	res.RejectedBy.add(&p.rejected)
	res.Undecided = append(res.Undecided, p.undecided...)
	f := &res.Fidelity
	f.Judged += p.fidelity.Judged
	f.Agree += p.fidelity.Agree
	if n := len(f.Interfaces); n > 0 && f.Interfaces[n-1].Interface == p.fidelity.Interface {
		f.Interfaces[n-1].add(&p.fidelity)
	} else if p.fidelity.Judged > 0 {
		if p.fidelity.Causes == nil {
			p.fidelity.Causes = make(map[string]uint64)
		}
		f.Interfaces = append(f.Interfaces, p.fidelity)
	}
}

func (f *InterfaceFidelity) add(o *InterfaceFidelity) {
	f.Judged += o.Judged
	f.Agree += o.Agree
	f.Outlived = sum(f.Outlived, o.Outlived)
	for cause, n := range o.Causes {
		f.Causes[cause] += n
	}
}

// number adds the connections of direction d of p, whose signatures have numbers of its
// owner: they get those of the result. Signatures are numbered by first use, so that no
// worker shows. Interfaces are counted for the rules that connections hit.
func (m *merger) number(p *part, d int, users []int32) {
	own := m.numbers[p.owner]
	if more := len(p.owner.sigList) - len(own); more > 0 {
		own = append(own, slices.Repeat([]int32{-1}, more)...)
		m.numbers[p.owner] = own
	}
	res, h := m.res, &p.halves[d]
	for j, mine := range h.site.signatures {
		s := &p.owner.sigList[mine]
		if own[mine] < 0 {
			k := p.owner.sigKeys[mine]
			n, ok := m.known[k]
			if !ok {
				n = int32(len(res.Signatures))
				m.known[k] = n
				res.Signatures = append(res.Signatures, *s)
			}
			own[mine] = n
		}
		h.site.signatures[j] = own[mine]
		for _, id := range s.Hits {
			if users[id] != h.site.iface {
				users[id] = h.site.iface
				res.Usage[id].Interfaces++
			}
		}
	}
	before := 0 // connections of p in the other direction
	if d == 1 {
		before = len(p.halves[0].packed)
	}
	for _, x := range p.parts {
		if n := int(x.Connection) - before; n >= 0 && n < len(h.packed) {
			x.Connection, x.Signature = int32(res.Connections.len+n), h.site.signatures[x.Signature]
			res.Parts = append(res.Parts, x)
		}
	}
	res.Connections.add(h.site, h.packed)
	res.Connections.folded = res.Connections.folded || p.folded
}

// result finishes what was joined.
func (m *merger) result(workers int) *Result {
	res := m.res
	slices.SortFunc(res.Undecided, compareUndecided)
	res.Undecided = res.Undecided[:min(len(res.Undecided), maxUndecided)]
	res.Rules = m.e.paths.rules
	for id, r := range res.Rules {
		u := &res.Usage[id]
		u.Ref = r.Ref
		for _, w := range m.e.workers {
			if w.usage != nil {
				u.add(&w.usage[id])
			}
		}
	}
	if m.e.releaser != nil {
		res.Excerpts = m.e.releaser.excerpts
	}
	countPeers(res, workers)
	res.checkSum()
	return res
}

func (s *Signature) key() string {
	var b []byte
	for _, l := range [3][]int32{s.Hits, s.Decisive, s.Possible} {
		b = binary.AppendUvarint(b, uint64(len(l)))
		for _, id := range l {
			b = binary.AppendUvarint(b, uint64(id+1))
		}
	}
	return string(b)
}
