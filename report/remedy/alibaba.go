package remedy

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// alibabaAction is what a rule does, as requests write it.
func alibabaAction(a policy.Action) string {
	if a == policy.Allow {
		return "accept"
	}
	return "drop"
}

// alibabaProtocol is the protocol of m as requests write it.
func alibabaProtocol(m *policy.Match) string {
	p, single := m.Protos.Single()
	switch {
	case !single:
		return "ALL"
	case p == flow.ICMPv6:
		return "ICMPv6"
	}
	return strings.ToUpper(p.Name()) // a number stays one
}

// alibabaRange writes ports as requests do.
func alibabaRange(r netset.PortRange) string { return fmt.Sprintf("%d/%d", r.First, r.Last) }

// alibabaService writes the service ports of a rule.
func alibabaService(m *policy.Match, d flow.Direction) string {
	if p, _ := m.Protos.Single(); !p.HasPorts() {
		return "-1/-1"
	}
	return alibabaRange(m.ServicePorts(d))
}

// alibabaMatch says why a box could not be that of a rule.
func alibabaMatch(r *policy.Rule) string {
	m := &r.Match[0]
	p, single := m.Protos.Single()
	switch {
	case r.Action != policy.Allow && r.Action != policy.Deny:
		return "it neither accepts nor drops"
	case !single && m.Protos != policy.AnyProto:
		return "it is for several protocols"
	case portsOfAll(m):
		return "it names ports for all protocols"
	case m.ICMP != policy.AnyICMP:
		return "rules of Alibaba Cloud name no type of ICMP"
	case p.HasPorts() && m.ServicePorts(r.Direction).First == 0:
		return "rules of Alibaba Cloud do not match port 0"
	}
	return onePeer(m, plainID)
}

// alibabaUnfit says why a rule could not be one of a security group.
func alibabaUnfit(r *policy.Rule) string {
	if r.Rank < 1 || r.Rank > 100 {
		return fmt.Sprintf("its priority is %d, and only 1 to 100 can be set", r.Rank)
	}
	for i := range r.Match { // of a port list: they differ in their ports
		m := &r.Match[i]
		if m.Local.Unknown || len(m.Local.Refs) > 0 || !sameSet(m.Local, policy.AnyAddr) && len(m.Local.Prefixes) != 1 {
			if r.PortList == "" || len(r.Match) > 1 {
				return "the own addresses that it is for are not known"
			}
			return "the list of its ports is not in the policy"
		}
	}
	switch {
	case len(r.Match) == 0, len(r.Match) > 1 && r.PortList == "":
		return "it is several rules"
	case r.PortList != "" && !plainID(r.PortList):
		return fmt.Sprintf("%s is no id", oneLine(r.PortList))
	}
	return alibabaMatch(r)
}

// alibabaPeer is the peer of a rule: the kind, and what it is.
func alibabaPeer(m *policy.Match) (kind, peer string) {
	if len(m.Remote.Refs) > 0 {
		if s := m.Remote.Refs[0]; s.Kind == policy.GroupSet {
			return "GroupId", s.ID
		}
		return "PrefixListId", m.Remote.Refs[0].ID
	}
	if p := m.Remote.Prefixes[0]; p.Addr().Is6() {
		return "Cidr6", p.String()
	}
	return "Cidr", m.Remote.Prefixes[0].String()
}

// alibabaSides are the names of the parameters of either side.
var alibabaSides = map[string][2]string{ // source, destination
	"Cidr":         {"SourceCidrIp", "DestCidrIp"},
	"Cidr6":        {"Ipv6SourceCidrIp", "Ipv6DestCidrIp"},
	"GroupId":      {"SourceGroupId", "DestGroupId"},
	"PrefixListId": {"SourcePrefixListId", "DestPrefixListId"},
	"Owner":        {"SourceGroupOwnerAccount", "DestGroupOwnerAccount"},
}

