package report

import (
	"io"
	"net/netip"
	"strconv"
	"strings"

	"github.com/sgadvise/sgadvise/engine/explain"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// EffectiveSchema names the meaning of [Effective] documents.
const EffectiveSchema = "sgadvise.effective/1"

// Effective is the rules in force somewhere, in evaluation order.
type Effective struct {
	Schema   string          `json:"schema"`
	Tool     Tool            `json:"tool"`
	Subject  Subject         `json:"subject"`
	Resolved bool            `json:"resolved" doc:"References were resolved: every rule says what its sets hold."`
	Notes    []string        `json:"notes" doc:"What the policy lacks, and what follows from that."`
	Lists    []EffectiveList `json:"lists" doc:"One for each interface, or the one of the group."`
}

// Subject is what was asked for.
type Subject struct {
	Kind string `json:"kind" enum:"interface,instance,group"`
	ID   string `json:"id"`
}

// EffectiveList is the consolidated list of one interface or group.
type EffectiveList struct {
	Interface *InterfaceInfo   `json:"interface" doc:"Null: the list is of a group."`
	Group     *GroupInfo       `json:"group" doc:"Null: the list is of an interface."`
	Attached  []AttachedTo     `json:"attached" doc:"Of a group: the interfaces that carry it."`
	Stages    []EffectiveStage `json:"stages" doc:"Those of ingress, then those of egress; all stages of a direction must allow."`
}

// InterfaceInfo is an interface with what is attached to it.
type InterfaceInfo struct {
	ID        string      `json:"id"`
	Name      string      `json:"name"`
	Kind      string      `json:"kind" doc:"The platform's word."`
	Instance  string      `json:"instance"`
	VPC       string      `json:"vpc"`
	Subnet    string      `json:"subnet"`
	Addresses []string    `json:"addresses"`
	Groups    []GroupInfo `json:"groups"`
}

// GroupInfo is a group by id and name.
type GroupInfo struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description"`
}

// AttachedTo is a place where a group is in force.
type AttachedTo struct {
	Interface string `json:"interface"`
	Name      string `json:"name"`
	Instance  string `json:"instance"`
	Stage     string `json:"stage" doc:"Where interfaces spell out their stages; else empty."`
	Tier      string `json:"tier"`
}

// EffectiveStage is one stage with its rules.
type EffectiveStage struct {
	Direction string       `json:"direction" enum:"ingress,egress"`
	Stage     string       `json:"stage" doc:"sg: the security groups; nacl: the network ACL; else as the interface names it."`
	Stateful  bool         `json:"stateful" doc:"False: every packet is judged, answers too."`
	Exempt    []Exempt     `json:"exempt" doc:"Traffic that the stage does not filter."`
	Rules     []ListedRule `json:"rules" doc:"The strongest first. In a tier the first rank with a match speaks, deny before allow; no match goes to the next tier, and at last to the default."`
}

// Exempt is traffic that a stage does not filter, by the addresses of the far side.
type Exempt struct {
	Peers []string `json:"peers"`
	Why   string   `json:"why"`
}

// ListedRule is one rule of a list.
type ListedRule struct {
	Ref         string     `json:"ref"`
	Tier        string     `json:"tier" doc:"intra-group, rules, platform, default, or as the interface names it."`
	Owner       string     `json:"owner" doc:"The group or network ACL; implicit for rules that no export holds."`
	OwnerName   string     `json:"owner_name"`
	Direction   string     `json:"direction" enum:"ingress,egress"`
	Action      string     `json:"action" enum:"allow,deny,next,allow-all"`
	Priority    uint32     `json:"priority" doc:"Smaller is stronger, in its tier; 1 where the platform has none."`
	Protocol    string     `json:"protocol"`
	Ports       string     `json:"ports" doc:"Service ports: N, N-M or all; ICMP types are written as type N code M."`
	Peer        string     `json:"peer"`
	Parts       []RulePart `json:"parts" doc:"What the rule matches, box by box; most rules have one."`
	Sets        []HeldSet  `json:"sets" doc:"What its references hold, if that was asked for."`
	Description string     `json:"description"`
	Implicit    bool       `json:"implicit"`
	Editable    bool       `json:"editable"`
}

// RulePart is one box of a rule.
type RulePart struct {
	Protocol    string `json:"protocol" doc:"A name, a number, several joined by +, or all."`
	Ports       string `json:"ports"`
	Peer        string `json:"peer"`
	SourcePorts string `json:"source_ports" doc:"Ports of whoever opens the connection; all unless restricted."`
	Local       string `json:"local" doc:"Addresses of the near side; any unless restricted."`
}

// HeldSet is what a reference holds.
type HeldSet struct {
	ID    string   `json:"id"`
	Holds []string `json:"holds"`
	Known bool     `json:"known" doc:"False: it may hold more."`
	Dead  string   `json:"dead" doc:"Why it can hold nothing any more; empty: it is alive."`
}

