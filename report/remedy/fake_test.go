package remedy

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// fake is a cloud that scripts are run against.
type fake interface {
	exec(args []string) (out string, changed bool, err error)
	// snapshot returns base with the rules that the cloud has now.
	snapshot(t testing.TB, base *policy.Snapshot) *policy.Snapshot
}

// newFake returns a cloud of that platform with the rules of s, written down by other
// code than that under test.
func newFake(s *policy.Snapshot, platform string) fake {
	if platform == alibabaPlatform {
		return newFakeAliyun(s)
	}
	return newFakeAWS(s)
}

func newFakeAWS(s *policy.Snapshot) *fakeAWS {
	f := new(fakeAWS)
	for i := range s.Groups {
		g := &s.Groups[i]
		f.Groups = append(f.Groups, g.ID)
		for k := range g.Rules {
			r := &g.Rules[k]
			m := &r.Match[0]
			x := fakeAWSRule{SecurityGroupRuleID: r.Ref.Rule, GroupID: g.ID, GroupOwnerID: "123456789012", IsEgress: r.Direction == flow.Egress,
				IPProtocol: "-1", FromPort: -1, ToPort: -1, Description: r.Description}
			if p, one := m.Protos.Single(); one {
				x.IPProtocol = p.Name()
				if p.HasPorts() {
					x.FromPort, x.ToPort = int(m.ServicePorts(r.Direction).First), int(m.ServicePorts(r.Direction).Last)
				} else if p.IsICMP() {
					x.FromPort, x.ToPort = int(m.ICMP.Type), int(m.ICMP.Code)
				} else {
					x.IPProtocol = strconv.Itoa(int(p))
				}
			}
			switch peer := r.Peer(); {
			case strings.HasPrefix(peer, "pl-"):
				x.PrefixListID = peer
			case strings.HasPrefix(peer, "sg-"):
				x.ReferencedGroupInfo = &fakeAWSPair{GroupID: peer, UserID: m.Remote.Refs[0].Account}
			case strings.Contains(peer, ":"):
				x.CidrIpv6 = peer
			default:
				x.CidrIpv4 = peer
			}
			f.SecurityGroupRules = append(f.SecurityGroupRules, x)
		}
	}
	for i := range s.ACLs {
		a := fakeAWSACL{NetworkACLID: s.ACLs[i].ID}
		for k := range s.ACLs[i].Rules {
			r := &s.ACLs[i].Rules[k]
			m := &r.Match[0]
			for _, p := range m.Remote.Prefixes { // a line of several peers is several lines
				e := fakeAWSEntry{RuleNumber: int(r.Rank), Egress: r.Direction == flow.Egress, Protocol: "-1", RuleAction: r.Action.String()}
				if proto, one := m.Protos.Single(); one {
					e.Protocol = strconv.Itoa(int(proto))
					if proto.HasPorts() {
						e.PortRange = &struct{ From, To int }{int(m.ServicePorts(r.Direction).First), int(m.ServicePorts(r.Direction).Last)}
					} else if proto.IsICMP() {
						e.IcmpTypeCode = &struct{ Type, Code int }{int(m.ICMP.Type), int(m.ICMP.Code)}
					}
				}
				if p.Addr().Is4() {
					e.CidrBlock = p.String()
				} else {
					e.Ipv6CidrBlock = p.String()
				}
				a.Entries = append(a.Entries, e)
			}
		}
		f.NetworkAcls = append(f.NetworkAcls, a)
	}
	return f
}

// protocolNamed is the protocol of a reply in the words of reports.
func protocolNamed(s string) string {
	s = strings.ToLower(s)
	if s == "-1" || s == "all" {
		return "all"
	}
	p, _ := flow.ParseProto(s)
	return p.Name()
}

