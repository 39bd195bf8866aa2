package plan

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/orient"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// Certify replays every row of r.Store that belongs to an interface of the snapshot
// against r.Snapshot and planned, with policy.Decide and nothing else. For each reading
// that the row's opinion leaves open it asks both for the packet that opened the
// connection and, if the row is a reply, for that reply at the stateless stages.
//
// Accepted traffic that was allowed and no longer is counts as newly denied. Traffic
// that was denied, accepted or not, and no longer is counts as newly allowed; so does a
// rule of planned that admits more than r.Snapshot does, seen or not ([Widens]).
//
// To spare time, rules that name another protocol or service port than the packet has
// are left out beforehand: they cannot match.
//
// No row holds an ICMP type. Each that rules tell apart is asked about, since the packet
// had one of them.
//
// A folded port stands for its class under the old rules only. Where it is one that
// rules read, every class that either snapshot's bounds cut out of what was seen is
// tried.
//
// It costs a pass over all rules for each distinct row of an interface whose path the
// plan changes; rows of others are counted and not asked. It is safe for concurrent use.
func Certify(ctx context.Context, r *engine.Result, planned *policy.Snapshot) (Proof, error) {
	if r.Store == nil {
		return Proof{}, fmt.Errorf("certify: the result has no connections to replay")
	}
	proof, err := certify(ctx, &replay{
		old: r.Snapshot, planned: planned,
		names: r.Store.Interfaces(), rows: r.Store.Len(), row: r.Store.Row,
		opinion: func(i int) orient.Opinion { return r.Openers[i] },
	})
	if err != nil {
		return Proof{}, err
	}
	if witness := Widens(r.Snapshot, planned); witness != "" {
		proof.NewlyAllowed++
		if proof.Witness == "" {
			proof.Witness = witness
		}
	}
	return proof, nil
}

// replay is what a proof is made from.
type replay struct {
	old, planned *policy.Snapshot
	names        []string
	rows         int
	row          func(int, *store.Row)
	opinion      func(int) orient.Opinion
}

// chunk is the number of rows that a worker takes at once.
const chunk = 4096

func certify(ctx context.Context, in *replay) (Proof, error) {
	lanes := make([]*lane, len(in.names))
	for i, name := range in.names {
		lanes[i] = newLane(in, name)
	}
	parts := make([]Proof, (in.rows+chunk-1)/chunk)
	next := make(chan int, len(parts))
	for i := range parts {
		next <- i
	}
	close(next)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := range next {
				if ctx.Err() != nil {
					return
				}
				parts[i] = in.check(lanes, i*chunk, min(in.rows, (i+1)*chunk))
			}
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return Proof{}, err
	}
	var out Proof
	for _, p := range parts {
		out.Tuples += p.Tuples
		out.Records += p.Records
		out.NewlyDenied += p.NewlyDenied
		out.NewlyAllowed += p.NewlyAllowed
		if out.Witness == "" {
			out.Witness = p.Witness
		}
	}
	return out, nil
}

// lane is one interface under both snapshots.
type lane struct {
	name         string
	known, same  bool
	old, planned [2][]policy.Stage
	// Bounds of the ports that rules read, by direction and side of the interface: of
	// the whole path, and of its stateless stages.
	local, remote           [2][]uint16
	replyLocal, replyRemote [2][]uint16
	icmp                    [2][]policy.TypeCode // one of each class of types that rules cut
}

func newLane(in *replay, name string) *lane {
	l := &lane{name: name, same: true}
	if _, ok := in.old.Interface(name); !ok {
		return l
	}
	l.known = true
	for s, d := range directions {
		l.old[s], l.planned[s] = in.old.Path(name, d), in.planned.Path(name, d)
		l.same = l.same && samePath(l.old[s], l.planned[s])
		for _, path := range [2][]policy.Stage{l.old[s], l.planned[s]} {
			l.local[s], l.remote[s] = bounds(path, l.local[s], l.remote[s], false)
			l.replyLocal[s], l.replyRemote[s] = bounds(path, l.replyLocal[s], l.replyRemote[s], true)
		}
		l.icmp[s] = types(l.old[s], l.planned[s])
	}
	return l
}

// samePath reports whether two paths consist of the same rules.
func samePath(a, b []policy.Stage) bool {
	return slices.EqualFunc(a, b, func(a, b policy.Stage) bool {
		return a.Name == b.Name && a.Default == b.Default && slices.Equal(a.Exempt, b.Exempt) &&
			slices.EqualFunc(a.Tiers, b.Tiers, func(a, b policy.Tier) bool {
				return slices.EqualFunc(a.Rules, b.Rules, func(a, b policy.Rule) bool {
					return a.Ref == b.Ref && a.Rank == b.Rank && a.Action == b.Action && slices.EqualFunc(a.Match, b.Match, sameMatch)
				})
			})
	})
}

