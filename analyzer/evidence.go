package analyzer

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

const daySeconds = 86400

// Evidence says what the logs could have shown: the window, and for each interface
// of the policy what was captured.
type Evidence struct {
	From, To int64 // Unix s, over rows of every kind; 0, 0 without any
	Days     int   // length of the window in days, rounded up
	// RejectOnly: the logs hold no accepted traffic at all, so the absence of hits
	// means nothing.
	RejectOnly bool
	// Rejected: the logs hold rejected traffic.
	Rejected bool
	// Empty: the logs hold no flow and no row that says there was none.
	Empty      bool
	Interfaces []InterfaceEvidence // of Snapshot.Interfaces, same order

	opt       Options
	history   *policy.History       // nil: only one snapshot is known
	strangers map[policy.Ref]string // of network ACL lines: see strangers
}

// InterfaceEvidence says what was captured of one interface.
type InterfaceEvidence struct {
	Interface string
	Seen      bool // any row, NODATA included
	Coverage  store.Coverage
	// Gaps are the intervals in which flows may have gone unrecorded: SKIPDATA rows,
	// whole UTC days inside the window without any row, and all of the window where
	// the flow log is said not to be active, or its delivery to have failed.
	Gaps []Gap
	// Rejected: the flow log of this interface captures rejected traffic only.
	RejectOnly bool

	paths, ipv6 string // what its flow logs leave out: see leftOut
	rejected    string // why they show no rejected traffic; empty: they would
}

// Gap is an interval without evidence.
type Gap struct {
	From, To int64 // Unix s
	Why      string
}

func newEvidence(res *engine.Result, opt Options) *Evidence {
	e := &Evidence{opt: opt, history: res.History, strangers: strangers(res)}
	cov := make(map[string]store.Coverage)
	e.Empty = res.Store.Len() == 0
	for i, c := range res.Store.Coverage() {
		cov[c.Interface] = c
		e.Empty = e.Empty && c.NoData == 0
		if i == 0 {
			e.From, e.To = c.From, c.To
		}
		e.From, e.To = min(e.From, c.From), max(e.To, c.To)
	}
	if e.To > e.From {
		e.Days = int((e.To - e.From + daySeconds - 1) / daySeconds)
	}
	for _, c := range res.Connections.All() {
		if c.Action == flow.Reject {
			e.Rejected = true
			break
		}
	}
	for i := range res.Snapshot.Interfaces {
		f := &res.Snapshot.Interfaces[i]
		c, ok := cov[f.ID]
		ie := InterfaceEvidence{Interface: f.ID, Seen: ok, Coverage: c, RejectOnly: rejectOnly(res.Snapshot, f)}
		ie.paths, ie.ipv6 = leftOut(res.Snapshot, f)
		ie.rejected = e.noRejects(res.Snapshot, f)
		if ok {
			ie.Gaps = e.gaps(&c)
			if why := undelivered(res.Snapshot, f); why != "" {
				ie.Gaps = append([]Gap{{e.From, e.To, why}}, ie.Gaps...)
			}
		}
		e.Interfaces = append(e.Interfaces, ie)
	}
	e.RejectOnly = noAccept(res)
	return e
}

// gaps lists the SKIPDATA intervals of c and the whole UTC days inside the window on
// which nothing at all was recorded. The first and the last day of the window count
// only if the window holds all of them: exports begin and end in mid-day.
func (e *Evidence) gaps(c *store.Coverage) []Gap {
	var out []Gap
	for _, s := range c.Skips {
		out = append(out, Gap{s.From, s.To, "records were skipped (SKIPDATA)"})
	}
	first, last := (e.From+daySeconds-1)/daySeconds, e.To/daySeconds // [first, last)
	next := first
	missing := func(upTo int64) {
		if upTo > next {
			out = append(out, Gap{next * daySeconds, upTo * daySeconds, "no record on these days"})
		}
	}
	for _, d := range c.Days {
		if int64(d) < first || int64(d) >= last {
			continue
		}
		missing(int64(d))
		next = int64(d) + 1
	}
	missing(last)
	slices.SortFunc(out, func(a, b Gap) int {
		if a.From != b.From {
			return int(min(max(a.From-b.From, -1), 1))
		}
		return strings.Compare(a.Why, b.Why)
	})
	return out
}

// noAccept reports whether res holds traffic of the snapshot's interfaces, and none of
// it accepted. That of others says nothing of what the flow logs of these capture.
func noAccept(res *engine.Result) bool {
	if res.Traffic.Any {
		return !res.Traffic.Accepted
	}
	// No traffic at all: what the flow logs capture decides.
	logs := res.Snapshot.FlowLogs
	return len(logs) > 0 && !slices.ContainsFunc(logs, func(l policy.FlowLog) bool { return l.Traffic != "REJECT" })
}