// portsNamed is a range in the words of reports, from and to being ports or an ICMP type
// and code.
func portsNamed(protocol string, from, to int) string {
	switch protocol {
	case "icmp", "icmpv6":
		return policy.TypeCode{Type: int16(from), Code: int16(to)}.String()
	case "tcp", "udp":
		return netset.PortRange{First: uint16(from), Last: uint16(to)}.String()
	}
	return "all"
}

// rebuilt returns base with other rules.
func rebuilt(t testing.TB, base *policy.Snapshot, rules map[string][]policy.Rule) *policy.Snapshot {
	t.Helper()
	s := &policy.Snapshot{Interfaces: slices.Clone(base.Interfaces), Groups: slices.Clone(base.Groups), ACLs: slices.Clone(base.ACLs),
		Subnets: slices.Clone(base.Subnets), Lists: slices.Clone(base.Lists), Platforms: slices.Clone(base.Platforms), Missing: slices.Clone(base.Missing)}
	for i := range s.Interfaces {
		s.Interfaces[i].Groups = slices.Clone(s.Interfaces[i].Groups)
	}
	for i := range s.Groups {
		s.Groups[i].Rules = rules[s.Groups[i].ID]
	}
	for i := range s.ACLs {
		s.ACLs[i].Rules = rules[s.ACLs[i].ID]
	}
	if err := s.Seal(); err != nil {
		t.Fatal(err)
	}
	return s
}

func (f *fakeAWS) snapshot(t testing.TB, base *policy.Snapshot) *policy.Snapshot {
	t.Helper()
	rules := make(map[string][]policy.Rule)
	add := func(owner, id string, w plan.Words, rank uint32) {
		r, err := w.Rule(base, owner)
		if err != nil {
			t.Fatal(err)
		}
		r.Ref.Rule, r.Rank = id, rank
		rules[owner] = append(rules[owner], r)
	}
	way := map[bool]string{false: "ingress", true: "egress"}
	for _, x := range f.SecurityGroupRules {
		peer := x.CidrIpv4 + x.CidrIpv6 + x.PrefixListID
		if x.ReferencedGroupInfo != nil {
			peer = x.ReferencedGroupInfo.GroupID
		}
		p := protocolNamed(x.IPProtocol)
		add(x.GroupID, x.SecurityGroupRuleID, plan.Words{Direction: way[x.IsEgress], Action: "allow", Priority: 1, Protocol: p,
			Ports: portsNamed(p, x.FromPort, x.ToPort), Peer: peer, Description: x.Description}, 0)
	}
	for _, a := range f.NetworkAcls {
		for k, e := range a.Entries {
			p := protocolNamed(e.Protocol)
			ports := "all"
			if e.PortRange != nil {
				ports = portsNamed(p, e.PortRange.From, e.PortRange.To)
			}
			if e.IcmpTypeCode != nil {
				ports = portsNamed(p, e.IcmpTypeCode.Type, e.IcmpTypeCode.Code)
			}
			add(a.NetworkACLID, fmt.Sprint("line-", k), plan.Words{Direction: way[e.Egress], Action: e.RuleAction, Priority: 1, Protocol: p, Ports: ports,
				Peer: e.CidrBlock + e.Ipv6CidrBlock}, uint32(e.RuleNumber))
		}
	}
	return rebuilt(t, base, rules)
}

