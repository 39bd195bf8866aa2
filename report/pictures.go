package report

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/sgadvise/sgadvise/analyzer"
	"github.com/sgadvise/sgadvise/analyzer/digest"
	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
)

// How much of each kind a document keeps for people to look at.
const (
	mostDetails = 300
	mostFlows   = 60
	mostSpaces  = 12
)

// Detail is the evidence for one rule, beyond its numbers.
type Detail struct {
	Ref        string    `json:"ref"`
	Shares     []Shared  `json:"shares"`      // other rules that matched its connections, the greatest first, at most 5
	MoreShares int       `json:"more_shares"` // how many more there are
	Decisive   []Example `json:"decisive"`    // of the connections that would end otherwise without it, the greatest, at most 5
}

// Shared says how many connections of a rule another one matched, too.
type Shared struct {
	Ref         string `json:"ref"`
	Connections uint64 `json:"connections"`
}

// Example is one connection.
type Example struct {
	Interface string `json:"interface"`
	Protocol  string `json:"protocol"`
	Remote    string `json:"remote"`
	Port      string `json:"port"` // of the service; all: the protocol has none
	Answered  bool   `json:"answered"`
	Records   uint64 `json:"records"`
	LastSeen  Time   `json:"last_seen"`
}

// Pictures hold what is only there to be looked at: the greatest of each kind, and what
// the rest adds up to.
type Pictures struct {
	Tradeoff []TradeoffPoint `json:"tradeoff"` // from few rules to many; empty: there was nothing to choose
	Flows    Flows           `json:"flows"`
	Spaces   []Space         `json:"spaces"` // of the widest rules, addresses before ports
}

// TradeoffPoint is a number of editable allow rules with what they would admit.
type TradeoffPoint struct {
	Rules int    `json:"rules"`
	IPv4  string `json:"ipv4"` // exposure, as a decimal integer
	IPv6  string `json:"ipv6"`
	Kind  string `json:"kind"` // today, option or plan
}

// The kinds of points of a trade-off.
const (
	TradeoffToday  = "today"  // the policy as it is
	TradeoffOption = "option" // what could be planned
	TradeoffPlan   = "plan"   // what is planned
)

// Flows say who opened accepted connections to whom.
type Flows struct {
	Links  []Flow `json:"links"`  // the greatest by records, at most 60
	Folded int    `json:"folded"` // links left out
	// Connections and Records are of all links, with those left out.
	Connections uint64 `json:"connections"`
	Records     uint64 `json:"records"`
}

// Flow is what one party opened to another by one service. A party is a group, a
// prefix, internet or others; a service is a protocol with its ports, or others.
type Flow struct {
	From        string `json:"from"`
	Service     string `json:"service"`
	To          string `json:"to"`
	Connections uint64 `json:"connections"`
	Records     uint64 `json:"records"`
}

// Space is a range that a rule admits, in cells of equal size, and how much of it was
// used. Cells holds one digit a cell, as Daily of a [Rule] has them, in lines of 64.
type Space struct {
	Ref    string     `json:"ref"`
	Kind   string     `json:"kind"`   // addresses or ports
	Within string     `json:"within"` // the prefix, or the ports
	Cell   string     `json:"cell"`   // the first cell, which shows how large they are
	Count  int        `json:"count"`  // cells
	Filled int        `json:"filled"` // cells that any connection used
	Cells  []string   `json:"cells"`
	Used   []UsedPart `json:"used"` // the cells with most connections, at most 8
}

// UsedPart is a cell of a [Space], as a prefix or ports.
type UsedPart struct {
	Part        string `json:"part"`
	Connections uint64 `json:"connections"`
}

// addPictures fills in what is only there to be looked at.
func (r *Report) addPictures(in Input) {
	res := in.Result
	index := make(map[string]int, len(res.Rules))
	for i, x := range res.Rules {
		index[x.Ref.String()] = i
	}
	var all []string
	var flows Flows
	var spaces []Space
	var wg sync.WaitGroup
	wg.Go(func() { all = digest.Days(res, in.Analysis.Evidence.From, in.Analysis.Evidence.To) })
	wg.Go(func() { flows = buildFlows(digest.Flows(res)) })
	wg.Go(func() { spaces = buildSpaces(res, in.Analysis, index) })
	r.Details = buildDetails(res, chosenRules(r, index, func(i int) bool { return res.Usage[i].Hits > 0 }))
	wg.Wait()
	for i, days := range all {
		if at, ok := slices.BinarySearchFunc(r.Rules, res.Rules[i].Ref.String(), func(x Rule, ref string) int { return strings.Compare(x.Ref, ref) }); ok {
			r.Rules[at].Daily = days
		}
	}
	r.Pictures = &Pictures{
		Tradeoff: buildTradeoff(in.Analysis.Plan),
		Flows:    flows,
		Spaces:   spaces,
	}
}

