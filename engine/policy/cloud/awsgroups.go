package cloud

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// awsGroup is an element of describe-security-groups.
type awsGroup struct {
	GroupID             string `json:"GroupId"`
	GroupName           string
	Description         string
	OwnerID             string `json:"OwnerId"`
	VpcID               string `json:"VpcId"`
	Tags                []awsTag
	IPPermissions       *[]awsPermission `json:"IpPermissions"`
	IPPermissionsEgress *[]awsPermission `json:"IpPermissionsEgress"`
}

// awsPermission is one protocol and port range with all its peers.
type awsPermission struct {
	IPProtocol       string `json:"IpProtocol"`
	FromPort         *int
	ToPort           *int
	IPRanges         []awsRange `json:"IpRanges"`
	Ipv6Ranges       []awsIPv6Range
	PrefixListIDs    []awsListID    `json:"PrefixListIds"`
	UserIDGroupPairs []awsGroupPair `json:"UserIdGroupPairs"`
}

// awsRange, awsIPv6Range and awsListID name other peers.
type (
	awsRange struct {
		CidrIP      string `json:"CidrIp"`
		Description string
	}
	awsIPv6Range struct{ CidrIpv6, Description string }
	awsListID    struct {
		PrefixListID string `json:"PrefixListId"`
		Description  string
	}
)

// awsGroupPair names a group as a peer.
type awsGroupPair struct {
	GroupID       string `json:"GroupId"`
	UserID        string `json:"UserId"`
	VpcID         string `json:"VpcId"`
	PeeringStatus string
	Description   string
}

// awsGroupRule is an element of describe-security-group-rules.
type awsGroupRule struct {
	SecurityGroupRuleID string `json:"SecurityGroupRuleId"`
	GroupID             string `json:"GroupId"`
	GroupOwnerID        string `json:"GroupOwnerId"`
	IsEgress            bool
	IPProtocol          string `json:"IpProtocol"`
	FromPort            *int
	ToPort              *int
	CidrIpv4            string
	CidrIpv6            string
	PrefixListID        string `json:"PrefixListId"`
	ReferencedGroupInfo *awsGroupPair
	Description         string
}

// where names the rule in errors.
func (g *awsGroupRule) where() string { return g.GroupID + "/" + g.SecurityGroupRuleID }

func (r *awsReader) readGroup(_ *awsPage, e element) error {
	g, ok := r.plain.group(e)
	if !ok {
		if err := e.decode("security group", &g); err != nil {
			return err
		}
	}
	switch {
	case g.GroupID == "":
		return e.pos.errorf("security group without GroupId")
	case g.IPPermissions == nil && g.IPPermissionsEgress == nil:
		return e.pos.errorf("security group %s: neither IpPermissions nor IpPermissionsEgress: not of describe-security-groups", g.GroupID)
	}
	r.votes[g.OwnerID]++
	r.groups = append(r.groups, located[awsGroup]{g, e.pos})
	return nil
}

func (r *awsReader) readGroupRule(_ *awsPage, e element) error {
	g, ok := r.plain.groupRule(e)
	if !ok {
		if err := e.decode("security group rule", &g); err != nil {
			return err
		}
	}
	if g.GroupID == "" || g.SecurityGroupRuleID == "" {
		return e.pos.errorf("security group rule without GroupId or SecurityGroupRuleId")
	}
	r.votes[g.GroupOwnerID]++
	r.groupRules = append(r.groupRules, located[awsGroupRule]{g, e.pos})
	return nil
}

// owners returns the accounts whose exports these are. An export is made with the
// rights of one account, but shows groups that other accounts share with it; so an
// account owns a file if it owns most of the file's groups. Between equals the
// account that owns more of everything else wins.
func (r *awsReader) owners() map[string]bool {
	count := make(map[*file]map[string]int)
	add := func(f *file, owner string) {
		if count[f] == nil {
			count[f] = make(map[string]int)
		}
		count[f][owner]++
	}
	for _, g := range r.groups {
		add(g.pos.file, g.v.OwnerID)
	}
	for _, g := range r.groupRules {
		add(g.pos.file, g.v.GroupOwnerID)
	}
	owners := make(map[string]bool)
	for _, n := range count {
		most, votes := 0, 0
		for owner, k := range n {
			if k > most || k == most && r.votes[owner] > votes {
				most, votes = k, r.votes[owner]
			}
		}
		for owner, k := range n {
			if k == most && r.votes[owner] == votes {
				owners[owner] = true
			}
		}
	}
	return owners
}

