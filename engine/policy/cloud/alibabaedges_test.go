package cloud

import (
	"bytes"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// aRule is a rule of an export without an id, with these fields besides.
func aRule(fields string) string {
	return `{"Direction": "ingress", "Policy": "Accept", "Priority": "1", "IpProtocol": "TCP", ` + fields + `}`
}

// readRules returns the rules of sg-1 that are not implied.
func readRules(t *testing.T, text string) []*policy.Rule {
	t.Helper()
	var out []*policy.Rule
	for _, r := range mustRead(t, text).Rules() {
		if !r.Implicit {
			out = append(out, r)
		}
	}
	return out
}

// Every source port is no restriction, however it is written.
func TestAlibabaAnySourcePort(t *testing.T) {
	for _, any := range []string{"", "-1/-1", "1/65535"} {
		r := readRules(t, groupDoc("", aRule(`"PortRange": "80/80", "SourceCidrIp": "10.0.0.0/8", "SourcePortRange": "`+any+`"`)))[0]
		if p := r.Match[0].RemotePorts; p.String() != "all" {
			t.Errorf("%q is %v", any, p)
		}
		if _, exact := r.Boxes(); !exact {
			t.Errorf("%q restricts the rule", any)
		}
	}
}

// The calls take no group or list for the interface's own side: where one is written
// nobody can say what it means.
func TestAlibabaOwnSideOfAnotherKind(t *testing.T) {
	for _, field := range []string{"DestGroupId", "DestPrefixListId"} {
		r := readRules(t, groupDoc("", aRule(`"PortRange": "80/80", "SourceCidrIp": "10.0.0.0/8", "`+field+`": "x"`)))[0]
		c := policy.Conn{Direction: flow.Ingress, Proto: flow.TCP, Local: netip.MustParseAddr("10.1.0.1"), Remote: netip.MustParseAddr("10.2.0.1"), LocalPort: 80}
		if got := r.Matches(&c); got != policy.Perhaps {
			t.Errorf("%s: matches %v", field, got)
		}
	}
}

// Where several peers are written the CIDR speaks, then the group, then the list; and
// ports that are written speak before a list of them.
func TestAlibabaPrecedence(t *testing.T) {
	for _, c := range []struct{ fields, peer, ports string }{
		{`"PortRange": "80/80", "SourceCidrIp": "10.0.0.0/8", "SourceGroupId": "sg-2", "SourcePrefixListId": "pl-1"`, "10.0.0.0/8", "80"},
		{`"PortRange": "80/80", "Ipv6SourceCidrIp": "2001:db8::/32", "SourceGroupId": "sg-2"`, "2001:db8::/32", "80"},
		{`"PortRange": "80/80", "SourceGroupId": "sg-2", "SourcePrefixListId": "pl-1"`, "sg-2", "80"},
		{`"PortRange": "80/80", "PortRangeListId": "prl-1", "SourcePrefixListId": "pl-1"`, "pl-1", "80"},
		{`"PortRange": "", "PortRangeListId": "prl-1", "SourcePrefixListId": "pl-1"`, "pl-1", "prl-1"},
	} {
		r := readRules(t, groupDoc("", aRule(c.fields)))[0]
		if r.Peer() != c.peer || r.Ports() != c.ports {
			t.Errorf("%s: %s from %s", c.fields, r.Ports(), r.Peer())
		}
	}
}

func TestAlibabaPortLists(t *testing.T) {
	group := groupDoc("", aRule(`"PortRangeListId": "prl-1", "SourceCidrIp": "10.0.0.0/8"`), aRule(`"PortRangeListId": "prl-2", "SourceCidrIp": "10.0.0.0/8"`))
	match := func(text string, port uint16) (out []policy.Tri) {
		rules := readRules(t, text)
		slices.SortFunc(rules, func(a, b *policy.Rule) int { return strings.Compare(a.PortList, b.PortList) })
		for _, r := range rules {
			c := policy.Conn{Direction: flow.Ingress, Proto: flow.TCP, Local: netip.MustParseAddr("10.1.0.1"), Remote: netip.MustParseAddr("10.2.0.1"), LocalPort: port}
			out = append(out, r.Matches(&c))
		}
		return out
	}
	known := `{"PortRangeListId": "prl-1", "Entries": [{"PortRange": "80/80"}, {"PortRange": "90/99"}, {"PortRange": "80/80"}]}`
	for _, c := range []struct {
		text string
		port uint16
		want []policy.Tri
	}{
		{group, 80, []policy.Tri{policy.Perhaps, policy.Perhaps}},
		{group + known, 80, []policy.Tri{policy.Yes, policy.Perhaps}},
		{group + known, 95, []policy.Tri{policy.Yes, policy.Perhaps}},
		{group + known, 81, []policy.Tri{policy.No, policy.Perhaps}},
		{group + known + `{"prl-2": {"RequestId": "1", "Entries": []}}`, 80, []policy.Tri{policy.Yes, policy.No}},
	} {
		if got := match(c.text, c.port); !slices.Equal(got, c.want) {
			t.Errorf("port %d of\n%s\n got %v, want %v", c.port, c.text, got, c.want)
		}
	}
	s := mustRead(t, group+known+`{"prl-2": {"RequestId": "1", "Entries": []}}`)
	roundTrip(t, s)
	for _, r := range s.Rules() {
		if r.PortList == "prl-1" && len(r.Match) != 2 {
			t.Errorf("%d ranges, want each once", len(r.Match))
		}
	}
}

// Without ids a rule is one rule however often it is written, and as old as its oldest.
func TestAlibabaRulesWithoutIds(t *testing.T) {
	at := func(time string) string {
		return aRule(`"PortRange": "80/80", "SourceCidrIp": "10.0.0.0/8", "CreateTime": "` + time + `"`)
	}
	for _, times := range [][]string{{"2024-01-02T00:00:00Z", "2024-01-01T00:00:00Z"}, {"2024-01-01T00:00Z", "2024-01-02T00:00:00Z"}, {"", "2024-01-01T00:00:00Z"}} {
		rules := readRules(t, groupDoc("", at(times[0]), at(times[1])))
		if len(rules) != 1 || !rules[0].Created.Equal(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)) {
			t.Errorf("%v: %d rules, the first of %v", times, len(rules), rules[0].Created)
		}
	}
}