// alibabaArgs is a rule in the words of AuthorizeSecurityGroup. Values stand behind an
// equals sign: the command line takes a word that begins with a dash for a flag.
func alibabaArgs(r *policy.Rule, description string) []string {
	var out []string
	set := func(name, value string) { out = append(out, "--Permissions.1."+name+"="+value) }
	m := &r.Match[0]
	far, near := 0, 1
	if r.Direction == flow.Egress {
		far, near = 1, 0
	}
	set("IpProtocol", alibabaProtocol(m))
	if r.PortList != "" {
		set("PortRangeListId", r.PortList)
	} else {
		set("PortRange", alibabaService(m, r.Direction))
	}
	kind, peer := alibabaPeer(m)
	set(alibabaSides[kind][far], peer)
	for _, s := range m.Remote.Refs {
		if s.Account != "" {
			set(alibabaSides["Owner"][far], s.Account)
		}
	}
	if !sameSet(m.Local, policy.AnyAddr) {
		own, addr := "Cidr", m.Local.Prefixes[0]
		if addr.Addr().Is6() {
			own = "Cidr6"
		}
		set(alibabaSides[own][near], addr.String())
	}
	if c := alibabaClient(r); c != "-" {
		set("SourcePortRange", c)
	}
	set("Policy", alibabaAction(r.Action))
	set("Priority", strconv.Itoa(int(r.Rank)))
	set("NicType", "intranet")
	if description != "" {
		set("Description", description)
	}
	return out
}

// alibabaClient writes the source ports of a rule, - for all.
func alibabaClient(r *policy.Rule) string {
	m := &r.Match[0]
	p, _ := m.Protos.Single()
	if c := clientPorts(m, r.Direction); p.HasPorts() && c != netset.AllPorts {
		return alibabaRange(c)
	}
	return "-"
}

// bareAddress leaves out the prefix length of single addresses, which replies may do.
func bareAddress(s string) string {
	if strings.Contains(s, ":") {
		return strings.TrimSuffix(s, "/128")
	}
	return strings.TrimSuffix(s, "/32")
}

// alibabaLine is a rule as the scripts read it.
func alibabaLine(r *policy.Rule) string {
	m := &r.Match[0]
	ports := alibabaService(m, r.Direction)
	if r.PortList != "" {
		ports = r.PortList
	}
	_, peer := alibabaPeer(m)
	own := "-"
	if !sameSet(m.Local, policy.AnyAddr) {
		own = bareAddress(m.Local.Prefixes[0].String())
	}
	return fmt.Sprintf("%s %s %d %s %s %s %s %s", r.Direction, alibabaAction(r.Action), r.Rank,
		strings.ToUpper(alibabaProtocol(m)), ports, bareAddress(peer), own, alibabaClient(r))
}

// alibabaEntryUnfit says why a rule could not be a line of a network ACL.
func alibabaEntryUnfit(r *policy.Rule) string {
	switch {
	case len(r.Match) != 1 || r.PortList != "":
		return "it is several rules"
	case !sameSet(r.Match[0].Local, policy.AnyAddr) || alibabaClient(r) != "-":
		return "it names source ports or own addresses"
	case strings.HasPrefix(r.Description, "http://") || strings.HasPrefix(r.Description, "https://"):
		return "its description begins like an address of the web, which is refused"
	}
	for _, s := range r.Match[0].Remote.Refs {
		if s.Kind == policy.GroupSet {
			return "lines of network ACLs name no groups"
		}
	}
	return alibabaMatch(r)
}

// alibabaEntryArgs is the n-th line of a direction in the words of UpdateNetworkAclEntries.
func alibabaEntryArgs(r *policy.Rule, n int) []string {
	side, peer := "Ingress", "SourceCidrIp"
	if r.Direction == flow.Egress {
		side, peer = "Egress", "DestinationCidrIp"
	}
	var out []string
	set := func(name, value string) {
		out = append(out, fmt.Sprintf("--%sAclEntries.%d.%s=%s", side, n, name, value))
	}
	m := &r.Match[0]
	version := "IPv4"
	if isIPv6(r) {
		version = "IPv6"
	}
	_, far := alibabaPeer(m)
	set("Policy", alibabaAction(r.Action))
	set("Protocol", strings.ToLower(alibabaProtocol(m)))
	set("Port", alibabaService(m, r.Direction))
	set(peer, far)
	set("IpVersion", version)
	set("EntryType", "custom")
	if r.Description != "" {
		set("Description", r.Description)
	}
	return out
}

// isIPv6 reports whether a line is one of those of IPv6, which are in an order of their own.
func isIPv6(r *policy.Rule) bool { return strings.HasSuffix(r.Ref.Rule, "-ipv6") }

// alibabaEntryLine is a line as the scripts read it. Its number is its place.
func alibabaEntryLine(r *policy.Rule) string {
	m := &r.Match[0]
	_, peer := alibabaPeer(m)
	version := "ipv4"
	if isIPv6(r) {
		version = "ipv6"
	}
	return fmt.Sprintf("%s %s %s %s %s %s", r.Direction, version, alibabaAction(r.Action),
		strings.ToUpper(alibabaProtocol(m)), alibabaService(m, r.Direction), bareAddress(peer))
}
