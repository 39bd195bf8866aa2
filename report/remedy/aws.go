package remedy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// awsPermission is a rule in the words of authorize-security-group-ingress.
type awsPermission struct {
	IPProtocol string       `json:"IpProtocol"`
	FromPort   *int         `json:",omitempty"`
	ToPort     *int         `json:",omitempty"`
	IPRanges   []awsIPRange `json:"IpRanges,omitempty"`
	Ipv6Ranges []awsIPRange `json:",omitempty"`
	Lists      []awsListID  `json:"PrefixListIds,omitempty"`
	Groups     []awsPair    `json:"UserIdGroupPairs,omitempty"`
}

type awsIPRange struct {
	CidrIP      string `json:"CidrIp,omitempty"`
	CidrIpv6    string `json:",omitempty"`
	Description string `json:",omitempty"`
}

type awsListID struct {
	PrefixListID string `json:"PrefixListId"`
	Description  string `json:",omitempty"`
}

type awsPair struct {
	GroupID     string `json:"GroupId"`
	UserID      string `json:"UserId,omitempty"`
	Description string `json:",omitempty"`
}

// awsRuleRequest is a rule in the words of modify-security-group-rules.
type awsRuleRequest struct {
	SecurityGroupRuleID string `json:"SecurityGroupRuleId"`
	SecurityGroupRule   struct {
		IPProtocol        string `json:"IpProtocol"`
		FromPort, ToPort  *int   `json:",omitempty"`
		CidrIpv4          string `json:",omitempty"`
		CidrIpv6          string `json:",omitempty"`
		PrefixListID      string `json:"PrefixListId,omitempty"`
		ReferencedGroupID string `json:"ReferencedGroupId,omitempty"`
		Description       string `json:",omitempty"`
	}
}

// plainRule says why r is more than one protocol, one range of service ports or ICMP
// type, and one peer.
func plainRule(r *policy.Rule, id func(string) bool) string {
	if len(r.Match) != 1 || r.PortList != "" {
		return "its ports are those of a list"
	}
	m := &r.Match[0]
	if _, single := m.Protos.Single(); !single && m.Protos != policy.AnyProto {
		return "it is for several protocols"
	}
	if clientPorts(m, r.Direction) != netset.AllPorts {
		return "it names source ports"
	}
	if portsOfAll(m) {
		return "it names ports for all protocols"
	}
	if !sameSet(m.Local, policy.AnyAddr) {
		return "it is for some of the interfaces' own addresses"
	}
	return onePeer(m, id)
}

// portsOfAll reports whether m is for all protocols and yet names ports.
func portsOfAll(m *policy.Match) bool {
	return m.Protos == policy.AnyProto && (m.LocalPorts != netset.AllPorts || m.RemotePorts != netset.AllPorts)
}

// onePeer says why the peer of m is not one that commands could name.
func onePeer(m *policy.Match, id func(string) bool) string {
	if m.Remote.Unknown || len(m.Remote.Prefixes)+len(m.Remote.Refs) != 1 {
		return "it does not name exactly one peer"
	}
	for _, s := range m.Remote.Refs {
		switch {
		case s.Dead != "":
			return fmt.Sprintf("its peer %s is gone (%s)", oneLine(s.ID), oneLine(s.Dead))
		case !id(s.ID):
			return fmt.Sprintf("%s is no id", oneLine(s.ID))
		}
	}
	return ""
}

func clientPorts(m *policy.Match, d flow.Direction) netset.PortRange {
	return m.ServicePorts(d.Reverse())
}

// awsUnfit says why a rule could not be one of a security group.
func awsUnfit(r *policy.Rule) string {
	switch {
	case r.Action != policy.Allow:
		return "groups of AWS hold no rules that deny"
	case r.Rank != 0:
		return "rules of AWS groups have no priority"
	}
	return plainRule(r, plainID)
}

// awsPorts are what FromPort and ToPort hold: ports, or the type and code of ICMP.
// There are none for other protocols.
func awsPorts(m *policy.Match, d flow.Direction) (from, to int, ok bool) {
	p, _ := m.Protos.Single()
	switch {
	case m.Protos == policy.AnyProto:
	case p.HasPorts():
		r := m.ServicePorts(d)
		return int(r.First), int(r.Last), true
	case p.IsICMP():
		return int(m.ICMP.Type), int(m.ICMP.Code), true
	}
	return -1, -1, false
}

// awsProtocol is a protocol as group rules write it.
func awsProtocol(m *policy.Match) string {
	p, single := m.Protos.Single()
	switch {
	case !single:
		return "-1"
	case p.HasPorts() || p.IsICMP():
		return p.Name()
	}
	return strconv.Itoa(int(p))
}

// awsJSON writes v as JSON that is ASCII: nothing in it can hide.
func awsJSON(v any) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("BUG: " + err.Error()) // strings and numbers alone
	}
	var out strings.Builder
	for _, c := range strings.TrimSuffix(b.String(), "\n") {
		switch {
		case c < 0x7f:
			out.WriteRune(c)
		case c > 0xffff:
			c -= 0x10000
			fmt.Fprintf(&out, `\u%04x\u%04x`, 0xd800+c>>10, 0xdc00+c&0x3ff)
		default:
			fmt.Fprintf(&out, `\u%04x`, c)
		}
	}
	return out.String()
}

