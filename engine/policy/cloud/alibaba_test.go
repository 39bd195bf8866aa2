package cloud

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sgadvise/sgadvise/engine/policy"
)

// alibabaSample returns the documents of the sample export.
func alibabaSample(t *testing.T) []any {
	t.Helper()
	names, err := filepath.Glob("testdata/alibaba/*.json")
	if err != nil || len(names) == 0 {
		t.Fatalf("no sample: %v", err)
	}
	var docs []any
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		dec := json.NewDecoder(bytes.NewReader(text))
		for dec.More() {
			var doc any
			if err := dec.Decode(&doc); err != nil {
				t.Fatal(err)
			}
			if list, ok := doc.([]any); ok {
				docs = append(docs, list...)
			} else {
				docs = append(docs, doc)
			}
		}
	}
	for _, d := range docs { // the file's name said so
		m := d.(map[string]any)
		if list, ok := m["Entries"].([]any); ok && m["PrefixListId"] == nil && len(list) > 0 {
			m["PortRangeListId"] = "prl-web"
		}
	}
	return docs
}

// written returns docs one after the other as JSON.
func written(t *testing.T, docs ...any) string {
	t.Helper()
	var b strings.Builder
	for _, d := range docs {
		text, err := json.MarshalIndent(d, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(text, '\n'))
	}
	return b.String()
}

func TestAlibabaExportReadsAsTheText(t *testing.T) {
	got := read(t, "testdata/alibaba")
	text, err := os.ReadFile("testdata/alibaba.policy")
	if err != nil {
		t.Fatal(err)
	}
	want, err := ParseText("alibaba.policy", text)
	if err != nil {
		t.Fatal(err)
	}
	if d := diff(want, got); d != "" {
		t.Errorf("-text +export:\n%s", d)
	}
	if Format(got) != string(text) {
		t.Errorf("written:\n%s", Format(got))
	}
}

// bareLists turns {"Permission": […]} and the like into […].
func bareLists(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 1 {
			for _, inner := range v {
				if list, ok := inner.([]any); ok {
					return bareLists(list)
				}
			}
		}
		out := make(map[string]any)
		for k, x := range v {
			out[k] = bareLists(x)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = bareLists(x)
		}
		return out
	}
	return v
}

// Newer command lines print lists without their wrappers; the policy is the same.
func TestAlibabaBareListsAreTheSame(t *testing.T) {
	docs := alibabaSample(t)
	var bare []any
	for _, d := range docs {
		bare = append(bare, bareLists(d))
	}
	if text := written(t, bare...); strings.Contains(text, `"Permission"`) {
		t.Fatalf("still wrapped:\n%s", text)
	}
	if d := diff(mustRead(t, written(t, docs...)), mustRead(t, written(t, bare...))); d != "" {
		t.Errorf("-wrapped +bare:\n%s", d)
	}
}

