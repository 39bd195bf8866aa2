package analyzer

import (
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/orient"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/space"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// MaskedByACL finds group rules that a network ACL makes dead.
var MaskedByACL = &Analyzer{
	Name:     "masked-by-acl",
	Title:    "A network ACL denies all that this rule admits",
	Severity: Medium,
	Doc: `On every interface where the rule is in force, the network ACL of the subnet denies
every connection that the rule admits, and none of them stays inside the subnet, where
network ACLs do not speak. So the rule admits nothing today, and that it has no hits is no
wonder. It follows from the configuration alone.

Two layers are often meant: the rule would matter again if the network ACL changed. The
plan leaves it alone. Either the network ACL is too narrow, and something does not work, or
the rule is left over; the related lines are those that deny.`,
	Run: func(p *Pass) []Finding {
		masked := func(i int) bool { return len(p.Coverage.rules[i].acls) > 0 && !p.Coverage.rules[i].everywhere }
		rejected := p.countTouching(masked, p.stopped(), func(c *engine.Connection) bool { return c.GroupVerdict == policy.Allowed })
		var out []Finding
		for i, r := range p.Snapshot.Rules() {
			c := &p.Coverage.rules[i]
			if !masked(i) {
				continue
			}
			who := "network ACL " + c.acls[0] + " denies"
			if len(c.acls) > 1 {
				who = "network ACLs " + strings.Join(c.acls, ", ") + " deny"
			}
			f := about(r, "%s all that %s admits, on every interface where it is in force", who, words(r))
			for _, id := range c.acls {
				for _, x := range p.Coverage.lists.own[id][side(r.Direction)].Lines {
					if x.Rule.Action == policy.Deny && meet(x.Perhaps, p.Coverage.boxes[i].boxes) {
						f.Related = append(f.Related, x.Rule.Ref)
					}
				}
			}
			f.Related = f.Related[:min(len(f.Related), maxRelated)]
			f.Facts = []Fact{{"interfaces", count(len(p.Coverage.interfaces[i]))}, {"hits", count(p.Result.Usage[i].Hits)},
				{"rejected connections that it admits", count(rejected[i])}}
			if p.Coverage.boxes[i].members {
				f.Confidence = plan.Medium
				f.Facts = append(f.Facts, Fact{"relies on", "the members of a group as of the snapshot"})
			}
			out = append(out, f)
		}
		return out
	},
}

// clientPorts are ports that clients choose: what the common systems have in common with
// the range of RFC 6335.
var clientPorts = netset.PortRange{First: 32768, Last: 65535}

// ACLReplyDenied finds lines of network ACLs whose connections are not answered.
var ACLReplyDenied = &Analyzer{
	Name:     "acl-reply-denied",
	Title:    "A network ACL lets connections through and not their answers",
	Severity: Medium,
	Doc: `Network ACLs keep no state: the answers to what a line lets in are judged by the
outbound lines, with the port of the client as the destination, and the other way round.
The check finds lines for TCP services whose answers no line of the other direction lets
through to any port from 32768 on, from which clients choose; and, for TCP and UDP, lines
with answers that the logs show rejected and that the lines of the network ACL deny.

The first follows from the configuration and says nothing of whether anybody connects; the
facts say what the logs hold. Lines for all ports are only found by rejected answers: they
may be there for answers themselves. Answers inside a subnet are not judged. Add a line
for the ports of clients, commonly 1024-65535, towards the same addresses.`,
	Run: func(p *Pass) []Finding {
		var out []Finding
		for i, r := range p.Snapshot.Rules() {
			if !isACL(p.Snapshot, r.Ref.Owner) || r.Action != policy.Allow || len(p.Coverage.interfaces[i]) == 0 {
				continue
			}
			back := p.Coverage.lists.own[r.Ref.Owner][side(r.Direction.Reverse())]
			l := p.Coverage.lists.own[r.Ref.Owner][side(r.Direction)]
			at, _ := l.Find(r.Ref)
			never := neverAnswered(l, at, back)
			n := p.replies[r.Ref]
			if !never && n.records == 0 {
				continue
			}
			f := about(r, "answers to what %s lets through are rejected by the %s lines", words(r), r.Direction.Reverse())
			if never {
				f.Message = "what " + words(r) + " lets through cannot be answered: no " + r.Direction.Reverse().String() + " line passes tcp " + clientPorts.String() + " back"
			}
			f.Confidence = plan.Medium
			if n.records > 0 {
				f.Confidence = plan.High
			}
			f.Facts = []Fact{{"rejected answers", plural(int(n.records), "record")}, {"accepted connections", count(p.Result.Usage[i].Hits)}}
			if n.records > 0 {
				f.Facts = append(f.Facts, Fact{"peers", strings.Join(n.peers, ", ")})
			}
			out = append(out, f)
		}
		return out
	},
}

// neverAnswered reports whether line at of l lets TCP connections through to services, and
// no line of back passes answers to ports of clients.
func neverAnswered(l *space.List, at int, back *space.List) bool {
	var answers []netset.Box
	clients := netset.ServiceOf(flow.TCP, clientPorts)
	for _, b := range l.Admits(at).Perhaps {
		s, ok := b.Services.Intersect(netset.ServiceOf(flow.TCP, netset.AllPorts))
		if !ok {
			continue
		}
		if s.Overlaps(clients) && s.First != s.Last {
			return false
		}
		answers = append(answers, netset.Box{Services: clients, Addrs: b.Addrs})
	}
	return len(answers) > 0 && !meet(answers, back.Permits().Perhaps)
}

// replies counts answers that were rejected.
type replies struct {
	records uint64
	peers   []string // a few of those that were not answered
}

// rejectedReplies counts, for each ACL line that lets connections through, the rejected
// answers to them that the other direction's lines of the ACL do deny.
func rejectedReplies(res *engine.Result) map[policy.Ref]replies {
	out := make(map[policy.Ref]replies)
	if len(res.Snapshot.ACLs) == 0 {
		return out
	}
	names := res.Store.Interfaces()
	filters := make(map[uint32]*[2]*policy.Stage)
	var readings []orient.Reading
	for k, row := range res.RejectedAnswers() {
		readings = orient.Readings(readings[:0], row, res.Openers[k])
		filter := filters[row.Interface]
		if filter == nil {
			filter = aclStages(res.Snapshot, names[row.Interface])
			filters[row.Interface] = filter
		}
		x := &readings[0]
		c := policy.Conn{Direction: x.Opener, Proto: row.Proto, Local: x.Local.Netip(), Remote: x.Remote.Netip(),
			LocalPort: x.LocalPort, RemotePort: x.RemotePort, ICMP: policy.AnyICMP}
		there := filter[side(x.Opener)]
		back := filter[side(x.Packet)]
		if there == nil || back == nil {
			continue
		}
		asked := there.Decide(&c)
		c.Direction = x.Packet
		if asked.Skipped || asked.Verdict != policy.Allowed || back.Decide(&c).Verdict != policy.Denied {
			continue
		}
		r := out[asked.Winners[0]]
		r.records += row.Records
		if peer := netset.FoldedText(x.Remote, x.RemoteFree); len(r.peers) < maxRelated && !slices.Contains(r.peers, peer) {
			r.peers = append(r.peers, peer)
		}
		out[asked.Winners[0]] = r
	}
	return out
}

// aclStages returns the network ACL stages of interface id, ingress and egress; nil where
// there is none.
func aclStages(s *policy.Snapshot, id string) *[2]*policy.Stage {
	var out [2]*policy.Stage
	for _, d := range directions {
		path := s.Path(id, d)
		if n := slices.IndexFunc(path, func(st policy.Stage) bool { return st.Name == policy.ACLStage }); n >= 0 {
			out[side(d)] = &path[n]
		}
	}
	return &out
}
