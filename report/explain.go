package report

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/explain"
	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// ExplainSchema names the meaning of [Explanation] documents.
const ExplainSchema = "sgadvise.explain/1"

// Explanation is the answer to one question: what decides a connection, or what is
// behind a rule.
type Explanation struct {
	Schema string           `json:"schema"`
	Tool   Tool             `json:"tool"`
	Notes  []string         `json:"notes" doc:"What to know before relying on the answer."`
	Flow   *FlowExplanation `json:"flow" doc:"Null: the question was about a rule."`
	Rule   *RuleExplanation `json:"rule" doc:"Null: the question was about a connection."`
}

// FlowExplanation says what decides one connection.
type FlowExplanation struct {
	Flow        string    `json:"flow" doc:"As it can be asked about again."`
	Source      string    `json:"source"`
	Destination string    `json:"destination"`
	Protocol    string    `json:"protocol"`
	ClientPorts string    `json:"client_ports" doc:"The ports that the source may use: N or N-M; all for protocols without ports."`
	Port        string    `json:"port" doc:"Of the destination; all for protocols without ports."`
	Verdict     string    `json:"verdict" enum:"allow,deny,unknown" doc:"Of all ends together, answers included."`
	Headline    string    `json:"headline"`
	Ends        []FlowEnd `json:"ends" doc:"Those of the source, then those of the destination."`
	ToAllow     []Place   `json:"to_allow" doc:"What would have to change for the connection to be allowed: all of these places, in one of the ways that each names. Empty if it is allowed."`
	ToDeny      []Place   `json:"to_deny" doc:"What would have to change for it to be denied: one of these places, in one of the ways that each names; for each range of client ports. Empty if it is denied."`
}

// FlowEnd is one end of a connection.
type FlowEnd struct {
	Side      string         `json:"side" enum:"source,destination"`
	Direction string         `json:"direction" enum:"ingress,egress" doc:"Of the connection at this end."`
	Address   string         `json:"address"`
	Interface *InterfaceInfo `json:"interface" doc:"Null: outside the policy."`
	Verdict   string         `json:"verdict" enum:"allow,deny,unknown"`
	Requests  []FlowPass     `json:"requests" doc:"More than one where it depends on the client's port."`
	Answers   []FlowPass     `json:"answers" doc:"At the stateless stages, which judge answers too."`
	Observed  *Observed      `json:"observed" doc:"Null: no logs were given, or the end is outside."`
}

// FlowPass is the way of packets through the stages at one end.
type FlowPass struct {
	Direction   string      `json:"direction" enum:"ingress,egress"`
	ClientPorts string      `json:"client_ports"`
	Verdict     string      `json:"verdict" enum:"allow,deny,unknown"`
	Stages      []FlowStage `json:"stages" doc:"In path order, each asked even if an earlier one denied."`
}

// FlowStage is what one stage says.
type FlowStage struct {
	Stage     string       `json:"stage"`
	Stateful  bool         `json:"stateful"`
	Reached   bool         `json:"reached" doc:"False: an earlier stage had the last word."`
	Exempt    string       `json:"exempt" doc:"The addresses that the stage does not filter, if it does not apply; else empty."`
	Verdict   string       `json:"verdict" enum:"allow,deny,unknown"`
	Tier      string       `json:"tier" doc:"The tier that decides; default if no rule matches."`
	DecidedBy []string     `json:"decided_by" doc:"Refs of rules, or of the default."`
	Decisive  bool         `json:"decisive" doc:"One rule decides, and without it the verdict would be another."`
	Matches   []FlowMatch  `json:"matches" doc:"Every rule that matches, the strongest first."`
	NextBy    []string     `json:"next_by" doc:"What would decide if the deciding rules were not there."`
	Next      string       `json:"next" enum:"allow,deny,unknown"`
	ToAllow   []FlowChange `json:"to_allow" doc:"Changes after which the stage allows; any one will do."`
	ToDeny    []FlowChange `json:"to_deny" doc:"Changes after which the stage denies; any one will do."`
}

// FlowMatch is a rule that matches.
type FlowMatch struct {
	Rule    ListedRule `json:"rule"`
	Part    string     `json:"part" enum:"decides,perhaps,passes on,passed over,masked"`
	By      []string   `json:"by" doc:"What masks it, or passes it over."`
	Through string     `json:"through" doc:"The group or prefix list that holds the far side, if the rule does not name it."`
	Certain bool       `json:"certain" doc:"False: part of what it matches is not known."`
}

// FlowChange is one way to turn a stage. All of its parts are needed.
type FlowChange struct {
	Remove  []string      `json:"remove" doc:"Rules that would have to go, all of them."`
	Isolate []string      `json:"isolate" doc:"Groups whose members would no longer reach each other by the hidden rule."`
	Add     *FlowAddition `json:"add" doc:"A rule that would have to be there; null: none."`
	Text    string        `json:"text"`
}

