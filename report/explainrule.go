package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sgadvise/sgadvise/analyzer"
	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/explain"
	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// RuleExplanation is the evidence behind one rule.
type RuleExplanation struct {
	Rule       ListedRule    `json:"rule"`
	Interfaces []string      `json:"interfaces" doc:"Those on whose path the rule is."`
	Headline   string        `json:"headline"`
	Evidence   *RuleEvidence `json:"evidence" doc:"Null: no logs were given."`
}

// RuleEvidence is what the logs show of one rule.
type RuleEvidence struct {
	Window           Window           `json:"window" doc:"The first and the last moment of the records, and the days between."`
	Verdict          string           `json:"verdict" doc:"As analyze gives it."`
	Reason           string           `json:"reason"`
	Hits             uint64           `json:"hits" doc:"Distinct connections that the rule wins."`
	Decisive         uint64           `json:"decisive" doc:"Of the hits, those judged otherwise without the rule."`
	PossibleHits     uint64           `json:"possible_hits" doc:"Connections it would win in a reading that is not settled."`
	Records          uint64           `json:"records" doc:"Log records of the hits."`
	Packets          uint64           `json:"packets"`
	Bytes            uint64           `json:"bytes"`
	Peers            uint64           `json:"peers" doc:"Distinct addresses on the far side."`
	FirstSeen        Time             `json:"first_seen"`
	LastSeen         Time             `json:"last_seen"`
	Without          Without          `json:"without"`
	Connections      []RuleConnection `json:"connections" doc:"The decisive ones first, each kind by records; as many as were asked for."`
	TotalConnections uint64           `json:"total_connections" doc:"Hits and possible ones."`
	Shared           []SharedWith     `json:"shared" doc:"Other rules that win the same connections, the most of them first."`
}

// Without says what changes if the rule alone is not there: the decisive connections.
type Without struct {
	Connections uint64 `json:"connections"`
	Records     uint64 `json:"records"`
	Becomes     string `json:"becomes" doc:"What these connections would be." enum:"denied,allowed"`
}

// RuleConnection is one connection of a rule.
type RuleConnection struct {
	Kind      string   `json:"kind" enum:"decisive,hit,possible"`
	Interface string   `json:"interface"`
	Direction string   `json:"direction" enum:"ingress,egress"`
	Protocol  string   `json:"protocol"`
	Peer      string   `json:"peer"`
	Ports     string   `json:"ports" doc:"The service port; a range where a record does not show which it is; all for protocols without ports."`
	Action    string   `json:"action" enum:"ACCEPT,REJECT"`
	Opener    string   `json:"opener" doc:"How sure it is who opened it." enum:"proven,inferred,undecided"`
	Answered  bool     `json:"answered"`
	Records   uint64   `json:"records"`
	Packets   uint64   `json:"packets"`
	Bytes     uint64   `json:"bytes"`
	FirstSeen Time     `json:"first_seen"`
	LastSeen  Time     `json:"last_seen"`
	Days      []string `json:"days" doc:"Days on which a record of it began; empty if it was seen over more than 64 days, which are not told apart."`
	Others    []string `json:"others" doc:"Other rules of the same stage that win it."`
}

// SharedWith is another rule with hits of this one.
type SharedWith struct {
	Ref         string `json:"ref"`
	Connections uint64 `json:"connections"`
	SameStage   bool   `json:"same_stage" doc:"True: it decides in place of the rule; false: it is of another stage, which must agree."`
}

// Ruling is what a rule's explanation is made of. Result and Analysis are nil if no logs
// were given.
type Ruling struct {
	Tool     Tool
	Snapshot *policy.Snapshot
	Rule     *explain.InForce
	Result   *engine.Result
	Analysis *analyzer.Analysis
	Top      int // connections to list; negative: all
}