// isManaged reports whether a service keeps the group: it carries a tag that only AWS
// can set, other than those of CloudFormation and Service Catalog, whose groups are
// the customer's own (and are to be edited in the template).
func isManaged(tags []awsTag) bool {
	return slices.ContainsFunc(tags, func(t awsTag) bool {
		return strings.HasPrefix(t.Key, "aws:") && !strings.HasPrefix(t.Key, "aws:cloudformation:") &&
			!strings.HasPrefix(t.Key, "aws:servicecatalog:")
	})
}

// groupBuilder makes groups of what was read.
type groupBuilder struct {
	account map[string]string                    // group → owner, of every group that is here
	owners  map[string]bool                      // accounts whose groups may be edited
	byGroup map[string]map[string][]*policy.Rule // group → digest → rules with ids
}

func (r *awsReader) buildGroups() ([]policy.Group, error) {
	b := &groupBuilder{account: make(map[string]string), owners: r.owners(), byGroup: make(map[string]map[string][]*policy.Rule)}
	for _, g := range r.groupRules {
		b.account[g.v.GroupID] = g.v.GroupOwnerID
	}
	for _, g := range r.groups {
		b.account[g.v.GroupID] = g.v.OwnerID
	}
	if err := b.addRows(r.groupRules); err != nil {
		return nil, err
	}
	built := make([]located[policy.Group], 0, len(r.groups))
	here := make(map[string]bool)
	for _, raw := range r.groups {
		g, err := b.group(&raw.v, raw.pos)
		if err != nil {
			return nil, err
		}
		here[g.ID] = true
		built = append(built, located[policy.Group]{g, raw.pos})
	}
	groups, err := onlyOnce("security group", built, func(g *policy.Group) string { return g.ID }, formatGroup)
	if err != nil {
		return nil, err
	}
	// Groups that only describe-security-group-rules knows.
	for _, row := range r.groupRules {
		if id := row.v.GroupID; !here[id] {
			here[id] = true
			groups = append(groups, policy.Group{ID: id, Account: b.account[id]})
		}
	}
	for i := range groups {
		r.nameless += b.join(&groups[i])
	}
	return groups, nil
}

// addRows turns the rules that have ids into rows. A rule that occurs twice must be
// the same both times.
func (b *groupBuilder) addRows(raw []located[awsGroupRule]) error {
	rows := make([]located[policy.Rule], 0, len(raw))
	var rules []policy.Rule
	var peers []awsPeer
	for i := range raw {
		g := &raw[i]
		v := &g.v
		peers = peers[:0]
		if v.CidrIpv4 != "" {
			peers = append(peers, awsPeer{cidr: v.CidrIpv4, description: v.Description})
		}
		if v.CidrIpv6 != "" {
			peers = append(peers, awsPeer{cidr: v.CidrIpv6, description: v.Description})
		}
		if v.PrefixListID != "" {
			peers = append(peers, awsPeer{list: v.PrefixListID, description: v.Description})
		}
		if v.ReferencedGroupInfo != nil && v.ReferencedGroupInfo.GroupID != "" {
			peers = append(peers, awsPeer{group: v.ReferencedGroupInfo, description: v.Description})
		}
		if len(peers) != 1 {
			return g.pos.errorf("%s: %d of CidrIpv4, CidrIpv6, PrefixListId and ReferencedGroupInfo instead of one", v.where(), len(peers))
		}
		d := flow.Ingress
		if v.IsEgress {
			d = flow.Egress
		}
		var err error
		rules, err = b.rules(rules[:0], v.GroupID, d, v.IPProtocol, v.FromPort, v.ToPort, peers)
		if err != nil {
			return g.pos.errorf("%s: %w", v.where(), err)
		}
		rules[0].Ref.Rule = v.SecurityGroupRuleID
		g.pos.mark(&rules[0])
		rows = append(rows, located[policy.Rule]{rules[0], g.pos})
	}
	once, err := onlyOnce("rule", rows, func(r *policy.Rule) string { return r.Ref.String() },
		func(b *strings.Builder, r *policy.Rule) { formatRule(b, r, false) })
	if err != nil {
		return err
	}
	for i := range once {
		r := &once[i]
		m := b.byGroup[r.Ref.Owner]
		if m == nil {
			m = make(map[string][]*policy.Rule)
			b.byGroup[r.Ref.Owner] = m
		}
		key := RuleDigest(r)
		m[key] = append(m[key], r)
	}
	return nil
}