// Order, files, arrays, wrappers of other tools and compression change nothing.
func TestAlibabaFormsOfAnExport(t *testing.T) {
	docs := alibabaSample(t)
	want := mustRead(t, written(t, docs...))
	backwards := slices.Clone(docs)
	slices.Reverse(backwards)
	wrapped := make(map[string]any)
	for i, d := range docs {
		wrapped[fmt.Sprintf("reply %d", i)] = d
	}
	lower := strings.NewReplacer(`"SecurityGroups"`, `"securityGroups"`, `"NetworkInterfaceSets"`, `"network_interface_sets"`, `"Permissions"`, `"permissions"`)
	for name, text := range map[string]string{
		"backwards": written(t, backwards...),
		"twice":     written(t, append(slices.Clone(docs), docs...)...),
		"array":     written(t, docs),
		"wrapped":   written(t, wrapped),
		"mark":      "\ufeff" + written(t, docs...),
		"keys":      lower.Replace(written(t, docs...)),
	} {
		if d := diff(want, mustRead(t, text)); d != "" {
			t.Errorf("%s: -plain +other:\n%s", name, d)
		}
	}
	dir := t.TempDir()
	for i, d := range docs {
		path := filepath.Join(dir, fmt.Sprintf("%d.json.gz", i))
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := z.Write([]byte(written(t, d))); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if d := diff(want, read(t, dir)); d != "" {
		t.Errorf("files: -one +many:\n%s", d)
	}
}

// One run reads both clouds; each interface names its platform, and nothing of one is
// taken for the other's.
func TestAlibabaAndAWSInOneRun(t *testing.T) {
	both := read(t, "testdata/alibaba", "testdata/aws")
	for _, one := range []*policy.Snapshot{read(t, "testdata/alibaba"), read(t, "testdata/aws")} {
		for i := range one.Interfaces {
			f, ok := both.Interface(one.Interfaces[i].ID)
			if !ok || f.Platform != one.Interfaces[i].Platform || both.PathKey(f) != one.PathKey(&one.Interfaces[i]) {
				t.Errorf("%s: not as alone", one.Interfaces[i].ID)
			}
		}
		for _, r := range one.Rules() {
			if _, ok := both.RuleIndex(r.Ref); !ok {
				t.Errorf("%s: lost", r.Ref)
			}
		}
		for _, m := range one.Missing {
			if !slices.Contains(both.Missing, m) {
				t.Errorf("missing %s %q: lost", m.What, m.Effect)
			}
		}
	}
	roundTrip(t, both)
	eni, _ := both.Interface("eni-data")
	if p := both.PlatformOf(eni); p.ID != "alibaba" || len(p.Admitted) != 1 {
		t.Errorf("platform %+v", p)
	}
	// What only one cloud's exports lack is missing in the run of both, too.
	s := read(t, "testdata/aws", "testdata/alibaba/sg-data.json", "testdata/alibaba/security-groups.json")
	if !s.MissingWhat("network-interfaces") {
		t.Error("the members of the groups of one cloud are complete though its interfaces are not here")
	}
}

func TestAlibabaRepliesOfBothCloudsInOneFile(t *testing.T) {
	text := `{"SecurityGroups": {"SecurityGroup": [{"SecurityGroupId": "sg-1"}]}}
{"SecurityGroups": [{"GroupId": "sg-2", "IpPermissions": []}]}`
	if _, err := readString(t, text); err == nil || !strings.Contains(err.Error(), "export.json:2: a reply of another cloud than export.json:1") {
		t.Errorf("error %v", err)
	}
}

// groupDoc is a page of the rules of sg-1.
func groupDoc(extra string, permissions ...string) string {
	return `{"SecurityGroupId": "sg-1", "VpcId": "vpc-1"` + extra + `, "Permissions": {"Permission": [` + strings.Join(permissions, ",\n") + `]}}`
}

func TestAlibabaPages(t *testing.T) {
	enis := func(head string, ids ...string) string {
		for i, id := range ids {
			ids[i] = `{"NetworkInterfaceId": "` + id + `"}`
		}
		return `{"NetworkInterfaceSets": {"NetworkInterfaceSet": [` + strings.Join(ids, ",") + `]}` + head + "}\n"
	}
	page := func(n, size, total int, more ...string) string {
		head := fmt.Sprintf(`, "PageNumber": %d, "PageSize": "%d", "TotalCount": %d`, n, size, total)
		return head + strings.Join(more, "")
	}
	const token = `, "NextToken": "AAA"`
	for _, c := range []struct {
		name, text, want string
	}{
		{"one page", enis(page(1, 10, 1), "a"), ""},
		{"nothing said", enis("", "a"), ""},
		{"no objects", enis(page(1, 10, 0)), ""},
		{"all pages", enis(page(1, 1, 2), "a") + enis(page(2, 1, 2), "b"), ""},
		{"the first of two", enis(page(1, 1, 2), "a"), "network-interfaces: truncated export: 1 of 2 pages are here"},
		{"the second of two", enis(page(2, 1, 2), "b"), "truncated export: 1 of 2 pages are here"},
		{"a hole", enis(page(1, 1, 3), "a") + enis(page(3, 1, 3), "c"), "2 of 3 pages are here"},
		{"a page twice instead of the next", enis(page(1, 1, 2), "a") + enis(page(1, 1, 2), "a"), "1 of 2 pages are here"},
		{"a token left", enis(token, "a"), "truncated export: NextToken left"},
		{"a token used", enis(token, "a") + enis("", "b"), ""},
		{"an empty token", enis(`, "NextToken": ""`, "a"), ""},
		{"a token after the last of counted pages", enis(page(1, 10, 1, token), "a"), ""},
		{"a token after a full page", enis(page(1, 1, 1, token), "a"), "NextToken left"},
		{"regions page apart", enis(page(1, 1, 2, `, "RegionId": "x"`), "a") + enis(page(2, 1, 2, `, "RegionId": "x"`), "b") + enis(page(1, 5, 1, `, "RegionId": "y"`), "c"), ""},
		{"a page of one region only", enis(page(1, 1, 2, `, "RegionId": "x"`), "a") + enis(page(2, 1, 2, `, "RegionId": "y"`), "b"), "network-interfaces of x: truncated export: 1 of 2 pages"},
		{"zones of a region page together", `{"PageNumber": 1, "PageSize": 1, "TotalCount": 2, "NetworkInterfaceSets": {"NetworkInterfaceSet": [{"NetworkInterfaceId": "a", "ZoneId": "cn-x-b"}]}}
{"PageNumber": 2, "PageSize": 1, "TotalCount": 2, "NetworkInterfaceSets": {"NetworkInterfaceSet": [{"NetworkInterfaceId": "b", "ZoneId": "cn-x-c"}]}}`, ""},
		{"rules of a group", groupDoc(token) + "\n" + groupDoc(""), ""},
		{"rules of a group, cut", groupDoc(token), "security-group-attributes of sg-1: truncated export"},
		{"rules of another group", groupDoc(token) + strings.Replace(groupDoc(""), "sg-1", "sg-2", 1), "security-group-attributes of sg-1: truncated export"},
		{"the group changed meanwhile", groupDoc(token) + "\n" + groupDoc(`, "InnerAccessPolicy": "Drop"`), "export.json:2: security group sg-1 differs from the one at export.json:1"},
	} {
		_, err := readString(t, c.text)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "export.json:")):
			t.Errorf("%s: error %v, want %s", c.name, err, c.want)
		}
	}
}

