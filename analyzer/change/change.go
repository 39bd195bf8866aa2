package change

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/orient"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// Tally counts log records by what both policies say of them. They add up to the
// records of interfaces that the present policy has.
type Tally struct {
	Permitted    uint64 // accepted, and both policies allow it
	NewlyDenied  uint64 // accepted, allowed at present, and the proposed policy denies it
	NewlyAllowed uint64 // denied at present, and the proposed policy allows it
	InDoubt      uint64 // accepted, allowed at present, and the proposed policy cannot tell
	Denied       uint64 // rejected, and both deny it
	Allowed      uint64 // rejected, though both allow it: late packets, another layer
	Unexplained  uint64 // accepted, though neither allows it
	Unknown      uint64 // either policy cannot tell, or the readings of who opened it differ in a way that changes nothing
}

// Connection is an observed connection on which the policies differ.
type Connection struct {
	Interface    string
	Direction    flow.Direction // of the packet that opened it
	Proto        flow.Proto
	Remote       flow.Addr
	RemoteFree   uint8  // low bits of Remote that are folded, as in engine.Connection
	Port, PortHi uint16 // of the service; they differ only where who opened it is not known
	Action       flow.Action
	Reply        bool // it is the answers that are decided otherwise
	Open         bool // true in one reading only: who opened it is not known
	Records      uint64
	First, Last  int64
	Old, New     Say
	// Through are the rules that let it pass under the proposed policy where the present
	// one denies it, and behind that; of newly allowed ones only. Sorted.
	Through []policy.Ref
}

// Say is what a policy says of a connection.
type Say struct {
	Verdict policy.Verdict
	Stage   string       // the one that denied, or the last that allowed
	Rules   []policy.Ref // what spoke there
}

// Outcome is what Compare found.
type Outcome struct {
	Records Tally
	Broken  []Connection // newly denied, by interface, direction, protocol, peer, port
	Opened  []Connection // newly allowed
	Paths   []Path       // where the lists of rules differ, whatever the traffic
	Tuples  uint64       // distinct rows that were put to both
}

// Compare puts every row of res to the policy it was replayed against and to proposed.
// The store must have been made with the port bounds of both policies ([Bounds]); then
// every folded port stands for its class under both. It costs two decisions a row and
// reading, on workers goroutines, and fails only if ctx ends.
func Compare(ctx context.Context, res *engine.Result, proposed *policy.Snapshot, workers int) (*Outcome, error) {
	names := res.Store.Interfaces()
	lanes := make([]lane, len(names))
	for i, name := range names {
		lanes[i] = newLane(res.Snapshot, proposed, name)
	}
	n := (res.Store.Len() + chunk - 1) / chunk
	parts := make([]part, n)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range max(1, workers) {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				parts[i].compare(res, lanes, i*chunk, min(res.Store.Len(), (i+1)*chunk))
			}
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	out := &Outcome{Paths: paths(res.Snapshot, proposed)}
	found := make(map[key]*Connection)
	for i := range parts {
		out.Records.add(&parts[i].records)
		out.Tuples += parts[i].tuples
		for _, c := range parts[i].found {
			k := keyOf(&c)
			have, ok := found[k]
			if !ok {
				found[k] = &c
				continue
			}
			have.Records += c.Records
			have.First, have.Last = min(have.First, c.First), max(have.Last, c.Last)
			have.Port, have.PortHi = min(have.Port, c.Port), max(have.PortHi, c.PortHi)
			have.Open = have.Open && c.Open
			have.Through = union(have.Through, c.Through)
		}
	}
	for _, c := range found {
		if c.New.Verdict == policy.Allowed {
			out.Opened = append(out.Opened, *c)
		} else {
			out.Broken = append(out.Broken, *c)
		}
	}
	slices.SortFunc(out.Broken, compareConnections)
	slices.SortFunc(out.Opened, compareConnections)
	return out, nil
}