// A group outside any VPC guards interfaces that are in no export: it is not for editing.
func TestAlibabaClassicGroup(t *testing.T) {
	doc := `{"SecurityGroupId": "sg-1", "Permissions": {"Permission": [` + aRule(`"PortRange": "80/80", "SourceCidrIp": "10.0.0.0/8"`) + `]}}`
	s := mustRead(t, doc)
	declared := func(r *policy.Rule) bool { return !r.Implicit }
	if r := s.Rules()[slices.IndexFunc(s.Rules(), declared)]; r.Editable || !s.MissingWhat("vpc of group sg-1") {
		t.Errorf("editable %v, missing %v", r.Editable, missingWhats(s))
	}
	// An interface shows that the export only left the VPC out.
	s = mustRead(t, doc+`{"NetworkInterfaceSets": {"NetworkInterfaceSet": [{"NetworkInterfaceId": "eni-1", "SecurityGroupIds": ["sg-1"]}]}}`)
	if i := slices.IndexFunc(s.Rules(), declared); !s.Rules()[i].Editable {
		t.Error("not editable though attached")
	}
}

func TestAlibabaACLsFromSeveralCalls(t *testing.T) {
	const (
		list  = `{"NetworkAcls": {"NetworkAcl": [{"NetworkAclId": "nacl-1", "VpcId": "vpc-1"}]}}`
		lines = `{"NetworkAclAttribute": {"NetworkAclId": "nacl-1", "VpcId": "vpc-1", "Resources": {"Resource": [{"ResourceId": "vsw-1", "ResourceType": "VSwitch"}, {"ResourceId": "x-1", "ResourceType": "Gateway"}]},
 "IngressAclEntries": {"IngressAclEntry": [{"Policy": "Drop", "Protocol": "ICMP", "Port": "-1/-1", "SourceCidrIp": "0.0.0.0/0"}]}, "EgressAclEntries": {}}}`
		half     = `{"NetworkAcls": {"NetworkAcl": [{"NetworkAclId": "nacl-1", "IngressAclEntries": {"IngressAclEntry": []}}]}}`
		switches = `{"VSwitches": {"VSwitch": [{"VSwitchId": "vsw-2", "CidrBlock": "10.0.2.0/24", "NetworkAclId": "nacl-1"}, {"VSwitchId": "vsw-3", "CidrBlock": "10.0.3.0/24", "NetworkAclId": "nacl-9"}]}}`
	)
	s := mustRead(t, list+lines+switches)
	if len(s.ACLs) != 1 || len(s.ACLs[0].Rules) != 1 || !slices.Equal(s.ACLs[0].Subnets, []string{"vsw-1", "vsw-2"}) {
		t.Errorf("ACLs %+v", s.ACLs)
	}
	if s.MissingWhat("network-acl nacl-1") || !s.MissingWhat("network-acl nacl-9") {
		t.Errorf("missing %v", missingWhats(s))
	}
	for _, text := range []string{list, half} {
		s := mustRead(t, text)
		if len(s.ACLs) != 0 || !s.MissingWhat("network-acl nacl-1") {
			t.Errorf("%s: %d ACLs, missing %v", text, len(s.ACLs), missingWhats(s))
		}
	}
}

