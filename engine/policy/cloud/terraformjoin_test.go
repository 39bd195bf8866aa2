package cloud

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// write puts files into a folder and returns it.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const exported = `{"SecurityGroups": [{"GroupId": "sg-1", "GroupName": "web", "OwnerId": "1", "VpcId": "vpc-1",
 "IpPermissions": [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "https"}]},
                   {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}], "IpPermissionsEgress": []}],
 "SecurityGroupRules": [{"SecurityGroupRuleId": "sgr-443", "GroupId": "sg-1", "GroupOwnerId": "1", "IsEgress": false, "IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIpv4": "0.0.0.0/0", "Description": "https"}],
 "NetworkInterfaces": [{"NetworkInterfaceId": "eni-1", "PrivateIpAddress": "10.0.0.4", "Groups": [{"GroupId": "sg-1"}]}]}`

// The export is in force: its rules stay, those that Terraform declares have its address,
// and what differs is counted.
func TestExportsAreInForceAndTerraformGivesAddresses(t *testing.T) {
	plan := planJSON(t,
		change{"aws_security_group.web", "no-op", "", `{"id": "sg-1", "name": "web", "ingress": [
		 {"protocol": "tcp", "from_port": 443, "to_port": 443, "cidr_blocks": ["0.0.0.0/0"], "description": "https"}], "egress": []}`, "", `{"ingress": {}}`},
		change{"aws_vpc_security_group_ingress_rule.dns[0]", "create", "", `{"security_group_id": "sg-1", "ip_protocol": "udp", "from_port": 53, "to_port": 53, "cidr_ipv4": "10.0.0.0/8"}`, `{"id": true}`, ""},
		change{"aws_security_group.new", "create", "", `{"name": "new", "ingress": [], "egress": []}`, `{"id": true}`, ""},
		change{"aws_instance.gone", "no-op", "", `{"id": "i-1", "primary_network_interface_id": "eni-9", "private_ip": "10.0.0.9", "vpc_security_group_ids": ["sg-1"]}`, "", ""})
	dir := write(t, map[string]string{"a.json": plan, "b.json": exported})
	s, inputs, err := Read([]string{dir}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if inputs[0].Kind != "terraform:plan" || inputs[1].Kind != "aws:network-interfaces,security-group-rules,security-groups" {
		t.Errorf("inputs %v", inputs)
	}
	wantContent(t, s, `
interface eni-1 10.0.0.4 sg-1
group sg-1 name=web vpc=vpc-1 account="1"
  r-22 ingress tcp 22 from 10.0.0.0/8
  sgr-443 ingress tcp 443 from 0.0.0.0/0 address=aws_security_group.web "https"