func TestAlibabaErrors(t *testing.T) {
	rule := func(fields string) string {
		m := map[string]any{"Direction": "ingress", "Policy": "Accept", "Priority": "1", "IpProtocol": "TCP", "PortRange": "80/80", "SourceCidrIp": "10.0.0.0/8", "SecurityGroupRuleId": "sgr-1"}
		var over map[string]any
		if err := json.Unmarshal([]byte("{"+fields+"}"), &over); err != nil {
			t.Fatal(err)
		}
		for k, v := range over {
			m[k] = v
		}
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return groupDoc("", "\n"+string(text))
	}
	acl := func(line string) string {
		return `{"NetworkAclAttribute": {"NetworkAclId": "nacl-1", "EgressAclEntries": {"EgressAclEntry": []}, "IngressAclEntries": {"IngressAclEntry": [` + "\n{" + line + `}]}}}`
	}
	for _, c := range []struct{ text, want string }{
		{rule(`"Direction": "both"`), `export.json:2: sg-1/sgr-1: direction "both" is neither`},
		{rule(`"Policy": "Reject"`), `export.json:2: sg-1/sgr-1: policy "Reject" is neither Accept nor Drop`},
		{rule(`"Priority": "high"`), `export.json:2: sg-1/sgr-1: priority "high" is not a number`},
		{rule(`"Priority": ""`), `export.json:2: sg-1/sgr-1: priority ""`}, // the call's default would be the strongest
		{rule(`"Priority": "0"`), `priority "0" is not`},
		{rule(`"IpProtocol": "TPC"`), `protocol "TPC" is neither`},
		{rule(`"IpProtocol": "256"`), `protocol "256" is neither`},
		{rule(`"IpProtocol": "GRE"`), `PortRange: "80/80" for a protocol without ports`},
		{rule(`"PortRange": "80-90"`), `PortRange: "80-90" is no range`},
		{rule(`"PortRange": "90/80"`), `PortRange: "90/80" is no range`},
		{rule(`"PortRange": "1/65536"`), `PortRange: "1/65536" is no range`},
		{rule(`"PortRange": ""`), `PortRange: "" is no range`},
		{rule(`"SourcePortRange": "x"`), `SourcePortRange: "x" is no range`},
		{rule(`"SourceCidrIp": "10.0.0.0/33"`), `"10.0.0.0/33" is not a CIDR`},
		{rule(`"SourceCidrIp": ""`), `no peer`},
		{rule(`"SourceCidrIp": "", "DestGroupId": "sg-2"`), `no peer`},
		{rule(`"SourceCidrIp": "::/0"`), `::/0 is of the other address family`},
		{rule(`"Ipv6SourceCidrIp": "::/0"`), `an IPv4 and an IPv6 CIDR`},
		{rule(`"CreateTime": "yesterday"`), `CreateTime: "yesterday" is not a time`},
		{rule(`"Description": ["x"]`), `export.json:2: permission: ["x"] is no text`},
		{groupDoc("", rule(`"Priority": "1"`)[len(groupDoc(""))-4:len(rule(`"Priority": "1"`))-3], `{"Direction": "ingress"}`), "export.json:"},
		{`{"Permissions": {"Permission": []}}`, "export.json:1: Permissions without SecurityGroupId"},
		{`{"Permissions": {"Permission": ["x"]}, "SecurityGroupId": "sg-1"}`, "security-group-attributes[0]: not an object"},
		{groupDoc(`, "InnerAccessPolicy": "Maybe"`), `sg-1: InnerAccessPolicy "Maybe" is neither`},
		{"\n{\"SecurityGroups\": {\"SecurityGroup\": [\n{\"VpcId\": \"vpc-1\"}]}}", "export.json:3: security group without SecurityGroupId"},
		{`{"SecurityGroups": {"SecurityGroup": [{"SecurityGroupId": "sg-1"},` + "\n" + `{"SecurityGroupId": "sg-1", "SecurityGroupType": "normal"}]}}`, "export.json:2: security group sg-1 differs from the one at export.json:1"},
		{`{"NetworkInterfaceSets": {"NetworkInterfaceSet": [{"NetworkInterfaceId": ""}]}}`, "network interface without NetworkInterfaceId"},
		{`{"NetworkInterfaceSets": {"NetworkInterfaceSet": [{"NetworkInterfaceId": "eni-1", "PrivateIpAddress": "10.0.0.**"}]}}`, `eni-1: "10.0.0.**" is not an address`},
		{`{"NetworkInterfaceSets": {"NetworkInterfaceSet": [{"NetworkInterfaceId": "eni-1", "SecurityGroupIds": {"SecurityGroupId": [""]}}]}}`, "SecurityGroupIds: an empty id"},
		{`{"NetworkInterfaceSets": {"NetworkInterfaceSet": [{"NetworkInterfaceId": "eni-1", "SecurityGroupIds": {"a": [], "b": []}}]}}`, "a list whose wrapper has several keys"},
		{`{"NetworkInterfaceSets": {"NetworkInterfaceSet": [{"NetworkInterfaceId": "eni-1", "SecurityGroupIds": {"a": [1]}}]}}`, "number does not fit"},
		{acl(`"Policy": "deny"`), `export.json:2: nacl-1: ingress line 1: policy "deny"`},
		{acl(`"Policy": "drop", "Protocol": "all", "Port": "22/22", "SourceCidrIp": "0.0.0.0/0"`), `export.json:2: nacl-1: ingress line 1: port: "22/22" for a protocol without ports`},
		{acl(`"Policy": "drop", "Protocol": "tcp", "Port": "22/22"`), `export.json:2: nacl-1: ingress line 1: "" is not an address`},
		{`{"NetworkAclAttribute": {"NetworkAclId": "nacl-1", "IngressAclEntries": 5, "EgressAclEntries": {}}}`, "IngressAclEntries: not a list of lines"},
		{`{"VSwitches": {"VSwitch": [{"VSwitchId": "vsw-1"}]}}`, "vSwitch vsw-1 has no address block"},
		{`{"Entries": [{"PortRange": "80/80"}]}`, "Entries of no known list: name the file after it (prl-0123.json)"},
		{`{"PortRangeListId": "prl-1", "Entries": [` + "\n" + `{"PortRange": "http"}]}`, `export.json:2: prl-1: "http" is no range`},
		{`{"PrefixListId": "pl-1", "AddressFamily": "IPv4", "Entries": {"Entry": [{"Cidr": "x"}]}}`, `pl-1: "x" is not an address`},
		{`{"FlowLogs": {"FlowLog": [{"FlowLogId": "fl-1", "ResourceId": "vpc-1", "TrafficType": "Some"}]}}`, `fl-1: TrafficType "Some" is none of`},
		{`{"SecurityGroups": {"SecurityGroup": [`, "truncated JSON"},
	} {
		_, err := readString(t, c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\n error %v\n want  %s", c.text, err, c.want)
		}
	}
}

