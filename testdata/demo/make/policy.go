package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// The types below have the keys of the AWS CLI's output, in its order.

type tag struct{ Key, Value string }

type groupPeer struct {
	Description string `json:",omitempty"`
	UserId      string
	GroupId     string
}

type cidr4 struct {
	Description string `json:",omitempty"`
	CidrIp      string
}

type cidr6 struct {
	Description string `json:",omitempty"`
	CidrIpv6    string
}

type listPeer struct {
	Description  string `json:",omitempty"`
	PrefixListId string
}

type permission struct {
	IpProtocol       string
	FromPort         *int `json:",omitempty"`
	ToPort           *int `json:",omitempty"`
	UserIdGroupPairs []groupPeer
	IpRanges         []cidr4
	Ipv6Ranges       []cidr6
	PrefixListIds    []listPeer
}

type securityGroup struct {
	GroupId             string
	IpPermissionsEgress []permission
	VpcId               string
	SecurityGroupArn    string
	OwnerId             string
	GroupName           string
	Description         string
	IpPermissions       []permission
}

type referencedGroup struct{ GroupId, UserId string }

type securityGroupRule struct {
	SecurityGroupRuleId  string
	GroupId              string
	GroupOwnerId         string
	IsEgress             bool
	IpProtocol           string
	FromPort, ToPort     int
	CidrIpv4             string           `json:",omitempty"`
	CidrIpv6             string           `json:",omitempty"`
	PrefixListId         string           `json:",omitempty"`
	ReferencedGroupInfo  *referencedGroup `json:",omitempty"`
	Description          string           `json:",omitempty"`
	Tags                 []tag
	SecurityGroupRuleArn string
}

type privateIP struct {
	Primary          bool
	PrivateIpAddress string
}

type attachment struct {
	AttachTime          string
	AttachmentId        string
	DeleteOnTermination bool
	DeviceIndex         int
	InstanceId          string `json:",omitempty"`
	InstanceOwnerId     string
	Status              string
}

type groupName struct{ GroupId, GroupName string }

type address6 struct{ Ipv6Address string }

type networkInterface struct {
	Attachment         attachment
	AvailabilityZone   string
	Description        string
	Groups             []groupName
	InterfaceType      string
	Ipv6Addresses      []address6
	NetworkInterfaceId string
	OwnerId            string
	PrivateIpAddress   string
	PrivateIpAddresses []privateIP
	RequesterId        string `json:",omitempty"`
	RequesterManaged   bool
	SourceDestCheck    bool
	Status             string
	SubnetId           string
	TagSet             []tag
	VpcId              string
}

type aclAssociation struct{ NetworkAclAssociationId, NetworkAclId, SubnetId string }

type portRange struct{ From, To int }

type aclEntry struct {
	CidrBlock     string `json:",omitempty"`
	Egress        bool
	Ipv6CidrBlock string     `json:",omitempty"`
	PortRange     *portRange `json:",omitempty"`
	Protocol      string
	RuleAction    string
	RuleNumber    int
}

type networkACL struct {
	Associations []aclAssociation
	Entries      []aclEntry
	IsDefault    bool
	NetworkAclId string
	Tags         []tag
	VpcId        string
	OwnerId      string
}

type subnetBlock6 struct {
	AssociationId      string
	Ipv6CidrBlock      string
	Ipv6CidrBlockState struct{ State string }
}

type subnetInfo struct {
	AvailabilityZoneId          string
	OwnerId                     string
	Ipv6CidrBlockAssociationSet []subnetBlock6
	Tags                        []tag
	SubnetId                    string
	State                       string
	VpcId                       string
	CidrBlock                   string
}

type managedList struct {
	PrefixListId   string
	AddressFamily  string
	State          string
	PrefixListArn  string
	PrefixListName string
	MaxEntries     int
	Version        int
	Tags           []tag
	OwnerId        string
}

type listEntry struct{ Cidr, Description string }

type flowLogInfo struct {
	CreationTime           string
	DeliverLogsStatus      string
	FlowLogId              string
	FlowLogStatus          string
	ResourceId             string
	TrafficType            string
	LogDestinationType     string
	LogDestination         string
	LogFormat              string
	Tags                   []tag
	MaxAggregationInterval int
}

func arn(kind, id string) string {
	return "arn:aws:ec2:" + region + ":" + account + ":" + kind + "/" + id
}