func sameMatch(a, b policy.Match) bool {
	return a.Protos == b.Protos && a.ICMP == b.ICMP && a.LocalPorts == b.LocalPorts && a.RemotePorts == b.RemotePorts &&
		a.Local.Unknown == b.Local.Unknown && a.Remote.Unknown == b.Remote.Unknown && samePeer(a.Local, b.Local) && samePeer(a.Remote, b.Remote)
}

// bounds adds the first port of each class that the rules of path cut.
func bounds(path []policy.Stage, local, remote []uint16, statelessOnly bool) (l, r []uint16) {
	add := func(to []uint16, first, last uint16) []uint16 {
		if first > 0 {
			to = append(to, first)
		}
		if last < 65535 {
			to = append(to, last+1)
		}
		return to
	}
	for _, st := range path {
		if statelessOnly && st.Stateful {
			continue
		}
		for _, t := range st.Tiers {
			for _, rule := range t.Rules {
				for _, m := range rule.Match {
					local = add(local, m.LocalPorts.First, m.LocalPorts.Last)
					remote = add(remote, m.RemotePorts.First, m.RemotePorts.Last)
				}
			}
		}
	}
	slices.Sort(local)
	slices.Sort(remote)
	return slices.Compact(local), slices.Compact(remote)
}

// types returns one ICMP type and code of each class that the rules of paths tell apart:
// those that they name, those of the same type with another code, and another type. It
// is the unknown one where they name none.
func types(paths ...[]policy.Stage) []policy.TypeCode {
	var named []policy.TypeCode
	for _, path := range paths {
		for _, st := range path {
			for _, t := range st.Tiers {
				for _, rule := range t.Rules {
					for _, m := range rule.Match {
						if m.ICMP != policy.AnyICMP {
							named = append(named, m.ICMP)
						}
					}
				}
			}
		}
	}
	if len(named) == 0 {
		return []policy.TypeCode{policy.AnyICMP}
	}
	const other = 256 // no packet has it, as no rule names it
	out := []policy.TypeCode{{Type: other, Code: other}}
	for _, n := range named {
		out = append(out, policy.TypeCode{Type: n.Type, Code: other})
		if n.Code >= 0 {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, func(a, b policy.TypeCode) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Code, b.Code))
	})
	return slices.Compact(out)
}

// asked is one question put to both snapshots.
type asked struct {
	conn  policy.Conn
	reply bool // a packet that opens nothing: stateless stages only
}

// answer is what the old and the planned snapshot say.
type answer struct{ old, planned policy.Verdict }

func (in *replay) check(lanes []*lane, lo, hi int) Proof {
	var out Proof
	near := make(map[service][2][]policy.Stage)
	var r, last store.Row
	var readings []orient.Reading
	var ports []uint16
	memo := make(map[asked]answer)
	if lo > 0 {
		in.row(lo-1, &last)
	}
	for i := lo; i < hi; i++ {
		in.row(i, &r)
		l := lanes[r.Interface]
		if !l.known {
			continue
		}
		out.Records += r.Records
		if i == 0 || !sameTuple(&r, &last) {
			out.Tuples++
			if i > 0 && r.Remote != last.Remote {
				clear(memo) // questions repeat for one remote host only
			}
		}
		last = r
		if l.same {
			continue
		}
		readings = orient.Readings(readings[:0], &r, in.opinion(i))
		denied, allowed := false, false
		for k := range readings {
			x := &readings[k]
			ports = l.ports(ports[:0], &r, x)
			for _, port := range ports {
				for _, q := range l.questions(&r, x, port) {
					a, ok := memo[q]
					if !ok {
						a = l.ask(q, near)
						memo[q] = a
					}
					lost := a.old == policy.Allowed && a.planned != policy.Allowed || a.old == policy.Unknown && a.planned == policy.Denied
					lost = lost && r.Action != flow.Reject
					won := a.old == policy.Denied && a.planned != policy.Denied || a.old == policy.Unknown && a.planned == policy.Allowed
					if (lost || won) && out.Witness == "" {
						out.Witness = l.witness(q, &r, a)
					}
					denied, allowed = denied || lost, allowed || won
				}
			}
		}
		if denied {
			out.NewlyDenied++
		}
		if allowed {
			out.NewlyAllowed++
		}
	}
	return out
}

func sameTuple(a, b *store.Row) bool {
	return a.Interface == b.Interface && a.Proto == b.Proto && a.Remote == b.Remote && a.Local == b.Local &&
		a.LocalPort == b.LocalPort && a.RemotePort == b.RemotePort && a.Client == b.Client
}

// foldedLocal reports whether the folded port of r, read as x, is the local one.
func foldedLocal(r *store.Row, x *orient.Reading) bool {
	swapped := r.Side == flow.DirectionUnknown && x.Packet == flow.Ingress
	return (r.Client == store.LocalClient) != swapped
}

