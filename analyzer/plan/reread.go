package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// Words is a rule as reports write it: what [policy.Rule]'s methods Protocol, Ports and
// Peer say.
type Words struct {
	Direction, Action     string
	Priority              uint32 // 1 where the platform has none
	Protocol, Ports, Peer string
	Description           string
}

// WordsOf returns the words for r.
func WordsOf(r *policy.Rule) Words {
	return Words{r.Direction.String(), r.Action.String(), max(r.Rank, 1), r.Protocol(), r.Ports(), r.Peer(), r.Description}
}

// Stored is an edit as a report holds it. Rule is zero for an addition. Was is what the
// report says of the rule that is edited; its description does not count.
type Stored struct {
	Op    Op
	Rule  policy.Ref
	Group string
	Was   *Words // nil: the report does not say
	With  []Words
}

// Reread makes edits of s again of those that a report holds. It fails if they do not fit
// s: a rule is not there, is not what the report says it was, or may not be edited, or a
// new rule names what s does not know. Edits that hold together are for [Apply] to tell,
// and whether they break anything for [Certify].
func Reread(s *policy.Snapshot, stored []Stored) ([]Edit, error) {
	var out []Edit
	for i := range stored {
		e, err := reread(s, &stored[i])
		if err != nil {
			what := stored[i].Rule.String()
			if stored[i].Rule.IsZero() {
				what = stored[i].Group
			}
			return nil, fmt.Errorf("plan.edits[%d]: %s: %w", i, what, err)
		}
		out = append(out, e)
	}
	return out, nil
}

func reread(s *policy.Snapshot, e *Stored) (Edit, error) {
	out := Edit{Op: e.Op, Rule: e.Rule, Group: e.Group}
	ranked := false
	switch e.Op {
	case Remove, Replace:
		i, ok := s.RuleIndex(e.Rule)
		if !ok {
			return out, fmt.Errorf("the policy has no such rule")
		}
		old := s.Rules()[i]
		switch {
		case e.Rule.Owner != e.Group:
			return out, fmt.Errorf("the rule is not of the group %s", e.Group)
		case !old.Editable || old.Implicit:
			return out, fmt.Errorf("the rule is not one that can be edited")
		case e.Was != nil && !sameWords(*e.Was, WordsOf(old)):
			return out, fmt.Errorf("the policy says %s, the report %s", WordsOf(old), *e.Was)
		case (len(e.With) > 0) != (e.Op == Replace):
			return out, fmt.Errorf("%s with %d new rules", e.Op, len(e.With))
		}
		ranked = old.Rank > 0
	case Add:
		if !e.Rule.IsZero() || len(e.With) == 0 {
			return out, fmt.Errorf("an addition that names a rule, or brings none")
		}
		ranked = slices.ContainsFunc(s.Rules(), func(r *policy.Rule) bool { return r.Ref.Owner == e.Group && r.Rank > 0 })
	default:
		return out, fmt.Errorf("%q is not remove, replace or add", e.Op)
	}
	for k, w := range e.With {
		r, err := w.Rule(s, e.Group)
		if err != nil {
			return out, fmt.Errorf("with[%d]: %w", k, err)
		}
		if !ranked {
			if w.Priority != 1 {
				return out, fmt.Errorf("with[%d]: priority %d where rules have none", k, w.Priority)
			}
			r.Rank = 0
		}
		out.With = append(out.With, replacement(&r, r.Match[0]))
	}
	return out, nil
}

// sameWords compares what rules do.
func sameWords(a, b Words) bool {
	a.Description, b.Description = "", ""
	return a == b
}

// String writes what the rule does as one line.
func (w Words) String() string {
	word := "from"
	if w.Direction == flow.Egress.String() {
		word = "to"
	}
	return fmt.Sprintf("%s %s %s %s %s %s (priority %d)", w.Direction, w.Action, w.Protocol, w.Ports, word, w.Peer, w.Priority)
}