// writePolicy writes one file for each command to dir.
func writePolicy(n *network, dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	entries := []listEntry{{n.offices[0], "Leipzig"}, {n.offices[1], "Porto"}}
	list := managedList{id("pl", "offices"), "IPv4", "modify-complete", arn("prefix-list", id("pl", "offices")), "offices", 10, 2, []tag{}, account}
	log := flowLogInfo{CreationTime: "2025-11-03T09:12:44.518000+00:00", DeliverLogsStatus: "SUCCESS", FlowLogId: n.flowLog, FlowLogStatus: "ACTIVE",
		ResourceId: n.vpc, TrafficType: "ALL", LogDestinationType: "s3", LogDestination: "arn:aws:s3:::example-flow-logs",
		LogFormat: "${" + strings.Join(strings.Fields(logFields), "} ${") + "}", Tags: []tag{}, MaxAggregationInterval: 60}
	for _, f := range []struct {
		name, key string
		v         any
	}{
		{"security-groups", "SecurityGroups", n.securityGroups()},
		{"security-group-rules", "SecurityGroupRules", n.securityGroupRules()},
		{"network-interfaces", "NetworkInterfaces", n.networkInterfaces()},
		{"network-acls", "NetworkAcls", n.networkACLs()},
		{"subnets", "Subnets", n.subnetInfos()},
		{"managed-prefix-lists", "PrefixLists", []managedList{list}},
		// This output does not name its list: the name of the file does.
		{"managed-prefix-list-entries." + list.PrefixListId, "Entries", entries},
		{"flow-logs", "FlowLogs", []flowLogInfo{log}},
	} {
		if err := writeJSON(filepath.Join(dir, f.name+".json"), map[string]any{f.key: f.v}); err != nil {
			return err
		}
	}
	return nil
}

func (n *network) securityGroups() []securityGroup {
	var out []securityGroup
	for _, g := range n.groups {
		sg := securityGroup{GroupId: id("sg", g.name), VpcId: n.vpc, SecurityGroupArn: arn("security-group", id("sg", g.name)), OwnerId: account,
			GroupName: g.name, Description: g.text, IpPermissions: []permission{}, IpPermissionsEgress: []permission{}}
		for _, r := range g.rules {
			list := &sg.IpPermissions
			if r.egress {
				list = &sg.IpPermissionsEgress
			}
			n.permit(list, r)
		}
		out = append(out, sg)
	}
	return out
}

// permit adds r to the permission that holds the peers of its protocol and ports.
func (n *network) permit(list *[]permission, r rule) {
	i := slices.IndexFunc(*list, func(p permission) bool {
		return p.IpProtocol == r.proto && (p.FromPort == nil || *p.FromPort == r.from && *p.ToPort == r.to)
	})
	if i < 0 {
		p := permission{IpProtocol: r.proto, UserIdGroupPairs: []groupPeer{}, IpRanges: []cidr4{}, Ipv6Ranges: []cidr6{}, PrefixListIds: []listPeer{}}
		if r.proto != "-1" {
			p.FromPort, p.ToPort = &r.from, &r.to
		}
		i = len(*list)
		*list = append(*list, p)
	}
	p := &(*list)[i]
	switch {
	case n.isGroup(r.peer):
		p.UserIdGroupPairs = append(p.UserIdGroupPairs, groupPeer{r.text, account, id("sg", r.peer)})
	case r.peer == "offices":
		p.PrefixListIds = append(p.PrefixListIds, listPeer{r.text, id("pl", r.peer)})
	case strings.Contains(r.peer, ":"):
		p.Ipv6Ranges = append(p.Ipv6Ranges, cidr6{r.text, r.peer})
	default:
		p.IpRanges = append(p.IpRanges, cidr4{r.text, r.peer})
	}
}

func (n *network) securityGroupRules() []securityGroupRule {
	var out []securityGroupRule
	for _, g := range n.groups {
		for i, r := range g.rules {
			rid := id("sgr", g.name+" "+strconv.Itoa(i))
			sr := securityGroupRule{SecurityGroupRuleId: rid, GroupId: id("sg", g.name), GroupOwnerId: account, IsEgress: r.egress,
				IpProtocol: r.proto, FromPort: r.from, ToPort: r.to, Description: r.text, Tags: []tag{}, SecurityGroupRuleArn: arn("security-group-rule", rid)}
			switch {
			case n.isGroup(r.peer):
				sr.ReferencedGroupInfo = &referencedGroup{id("sg", r.peer), account}
			case r.peer == "offices":
				sr.PrefixListId = id("pl", r.peer)
			case strings.Contains(r.peer, ":"):
				sr.CidrIpv6 = r.peer
			default:
				sr.CidrIpv4 = r.peer
			}
			out = append(out, sr)
		}
	}
	return out
}