// awsPermissions writes the rule as --ip-permissions takes it.
func awsPermissions(r *policy.Rule, description string) string {
	m := &r.Match[0]
	p := awsPermission{IPProtocol: awsProtocol(m)}
	if from, to, ok := awsPorts(m, r.Direction); ok {
		p.FromPort, p.ToPort = &from, &to
	}
	for _, c := range m.Remote.Prefixes {
		if c.Addr().Is4() {
			p.IPRanges = []awsIPRange{{CidrIP: c.String(), Description: description}}
		} else {
			p.Ipv6Ranges = []awsIPRange{{CidrIpv6: c.String(), Description: description}}
		}
	}
	for _, s := range m.Remote.Refs {
		if s.Kind == policy.ListSet {
			p.Lists = []awsListID{{s.ID, description}}
		} else {
			p.Groups = []awsPair{{s.ID, s.Account, description}}
		}
	}
	return awsJSON([]awsPermission{p})
}

// awsLine is a rule as the scripts read it.
func awsLine(r *policy.Rule) string {
	m := &r.Match[0]
	from, to, _ := awsPorts(m, r.Direction)
	return fmt.Sprintf("%s %s %d %d %s", r.Direction, awsProtocol(m), from, to, r.Peer())
}

// awsSwap changes old into now by modify-security-group-rules, which takes one source of
// the kind that the rule has.
func awsSwap(old, now *policy.Rule) (do, undo string, ok bool) {
	kind := func(r *policy.Rule) string {
		set := r.Match[0].Remote
		switch {
		case len(set.Refs) == 0:
		case set.Refs[0].Account != "":
			return "" // the call takes no account
		default:
			return "set " + strconv.Itoa(int(set.Refs[0].Kind))
		}
		return strconv.Itoa(set.Prefixes[0].Addr().BitLen())
	}
	if kind(old) != kind(now) || kind(old) == "" {
		return "", "", false
	}
	request := func(r *policy.Rule) string {
		x := awsRuleRequest{SecurityGroupRuleID: old.Ref.Rule}
		y := &x.SecurityGroupRule
		m := &r.Match[0]
		y.IPProtocol, y.Description = awsProtocol(m), r.Description
		from, to, ok := awsPorts(m, r.Direction)
		if ok {
			y.FromPort, y.ToPort = &from, &to
		}
		for _, c := range m.Remote.Prefixes {
			if c.Addr().Is4() {
				y.CidrIpv4 = c.String()
			} else {
				y.CidrIpv6 = c.String()
			}
		}
		for _, s := range m.Remote.Refs {
			if s.Kind == policy.ListSet {
				y.PrefixListID = s.ID
			} else {
				y.ReferencedGroupID = s.ID
			}
		}
		return awsJSON([]awsRuleRequest{x})
	}
	return call("change_rule", old.Ref.Owner, request(now)), call("change_rule", old.Ref.Owner, request(old)), true
}

// awsEntryNumber is a protocol as network ACLs write it.
func awsEntryNumber(m *policy.Match) string {
	if p, single := m.Protos.Single(); single {
		return strconv.Itoa(int(p))
	}
	return "-1"
}

// awsEntryUnfit says why a rule could not be a line of a network ACL.
func awsEntryUnfit(r *policy.Rule) string {
	switch {
	case r.Rank < 1 || r.Rank >= 32767:
		return fmt.Sprintf("%d is no number that a line can have", r.Rank)
	case r.Action != policy.Allow && r.Action != policy.Deny:
		return "it neither allows nor denies"
	}
	if why := plainRule(r, plainID); why != "" {
		return why
	}
	if len(r.Match[0].Remote.Refs) > 0 {
		return "lines of network ACLs name addresses alone"
	}
	return ""
}

// awsEntryArgs is a line in the words of create-network-acl-entry.
func awsEntryArgs(r *policy.Rule) []string {
	m := &r.Match[0]
	out := []string{"--protocol", awsEntryNumber(m), "--rule-action", r.Action.String()}
	if p := m.Remote.Prefixes[0]; p.Addr().Is4() {
		out = append(out, "--cidr-block", p.String())
	} else {
		out = append(out, "--ipv6-cidr-block", p.String())
	}
	if from, to, ok := awsPorts(m, r.Direction); ok {
		if p, _ := m.Protos.Single(); p.IsICMP() {
			out = append(out, "--icmp-type-code", fmt.Sprintf("Type=%d,Code=%d", from, to))
		} else {
			out = append(out, "--port-range", fmt.Sprintf("From=%d,To=%d", from, to))
		}
	}
	return out
}

// awsEntryLine is a line as the scripts read it.
func awsEntryLine(r *policy.Rule) string {
	m := &r.Match[0]
	from, to, _ := awsPorts(m, r.Direction)
	return fmt.Sprintf("%s %d %s %s %s %d %d", r.Direction, r.Rank, awsEntryNumber(m), r.Action, r.Peer(), from, to)
}

// numbersOnce reports whether no other line of the ACL has the direction and number of r:
// calls name lines by these alone.
func numbersOnce(acl *policy.ACL, r *policy.Rule) bool {
	return !slices.ContainsFunc(acl.Rules, func(x policy.Rule) bool {
		return x.Ref != r.Ref && x.Direction == r.Direction && x.Rank == r.Rank
	})
}