`)
	var drift []string
	for _, m := range s.Missing {
		if m.What == driftWhat {
			drift = append(drift, m.Effect)
		}
	}
	want := []string{"group aws_security_group.new: 0 rules declared but not in force: the exports do not have it",
		"sg-1: 1 rules declared but not in force, 1 in force but not declared; those in force count"}
	if !slices.Equal(drift, want) {
		t.Errorf("drift %q, want %q", drift, want)
	}
	if s.MissingWhat("network-interfaces") {
		t.Error("interfaces are named missing: the export has them")
	}
	// The order of files does not matter.
	other, _, err := Read([]string{filepath.Join(dir, "b.json"), filepath.Join(dir, "a.json")}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if d := diff(s, other); d != "" {
		t.Errorf("-folder +other order:\n%s", d)
	}
}

// A Terraform rule of a group that only the export describes gets no share in the others:
// they are nobody's drift.
func TestAddressesOfSingleRules(t *testing.T) {
	dir := write(t, map[string]string{"a.json": exported, "b.json": planJSON(t,
		change{"aws_vpc_security_group_ingress_rule.ssh", "no-op", "", `{"id": "sgr-22", "security_group_id": "sg-1", "ip_protocol": "tcp", "from_port": 22, "to_port": 22, "cidr_ipv4": "10.0.0.0/8"}`, "", ""})})
	s, _, err := Read([]string{dir}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	g, _ := s.Group("sg-1")
	for _, r := range g.Rules {
		if want := map[string]string{"22": "aws_vpc_security_group_ingress_rule.ssh"}[r.Ports()]; r.Address != want || r.Implicit {
			t.Errorf("port %s: address %q, want %q", r.Ports(), r.Address, want)
		}
	}
	if s.MissingWhat(driftWhat) || s.MissingWhat(undeclaredRules("sg-1")) {
		t.Errorf("missing %v", s.Missing)
	}
}

// Exports and Terraform of both clouds do not get into each other's way.
func TestCloudsAreReadTogether(t *testing.T) {
	aws, err := os.ReadFile("testdata/terraform/aws-state.json")
	if err != nil {
		t.Fatal(err)
	}
	alibaba, err := os.ReadFile("testdata/terraform/alibaba-state.json")
	if err != nil {
		t.Fatal(err)
	}
	s, _, err := Read([]string{write(t, map[string]string{"a.json": string(aws), "b.json": string(alibaba)})}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	one, two := read(t, "testdata/terraform/aws-state.json"), read(t, "testdata/terraform/alibaba-state.json")
	if len(s.Groups) != len(one.Groups)+len(two.Groups) || len(s.Platforms) != 2 || len(s.Rules()) != len(one.Rules())+len(two.Rules()) {
		t.Errorf("%d groups, %d rules, platforms %v", len(s.Groups), len(s.Rules()), s.Platforms)
	}
	for _, f := range s.Interfaces {
		if want := map[bool]string{true: "alibaba"}[strings.HasPrefix(f.Subnet, "vsw-")]; f.Platform != want {
			t.Errorf("%s: platform %q, want %q", f.ID, f.Platform, want)
		}
	}
	// A new group of one cloud is read though groups of the other are exported.
	dir := write(t, map[string]string{"a.json": exported, "b.json": planJSON(t,
		change{"alicloud_security_group.new", "create", "", `{"security_group_name": "new", "vpc_id": "vpc-1"}`, `{"id": true, "inner_access_policy": true}`, ""},
		change{"alicloud_network_interface.db", "no-op", "", `{"id": "eni-a", "security_group_ids": ["sg-a"], "primary_ip_address": "10.1.0.5"}`, "", ""},
		change{"aws_network_interface.gone", "no-op", "", `{"id": "eni-9", "security_groups": ["sg-1"], "private_ip": "10.1.0.9"}`, "", ""},
		change{"alicloud_vswitch.a", "no-op", "", `{"id": "vsw-a", "cidr_block": "10.1.0.0/24"}`, "", ""})})
	if s, _, err = Read([]string{dir}, Options{}); err != nil {
		t.Fatal(err)
	}
	if g, ok := s.Group("alicloud_security_group.new"); !ok || !g.Intra || !g.EgressOpen {
		t.Errorf("group %v", g)
	}
	if _, ok := s.Interface("eni-a"); !ok {
		t.Error("the interface of the other cloud was lost")
	}
	if _, ok := s.Interface("eni-9"); ok {
		t.Error("an interface that the export does not have")
	}
	if len(s.Subnets) != 1 {
		t.Errorf("subnets %v", s.Subnets)
	}
}

// The state as it is stored says the same as the state as it is shown.
func TestStoredStateEqualsShownState(t *testing.T) {
	for _, name := range []string{"aws-state", "alibaba-state"} {
		data, err := os.ReadFile("testdata/terraform/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(write(t, map[string]string{"terraform.tfstate": stored(t, data)}), "terraform.tfstate")
		s, inputs, err := Read([]string{path}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if d := diff(read(t, "testdata/terraform/"+name+".json"), s); d != "" {
			t.Errorf("%s: -shown +stored:\n%s", name, d)
		}
		if inputs[0].Kind != "terraform:tfstate" {
			t.Errorf("kind %s", inputs[0].Kind)
		}
	}
}

// stored rewrites a state as shown to a state as stored.
func stored(t *testing.T, shown []byte) string {
	t.Helper()
	type module struct {
		Address   string
		Resources []struct {
			Address, Type, Name string
			Index               any
			Values              map[string]any
		}
		Children []json.RawMessage `json:"child_modules"`
	}
	var doc struct {
		Values struct {
			Root json.RawMessage `json:"root_module"`
		}
	}
	if err := json.Unmarshal(shown, &doc); err != nil {
		t.Fatal(err)
	}
	var resources []any
	var walk func(raw json.RawMessage)
	walk = func(raw json.RawMessage) {
		var m module
		if err := json.Unmarshal(raw, &m); err != nil {
			t.Fatal(err)
		}
		for _, r := range m.Resources {
			out := map[string]any{"mode": "managed", "type": r.Type, "name": r.Name, "instances": []any{
				map[string]any{"deposed": "old", "attributes": map[string]any{"id": "sg-deposed"}},
				map[string]any{"index_key": r.Index, "attributes": r.Values}}}
			if m.Address != "" {
				out["module"] = m.Address
			}
			resources = append(resources, out)
		}
		for _, c := range m.Children {
			walk(c)
		}
	}
	walk(doc.Values.Root)
	out, err := json.Marshal(map[string]any{"version": 4, "terraform_version": "1.11.4", "serial": 7, "lineage": "x", "outputs": map[string]any{}, "resources": resources})
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// The order of resources does not matter.
func TestOrderOfResourcesDoesNotMatter(t *testing.T) {
	for _, name := range []string{"aws-state", "alibaba-state", "modules-plan"} {
		data, err := os.ReadFile("testdata/terraform/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		want := read(t, "testdata/terraform/"+name+".json")
		for seed := range uint64(10) {
			rng := rand.New(rand.NewPCG(seed, 3))
			var v any
			if err := json.Unmarshal(data, &v); err != nil {
				t.Fatal(err)
			}
			shuffleResources(rng, v)
			text, _ := json.Marshal(v)
			if d := diff(want, mustRead(t, string(text))); d != "" {
				t.Fatalf("%s, seed %d: -in order +shuffled:\n%s", name, seed, d)
			}
		}
	}
}

func shuffleResources(rng *rand.Rand, v any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			shuffleResources(rng, e)
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if list, ok := v[key].([]any); ok && (key == "resources" || key == "resource_changes" || key == "child_modules") {
				if key != "resources" || len(list) > 0 && list[0].(map[string]any)["resource_id"] == nil {
					rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
				}
			}
			shuffleResources(rng, v[key])
		}
	}
}

// Files that are Terraform's and hold nothing about filters are ignored; those that
// cannot be read whole are refused, with file, line and address.
func TestUnusableTerraformIsRefused(t *testing.T) {
	resource := func(typ, values string) string {
		return `{"format_version": "1.0", "terraform_version": "1.1", "values": {"root_module": {"resources": [
{"address": "` + typ + `.x", "mode": "managed", "type": "` + typ + `", "name": "x", "values": ` + values + `}]}}}`
	}
	for _, c := range []struct{ text, want string }{
		{`{"format_version": "2.0", "terraform_version": "3", "values": {}}`, `export.json:1: format_version "2.0" of Terraform's JSON is not known`},
		{`{"format_version": "1.2", "terraform_version": "1.11",` + "\n" + `"errored": true, "planned_values": {}}`, "export.json:2: the plan ended in an error"},
		{`{"version": 3, "terraform_version": "0.11", "serial": 1, "resources": []}`, "version 3 of a stored Terraform state is not known"},
		{resource("aws_s3_bucket", `{}`) + exported, "Terraform's JSON and something else in one file"},
		{resource("aws_s3_bucket", `{}`), "no policy in"},
		{resource("aws_security_group", `{"id": "sg-1", "ingress": [{"protocol": "tcp", "from_port": 9, "to_port": 8, "cidr_blocks": ["10.0.0.0/8"]}]}`),
			"export.json:2: aws_security_group.x: ingress[0]: ports 9-8 are no range"},
		{resource("aws_security_group", `{"id": "sg-1", "ingress": [{"protocol": "tcp", "from_port": "x", "to_port": 8, "cidr_blocks": ["10.0.0.0/8"]}]}`),
			"export.json:2: aws_security_group.x: ingress[0].from_port: not a whole number"},
		{resource("aws_security_group", `{"id": "sg-1", "ingress": {"protocol": "tcp"}}`), "aws_security_group.x: ingress: not a list"},
		{resource("aws_security_group", `{"id": "sg-1", "ingress": ["tcp"]}`), "aws_security_group.x: ingress[0]: not an object"},
		{resource("aws_security_group_rule", `{"type": "ingress", "protocol": "tcp", "from_port": 1, "to_port": 2, "cidr_blocks": ["10.0.0.300/8"], "security_group_id": "sg-1"}`),
			`aws_security_group_rule.x: rule: cidr_blocks: "10.0.0.300/8" is not a CIDR`},
		{resource("aws_security_group_rule", `{"type": "both", "security_group_id": "sg-1"}`), "aws_security_group_rule.x: type: neither ingress nor egress"},
		{resource("aws_vpc_security_group_ingress_rule", `{"ip_protocol": "tcp", "cidr_ipv4": "10.0.0.0/8"}`), "security_group_id: none"},
		{resource("aws_network_acl", `{"id": "acl-1", "ingress": [{"rule_no": 1, "action": "maybe", "protocol": "-1", "cidr_block": "10.0.0.0/8"}]}`), `RuleAction "maybe" is neither allow nor deny`},
		{resource("alicloud_security_group", `{"id": "sg-1", "security_group_type": "odd"}`), "alicloud_security_group.x: security_group_type: neither normal nor enterprise"},
		{resource("alicloud_security_group_rule", `{"security_group_id": "sg-1", "type": "ingress", "ip_protocol": "tcp", "port_range": "80/80"}`), "no peer"},
		{strings.Replace(resource("aws_security_group", `{"id": "sg-1", "ingress": [], "egress": []}`), "]}}}", `,
{"address": "aws_security_group.y", "mode": "managed", "type": "aws_security_group", "name": "y", "values": {"id": "sg-1", "ingress": [{"protocol": "tcp", "from_port": 1, "to_port": 2, "self": true}]}}]}}}`, 1),
			"export.json:3: sg-1 differs from what export.json:2 says of it"},
	} {
		s, err := readString(t, c.text)
		if err == nil {
			t.Errorf("%s: read as\n%s", c.text, Format(s))
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %q, want %q", c.text, err, c.want)
		}
	}
}

