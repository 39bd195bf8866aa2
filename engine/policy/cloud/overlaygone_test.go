package cloud

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// passes says what s does with a new TCP connection of an interface.
func passes(s *policy.Snapshot, id string, d flow.Direction, remote string, port uint16) policy.Verdict {
	c := policy.Conn{Direction: d, Proto: flow.TCP, Local: netip.MustParseAddr("10.0.0.4"), Remote: netip.MustParseAddr(remote), ICMP: policy.AnyICMP}
	if c.LocalPort, c.RemotePort = port, 40000; d == flow.Egress {
		c.LocalPort, c.RemotePort = c.RemotePort, c.LocalPort
	}
	return policy.Decide(s.Path(id, d), &c).Verdict
}

// say is a connection of an interface and what is to be said of it.
type say struct {
	id     string
	d      flow.Direction
	remote string
	port   uint16
	want   policy.Verdict
}

func wantSays(t *testing.T, s *policy.Snapshot, says ...say) {
	t.Helper()
	for _, x := range says {
		if got := passes(s, x.id, x.d, x.remote, x.port); got != x.want {
			t.Errorf("%s %s %s %d: %v, want %v", x.id, x.d, x.remote, x.port, got, x.want)
		}
	}
}

// inUse is a policy all parts of which are in use.
const inUse = `
interface eni-1 10.0.0.4 sg-a subnet=subnet-1 vpc=vpc-1
interface eni-2 10.0.0.5 sg-b subnet=subnet-2 vpc=vpc-1
group sg-a name=a vpc=vpc-1
  sgr-1 ingress tcp 443 from 10.0.0.0/8
  sgr-2 ingress tcp 22 from 10.1.0.0/16
  sgr-3 egress all to 0.0.0.0/0
group sg-b name=default vpc=vpc-1 default
  sgr-4 ingress tcp 5432 from sg-a
  sgr-5 ingress tcp 80 from pl-1
group sg-c name=default vpc=vpc-2 default
  sgr-6 ingress tcp 1 from 10.0.0.0/8
acl acl-1 subnets=subnet-1 vpc=vpc-1
  100 ingress allow all from 0.0.0.0/0
  100 egress allow all to 0.0.0.0/0
acl acl-2 subnets=subnet-2 vpc=vpc-1
  100 ingress allow all from 0.0.0.0/0
subnet subnet-1 10.0.0.0/30 vpc=vpc-1
subnet subnet-2 10.0.1.0/24 vpc=vpc-1
list pl-1 10.7.0.0/16 name=corp
`

const defaultACL = `
acl acl-0 vpc=vpc-1 default
  100 ingress deny all from 10.1.0.0/16
  200 ingress allow all from 0.0.0.0/0
`