// BuildRuleExplanation writes down the evidence behind a rule.
func BuildRuleExplanation(in Ruling) *Explanation {
	r := in.Rule.Rule
	x := &RuleExplanation{Rule: listedRule(in.Snapshot, r, tierOf(in.Snapshot, r))}
	for _, f := range in.Rule.Interfaces {
		x.Interfaces = append(x.Interfaces, f.ID)
	}
	if in.Result != nil {
		x.Evidence = ruleEvidence(&in)
	}
	switch {
	case x.Evidence == nil:
		x.Headline = fmt.Sprintf("%s is in force on %s; without logs there is no evidence.", x.Rule.Ref, plural(len(x.Interfaces), "interface"))
	default:
		x.Headline = fmt.Sprintf("%s is %s: %s.", x.Rule.Ref, x.Evidence.Verdict, x.Evidence.Reason)
	}
	return completed(&Explanation{Schema: ExplainSchema, Tool: in.Tool, Rule: x, Notes: missingNotes(in.Snapshot)})
}

// tierOf names the tier of a rule where its ref tells.
func tierOf(s *policy.Snapshot, r *policy.Rule) string {
	switch {
	case !r.Implicit:
		return policy.RuleTier
	case strings.HasPrefix(r.Ref.Rule, "default:"):
		return explain.DefaultTier
	case strings.HasPrefix(r.Ref.Rule, policy.IntraRef("").Rule):
		return policy.IntraTier
	}
	return policy.RuleTier
}

func ruleEvidence(in *Ruling) *RuleEvidence {
	res, ev := in.Result, in.Analysis.Evidence
	r := in.Rule.Rule
	out := &RuleEvidence{Window: Window{Time(ev.From), Time(ev.To), ev.Days}, Without: Without{Becomes: "denied"}}
	if r.Action == policy.Deny {
		out.Without.Becomes = "allowed"
	}
	at := slices.IndexFunc(in.Analysis.Verdicts, func(v analyzer.RuleVerdict) bool { return v.Rule.Ref == r.Ref })
	if at < 0 {
		out.Verdict, out.Reason = analyzer.CannotJudge, "the logs hold no row of an interface on whose path it is"
		return out
	}
	v := &in.Analysis.Verdicts[at]
	u := &v.Usage
	out.Verdict, out.Reason = v.Verdict, v.Reason
	out.Hits, out.Decisive, out.PossibleHits = u.Hits, u.Decisive, u.Possible
	out.Records, out.Packets, out.Bytes, out.Peers = u.Records, u.Packets, u.Bytes, u.Peers
	out.FirstSeen, out.LastSeen = Time(u.First), Time(u.Last)

	kinds := signatureKinds(res, int32(at))
	type other struct {
		id   int32
		same bool
	}
	shared := make(map[other]uint64)
	sites := newStageSites(in.Snapshot)
	type one struct {
		c    *engine.Connection
		kind int
	}
	var all []one
	for i, c := range res.Connections.All() {
		kind := kinds[c.Signature]
		if kind == noPart {
			continue
		}
		then := *c // what of it the rule was there for
		seen := res.Seen(i, int32(at))
		then.Records, then.Packets, then.Bytes, then.First, then.Last, then.Days = seen.Records, seen.Packets, seen.Bytes, seen.First, seen.Last, seen.Days
		c = &then
		all = append(all, one{c, kind})
		if kind == possiblePart {
			continue
		}
		for _, id := range res.Signatures[c.Signature].Hits {
			if id != int32(at) {
				shared[other{id, sites.same(c.Interface, r.Ref, res.Rules[id].Ref)}]++
			}
		}
		if kind == decisivePart {
			out.Without.Connections++
			out.Without.Records += c.Records
		}
	}
	// Stable: what is equal stays in the order of the result, which is total.
	slices.SortStableFunc(all, func(a, b one) int { return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(b.c.Records, a.c.Records)) })
	out.TotalConnections = uint64(len(all))
	for _, x := range firstOf(all, in.Top) {
		out.Connections = append(out.Connections, ruleConnection(res, x.c, x.kind, int32(at), sites))
	}
	for x, n := range shared {
		out.Shared = append(out.Shared, SharedWith{res.Rules[x.id].Ref.String(), n, x.same})
	}
	slices.SortFunc(out.Shared, func(a, b SharedWith) int {
		if a.SameStage != b.SameStage {
			return map[bool]int{true: -1, false: 1}[a.SameStage]
		}
		return cmp.Or(cmp.Compare(b.Connections, a.Connections), strings.Compare(a.Ref, b.Ref))
	})
	return out
}

// What part a rule has in a connection, the weightiest first.
const (
	decisivePart = iota
	hitPart
	possiblePart
	noPart
)

