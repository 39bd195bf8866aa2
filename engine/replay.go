package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sgadvise/sgadvise/engine/orient"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// Replay decides who opened each connection of c and replays it against snap, on the
// given number of workers. The result does not depend on that number. It fails only
// if ctx ends.
func Replay(ctx context.Context, c *store.Connections, snap *policy.Snapshot, workers int) (*Result, error) {
	return replay(ctx, c, snap, nil, workers)
}

// ReplayHistory is Replay against a policy over time: each connection is judged by what
// was in force when it was seen. The eras of c are those of h: see [HistoryConfig].
func ReplayHistory(ctx context.Context, c *store.Connections, h *policy.History, workers int) (*Result, error) {
	if h.IsFlat() {
		return replay(ctx, c, h.Present(), nil, workers)
	}
	return replay(ctx, c, h.Present(), h, workers)
}

func replay(ctx context.Context, c *store.Connections, snap *policy.Snapshot, h *policy.History, workers int) (*Result, error) {
	workers = max(1, workers)
	e := newReplayer(c, snap, workers)
	if h != nil {
		e.setHistory(h)
	}
	e.openers = orient.Decide(c, orient.Env{Possible: e.possible, Peer: e.peer, Workers: workers})
	if err := ctx.Err(); err != nil {
		return nil, err
	}

	parts := make([]part, len(e.spans))
	var next atomic.Int64
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(e.spans) {
					return
				}
				e.workers[w].replay(&parts[i], e.spans[i])
			}
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return e.merge(parts), nil
}

// replayer holds what all workers share while a replay runs.
type replayer struct {
	c       *store.Connections
	snap    *policy.Snapshot
	hist    *policy.History // nil: there is the present only
	changed []bool          // interfaces whose paths did; nil: none
	eldest  []int           // by interface: the first era that reaches the window, or nearly
	paths   *paths
	known   []int32 // interface code of the store → index into snap.Interfaces, -1 if not there
	codes   map[int32]uint32
	owner   map[owned]uint32
	openers []orient.Opinion
	spans   []rowSpan
	workers []*worker
}

// owned is an address inside one network.
type owned struct {
	vpc  string
	addr flow.Addr
}

// rowSpan is the rows of one interface.
type rowSpan struct {
	code   uint32
	lo, hi int
}

func newReplayer(c *store.Connections, snap *policy.Snapshot, workers int) *replayer {
	e := &replayer{c: c, snap: snap, codes: make(map[int32]uint32), owner: make(map[owned]uint32)}
	used := make([]bool, len(snap.Interfaces))
	index := make(map[string]int32, len(snap.Interfaces))
	for i := range snap.Interfaces {
		index[snap.Interfaces[i].ID] = int32(i)
	}
	ambiguous := make(map[owned]bool)
	for code, name := range c.Interfaces() {
		i, ok := index[name]
		if !ok {
			e.known = append(e.known, -1)
			continue
		}
		e.known = append(e.known, i)
		e.codes[i] = uint32(code)
		used[i] = true
		f := &snap.Interfaces[i]
		for _, a := range f.Addresses {
			k := owned{f.VPC, flow.AddrFrom(a)}
			if _, dup := e.owner[k]; dup {
				ambiguous[k] = true
			}
			e.owner[k] = uint32(code)
		}
	}
	for k := range ambiguous {
		delete(e.owner, k)
	}
	var r store.Row
	for i := 0; i < c.Len(); {
		c.Row(i, &r)
		s := rowSpan{r.Interface, i, i}
		for s.hi < c.Len() {
			c.Row(s.hi, &r)
			if r.Interface != s.code {
				break
			}
			s.hi++
		}
		e.spans = append(e.spans, s)
		i = s.hi
	}
	e.paths = compile(snap, used)
	for range workers {
		m := marks{rules: e.paths.rules}
		e.workers = append(e.workers, &worker{e: e, sigs: make(map[string]int32), marks: m, one: m, common: m, whole: m})
	}
	return e
}

// peer finds the interface that owns a in the same network as code's.
func (e *replayer) peer(code uint32, a flow.Addr) (uint32, bool) {
	i := e.known[code]
	if i < 0 {
		return 0, false
	}
	peer, ok := e.owner[owned{e.snap.Interfaces[i].VPC, a}]
	return peer, ok
}

// possible reports whether the policy admits an accepted row if its connection was
// opened in direction opener.
func (e *replayer) possible(worker int, r *store.Row, opener flow.Direction) bool {
	i := e.known[r.Interface]
	if i < 0 || e.snap.Interfaces[i].Transit {
		return true
	}
	w := e.workers[worker]
	w.readings = orient.Readings(w.readings[:0], r, orient.Opinion{Opener: opener, Method: orient.ByRules})
	for j := range w.readings {
		if !e.cut(i) {
			if w.verdict(&e.paths.tables[e.paths.class[i]], r.Proto, &w.readings[j]) != policy.Denied {
				return true
			}
			continue
		}
		// It may have been opened under earlier rules.
		for era := int(r.EraHi); era >= e.eldest[i]; era-- {
			for _, t := range w.tables(i, uint32(era)) {
				if w.verdict(t, r.Proto, &w.readings[j]) != policy.Denied {
					return true
				}
			}
		}
	}
	return false
}