func (n *network) networkInterfaces() []networkInterface {
	var out []networkInterface
	for _, f := range n.ifaces {
		if f.gone {
			continue
		}
		x := networkInterface{AvailabilityZone: region + "a", Description: f.requester, Groups: []groupName{}, InterfaceType: "interface",
			Attachment: attachment{AttachTime: "2025-12-01T08:00:00+00:00", AttachmentId: id("eni-attach", f.name), DeleteOnTermination: true,
				InstanceId: id("i", f.name), InstanceOwnerId: account, Status: "attached"},
			Ipv6Addresses: []address6{}, NetworkInterfaceId: id("eni", f.name), OwnerId: account, PrivateIpAddress: f.v4.String(),
			PrivateIpAddresses: []privateIP{{true, f.v4.String()}}, SourceDestCheck: f.kind != "natGateway", Status: "in-use",
			SubnetId: id("subnet", f.subnet), TagSet: []tag{}, VpcId: n.vpc}
		switch {
		case f.requester == "":
			x.TagSet = []tag{{"Name", f.name}}
		default:
			x.RequesterId, x.RequesterManaged = "amazon-elb", true
			x.Attachment.InstanceId, x.Attachment.InstanceOwnerId = "", "amazon-elb"
			if f.kind == "natGateway" {
				x.RequesterId, x.Attachment.InstanceOwnerId = account, "amazon-aws"
			}
		}
		if f.kind != "" {
			x.InterfaceType = f.kind
		}
		if n.subnetOf(f).zone == "euw1-az2" {
			x.AvailabilityZone = region + "b"
		}
		if f.v6 != (netip.Addr{}) {
			x.Ipv6Addresses = append(x.Ipv6Addresses, address6{f.v6.String()})
		}
		for _, g := range f.groups {
			x.Groups = append(x.Groups, groupName{id("sg", g), g})
		}
		out = append(out, x)
	}
	return out
}

func (n *network) networkACLs() []networkACL {
	all := []aclLine{{number: 100, proto: "-1", peer: "0.0.0.0/0"}, {egress: true, number: 100, proto: "-1", peer: "0.0.0.0/0"}}
	var out []networkACL
	for _, name := range []string{"public", "default"} {
		a := networkACL{Associations: []aclAssociation{}, NetworkAclId: id("acl", name), IsDefault: name == "default", Tags: []tag{}, VpcId: n.vpc, OwnerId: account}
		for _, s := range n.subnets {
			if s.acl == name {
				a.Associations = append(a.Associations, aclAssociation{id("aclassoc", s.name), a.NetworkAclId, id("subnet", s.name)})
			}
		}
		lines := n.publicACL
		if name == "default" {
			lines = all
		}
		for _, egress := range []bool{true, false} {
			for _, l := range lines {
				if l.egress == egress {
					a.Entries = append(a.Entries, l.entry())
				}
			}
			a.Entries = append(a.Entries, aclLine{egress: egress, number: 32767, deny: true, proto: "-1", peer: "0.0.0.0/0"}.entry())
			if name == "public" {
				a.Entries = append(a.Entries, aclLine{egress: egress, number: 32768, deny: true, proto: "-1", peer: "::/0"}.entry())
			}
		}
		out = append(out, a)
	}
	return out
}

func (l aclLine) entry() aclEntry {
	e := aclEntry{Egress: l.egress, Protocol: map[string]string{"tcp": "6", "udp": "17", "-1": "-1"}[l.proto], RuleAction: "allow", RuleNumber: l.number}
	if l.deny {
		e.RuleAction = "deny"
	}
	if l.proto != "-1" {
		e.PortRange = &portRange{l.from, l.to}
	}
	if strings.Contains(l.peer, ":") {
		e.Ipv6CidrBlock = l.peer
	} else {
		e.CidrBlock = l.peer
	}
	return e
}

func (n *network) subnetInfos() []subnetInfo {
	var out []subnetInfo
	for _, s := range n.subnets {
		x := subnetInfo{AvailabilityZoneId: s.zone, OwnerId: account, Ipv6CidrBlockAssociationSet: []subnetBlock6{}, Tags: []tag{{"Name", s.name}},
			SubnetId: id("subnet", s.name), State: "available", VpcId: n.vpc, CidrBlock: s.v4}
		if s.v6 != "" {
			b := subnetBlock6{AssociationId: id("subnet-cidr-assoc", s.name), Ipv6CidrBlock: s.v6}
			b.Ipv6CidrBlockState.State = "associated"
			x.Ipv6CidrBlockAssociationSet = append(x.Ipv6CidrBlockAssociationSet, b)
		}
		out = append(out, x)
	}
	return out
}