// Values that Terraform marks as secrets are in no message.
func TestSensitiveValuesStayOutOfMessages(t *testing.T) {
	for _, values := range []string{`"cidr_blocks": ["SECRET/8"]`, `"cidr_blocks": "SECRET"`, `"protocol": "SECRET"`, `"cidr_blocks": ["10.0.0.0/8"], "from_port": "SECRET"`} {
		_, err := readString(t, `{"format_version": "1.0", "terraform_version": "1.1", "values": {"root_module": {"resources": [
{"address": "aws_security_group_rule.x", "mode": "managed", "type": "aws_security_group_rule", "name": "x", "sensitive_values": {"cidr_blocks": [true], "protocol": true},
 "values": {"type": "ingress", "security_group_id": "sg-1", "protocol": "tcp", "from_port": 1, "to_port": 1, `+values+`}}]}}}`)
		if err == nil || strings.Contains(err.Error(), "SECRET") || !strings.Contains(err.Error(), "export.json:2: aws_security_group_rule.x") {
			t.Errorf("%s: error %v", values, err)
		}
	}
	s := mustRead(t, `{"format_version": "1.0", "terraform_version": "1.1", "values": {"root_module": {"resources": [
{"address": "aws_security_group.x", "mode": "managed", "type": "aws_security_group", "name": "x", "sensitive_values": {"description": true, "ingress": [{"description": true}]},
 "values": {"id": "sg-1", "description": "SECRET", "ingress": [{"protocol": "-1", "from_port": 0, "to_port": 0, "self": true, "description": "SECRET"}]}}]}}}`)
	if text := Format(s); strings.Contains(text, "SECRET") {
		t.Error(text)
	}
}