// ports returns the values of the folded port that have to be tried: the least and the
// greatest seen, and the first of each class between them that some rule which judges
// the connection cuts. Without a folded port it returns one value, which is not read.
func (l *lane) ports(dst []uint16, r *store.Row, x *orient.Reading) []uint16 {
	if r.Client == store.NoClient {
		return append(dst, 0)
	}
	dst = append(dst, r.PortLo)
	open, back := side(x.Opener), side(x.Opener.Reverse())
	lists := [2][]uint16{l.remote[open], l.replyRemote[back]}
	if foldedLocal(r, x) {
		lists = [2][]uint16{l.local[open], l.replyLocal[back]}
	}
	for _, list := range lists {
		at, _ := slices.BinarySearch(list, r.PortLo)
		for ; at < len(list) && list[at] <= r.PortHi; at++ {
			dst = append(dst, list[at])
		}
	}
	dst = append(dst, r.PortHi)
	slices.Sort(dst)
	return slices.Compact(dst)
}

// questions returns what has to be asked of r, read as x with this folded port: the
// packet that opened the connection, and the packet as logged where that is a reply.
func (l *lane) questions(r *store.Row, x *orient.Reading, port uint16) []asked {
	c := policy.Conn{Direction: x.Opener, Proto: r.Proto, Local: x.Local.Netip(), Remote: x.Remote.Netip(),
		LocalPort: x.LocalPort, RemotePort: x.RemotePort, ICMP: policy.AnyICMP}
	if r.Client != store.NoClient {
		if foldedLocal(r, x) {
			c.LocalPort = port
		} else {
			c.RemotePort = port
		}
	}
	out := make([]asked, 0, 2)
	put := func(c policy.Conn, reply bool) {
		if !c.Proto.IsICMP() {
			out = append(out, asked{c, reply})
			return
		}
		for _, c.ICMP = range l.icmp[side(c.Direction)] {
			out = append(out, asked{c, reply})
		}
	}
	put(c, false)
	if x.IsReply() {
		c.Direction = x.Packet
		put(c, true)
	}
	return out
}

// service is what of a packet decides which rules can match it at all.
type service struct {
	lane      *lane
	direction flow.Direction
	proto     flow.Proto
	port      uint16
}

func (l *lane) ask(q asked, near map[service][2][]policy.Stage) answer {
	at := service{l, q.conn.Direction, q.conn.Proto, q.conn.LocalPort}
	if q.conn.Direction == flow.Egress {
		at.port = q.conn.RemotePort
	}
	paths, ok := near[at]
	if !ok {
		s := side(at.direction)
		paths = [2][]policy.Stage{at.only(l.old[s]), at.only(l.planned[s])}
		near[at] = paths
	}
	decide := policy.Decide
	if q.reply {
		decide = policy.DecidePacket
	}
	return answer{decide(paths[0], &q.conn).Verdict, decide(paths[1], &q.conn).Verdict}
}

// only returns path without the rules that cannot match the service.
func (v service) only(path []policy.Stage) []policy.Stage {
	out := slices.Clone(path)
	for i := range out {
		out[i].Tiers = slices.Clone(out[i].Tiers)
		for t := range out[i].Tiers {
			var rules []policy.Rule
			for _, r := range out[i].Tiers[t].Rules {
				if slices.ContainsFunc(r.Match, func(m policy.Match) bool {
					return m.Protos.Has(v.proto) && (!v.proto.HasPorts() || m.ServicePorts(v.direction).Contains(v.port))
				}) {
					rules = append(rules, r)
				}
			}
			out[i].Tiers[t].Rules = rules
		}
	}
	return out
}

// witness describes a question whose answer changed:
//
//	eni-1 ingress tcp 10.1.2.3:40000 -> 10.0.0.5:443: allow before, deny after (12 records)
func (l *lane) witness(q asked, r *store.Row, a answer) string {
	from, to := q.conn.Remote.String(), q.conn.Local.String()
	fromPort, toPort := q.conn.RemotePort, q.conn.LocalPort
	if q.conn.Direction == flow.Egress {
		from, to, fromPort, toPort = to, from, toPort, fromPort
	}
	if r.Proto.HasPorts() {
		to = fmt.Sprintf("%s:%d", bracket(to), toPort)
		if q.reply {
			from = fmt.Sprintf("%s:%d", bracket(from), fromPort)
		}
	}
	what := "connection"
	if q.reply {
		what = "reply"
	}
	return fmt.Sprintf("%s %s %s %s -> %s: %s before, %s after (%s of %d records)",
		l.name, q.conn.Direction, r.Proto, from, to, a.old, a.planned, what, r.Records)
}

// bracket puts an IPv6 address in brackets, as before a port.
func bracket(a string) string {
	if slices.Contains([]byte(a), ':') {
		return "[" + a + "]"
	}
	return a
}