// rejectOnly reports whether the flow logs that cover f, as far as they are described,
// capture rejected traffic only.
func rejectOnly(s *policy.Snapshot, f *policy.Interface) bool {
	only := false
	for _, l := range s.FlowLogs {
		if l.Resource != f.ID && l.Resource != f.Subnet && l.Resource != f.VPC || l.Resource == "" {
			continue
		}
		if l.Traffic != "REJECT" {
			return false
		}
		only = true
	}
	return only
}

// undelivered says that every flow log that covers f and captures accepted traffic is not
// active or its delivery failed, as far as they are described; or "".
func undelivered(s *policy.Snapshot, f *policy.Interface) string {
	why := ""
	for _, l := range s.FlowLogs {
		if l.Resource != f.ID && l.Resource != f.Subnet && l.Resource != f.VPC || l.Resource == "" || l.Traffic == "REJECT" {
			continue
		}
		switch {
		case l.Inactive:
			why = l.ID + " is not active"
		case l.Failed != "":
			why = "delivery of " + l.ID + " failed (" + l.Failed + ")"
		default:
			return ""
		}
	}
	return why
}

// ruleEvidence says whether the logs could have shown the use of rule r, attached to
// the interfaces ids.
type ruleEvidence struct {
	attached   bool
	observable bool
	hidden     string // why it is not observable
	others     string // why its hits may not be all of its use: see outgrown
	narrow     string // why the evidence is not enough to narrow it; empty: it is
	unused     string // the same for calling it unused
}

func (e *Evidence) rule(s *policy.Snapshot, r *policy.Rule, ids []int) ruleEvidence {
	out := ruleEvidence{attached: len(ids) > 0}
	out.hidden = hidden(s, r, ids)
	if r.Action == policy.Deny {
		for _, i := range ids {
			out.hidden = cmp.Or(out.hidden, e.Interfaces[i].rejected)
		}
	}
	if some, only := ofIPv6(s, r); some {
		for _, i := range ids {
			switch why := e.Interfaces[i].ipv6; {
			case only && out.hidden == "":
				out.hidden = why
			case !only && out.unused == "" && hasIPv6(&s.Interfaces[i]):
				out.unused = why
			}
		}
	}
	out.observable = out.hidden == ""
	out.narrow = cmp.Or(e.thin(r, ids, e.opt.NarrowDays), out.unused)
	out.unused = cmp.Or(e.thin(r, ids, e.opt.UnusedDays), out.unused)
	if by, ok := e.strangers[r.Ref]; ok {
		out.unused = by + " may have used it, in the same subnet by its address, and the export does not have that interface"
	}
	if subnet := unknownSubnet(s, r.Ref.Owner); subnet != "" {
		out.unused = "the export does not have " + subnet + ", whose interfaces its network ACL filters, too"
	}
	return out
}

// unknownSubnet names a subnet that is associated with network ACL id and not in s, or
// "". The replay asks no ACL for the interfaces of such a subnet.
func unknownSubnet(s *policy.Snapshot, id string) string {
	for i := range s.ACLs {
		if s.ACLs[i].ID != id {
			continue
		}
		for _, subnet := range s.ACLs[i].Subnets {
			if _, ok := s.Subnet(subnet); !ok {
				return subnet
			}
		}
	}
	return ""
}

