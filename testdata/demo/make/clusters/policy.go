package main

import (
	"fmt"
	"path/filepath"
)

const (
	account = "1098765432109876"
	region  = "cn-hangzhou"
	vpc     = "vpc-bp1demo0000000000001"

	groupDB  = "sg-bp1demodb00000000001"
	groupWeb = "sg-bp1demoweb0000000001"
	groupOps = "sg-bp1demoops0000000001"
	groupPay = "sg-bp1demopay0000000001"

	subnetDB  = "vsw-bp1demodb0000000001"
	subnetWeb = "vsw-bp1demoweb000000001"
	subnetOps = "vsw-bp1demoops000000001"
)

// host is an instance with one network interface.
type host struct {
	name, addr, subnet, group string
}

func (h *host) id() string       { return "eni-bp1demo" + h.name + "000000" }
func (h *host) instance() string { return "i-bp1demo" + h.name + "00000000" }

var hosts = []host{
	{"db1", "10.1.0.11", subnetDB, groupDB}, {"db2", "10.1.0.12", subnetDB, groupDB}, {"db3", "10.1.0.13", subnetDB, groupDB},
	{"web1", "10.2.0.21", subnetWeb, groupWeb}, {"web2", "10.2.0.22", subnetWeb, groupWeb},
	{"web3", "10.2.0.23", subnetWeb, groupWeb}, {"web4", "10.2.0.24", subnetWeb, groupWeb},
	{"ops1", "10.3.0.5", subnetOps, groupOps},
	{"pay1", "10.2.0.41", subnetWeb, groupPay}, {"pay2", "10.2.0.42", subnetWeb, groupPay},
}

func hostOf(name string) *host {
	for i := range hosts {
		if hosts[i].name == name {
			return &hosts[i]
		}
	}
	panic("no host " + name)
}

// rule is one rule as it is thought of: the peer is a CIDR or a group.
type rule struct {
	id, direction, proto, ports, peer string
	policy                            string
	priority                          int
	about                             string
}

type securityGroup struct {
	id, name, kind, inner, about string
	rules                        []rule
}

// The rules. Those without a description came with the group when the console made it.
var groups = []securityGroup{
	{groupDB, "database-cluster", "normal", "Accept", "PostgreSQL with a consensus store", []rule{
		{"sgr-db-pg", "ingress", "TCP", "5432/5432", "0.0.0.0/0", "Accept", 10, "clients of the databases"},
		{"sgr-db-ssh", "ingress", "TCP", "22/22", groupOps, "Accept", 10, "operators, by the bastion"},
		{"sgr-db-ssh0", "ingress", "TCP", "22/22", "0.0.0.0/0", "Accept", 1, ""},
		{"sgr-db-rdp0", "ingress", "TCP", "3389/3389", "0.0.0.0/0", "Accept", 1, ""},
		{"sgr-db-old", "ingress", "TCP", "5432/5432", "10.2.0.0/24", "Accept", 20, "clients of the databases, first version"},
		{"sgr-db-mate", "ingress", "TCP", "8008/8008", "10.1.0.13/32", "Drop", 1, "keep the third node out of the vote"},
	}},
	{groupWeb, "web-cluster", "normal", "Accept", "web servers", []rule{
		{"sgr-web-80", "ingress", "TCP", "80/80", "0.0.0.0/0", "Accept", 1, ""},
		{"sgr-web-443", "ingress", "TCP", "443/443", "0.0.0.0/0", "Accept", 1, ""},
		{"sgr-web-ssh0", "ingress", "TCP", "22/22", "0.0.0.0/0", "Accept", 1, ""},
		{"sgr-web-ssh1", "ingress", "TCP", "22/22", "203.0.113.0/24", "Drop", 1, "guessed passwords from here in 2024"},
		{"sgr-web-rdp0", "ingress", "TCP", "3389/3389", "0.0.0.0/0", "Accept", 1, ""},
		{"sgr-web-icmp", "ingress", "ICMP", "-1/-1", "0.0.0.0/0", "Accept", 1, ""},
	}},
	{groupOps, "bastion", "normal", "Drop", "the way in for operators", []rule{
		{"sgr-ops-ssh", "ingress", "TCP", "22/22", "198.51.100.0/24", "Accept", 1, "the office"},
	}},
	{groupPay, "payment", "enterprise", "", "talks to the bank", []rule{
		{"sgr-pay-in", "ingress", "TCP", "8443/8443", "10.2.0.0/24", "Accept", 1, "web servers"},
		{"sgr-pay-out", "egress", "ALL", "-1/-1", "0.0.0.0/0", "Accept", 1, ""},
	}},
}