// chosenRules are the rules that people will want to know more of: those of the first
// edits, in the order of a reader's attention, then those of findings, then the most used.
// Rules without hits have nothing more to tell.
func chosenRules(r *Report, index map[string]int, hit func(int) bool) []int {
	var out []int
	seen := make(map[int]bool)
	add := func(ref string) {
		if i, ok := index[ref]; ok && !seen[i] && len(out) < mostDetails && hit(i) {
			seen[i] = true
			out = append(out, i)
		}
	}
	for _, e := range firstOf(ranked(r), htmlEdits) {
		add(string(e.Ref))
	}
	for i := range firstOf(r.Findings, htmlFindings) {
		add(string(r.Findings[i].Ref))
	}
	for _, x := range ofRules(r) {
		add(x.Ref)
	}
	slices.Sort(out)
	return out
}

func buildDetails(res *engine.Result, rules []int) []Detail {
	var out []Detail
	for _, d := range digest.Details(res, rules) {
		x := Detail{Ref: res.Rules[d.Rule].Ref.String(), MoreShares: d.More}
		for _, s := range d.Shares {
			x.Shares = append(x.Shares, Shared{res.Rules[s.Rule].Ref.String(), s.Connections})
		}
		for _, i := range d.Decisive {
			c := res.Connections.At(i)
			port := "all"
			if c.Proto.HasPorts() {
				port = netset.PortRange{First: c.Port, Last: c.PortHi}.String()
			}
			x.Decisive = append(x.Decisive, Example{res.Snapshot.Interfaces[c.Interface].ID, c.Proto.Name(), netset.FoldedText(c.Remote, c.RemoteFree), port, c.Answered, c.Records, Time(c.Last)})
		}
		if len(x.Shares)+len(x.Decisive) > 0 {
			out = append(out, x)
		}
	}
	slices.SortFunc(out, func(a, b Detail) int { return strings.Compare(a.Ref, b.Ref) })
	return out
}

func buildFlows(all []digest.Flow) Flows {
	var out Flows
	for i, f := range all {
		out.Connections += f.Connections
		out.Records += f.Records
		if i < mostFlows {
			out.Links = append(out.Links, Flow{f.From, f.Service, f.To, f.Connections, f.Records})
		}
	}
	out.Folded = len(all) - len(out.Links)
	return out
}

// buildSpaces measures the widest rules that were used and may be edited; those that the
// plan narrows come first.
func buildSpaces(res *engine.Result, a *analyzer.Analysis, index map[string]int) []Space {
	var rules []int
	narrowed := make(map[int]bool)
	for i := range a.Plan.Edits {
		if e := &a.Plan.Edits[i]; e.Op == plan.Replace {
			narrowed[index[e.Rule.String()]] = true
		}
	}
	width := make(map[int]float64)
	for i, r := range res.Snapshot.Rules() {
		_, group := res.Snapshot.Group(r.Ref.Owner)
		if u := &res.Usage[i]; group && r.Action == policy.Allow && r.Editable && u.Hits > 0 {
			rules = append(rules, i)
			width[i] = bitsOf(r.Protocol(), r.Ports(), r.Peer())
		}
	}
	slices.SortFunc(rules, func(a, b int) int {
		return cmp.Or(compareTrue(narrowed[a], narrowed[b]), cmp.Compare(width[b], width[a]), res.Rules[a].Ref.Compare(res.Rules[b].Ref))
	})
	spaces := digest.Spaces(res, firstOf(rules, mostSpaces))
	var out []Space
	for i := range firstOf(spaces, mostSpaces) {
		s := &spaces[i]
		x := Space{Ref: res.Rules[s.Rule].Ref.String(), Kind: "addresses", Within: s.Prefix.String(), Cell: cellText(s, 0), Count: len(s.Cells), Filled: s.Filled}
		if !s.Prefix.IsValid() {
			x.Kind, x.Within = "ports", s.Ports.String()
		}
		for c := range slices.Chunk(s.Cells, 64) {
			x.Cells = append(x.Cells, string(c))
		}
		for _, u := range s.Used {
			x.Used = append(x.Used, UsedPart{cellText(s, u.Index), u.Connections})
		}
		out = append(out, x)
	}
	return out
}

func compareTrue(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

func cellText(s *digest.Space, i int) string {
	prefix, ports := s.Cell(i)
	if prefix.IsValid() {
		return prefix.String()
	}
	return ports.String()
}

func buildTradeoff(p *plan.Plan) []TradeoffPoint {
	var out []TradeoffPoint
	for _, t := range p.Tradeoff {
		out = append(out, TradeoffPoint{t.Rules, t.Families[0], t.Families[1], string(t.Kind)})
	}
	return out
}

// bitsOf is about how much a rule admits, as the logarithm to the base 2 of addresses
// times services. A peer that is no prefix counts as 16 addresses.
func bitsOf(protocol, ports, peer string) float64 {
	addresses := 0.0
	for part := range strings.SplitSeq(peer, ",") {
		bits := 4.0
		if p, err := netip.ParsePrefix(part); err == nil {
			if bits = float64(32 - p.Bits()); p.Addr().Is6() {
				bits = float64(128-p.Bits()) / 4 // a /64 counts as 16 bits
			}
		}
		addresses = math.Log2(math.Exp2(addresses) + math.Exp2(bits))
	}
	services := 1.0
	switch lo, hi, ok := portRange(ports); {
	case protocol == "all":
		services = 2 * 65536
	case protocol != "tcp" && protocol != "udp":
	case ok:
		services = float64(hi-lo) + 1
	default:
		services = 65536
	}
	return addresses + math.Log2(services)
}
