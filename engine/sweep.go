package engine

import (
	"cmp"
	"slices"

	"github.com/sgadvise/sgadvise/engine/classify"
	"github.com/sgadvise/sgadvise/engine/orient"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// A sweep goes over rows once, in their order: those between an interface and one remote
// host follow each other, so that only the connections of that host are open at a time.
// That is so where the rules stayed what they were and where it is known which side of each
// row is local; other interfaces collect entries: see [worker.collect].

// talk is a connection to the host at hand. Its Signature is the worker's number.
type talk struct {
	service uint64 // see serviceOf
	passed  bool   // any of its packets did
	Connection
}

// recentTalks of a host are looked through for that of a row. Others are put together later.
const recentTalks = 8

// hosts is what keeps rows together in a sweep.
type hosts struct {
	remote flow.Addr
	free   uint8
	proto  flow.Proto
}

func hostsOf(r *store.Row) hosts { return hosts{r.Remote, r.RemoteFree, r.Proto} }

// sweep judges the rows of s, and reports false if they are not in the order of hosts.
func (w *worker) sweep(p *part, s rowSpan) bool {
	i := w.e.known[s.code]
	t := w.e.paths.of(i)
	var r store.Row
	var at hosts
	for row := s.lo; row < s.hi; row++ {
		w.e.c.Row(row, &r)
		if r.Side == flow.DirectionUnknown {
			return false
		}
		if now := hostsOf(&r); now != at {
			w.endTalks(p)
			at = now
		}
		op := w.e.openers[row]
		key := classify.Key{Proto: r.Proto, Local: r.Local, Remote: r.Remote, LocalPort: r.LocalPort, RemotePort: r.RemotePort}
		w.readings, w.rulings = w.readings[:0], w.rulings[:0]
		if op.Opener != flow.DirectionUnknown {
			w.readings = append(w.readings, orient.Read(&r, r.Side, op.Opener))
		} else {
			w.readings = orient.Readings(w.readings, &r, op)
		}
		w.note(p, row, &r, op)
		for n := range w.readings {
			w.rulings = append(w.rulings, w.rule(t, &key, &w.readings[n]))
		}
		d, cause := w.read(w.rulings[0], i, &r, &w.readings[0])
		for n := 1; n < len(w.readings); n++ {
			if other, _ := w.read(w.rulings[n], i, &r, &w.readings[n]); other != d {
				d, cause = flow.Undirected, ""
			}
		}
		p.account(&r, op, d, cause)
		if d == flow.Late {
			continue // a packet of no new connection is evidence for no rule
		}
		if r.Action == flow.Reject {
			var by layers
			for n := range w.readings {
				by.note(w.rejecterOf(t, w.rulings[n], i, &w.readings[n]))
			}
			p.rejected.count(by.layer, r.Records)
		}
		for n := range w.readings {
			x := &w.readings[n]
			action := r.Action
			if x.IsReply() {
				action = flow.Accept // there was something to answer
			}
			w.talk(t, i, &r, x, w.rulings[n], action, op.Opener != flow.DirectionUnknown, op.Method.Proven())
		}
		if r.Action == flow.Accept && op.Weak {
			// A weak inference errs where a client has a low port or a service a high one,
			// so the rules that the other reading needs are credited as possible.
			x := orient.Read(&r, r.Side, op.Opener.Reverse())
			w.talk(t, i, &r, &x, w.rule(t, &key, &x), r.Action, false, false)
		}
	}
	w.endTalks(p)
	return true
}

// talk adds row r, read as x, to its connection.
func (w *worker) talk(t *[2]compiled, i int32, r *store.Row, x *orient.Reading, j ruling, action flow.Action, certain, proven bool) {
	open := &w.talks[side(x.Opener)]
	mark := w.markOf(t, j, r, x, certain)
	service := serviceOf(x.Port, x.PortHi, action)
	var c *talk
	for n := len(*open) - 1; n >= max(0, len(*open)-recentTalks); n-- {
		if k := &(*open)[n]; k.service == service {
			c = k
			break
		}
	}
	if c == nil {
		*open = append(*open, talk{service, false, Connection{Interface: i, Direction: x.Opener, Proto: r.Proto, Action: action,
			Remote: x.Remote, RemoteFree: x.RemoteFree, Port: x.Port, PortHi: x.PortHi,
			Answered: r.Proto != flow.TCP, Verdict: j.request.all, GroupVerdict: j.request.stateful, Signature: mark, First: r.First, Last: r.Last}})
		c = &(*open)[len(*open)-1]
	}
	c.First, c.Last, c.Days = min(c.First, r.First), max(c.Last, r.Last), c.Days|r.Days
	c.Records, c.Packets, c.Bytes = sum(c.Records, r.Records), sum(c.Packets, r.Packets), sum(c.Bytes, r.Bytes)
	c.Certain = c.Certain || certain
	c.Proven = c.Proven || certain && proven
	if r.Action == flow.Accept {
		c.passed = true
		c.Answered = c.Answered || answers(r, x.IsReply())
	}
	if c.Signature != mark {
		c.Signature = w.union(c.Signature, mark)
	}
}

// add adds what later rows showed of the same connection.
func (w *worker) add(c, o *talk) {
	c.First, c.Last, c.Days = min(c.First, o.First), max(c.Last, o.Last), c.Days|o.Days
	c.Records, c.Packets, c.Bytes = sum(c.Records, o.Records), sum(c.Packets, o.Packets), sum(c.Bytes, o.Bytes)
	c.Certain, c.Proven = c.Certain || o.Certain, c.Proven || o.Proven
	c.passed, c.Answered = c.passed || o.passed, c.Answered || o.Answered
	c.Signature = w.union(c.Signature, o.Signature)
}

// endTalks packs the connections to the host at hand.
func (w *worker) endTalks(p *part) {
	for s := range w.talks {
		open := w.talks[s]
		if !slices.IsSortedFunc(open, byService) {
			slices.SortStableFunc(open, byService)
		}
		for lo := 0; lo < len(open); {
			c := &open[lo]
			for lo++; lo < len(open) && open[lo].service == c.service; lo++ {
				w.add(c, &open[lo])
			}
			if c.Action == flow.Accept && !c.passed {
				c.Action = flow.Reject // see credit
			}
			w.pack(p, &c.Connection)
		}
		w.talks[s] = open[:0]
	}
}

func byService(a, b talk) int { return cmp.Compare(a.service, b.service) }