func writePolicy(dir string) error {
	var list []object
	for i := range groups {
		g := &groups[i]
		list = append(list, object{"SecurityGroupId": g.id, "SecurityGroupName": g.name, "SecurityGroupType": g.kind, "Description": g.about,
			"VpcId": vpc, "CreationTime": "2024-03-04T06:00:00Z", "ServiceManaged": false, "RuleCount": len(g.rules), "Tags": object{"Tag": []object{}}})
		if err := writeJSON(filepath.Join(dir, "DescribeSecurityGroupAttribute-"+g.name+".json"), attribute(g)); err != nil {
			return err
		}
	}
	var interfaces []object
	for i := range hosts {
		interfaces = append(interfaces, hosts[i].object())
	}
	for _, f := range []struct {
		name string
		v    object
	}{
		{"DescribeSecurityGroups", object{"RequestId": "demo-1", "RegionId": region, "NextToken": "", "PageNumber": 1, "PageSize": 50, "TotalCount": len(list),
			"SecurityGroups": object{"SecurityGroup": list}}},
		{"DescribeNetworkInterfaces", object{"RequestId": "demo-2", "NextToken": "", "PageNumber": 1, "PageSize": 100, "TotalCount": len(interfaces),
			"NetworkInterfaceSets": object{"NetworkInterfaceSet": interfaces}}},
		{"DescribeVSwitches", object{"RequestId": "demo-3", "PageNumber": 1, "PageSize": 50, "TotalCount": 3, "VSwitches": object{"VSwitch": []object{
			{"VSwitchId": subnetDB, "VpcId": vpc, "CidrBlock": "10.1.0.0/24", "VSwitchName": "databases", "Ipv6CidrBlock": ""},
			{"VSwitchId": subnetWeb, "VpcId": vpc, "CidrBlock": "10.2.0.0/24", "VSwitchName": "web", "Ipv6CidrBlock": ""},
			{"VSwitchId": subnetOps, "VpcId": vpc, "CidrBlock": "10.3.0.0/24", "VSwitchName": "operators", "Ipv6CidrBlock": ""}}}}},
		{"DescribeNetworkAcls", networkACLs()},
		{"DescribeFlowLogs", object{"RequestId": "demo-5", "PageNumber": "1", "PageSize": "20", "TotalCount": "1", "FlowLogs": object{"FlowLog": []object{
			{"FlowLogId": "fl-bp1demo00000000001", "FlowLogName": "all", "ResourceType": "VPC", "ResourceId": vpc, "TrafficType": "All",
				"TrafficPath": object{"TrafficPathList": []string{"all"}}, "AggregationInterval": 10, "IpVersion": "IPv4", "Status": "Active",
				"CreationTime": "2026-01-05T03:00:00Z", "ProjectName": "demo", "LogStoreName": "flow", "RegionId": region}}}}},
	} {
		if err := writeJSON(filepath.Join(dir, f.name+".json"), f.v); err != nil {
			return err
		}
	}
	return nil
}

