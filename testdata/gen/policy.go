package main

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The shapes of the describe-… commands, as far as there is something to say.

type tag struct{ Key, Value string }

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

type groupPeer struct {
	Description string `json:",omitempty"`
	UserId      string
	GroupId     string
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

type referencedGroup struct {
	GroupId string
	UserId  string
}

type securityGroupRule struct {
	SecurityGroupRuleId  string
	GroupId              string
	GroupOwnerId         string
	IsEgress             bool
	IpProtocol           string
	FromPort             int
	ToPort               int
	CidrIpv4             string           `json:",omitempty"`
	CidrIpv6             string           `json:",omitempty"`
	PrefixListId         string           `json:",omitempty"`
	ReferencedGroupInfo  *referencedGroup `json:",omitempty"`
	Description          string           `json:",omitempty"`
	Tags                 []tag
	SecurityGroupRuleArn string
}

type publicIP struct {
	IpOwnerId     string
	PublicDnsName string
	PublicIp      string
}

type privateIP struct {
	Association      *publicIP `json:",omitempty"`
	Primary          bool
	PrivateIpAddress string
}

type attachment struct {
	AttachTime          string
	AttachmentId        string
	DeleteOnTermination bool
	DeviceIndex         int
	InstanceId          string
	InstanceOwnerId     string
	Status              string
}

type groupName struct{ GroupId, GroupName string }

type address6 struct{ Ipv6Address string }

type networkInterface struct {
	Association        *publicIP `json:",omitempty"`
	Attachment         attachment
	AvailabilityZone   string
	Description        string
	Groups             []groupName
	InterfaceType      string
	Ipv6Addresses      []address6
	MacAddress         string
	NetworkInterfaceId string
	OwnerId            string
	PrivateIpAddress   string
	PrivateIpAddresses []privateIP
	RequesterManaged   bool
	SourceDestCheck    bool
	Status             string
	SubnetId           string
	TagSet             []tag
	VpcId              string
}

type aclAssociation struct {
	NetworkAclAssociationId string
	NetworkAclId            string
	SubnetId                string
}

type portRange struct{ From, To int }

type typeCode struct{ Type, Code int }

type networkACLEntry struct {
	CidrBlock     string `json:",omitempty"`
	Egress        bool
	IcmpTypeCode  *typeCode  `json:",omitempty"`
	Ipv6CidrBlock string     `json:",omitempty"`
	PortRange     *portRange `json:",omitempty"`
	Protocol      string
	RuleAction    string
	RuleNumber    int
}

type networkACL struct {
	Associations []aclAssociation
	Entries      []networkACLEntry
	IsDefault    bool
	NetworkAclId string
	Tags         []tag
	VpcId        string
	OwnerId      string
}

type blockState struct{ State string }

type subnetBlock6 struct {
	AssociationId      string
	Ipv6CidrBlock      string
	Ipv6CidrBlockState blockState
}

type subnetInfo struct {
	AvailabilityZoneId          string
	MapPublicIpOnLaunch         bool
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
	MaxEntries     int `json:",omitempty"`
	Version        int `json:",omitempty"`
	Tags           []tag
	OwnerId        string
}

type listEntry struct {
	Cidr        string
	Description string `json:",omitempty"`
}

type destination struct {
	FileFormat               string
	HiveCompatiblePartitions bool
	PerHourPartition         bool
}

type flowLog struct {
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
	DestinationOptions     destination
}

func arn(kind, id string) string {
	return "arn:aws:ec2:" + region + ":" + account + ":" + kind + "/" + id
}

func iso(t int64) string { return time.Unix(t, 0).UTC().Format("2006-01-02T15:04:05.000Z") }

// writePolicy writes one file for each command to dir. The flow log has the format and
// the fields.
func writePolicy(w *world, dir, format string, fields []string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	files := map[string]any{
		"security-groups.json":      map[string]any{"SecurityGroups": w.securityGroups()},
		"security-group-rules.json": map[string]any{"SecurityGroupRules": w.securityGroupRules()},
		"network-interfaces.json":   map[string]any{"NetworkInterfaces": w.networkInterfaces()},
		"network-acls.json":         map[string]any{"NetworkAcls": w.networkACLs()},
		"subnets.json":              map[string]any{"Subnets": w.subnetInfos()},
		"managed-prefix-lists.json": map[string]any{"PrefixLists": w.managedLists()},
		"flow-logs.json":            map[string]any{"FlowLogs": w.flowLogs(format, fields)},
	}
	// The output of get-managed-prefix-list-entries does not name its list: the file name does.
	for _, l := range w.lists {
		entries := []listEntry{}
		for _, e := range l.entries {
			entries = append(entries, listEntry{Cidr: e.String()})
		}
		files["managed-prefix-list-entries."+l.id+".json"] = map[string]any{"Entries": entries}
	}
	for name, v := range files {
		if err := writeJSON(filepath.Join(dir, name), v); err != nil {
			return err
		}
	}
	return nil
}

func protocolName(p int) string {
	switch p {
	case 1:
		return "icmp"
	case 6:
		return "tcp"
	case 17:
		return "udp"
	}
	return strconv.Itoa(p)
}

func (w *world) securityGroups() []securityGroup {
	out := []securityGroup{}
	for _, g := range w.groups {
		sg := securityGroup{GroupId: g.id, VpcId: w.vpcID, OwnerId: account, GroupName: g.name, Description: g.description,
			SecurityGroupArn: arn("security-group", g.id), IpPermissions: []permission{}, IpPermissionsEgress: []permission{}}
		for _, r := range g.rules {
			list := &sg.IpPermissions
			if r.egress {
				list = &sg.IpPermissionsEgress
			}
			r.addTo(list)
		}
		out = append(out, sg)
	}
	return out
}

// addTo adds r to the permission with its protocol and ports, which holds the
// peers of all rules that share them.
func (r *rule) addTo(list *[]permission) {
	i := slices.IndexFunc(*list, func(p permission) bool {
		return p.IpProtocol == protocolName(r.proto) && (p.FromPort == nil || *p.FromPort == r.from && *p.ToPort == r.to)
	})
	if i < 0 {
		p := permission{IpProtocol: protocolName(r.proto), UserIdGroupPairs: []groupPeer{}, IpRanges: []cidr4{}, Ipv6Ranges: []cidr6{}, PrefixListIds: []listPeer{}}
		if r.proto >= 0 {
			p.FromPort, p.ToPort = &r.from, &r.to
		}
		i = len(*list)
		*list = append(*list, p)
	}
	p := &(*list)[i]
	switch {
	case r.peer.group != nil:
		p.UserIdGroupPairs = append(p.UserIdGroupPairs, groupPeer{r.description, account, r.peer.group.id})
	case r.peer.list != nil:
		p.PrefixListIds = append(p.PrefixListIds, listPeer{r.description, r.peer.list.id})
	case r.peer.prefix.Addr().Is4():
		p.IpRanges = append(p.IpRanges, cidr4{r.description, r.peer.prefix.String()})
	default:
		p.Ipv6Ranges = append(p.Ipv6Ranges, cidr6{r.description, r.peer.prefix.String()})
	}
}

func (w *world) securityGroupRules() []securityGroupRule {
	out := []securityGroupRule{}
	for _, g := range w.groups {
		for _, r := range g.rules {
			sr := securityGroupRule{SecurityGroupRuleId: r.id, GroupId: g.id, GroupOwnerId: account, IsEgress: r.egress,
				IpProtocol: protocolName(r.proto), FromPort: r.from, ToPort: r.to, Description: r.description, Tags: []tag{},
				SecurityGroupRuleArn: arn("security-group-rule", r.id)}
			switch {
			case r.peer.group != nil:
				sr.ReferencedGroupInfo = &referencedGroup{r.peer.group.id, account}
			case r.peer.list != nil:
				sr.PrefixListId = r.peer.list.id
			case r.peer.prefix.Addr().Is4():
				sr.CidrIpv4 = r.peer.prefix.String()
			default:
				sr.CidrIpv6 = r.peer.prefix.String()
			}
			out = append(out, sr)
		}
	}
	return out
}

func (w *world) networkInterfaces() []networkInterface {
	out := []networkInterface{}
	for _, f := range w.ifaces {
		n := networkInterface{AvailabilityZone: region + string("abcd"[f.subnet.zone[len(f.subnet.zone)-1]-'1']),
			Attachment: attachment{AttachTime: iso(epoch - 200*day + int64(f.index)*60), AttachmentId: "eni-attach-" + f.id[4:], DeleteOnTermination: true,
				InstanceId: f.instance, InstanceOwnerId: account, Status: "attached"},
			Groups: []groupName{}, InterfaceType: "interface", Ipv6Addresses: []address6{}, MacAddress: "02:" + colons(f.id[5:15]),
			NetworkInterfaceId: f.id, OwnerId: account, PrivateIpAddress: f.v4.String(), SourceDestCheck: true, Status: "in-use",
			SubnetId: f.subnet.id, TagSet: []tag{{"Name", f.service.name + "-" + strconv.Itoa(f.index)}}, VpcId: w.vpcID}
		ip := privateIP{Primary: true, PrivateIpAddress: f.v4.String()}
		if f.publicIP.IsValid() {
			n.Association = &publicIP{account, "ec2-" + strings.ReplaceAll(f.publicIP.String(), ".", "-") + "." + region + ".compute.amazonaws.com", f.publicIP.String()}
			ip.Association = n.Association
		}
		n.PrivateIpAddresses = []privateIP{ip}
		if f.v6.IsValid() {
			n.Ipv6Addresses = append(n.Ipv6Addresses, address6{f.v6.String()})
		}
		for _, g := range f.groups {
			n.Groups = append(n.Groups, groupName{g.id, g.name})
		}
		out = append(out, n)
	}
	return out
}

// colons writes hexadecimal digits in pairs.
func colons(s string) string {
	var parts []string
	for i := 0; i+1 < len(s); i += 2 {
		parts = append(parts, s[i:i+2])
	}
	return strings.Join(parts, ":")
}

func (w *world) networkACLs() []networkACL {
	out := []networkACL{}
	for _, a := range w.acls {
		n := networkACL{Associations: []aclAssociation{}, Entries: []networkACLEntry{}, IsDefault: a.isDefault, NetworkAclId: a.id, Tags: []tag{}, VpcId: w.vpcID, OwnerId: account}
		for _, s := range a.subnets {
			n.Associations = append(n.Associations, aclAssociation{"aclassoc-" + s.id[7:], a.id, s.id})
		}
		for d := range 2 {
			for _, e := range slices.Concat(a.entries[d], []aclEntry{{32767, -1, 0, 65535, any4, false}, {32768, -1, 0, 65535, any6, false}}) {
				x := networkACLEntry{Egress: d == 1, Protocol: strconv.Itoa(e.proto), RuleAction: "deny", RuleNumber: e.number}
				if e.allow {
					x.RuleAction = "allow"
				}
				if e.prefix.Addr().Is4() {
					x.CidrBlock = e.prefix.String()
				} else {
					x.Ipv6CidrBlock = e.prefix.String()
				}
				switch e.proto {
				case 6, 17:
					x.PortRange = &portRange{e.from, e.to}
				case 1:
					x.IcmpTypeCode = &typeCode{-1, -1}
				}
				n.Entries = append(n.Entries, x)
			}
		}
		out = append(out, n)
	}
	return out
}

func (w *world) subnetInfos() []subnetInfo {
	out := []subnetInfo{}
	for t := range tiers {
		for _, s := range w.subnets[t] {
			out = append(out, subnetInfo{AvailabilityZoneId: s.zone, MapPublicIpOnLaunch: t == public, OwnerId: account,
				Ipv6CidrBlockAssociationSet: []subnetBlock6{{"subnet-cidr-assoc-" + s.id[7:], s.v6.String(), blockState{"associated"}}},
				Tags:                        []tag{{"Name", tierName[t] + "-" + s.zone}}, SubnetId: s.id, State: "available", VpcId: w.vpcID, CidrBlock: s.v4.String()})
		}
	}
	return out
}

func (w *world) managedLists() []managedList {
	out := []managedList{}
	for _, l := range w.lists {
		m := managedList{PrefixListId: l.id, AddressFamily: "IPv4", State: "create-complete", PrefixListName: l.name,
			PrefixListArn: arn("prefix-list", l.id), MaxEntries: l.max, Version: 1, Tags: []tag{}, OwnerId: account}
		if l.v6 {
			m.AddressFamily = "IPv6"
		}
		if l.managed {
			m.OwnerId, m.Version, m.MaxEntries = "AWS", 0, 0
			m.PrefixListArn = "arn:aws:ec2:" + region + ":aws:prefix-list/" + l.id
		}
		out = append(out, m)
	}
	return out
}

func (w *world) flowLogs(format string, fields []string) []flowLog {
	fileFormat := "plain-text"
	if format == "parquet" {
		fileFormat = "parquet"
	}
	return []flowLog{{CreationTime: iso(epoch - 90*day), DeliverLogsStatus: "SUCCESS", FlowLogId: w.logID, FlowLogStatus: "ACTIVE",
		ResourceId: w.vpcID, TrafficType: "ALL", LogDestinationType: "s3", LogDestination: "arn:aws:s3:::example-flow-logs",
		LogFormat: "${" + strings.Join(fields, "} ${") + "}", Tags: []tag{}, MaxAggregationInterval: 60,
		DestinationOptions: destination{FileFormat: fileFormat}}}
}
