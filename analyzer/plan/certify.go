package plan

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/netset"
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
// To spare time, packets that no prefix and no port range on either path tells apart are
// asked about once, and rules that name another protocol or service port than the packet
// has are left out beforehand: they cannot match.
//
// No row holds an ICMP type. Each that rules tell apart is asked about, since the packet
// had one of them.
//
// A folded port stands for its class under the old rules only. Where it is one that
// rules read, every class that either snapshot's bounds cut out of what was seen is
// tried.
//
// A row that was rolled up stands for peers in a prefix. Each class of its addresses that
// either snapshot's bounds cut out is tried: the proof holds for whoever of them it was.
//
// It costs a few look-ups for each distinct row of an interface whose path the plan
// changes, and a pass over the rules of a service for each distinct question; rows of
// other interfaces are counted and not asked. It is safe for concurrent use.
func Certify(ctx context.Context, r *engine.Result, planned *policy.Snapshot) (Proof, error) {
	if r.Store == nil {
		return Proof{}, fmt.Errorf("certify: the result has no connections to replay")
	}
	proof, err := certify(ctx, &replay{
		old: r.Snapshot, planned: planned,
		names: r.Store.Interfaces(), spans: r.Store.Spans(), row: r.Store.Row,
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
	spans        []int // see store.Connections.Spans
	row          func(int, *store.Row)
	opinion      func(int) orient.Opinion
}

// chunk is the number of rows of one interface that a worker takes at once, at most.
const chunk = 1 << 14

// job is a run of rows of one interface.
type job struct {
	lane   *lane
	lo, hi int
	proof  Proof
}

func certify(ctx context.Context, in *replay) (Proof, error) {
	var jobs []job
	grounds := make(map[[2]string]*ground)
	for i, name := range in.names {
		l := newLane(in, name, grounds)
		for lo := in.spans[i]; lo < in.spans[i+1] && l.ground != nil; lo += chunk {
			jobs = append(jobs, job{lane: l, lo: lo, hi: min(lo+chunk, in.spans[i+1])})
		}
	}
	// Those of one ground follow one another: a worker remembers the answers of one.
	order := make([]int, len(jobs))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(jobs[a].lane.ground.number, jobs[b].lane.ground.number) })
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			var m memory
			for ctx.Err() == nil {
				n := int(next.Add(1)) - 1
				if n >= len(order) {
					return
				}
				j := &jobs[order[n]]
				m.turnTo(j.lane.ground)
				j.proof = in.check(&m, j)
			}
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return Proof{}, err
	}
	var out Proof
	for i := range jobs {
		p := &jobs[i].proof
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

// asked is one question put to both snapshots.
type asked struct {
	direction             flow.Direction
	reply                 bool // a packet that opens nothing: stateless stages only
	proto                 flow.Proto
	icmp                  policy.TypeCode
	local, remote         flow.Addr
	localPort, remotePort uint16
}

// conn returns the connection, or packet, that q is about.
func (q *asked) conn() policy.Conn {
	return policy.Conn{Direction: q.direction, Proto: q.proto, Local: q.local.Netip(), Remote: q.remote.Netip(),
		LocalPort: q.localPort, RemotePort: q.remotePort, ICMP: q.icmp}
}

// answer is what the old and the planned snapshot say.
type answer struct{ old, planned policy.Verdict }

// lost reports whether a breaks what was accepted.
func (a answer) lost() bool {
	return a.old == policy.Allowed && a.planned != policy.Allowed || a.old == policy.Unknown && a.planned == policy.Denied
}

// won reports whether the planned snapshot lets more through.
func (a answer) won() bool {
	return a.old == policy.Denied && a.planned != policy.Denied || a.old == policy.Unknown && a.planned == policy.Allowed
}

func (in *replay) check(m *memory, j *job) Proof {
	var out Proof
	var r, last store.Row
	var readings []orient.Reading
	var ports []uint16
	var peers []flow.Addr
	var questions []asked
	g := j.lane.ground
	if j.lo > 0 {
		in.row(j.lo-1, &last)
	}
	for i := j.lo; i < j.hi; i++ {
		in.row(i, &r)
		out.Records += r.Records
		if i == 0 || !sameTuple(&r, &last) {
			out.Tuples++
		}
		last = r
		if g.same {
			continue
		}
		readings = orient.Readings(readings[:0], &r, in.opinion(i))
		denied, allowed := false, false
		for k := range readings {
			x := &readings[k]
			ports, peers = g.ports(ports[:0], &r, x), g.peers(peers[:0], x)
			questions = questions[:0]
			for _, port := range ports {
				for _, peer := range peers {
					questions = g.questions(questions, &r, x, peer, port)
				}
			}
			for n := range questions {
				q := &questions[n]
				a := m.ask(q)
				lost, won := a.lost() && r.Action != flow.Reject, a.won()
				if (lost || won) && out.Witness == "" {
					out.Witness = j.lane.witness(q, &r, a)
				}
				denied, allowed = denied || lost, allowed || won
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
	return a.Interface == b.Interface && a.Proto == b.Proto && a.Remote == b.Remote && a.RemoteFree == b.RemoteFree && a.Local == b.Local &&
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
func (g *ground) ports(dst []uint16, r *store.Row, x *orient.Reading) []uint16 {
	if r.Client == store.NoClient {
		return append(dst, 0)
	}
	dst = append(dst, r.PortLo)
	open, back := side(x.Opener), side(x.Opener.Reverse())
	lists := [2][]uint16{g.remote[open], g.replyRemote[back]}
	if foldedLocal(r, x) {
		lists = [2][]uint16{g.local[open], g.replyLocal[back]}
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

// peers returns the addresses that have to be tried of the remote ones of x: the first,
// and where they are rolled up the first of each other class among them.
func (g *ground) peers(dst []flow.Addr, x *orient.Reading) []flow.Addr {
	dst = append(dst, x.Remote)
	if x.RemoteFree == 0 {
		return dst
	}
	all := netset.Folded(x.Remote, x.RemoteFree)
	for _, bounds := range g.remoteAddrs {
		at, _ := slices.BinarySearchFunc(bounds, all.First, flow.Addr.Compare)
		for ; at < len(bounds) && bounds[at].Compare(all.Last) <= 0; at++ {
			dst = append(dst, bounds[at])
		}
	}
	slices.SortFunc(dst, flow.Addr.Compare)
	return slices.Compact(dst)
}

// questions appends what has to be asked of r, read as x with this peer and folded port: the
// packet that opened the connection, and the packet as logged where that is a reply.
func (g *ground) questions(dst []asked, r *store.Row, x *orient.Reading, peer flow.Addr, port uint16) []asked {
	q := asked{direction: x.Opener, proto: r.Proto, icmp: policy.AnyICMP, local: x.Local, remote: peer,
		localPort: x.LocalPort, remotePort: x.RemotePort}
	if r.Client != store.NoClient {
		if foldedLocal(r, x) {
			q.localPort = port
		} else {
			q.remotePort = port
		}
	}
	put := func() {
		if !q.proto.IsICMP() {
			dst = append(dst, q)
			return
		}
		for _, q.icmp = range g.icmp[side(q.direction)] {
			dst = append(dst, q)
		}
	}
	put()
	if x.IsReply() {
		q.direction, q.reply = x.Packet, true
		put()
	}
	return dst
}

// witness describes a question whose answer changed:
//
//	eni-1 ingress tcp 10.1.2.3:40000 -> 10.0.0.5:443: allow before, deny after (12 records)
func (l *lane) witness(q *asked, r *store.Row, a answer) string {
	from, to := q.remote.Netip().String(), q.local.Netip().String()
	fromPort, toPort := q.remotePort, q.localPort
	if q.direction == flow.Egress {
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
		l.name, q.direction, r.Proto, from, to, a.old, a.planned, what, r.Records)
}

// bracket puts an IPv6 address in brackets, as before a port.
func bracket(a string) string {
	if slices.Contains([]byte(a), ':') {
		return "[" + a + "]"
	}
	return a
}