func attribute(g *securityGroup) object {
	permissions := []object{}
	for _, r := range g.rules {
		p := object{"SecurityGroupRuleId": r.id, "Direction": r.direction, "IpProtocol": r.proto, "PortRange": r.ports, "Policy": r.policy,
			"Priority": fmt.Sprint(r.priority), "NicType": "intranet", "Description": r.about, "CreateTime": "2024-03-04T06:10:00Z",
			"SourceCidrIp": "", "SourceGroupId": "", "SourceGroupOwnerAccount": "", "SourcePortRange": "", "SourcePrefixListId": "",
			"Ipv6SourceCidrIp": "", "DestCidrIp": "", "DestGroupId": "", "DestPrefixListId": "", "Ipv6DestCidrIp": ""}
		switch {
		case r.direction == "egress":
			p["DestCidrIp"] = r.peer
		case r.peer[0] == 's':
			p["SourceGroupId"], p["SourceGroupOwnerAccount"] = r.peer, account
		default:
			p["SourceCidrIp"] = r.peer
		}
		permissions = append(permissions, p)
	}
	return object{"RequestId": "demo-4", "RegionId": region, "SecurityGroupId": g.id, "SecurityGroupName": g.name, "Description": g.about, "VpcId": vpc,
		"InnerAccessPolicy": g.inner, "NextToken": "", "Permissions": object{"Permission": permissions}}
}

func (h *host) object() object {
	return object{"NetworkInterfaceId": h.id(), "NetworkInterfaceName": h.name, "Type": "Primary", "Status": "InUse", "InstanceId": h.instance(),
		"VpcId": vpc, "VSwitchId": h.subnet, "OwnerId": account, "PrivateIpAddress": h.addr, "ServiceManaged": false, "SourceDestCheck": true,
		"CreationTime": "2024-03-04T06:20:00Z", "SecurityGroupIds": object{"SecurityGroupId": []string{h.group}},
		"PrivateIpSets": object{"PrivateIpSet": []object{{"PrivateIpAddress": h.addr, "Primary": true}}}, "Ipv6Sets": object{"Ipv6Set": []object{}}}
}

// networkACLs guards the databases. Its fourth line says what the second says already,
// and nothing but answers comes in besides, so that the group's rule for remote desktops
// never mattered.
func networkACLs() object {
	in := func(name, policy, proto, port, from string) object {
		return object{"NetworkAclEntryName": name, "Policy": policy, "Protocol": proto, "Port": port, "SourceCidrIp": from, "EntryType": "custom", "IpVersion": "IPV4",
			"NetworkAclEntryId": "nae-bp1demo-" + name}
	}
	return object{"RequestId": "demo-6", "PageNumber": "1", "PageSize": "10", "TotalCount": "1", "NetworkAcls": object{"NetworkAcl": []object{{
		"NetworkAclId": "nacl-bp1demodb000000001", "NetworkAclName": "databases", "VpcId": vpc, "Status": "Available", "RegionId": region,
		"IngressAclEntries": object{"IngressAclEntry": []object{
			in("clients", "accept", "tcp", "5432/5432", "10.0.0.0/8"),
			in("operators", "accept", "tcp", "22/22", "10.3.0.0/24"),
			in("answers", "accept", "tcp", "32768/61000", "0.0.0.0/0"),
			in("bastion", "accept", "tcp", "22/22", "10.3.0.5/32"),
			in("answersudp", "accept", "udp", "32768/61000", "0.0.0.0/0"),
			in("backups", "accept", "tcp", "9000/9000", "10.4.0.0/16"),
		}},
		"EgressAclEntries": object{"EgressAclEntry": []object{
			{"NetworkAclEntryName": "all", "Policy": "accept", "Protocol": "all", "Port": "-1/-1", "DestinationCidrIp": "0.0.0.0/0", "EntryType": "custom", "IpVersion": "IPV4",
				"NetworkAclEntryId": "nae-bp1demo-all"},
		}},
		"Resources": object{"Resource": []object{{"ResourceId": subnetDB, "ResourceType": "VSwitch", "Status": "BINDED"}}},
	}}}}
}