// The first address is the primary one; where none is marked, the same for any order.
func TestAlibabaPrimaryAddress(t *testing.T) {
	for _, c := range []struct{ addresses, want string }{
		{`"PrivateIpSets": {"PrivateIpSet": [{"PrivateIpAddress": "10.0.0.9"}, {"PrivateIpAddress": "10.0.0.1", "Primary": true}]}`, "10.0.0.1"},
		{`"PrivateIpAddress": "10.0.0.7", "PrivateIpSets": {"PrivateIpSet": [{"PrivateIpAddress": "10.0.0.1"}]}`, "10.0.0.7"},
		{`"PrivateIpSets": {"PrivateIpSet": [{"PrivateIpAddress": "10.0.0.9"}, {"PrivateIpAddress": "10.0.0.2"}]}`, "10.0.0.2"},
		{`"PrivateIpSets": {"PrivateIpSet": [{"PrivateIpAddress": "10.0.0.2"}, {"PrivateIpAddress": "10.0.0.9"}]}`, "10.0.0.2"},
	} {
		s := mustRead(t, `{"NetworkInterfaceSets": {"NetworkInterfaceSet": [{"NetworkInterfaceId": "eni-1", `+c.addresses+`}]}}`)
		if got := s.Interfaces[0].Addresses[0].String(); got != c.want {
			t.Errorf("%s: %s, want %s", c.addresses, got, c.want)
		}
	}
}

// The only interface of an instance is its primary one, though nobody says so.
func TestAlibabaOnlyInterfaceOfAnInstance(t *testing.T) {
	s := mustRead(t, `{"Instances": {"Instance": [{"InstanceId": "i-1", "SecurityGroupIds": {"SecurityGroupId": ["sg-1"]}, "NetworkInterfaces": {"NetworkInterface": [{"NetworkInterfaceId": "eni-1"}]}}]}}`)
	if len(s.Interfaces) != 1 || !slices.Equal(s.Interfaces[0].Groups, []string{"sg-1"}) {
		t.Errorf("interfaces %+v", s.Interfaces)
	}
}

func TestAlibabaFlowLogStates(t *testing.T) {
	for state, inactive := range map[string]bool{"Active": false, "Modifying": false, "": false, "Inactive": true, "Activating": true} {
		s := mustRead(t, `{"FlowLogs": {"FlowLog": [{"FlowLogId": "fl-1", "ResourceId": "vpc-1", "TrafficType": "allow", "TrafficPath": ["natGateway", "all"], "Status": "`+state+`"}]}}`)
		if l := s.FlowLogs[0]; l.Inactive != inactive || l.Traffic != "ACCEPT" || l.Paths != nil {
			t.Errorf("%q: %+v", state, l)
		}
	}
}

// Replies without a list of anything that filters are known, and no policy.
func TestAlibabaRepliesOfOtherCalls(t *testing.T) {
	for _, text := range []string{
		`{"RequestId": "1", "SecurityGroupReferences": {"SecurityGroupReference": []}}`,
		`{"RequestId": "1", "PortRangeLists": [{"PortRangeListId": "prl-1"}]}`,
		`{"RequestId": "1", "MonitorData": {"EniMonitorData": []}}`,
	} {
		if _, err := readString(t, text); err == nil || !strings.HasPrefix(err.Error(), "no policy in ") {
			t.Errorf("%s: error %v", text, err)
		}
	}
	// An empty list is a policy, in each of its forms.
	for _, text := range []string{`{"SecurityGroups": {"SecurityGroup": []}}`, `{"RequestId": "1", "SecurityGroups": {}}`, `{"RequestId": "1", "SecurityGroups": []}`} {
		if s := mustRead(t, text); !slices.ContainsFunc(s.Platforms, func(p policy.Platform) bool { return p.ID == alibabaPlatform.ID }) {
			t.Errorf("%s: platforms %v", text, s.Platforms)
		}
	}
	// The other cloud's replies stay its own.
	for _, text := range []string{`{"SecurityGroups": []}`, `{"PrefixListId": "pl-1", "Entries": [{"Cidr": "10.0.0.0/8"}]}`, `{"NetworkAcls": []}`, `{"Instances": []}`} {
		if s := mustRead(t, text); slices.ContainsFunc(s.Platforms, func(p policy.Platform) bool { return p.ID == alibabaPlatform.ID }) {
			t.Errorf("%s: taken for a reply of this cloud", text)
		}
	}
}