// signatureKinds gives the part that rule id has in the connections of each signature.
func signatureKinds(res *engine.Result, id int32) []int {
	out := make([]int, len(res.Signatures))
	for i := range res.Signatures {
		s := &res.Signatures[i]
		switch {
		case slices.Contains(s.Decisive, id):
			out[i] = decisivePart
		case slices.Contains(s.Hits, id):
			out[i] = hitPart
		case slices.Contains(s.Possible, id):
			out[i] = possiblePart
		default:
			out[i] = noPart
		}
	}
	return out
}

func ruleConnection(res *engine.Result, c *engine.Connection, kind int, id int32, sites *stageSites) RuleConnection {
	out := RuleConnection{
		Kind:      [...]string{"decisive", "hit", "possible"}[kind],
		Interface: res.Snapshot.Interfaces[c.Interface].ID,
		Direction: c.Direction.String(), Protocol: c.Proto.Name(), Peer: netset.FoldedText(c.Remote, c.RemoteFree), Ports: "all",
		Action: c.Action.String(), Opener: "undecided", Answered: c.Answered,
		Records: c.Records, Packets: c.Packets, Bytes: c.Bytes, FirstSeen: Time(c.First), LastSeen: Time(c.Last),
		Days: daysOf(c.Days, c.First, c.Last),
	}
	if c.Proto.HasPorts() {
		out.Ports = fmt.Sprint(c.Port)
		if c.PortHi != c.Port {
			out.Ports = fmt.Sprintf("%d-%d", c.Port, c.PortHi)
		}
	}
	switch {
	case c.Proven:
		out.Opener = "proven"
	case c.Certain:
		out.Opener = "inferred"
	}
	for _, other := range res.Signatures[c.Signature].Hits {
		if other != id && sites.same(c.Interface, res.Rules[id].Ref, res.Rules[other].Ref) {
			out.Others = append(out.Others, res.Rules[other].Ref.String())
		}
	}
	slices.Sort(out.Others)
	return out
}

// stageSites tells at which stages of an interface's paths a rule stands.
type stageSites struct {
	snap  *policy.Snapshot
	paths map[string]map[policy.Ref][]string // by path: stages with their direction
	of    map[int32]map[policy.Ref][]string  // by interface
}

func newStageSites(s *policy.Snapshot) *stageSites {
	return &stageSites{s, map[string]map[policy.Ref][]string{}, map[int32]map[policy.Ref][]string{}}
}

// same reports whether a and b stand at one stage of the interface with this index.
func (x *stageSites) same(at int32, a, b policy.Ref) bool {
	stages, ok := x.of[at]
	if !ok {
		f := &x.snap.Interfaces[at]
		key := x.snap.PathKey(f)
		if stages, ok = x.paths[key]; !ok {
			stages = make(map[policy.Ref][]string)
			for _, d := range [2]flow.Direction{flow.Ingress, flow.Egress} {
				for _, st := range x.snap.Path(f.ID, d) {
					name := st.Name + "/" + d.String()
					stages[st.DefaultRef] = append(stages[st.DefaultRef], name)
					for _, t := range st.Tiers {
						for i := range t.Rules {
							stages[t.Rules[i].Ref] = append(stages[t.Rules[i].Ref], name)
						}
					}
				}
			}
			x.paths[key] = stages
		}
		x.of[at] = stages
	}
	return slices.ContainsFunc(stages[a], func(name string) bool { return slices.Contains(stages[b], name) })
}

// daysOf lists the days of a mask that has a bit for each day modulo 64, seen from first
// to last; nothing if that is longer than the mask can tell apart.
func daysOf(mask uint64, first, last int64) []string {
	from, to := floorDay(first), floorDay(last)
	if to-from >= 64 {
		return nil
	}
	var out []string
	for d := from; d <= to; d++ {
		if mask>>(uint64(d)%64)&1 != 0 {
			out = append(out, time.Unix(d*daySeconds, 0).UTC().Format(time.DateOnly))
		}
	}
	return out
}

// floorDay is the Unix day of a second.
func floorDay(t int64) int64 {
	d := t / daySeconds
	if t%daySeconds < 0 {
		d--
	}
	return d
}