// group builds g with the rules of describe-security-groups, which have no ids.
func (b *groupBuilder) group(g *awsGroup, pos position) (policy.Group, error) {
	out := policy.Group{ID: g.GroupID, Name: g.GroupName, Description: g.Description, VPC: g.VpcID, Account: g.OwnerID,
		Default: g.GroupName == "default", Managed: isManaged(g.Tags)}
	// Where rows say where rules are written the peers need no looking for.
	var places map[string][][]position
	if len(b.byGroup[g.GroupID]) == 0 && pos.file != nil {
		places = peerPlaces(pos)
	}
	for _, side := range []struct {
		d     flow.Direction
		name  string
		perms *[]awsPermission
	}{{flow.Ingress, "IpPermissions", g.IPPermissions}, {flow.Egress, "IpPermissionsEgress", g.IPPermissionsEgress}} {
		if side.perms == nil {
			continue
		}
		peers := 0
		for i := range *side.perms {
			peers += (*side.perms)[i].numPeers()
		}
		out.Rules = slices.Grow(out.Rules, peers)
		for i := range *side.perms {
			p := &(*side.perms)[i]
			n := len(out.Rules)
			var err error
			out.Rules, err = b.rules(out.Rules, g.GroupID, side.d, p.IPProtocol, p.FromPort, p.ToPort, p.peers())
			if err != nil {
				return out, pos.errorf("%s: %s[%d]: %w", g.GroupID, side.name, i, err)
			}
			at, rules := places[strings.ToLower(side.name)], out.Rules[n:]
			for k := range rules {
				if i < len(at) && len(at[i]) == len(rules) {
					at[i][k].mark(&rules[k])
				} else {
					pos.mark(&rules[k])
				}
			}
		}
	}
	out.Rules = mergeSame(out.Rules)
	return out, nil
}

// join gives the rules of g their ids, adds the rules that only the export with ids
// has, and settles what may be edited. It returns the number of rules that stay
// without an id of their own.
func (b *groupBuilder) join(g *policy.Group) (nameless int) {
	rows := b.byGroup[g.ID]
	rules := make([]*policy.Rule, 0, len(g.Rules))
	for i := range g.Rules {
		r := &g.Rules[i]
		same := rows[r.Ref.Rule]
		for _, row := range same {
			combine(row, r)
		}
		if len(same) == 0 {
			rules = append(rules, r)
			nameless++
		}
	}
	for _, same := range rows {
		rules = append(rules, same...)
	}
	slices.SortFunc(rules, func(x, y *policy.Rule) int { return x.Ref.Compare(y.Ref) })
	var out []policy.Rule
	if len(rules) > 0 {
		out = make([]policy.Rule, len(rules))
	}
	for i, r := range rules {
		out[i] = *r
		out[i].Editable = b.owners[g.Account] && !g.Managed
	}
	g.Rules = out
	return nameless
}

// awsPeer is one peer of a permission; one of the first three is set.
type awsPeer struct {
	cidr, list  string
	group       *awsGroupPair
	description string
}

func (p *awsPermission) numPeers() int {
	return len(p.IPRanges) + len(p.Ipv6Ranges) + len(p.PrefixListIDs) + len(p.UserIDGroupPairs)
}

func (p *awsPermission) peers() []awsPeer {
	out := make([]awsPeer, 0, p.numPeers())
	for _, c := range p.IPRanges {
		out = append(out, awsPeer{cidr: c.CidrIP, description: c.Description})
	}
	for _, c := range p.Ipv6Ranges {
		out = append(out, awsPeer{cidr: c.CidrIpv6, description: c.Description})
	}
	for _, l := range p.PrefixListIDs {
		out = append(out, awsPeer{list: l.PrefixListID, description: l.Description})
	}
	for i := range p.UserIDGroupPairs {
		g := &p.UserIDGroupPairs[i]
		out = append(out, awsPeer{group: g, description: g.Description})
	}
	return out
}