func TestAlibabaEntriesByFileName(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"group.json":             groupDoc("", `{"Direction": "ingress", "Policy": "Accept", "Priority": "1", "IpProtocol": "TCP", "PortRangeListId": "prl-0a", "SourceCidrIp": "10.0.0.0/8"}`),
		"entries_prl-0a.v2.json": `{"RequestId": "1", "Entries": [{"PortRange": "80/80"}]}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := read(t, dir)
	i := slices.IndexFunc(s.Rules(), func(r *policy.Rule) bool { return !r.Implicit })
	if r := s.Rules()[i]; r.PortList != "prl-0a" || r.Match[0].LocalPorts.String() != "80" || r.Ports() != "prl-0a" {
		t.Errorf("rule %+v", r)
	}
	if s.MissingWhat("port-list prl-0a") {
		t.Error("the list is here and missing")
	}
}

// Trap 26: what a log leaves out is kept, so that silence there is no evidence.
func TestAlibabaTrap26FlowLogs(t *testing.T) {
	s := read(t, "testdata/alibaba/network.json")
	want := []policy.FlowLog{
		{ID: "fl-drop", Resource: "vsw-front", Traffic: "REJECT", Created: time.Date(2025, 5, 1, 0, 0, 0, 0, time.UTC), Failed: "FinancialLocked",
			Inactive: true, Paths: []string{"natGateway", "vpnGateway"}, Interval: time.Minute},
		{ID: "fl-vpc", Resource: "vpc-a", Traffic: "ALL", Created: time.Date(2025, 5, 1, 0, 0, 0, 0, time.UTC), IPv4Only: true, Interval: 10 * time.Minute},
	}
	if d := diff(&policy.Snapshot{FlowLogs: want}, &policy.Snapshot{FlowLogs: s.FlowLogs}); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// Trap 22: DescribeInstances has the groups of primary interfaces only.
func TestAlibabaTrap22Instances(t *testing.T) {
	instances := `{"Instances": {"Instance": [{"InstanceId": "i-1", "InstanceName": "one", "SecurityGroupIds": {"SecurityGroupId": ["sg-1"]},
 "VpcAttributes": {"VpcId": "vpc-1", "VSwitchId": "vsw-1"},
 "NetworkInterfaces": {"NetworkInterface": [
  {"Type": "Secondary", "NetworkInterfaceId": "eni-2", "PrimaryIpAddress": "10.0.0.2"},
  {"Type": "Primary", "NetworkInterfaceId": "eni-1", "PrimaryIpAddress": "10.0.0.1", "PrivateIpSets": {"PrivateIpSet": [{"PrivateIpAddress": "10.0.0.9"}]}}]}}]}}
`
	s := mustRead(t, instances+groupDoc(""))
	if len(s.Interfaces) != 1 || s.Interfaces[0].ID != "eni-1" || s.Interfaces[0].Name != "one" || !slices.Equal(s.Interfaces[0].Groups, []string{"sg-1"}) || len(s.Interfaces[0].Addresses) != 2 {
		t.Errorf("interfaces %+v", s.Interfaces)
	}
	var effects []string
	for _, m := range s.Missing {
		if m.What == "network-interfaces" {
			effects = append(effects, m.Effect)
		}
	}
	if len(effects) != 2 || !strings.Contains(effects[0], "the groups of 1 secondary interfaces") && !strings.Contains(effects[1], "the groups of 1 secondary interfaces") {
		t.Errorf("missing %q", effects)
	}
	if !s.Resolve(policy.AddrSet{Refs: []policy.SetRef{{ID: "sg-1"}}}).Unknown {
		t.Error("the members of sg-1 are taken for complete")
	}
	// Where the interfaces themselves are exported, the instances add names only.
	s = mustRead(t, instances+groupDoc("")+`{"NetworkInterfaceSets": {"NetworkInterfaceSet": [
 {"NetworkInterfaceId": "eni-2", "InstanceId": "i-1", "SecurityGroupIds": {"SecurityGroupId": ["sg-9"]}}]}}`)
	if len(s.Interfaces) != 1 || s.Interfaces[0].ID != "eni-2" || s.Interfaces[0].Name != "one" || !slices.Equal(s.Interfaces[0].Groups, []string{"sg-9"}) {
		t.Errorf("interfaces %+v", s.Interfaces)
	}
	if s.MissingWhat("network-interfaces") {
		t.Error("interfaces are missing")
	}
}
