package engine

import (
	"encoding/binary"
	"slices"
	"sync"
)

// merger joins the parts of a replay, in the order of interfaces, while others are still
// being made.
type merger struct {
	e   *replayer
	mu  sync.Mutex // for all of the rest
	res *Result

	waiting map[int]*part       // done, and not joined yet
	next    int                 // the part to join next
	numbers map[*worker][]int32 // a worker's number of a signature → the result's; -1: none yet
	known   map[string]int32    // by key
}

func newMerger(e *replayer) *merger {
	return &merger{
		e:       e,
		res:     &Result{Snapshot: e.snap, Store: e.c, History: e.hist, Openers: e.openers, Ledger: e.c.Ledger()},
		waiting: make(map[int]*part), numbers: make(map[*worker][]int32), known: make(map[string]int32),
	}
}

// take takes the part of span i.
func (m *merger) take(i int, p *part) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waiting[i] = p
	for {
		p, ok := m.waiting[m.next]
		if !ok {
			return
		}
		delete(m.waiting, m.next)
		m.next++
		m.join(p)
	}
}

// join appends p to the result.
func (m *merger) join(p *part) {
	res := m.res
	res.Ledger.Merge(&p.ledger)
	for method, n := range p.orientation {
		res.Orientation[method] += n
	}
	res.Former += p.former
	res.Outlived = sum(res.Outlived, p.fidelity.Outlived)
	res.RejectedBy.add(&p.rejected)
	res.Undecided = append(res.Undecided, p.undecided...)
	if p.fidelity.Judged > 0 {
		res.Fidelity.Judged += p.fidelity.Judged
		res.Fidelity.Agree += p.fidelity.Agree
		res.Fidelity.Interfaces = append(res.Fidelity.Interfaces, p.fidelity)
	}
	own := m.numbers[p.owner]
	if more := len(p.signatures) - len(own); more > 0 {
		own = append(own, slices.Repeat([]int32{-1}, more)...)
		m.numbers[p.owner] = own
	}
	for j := range p.site.signatures {
		m.number(p, own, &p.site.signatures[j])
	}
	for _, x := range p.parts {
		x.Connection += int32(res.Connections.len)
		x.Signature = p.site.signatures[x.Signature]
		res.Parts = append(res.Parts, x)
	}
	res.Connections.add(p.site, p.packed)
	res.Connections.folded = res.Connections.folded || p.folded
}

// number turns a number of the owner of p into one of the result, which own tells where
// it is known. Signatures are numbered by first use, so that no worker shows.
func (m *merger) number(p *part, own []int32, signature *int32) {
	if own[*signature] < 0 {
		s := p.signatures[*signature]
		k := s.key()
		n, ok := m.known[k]
		if !ok {
			n = int32(len(m.res.Signatures))
			m.known[k] = n
			m.res.Signatures = append(m.res.Signatures, s)
		}
		own[*signature] = n
	}
	*signature = own[*signature]
}

// result finishes what was joined.
func (m *merger) result(workers int) *Result {
	res := m.res
	res.Connections.blocks = m.e.blocks
	slices.SortFunc(res.Undecided, compareUndecided)
	res.Undecided = res.Undecided[:min(len(res.Undecided), maxUndecided)]
	res.Rules = m.e.paths.rules
	res.Usage = usage(res, workers)
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