// rules fans a permission out: it appends one rule for each peer.
func (b *groupBuilder) rules(out []policy.Rule, group string, d flow.Direction, proto string, from, to *int, peers []awsPeer) ([]policy.Rule, error) {
	protos, ports, icmp, err := awsService(proto, from, to)
	if err != nil {
		return nil, err
	}
	for _, p := range peers {
		var set policy.AddrSet
		switch {
		case p.group != nil:
			if p.group.GroupID == "" {
				return nil, fmt.Errorf("UserIdGroupPairs: no GroupId")
			}
			set.Refs = []policy.SetRef{b.reference(group, p.group)}
		case p.list != "":
			set.Refs = []policy.SetRef{{Kind: policy.ListSet, ID: p.list}}
		default:
			c, err := parsePrefix(p.cidr)
			if err != nil {
				return nil, err
			}
			set.Prefixes = []netip.Prefix{c}
		}
		out = append(out, policy.Rule{Ref: policy.Ref{Owner: group}, Direction: d, Action: policy.Allow, Description: p.description,
			Match: []policy.Match{policy.NewMatch(d, protos, ports, icmp, set)}})
	}
	return out, nil
}

// goneStatuses are the states of a peering after which a reference matches nothing.
var goneStatuses = map[string]bool{"deleted": true, "rejected": true, "expired": true, "failed": true}

// reference is the peer that group names by p.
func (b *groupBuilder) reference(group string, p *awsGroupPair) policy.SetRef {
	ref := policy.SetRef{Kind: policy.GroupSet, ID: p.GroupID, VPC: p.VpcID}
	owner, here := b.account[p.GroupID]
	if !here {
		owner = p.UserID
	}
	if owner != b.account[group] {
		ref.Account = owner
	}
	switch {
	case goneStatuses[strings.ToLower(p.PeeringStatus)]:
		ref.Dead = "peering " + strings.ToLower(p.PeeringStatus)
	case p.UserID == "" && !here:
		// AWS leaves the owner out once the referenced group is deleted.
		ref.Dead = "group deleted"
	}
	return ref
}

// awsService reads the protocol of a group rule with its ports or ICMP type. Ports
// are read for tcp and udp only, whatever the export says for other protocols.
func awsService(proto string, from, to *int) (policy.ProtoSet, netset.PortRange, policy.TypeCode, error) {
	protos, p, err := awsProtocol(proto)
	if err != nil {
		return protos, netset.AllPorts, policy.AnyICMP, err
	}
	ports, icmp := netset.AllPorts, policy.AnyICMP
	switch {
	case protos == policy.AnyProto:
	case p.HasPorts():
		ports, err = awsPorts(from, to)
	case p.IsICMP():
		icmp, err = awsTypeCode(from, to)
	}
	return protos, ports, icmp, err
}

// awsProtocol reads "-1", a number or a name; the number is 0 for "-1".
func awsProtocol(s string) (policy.ProtoSet, flow.Proto, error) {
	s = strings.ToLower(s)
	if s == "-1" || s == "all" {
		return policy.AnyProto, 0, nil
	}
	p, ok := flow.ParseProto(s)
	if !ok {
		return policy.ProtoSet{}, 0, fmt.Errorf("protocol %q is neither a name nor in 0-255", s)
	}
	return policy.OneProto(p), p, nil
}

// awsPorts reads a port range; no range, or -1, is every port.
func awsPorts(from, to *int) (netset.PortRange, error) {
	if from == nil && to == nil || from != nil && *from == -1 || from == nil && *to == -1 {
		return netset.AllPorts, nil
	}
	if from == nil || to == nil {
		return netset.AllPorts, fmt.Errorf("port range with one end")
	}
	if *from < 0 || *to > 65535 || *from > *to {
		return netset.AllPorts, fmt.Errorf("ports %d-%d are no range in 0-65535", *from, *to)
	}
	return netset.PortRange{First: uint16(*from), Last: uint16(*to)}, nil
}

// awsTypeCode reads an ICMP type and code; -1, or nothing, is any.
func awsTypeCode(typ, code *int) (policy.TypeCode, error) {
	if typ == nil || *typ == -1 {
		return policy.AnyICMP, nil
	}
	c := -1
	if code != nil {
		c = *code
	}
	if *typ < 0 || *typ > 255 || c < -1 || c > 255 {
		return policy.AnyICMP, fmt.Errorf("icmp type %d code %d is not in 0-255", *typ, c)
	}
	return policy.TypeCode{Type: int16(*typ), Code: int16(c)}, nil
}
