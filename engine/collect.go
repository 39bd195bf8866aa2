package engine

import (
	"github.com/sgadvise/sgadvise/engine/orient"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// collected replays the rows of one interface by entries, whatever the order of its rows
// and whatever was in force when.
func (w *worker) collected(s rowSpan) *part {
	p := w.newPart(s)
	w.collect(p, s)
	w.connect(p, w.e.known[s.code])
	w.finish(p)
	return p
}

// entry is one reading of one row, on its way to a connection.
type entry struct {
	remote                flow.Addr
	service               uint64 // port, greatest port and action; see serviceOf
	row                   uint32
	mark                  int32 // number of the signature of this reading alone; not set if the path changed over time
	proto                 flow.Proto
	opener, packet        flow.Direction
	remoteFree            uint8
	certain               bool
	verdict, groupVerdict policy.Verdict // of the connection; not set if the path changed over time
}

// serviceOf packs what tells the connections between two hosts apart.
func serviceOf(port, portHi uint16, action flow.Action) uint64 {
	return uint64(port)<<24 | uint64(portHi)<<8 | uint64(action)
}

func (a *entry) port() uint16        { return uint16(a.service >> 24) }
func (a *entry) portHi() uint16      { return uint16(a.service >> 8) }
func (a *entry) action() flow.Action { return flow.Action(a.service & 0xff) }

func (a *entry) sameHosts(b *entry) bool {
	return a.proto == b.proto && a.remote == b.remote && a.remoteFree == b.remoteFree
}

// reading returns the reading that a is.
func (a *entry) reading(r *store.Row) orient.Reading { return orient.Read(r, a.packet, a.opener) }

// collect judges the rows of one interface and makes entries of them.
func (w *worker) collect(p *part, s rowSpan) {
	i := w.e.known[s.code]
	w.entries[0], w.entries[1] = w.entries[0][:0], w.entries[1][:0]
	var r store.Row
	for row := s.lo; row < s.hi; row++ {
		w.e.c.Row(row, &r)
		op := w.e.openers[row]
		w.readings = orient.Readings(w.readings[:0], &r, op)
		w.note(p, row, &r, op)
		d, cause := w.dispose(i, &r)
		p.account(&r, op, d, cause)
		if r.Action == flow.Reject && d != flow.Late {
			p.rejected.count(w.rejecter(i, &r), r.Records)
		}
		if d == flow.Late {
			continue // a packet of no new connection is evidence for no rule
		}
		certain := op.Opener != flow.DirectionUnknown && r.Side != flow.DirectionUnknown
		for n := range w.readings {
			x := &w.readings[n]
			action := r.Action
			if x.IsReply() {
				action = flow.Accept // there was something to answer
			}
			w.enter(i, row, &r, x, action, certain)
		}
		if r.Action == flow.Accept && op.Weak {
			// See sweep.
			other := orient.Opinion{Opener: op.Opener.Reverse(), Method: op.Method}
			w.readings = orient.Readings(w.readings[:0], &r, other)
			for n := range w.readings {
				w.enter(i, row, &r, &w.readings[n], r.Action, false)
			}
		}
	}
}

// enter makes an entry of r, read as x.
func (w *worker) enter(i int32, row int, r *store.Row, x *orient.Reading, action flow.Action, certain bool) {
	e := entry{remote: x.Remote, remoteFree: x.RemoteFree, service: serviceOf(x.Port, x.PortHi, action), row: uint32(row), proto: r.Proto,
		opener: x.Opener, packet: x.Packet, certain: certain}
	if !w.e.cut(i) {
		t := w.e.paths.of(i)
		j := w.ruleOf(t, r.Proto, x)
		e.verdict, e.groupVerdict, e.mark = j.request.all, j.request.stateful, w.markOf(t, j, r, x, certain)
	}
	s := side(x.Opener)
	w.entries[s] = append(w.entries[s], e)
}

// dispose finds the one disposition of row r under the readings in w.readings, and for
// a disagreement its likely cause.
func (w *worker) dispose(i int32, r *store.Row) (flow.Disposition, string) {
	var d flow.Disposition
	var cause string
	for n := range w.readings {
		dn, cn := w.judge(i, r, &w.readings[n])
		if n == 0 {
			d, cause = dn, cn
		} else if dn != d {
			return flow.Undirected, ""
		}
	}
	return d, cause
}