// In a VPC the provider refuses rules that are not for the intranet.
func TestNicTypeMustFitTheGroup(t *testing.T) {
	group := func(vpc string) change {
		return change{"alicloud_security_group.a", "no-op", "", `{"id": "sg-a", "vpc_id": ` + vpc + `}`, "", ""}
	}
	rule := change{"alicloud_security_group_rule.x", "create", "", `{"security_group_id": "sg-a", "type": "ingress", "ip_protocol": "tcp", "port_range": "80/80", "nic_type": "internet", "cidr_ip": "10.0.0.0/8"}`, `{"id": true}`, ""}
	if _, err := readString(t, planJSON(t, group(`"vpc-1"`), rule)); err == nil || !strings.Contains(err.Error(), "alicloud_security_group_rule.x: nic_type: must be intranet in a VPC") {
		t.Errorf("error %v", err)
	}
	for _, s := range []*policy.Snapshot{readPlan(t, group(`null`), rule), readPlan(t, rule)} {
		if len(refsOf(s, "sg-a")) == 0 {
			t.Error("the rule was lost")
		}
	}
}

// Two plans that use the same address for what is not there yet mean two things.
func TestAddressesOfTwoPlansAreKeptApart(t *testing.T) {
	one := planJSON(t, change{"aws_security_group.web", "create", "", `{"name": "one", "ingress": [{"protocol": "tcp", "from_port": 1, "to_port": 1, "self": true}], "egress": []}`, `{"id": true}`, ""})
	two := planJSON(t, change{"aws_security_group.web", "create", "", `{"name": "two", "ingress": [], "egress": []}`, `{"id": true}`, ""})
	s, _, err := Read([]string{write(t, map[string]string{"1.json": one, "2.json": two})}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Groups) != 2 {
		t.Errorf("%d groups", len(s.Groups))
	}
}