// alibabaRefused are the files of the shared data that are no readable export, with a
// part of the error that says why. The documentation masks addresses.
var alibabaRefused = map[string]string{
	"AuthorizeSecurityGroup.cn.zh-CN.001.json":    "not a policy export: its keys are RequestId",
	"CreatePrefixList.cn.zh-CN.006.json":          "not a policy export: its keys are PrefixListId, RequestId",
	"DescribeInstances.cn.zh-CN.009.json":         `"172.17.**.***" is not an address`,
	"DescribeInstances.intl.en-US.012.json":       `"172.17.**.***" is not an address`,
	"DescribeNetworkInterfaces.cn.zh-CN.004.json": `"XXX.XXX.XX.XX" is not an address`,
	"DescribeNetworkInterfaces.cn.zh-CN.010.json": `"192.168.**.**" is not an address`,
}

// Every file of the shared exports is read alone; it is a policy, or ignored as a reply
// of another call, or refused for the reason above.
func TestSharedAlibabaExportsAreReadAlone(t *testing.T) {
	root := dataDir(t, "policy", "alibaba")
	counts := make(map[string]int)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name := filepath.Base(path)
		s, inputs, err := Read([]string{path}, Options{})
		switch why := alibabaRefused[name]; {
		case why != "":
			counts["refused"]++
			if err == nil || !strings.Contains(err.Error(), why) {
				t.Errorf("%s: error %v, want one with %q", name, err, why)
			}
		case len(inputs) == 1 && inputs[0].Kind == Ignored:
			counts["ignored"]++
			if err == nil || !strings.HasPrefix(err.Error(), "no policy in ") {
				t.Errorf("%s: ignored, yet error %v", name, err)
			}
		case err != nil:
			t.Errorf("%s: %v", name, err)
		default:
			counts["read"]++
			counts["rules"] += len(s.Rules())
			roundTrip(t, s)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// 1 and 4 documented rules, and 3 of the unknown type each.
	if counts["read"] != 3 || counts["ignored"] != 2 || counts["refused"] != 6 || counts["rules"] != 11 {
		t.Errorf("%v", counts)
	}
}

// With addresses in place of the masks the documented samples are read too.
func TestSharedAlibabaSamplesUnmasked(t *testing.T) {
	root := dataDir(t, "policy", "alibaba", "api-docs")
	unmask := strings.NewReplacer("172.17.**.***", "172.17.0.1", "172.17.**.**", "172.17.0.1", "192.168.**.**", "192.168.0.1", "XXX.XXX.XX.XX", "10.0.0.1", "3bfa:***", "3bfa:1")
	n := 0
	for name, why := range alibabaRefused {
		if !strings.HasSuffix(why, "is not an address") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		s, err := readString(t, unmask.Replace(string(text)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(s.Interfaces) != 1 || len(s.Interfaces[0].Groups) != 1 || len(s.Interfaces[0].Addresses) == 0 {
			t.Errorf("%s: %+v", name, s.Interfaces)
		}
		n++
	}
	if n != 4 {
		t.Errorf("%d samples", n)
	}
}

func FuzzAlibaba(f *testing.F) {
	names, _ := filepath.Glob("testdata/alibaba/*.json")
	for _, name := range names {
		if text, err := os.ReadFile(name); err == nil {
			f.Add(text)
		}
	}
	f.Add([]byte(groupDoc("", aRule(`"PortRangeListId": "prl-1", "SourceGroupId": "sg-2", "SourceGroupOwnerAccount": 5`))))
	f.Add([]byte(`{"prl-1": {"Entries": [{"PortRange": "1/2"}]}, "x": {"Permissions": [{"NicType": 1}], "SecurityGroupId": "sg-1"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, _, err := Read([]string{"-"}, Options{Stdin: bytes.NewReader(text)})
		if err == nil {
			roundTrip(t, s)
		}
	})
}
