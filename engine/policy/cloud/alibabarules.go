package cloud

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

// alibabaPermission is a rule as DescribeSecurityGroupAttribute has it.
type alibabaPermission struct {
	SecurityGroupRuleID     alibabaText `json:"SecurityGroupRuleId"`
	Direction               alibabaText
	Policy                  alibabaText
	Priority                alibabaText
	IPProtocol              alibabaText `json:"IpProtocol"`
	PortRange               alibabaText
	PortRangeListID         alibabaText `json:"PortRangeListId"`
	SourcePortRange         alibabaText
	SourceCidrIP            alibabaText `json:"SourceCidrIp"`
	Ipv6SourceCidrIP        alibabaText `json:"Ipv6SourceCidrIp"`
	SourceGroupID           alibabaText `json:"SourceGroupId"`
	SourcePrefixListID      alibabaText `json:"SourcePrefixListId"`
	SourceGroupOwnerAccount alibabaText
	DestCidrIP              alibabaText `json:"DestCidrIp"`
	Ipv6DestCidrIP          alibabaText `json:"Ipv6DestCidrIp"`
	DestGroupID             alibabaText `json:"DestGroupId"`
	DestPrefixListID        alibabaText `json:"DestPrefixListId"`
	DestGroupOwnerAccount   alibabaText
	CreateTime              alibabaText
	Description             alibabaText
}

// alibabaSide is one side of a rule, at most one of which speaks: a CIDR goes before a
// group, and either before a prefix list.
type alibabaSide struct{ cidr, cidr6, group, list, account alibabaText }

// alibabaRules makes rules of what was read.
type alibabaRules struct {
	vpc     map[string]string   // group → its VPC, of every group that is here
	ports   map[string][]string // port lists
	unknown []string            // port lists that are not here
}

// of returns the rules of group id, each once: by its own id, or by what it does.
func (b *alibabaRules) of(id string, raw []located[alibabaPermission]) ([]policy.Rule, error) {
	named := make([]located[policy.Rule], 0, len(raw))
	byDigest := make(map[string]int)
	var out []policy.Rule
	for i := range raw {
		p := &raw[i]
		rule, err := b.rule(id, &p.v)
		if err != nil {
			return nil, p.pos.errorf("%s/%s: %w", id, p.v.SecurityGroupRuleID, err)
		}
		p.pos.mark(&rule)
		if rule.Ref.Rule != "" {
			named = append(named, located[policy.Rule]{rule, p.pos})
			continue
		}
		rule.Ref.Rule = RuleDigest(&rule)
		if j, ok := byDigest[rule.Ref.Rule]; ok {
			combine(&out[j], &rule)
			if c := rule.Created; !c.IsZero() && (out[j].Created.IsZero() || c.Before(out[j].Created)) {
				out[j].Created = c
			}
			continue
		}
		byDigest[rule.Ref.Rule] = len(out)
		out = append(out, rule)
	}
	once, err := onlyOnce("rule", named, func(r *policy.Rule) string { return r.Ref.String() },
		func(b *strings.Builder, r *policy.Rule) { formatRule(b, r, true) })
	out = append(out, once...)
	slices.SortFunc(out, func(x, y policy.Rule) int { return x.Ref.Compare(y.Ref) })
	return out, err
}

// rule reads a rule of group id.
func (b *alibabaRules) rule(id string, p *alibabaPermission) (policy.Rule, error) {
	r := policy.Rule{Ref: policy.Ref{Owner: id, Rule: string(p.SecurityGroupRuleID)}, Description: string(p.Description)}
	source := alibabaSide{p.SourceCidrIP, p.Ipv6SourceCidrIP, p.SourceGroupID, p.SourcePrefixListID, p.SourceGroupOwnerAccount}
	dest := alibabaSide{p.DestCidrIP, p.Ipv6DestCidrIP, p.DestGroupID, p.DestPrefixListID, p.DestGroupOwnerAccount}
	peer, own := source, dest
	switch strings.ToLower(string(p.Direction)) {
	case "ingress":
		r.Direction = flow.Ingress
	case "egress":
		r.Direction = flow.Egress
		peer, own = dest, source
	default:
		return r, fmt.Errorf("direction %q is neither ingress nor egress", p.Direction)
	}
	var err error
	if r.Action, err = alibabaAction(p.Policy); err != nil {
		return r, err
	}
	rank, err := strconv.ParseUint(string(p.Priority), 10, 16)
	if err != nil || rank == 0 {
		return r, fmt.Errorf("priority %q is not a number from 1", p.Priority)
	}
	r.Rank = uint32(rank)
	if r.Created, err = alibabaTime("CreateTime", p.CreateTime); err != nil {
		return r, err
	}
	remote, err := b.peer(id, &peer)
	if err != nil {
		return r, err
	}
	local, err := own.local()
	if err != nil {
		return r, err
	}
	protos, proto, err := alibabaProtocol(p.IPProtocol)
	if err != nil {
		return r, err
	}
	client := netset.AllPorts
	if s := string(p.SourcePortRange); s != "" && s != "-1/-1" && s != "1/65535" && proto.HasPorts() {
		if client, err = alibabaPorts(s); err != nil {
			return r, fmt.Errorf("SourcePortRange: %w", err)
		}
	}
	box := func(service netset.PortRange) policy.Match {
		m := policy.Match{Protos: protos, ICMP: policy.AnyICMP, LocalPorts: service, RemotePorts: client, Local: local, Remote: remote}
		if r.Direction == flow.Egress {
			m.LocalPorts, m.RemotePorts = client, service
		}
		return m
	}
	if list := string(p.PortRangeListID); list != "" && p.PortRange == "" {
		r.PortList = list
		r.Match, err = b.listBoxes(list, proto, box)
		return r, err
	}
	service, err := alibabaService(proto, string(p.PortRange))
	if err != nil {
		return r, fmt.Errorf("PortRange: %w", err)
	}
	r.Match = []policy.Match{box(service)}
	return r, nil
}

