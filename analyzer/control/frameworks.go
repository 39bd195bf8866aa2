package control

import "slices"

// All lists the frameworks in the order in which reports show them.
var All = []Framework{
	cisAWS("cis-aws-1.2", nil, "1.2", [9]string{"", "4.1", "", "4.3", "4.4", "", "2.9", "3.10", "3.11"}),
	cisAWS("cis-aws-1.4", []string{"cis-aws-1.3"}, "1.3 and 1.4", [9]string{"5.1", "5.2", "", "5.3", "5.4", "", "3.9", "4.10", "4.11"}),
	cisAWS("cis-aws-2.0", []string{"cis-aws-1.5"}, "1.5 and 2.0", [9]string{"5.1", "5.2", "5.3", "5.4", "5.5", "", "3.9", "4.10", "4.11"}),
	cisAWS("cis-aws-3.0", nil, "3.0", [9]string{"5.1", "5.2", "5.3", "5.4", "5.5", "", "3.7", "4.10", "4.11"}),
	cisAWS("cis-aws-5.0", []string{"cis-aws-4.0.1"}, "4.0.1 and 5.0", [9]string{"5.2", "5.3", "5.4", "5.5", "5.6", "5.1.2", "3.7", "4.10", "4.11"}),
	cisAWS("cis-aws-7.0", []string{"cis-aws-6.0"}, "6.0 and 7.0", [9]string{"6.2", "6.3", "6.4", "6.5", "6.6", "6.1.2", "4.7", "5.10", "5.11"}),
	{ID: "aws-fsbp", Title: "AWS Foundational Security Best Practices, and other controls of Security Hub", Platform: "aws", Default: true, Controls: []Control{
		{ID: "EC2.2", Title: "Default groups allow no traffic", By: by("default-group-rules"), Needs: NeedGroups | NeedDefault},
		{ID: "EC2.6", Title: "Rejected traffic of every VPC is logged", By: by(FlowLogs), Needs: NeedFlowLogs},
		{ID: "EC2.13", Title: "No group opens port 22 to the world", By: tagged("exposed-admin-port", "FSBP-EC2.13"), Needs: NeedGroups},
		{ID: "EC2.14", Title: "No group opens port 3389 to the world", By: tagged("exposed-admin-port", "FSBP-EC2.14"), Needs: NeedGroups},
		never("EC2.15", "Subnets assign no public addresses by themselves", noSubnets),
		{ID: "EC2.16", Title: "Network ACLs that are not used are removed", By: by(UnusedACL), Needs: NeedACLs},
		{ID: "EC2.18", Title: "Only authorized ports are open to the world", By: exposed, Needs: NeedGroups},
		{ID: "EC2.19", Title: "No port with a high risk is open to the world", By: by("exposed-high-risk-port"), Needs: NeedGroups},
		{ID: "EC2.21", Title: "Network ACLs let nobody from the world in to ports 22 and 3389", By: by("acl-exposed-admin-port"), Needs: NeedACLs},
		{ID: "EC2.53", Title: "No group opens administration ports to 0.0.0.0/0", By: tagged("exposed-admin-port", "FSBP-EC2.53"), Needs: NeedGroups},
		{ID: "EC2.54", Title: "No group opens administration ports to ::/0", By: tagged("exposed-admin-port", "FSBP-EC2.54"), Needs: NeedGroups},
		never("EC2.172", "Internet gateways are blocked by VPC Block Public Access", "its settings are not read"),
	}},
	{ID: "pci-dss-4.0.1", Aliases: []string{"pci-dss", "pci"}, Title: "PCI DSS 4.0.1", Default: true, Controls: []Control{
		never("1.2.2", "Changes are approved", noDrift),
		{ID: "1.2.5", Title: "Every allowed service and port has a need", By: by("unused-rule", "missing-description"), Needs: NeedGroups | NeedTraffic},
		judged(Control{ID: "1.2.6", Title: "Insecure services and ports have mitigations", By: by("exposed-high-risk-port"), Needs: NeedGroups}),
		{ID: "1.2.7", Title: "Rules are reviewed every six months: none is left that nobody needs", By: needless, Needs: NeedGroups | NeedTraffic},
		never("1.2.8", "Configurations are kept in step", noDrift),
		{ID: "1.3.1", Title: "Inbound traffic is restricted to what is needed", By: slices.Concat(inbound, by("acl-exposed-admin-port")), Needs: NeedGroups | NeedTraffic},
		{ID: "1.3.2", Title: "Outbound traffic is restricted to what is needed", By: outbound, Needs: NeedGroups | NeedTraffic},
		{ID: "1.4.2", Title: "Untrusted networks reach public services only", By: slices.Concat(of("ingress", wide), risky), Needs: NeedGroups | NeedTraffic},
		never("1.4.4", "Stored card data is not reached from untrusted networks", noCDE),
		judged(Control{ID: "10.2.1", Title: "Traffic is logged", By: by(FlowLogs), Needs: NeedFlowLogs}),
	}},
	{ID: "nist-800-53-r5", Aliases: []string{"nist-800-53", "nist"}, Title: "NIST SP 800-53 Rev. 5", Controls: []Control{
		{ID: "AC-4", Title: "Information flow enforcement", By: slices.Concat(inbound, outbound, by("default-group-rules", "ineffective-deny", "intra-group-only")), Needs: NeedGroups | NeedTraffic},
		{ID: "AC-4(26)", Title: "Flows are logged", By: by(FlowLogs), Needs: NeedFlowLogs},
		judged(Control{ID: "AC-6", Title: "Least privilege", By: slices.Concat(wide, by("unused-rule")), Needs: NeedGroups | NeedTraffic}),
		{ID: "AU-2", Title: "Events are logged", By: by(FlowLogs), Needs: NeedFlowLogs},
		{ID: "AU-12", Title: "Audit records are made", By: by(FlowLogs), Needs: NeedFlowLogs},
		judged(Control{ID: "CM-3", Title: "Changes are controlled: each rule says what it is for", By: by("missing-description"), Needs: NeedGroups}),
		{ID: "CM-7", Title: "Least functionality", By: slices.Concat(unneeded, by("acl-exposed-admin-port")), Needs: NeedGroups | NeedTraffic},
		{ID: "CM-8(1)", Title: "The inventory is current: no network ACL is left over", By: by(UnusedACL), Needs: NeedACLs},
		{ID: "SC-7", Title: "Boundary protection", By: slices.Concat(inbound, risky), Needs: NeedGroups | NeedTraffic},
		{ID: "SC-7(4)", Title: "External services: exceptions are limited", By: exposed, Needs: NeedGroups},
		{ID: "SC-7(5)", Title: "Deny by default, allow by exception", By: slices.Concat(inbound, outbound, risky, by("default-group-rules")), Needs: NeedGroups | NeedTraffic},
		{ID: "SC-7(11)", Title: "Inbound traffic from authorized sources only", By: slices.Concat(exposed, by("default-group-rules")), Needs: NeedGroups},
		{ID: "SC-7(21)", Title: "Components are isolated", By: slices.Concat(exposed, by("default-group-rules")), Needs: NeedGroups},
	}},
	{ID: "iso-27001-2022", Aliases: []string{"iso-27001"}, Title: "ISO/IEC 27001:2022, Annex A", Controls: []Control{
		{ID: "A.8.9", Title: "Configuration management", By: needless, Needs: NeedGroups | NeedTraffic},
		{ID: "A.8.15", Title: "Logging", By: by(FlowLogs), Needs: NeedFlowLogs},
		{ID: "A.8.16", Title: "Monitoring activities", By: by(FlowLogsAll), Needs: NeedFlowLogs},
		{ID: "A.8.20", Title: "Networks security", By: slices.Concat(inbound, outbound, risky), Needs: NeedGroups | NeedTraffic},
		judged(Control{ID: "A.8.21", Title: "Security of network services", By: by("unused-rule", "dead-reference", "missing-description"), Needs: NeedGroups | NeedTraffic}),
		{ID: "A.8.22", Title: "Segregation of networks", By: slices.Concat(inbound, outbound), Needs: NeedGroups | NeedTraffic},
		judged(Control{ID: "A.8.23", Title: "Web filtering: what may leave", By: outbound, Needs: NeedGroups | NeedTraffic}),
		judged(Control{ID: "A.8.32", Title: "Change management", By: by("missing-description"), Needs: NeedGroups}),
	}},
	{ID: "soc-2", Title: "SOC 2, Trust Services Criteria", Controls: []Control{
		{ID: "CC6.1", Title: "Logical access is restricted", By: slices.Concat(wide, needless), Needs: NeedGroups | NeedTraffic},
		{ID: "CC6.6", Title: "Access from outside the boundary is restricted", By: slices.Concat(inbound, outbound, risky), Needs: NeedGroups | NeedTraffic},
		judged(Control{ID: "CC7.1", Title: "Changes that bring weaknesses are found: nothing is left over", By: needless, Needs: NeedGroups | NeedTraffic}),
		{ID: "CC7.2", Title: "Components are monitored", By: by(FlowLogsAll), Needs: NeedFlowLogs},
		judged(Control{ID: "CC8.1", Title: "Changes are authorized and documented", By: by("missing-description"), Needs: NeedGroups}),
	}},
	{ID: "cis-alibaba-2.0", Aliases: []string{"cis-alibaba", "cis-alibaba-1.0"}, Title: "CIS Alibaba Cloud Foundation Benchmark 1.0 and 2.0", Platform: "alibaba", Default: true, Controls: []Control{
		never("2.22", "Changes of security groups are alerted", noAlarms),
		{ID: "2.5", Title: "The flow-log service is on", By: by(FlowLogs), Needs: NeedFlowLogs},
		{ID: "3.2", Title: "SSH and RDP are restricted", By: tagged("exposed-admin-port", "CIS-Alibaba-3.2"), Needs: NeedGroups},
		{ID: "3.3", Title: "Every VPC is logged", By: by(FlowLogs), Needs: NeedFlowLogs},
		{ID: "3.5", Title: "Rules of security groups are fine-grained", By: inbound, Needs: NeedGroups | NeedTraffic},
		{ID: "4.3", Title: "No group opens port 22 to 0.0.0.0/0", By: both("CIS-Alibaba-4.3"), Needs: NeedGroups},
		{ID: "4.4", Title: "No group opens port 3389 to 0.0.0.0/0", By: both("CIS-Alibaba-4.4"), Needs: NeedGroups},
	}},
	{ID: "alibaba-config", Aliases: []string{"cloud-config"}, Title: "Alibaba Cloud Config, managed rules", Platform: "alibaba", Default: true, Controls: []Control{
		{ID: "ecs-security-group-description-check", Title: "Groups have descriptions", By: by(NoGroupNotes), Needs: NeedGroups},
		also(config("ecs-security-group-egress-not-all-access", "Groups do not let everything out", "default-egress"), OpenEgress),
		also(config("ecs-security-group-not-internet-cidr-access", "Groups are not open to the world", "exposed-admin-port", "exposed-high-risk-port", "exposed-unauthorized-port"), OpenIngress),
		config("ecs-security-group-not-open-all-port", "Groups do not open all ports", "exposed-admin-port", "exposed-high-risk-port", "exposed-unauthorized-port"),
		config("ecs-security-group-not-open-all-protocol", "Groups do not open all protocols", "exposed-admin-port", "exposed-high-risk-port", "exposed-unauthorized-port"),
		config("ecs-security-group-not-used", "No group is left unused", "unattached-group"),
		config("ecs-security-group-risky-ports-check-with-protocol", "Ports 22 and 3389 are not open to the world", "exposed-admin-port"),
		config("ecs-security-group-white-list-port-check", "Only listed ports, here 80 and 443, are open to the world", "exposed-high-risk-port", "exposed-unauthorized-port"),
		config("sg-public-access-check", "Groups do not admit everything from the world", "exposed-admin-port", "exposed-high-risk-port", "exposed-unauthorized-port"),
		config("sg-risky-ports-check", "Risky ports are not open to the world", "exposed-admin-port"),
		{ID: "vpc-flow-logs-enabled", Title: "Every VPC is logged", By: by(FlowLogs), Needs: NeedFlowLogs},
		{ID: "vpc-network-acl-risky-ports-check", Title: "Network ACLs let nobody from the world in to ports 22 and 3389",
			By: tagged("acl-exposed-admin-port", "CloudConfig-vpc-network-acl-risky-ports-check"), Needs: NeedACLs},
		{ID: "vpc-network-acl-unused-check", Title: "No network ACL is left unused", By: by(UnusedACL), Needs: NeedACLs},
	}},
	{ID: "mlps-2.0", Aliases: []string{"mlps"}, Title: "MLPS 2.0 (GB/T 22239-2019), level 3", Platform: "alibaba", Default: true, Controls: []Control{
		{ID: "8.1.3.2 a", Title: "Area boundaries deny by default", By: by("default-egress", OpenEgress), Needs: NeedGroups},
		{ID: "8.1.3.2 b", Title: "Surplus and invalid rules are deleted; their number is minimal", By: slices.Concat(needless, by("mergeable-rules")), Needs: NeedGroups | NeedTraffic},
		{ID: "8.1.3.2 c", Title: "Addresses, ports and protocols are checked", By: wide, Needs: NeedGroups | NeedTraffic},
		never("8.1.3.2 d", "Access follows the state of sessions", "security groups keep state by design; no export says so"),
		never("8.1.3.2 e", "Access is controlled by application", noApp),
		judged(Control{ID: "8.1.3.5", Title: "Network logs are kept", By: by(FlowLogs), Needs: NeedFlowLogs}),
	}},
}