func newFakeAliyun(s *policy.Snapshot) *fakeAliyun {
	f := new(fakeAliyun)
	field := func(to map[string]string, name, value string) {
		if value != "" {
			to[name] = value
		}
	}
	service := func(r *policy.Rule) (protocol, ports string) {
		m := &r.Match[0]
		p, one := m.Protos.Single()
		switch {
		case !one:
			return "ALL", "-1/-1"
		case p.HasPorts():
			x := m.ServicePorts(r.Direction)
			return strings.ToUpper(p.Name()), fmt.Sprintf("%d/%d", x.First, x.Last)
		}
		return strings.ToUpper(p.Name()), "-1/-1"
	}
	policies := map[policy.Action]string{policy.Allow: "Accept", policy.Deny: "Drop"}
	for i := range s.Groups {
		g := fakeAliyunGroup{SecurityGroupID: s.Groups[i].ID, InnerAccessPolicy: "Accept"}
		for k := range s.Groups[i].Rules {
			r := &s.Groups[i].Rules[k]
			m := &r.Match[0]
			x := map[string]string{"SecurityGroupRuleId": r.Ref.Rule, "Direction": r.Direction.String(), "Policy": policies[r.Action],
				"Priority": strconv.Itoa(int(r.Rank)), "NicType": "intranet"}
			x["IpProtocol"], x["PortRange"] = service(r)
			field(x, "Description", r.Description)
			far, near := "Source", "Dest"
			if r.Direction == flow.Egress {
				far, near = near, far
			}
			side := func(name, peer string) {
				switch {
				case strings.HasPrefix(peer, "sg-"):
					x[name+"GroupId"] = peer
				case strings.HasPrefix(peer, "pl-"):
					x[name+"PrefixListId"] = peer
				case strings.Contains(peer, ":"):
					x["Ipv6"+name+"CidrIp"] = peer
				default:
					x[name+"CidrIp"] = peer
				}
			}
			side(far, r.Peer())
			if len(m.Local.Prefixes) == 1 {
				side(near, m.Local.Prefixes[0].String())
			}
			client := m.RemotePorts
			if r.Direction == flow.Egress {
				client = m.LocalPorts
			}
			if client != netset.AllPorts && strings.Contains(x["PortRange"], "-1") == false {
				x["SourcePortRange"] = fmt.Sprintf("%d/%d", client.First, client.Last)
			}
			g.Permissions.Permission = append(g.Permissions.Permission, x)
		}
		f.Groups = append(f.Groups, g)
	}
	for i := range s.ACLs {
		a := fakeAliyunACL{NetworkACLID: s.ACLs[i].ID}
		rules := slices.Clone(s.ACLs[i].Rules)
		slices.SortStableFunc(rules, func(a, b policy.Rule) int { return int(a.Rank) - int(b.Rank) })
		for k := range rules {
			r := &rules[k]
			x := map[string]string{"Policy": strings.ToLower(policies[r.Action]), "EntryType": "custom", "IpVersion": "IPv4"}
			x["Protocol"], x["Port"] = service(r)
			x["Protocol"] = strings.ToLower(x["Protocol"])
			field(x, "Description", r.Description)
			if strings.Contains(r.Peer(), ":") || strings.HasSuffix(r.Ref.Rule, "-ipv6") {
				x["IpVersion"] = "IPv6"
			}
			if r.Direction == flow.Ingress {
				x["SourceCidrIp"] = r.Peer()
				a.IngressAclEntries.IngressAclEntry = append(a.IngressAclEntries.IngressAclEntry, x)
			} else {
				x["DestinationCidrIp"] = r.Peer()
				a.EgressAclEntries.EgressAclEntry = append(a.EgressAclEntries.EgressAclEntry, x)
			}
		}
		f.ACLs = append(f.ACLs, a)
	}
	return f
}

// prefixed gives an address that a reply writes alone its prefix length.
func prefixed(s string) string {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()).String()
	}
	return s
}

func aliyunPorts(protocol, s string) string {
	var a, b int
	if protocol != "tcp" && protocol != "udp" {
		return "all"
	}
	fmt.Sscanf(s, "%d/%d", &a, &b) //nolint:errcheck // what is no range is 0
	return portsNamed(protocol, a, b)
}