// BuildEffective writes down lists. With resolve, every rule says what its sets hold.
func BuildEffective(tool Tool, s *policy.Snapshot, subject Subject, lists []*explain.List, resolve bool) *Effective {
	e := &Effective{Schema: EffectiveSchema, Tool: tool, Subject: subject, Resolved: resolve, Notes: missingNotes(s)}
	for _, l := range lists {
		var x EffectiveList
		if l.Interface != nil {
			x.Interface = interfaceInfo(s, l.Interface)
		}
		if l.Group != nil {
			x.Group = &GroupInfo{l.Group.ID, l.Group.Name, l.Group.Description}
		}
		for _, a := range l.Attached {
			x.Attached = append(x.Attached, AttachedTo{a.Interface.ID, a.Interface.Name, a.Interface.Instance, a.Stage, a.Tier})
		}
		for i := range l.Stages {
			st := &l.Stages[i]
			y := EffectiveStage{Direction: st.Direction.String(), Stage: st.Name, Stateful: st.Stateful}
			for _, x := range st.Exempt {
				y.Exempt = append(y.Exempt, Exempt{prefixTexts(x.Prefixes), x.Why})
			}
			for _, r := range st.Rules {
				line := listedRule(s, r.Rule, r.Tier)
				for _, set := range r.Sets {
					if resolve {
						line.Sets = append(line.Sets, HeldSet{set.ID, prefixTexts(set.Prefixes), !set.Unknown, set.Dead})
					}
				}
				y.Rules = append(y.Rules, line)
			}
			x.Stages = append(x.Stages, y)
		}
		e.Lists = append(e.Lists, x)
	}
	return completed(e)
}

// missingNotes words what the snapshot lacks.
func missingNotes(s *policy.Snapshot) []string {
	var out []string
	for _, m := range s.Missing {
		out = append(out, m.What+": "+m.Effect)
	}
	return out
}

func interfaceInfo(s *policy.Snapshot, f *policy.Interface) *InterfaceInfo {
	out := &InterfaceInfo{ID: f.ID, Name: f.Name, Kind: f.Kind, Instance: f.Instance, VPC: f.VPC, Subnet: f.Subnet}
	for _, a := range f.Addresses {
		out.Addresses = append(out.Addresses, a.String())
	}
	out.Addresses = append(out.Addresses, prefixTexts(f.Prefixes)...)
	for _, id := range f.Groups {
		g := GroupInfo{ID: id}
		if x, ok := s.Group(id); ok {
			g.Name, g.Description = x.Name, x.Description
		}
		out.Groups = append(out.Groups, g)
	}
	return out
}

func prefixTexts(ps []netip.Prefix) []string {
	var out []string
	for _, p := range ps {
		out = append(out, p.String())
	}
	return out
}

func listedRule(s *policy.Snapshot, r *policy.Rule, tier string) ListedRule {
	out := ListedRule{
		Ref: r.Ref.String(), Tier: tier, Owner: r.Ref.Owner, Direction: r.Direction.String(), Action: r.Action.String(), Priority: priority(r),
		Protocol: r.Protocol(), Ports: r.Ports(), Peer: r.Peer(), Description: r.Description, Implicit: r.Implicit, Editable: r.Editable,
	}
	if g, ok := s.Group(r.Ref.Owner); ok {
		out.OwnerName = g.Name
	}
	for i := range r.Match {
		m := &r.Match[i]
		one := policy.Rule{Direction: r.Direction, Match: r.Match[i : i+1]}
		part := RulePart{Protocol: protocols(m.Protos), Ports: one.Ports(), Peer: addrSetText(m.Remote), SourcePorts: "all", Local: addrSetText(m.Local)}
		if m.Protos.Has(flow.TCP) || m.Protos.Has(flow.UDP) {
			part.Ports, part.SourcePorts = m.ServicePorts(r.Direction).String(), m.ServicePorts(r.Direction.Reverse()).String()
		}
		out.Parts = append(out.Parts, part)
	}
	return out
}

// protocols names the members of s.
func protocols(s policy.ProtoSet) string {
	if s == policy.AnyProto {
		return "all"
	}
	var names []string
	for n := range 256 {
		if p := flow.Proto(n); s.Has(p) {
			names = append(names, p.Name())
		}
	}
	const listable = 6 // more are no list that someone wrote
	if len(names) > listable {
		return strconv.Itoa(len(names)) + " protocols"
	}
	return strings.Join(names, "+")
}

// addrSetText writes a set of addresses as rules do.
func addrSetText(s policy.AddrSet) string {
	parts := prefixTexts(s.Prefixes)
	if text := strings.Join(parts, ","); text == everywhere && len(s.Refs) == 0 && !s.Unknown {
		return "any"
	}
	for _, r := range s.Refs {
		parts = append(parts, r.ID)
	}
	if s.Unknown {
		parts = append(parts, "unknown")
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ",")
}

// everywhere is every address of both families.
const everywhere = "0.0.0.0/0,::/0"

// WriteEffective writes e as JSON.
func WriteEffective(w io.Writer, e *Effective) error { return writeJSON(w, e) }