// The traps of the semantics documents that a plan or state can express.
func TestTerraformTraps(t *testing.T) {
	aws := func(values string) *policy.Snapshot {
		return readPlan(t, change{"aws_security_group.x", "no-op", "", `{"id": "sg-1", "egress": [], "ingress": [{` + values + `}]}`, "", ""})
	}
	alibaba := func(kind string, rules ...string) *policy.Snapshot {
		changes := []change{{"alicloud_security_group.x", "no-op", "", `{"id": "sg-1", ` + kind + `}`, "", ""}}
		for i, r := range rules {
			changes = append(changes, change{"alicloud_security_group_rule.r[" + string(rune('0'+i)) + "]", "no-op", "", `{"security_group_id": "sg-1", "nic_type": "intranet", ` + r + `}`, "", ""})
		}
		return readPlan(t, changes...)
	}
	basic, advanced := `"security_group_type": "normal", "inner_access_policy": "Drop"`, `"security_group_type": "enterprise"`
	for _, c := range []struct {
		trap   string
		s      *policy.Snapshot
		d      flow.Direction
		remote string
		proto  flow.Proto
		port   uint16
		want   policy.Verdict
	}{
		{"aws 31: -1 is every protocol, ports ignored", aws(`"protocol": "-1", "from_port": 22, "to_port": 22, "cidr_blocks": ["10.0.0.0/8"]`), flow.Ingress, "10.1.1.1", 50, 0, policy.Allowed},
		{"aws 31: all is -1", aws(`"protocol": "all", "from_port": 0, "to_port": 0, "cidr_blocks": ["10.0.0.0/8"]`), flow.Ingress, "10.1.1.1", flow.TCP, 9, policy.Allowed},
		{"aws 34: 17 is udp", aws(`"protocol": "17", "from_port": 53, "to_port": 53, "cidr_blocks": ["10.0.0.0/8"]`), flow.Ingress, "10.1.1.1", flow.UDP, 53, policy.Allowed},
		{"aws 34: 27 is not", aws(`"protocol": "27", "from_port": 53, "to_port": 53, "cidr_blocks": ["10.0.0.0/8"]`), flow.Ingress, "10.1.1.1", flow.UDP, 53, policy.Denied},
		{"aws 45: 0.0.0.0/0 does not cover IPv6", aws(`"protocol": "-1", "from_port": 0, "to_port": 0, "cidr_blocks": ["0.0.0.0/0"]`), flow.Ingress, "2001:db8::1", flow.TCP, 9, policy.Denied},
		{"aws 45: ::/0 does not cover IPv4", aws(`"protocol": "-1", "from_port": 0, "to_port": 0, "ipv6_cidr_blocks": ["::/0"]`), flow.Ingress, "10.1.1.1", flow.TCP, 9, policy.Denied},
		{"aws 46: host bits and IPv4 in IPv6 clothes", aws(`"protocol": "-1", "from_port": 0, "to_port": 0, "ipv6_cidr_blocks": ["::ffff:10.9.8.7/104"]`), flow.Ingress, "10.1.1.1", flow.TCP, 9, policy.Allowed},
		{"aws 60: no egress rule, nothing leaves", aws(`"protocol": "-1", "from_port": 0, "to_port": 0, "self": true`), flow.Egress, "10.1.1.1", flow.TCP, 443, policy.Denied},
		{"aws 50: a group of another account", aws(`"protocol": "-1", "from_port": 0, "to_port": 0, "security_groups": ["222222222222/sg-9"]`), flow.Ingress, "10.1.1.1", flow.TCP, 443, policy.Unknown},

		{"alibaba 3: isolation is no deny", alibaba(basic, `"type": "ingress", "ip_protocol": "tcp", "port_range": "1/65535", "cidr_ip": "10.0.0.0/8"`), flow.Ingress, "10.1.1.1", flow.TCP, 22, policy.Allowed},
		{"alibaba 6: drop first on a tie", alibaba(basic, `"type": "ingress", "ip_protocol": "tcp", "port_range": "1/65535", "cidr_ip": "10.1.1.1"`, `"type": "ingress", "ip_protocol": "tcp", "port_range": "1/65535", "cidr_ip": "10.0.0.0/8", "policy": "drop"`), flow.Ingress, "10.1.1.1", flow.TCP, 22, policy.Denied},
		{"alibaba 10: an advanced group lets nothing out", alibaba(advanced), flow.Egress, "10.1.1.1", flow.TCP, 22, policy.Denied},
		{"alibaba 10: a basic one does", alibaba(basic), flow.Egress, "10.1.1.1", flow.TCP, 22, policy.Allowed},
		{"alibaba 13: egress ports are remote", alibaba(advanced, `"type": "egress", "ip_protocol": "tcp", "port_range": "443/443", "cidr_ip": "10.0.0.0/8"`), flow.Egress, "10.1.1.1", flow.TCP, 443, policy.Allowed},
		{"alibaba 15: -1/-1 of tcp is all ports", alibaba(basic, `"type": "ingress", "ip_protocol": "tcp", "port_range": "-1/-1", "cidr_ip": "10.0.0.0/8"`), flow.Ingress, "10.1.1.1", flow.TCP, 22, policy.Allowed},
		{"alibaba 15: tcp 1/65535 is no GRE", alibaba(basic, `"type": "ingress", "ip_protocol": "tcp", "port_range": "1/65535", "cidr_ip": "10.0.0.0/8"`), flow.Ingress, "10.1.1.1", 47, 0, policy.Denied},
		{"alibaba 16: 0.0.0.0/0 does not cover IPv6", alibaba(basic, `"type": "ingress", "ip_protocol": "all", "port_range": "-1/-1", "cidr_ip": "0.0.0.0/0"`), flow.Ingress, "2001:db8::1", flow.TCP, 22, policy.Denied},
		{"alibaba 17: host bits", alibaba(basic, `"type": "ingress", "ip_protocol": "all", "port_range": "-1/-1", "cidr_ip": "10.159.6.18/12"`), flow.Ingress, "10.145.0.1", flow.TCP, 22, policy.Allowed},
		{"alibaba 33: no priority is the strongest", alibaba(basic, `"type": "ingress", "ip_protocol": "tcp", "port_range": "22/22", "cidr_ip": "10.0.0.0/8"`, `"type": "ingress", "ip_protocol": "tcp", "port_range": "22/22", "cidr_ip": "10.0.0.0/8", "policy": "drop", "priority": 2`), flow.Ingress, "10.1.1.1", flow.TCP, 22, policy.Allowed},
		{"alibaba 36: 110 comes after 100", alibaba(basic, `"type": "ingress", "ip_protocol": "tcp", "port_range": "22/22", "cidr_ip": "0.0.0.0/0", "priority": 110`, `"type": "ingress", "ip_protocol": "tcp", "port_range": "22/22", "cidr_ip": "0.0.0.0/0", "policy": "drop", "priority": "100"`), flow.Ingress, "10.1.1.1", flow.TCP, 22, policy.Denied},
	} {
		if got := judged(t, c.s, "sg-1", c.d, c.remote, c.proto, c.port); got != c.want {
			t.Errorf("%s: %v, want %v in\n%s", c.trap, got, c.want, Format(c.s))
		}
	}
	// aws 63: rules of infrastructure code name their resource, of every style.
	s := read(t, "testdata/terraform/aws-state.json")
	for _, r := range s.Rules() {
		if r.Address == "" && !r.Implicit {
			t.Errorf("aws 63: %s has no address", r.Ref)
		}
	}
	// aws 56: default groups and ACLs are marked.
	g, _ := s.Group("sg-0def")
	if !g.Default || !s.ACLs[1].Default {
		t.Error("aws 56: defaults are not marked")
	}
}