func (f *fakeAliyun) snapshot(t testing.TB, base *policy.Snapshot) *policy.Snapshot {
	t.Helper()
	rules := make(map[string][]policy.Rule)
	action := func(s string) string {
		if strings.EqualFold(s, "accept") {
			return "allow"
		}
		return "deny"
	}
	for _, g := range f.Groups {
		for _, x := range g.Permissions.Permission {
			far, near := "Source", "Dest"
			if x["Direction"] == "egress" {
				far, near = near, far
			}
			p := protocolNamed(x["IpProtocol"])
			rank, _ := strconv.Atoi(x["Priority"])
			r, err := plan.Words{Direction: x["Direction"], Action: action(x["Policy"]), Priority: uint32(rank), Protocol: p, Ports: aliyunPorts(p, x["PortRange"]),
				Peer: prefixed(x[far+"CidrIp"] + x["Ipv6"+far+"CidrIp"] + x[far+"GroupId"] + x[far+"PrefixListId"]), Description: x["Description"]}.Rule(base, g.SecurityGroupID)
			if err != nil {
				t.Fatalf("%v: %v", x, err)
			}
			r.Ref.Rule = x["SecurityGroupRuleId"]
			if own := x[near+"CidrIp"] + x["Ipv6"+near+"CidrIp"]; own != "" {
				r.Match[0].Local = policy.AddrSet{Prefixes: []netip.Prefix{netip.MustParsePrefix(prefixed(own))}}
			}
			if c := x["SourcePortRange"]; c != "" {
				var a, b int
				if _, err := fmt.Sscanf(c, "%d/%d", &a, &b); err != nil {
					t.Fatal(err)
				}
				client := netset.PortRange{First: uint16(a), Last: uint16(b)}
				if r.Direction == flow.Egress {
					r.Match[0].LocalPorts = client
				} else {
					r.Match[0].RemotePorts = client
				}
			}
			rules[g.SecurityGroupID] = append(rules[g.SecurityGroupID], r)
		}
	}
	for _, a := range f.ACLs {
		for side, list := range [][]map[string]string{a.IngressAclEntries.IngressAclEntry, a.EgressAclEntries.EgressAclEntry} {
			for k, x := range list {
				p := protocolNamed(x["Protocol"])
				r, err := plan.Words{Direction: []string{"ingress", "egress"}[side], Action: action(x["Policy"]), Priority: uint32(k + 1), Protocol: p,
					Ports: aliyunPorts(p, x["Port"]), Peer: prefixed(x["SourceCidrIp"] + x["DestinationCidrIp"]), Description: x["Description"]}.Rule(base, a.NetworkACLID)
				if err != nil {
					t.Fatalf("%v: %v", x, err)
				}
				r.Ref.Rule = fmt.Sprintf("%s-%d", r.Direction, k+1)
				if x["IpVersion"] == "IPv6" {
					r.Ref.Rule += "-ipv6"
				}
				rules[a.NetworkACLID] = append(rules[a.NetworkACLID], r)
			}
		}
	}
	return rebuilt(t, base, rules)
}

// contents writes what the rules of s do, each once, with their descriptions; places in
// lists of network ACLs are relative.
func contents(s *policy.Snapshot, described bool) string {
	var out []string
	for i := range s.Groups {
		for k := range s.Groups[i].Rules {
			r := &s.Groups[i].Rules[k]
			text := s.Groups[i].ID + " " + cloud.RuleDigest(r) + " " + words(r)
			if described {
				text += " " + strconv.Quote(r.Description)
			}
			out = append(out, text)
		}
	}
	slices.Sort(out)
	out = slices.Compact(out)
	for i := range s.ACLs {
		rules := slices.Clone(s.ACLs[i].Rules)
		slices.SortStableFunc(rules, func(a, b policy.Rule) int { return int(a.Rank) - int(b.Rank) })
		for _, list := range []string{"ingress ipv4", "ingress ipv6", "egress ipv4", "egress ipv6"} {
			n := 0
			for _, r := range rules {
				family := "ipv4"
				if strings.Contains(r.Peer(), ":") {
					family = "ipv6"
				}
				if r.Direction.String()+" "+family == list {
					r.Rank = 0
					n++
					out = append(out, fmt.Sprintf("%s %s %d %s", s.ACLs[i].ID, list, n, words(&r)))
				}
			}
		}
	}
	return strings.Join(out, "\n")
}