// Bounds adds to cfg what proposed needs to tell ports and addresses apart.
func Bounds(cfg *store.Config, proposed *policy.Snapshot) {
	planned := engine.StoreConfig(proposed)
	engine.AddAddrBounds(cfg, proposed)
	cfg.PortBounds = append(cfg.PortBounds, planned.PortBounds...)
	slices.Sort(cfg.PortBounds)
	cfg.PortBounds = slices.Compact(cfg.PortBounds)
	for id, b := range cfg.Ports {
		p, ok := planned.Ports[id]
		if !ok {
			delete(cfg.Ports, id) // all bounds, then
			continue
		}
		cfg.Ports[id] = store.SideBounds{Local: slices.Concat(b.Local, p.Local), Remote: slices.Concat(b.Remote, p.Remote)}
	}
}

func (t *Tally) add(o *Tally) {
	t.Permitted += o.Permitted
	t.NewlyDenied += o.NewlyDenied
	t.NewlyAllowed += o.NewlyAllowed
	t.InDoubt += o.InDoubt
	t.Denied += o.Denied
	t.Allowed += o.Allowed
	t.Unexplained += o.Unexplained
	t.Unknown += o.Unknown
}

// chunk is the number of rows that a worker takes at once.
const chunk = 4096

// lane is one interface under both policies.
type lane struct {
	name  string
	known bool // the present policy has it
	paths [2][2][]policy.Stage
}

func newLane(old, proposed *policy.Snapshot, name string) lane {
	l := lane{name: name}
	_, l.known = old.Interface(name)
	for d, dir := range directions {
		l.paths[0][d], l.paths[1][d] = old.Path(name, dir), proposed.Path(name, dir)
	}
	return l
}

var directions = [2]flow.Direction{flow.Ingress, flow.Egress}

func side(d flow.Direction) int {
	if d == flow.Egress {
		return 1
	}
	return 0
}

// part is the outcome for some rows.
type part struct {
	records Tally
	tuples  uint64
	found   []Connection
}

func (p *part) compare(res *engine.Result, lanes []lane, lo, hi int) {
	var r store.Row
	var readings []orient.Reading
	for i := lo; i < hi; i++ {
		res.Store.Row(i, &r)
		l := &lanes[r.Interface]
		if !l.known {
			continue
		}
		p.tuples++
		readings = orient.Readings(readings[:0], &r, res.Openers[i])
		var kinds []*uint64
		for k := range readings {
			c, kind := l.judge(&r, &readings[k], &p.records)
			kinds = append(kinds, kind)
			if kind == &p.records.NewlyDenied || kind == &p.records.NewlyAllowed {
				c.Open = len(readings) > 1
				p.found = append(p.found, c)
			}
		}
		*gravest(kinds, &p.records) += r.Records
	}
}

// gravest picks the one count for a row from those of its readings.
func gravest(kinds []*uint64, t *Tally) *uint64 {
	for _, grave := range []*uint64{&t.NewlyDenied, &t.NewlyAllowed, &t.InDoubt} {
		if slices.Contains(kinds, grave) {
			return grave
		}
	}
	if len(kinds) == 0 || slices.ContainsFunc(kinds, func(k *uint64) bool { return k != kinds[0] }) {
		return &t.Unknown
	}
	return kinds[0]
}