// A group that a plan destroys allows nothing any more, and rules that name it match
// nobody; both are said.
func TestOverlayWithoutADestroyedGroup(t *testing.T) {
	old := parse(t, inUse)
	wantSays(t, old, say{"eni-1", flow.Ingress, "10.2.0.1", 443, policy.Allowed}, say{"eni-2", flow.Ingress, "10.0.0.4", 5432, policy.Allowed})
	const before = `{"id": "sg-a", "name": "a", "vpc_id": "vpc-1", "ingress": [], "egress": []}`
	rule := change{"aws_vpc_security_group_ingress_rule.x", "delete", `{"id": "sgr-1", "security_group_id": "sg-a", "ip_protocol": "tcp", "from_port": 443, "to_port": 443, "cidr_ipv4": "10.0.0.0/8"}`, "", "", ""}
	for _, changes := range [][]change{{{"aws_security_group.a", "delete", before, "", "", ""}}, {{"aws_security_group.a", "delete", before, "", "", ""}, rule}} {
		s := overlay(t, old, readPlan(t, changes...))
		wantSays(t, s, say{"eni-1", flow.Ingress, "10.2.0.1", 443, policy.Denied}, say{"eni-1", flow.Ingress, "10.1.0.1", 22, policy.Denied},
			say{"eni-1", flow.Egress, "192.0.2.1", 443, policy.Denied}, say{"eni-2", flow.Ingress, "10.0.0.4", 5432, policy.Denied},
			say{"eni-2", flow.Ingress, "10.7.0.1", 80, policy.Allowed})
		if i := slices.IndexFunc(s.Missing, func(m policy.Missing) bool { return m.What == "removal of group sg-a" }); i < 0 || !strings.Contains(s.Missing[i].Effect, "eni-1, sg-b/sgr-4") {
			t.Errorf("missing %v", s.Missing)
		}
	}
	// What the plan moves to another group has let go.
	s := overlay(t, old, readPlan(t, change{"aws_security_group.a", "delete", before, "", "", ""},
		change{"aws_network_interface.e", "update", `{"id": "eni-1"}`, `{"id": "eni-1", "security_groups": ["sg-b"], "subnet_id": "subnet-1", "private_ip": "10.0.0.4"}`, "", ""}))
	wantSays(t, s, say{"eni-1", flow.Ingress, "10.7.0.1", 80, policy.Allowed})
	if _, ok := s.Group("sg-a"); ok {
		t.Error("the group is still there")
	}
	// A default group is only forgotten, and so is one that leaves Terraform's care.
	for _, c := range []change{{"aws_default_security_group.b", "delete", `{"id": "sg-b", "vpc_id": "vpc-1"}`, "", "", ""}, {"aws_security_group.a", "forget", before, "", "", ""}} {
		if d := diff(old, overlay(t, old, readPlan(t, c, change{"aws_subnet.s", "no-op", "", `{"id": "subnet-1", "vpc_id": "vpc-1", "cidr_block": "10.0.0.0/30"}`, "", ""}))); d != "" {
			t.Errorf("%s: -old +overlay:\n%s", c.address, d)
		}
	}
}

// A group that takes the place of another has its own rules everywhere the other was, and
// the rules that went with the other are gone.
func TestOverlayOfAReplacedGroup(t *testing.T) {
	for _, actions := range []string{"delete,create", "create,delete"} {
		s := overlay(t, parse(t, inUse), readPlan(t,
			change{"aws_security_group.a", actions, `{"id": "sg-a", "name": "a", "vpc_id": "vpc-1"}`,
				`{"name": "a2", "vpc_id": "vpc-1", "egress": [], "ingress": [{"protocol": "tcp", "from_port": 443, "to_port": 443, "cidr_blocks": ["10.9.0.0/16"]}]}`, `{"id": true}`, `{"ingress": {}, "egress": {}}`},
			change{"aws_vpc_security_group_ingress_rule.x", actions, `{"id": "sgr-2", "security_group_id": "sg-a", "ip_protocol": "tcp", "from_port": 22, "to_port": 22, "cidr_ipv4": "10.1.0.0/16"}`,
				`{"ip_protocol": "tcp", "from_port": 2222, "to_port": 2222, "cidr_ipv4": "10.1.0.0/16"}`, `{"id": true, "security_group_id": true}`, `{"security_group_id": {"references": ["aws_security_group.a.id", "aws_security_group.a"]}}`}))
		wantSays(t, s, say{"eni-1", flow.Ingress, "10.9.0.1", 443, policy.Allowed}, say{"eni-1", flow.Ingress, "10.2.0.1", 443, policy.Denied},
			say{"eni-1", flow.Ingress, "10.1.0.1", 22, policy.Denied}, say{"eni-1", flow.Ingress, "10.1.0.1", 2222, policy.Allowed}, say{"eni-2", flow.Ingress, "10.0.0.4", 5432, policy.Allowed})
		if !s.MissingWhat("replacement of group sg-a by aws_security_group.a") || len(s.Groups) != 3 {
			t.Errorf("%d groups, missing %v", len(s.Groups), s.Missing)
		}
	}
}