// FlowAddition is a rule that would have to be there.
type FlowAddition struct {
	Owners      []string `json:"owners" doc:"The groups, or the network ACL, any one of which can take it."`
	Direction   string   `json:"direction" enum:"ingress,egress"`
	Action      string   `json:"action" enum:"allow,deny"`
	Priority    uint32   `json:"priority" doc:"The weakest that will do and that is free; 0: any will do."`
	Before      []string `json:"before" doc:"What it must outrank."`
	Protocol    string   `json:"protocol"`
	Ports       string   `json:"ports"`
	Peer        string   `json:"peer"`
	Description string   `json:"description" doc:"The rule in words."`
}

// Place is a stage at one end, and what would turn it.
type Place struct {
	Side        string       `json:"side" enum:"source,destination"`
	Interface   string       `json:"interface"`
	Stage       string       `json:"stage"`
	Answers     bool         `json:"answers" doc:"True: the stage as it judges the answers."`
	ClientPorts string       `json:"client_ports" doc:"The client's ports that it is about."`
	Ways        []FlowChange `json:"ways" doc:"Any one will do; empty: nothing that can be edited here leads there."`
}

// Observed is what the logs show of a connection at one end. Rules and logs tell
// connections apart by interface, peer and service port.
type Observed struct {
	Logged      bool   `json:"logged" doc:"False: the logs hold no row of the interface."`
	Connections uint64 `json:"connections"`
	Accepted    uint64 `json:"accepted" doc:"Records."`
	Rejected    uint64 `json:"rejected" doc:"Records."`
	Undecided   uint64 `json:"undecided" doc:"Records of those whose opener is not decided: some may be of a connection the other way."`
	FirstSeen   Time   `json:"first_seen"`
	LastSeen    Time   `json:"last_seen"`
}

// BuildFlowExplanation writes down e. Result is nil if no logs were given.
func BuildFlowExplanation(tool Tool, s *policy.Snapshot, e *explain.Explanation, res *engine.Result) *Explanation {
	f := &FlowExplanation{
		Flow: e.Flow.String(), Source: e.Flow.Src.String(), Destination: e.Flow.Dst.String(), Protocol: e.Flow.Proto.Name(),
		ClientPorts: "all", Port: "all", Verdict: e.Verdict.String(),
	}
	if e.Flow.Proto.HasPorts() {
		f.ClientPorts, f.Port = e.Flow.ClientPorts.String(), strconv.Itoa(int(e.Flow.Port))
	}
	for i := range e.Ends {
		f.Ends = append(f.Ends, flowEnd(s, e, &e.Ends[i], res))
	}
	f.ToAllow, f.ToDeny = places(f)
	f.Headline = flowHeadline(f)
	return completed(&Explanation{Schema: ExplainSchema, Tool: tool, Flow: f, Notes: slices.Concat(e.Notes, missingNotes(s))})
}

func flowEnd(s *policy.Snapshot, e *explain.Explanation, end *explain.End, res *engine.Result) FlowEnd {
	out := FlowEnd{Side: "source", Direction: end.Direction.String(), Address: end.Address.String(), Verdict: end.Verdict.String()}
	if end.Direction == flow.Ingress {
		out.Side = "destination"
	}
	if end.Interface == nil {
		return out
	}
	out.Interface = interfaceInfo(s, end.Interface)
	for i := range end.Requests {
		out.Requests = append(out.Requests, flowPass(s, e.Flow, &end.Requests[i]))
	}
	for i := range end.Answers {
		out.Answers = append(out.Answers, flowPass(s, e.Flow, &end.Answers[i]))
	}
	if res != nil {
		out.Observed = observed(res, e.Flow, end)
	}
	return out
}

func flowPass(s *policy.Snapshot, f explain.Flow, p *explain.Pass) FlowPass {
	out := FlowPass{Direction: p.Conn.Direction.String(), ClientPorts: "all", Verdict: p.Verdict.String()}
	if f.Proto.HasPorts() {
		out.ClientPorts = p.Ports.String()
	}
	for i := range p.Stages {
		out.Stages = append(out.Stages, flowStage(s, &p.Stages[i]))
	}
	return out
}

func flowStage(s *policy.Snapshot, st *explain.Stage) FlowStage {
	d := &st.Decision
	out := FlowStage{Stage: st.Name, Stateful: st.Stateful, Reached: st.Reached, Verdict: d.Verdict.String(), Decisive: d.Decisive, Tier: d.Tier}
	if d.Skipped {
		out.Exempt, out.Next = st.Exempt.String(), d.Verdict.String()
		return out
	}
	if out.Tier == "" {
		out.Tier = explain.DefaultTier
	}
	out.DecidedBy, out.NextBy, out.Next = refTexts(d.Winners), refTexts(st.Next), st.NextVerdict.String()
	for i := range st.Matches {
		m := &st.Matches[i]
		out.Matches = append(out.Matches, FlowMatch{Rule: listedRule(s, m.Rule, m.Tier), Part: m.Part.String(), By: refTexts(m.By), Through: m.Through, Certain: m.Certain})
	}
	for i := range st.ToAllow {
		out.ToAllow = append(out.ToAllow, flowChange(&st.ToAllow[i]))
	}
	for i := range st.ToDeny {
		out.ToDeny = append(out.ToDeny, flowChange(&st.ToDeny[i]))
	}
	return out
}

