package cloud

// awsPlain reads the two exports that hold nearly all of a large policy, groups and rules,
// in the shape in which the command line prints them. It reads an element just as
// [element.decode] does, or not at all.
type awsPlain struct {
	plain
	last awsGroupRule // the strings of rules next to each other are mostly the same
}

// start begins with another element.
func (p *awsPlain) start(e element) {
	p.data, p.at, p.odd = e.raw, 0, false
}

var groupRuleKeys = []string{"SecurityGroupRuleId", "GroupId", "GroupOwnerId", "IsEgress", "IpProtocol", "FromPort", "ToPort",
	"CidrIpv4", "CidrIpv6", "PrefixListId", "ReferencedGroupInfo", "Description"}

// groupRule reads an element of describe-security-group-rules.
func (p *awsPlain) groupRule(e element) (g awsGroupRule, ok bool) {
	p.start(e)
	for p.open('{'); p.more('}'); {
		switch key := p.key(); string(key) {
		case "SecurityGroupRuleId":
			g.SecurityGroupRuleID = p.text("")
		case "GroupId":
			g.GroupID = p.text(p.last.GroupID)
		case "GroupOwnerId":
			g.GroupOwnerID = p.text(p.last.GroupOwnerID)
		case "IsEgress":
			g.IsEgress = p.truth()
		case "IpProtocol":
			g.IPProtocol = p.text(p.last.IPProtocol)
		case "FromPort":
			g.FromPort = p.integer()
		case "ToPort":
			g.ToPort = p.integer()
		case "CidrIpv4":
			g.CidrIpv4 = p.text(p.last.CidrIpv4)
		case "CidrIpv6":
			g.CidrIpv6 = p.text(p.last.CidrIpv6)
		case "PrefixListId":
			g.PrefixListID = p.text(p.last.PrefixListID)
		case "ReferencedGroupInfo":
			p.odd = p.odd || g.ReferencedGroupInfo != nil
			pair := p.groupPair()
			g.ReferencedGroupInfo = &pair
		case "Description":
			g.Description = p.text(p.last.Description)
		default:
			p.unknown(key, groupRuleKeys)
		}
	}
	if p.odd {
		return awsGroupRule{}, false
	}
	p.last = g
	return g, true
}

var groupPairKeys = []string{"GroupId", "UserId", "VpcId", "PeeringStatus", "Description"}

func (p *awsPlain) groupPair() (g awsGroupPair) {
	for p.open('{'); p.more('}'); {
		switch key := p.key(); string(key) {
		case "GroupId":
			g.GroupID = p.text("")
		case "UserId":
			g.UserID = p.text(p.last.GroupOwnerID)
		case "VpcId":
			g.VpcID = p.text("")
		case "PeeringStatus":
			g.PeeringStatus = p.text("")
		case "Description":
			g.Description = p.text("")
		default:
			p.unknown(key, groupPairKeys)
		}
	}
	return g
}

var groupKeys = []string{"GroupId", "GroupName", "Description", "OwnerId", "VpcId", "Tags", "IpPermissions", "IpPermissionsEgress"}

// group reads an element of describe-security-groups.
func (p *awsPlain) group(e element) (g awsGroup, ok bool) {
	p.start(e)
	for p.open('{'); p.more('}'); {
		switch key := p.key(); string(key) {
		case "GroupId":
			g.GroupID = p.text("")
		case "GroupName":
			g.GroupName = p.text("")
		case "Description":
			g.Description = p.text("")
		case "OwnerId":
			g.OwnerID = p.text(p.last.GroupOwnerID)
			p.last.GroupOwnerID = g.OwnerID
		case "VpcId":
			g.VpcID = p.text("")
		case "Tags":
			p.odd = p.odd || g.Tags != nil
			g.Tags = []awsTag{}
			for p.open('['); p.more(']'); {
				g.Tags = append(g.Tags, p.tag())
			}
		case "IpPermissions":
			p.odd = p.odd || g.IPPermissions != nil
			g.IPPermissions = p.permissions()
		case "IpPermissionsEgress":
			p.odd = p.odd || g.IPPermissionsEgress != nil
			g.IPPermissionsEgress = p.permissions()
		default:
			p.unknown(key, groupKeys)
		}
	}
	if p.odd {
		return awsGroup{}, false
	}
	return g, true
}

var tagKeys = []string{"Key", "Value"}

func (p *awsPlain) tag() (t awsTag) {
	for p.open('{'); p.more('}'); {
		switch key := p.key(); string(key) {
		case "Key":
			t.Key = p.text("")
		case "Value":
			t.Value = p.text("")
		default:
			p.unknown(key, tagKeys)
		}
	}
	return t
}

var permissionKeys = []string{"IpProtocol", "FromPort", "ToPort", "IpRanges", "Ipv6Ranges", "PrefixListIds", "UserIdGroupPairs"}

func (p *awsPlain) permissions() *[]awsPermission {
	out := []awsPermission{}
	for p.open('['); p.more(']'); {
		out = append(out, p.permission())
	}
	return &out
}

func (p *awsPlain) permission() (x awsPermission) {
	for p.open('{'); p.more('}'); {
		switch key := p.key(); string(key) {
		case "IpProtocol":
			x.IPProtocol = p.text(p.last.IPProtocol)
			p.last.IPProtocol = x.IPProtocol
		case "FromPort":
			x.FromPort = p.integer()
		case "ToPort":
			x.ToPort = p.integer()
		case "IpRanges":
			p.odd = p.odd || x.IPRanges != nil
			x.IPRanges = []awsRange{}
			for p.open('['); p.more(']'); {
				cidr, description := p.described(rangeKeys)
				x.IPRanges = append(x.IPRanges, awsRange{cidr, description})
			}
		case "Ipv6Ranges":
			p.odd = p.odd || x.Ipv6Ranges != nil
			x.Ipv6Ranges = []awsIPv6Range{}
			for p.open('['); p.more(']'); {
				cidr, description := p.described(ipv6RangeKeys)
				x.Ipv6Ranges = append(x.Ipv6Ranges, awsIPv6Range{cidr, description})
			}
		case "PrefixListIds":
			p.odd = p.odd || x.PrefixListIDs != nil
			x.PrefixListIDs = []awsListID{}
			for p.open('['); p.more(']'); {
				id, description := p.described(listIDKeys)
				x.PrefixListIDs = append(x.PrefixListIDs, awsListID{id, description})
			}
		case "UserIdGroupPairs":
			p.odd = p.odd || x.UserIDGroupPairs != nil
			x.UserIDGroupPairs = []awsGroupPair{}
			for p.open('['); p.more(']'); {
				x.UserIDGroupPairs = append(x.UserIDGroupPairs, p.groupPair())
			}
		default:
			p.unknown(key, permissionKeys)
		}
	}
	return x
}

// The keys of peers: what they are, and what people wrote of them.
var (
	rangeKeys     = []string{"CidrIp", "Description"}
	ipv6RangeKeys = []string{"CidrIpv6", "Description"}
	listIDKeys    = []string{"PrefixListId", "Description"}
)

// described reads an object of two strings under these keys.
func (p *awsPlain) described(keys []string) (what, description string) {
	for p.open('{'); p.more('}'); {
		switch key := p.key(); string(key) {
		case keys[0]:
			what = p.text(p.last.CidrIpv4)
		case keys[1]:
			description = p.text(p.last.Description)
			p.last.Description = description
		default:
			p.unknown(key, keys)
		}
	}
	return what, description
}