// The subnets of an ACL that goes fall to the default one; without that nobody knows.
func TestOverlayWithoutADestroyedACL(t *testing.T) {
	plan := change{"aws_network_acl.n", "delete", `{"id": "acl-1", "vpc_id": "vpc-1", "subnet_ids": ["subnet-1"]}`, "", "", ""}
	s := overlay(t, parse(t, inUse), readPlan(t, plan))
	wantSays(t, s, say{"eni-1", flow.Ingress, "10.2.0.1", 443, policy.Unknown}, say{"eni-1", flow.Ingress, "10.2.0.1", 444, policy.Denied}, say{"eni-2", flow.Ingress, "10.7.0.1", 80, policy.Allowed})
	if !s.MissingWhat("removal of network-acl acl-1") {
		t.Errorf("missing %v", s.Missing)
	}
	s = overlay(t, parse(t, inUse+defaultACL), readPlan(t, plan))
	wantSays(t, s, say{"eni-1", flow.Ingress, "10.2.0.1", 443, policy.Allowed}, say{"eni-1", flow.Ingress, "10.1.0.1", 443, policy.Denied})
}

// Interfaces, subnets and lists that go.
func TestOverlayWithoutOtherDestroyedThings(t *testing.T) {
	old := parse(t, inUse)
	for _, c := range []change{
		{"aws_network_interface.e", "delete", `{"id": "eni-1"}`, "", "", ""},
		{"aws_instance.i", "delete", `{"id": "i-1", "primary_network_interface_id": "eni-1"}`, "", "", ""},
		{"aws_subnet.s", "delete", `{"id": "subnet-1"}`, "", "", ""},
	} {
		s := overlay(t, old, readPlan(t, c))
		wantSays(t, s, say{"eni-1", flow.Ingress, "10.2.0.1", 443, policy.Denied}, say{"eni-1", flow.Egress, "10.2.0.1", 443, policy.Denied},
			say{"eni-2", flow.Ingress, "10.0.0.4", 5432, policy.Denied}, say{"eni-2", flow.Ingress, "10.7.0.1", 80, policy.Allowed})
	}
	s := overlay(t, old, readPlan(t, change{"aws_ec2_managed_prefix_list.l", "delete", `{"id": "pl-1"}`, "", "", ""}))
	wantSays(t, s, say{"eni-2", flow.Ingress, "10.7.0.1", 80, policy.Unknown})
	if !s.MissingWhat("prefix-list pl-1") {
		t.Errorf("missing %v", s.Missing)
	}
	// One that takes the place of another is judged in its place.
	s = overlay(t, old, readPlan(t, change{"aws_instance.i", "delete,create", `{"id": "i-1", "primary_network_interface_id": "eni-1"}`,
		`{"subnet_id": "subnet-1", "vpc_security_group_ids": ["sg-b"]}`, `{"id": true, "primary_network_interface_id": true, "private_ip": true}`, ""}))
	wantSays(t, s, say{"eni-1", flow.Ingress, "10.2.0.1", 443, policy.Denied}, say{"eni-1", flow.Ingress, "10.7.0.1", 80, policy.Allowed})
	if len(s.Interfaces) != 2 {
		t.Errorf("%d interfaces", len(s.Interfaces))
	}
}

