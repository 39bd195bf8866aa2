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

// awsACL is an element of describe-network-acls.
type awsACL struct {
	NetworkACLID string `json:"NetworkAclId"`
	VpcID        string `json:"VpcId"`
	IsDefault    bool
	OwnerID      string `json:"OwnerId"`
	Associations []struct {
		SubnetID string `json:"SubnetId"`
	}
	Entries *[]awsEntry
}

// awsEntry is a line of a network ACL.
type awsEntry struct {
	RuleNumber    *int
	Egress        bool
	Protocol      string
	RuleAction    string
	CidrBlock     string
	Ipv6CidrBlock string
	PortRange     *struct{ From, To *int }
	IcmpTypeCode  *struct{ Type, Code *int }
}

// firstReserved is the first rule number that users cannot set. The lines from here
// on, 32767 and 32768, deny what nothing else matched: they are the default of the
// stage, not rules.
const firstReserved = 32767

func (r *awsReader) readACL(_ *awsPage, e element) error {
	var raw awsACL
	if err := e.decode("network ACL", &raw); err != nil {
		return err
	}
	switch {
	case raw.NetworkACLID == "":
		return e.pos.errorf("network ACL without NetworkAclId: not of describe-network-acls")
	case raw.Entries == nil:
		return e.pos.errorf("network ACL %s without Entries: not of describe-network-acls", raw.NetworkACLID)
	}
	a := policy.ACL{ID: raw.NetworkACLID, VPC: raw.VpcID, Default: raw.IsDefault}
	for _, s := range raw.Associations {
		a.Subnets = append(a.Subnets, s.SubnetID)
	}
	a.Subnets = sortStrings(a.Subnets)
	places := objectsUnder(e.pos, "entries")
	for i := range *raw.Entries {
		entry := &(*raw.Entries)[i]
		if entry.RuleNumber != nil && *entry.RuleNumber >= firstReserved && strings.EqualFold(entry.RuleAction, "deny") {
			continue
		}
		rule, err := entry.build(a.ID)
		if err != nil {
			return e.pos.errorf("%s: Entries[%d]: %w", a.ID, i, err)
		}
		if e.pos.mark(&rule); len(places) == len(*raw.Entries) {
			places[i].mark(&rule)
		}
		a.Rules = append(a.Rules, rule)
	}
	slices.SortFunc(a.Rules, func(x, y policy.Rule) int { return x.Ref.Compare(y.Ref) })
	r.votes[raw.OwnerID]++
	r.acls = append(r.acls, located[policy.ACL]{a, e.pos})
	return nil
}

func (entry *awsEntry) build(acl string) (policy.Rule, error) {
	r := policy.Rule{Direction: flow.Ingress, Editable: true}
	if entry.Egress {
		r.Direction = flow.Egress
	}
	if entry.RuleNumber == nil || *entry.RuleNumber < 0 || *entry.RuleNumber > 65535 {
		return r, fmt.Errorf("no RuleNumber in 0-65535")
	}
	r.Rank = uint32(*entry.RuleNumber)
	switch strings.ToLower(entry.RuleAction) {
	case "allow":
		r.Action = policy.Allow
	case "deny":
		r.Action = policy.Deny
	default:
		return r, fmt.Errorf("RuleAction %q is neither allow nor deny", entry.RuleAction)
	}
	cidr := entry.CidrBlock
	if cidr == "" {
		cidr = entry.Ipv6CidrBlock
	} else if entry.Ipv6CidrBlock != "" {
		return r, fmt.Errorf("both CidrBlock and Ipv6CidrBlock")
	}
	block, err := parsePrefix(cidr)
	if err != nil {
		return r, err
	}
	protos, proto, err := awsProtocol(entry.Protocol)
	if err != nil {
		return r, err
	}
	ports, icmp := netset.AllPorts, policy.AnyICMP
	switch {
	case protos == policy.AnyProto:
	case proto.HasPorts() && entry.PortRange != nil:
		ports, err = awsPorts(entry.PortRange.From, entry.PortRange.To)
	case proto.IsICMP() && entry.IcmpTypeCode != nil && (proto == flow.ICMP || block.Addr().Is6()):
		// Type and code of protocol 58 are read on IPv6 lines only.
		icmp, err = awsTypeCode(entry.IcmpTypeCode.Type, entry.IcmpTypeCode.Code)
	}
	if err != nil {
		return r, err
	}
	peer := policy.AddrSet{Prefixes: []netip.Prefix{block}}
	r.Match = []policy.Match{policy.NewMatch(r.Direction, protos, ports, icmp, peer)}
	r.Ref = policy.Ref{Owner: acl, Rule: lineID(&r, uint64(r.Rank))}
	return r, nil
}

// oneACLEach fails if two ACLs claim a subnet: it has exactly one.
func oneACLEach(acls []policy.ACL) error {
	of := make(map[string]string)
	for i := range acls {
		for _, s := range acls[i].Subnets {
			if other, ok := of[s]; ok {
				return fmt.Errorf("network ACLs %s and %s are both associated with %s: exports of different times?", other, acls[i].ID, s)
			}
			of[s] = acls[i].ID
		}
	}
	return nil
}