// worker is what one goroutine needs to replay.
type worker struct {
	e        *replayer
	request  judgement
	packet   judgement
	readings []orient.Reading
	entries  []entry
	marks    marks
	era      eraTables
	during   []*[2]compiled
	one      marks
	common   marks
	whole    marks
	sigs     map[string]int32
	sigList  []Signature
	sigKey   []byte
}

// verdict judges the row behind x: its connection must be allowed, and if the row
// is a reply, so must its own packets be at every stateless stage.
func (w *worker) verdict(t *[2]compiled, proto flow.Proto, x *orient.Reading) policy.Verdict {
	t[side(x.Opener)].connection(proto, x, &w.request)
	v := w.request.all
	if x.IsReply() && v != policy.Denied {
		t[side(x.Packet)].packet(proto, x, &w.packet)
		v = join(v, w.packet.all)
	}
	return v
}

// part is the outcome for one interface.
type part struct {
	ledger      flow.Ledger
	fidelity    InterfaceFidelity
	connections []Connection // Signature is the worker's own number until merged
	parts       []Part       // Connection is the index into connections until merged
	owner       *worker
	orientation Orientation
	undecided   []Undecided
	former      uint64
	rejected    RejectLayers
}

// entry is one reading of one row, on its way to a connection.
type entry struct {
	opener       flow.Direction
	action       flow.Action
	remote       flow.Addr
	port, portHi uint16
	proto        flow.Proto
	row          int
	eraLo, eraHi uint32
	reading      orient.Reading
	certain      bool
}

func (a *entry) sameConnection(b *entry) bool {
	return a.opener == b.opener && a.proto == b.proto && a.remote == b.remote &&
		a.port == b.port && a.portHi == b.portHi && a.action == b.action
}

// replay judges the rows of one interface.
func (w *worker) replay(p *part, s rowSpan) {
	p.owner = w
	i := w.e.known[s.code]
	p.fidelity.Interface = w.e.c.Interfaces()[s.code]
	p.fidelity.Causes = make(map[string]uint64)
	w.entries = w.entries[:0]
	var r store.Row
	for row := s.lo; row < s.hi; row++ {
		w.e.c.Row(row, &r)
		op := w.e.openers[row]
		p.orientation[op.Method] += r.Records
		if i < 0 {
			p.ledger[flow.Unscoped] += r.Records
			continue
		}
		w.readings = orient.Readings(w.readings[:0], &r, op)
		d, cause := w.dispose(i, &r, op)
		p.ledger[d] += r.Records
		if cause == outlived {
			p.fidelity.Outlived += r.Records
		}
		if r.Action == flow.Reject && d != flow.Late {
			p.rejected.count(w.rejecter(i, &r), r.Records)
		}
		switch d {
		case flow.Permitted, flow.Reply, flow.Blocked:
			p.fidelity.Judged += r.Records
			p.fidelity.Agree += r.Records
		case flow.Unexplained, flow.Contradicted:
			p.fidelity.Judged += r.Records
			p.fidelity.Causes[cause] += r.Records
		}
		if d == flow.Undirected {
			p.noteUndecided(&r)
		}
		if d == flow.Late {
			continue // a packet of no new connection is evidence for no rule
		}
		for _, x := range w.readings {
			action := r.Action
			if x.IsReply() {
				action = flow.Accept // there was something to answer
			}
			w.entries = append(w.entries, entry{x.Opener, action, x.Remote, x.Port, x.PortHi, r.Proto, row, r.EraLo, r.EraHi, x, op.Opener != flow.DirectionUnknown && r.Side != flow.DirectionUnknown})
		}
		if r.Action == flow.Accept && op.Weak {
			// A weak inference errs where a client has a low port or a service a high one,
			// so the rules that the other reading needs are credited as possible.
			other := orient.Opinion{Opener: op.Opener.Reverse(), Method: op.Method}
			w.readings = orient.Readings(w.readings[:0], &r, other)
			for _, x := range w.readings {
				w.entries = append(w.entries, entry{x.Opener, r.Action, x.Remote, x.Port, x.PortHi, r.Proto, row, r.EraLo, r.EraHi, x, false})
			}
		}
	}
	if i >= 0 {
		w.connect(p, i)
	}
	slices.SortFunc(p.undecided, compareUndecided)
	p.undecided = p.undecided[:min(len(p.undecided), maxUndecided)]
}