// The default group and ACL of a VPC have no id in the plan that first keeps them.
func TestOverlayAdoptsDefaults(t *testing.T) {
	group := func(values, unknown string) change {
		return change{"aws_default_security_group.d", "create", "", `{` + values + `"ingress": [], "egress": []}`, unknown, `{"vpc_id": {}, "ingress": {}, "egress": {}}`}
	}
	s := overlay(t, parse(t, inUse), readPlan(t, group(`"vpc_id": "vpc-1", `, `{"id": true}`)))
	wantRules(t, s, "sg-b")
	if g, _ := s.Group("sg-c"); len(g.Rules) != 1 || len(s.Groups) != 3 {
		t.Errorf("%d groups, sg-c has %d rules", len(s.Groups), len(g.Rules))
	}
	wantSays(t, s, say{"eni-2", flow.Ingress, "10.7.0.1", 80, policy.Denied})
	for _, c := range []change{group(`"vpc_id": "vpc-9", `, `{"id": true}`), group("", `{"id": true, "vpc_id": true}`)} {
		if s = overlay(t, parse(t, inUse), readPlan(t, c)); !s.MissingWhat("default group that aws_default_security_group.d is") {
			t.Errorf("missing %v", s.Missing)
		}
	}
	s = overlay(t, parse(t, inUse+defaultACL), readPlan(t, change{"aws_default_network_acl.d", "create", "", `{"vpc_id": "vpc-1", "subnet_ids": ["subnet-1"], "ingress": [], "egress": []}`,
		`{"id": true}`, `{"ingress": {}, "egress": {}, "subnet_ids": {}}`}))
	wantRules(t, s, "acl-0")
	wantSays(t, s, say{"eni-1", flow.Ingress, "10.2.0.1", 443, policy.Denied}, say{"eni-2", flow.Ingress, "10.7.0.1", 80, policy.Allowed})
}

// Which subnets an ACL has may be unknown until apply: then those that it had and those
// of its VPC that it may get are.
func TestOverlayOfAnACLWithUnknownSubnets(t *testing.T) {
	lines := `"vpc_id": "vpc-1", "egress": [], "ingress": [{"rule_no": 1, "action": "allow", "protocol": "-1", "cidr_block": "0.0.0.0/0", "from_port": 0, "to_port": 0}]`
	c := change{"aws_network_acl.n", "update", `{"id": "acl-1", "subnet_ids": ["subnet-1"], ` + lines + `}`, `{"id": "acl-1", ` + lines + `}`, `{"subnet_ids": true}`, ""}
	s := overlay(t, parse(t, inUse), readPlan(t, c))
	wantSays(t, s, say{"eni-1", flow.Ingress, "10.2.0.1", 443, policy.Unknown}, say{"eni-2", flow.Ingress, "10.7.0.1", 80, policy.Unknown})
	// Another ACL of the plan that has a subnet keeps it.
	s = overlay(t, parse(t, inUse), readPlan(t, c, change{"aws_network_acl.two", "no-op", "", `{"id": "acl-2", "subnet_ids": ["subnet-2"], ` + lines + `}`, "", ""}))
	wantSays(t, s, say{"eni-1", flow.Ingress, "10.2.0.1", 443, policy.Unknown}, say{"eni-2", flow.Ingress, "10.7.0.1", 80, policy.Allowed})
}

// A line of an ACL whose number, action or direction is unknown may do all that it could
// do for certain.
func TestOverlayOfACLLinesThatAreUnknownInPart(t *testing.T) {
	full := map[string]string{"rule_number": "50", "rule_action": `"deny"`, "egress": "false"}
	for key := range full {
		values := []string{`"network_acl_id": "acl-1", "protocol": "6", "cidr_block": "10.0.0.0/8", "from_port": 443, "to_port": 443`}
		for k, v := range full {
			if k != key {
				values = append(values, `"`+k+`": `+v)
			}
		}
		s := overlay(t, parse(t, inUse), readPlan(t, change{"aws_network_acl_rule.q", "create", "", `{` + strings.Join(values, ", ") + `}`, `{"id": true, "` + key + `": true}`, ""}))
		out := policy.Allowed
		if key == "egress" {
			out = policy.Unknown
		}
		wantSays(t, s, say{"eni-1", flow.Ingress, "10.2.0.1", 443, policy.Unknown}, say{"eni-1", flow.Ingress, "10.1.0.1", 22, policy.Allowed},
			say{"eni-1", flow.Egress, "10.2.0.1", 443, out})
	}
}

