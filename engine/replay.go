package engine

import (
	"context"
	"fmt"
	"slices"

	"github.com/sgadvise/sgadvise/engine/orient"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// Replay decides who opened each connection of c and replays it against snap, on the
// given number of workers. The result does not depend on that number. It fails only
// if ctx ends.
func Replay(ctx context.Context, c *store.Connections, snap *policy.Snapshot, workers int) (*Result, error) {
	return replay(ctx, c, snap, nil, workers, byRows)
}

// ReplayHistory is Replay against a policy over time: each connection is judged by what
// was in force when it was seen. The eras of c are those of h: see [HistoryConfig].
func ReplayHistory(ctx context.Context, c *store.Connections, h *policy.History, workers int) (*Result, error) {
	if h.IsFlat() {
		return replay(ctx, c, h.Present(), nil, workers, byRows)
	}
	return replay(ctx, c, h.Present(), h, workers, byRows)
}

func replay(ctx context.Context, c *store.Connections, snap *policy.Snapshot, h *policy.History, workers int, how tabling) (*Result, error) {
	workers = max(1, workers)
	e := newReplayer(c, snap, how, workers)
	if h != nil {
		e.setHistory(h)
	}
	e.openers = orient.Decide(c, orient.Env{Possible: e.possible, Peer: e.peer, Workers: workers})
	if err := ctx.Err(); err != nil {
		return nil, err
	}

	m := newMerger(e)
	each(len(e.spans), workers, func(w, i int) {
		if ctx.Err() == nil {
			m.take(i, e.workers[w].replay(e.spans[i]))
			e.replayed(e.spans[i])
		}
	})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return m.result(workers), nil
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
	owner   map[owned]uint32
	openers []orient.Opinion
	spans   []rowSpan
	workers []*worker
	blocks  *store.Blocks // has the connections
}

// replayed gives up what only the rows of s needed. Eras go back to the present paths.
func (e *replayer) replayed(s rowSpan) {
	if i := e.known[s.code]; i >= 0 && e.hist == nil {
		e.paths.replayed(i)
	}
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

func newReplayer(c *store.Connections, snap *policy.Snapshot, how tabling, workers int) *replayer {
	e := &replayer{c: c, snap: snap, owner: make(map[owned]uint32), blocks: store.NewBlocks()}
	rows := slices.Repeat([]int{-1}, len(snap.Interfaces))
	starts := c.Spans()
	ambiguous := make(map[owned]bool)
	for code, name := range c.Interfaces() {
		at, ok := snap.InterfaceIndex(name)
		if !ok {
			e.known = append(e.known, -1)
			continue
		}
		i := int32(at)
		e.known = append(e.known, i)
		rows[i] = 0
		if code+1 < len(starts) {
			rows[i] = starts[code+1] - starts[code]
		}
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
	for code := range len(starts) - 1 {
		if starts[code] < starts[code+1] {
			e.spans = append(e.spans, rowSpan{uint32(code), starts[code], starts[code+1]})
		}
	}
	e.paths = pathsOf(snap, rows, how, workers)
	for range workers {
		m := marks{rules: e.paths.rules}
		e.workers = append(e.workers, &worker{e: e, sigs: make(map[string]int32), unions: make(map[[2]int32]int32), marks: m, one: m, common: m, whole: m})
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
	if r.Side != flow.DirectionUnknown && !e.cut(i) {
		x := orient.Read(r, r.Side, opener)
		return w.verdict(e.paths.of(i), r.Proto, &x) != policy.Denied
	}
	w.readings = orient.Readings(w.readings[:0], r, orient.Opinion{Opener: opener, Method: orient.ByRules})
	for j := range w.readings {
		if !e.cut(i) {
			if w.verdict(e.paths.of(i), r.Proto, &w.readings[j]) != policy.Denied {
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
	e *replayer
	// By direction. What comes next is often judged as what came last.
	requests [2]judgement
	packets  [2]judgement
	readings []orient.Reading
	entries  [2][]entry // by direction of the opener
	marked   [2][2][2][2]marked
	marks    marks
	era      eraTables
	during   []*[2]compiled
	dated    []dated
	one      marks
	common   marks
	whole    marks
	sigs     map[string]int32
	sigList  []Signature
	sigKey   []byte
	unions   map[[2]int32]int32 // two signatures → that of both

	connections []Connection // of the interface; Signature is the worker's number
	serial      int32        // of the interface
	local       []localNumber
	block       []packed // what is left of it
}

// request judges the connection behind x by the paths t.
func (w *worker) request(t *[2]compiled, proto flow.Proto, x *orient.Reading) *judgement {
	s := side(x.Opener)
	t[s].connection(proto, x, &w.requests[s])
	return &w.requests[s]
}

// packet judges the packets of x by the stateless stages of the paths t.
func (w *worker) packet(t *[2]compiled, proto flow.Proto, x *orient.Reading) *judgement {
	s := side(x.Packet)
	t[s].packet(proto, x, &w.packets[s])
	return &w.packets[s]
}

// verdict judges the row behind x: its connection must be allowed, and if the row
// is a reply, so must its own packets be at every stateless stage.
func (w *worker) verdict(t *[2]compiled, proto flow.Proto, x *orient.Reading) policy.Verdict {
	v := w.request(t, proto, x).all
	if x.IsReply() && v != policy.Denied {
		v = join(v, w.packet(t, proto, x).all)
	}
	return v
}

// part is the outcome for one interface.
type part struct {
	ledger      flow.Ledger
	fidelity    InterfaceFidelity
	site        *site
	packed      []packed
	folded      bool   // some connections are
	parts       []Part // Connection is the index into packed, and Signature into site.signatures, until merged
	owner       *worker
	signatures  []Signature // the owner's, as far as they are used here
	orientation Orientation
	undecided   []Undecided
	former      uint64
	rejected    RejectLayers
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

// replay judges the rows of one interface.
func (w *worker) replay(s rowSpan) *part {
	p := &part{owner: w}
	i := w.e.known[s.code]
	p.fidelity.Interface = w.e.c.Interfaces()[s.code]
	p.fidelity.Causes = make(map[string]uint64)
	w.entries[0], w.entries[1] = w.entries[0][:0], w.entries[1][:0]
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
			// A weak inference errs where a client has a low port or a service a high one,
			// so the rules that the other reading needs are credited as possible.
			other := orient.Opinion{Opener: op.Opener.Reverse(), Method: op.Method}
			w.readings = orient.Readings(w.readings[:0], &r, other)
			for n := range w.readings {
				w.enter(i, row, &r, &w.readings[n], r.Action, false)
			}
		}
	}
	p.site = &site{iface: i}
	if i >= 0 {
		w.connect(p, i)
		w.pack(p)
	}
	slices.SortFunc(p.undecided, compareUndecided)
	p.undecided = p.undecided[:min(len(p.undecided), maxUndecided)]
	p.signatures = w.sigList[:len(w.sigList):len(w.sigList)]
	return p
}

// enter makes an entry of r, read as x.
func (w *worker) enter(i int32, row int, r *store.Row, x *orient.Reading, action flow.Action, certain bool) {
	e := entry{remote: x.Remote, remoteFree: x.RemoteFree, service: serviceOf(x.Port, x.PortHi, action), row: uint32(row), proto: r.Proto,
		opener: x.Opener, packet: x.Packet, certain: certain}
	if !w.e.cut(i) {
		t := w.e.paths.of(i)
		j := w.request(t, r.Proto, x)
		e.verdict, e.groupVerdict, e.mark = j.all, j.stateful, w.markOf(t, r, x, certain)
	}
	s := side(x.Opener)
	w.entries[s] = append(w.entries[s], e)
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
	request := w.request(t, r.Proto, x)
	replyVerdict := policy.Allowed
	if x.IsReply() {
		replyVerdict = w.packet(t, r.Proto, x).all
	}
	if r.Action == flow.Reject {
		switch {
		case r.Class == flow.Midlife && !(x.IsReply() && replyVerdict == policy.Denied):
			return flow.Late, ""
		case request.all == policy.Denied || replyVerdict == policy.Denied:
			return flow.Blocked, ""
		case request.all == policy.Unknown || replyVerdict == policy.Unknown:
			return flow.Unscoped, ""
		}
		return flow.Contradicted, w.contradictedBy(i, x)
	}
	switch join(request.all, replyVerdict) {
	case policy.Unknown:
		return flow.Unscoped, ""
	case policy.Denied:
		return flow.Unexplained, w.unexplainedBy(i, r, x, request)
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

func (w *worker) unexplainedBy(i int32, r *store.Row, x *orient.Reading, request *judgement) string {
	f := &w.e.snap.Interfaces[i]
	switch {
	case f.Transit:
		return causeTransit
	case request.stateful == policy.Allowed && request.all == policy.Denied:
		return causeACLDenies
	case request.all == policy.Allowed && x.IsReply():
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
	u := Undecided{p.fidelity.Interface, r.Proto, r.Local, r.Remote, r.LocalPort, r.RemotePort, r.RemoteFree, r.Records}
	switch r.Client {
	case store.LocalClient:
		u.LocalPort = r.PortLo
	case store.RemoteClient:
		u.RemotePort = r.PortLo
	}
	if n := len(p.undecided); n > 0 {
		last := &p.undecided[n-1]
		if last.Proto == u.Proto && last.Local == u.Local && last.Remote == u.Remote && last.RemoteFree == u.RemoteFree && last.LocalPort == u.LocalPort && last.RemotePort == u.RemotePort {
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
	want := r.Store.Records()
	l := r.Store.Ledger()
	want += l.Total()
	if got := r.Ledger.Total(); got != want {
		panic(fmt.Sprintf("BUG: %d records read, %d in the ledger", want, got))
	}
}