// Rule returns the rule of group that w says, its rank being the priority. It has no id.
// Sets that other rules of s name are the same here; any others must be of s.
func (w Words) Rule(s *policy.Snapshot, group string) (policy.Rule, error) {
	r := policy.Rule{Ref: policy.Ref{Owner: group}, Rank: w.Priority, Description: w.Description, Editable: true}
	switch w.Direction {
	case flow.Ingress.String():
		r.Direction = flow.Ingress
	case flow.Egress.String():
		r.Direction = flow.Egress
	default:
		return r, fmt.Errorf("direction %q is neither ingress nor egress", w.Direction)
	}
	switch w.Action {
	case policy.Allow.String():
		r.Action = policy.Allow
	case policy.Deny.String():
		r.Action = policy.Deny
	default:
		return r, fmt.Errorf("action %q is neither allow nor deny", w.Action)
	}
	if w.Priority == 0 {
		return r, fmt.Errorf("priority 0")
	}
	protos, ports, icmp, err := w.service()
	if err != nil {
		return r, err
	}
	peer, err := peerNamed(s, w.Peer)
	if err != nil {
		return r, err
	}
	r.Match = []policy.Match{policy.NewMatch(r.Direction, protos, ports, icmp, peer)}
	return r, nil
}

// service reads the protocol and the ports, or the ICMP type, of w.
func (w Words) service() (policy.ProtoSet, netset.PortRange, policy.TypeCode, error) {
	protos, ports, icmp := policy.AnyProto, netset.AllPorts, policy.AnyICMP
	var proto flow.Proto
	if w.Protocol != "all" {
		p, ok := flow.ParseProto(w.Protocol)
		if !ok {
			return protos, ports, icmp, fmt.Errorf("protocol %q is neither a name nor a number", w.Protocol)
		}
		proto, protos = p, policy.OneProto(p)
	}
	switch {
	case w.Ports == "all":
	case proto.IsICMP():
		var ok bool
		if icmp, ok = parseTypeCode(w.Ports); !ok {
			return protos, ports, icmp, fmt.Errorf("ports %q are no ICMP type", w.Ports)
		}
	case proto.HasPorts():
		first, last, several := strings.Cut(w.Ports, "-")
		if !several {
			last = first
		}
		a, err := strconv.ParseUint(first, 10, 16)
		b, err2 := strconv.ParseUint(last, 10, 16)
		if err != nil || err2 != nil || a > b {
			return protos, ports, icmp, fmt.Errorf("ports %q are neither N nor N-M", w.Ports)
		}
		ports = netset.PortRange{First: uint16(a), Last: uint16(b)}
	default:
		return protos, ports, icmp, fmt.Errorf("ports %q of protocol %s, which has none", w.Ports, w.Protocol)
	}
	return protos, ports, icmp, nil
}

// parseTypeCode reads "type 8" or "type 3 code 4".
func parseTypeCode(s string) (policy.TypeCode, bool) {
	words := strings.Fields(s)
	number := func(i int, name string) (int16, bool) {
		if len(words) < i+2 || words[i] != name {
			return -1, false
		}
		n, err := strconv.ParseUint(words[i+1], 10, 8)
		return int16(n), err == nil
	}
	typ, ok := number(0, "type")
	switch {
	case !ok:
		return policy.AnyICMP, false
	case len(words) == 2:
		return policy.TypeCode{Type: typ, Code: -1}, true
	}
	code, ok := number(2, "code")
	return policy.TypeCode{Type: typ, Code: code}, ok && len(words) == 4
}

// anyPeerText is how a rule of the policy language reads whose peer is "any". No cloud has such.
const anyPeerText = "0.0.0.0/0,::/0"

// peerNamed returns the peer of that name: a prefix, or a set that s has or refers to.
func peerNamed(s *policy.Snapshot, name string) (policy.AddrSet, error) {
	if name == anyPeerText {
		return policy.AddrSet{Prefixes: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}}, nil
	}
	if p, err := netip.ParsePrefix(name); err == nil {
		if p != p.Masked() {
			return policy.AddrSet{}, fmt.Errorf("peer %s has bits outside of its prefix", name)
		}
		return policy.AddrSet{Prefixes: []netip.Prefix{p}}, nil
	}
	set := func(r policy.SetRef) (policy.AddrSet, error) { return policy.AddrSet{Refs: []policy.SetRef{r}}, nil }
	for _, r := range s.Rules() {
		for _, ref := range r.Refs() {
			if ref.ID == name && ref.Dead == "" {
				return set(ref)
			}
		}
	}
	if _, ok := s.Group(name); ok {
		return set(policy.SetRef{Kind: policy.GroupSet, ID: name})
	}
	if _, ok := s.List(name); ok {
		return set(policy.SetRef{Kind: policy.ListSet, ID: name})
	}
	return policy.AddrSet{}, fmt.Errorf("peer %q is neither a prefix nor a group or list of the policy", name)
}