// bashWords splits a line of the scripts into its words: an own reading of what quote
// writes.
func bashWords(t testing.TB, line string) []string {
	t.Helper()
	var out []string
	var word strings.Builder
	open := false
	for i := 0; i < len(line); {
		switch c := line[i]; {
		case c == ' ':
			if open {
				out = append(out, word.String())
				word.Reset()
				open = false
			}
			i++
		case c == '\'':
			end := strings.IndexByte(line[i+1:], '\'')
			word.WriteString(line[i+1 : i+1+end])
			i, open = i+end+2, true
		case c == '\\':
			word.WriteByte(line[i+1])
			i, open = i+2, true
		case c == '$' && line[i+1] == '\'':
			i, open = i+2, true
			for line[i] != '\'' {
				if line[i] != '\\' {
					word.WriteByte(line[i])
					i++
					continue
				}
				switch line[i+1] {
				case 'x':
					n, err := strconv.ParseUint(line[i+2:i+4], 16, 8)
					if err != nil {
						t.Fatal(err)
					}
					word.WriteByte(byte(n))
					i += 4
				case 'n':
					word.WriteByte('\n')
					i += 2
				default:
					word.WriteByte(line[i+1])
					i += 2
				}
			}
			i++
		case strings.IndexByte("\"`$;&|<>()*?[]{}~#!\n\t", c) >= 0:
			t.Fatalf("%q stands bare in %q", c, line)
		default:
			word.WriteByte(c)
			i, open = i+1, true
		}
	}
	if open {
		out = append(out, word.String())
	}
	return out
}

// do runs one line of a script on the cloud as the functions of common.sh do.
func do(t testing.TB, f fake, line string) {
	t.Helper()
	w := bashWords(t, line)
	var args []string
	if _, aws := f.(*fakeAWS); aws {
		args = awsCall(w)
	} else {
		args = aliyunCall(w)
	}
	if _, _, err := f.exec(args); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
}

func awsCall(w []string) []string {
	switch w[0] {
	case "add_rule":
		return []string{"ec2", "authorize-security-group-" + w[2], "--group-id", w[1], "--ip-permissions", w[3]}
	case "remove_rule":
		return []string{"ec2", "revoke-security-group-" + w[2], "--group-id", w[1], "--security-group-rule-ids", w[3]}
	case "remove_like":
		return []string{"ec2", "revoke-security-group-" + w[2], "--group-id", w[1], "--ip-permissions", w[3]}
	case "change_rule":
		return []string{"ec2", "modify-security-group-rules", "--group-id", w[1], "--security-group-rules", w[2]}
	}
	call := map[string]string{"add_line": "create", "remove_line": "delete", "replace_line": "replace"}[w[0]]
	return append([]string{"ec2", call + "-network-acl-entry", "--network-acl-id", w[1], w[2], "--rule-number", w[3]}, w[4:]...)
}

func aliyunCall(w []string) []string {
	region := "--RegionId=cn-hangzhou"
	name := func(s string) string {
		if w[2] == "egress" {
			return s + "Egress"
		}
		return s
	}
	switch w[0] {
	case "add_rule":
		return append([]string{"ecs", name("AuthorizeSecurityGroup"), region, "--SecurityGroupId=" + w[1]}, w[3:]...)
	case "remove_rule":
		return []string{"ecs", name("RevokeSecurityGroup"), region, "--SecurityGroupId=" + w[1], "--SecurityGroupRuleId.1=" + w[3]}
	case "remove_like":
		return append([]string{"ecs", name("RevokeSecurityGroup"), region, "--SecurityGroupId=" + w[1]}, w[3:]...)
	}
	flag := "--UpdateIngressAclEntries=true"
	if w[2] == "egress" {
		flag = "--UpdateEgressAclEntries=true"
	}
	return append([]string{"vpc", "UpdateNetworkAclEntries", region, "--NetworkAclId=" + w[1], flag}, w[5:]...)
}