// judge puts one reading of a row to both policies.
func (l *lane) judge(r *store.Row, x *orient.Reading, t *Tally) (Connection, *uint64) {
	c := Connection{Interface: l.name, Direction: x.Opener, Proto: r.Proto, Remote: x.Remote, RemoteFree: x.RemoteFree, Port: x.Port, PortHi: x.PortHi,
		Action: r.Action, Records: r.Records, First: r.First, Last: r.Last}
	conn := policy.Conn{Direction: x.Opener, Proto: r.Proto, Local: x.Local.Netip(), Remote: x.Remote.Netip(),
		LocalPort: x.LocalPort, RemotePort: x.RemotePort, ICMP: policy.AnyICMP}
	var decisions [2]policy.Decision
	var says [2]Say
	for n := range says {
		decisions[n] = policy.Decide(l.paths[n][side(x.Opener)], &conn)
		says[n] = say(decisions[n])
	}
	c.Old, c.New = says[0], says[1]
	through := opens(&decisions[0], &decisions[1])
	if x.IsReply() {
		back := conn
		back.Direction = x.Packet
		var replies [2]Say
		for n := range replies {
			decisions[n] = policy.DecidePacket(l.paths[n][side(x.Packet)], &back)
			replies[n] = say(decisions[n])
		}
		through = union(through, opens(&decisions[0], &decisions[1]))
		// What denies speaks: the request's stages first.
		for n, s := range [2]*Say{&c.Old, &c.New} {
			if replies[n].Verdict != policy.Allowed && s.Verdict != policy.Denied {
				*s, c.Reply = replies[n], true
			}
		}
	}
	old, new := c.Old.Verdict, c.New.Verdict
	accepted := r.Action != flow.Reject
	switch {
	case old == policy.Denied && new == policy.Allowed:
		c.Through = through
		return c, &t.NewlyAllowed
	case accepted && new == policy.Denied && old != policy.Denied:
		return c, &t.NewlyDenied
	case accepted && old == policy.Allowed && new == policy.Unknown:
		return c, &t.InDoubt
	case old == policy.Unknown || new == policy.Unknown:
		return c, &t.Unknown
	case accepted && new == policy.Allowed:
		return c, &t.Permitted
	case accepted:
		return c, &t.Unexplained
	case new == policy.Denied:
		return c, &t.Denied
	}
	return c, &t.Allowed
}

// opens returns the rules that speak in new at the stage at which old denied, and behind
// it.
func opens(old, new *policy.Decision) []policy.Ref {
	if old.Verdict != policy.Denied || new.Verdict != policy.Allowed || len(old.Stages) == 0 {
		return nil
	}
	var out []policy.Ref
	for i := len(old.Stages) - 1; i < len(new.Stages); i++ {
		if st := &new.Stages[i]; !st.Skipped {
			out = union(out, st.Winners)
		}
	}
	return out
}

// union is the sorted union of two sorted sets.
func union(a, b []policy.Ref) []policy.Ref {
	if len(a) == 0 || len(b) == 0 {
		return append(a, b...)
	}
	out := slices.Concat(a, b)
	slices.SortFunc(out, policy.Ref.Compare)
	return slices.Compact(out)
}

func say(d policy.Decision) Say {
	s := Say{Verdict: d.Verdict}
	for i := len(d.Stages) - 1; i >= 0; i-- {
		st := &d.Stages[i]
		if st.Skipped || st.Verdict != d.Verdict {
			continue
		}
		s.Stage, s.Rules = st.Stage, st.Winners
		break
	}
	return s
}

// key is what rows of one connection share.
type key struct {
	iface    string
	dir      flow.Direction
	proto    flow.Proto
	remote   flow.Addr
	free     uint8
	port, hi uint16
	action   flow.Action
	reply    bool
	says     string
}

func keyOf(c *Connection) key {
	var b strings.Builder
	for _, s := range [2]*Say{&c.Old, &c.New} {
		b.WriteString(s.Verdict.String() + " " + s.Stage)
		for _, r := range s.Rules {
			b.WriteString(" " + r.String())
		}
		b.WriteByte('|')
	}
	return key{c.Interface, c.Direction, c.Proto, c.Remote, c.RemoteFree, c.Port, c.PortHi, c.Action, c.Reply, b.String()}
}

func compareConnections(a, b Connection) int {
	return cmp.Or(strings.Compare(a.Interface, b.Interface), cmp.Compare(a.Direction, b.Direction), cmp.Compare(a.Proto, b.Proto),
		a.Remote.Compare(b.Remote), cmp.Compare(a.RemoteFree, b.RemoteFree), cmp.Compare(a.Port, b.Port), cmp.Compare(a.PortHi, b.PortHi), cmp.Compare(a.Action, b.Action),
		compareBool(a.Reply, b.Reply), strings.Compare(keyOf(&a).says, keyOf(&b).says))
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
