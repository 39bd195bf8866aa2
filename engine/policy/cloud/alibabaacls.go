package cloud

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// alibabaACL is an element of DescribeNetworkAcls, or what DescribeNetworkAclAttributes
// says of one.
type alibabaACL struct {
	NetworkACLID string      `json:"NetworkAclId"`
	VpcID        alibabaText `json:"VpcId"`
	Resources    alibabaList[struct {
		ResourceID   string      `json:"ResourceId"`
		ResourceType alibabaText `json:"ResourceType"`
	}]
}

// alibabaEntry is a line of a network ACL.
type alibabaEntry struct {
	NetworkACLEntryName alibabaText `json:"NetworkAclEntryName"`
	Description         alibabaText
	Policy              alibabaText
	Protocol            alibabaText
	Port                alibabaText
	SourceCidrIP        alibabaText `json:"SourceCidrIp"`
	DestinationCidrIP   alibabaText `json:"DestinationCidrIp"`
	IPVersion           alibabaText `json:"IpVersion"`
	EntryType           alibabaText
}

func (r *alibabaReader) readACL(_ *alibabaPage, e element) error {
	var raw alibabaACL
	if err := e.decode("network ACL", &raw); err != nil {
		return err
	}
	if raw.NetworkACLID == "" {
		return e.pos.errorf("network ACL without NetworkAclId: not of DescribeNetworkAcls")
	}
	a := policy.ACL{ID: raw.NetworkACLID, VPC: string(raw.VpcID)}
	for _, res := range raw.Resources.all {
		if t := string(res.ResourceType); res.ResourceID != "" && (t == "" || strings.EqualFold(t, "VSwitch")) {
			a.Subnets = append(a.Subnets, res.ResourceID)
		}
	}
	a.Subnets = sortStrings(a.Subnets)
	members, err := e.members()
	if err != nil {
		return err
	}
	known := 0
	for _, m := range members {
		d, inner := flow.Ingress, "ingressaclentry"
		switch m.name {
		case "ingressaclentries":
		case "egressaclentries":
			d, inner = flow.Egress, "egressaclentry"
		default:
			continue
		}
		lines, _, ok, err := m.wrapped(inner)
		if err != nil {
			return err
		}
		if !ok && string(m.raw) != "{}" {
			return m.pos.errorf("%s: %s: not a list of lines", a.ID, m.key)
		}
		known++
		rules, err := alibabaLines(a.ID, d, lines)
		if err != nil {
			return err
		}
		a.Rules = append(a.Rules, rules...)
	}
	if known < 2 { // a list without its lines; those may be elsewhere
		r.aclsNamed[a.ID] = true
		return nil
	}
	r.acls = append(r.acls, located[policy.ACL]{a, e.pos})
	return nil
}

// alibabaLines reads one list of an ACL. The order of the list is that of evaluation,
// apart for each address family: a line is named by its place, as consoles number them.
func alibabaLines(acl string, d flow.Direction, lines []element) ([]policy.Rule, error) {
	var out []policy.Rule
	count := make(map[bool]uint32) // IPv6?
	for i, e := range lines {
		var raw alibabaEntry
		where := fmt.Sprintf("%s: %s line %d", acl, d, i+1)
		if err := e.decode(where, &raw); err != nil {
			return nil, err
		}
		r, v6, err := raw.rule(d)
		if err != nil {
			return nil, e.pos.errorf("%s: %w", where, err)
		}
		e.pos.mark(&r)
		count[v6]++
		r.Rank = count[v6]
		r.Ref = policy.Ref{Owner: acl, Rule: d.String() + "-" + strconv.FormatUint(uint64(r.Rank), 10)}
		if v6 {
			r.Ref.Rule += "-ipv6"
		}
		out = append(out, r)
	}
	return out, nil
}

// rule reads a line; v6 is its address family.
func (raw *alibabaEntry) rule(d flow.Direction) (r policy.Rule, v6 bool, err error) {
	r = policy.Rule{Direction: d, Description: string(raw.Description), Editable: raw.EntryType == "" || strings.EqualFold(string(raw.EntryType), "custom")}
	if r.Description == "" {
		r.Description = string(raw.NetworkACLEntryName)
	}
	if r.Action, err = alibabaAction(raw.Policy); err != nil {
		return r, false, err
	}
	protos, proto, err := alibabaProtocol(raw.Protocol)
	if err != nil {
		return r, false, err
	}
	// The port is that of the service in both directions.
	ports, err := alibabaService(proto, string(raw.Port))
	if err != nil {
		return r, false, fmt.Errorf("port: %w", err)
	}
	peer := string(raw.SourceCidrIP)
	if d == flow.Egress {
		peer = string(raw.DestinationCidrIP)
	}
	v6 = strings.EqualFold(string(raw.IPVersion), "IPv6")
	var set policy.AddrSet
	if strings.HasPrefix(peer, "pl-") {
		set.Refs = []policy.SetRef{{Kind: policy.ListSet, ID: peer}}
	} else {
		p, err := parsePrefix(peer)
		if err != nil {
			return r, false, err
		}
		v6 = p.Addr().Is6()
		set.Prefixes = []netip.Prefix{p}
	}
	r.Match = []policy.Match{policy.NewMatch(d, protos, ports, policy.AnyICMP, set)}
	return r, v6, nil
}

// buildACLs returns the ACLs with all vSwitches that they filter: DescribeVSwitches
// names the ACL of each too.
func (r *alibabaReader) buildACLs() ([]policy.ACL, error) {
	acls, err := onlyOnce("network ACL", r.acls, func(a *policy.ACL) string { return a.ID }, formatACL)
	if err != nil {
		return nil, err
	}
	for i := range acls {
		a := &acls[i]
		for subnet, id := range r.aclOf {
			if id == a.ID {
				a.Subnets = append(a.Subnets, subnet)
			}
		}
		a.Subnets = sortStrings(a.Subnets)
	}
	return acls, oneACLEach(acls)
}

// alibabaSubnet is an element of DescribeVSwitches.
type alibabaSubnet struct {
	VSwitchID     string      `json:"VSwitchId"`
	VpcID         alibabaText `json:"VpcId"`
	CidrBlock     alibabaText
	Ipv6CidrBlock alibabaText
	NetworkACLID  alibabaText `json:"NetworkAclId"`
}

func (r *alibabaReader) readSubnet(_ *alibabaPage, e element) error {
	var raw alibabaSubnet
	if err := e.decode("vSwitch", &raw); err != nil {
		return err
	}
	if raw.VSwitchID == "" {
		return e.pos.errorf("vSwitch without VSwitchId: not of DescribeVSwitches")
	}
	s := policy.Subnet{ID: raw.VSwitchID, VPC: string(raw.VpcID)}
	for _, b := range []alibabaText{raw.CidrBlock, raw.Ipv6CidrBlock} {
		if b == "" {
			continue
		}
		p, err := parsePrefix(string(b))
		if err != nil {
			return e.pos.errorf("%s: %w", s.ID, err)
		}
		s.Blocks = append(s.Blocks, p)
	}
	if len(s.Blocks) == 0 {
		return e.pos.errorf("vSwitch %s has no address block", s.ID)
	}
	s.Blocks = sortPrefixes(s.Blocks)
	r.subnets = append(r.subnets, located[policy.Subnet]{s, e.pos})
	if raw.NetworkACLID != "" {
		r.aclOf[s.ID] = string(raw.NetworkACLID)
	}
	return nil
}
