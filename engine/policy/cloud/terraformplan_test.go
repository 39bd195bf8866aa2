package cloud

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// change is a resource of a plan in a test: actions joined by commas, and JSON objects,
// empty for none.
type change struct{ address, actions, before, after, unknown, config string }

// planJSON writes a plan of the root module as "terraform show -json" does.
func planJSON(t *testing.T, changes ...change) string {
	t.Helper()
	object := func(text string) any {
		if text == "" {
			return nil
		}
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		return v
	}
	var planned, changed, configured []any
	seen := make(map[string]bool)
	for _, c := range changes {
		typ, name, _ := strings.Cut(c.address, ".")
		name, key, _ := strings.Cut(name, "[")
		r := map[string]any{"address": c.address, "mode": "managed", "type": typ, "name": name}
		if key != "" {
			r["index"] = object(strings.TrimSuffix(key, "]"))
		}
		if c.after != "" {
			v := map[string]any{"values": object(c.after)}
			for k, x := range r {
				v[k] = x
			}
			planned = append(planned, v)
		}
		r["change"] = map[string]any{"actions": strings.Split(c.actions, ","), "before": object(c.before), "after": object(c.after), "after_unknown": object(c.unknown)}
		changed = append(changed, r)
		if !seen[typ+"."+name] {
			seen[typ+"."+name] = true
			conf := map[string]any{"address": typ + "." + name, "mode": "managed", "type": typ, "name": name}
			if c.config != "" {
				conf["expressions"] = object(c.config)
			}
			configured = append(configured, conf)
		}
	}
	out, err := json.MarshalIndent(map[string]any{"format_version": "1.2", "terraform_version": "1.11.4",
		"planned_values":   map[string]any{"root_module": map[string]any{"resources": planned}},
		"resource_changes": changed,
		"configuration":    map[string]any{"root_module": map[string]any{"resources": configured}}}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// readPlan reads a plan of these changes, and checks that its text form reads back.
func readPlan(t *testing.T, changes ...change) *policy.Snapshot {
	t.Helper()
	s := mustRead(t, planJSON(t, changes...))
	roundTrip(t, s)
	return s
}

// content is the text form without what every plan lacks.
func content(s *policy.Snapshot) string {
	var out []string
	for line := range strings.Lines(Format(s)) {
		if !strings.HasPrefix(line, "missing ") && !strings.HasPrefix(line, "platform ") {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

// wantContent compares content. Ids that begin with "r-" stand for digests.
func wantContent(t *testing.T, s *policy.Snapshot, want string) {
	t.Helper()
	text, err := ParseText("want", []byte(want))
	if err != nil {
		t.Fatal(err)
	}
	for i := range text.Groups {
		for j := range text.Groups[i].Rules {
			if r := &text.Groups[i].Rules[j]; strings.HasPrefix(r.Ref.Rule, "r-") {
				r.Ref.Rule = RuleDigest(r)
			}
		}
	}
	if err := text.Seal(); err != nil {
		t.Fatal(err)
	}
	if got, want := content(s), content(text); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A group that is not there yet has its address for an id, and its rules join it by the
// references of the configuration.
func TestNewGroupsAndTheirRulesJoin(t *testing.T) {
	group := func(address, key string) change {
		return change{address, "create", "", `{"name": "` + key + `", "description": "x", "vpc_id": "vpc-1"}`, `{"id": true, "owner_id": true, "ingress": true, "egress": true}`,
			`{"name": {}, "vpc_id": {"constant_value": "vpc-1"}}`}
	}
	s := readPlan(t,
		group("aws_security_group.web", "web"), group(`aws_security_group.each["a"]`, "a"), group(`aws_security_group.each["b"]`, "b"),
		group("aws_security_group.count[0]", "0"), group("aws_security_group.count[1]", "1"),
		change{"aws_vpc_security_group_ingress_rule.direct", "create", "", `{"ip_protocol": "tcp", "from_port": 443, "to_port": 443, "cidr_ipv4": "10.0.0.0/8"}`,
			`{"id": true, "security_group_id": true}`, `{"security_group_id": {"references": ["aws_security_group.web.id", "aws_security_group.web"]}}`},
		change{`aws_vpc_security_group_egress_rule.each["b"]`, "create", "", `{"ip_protocol": "-1"}`, `{"id": true, "security_group_id": true, "referenced_security_group_id": true}`,
			`{"security_group_id": {"references": ["aws_security_group.each", "each.key"]}, "referenced_security_group_id": {"references": ["aws_security_group.count[1].id", "aws_security_group.count[1]", "aws_security_group.count"]}}`},
		change{"aws_security_group_rule.count[0]", "create", "", `{"type": "ingress", "protocol": "udp", "from_port": 53, "to_port": 53, "self": true, "cidr_blocks": null}`,
			`{"id": true, "security_group_id": true, "security_group_rule_id": true, "source_security_group_id": true}`, `{"security_group_id": {"references": ["aws_security_group.count", "count.index"]}}`},
		change{"aws_security_group_rule.count[1]", "create", "", `{"type": "ingress", "protocol": "udp", "from_port": 54, "to_port": 54, "self": false, "cidr_blocks": ["10.0.0.0/8", "192.0.2.0/24"]}`,
			`{"id": true, "security_group_id": true, "security_group_rule_id": true, "source_security_group_id": true, "cidr_blocks": [false, false]}`, ""},
	)
	wantContent(t, s, `
group "aws_security_group.count[0]" name="0" vpc=vpc-1 description=x
  r-1 ingress udp 53 from group="aws_security_group.count[0]" address="aws_security_group_rule.count[0]"
group "aws_security_group.count[1]" name="1" vpc=vpc-1 description=x
  r-2 ingress udp 54 from 192.0.2.0/24 address="aws_security_group_rule.count[1]"
  r-3 ingress udp 54 from 10.0.0.0/8 address="aws_security_group_rule.count[1]"
group "aws_security_group.each[\"a\"]" name=a vpc=vpc-1 description=x
  undeclared-ingress-allow ingress all from unknown implicit
  undeclared-egress-allow egress all to unknown implicit
group "aws_security_group.each[\"b\"]" name=b vpc=vpc-1 description=x
  r-4 egress all to group="aws_security_group.count[1]" address="aws_vpc_security_group_egress_rule.each[\"b\"]"
group aws_security_group.web name=web vpc=vpc-1 description=x
  r-5 ingress tcp 443 from 10.0.0.0/8 address=aws_vpc_security_group_ingress_rule.direct
`)
	if s.MissingWhat("owner of aws_vpc_security_group_ingress_rule.direct") {
		t.Error("a rule that was placed is named")
	}
}

// judged judges one new connection of the interface of groups with id group, tcp unless
// said.
func judged(t *testing.T, s *policy.Snapshot, group string, d flow.Direction, remote string, proto flow.Proto, port uint16) policy.Verdict {
	t.Helper()
	text := Format(s) + "interface eni-test 10.99.0.1 " + word(group) + "\n"
	with, err := ParseText("with", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	c := policy.Conn{Direction: d, Proto: proto, Local: netip.MustParseAddr("10.99.0.1"), Remote: netip.MustParseAddr(remote), LocalPort: port, RemotePort: 40000}
	if d == flow.Egress {
		c.LocalPort, c.RemotePort = c.RemotePort, c.LocalPort
	}
	return policy.Decide(with.Path("eni-test", d), &c).Verdict
}

// What is unknown until apply decides nothing for certain, and what is known around it
// still does.
func TestUnknownValuesGiveUnknownVerdicts(t *testing.T) {
	group := change{"aws_security_group.web", "no-op", "", `{"id": "sg-1", "name": "web", "ingress": [], "egress": []}`, `{}`, ""}
	rule := func(name, after, unknown, config string) change {
		return change{"aws_vpc_security_group_ingress_rule." + name, "create", "", `{"security_group_id": "sg-1", ` + after + `}`, unknown, config}
	}
	for _, c := range []struct {
		name  string
		rule  change
		proto flow.Proto
		port  uint16
		want  policy.Verdict
	}{
		{"cidr, its port", rule("r", `"ip_protocol": "tcp", "from_port": 443, "to_port": 443`, `{"id": true, "cidr_ipv4": true}`, `{"cidr_ipv4": {"references": ["aws_eip.x.public_ip"]}}`), flow.TCP, 443, policy.Unknown},
		{"cidr, another port", rule("r", `"ip_protocol": "tcp", "from_port": 443, "to_port": 443`, `{"id": true, "cidr_ipv4": true}`, ""), flow.TCP, 80, policy.Denied},
		{"cidr, another protocol", rule("r", `"ip_protocol": "tcp", "from_port": 443, "to_port": 443`, `{"id": true, "cidr_ipv4": true}`, ""), flow.UDP, 443, policy.Denied},
		{"ports", rule("r", `"ip_protocol": "tcp", "cidr_ipv4": "10.0.0.0/8"`, `{"id": true, "from_port": true, "to_port": true}`, ""), flow.TCP, 80, policy.Unknown},
		{"ports, another protocol", rule("r", `"ip_protocol": "tcp", "cidr_ipv4": "10.0.0.0/8"`, `{"id": true, "from_port": true, "to_port": true}`, ""), flow.UDP, 80, policy.Denied},
		{"protocol", rule("r", `"from_port": 1, "to_port": 2, "cidr_ipv4": "10.0.0.0/8"`, `{"id": true, "ip_protocol": true}`, ""), flow.UDP, 80, policy.Unknown},
		{"peer group by a local value", rule("r", `"ip_protocol": "tcp", "from_port": 443, "to_port": 443`, `{"id": true, "referenced_security_group_id": true}`, `{"referenced_security_group_id": {"references": ["local.lb"]}}`), flow.TCP, 443, policy.Unknown},
		{"list of a data source", rule("r", `"ip_protocol": "tcp", "from_port": 443, "to_port": 443`, `{"id": true, "prefix_list_id": true}`, `{"prefix_list_id": {"references": ["data.aws_prefix_list.x.id"]}}`), flow.TCP, 443, policy.Unknown},
		{"nothing", rule("r", `"ip_protocol": "tcp", "from_port": 443, "to_port": 443, "cidr_ipv4": "10.0.0.0/8"`, `{"id": true}`, ""), flow.TCP, 443, policy.Allowed},
	} {
		s := readPlan(t, group, c.rule)
		if got := judged(t, s, "sg-1", flow.Ingress, "10.1.1.1", c.proto, c.port); got != c.want {
			t.Errorf("%s unknown: verdict %v, want %v in\n%s", c.name, got, c.want, content(s))
		}
		if got := judged(t, s, "sg-1", flow.Egress, "10.1.1.1", c.proto, c.port); got != policy.Denied {
			t.Errorf("%s unknown: egress %v, want deny", c.name, got)
		}
	}
}

// A list of peers may be known in part: the known ones match for certain.
func TestPartsOfInlineBlocksAreUnknown(t *testing.T) {
	s := readPlan(t,
		change{"aws_security_group.lb", "create", "", `{"name": "lb"}`, `{"id": true, "ingress": true, "egress": true}`, ""},
		change{"aws_security_group.web", "update",
			`{"id": "sg-1", "name": "web", "ingress": [], "egress": []}`,
			`{"id": "sg-1", "name": "web", "egress": [], "ingress": [
			 {"protocol": "tcp", "from_port": 443, "to_port": 443, "cidr_blocks": ["10.0.0.0/8", null], "ipv6_cidr_blocks": [], "prefix_list_ids": [], "self": false, "description": ""},
			 {"protocol": "tcp", "from_port": 80, "to_port": 80, "cidr_blocks": [], "ipv6_cidr_blocks": [], "prefix_list_ids": [], "self": false, "description": ""}]}`,
			`{"ingress": [{"cidr_blocks": [false, true], "security_groups": []}, {"cidr_blocks": [], "security_groups": true}], "egress": []}`,
			`{"ingress": {"references": ["aws_eip.x.public_ip", "aws_eip.x", "aws_security_group.lb.id", "aws_security_group.lb"]}}`})
	for _, c := range []struct {
		remote string
		port   uint16
		want   policy.Verdict
	}{{"10.0.0.1", 443, policy.Allowed}, {"11.0.0.1", 443, policy.Unknown}, {"11.0.0.1", 80, policy.Unknown}, {"10.0.0.1", 22, policy.Denied}} {
		if got := judged(t, s, "sg-1", flow.Ingress, c.remote, flow.TCP, c.port); got != c.want {
			t.Errorf("%s port %d: %v, want %v in\n%s", c.remote, c.port, got, c.want, content(s))
		}
	}
}

// A rule of a group that cannot be told from the configuration may be in any new one,
// and in no other.
func TestRulesOfUnknownGroupsMayBeInEveryNewOne(t *testing.T) {
	s := readPlan(t,
		change{"aws_security_group.a", "create", "", `{"name": "a"}`, `{"id": true, "ingress": true, "egress": true}`, ""},
		change{"aws_security_group.b", "create", "", `{"name": "b"}`, `{"id": true, "ingress": true, "egress": true}`, ""},
		change{"aws_security_group.old", "no-op", "", `{"id": "sg-1", "name": "old", "ingress": [], "egress": []}`, "", ""},
		change{"aws_security_group_rule.x", "create", "", `{"type": "ingress", "protocol": "tcp", "from_port": 22, "to_port": 22, "cidr_blocks": ["10.0.0.0/8"]}`,
			`{"id": true, "security_group_id": true}`, `{"security_group_id": {"references": ["local.this_sg_id"]}}`})
	for group, want := range map[string]policy.Verdict{"aws_security_group.a": policy.Unknown, "aws_security_group.b": policy.Unknown, "sg-1": policy.Denied} {
		if got := judged(t, s, group, flow.Ingress, "10.1.1.1", flow.TCP, 22); got != want {
			t.Errorf("%s: %v, want %v", group, got, want)
		}
		if got := judged(t, s, group, flow.Ingress, "10.1.1.1", flow.TCP, 23); got != policy.Denied {
			t.Errorf("%s, another port: %v, want deny", group, got)
		}
	}
	if !s.MissingWhat("owner of aws_security_group_rule.x") {
		t.Error("the rule is not named")
	}
}

// The lists at a group that are not written there are those of before the plan: what
// resources of their own take away or change is not in force after it.
func TestCopiesAtTheGroupDoNotKeepWhatThePlanRemoves(t *testing.T) {
	const before = `"ingress": [
		{"protocol": "tcp", "from_port": 22, "to_port": 22, "cidr_blocks": ["10.0.0.0/8"], "description": "ssh"},
		{"protocol": "tcp", "from_port": 80, "to_port": 80, "cidr_blocks": ["10.0.0.0/8", "11.0.0.0/8"]},
		{"protocol": "tcp", "from_port": 443, "to_port": 443, "cidr_blocks": ["0.0.0.0/0"]},
		{"protocol": "tcp", "from_port": 9, "to_port": 9, "cidr_blocks": ["10.0.0.0/8"]}], "egress": []`
	group := func(config string) change {
		return change{"aws_security_group.web", "no-op", `{"id": "sg-1", "name": "web", ` + before + `}`, `{"id": "sg-1", "name": "web", ` + before + `}`, "", config}
	}
	rest := []change{
		{"aws_vpc_security_group_ingress_rule.ssh", "delete", `{"id": "sgr-22", "security_group_id": "sg-1", "ip_protocol": "tcp", "from_port": 22, "to_port": 22, "cidr_ipv4": "10.0.0.0/8"}`, "", "", ""},
		{"aws_security_group_rule.http", "delete,create",
			`{"type": "ingress", "security_group_id": "sg-1", "protocol": "tcp", "from_port": 80, "to_port": 80, "cidr_blocks": ["10.0.0.0/8", "11.0.0.0/8"]}`,
			`{"type": "ingress", "security_group_id": "sg-1", "protocol": "tcp", "from_port": 80, "to_port": 80, "cidr_blocks": ["10.0.0.0/8"]}`, `{"id": true}`, ""},
		{"aws_vpc_security_group_ingress_rule.https", "update",
			`{"id": "sgr-443", "security_group_id": "sg-1", "ip_protocol": "tcp", "from_port": 443, "to_port": 443, "cidr_ipv4": "0.0.0.0/0"}`,
			`{"id": "sgr-443", "security_group_id": "sg-1", "ip_protocol": "tcp", "from_port": 443, "to_port": 443, "cidr_ipv4": "10.0.0.0/8"}`, "", ""},
	}
	s := readPlan(t, append([]change{group("")}, rest...)...)
	wantContent(t, s, `
group sg-1 name=web
  r-6 ingress tcp 9 from 10.0.0.0/8 address=aws_security_group.web
  r-7 ingress tcp 80 from 10.0.0.0/8 address=aws_security_group_rule.http
  sgr-443 ingress tcp 443 from 10.0.0.0/8 address=aws_vpc_security_group_ingress_rule.https
`)
	// Written at the group they are the truth, whatever else is declared.
	s = readPlan(t, append([]change{group(`{"ingress": {"references": ["var.rules"]}}`)}, rest...)...)
	if got := judged(t, s, "sg-1", flow.Ingress, "10.1.1.1", flow.TCP, 22); got != policy.Allowed {
		t.Errorf("rule written at the group: %v, want allow", got)
	}
}

// The default egress rule that AWS makes is taken away by Terraform: its absence is seen.
func TestGroupsHaveNoEgressThatIsNotDeclared(t *testing.T) {
	s := readPlan(t, change{"aws_security_group.web", "create", "",
		`{"name": "web", "ingress": [{"protocol": "tcp", "from_port": 443, "to_port": 443, "cidr_blocks": ["0.0.0.0/0"]}], "egress": []}`, `{"id": true}`, `{"ingress": {}}`})
	if got := judged(t, s, "aws_security_group.web", flow.Egress, "10.1.1.1", flow.TCP, 443); got != policy.Denied {
		t.Errorf("egress %v, want deny", got)
	}
}

// Modules: rules find the group through variables and outputs, each instance of a module
// its own.
func TestModulesAreFollowed(t *testing.T) {
	s := read(t, "testdata/terraform/modules-plan.json")
	text := read(t, "testdata/terraform/modules-plan.policy")
	if d := diff(s, text); d != "" {
		t.Errorf("-plan +text:\n%s", d)
	}
	roundTrip(t, s)
}

// An instance may name a new group, or groups that are not known.
func TestGroupsOfInstances(t *testing.T) {
	for _, c := range []struct{ known, unknown, config, want string }{
		{`"vpc_security_group_ids": ["sg-9"], `, `{}`, ``, `["sg-9"]`},
		{`"vpc_security_group_ids": [null, "sg-9"], `, `{"vpc_security_group_ids": [true, false]}`, `{"vpc_security_group_ids": {"references": ["aws_security_group.a.id", "aws_security_group.a"]}}`,
			`["aws_security_group.a" "sg-9"]`},
		{``, `{"vpc_security_group_ids": true}`, `{"vpc_security_group_ids": {"references": ["aws_security_group.a.id", "aws_security_group.a"]}}`,
			`["aws_security_group.a" "unknown-groups-of:aws_instance.i"]`},
		{``, `{"vpc_security_group_ids": true}`, `{}`, `["unknown-groups-of:aws_instance.i"]`},
		{``, `{"vpc_security_group_ids": true}`, `{"vpc_security_group_ids": {"references": ["local.groups"]}}`, `["unknown-groups-of:aws_instance.i"]`},
	} {
		s := readPlan(t,
			change{"aws_security_group.a", "create", "", `{"name": "a"}`, `{"id": true, "ingress": true, "egress": true}`, ""},
			change{"aws_instance.i", "update", `{"id": "i-1"}`, `{` + c.known + `"id": "i-1", "primary_network_interface_id": "eni-1", "private_ip": "10.0.0.4"}`, c.unknown, c.config})
		f, _ := s.Interface("eni-1")
		if got := fmt.Sprintf("%q", f.Groups); got != c.want {
			t.Errorf("%s with %s: groups %s, want %s", c.unknown, c.config, got, c.want)
		}
	}
}