// The same for groups whose rules have an order, with and without a configuration.
func TestOverlayOfOrderedGroupsThatAreUnknownInPart(t *testing.T) {
	old := parse(t, `
platform none id=alibaba groups-deny
interface eni-1 10.0.0.4 sg-a platform=alibaba
interface eni-2 10.0.0.5 sg-a platform=alibaba
group sg-a kind=normal egress-open intra
  sgr-1 ingress tcp 22 from 10.1.0.0/16 priority=10
`)
	wantSays(t, old, say{"eni-1", flow.Ingress, "10.0.0.5", 80, policy.Allowed}, say{"eni-1", flow.Ingress, "10.1.0.1", 22, policy.Allowed})
	const values = `"security_group_id": "sg-a", "type": "ingress", "ip_protocol": "tcp", "nic_type": "intranet", "port_range": "22/22", "cidr_ip": "10.0.0.0/8"`
	for _, config := range []string{"", `{"policy": {"references": ["var.x"]}, "priority": {"references": ["var.x"]}, "inner_access_policy": {"references": ["var.x"]}}`} {
		read := func(c change) *policy.Snapshot {
			text := planJSON(t, c)
			if config == "" {
				text = strings.Replace(text, `"configuration"`, `"other"`, 1)
			}
			return overlay(t, old, mustRead(t, text))
		}
		s := read(change{"alicloud_security_group_rule.x", "create", "", `{` + values + `, "policy": "drop"}`, `{"id": true, "priority": true}`, config})
		wantSays(t, s, say{"eni-1", flow.Ingress, "10.1.0.1", 22, policy.Unknown}, say{"eni-1", flow.Ingress, "10.1.0.1", 23, policy.Denied})
		s = read(change{"alicloud_security_group_rule.x", "create", "", `{` + values + `, "priority": 1}`, `{"id": true, "policy": true}`, config})
		wantSays(t, s, say{"eni-1", flow.Ingress, "10.1.0.1", 22, policy.Unknown}, say{"eni-1", flow.Ingress, "10.2.0.1", 22, policy.Unknown}, say{"eni-1", flow.Ingress, "10.1.0.1", 23, policy.Denied})
		const group = `"id": "sg-a", "security_group_name": "a", "vpc_id": "vpc-1", "security_group_type": "normal"`
		s = read(change{"alicloud_security_group.a", "update", `{` + group + `, "inner_access_policy": "Accept"}`, `{` + group + `}`, `{"inner_access_policy": true}`, config})
		wantSays(t, s, say{"eni-1", flow.Ingress, "10.0.0.5", 80, policy.Unknown})
	}
	s := overlay(t, old, readPlan(t, change{"alicloud_security_group.a", "delete", `{"id": "sg-a", "security_group_type": "normal"}`, "", "", ""}))
	wantSays(t, s, say{"eni-1", flow.Ingress, "10.0.0.5", 80, policy.Denied}, say{"eni-1", flow.Egress, "192.0.2.1", 80, policy.Denied})
}

// Where exports are in force, a plan beside them takes nothing away.
func TestDeparturesAreNotOfWhatIsInForce(t *testing.T) {
	dir := write(t, map[string]string{"export.json": exported, "plan.json": planJSON(t, change{"aws_security_group.web", "delete", `{"id": "sg-1", "name": "web"}`, "", "", ""})})
	s, _, err := Read([]string{dir}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(s.Missing, func(m policy.Missing) bool { _, ok := departureOf(m.What); return ok }) {
		t.Errorf("missing %v", s.Missing)
	}
}

// Of two plans that claim one place the first has it; nothing fails or goes lost.
func TestOverlayOfTwoSuccessors(t *testing.T) {
	replaced := func(name string) change {
		return change{"aws_security_group." + name, "delete,create", `{"id": "sg-a"}`, `{"name": "` + name + `", "vpc_id": "vpc-1", "egress": [], "ingress": []}`, `{"id": true}`, ""}
	}
	s := overlay(t, parse(t, inUse), readPlan(t, replaced("x"), replaced("y")))
	wantRules(t, s, "sg-a")
	if len(s.Groups) != 4 {
		t.Errorf("%d groups", len(s.Groups))
	}
}