func flowChange(c *explain.Change) FlowChange {
	out := FlowChange{Remove: refTexts(c.Remove), Isolate: c.Isolate}
	var parts []string
	if len(c.Isolate) > 0 {
		parts = append(parts, "isolate "+strings.Join(c.Isolate, " and ")+" (members no longer reach each other by the hidden rule)")
	}
	if len(out.Remove) > 0 {
		parts = append(parts, "remove "+strings.Join(out.Remove, " and "))
	}
	if a := c.Add; a != nil {
		r := a.Rule("", "")
		out.Add = &FlowAddition{Owners: a.Owners, Direction: r.Direction.String(), Action: r.Action.String(), Priority: a.Rank, Before: refTexts(a.Before),
			Protocol: r.Protocol(), Ports: r.Ports(), Peer: r.Peer()}
		out.Add.Description = ruleText(out.Add.Direction, out.Add.Action, out.Add.Protocol, out.Add.Ports, out.Add.Peer)
		text := "add to " + strings.Join(a.Owners, " or ") + ": " + out.Add.Description
		switch {
		case !a.AnyRank:
			text += fmt.Sprintf(", priority %d or smaller, before %s", a.Rank, strings.Join(out.Add.Before, " and "))
		case a.Ranked:
			text += ", at any priority"
		}
		parts = append(parts, text)
	}
	out.Text = strings.Join(parts, ", and ")
	return out
}

// places gathers what would turn the verdict.
func places(f *FlowExplanation) (toAllow, toDeny []Place) {
	for i := range f.Ends {
		e := &f.Ends[i]
		for n, ps := range [2][]FlowPass{e.Requests, e.Answers} {
			for j := range ps {
				for k := range ps[j].Stages {
					st := &ps[j].Stages[k]
					p := Place{Side: e.Side, Interface: e.Interface.ID, Stage: st.Stage, Answers: n == 1, ClientPorts: ps[j].ClientPorts}
					if st.Exempt == "" && st.Verdict != "allow" {
						p.Ways = st.ToAllow
						toAllow = append(toAllow, p)
					}
					if len(st.ToDeny) > 0 {
						p.Ways = st.ToDeny
						toDeny = append(toDeny, p)
					}
				}
			}
		}
	}
	if f.Verdict == "allow" {
		toAllow = nil
	}
	if f.Verdict == "deny" {
		toDeny = nil
	}
	return toAllow, toDeny
}

// flowHeadline is the answer in one sentence.
func flowHeadline(f *FlowExplanation) string {
	switch f.Verdict {
	case "allow":
		for i := range f.Ends {
			if f.Ends[i].Interface == nil {
				return f.Flow + " is allowed, as far as the policy reaches: its " + f.Ends[i].Side + " is outside."
			}
		}
		return f.Flow + " is allowed."
	case "unknown":
		return "Whether " + f.Flow + " is allowed is not known: it depends on what is said below."
	}
	for i := range f.Ends {
		e := &f.Ends[i]
		for n, ps := range [2][]FlowPass{e.Requests, e.Answers} {
			for j := range ps {
				for k := range ps[j].Stages {
					st := &ps[j].Stages[k]
					if e.Verdict != "deny" || ps[j].Verdict != "deny" || st.Verdict != "deny" || !st.Reached {
						continue
					}
					what := f.Flow + " is denied"
					if n == 1 {
						what = "The answers to " + f.Flow + " are denied"
					}
					return fmt.Sprintf("%s at the %s, %s, by %s.", what, e.Side, e.Interface.ID, strings.Join(st.DecidedBy, " and "))
				}
			}
		}
	}
	return f.Flow + " is denied."
}

// observed counts what the logs show of f at one end.
func observed(res *engine.Result, f explain.Flow, end *explain.End) *Observed {
	out := &Observed{Logged: slices.Contains(res.Store.Interfaces(), end.Interface.ID)}
	remote := f.Src
	if end.Direction == flow.Egress {
		remote = f.Dst
	}
	at, _ := slices.BinarySearchFunc(res.Snapshot.Interfaces, end.Interface.ID, func(x policy.Interface, id string) int { return strings.Compare(x.ID, id) })
	for _, c := range res.Connections.All() {
		if int(c.Interface) != at || c.Direction != end.Direction || c.Proto != f.Proto || !c.Peers().Contains(flow.AddrFrom(remote)) ||
			f.Proto.HasPorts() && !(netset.PortRange{First: c.Port, Last: c.PortHi}).Contains(f.Port) {
			continue
		}
		if out.Connections == 0 {
			out.FirstSeen, out.LastSeen = Time(c.First), Time(c.Last)
		}
		out.Connections++
		out.FirstSeen, out.LastSeen = min(out.FirstSeen, Time(c.First)), max(out.LastSeen, Time(c.Last))
		switch {
		case !c.Certain:
			out.Undecided += c.Records
		case c.Action == flow.Accept:
			out.Accepted += c.Records
		default:
			out.Rejected += c.Records
		}
	}
	return out
}

// WriteExplanation writes e as JSON.
func WriteExplanation(w io.Writer, e *Explanation) error { return writeJSON(w, e) }