// cisAWS is a version of the CIS AWS Foundations Benchmark with the numbers of its
// recommendations: network ACLs; groups, IPv4; groups, IPv6; default groups; peering;
// CIFS; flow logs; changes of groups; changes of network ACLs.
func cisAWS(id string, aliases []string, versions string, n [9]string) Framework {
	f := Framework{ID: id, Aliases: aliases, Title: "CIS AWS Foundations Benchmark " + versions, Platform: "aws", Default: id == "cis-aws-5.0"}
	const v4 = "CIS-AWS-5.3"
	all := []Control{
		{ID: n[6], Title: "Every VPC is logged", By: by(FlowLogs), Needs: NeedFlowLogs},
		never(n[7], "Changes of security groups are monitored", noAlarms),
		never(n[8], "Changes of network ACLs are monitored", noAlarms),
		{ID: n[5], Title: "CIFS (port 445) is restricted to trusted networks", By: tagged("exposed-high-risk-port", "CIS-AWS-5.1.2"), Needs: NeedGroups},
		{ID: n[0], Title: "Network ACLs let nobody from the world in to administration ports", By: by("acl-exposed-admin-port"), Needs: NeedACLs},
		{ID: n[1], Title: "No group opens administration ports to 0.0.0.0/0", By: tagged("exposed-admin-port", v4), Needs: NeedGroups},
		{ID: n[2], Title: "No group opens administration ports to ::/0", By: tagged("exposed-admin-port", "CIS-AWS-5.4"), Needs: NeedGroups},
		{ID: n[3], Title: "Default groups restrict all traffic", By: by("default-group-rules"), Needs: NeedGroups | NeedDefault},
		never(n[4], "Routes of peerings are least access", noRoutes),
	}
	for _, c := range all {
		switch {
		case c.ID == "":
		case id == "cis-aws-1.2" && c.ID == "4.1":
			f.Controls = append(f.Controls,
				Control{ID: "4.1", Title: "No group opens port 22 to 0.0.0.0/0", By: tagged("exposed-admin-port", v4, "FSBP-EC2.13"), Needs: NeedGroups},
				Control{ID: "4.2", Title: "No group opens port 3389 to 0.0.0.0/0", By: tagged("exposed-admin-port", v4, "FSBP-EC2.14"), Needs: NeedGroups})
		case id == "cis-aws-7.0" && c.ID == n[5]:
			f.Controls = append(f.Controls, judged(c)) // the number in 7.0 could not be looked up
		default:
			f.Controls = append(f.Controls, c)
		}
	}
	return f
}

// config is a managed rule of Cloud Config that findings of checks name.
func config(id, title string, checks ...string) Control {
	c := Control{ID: id, Title: title, Needs: NeedGroups}
	for _, check := range checks {
		c.By = append(c.By, tagged(check, "CloudConfig-"+id)...)
	}
	return c
}

// also adds checks that are no findings.
func also(c Control, checks ...string) Control {
	c.By = append(c.By, by(checks...)...)
	return c
}

// both are findings of exposed ports with a tag.
func both(tag string) []Evidence {
	return slices.Concat(tagged("exposed-admin-port", tag), tagged("exposed-high-risk-port", tag))
}