// listBoxes returns a box for each range of a list of ports. Where the list is not
// here the rule may match whatever else fits: its local side is then unknown, not its
// peer, which stays for people to read.
func (b *alibabaRules) listBoxes(list string, proto flow.Proto, box func(netset.PortRange) policy.Match) ([]policy.Match, error) {
	ranges, here := b.ports[list]
	if !here || !proto.HasPorts() {
		if !here {
			b.unknown = append(b.unknown, list)
		}
		m := box(netset.AllPorts)
		m.Local = policy.AddrSet{Unknown: true}
		return []policy.Match{m}, nil
	}
	var out []policy.Match
	for _, s := range ranges {
		ports, err := alibabaPorts(s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", list, err)
		}
		out = append(out, box(ports))
	}
	if len(out) == 0 { // an empty list matches nothing
		m := box(netset.AllPorts)
		m.Remote = policy.AddrSet{}
		out = append(out, m)
	}
	return out, nil
}

// peer returns the far side of a rule of group id.
func (b *alibabaRules) peer(id string, s *alibabaSide) (policy.AddrSet, error) {
	switch {
	case s.cidr != "" || s.cidr6 != "":
		return s.cidrs()
	case s.group != "":
		ref := policy.SetRef{Kind: policy.GroupSet, ID: string(s.group)}
		vpc, here := b.vpc[ref.ID]
		if !here {
			ref.Account = string(s.account)
		}
		if own := b.vpc[id]; here && vpc != "" && own != "" && vpc != own {
			// Groups mean nothing outside their VPC, whatever connects the two.
			ref.VPC, ref.Dead = vpc, "group of another VPC"
		}
		return policy.AddrSet{Refs: []policy.SetRef{ref}}, nil
	case s.list != "":
		return policy.AddrSet{Refs: []policy.SetRef{{Kind: policy.ListSet, ID: string(s.list)}}}, nil
	}
	return policy.AddrSet{}, fmt.Errorf("no peer: no CIDR, group or prefix list")
}

// local returns the addresses of the interface that a rule is restricted to. The calls
// take CIDRs only here; anything else may mean some of them.
func (s *alibabaSide) local() (policy.AddrSet, error) {
	switch {
	case s.cidr != "" || s.cidr6 != "":
		return s.cidrs()
	case s.group != "" || s.list != "":
		return policy.AddrSet{Unknown: true}, nil
	}
	return policy.AnyAddr, nil
}

// cidrs returns the prefix of a side; families have fields of their own.
func (s *alibabaSide) cidrs() (policy.AddrSet, error) {
	var out policy.AddrSet
	if s.cidr != "" && s.cidr6 != "" {
		return out, fmt.Errorf("an IPv4 and an IPv6 CIDR on the same side: %s, %s", s.cidr, s.cidr6)
	}
	for _, c := range []struct {
		text alibabaText
		v6   bool
	}{{s.cidr, false}, {s.cidr6, true}} {
		if c.text == "" {
			continue
		}
		p, err := parsePrefix(string(c.text))
		if err != nil {
			return out, err
		}
		if p.Addr().Is6() != c.v6 {
			return out, fmt.Errorf("%s is of the other address family than its field", c.text)
		}
		out.Prefixes = []netip.Prefix{p}
	}
	return out, nil
}

func alibabaAction(s alibabaText) (policy.Action, error) {
	switch strings.ToLower(string(s)) {
	case "accept":
		return policy.Allow, nil
	case "drop":
		return policy.Deny, nil
	}
	return policy.Deny, fmt.Errorf("policy %q is neither Accept nor Drop", s)
}

// alibabaProtocol reads a name or a number; the number is 0 for ALL.
func alibabaProtocol(s alibabaText) (policy.ProtoSet, flow.Proto, error) {
	name := strings.ToLower(string(s))
	if name == "all" || name == "-1" {
		return policy.AnyProto, 0, nil
	}
	p, ok := flow.ParseProto(name)
	if !ok {
		return policy.ProtoSet{}, 0, fmt.Errorf("protocol %q is neither a name nor in 0-255", s)
	}
	return policy.OneProto(p), p, nil
}

// alibabaService reads the ports of a rule for p, 0 being ALL. Where p has none the
// calls write -1/-1.
func alibabaService(p flow.Proto, s string) (netset.PortRange, error) {
	if p.HasPorts() {
		return alibabaPorts(s)
	}
	if s == "" || s == "-1/-1" || s == "1/65535" {
		return netset.AllPorts, nil
	}
	return netset.AllPorts, fmt.Errorf("%q for a protocol without ports", s)
}

// alibabaPorts reads a range a/b. All ports are 1/65535; -1/-1, which is for protocols
// without ports, means the same where it is found. Port 0 is in neither: only rules for
// all protocols match it.
func alibabaPorts(s string) (netset.PortRange, error) {
	if s == "-1/-1" {
		return netset.PortRange{First: 1, Last: 65535}, nil
	}
	first, last, ok := strings.Cut(s, "/")
	if !ok {
		last = first
	}
	a, err := strconv.ParseUint(strings.TrimSpace(first), 10, 16)
	b, err2 := strconv.ParseUint(strings.TrimSpace(last), 10, 16)
	if err != nil || err2 != nil || a > b {
		return netset.AllPorts, fmt.Errorf("%q is no range like 80/80", s)
	}
	return netset.PortRange{First: uint16(a), Last: uint16(b)}, nil
}
