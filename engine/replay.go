package engine

import (
	"context"
	"fmt"
	"slices"

	"github.com/sgadvise/sgadvise/engine/classify"
	"github.com/sgadvise/sgadvise/engine/orient"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// Replay decides who opened each connection of c and replays it against snap, on the
// given number of workers. The result does not depend on that number. It fails only
// if ctx ends.
func Replay(ctx context.Context, c *store.Connections, snap *policy.Snapshot, workers int) (*Result, error) {
	return replay(ctx, c, snap, nil, workers, usual)
}

// ReplayHistory is Replay against a policy over time: each connection is judged by what
// was in force when it was seen. The eras of c are those of h: see [HistoryConfig].
func ReplayHistory(ctx context.Context, c *store.Connections, h *policy.History, workers int) (*Result, error) {
	if h.IsFlat() {
		return replay(ctx, c, h.Present(), nil, workers, usual)
	}
	return replay(ctx, c, h.Present(), h, workers, usual)
}

func replay(ctx context.Context, c *store.Connections, snap *policy.Snapshot, h *policy.History, workers int, how means) (*Result, error) {
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
	e.split()
	if how.release {
		e.releaser = newReleaser(len(e.known), e.spans)
	}
	parts := make([]*part, len(e.spans))
	each(len(e.spans), workers, func(w, i int) {
		if ctx.Err() == nil {
			if parts[i] = e.workers[w].replay(e.spans[i]); !parts[i].strayed {
				e.replayed(e.spans[i])
				if e.releaser != nil {
					e.release(parts, i)
				}
			}
		}
	})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	e.restray(parts, workers)
	parts = slices.DeleteFunc(parts, func(p *part) bool { return p == nil })
	each(len(parts), workers, func(w, i int) { e.workers[w].tally(parts[i]) })
	m.join(parts)
	return m.result(workers), nil
}

// means is how a replay goes about it. It does not show in the result.
type means struct {
	tables  tabling
	entries bool // of every row, even where rows are in the order of hosts
	piece   int  // see pieceRows
	release bool // see ReplayReleasing
}

var usual = means{piece: pieceRows}

// replayer holds what all workers share while a replay runs.
type replayer struct {
	c        *store.Connections
	snap     *policy.Snapshot
	hist     *policy.History // nil: there is the present only
	changed  []bool          // interfaces whose paths did; nil: none
	eldest   []int           // by interface: the first era that reaches the window, or nearly
	paths    *paths
	known    []int32 // interface code of the store → index into snap.Interfaces, -1 if not there
	owner    map[owned]uint32
	openers  []orient.Opinion
	spans    []rowSpan
	workers  []*worker
	blocks   *store.Blocks // has the connections
	means    means
	releaser *releaser // nil: all rows stay
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

func newReplayer(c *store.Connections, snap *policy.Snapshot, how means, workers int) *replayer {
	e := &replayer{c: c, snap: snap, means: how, owner: make(map[owned]uint32), blocks: store.NewBlocks()}
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
	e.paths = pathsOf(snap, rows, how.tables, workers)
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

// worker is what one goroutine needs to replay.
type worker struct {
	e *replayer
	// By direction. What comes next is often judged as what came last.
	requests  [2]judgement
	packets   [2]judgement
	readings  []orient.Reading
	rulings   []ruling // on the readings
	admission admission
	entries   [2][]entry // by direction of the opener
	marked    [2][2][2][2]marked
	marks     marks
	era       eraTables
	during    []*[2]compiled
	dated     []dated
	one       marks
	common    marks
	whole     marks
	sigs      map[string]int32
	sigList   []Signature
	sigKeys   []string // by number
	sigKey    []byte
	unions    [lately]union
	interned  [lately]interned

	// By direction of the opener.
	talks   [2][]talk
	packing [2]packing
	local   [2][]localNumber
	serial  int32 // of the part
	sums    []sums
	usage   []Usage // but for peers and interfaces
}

// ruling is what paths say of a reading: of the connection behind it, and, if it is a
// reply, of its own packets.
type ruling struct{ request, packet *judgement }

// rule judges the reading x, whose key is k, by the paths t. It counts until the next that
// has the same opener.
func (w *worker) rule(t *[2]compiled, k *classify.Key, x *orient.Reading) ruling {
	s := side(x.Opener)
	j := ruling{request: &w.requests[s]}
	t[s].connection(k, j.request)
	if x.IsReply() {
		s = side(x.Packet)
		j.packet = &w.packets[s]
		t[s].packet(k, j.packet)
	}
	return j
}

// ruleOf is rule for a reading of a row of protocol proto.
func (w *worker) ruleOf(t *[2]compiled, proto flow.Proto, x *orient.Reading) ruling {
	k := key(proto, x)
	return w.rule(t, &k, x)
}

// reply returns the verdict on the packets of a reply.
func (j ruling) reply() policy.Verdict {
	if j.packet == nil {
		return policy.Allowed
	}
	return j.packet.all
}

// verdict returns that on the row: its connection must be allowed, and if the row
// is a reply, so must its own packets be at every stateless stage.
func (j ruling) verdict() policy.Verdict { return join(j.request.all, j.reply()) }

// part is the outcome for one interface, or a piece of one.
type part struct {
	code        uint32 // of the interface
	ledger      flow.Ledger
	fidelity    InterfaceFidelity
	halves      [2]half // by direction of the opener
	folded      bool    // some connections are
	parts       []Part  // Connection is the index into both halves, and Signature into those of that half, until merged
	owner       *worker
	orientation Orientation
	undecided   []Undecided
	former      uint64
	rejected    RejectLayers
	accepted    bool     // any row was
	noted       []uint32 // rows that are asked for later; none if all of them stay
	strayed     bool     // rows were not in the order of hosts: all of this is worth nothing
}

// half is the connections of one direction.
type half struct {
	site   *site // signatures are the owner's until merged
	packed []packed
}

// replay judges the rows of s.
func (w *worker) replay(s rowSpan) *part {
	i := w.e.known[s.code]
	p := w.newPart(s)
	switch {
	case i < 0:
		w.count(p, s)
	case w.e.means.entries || w.e.cut(i):
		return w.collected(s)
	case !w.sweep(p, s):
		return &part{code: s.code, strayed: true}
	}
	w.finish(p)
	return p
}

func (w *worker) newPart(s rowSpan) *part {
	p := &part{owner: w, code: s.code}
	p.fidelity.Interface = w.e.c.Interfaces()[s.code]
	for d := range p.halves {
		p.halves[d].site = &site{iface: w.e.known[s.code]}
		w.talks[d] = w.talks[d][:0]
		w.packing[d].begin()
	}
	w.serial++
	return p
}

// finish ends p.
func (w *worker) finish(p *part) {
	for d := range p.halves {
		p.halves[d].packed = w.packing[d].done()
	}
	for n := range p.parts {
		d := 0
		if int(p.parts[n].Connection) >= len(p.halves[0].packed) {
			d = 1
		}
		p.parts[n].Signature = w.numberOf(p, d, p.parts[n].Signature)
	}
	slices.SortFunc(p.undecided, compareUndecided)
	p.undecided = p.undecided[:min(len(p.undecided), maxUndecided)]
}

// count counts the rows of an interface that the policy does not have.
func (w *worker) count(p *part, s rowSpan) {
	var r store.Row
	for row := s.lo; row < s.hi; row++ {
		w.e.c.Row(row, &r)
		p.orientation[w.e.openers[row].Method] += r.Records
		p.ledger[flow.Unscoped] += r.Records
	}
}

// account counts row r, whose disposition is d.
func (p *part) account(r *store.Row, op orient.Opinion, d flow.Disposition, cause string) {
	p.orientation[op.Method] += r.Records
	p.ledger[d] += r.Records
	p.accepted = p.accepted || r.Action == flow.Accept
	if cause == outlived {
		p.fidelity.Outlived += r.Records
	}
	switch d {
	case flow.Permitted, flow.Reply, flow.Blocked:
		p.fidelity.Judged += r.Records
		p.fidelity.Agree += r.Records
	case flow.Unexplained, flow.Contradicted:
		p.fidelity.Judged += r.Records
		if p.fidelity.Causes == nil {
			p.fidelity.Causes = make(map[string]uint64)
		}
		p.fidelity.Causes[cause] += r.Records
	case flow.Undirected:
		p.noteUndecided(r)
	}
}

// read disposes of r under one reading, of which paths say j.
func (w *worker) read(j ruling, i int32, r *store.Row, x *orient.Reading) (flow.Disposition, string) {
	request, replyVerdict := j.request, j.reply()
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