// dispose finds the one disposition of row r under the readings in w.readings, and for
// a disagreement its likely cause.
func (w *worker) dispose(i int32, r *store.Row, op orient.Opinion) (flow.Disposition, string) {
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

// read disposes of r under one reading and the paths t.
func (w *worker) read(t *[2]compiled, i int32, r *store.Row, x *orient.Reading) (flow.Disposition, string) {
	t[side(x.Opener)].connection(r.Proto, x, &w.request)
	replyVerdict := policy.Allowed
	if x.IsReply() {
		t[side(x.Packet)].packet(r.Proto, x, &w.packet)
		replyVerdict = w.packet.all
	}
	if r.Action == flow.Reject {
		switch {
		case r.Class == flow.Midlife && !(x.IsReply() && replyVerdict == policy.Denied):
			return flow.Late, ""
		case w.request.all == policy.Denied || replyVerdict == policy.Denied:
			return flow.Blocked, ""
		case w.request.all == policy.Unknown || replyVerdict == policy.Unknown:
			return flow.Unscoped, ""
		}
		return flow.Contradicted, w.contradictedBy(i, x)
	}
	switch join(w.request.all, replyVerdict) {
	case policy.Unknown:
		return flow.Unscoped, ""
	case policy.Denied:
		return flow.Unexplained, w.unexplainedBy(i, r, x)
	}
	if x.IsReply() {
		return flow.Reply, ""
	}
	return flow.Permitted, ""
}

// The causes of disagreement, as reports name them.
const (
	causeACLMissing  = "network-acl-not-exported" // rejected, the groups allow, and no ACL is known that could have denied
	causeBothAllow   = "all-layers-allow"         // rejected though everything known allows: late packet, changed rules, public access block
	causeACLDenies   = "network-acl-denies"       // accepted though the exported ACL denies: the snapshot differs from the log's time
	causeReplyDenied = "reply-acl-denies"         // an answer passed that the exported ACL denies
	causeMidlife     = "opened-before"            // accepted without its opening in sight: a tracked connection older than the rules
	causeTransit     = "transit-interface"        // the interface forwards the traffic of others
	causeService     = "platform-exemption"       // the interface kind is exempt from its rules for some traffic
	causeNoRule      = "no-rule"                  // accepted, opened in sight, and no rule allows: rules or membership changed
)

func (w *worker) contradictedBy(i int32, x *orient.Reading) string {
	f := &w.e.snap.Interfaces[i]
	if _, _, ok := w.e.snap.ACLFor(f); !ok && !w.e.snap.NoACLFor(f) {
		return causeACLMissing
	}
	return causeBothAllow
}

func (w *worker) unexplainedBy(i int32, r *store.Row, x *orient.Reading) string {
	f := &w.e.snap.Interfaces[i]
	switch {
	case f.Transit:
		return causeTransit
	case w.request.stateful == policy.Allowed && w.request.all == policy.Denied:
		return causeACLDenies
	case w.request.all == policy.Allowed && x.IsReply():
		return causeReplyDenied
	case f.Role == policy.NetworkBalancer || f.Role == policy.ConnectEndpoint:
		return causeService
	case r.Class == flow.Midlife || r.Class == flow.NoFlags && r.Proto == flow.TCP:
		return causeMidlife
	}
	return causeNoRule
}

// maxUndecided bounds the list of undecided connections in a report.
const maxUndecided = 100

func (p *part) noteUndecided(r *store.Row) {
	u := Undecided{p.fidelity.Interface, r.Proto, r.Local, r.Remote, r.LocalPort, r.RemotePort, r.Records}
	switch r.Client {
	case store.LocalClient:
		u.LocalPort = r.PortLo
	case store.RemoteClient:
		u.RemotePort = r.PortLo
	}
	if n := len(p.undecided); n > 0 {
		last := &p.undecided[n-1]
		if last.Proto == u.Proto && last.Local == u.Local && last.Remote == u.Remote && last.LocalPort == u.LocalPort && last.RemotePort == u.RemotePort {
			last.Records += u.Records
			return
		}
	}
	if len(p.undecided) >= 64*maxUndecided {
		slices.SortFunc(p.undecided, compareUndecided)
		p.undecided = p.undecided[:maxUndecided]
	}
	p.undecided = append(p.undecided, u)
}

// checkSum panics unless every record of the store ended in exactly one disposition.
func (r *Result) checkSum() {
	var want uint64
	var row store.Row
	for i := range r.Store.Len() {
		r.Store.Row(i, &row)
		want += row.Records
	}
	l := r.Store.Ledger()
	want += l.Total()
	if got := r.Ledger.Total(); got != want {
		panic(fmt.Sprintf("BUG: %d records read, %d in the ledger", want, got))
	}
}