// thin says what the evidence on these interfaces lacks for a minimum of days, or "".
func (e *Evidence) thin(r *policy.Rule, ids []int, days int) string {
	for _, i := range ids {
		if e.Interfaces[i].RejectOnly {
			return fmt.Sprintf("the flow log of %s captures rejected traffic only", e.Interfaces[i].Interface)
		}
		if e.Interfaces[i].paths != "" {
			return e.Interfaces[i].paths
		}
	}
	switch {
	case e.Empty:
		return "the logs hold no record that says anything of traffic"
	case e.RejectOnly:
		return "the logs hold no accepted traffic"
	case days <= 0:
		return ""
	case e.Days < days:
		return fmt.Sprintf("the window is %s long, %d are needed", plural(e.Days, "day"), days)
	}
	if young := e.young(r, ids, days); young != "" {
		return young
	}
	for _, i := range ids {
		ie := &e.Interfaces[i]
		switch {
		case !ie.Seen:
			return fmt.Sprintf("%s has no record in the logs", ie.Interface)
		case len(ie.Gaps) > 0:
			return fmt.Sprintf("%s has %s: %s from %s", ie.Interface, plural(len(ie.Gaps), "gap"), ie.Gaps[0].Why, Time(ie.Gaps[0].From))
		}
	}
	return ""
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// hidden says why no flow log can show all use of r, attached to the interfaces ids, or
// "": its ICMP type is in no field, all of its peers are platform addresses whose
// traffic is neither logged nor filtered, or it may admit what no row shows: what
// endpoints send to a network load balancer, a hop that is not logged; what does not go
// by IP (fabric); what leaves by a transit gateway in the same subnet.
func hidden(s *policy.Snapshot, r *policy.Rule, ids []int) string {
	for _, i := range ids {
		if isACL(s, r.Ref.Owner) {
			if why := unseenInbound(s, r, &s.Interfaces[i]); why != "" {
				return why
			}
			continue // the rest is about groups
		}
		switch role := s.Interfaces[i].Role; {
		case role == policy.Fabric && slices.ContainsFunc(r.Match, func(m policy.Match) bool { return m.Protos == policy.AnyProto }):
			return "the fabric traffic of " + s.Interfaces[i].ID + ", which needs a rule for all protocols, is no IP flow"
		case role == policy.NetworkBalancer && r.Direction == flow.Ingress:
			return "what endpoints of other networks send to the network load balancer " + s.Interfaces[i].ID + " is not logged"
		case role == policy.ServiceEndpoint && r.Direction == flow.Egress:
			return "what the endpoint " + s.Interfaces[i].ID + " passes on to its service is not logged"
		}
	}
	typed, platform, boxes := true, true, 0
	for i := range r.Match {
		m := &r.Match[i]
		boxes++
		p, ok := m.Protos.Single()
		typed = typed && ok && p.IsICMP() && m.ICMP != policy.AnyICMP
		remote := s.Resolve(m.Remote)
		platform = platform && !remote.Unknown && len(remote.Prefixes) > 0
		for _, prefix := range remote.Prefixes {
			platform = platform && isPlatform(s, r, m, prefix)
		}
	}
	switch {
	case boxes == 0:
		return ""
	case typed:
		return "flow logs hold no ICMP type or code"
	case platform:
		return "traffic to platform addresses (resolver, metadata, time) is never logged, and groups do not filter it"
	}
	return ""
}

// unseenInbound says why the use of r, a line of the network ACL of f's subnet, may not
// show: what the hosts of a subnet send to a transit gateway attachment f in the same
// subnet is judged by the inbound lines, too, with their own addresses as the source.
func unseenInbound(s *policy.Snapshot, r *policy.Rule, f *policy.Interface) string {
	sub, ok := s.Subnet(f.Subnet)
	if !ok || f.Role != policy.TransitGateway || r.Direction != flow.Ingress {
		return ""
	}
	for i := range r.Match {
		for _, p := range r.Match[i].Remote.Prefixes {
			if slices.ContainsFunc(sub.Blocks, p.Overlaps) {
				return "no log shows that inbound lines pass what " + sub.ID + " sends to the transit gateway by " + f.ID
			}
		}
	}
	return ""
}

// isPlatform reports whether all of p is a platform address, or for DNS the
// network's own resolver: the third address of the network's block. The block itself is
// not exported with subnets, so every block that holds a known subnet is tried.
func isPlatform(s *policy.Snapshot, r *policy.Rule, m *policy.Match, p netip.Prefix) bool {
	for i := range s.Platforms {
		for _, x := range s.Platforms[i].Exempt {
			if x.Bits() <= p.Bits() && x.Contains(p.Addr()) {
				return true
			}
		}
	}
	ports := m.ServicePorts(r.Direction)
	if r.Direction != flow.Egress || !p.IsSingleIP() || !p.Addr().Is4() || ports.First != 53 || ports.Last != 53 {
		return false
	}
	for i := range s.Subnets {
		for _, b := range s.Subnets[i].Blocks {
			for bits := 16; b.Addr().Is4() && bits <= b.Bits(); bits++ {
				base := netip.PrefixFrom(b.Addr(), bits).Masked().Addr()
				if base.Next().Next() == p.Addr() {
					return true
				}
			}
		}
	}
	return false
}

// forPlan gives the plan what it needs to know of each declared rule.
func (e *Evidence) forPlan(vs []RuleVerdict) []plan.RuleEvidence {
	var out []plan.RuleEvidence
	for i := range vs {
		v := &vs[i]
		if v.Rule.Implicit {
			break
		}
		r := plan.RuleEvidence{
			Attached:   v.evidence.attached,
			Observable: v.evidence.observable,
			NarrowOK:   v.evidence.narrow == "",
			UnusedOK:   v.evidence.unused == "",
			Why:        cmp.Or(v.evidence.hidden, v.evidence.narrow, v.evidence.unused),
		}
		if v.Verdict == CannotJudge || v.masked {
			r.UnusedOK, r.Why = false, v.Reason // two layers are often meant
		}
		if v.evidence.others != "" {
			r.NarrowOK, r.UnusedOK, r.Why = false, false, v.evidence.others
		}
		out = append(out, r)
	}
	return out
}
