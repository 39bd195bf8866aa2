package cloud

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// inForce is a policy that plans are laid over. Rule ids that begin with "r-" stand for
// digests.
const inForce = `
missing history "ages are not known"
interface eni-1 10.0.0.4 sg-web subnet=subnet-a vpc=vpc-1 account="1" kind=interface attached=2024-01-01T00:00:00Z
interface eni-2 10.0.0.5 sg-db subnet=subnet-b vpc=vpc-1 account="1" kind=interface
group sg-web name=web vpc=vpc-1 account="1"
  sgr-1 ingress tcp 443 from 0.0.0.0/0 created=2024-01-01T00:00:00Z "https"
  sgr-2 ingress tcp 22 from 10.0.0.0/8
  sgr-3 ingress tcp 80 from sg-lost dead="group deleted"
group sg-db name=db vpc=vpc-1 account="1"
  sgr-4 ingress tcp 5432 from sg-web
  sgr-5 ingress tcp 22 from 10.0.0.0/8
acl acl-1 subnets=subnet-a,subnet-b vpc=vpc-1
  100 ingress allow tcp from 0.0.0.0/0
  110 ingress deny all from 0.0.0.0/0
acl acl-0 vpc=vpc-1 default
  100 ingress allow all from 0.0.0.0/0
subnet subnet-a 10.0.0.0/25 vpc=vpc-1
subnet subnet-b 10.0.0.128/25 vpc=vpc-1
list pl-1 192.0.2.0/24 name=corp
flowlog fl-1 vpc-1 ALL
`

func parse(t *testing.T, text string) *policy.Snapshot {
	t.Helper()
	s, err := ParseText("text", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func overlay(t *testing.T, old, proposed *policy.Snapshot) *policy.Snapshot {
	t.Helper()
	was, now := Format(old), Format(proposed)
	s, err := Overlay(old, proposed)
	if err != nil {
		t.Fatal(err)
	}
	if Format(old) != was || Format(proposed) != now {
		t.Error("Overlay changed what it was given")
	}
	roundTrip(t, s)
	return s
}

func refsOf(s *policy.Snapshot, owner string) []string {
	var out []string
	for _, r := range s.Rules() {
		if r.Ref.Owner == owner {
			out = append(out, r.Ref.Rule+" "+r.Direction.String()+" "+r.Ports()+" "+r.Peer())
		}
	}
	return out
}

func wantRules(t *testing.T, s *policy.Snapshot, owner string, want ...string) {
	t.Helper()
	if got := refsOf(s, owner); !slices.Equal(got, want) {
		t.Errorf("%s: rules\n%s\nwant\n%s", owner, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestOverlayOfNothingOrItselfChangesNothing(t *testing.T) {
	old := parse(t, inForce)
	for _, proposed := range []*policy.Snapshot{parse(t, "platform none"), parse(t, inForce), {}} {
		if d := diff(old, overlay(t, old, proposed)); d != "" {
			t.Errorf("-old +overlay:\n%s", d)
		}
	}
	// On nothing, the proposed policy is all there is.
	if d := diff(old, overlay(t, parse(t, "platform none"), old)); !strings.Contains(d, "Platform") || strings.Contains(d, "Rules") {
		t.Errorf("-old +overlay:\n%s", d)
	}
}

// A group of the plan takes the place of the old one; rules that stay the same keep
// their ids, ages and what is known of their peers.
func TestOverlayKeepsTheIdentityOfRules(t *testing.T) {
	old := parse(t, inForce)
	s := overlay(t, old, readPlan(t, change{"aws_security_group.web", "update", "",
		`{"id": "sg-web", "name": "web", "egress": [], "ingress": [
		 {"protocol": "tcp", "from_port": 443, "to_port": 443, "cidr_blocks": ["0.0.0.0/0"], "description": "https"},
		 {"protocol": "tcp", "from_port": 80, "to_port": 80, "security_groups": ["sg-lost"]},
		 {"protocol": "tcp", "from_port": 22, "to_port": 22, "cidr_blocks": ["10.1.0.0/16"]}]}`, "", ""}))
	g, _ := s.Group("sg-web")
	narrow := g.Rules[0].Ref.Rule
	wantRules(t, s, "sg-web", narrow+" ingress 22 10.1.0.0/16", "sgr-1 ingress 443 0.0.0.0/0", "sgr-3 ingress 80 sg-lost")
	i, _ := s.RuleIndex(policy.Ref{Owner: "sg-web", Rule: "sgr-1"})
	if r := s.Rules()[i]; r.Created.IsZero() || r.Address != "aws_security_group.web" || r.Description != "https" {
		t.Errorf("sgr-1: created %v, address %q, description %q", r.Created, r.Address, r.Description)
	}
	i, _ = s.RuleIndex(policy.Ref{Owner: "sg-web", Rule: "sgr-3"})
	if s.Rules()[i].Refs()[0].Dead == "" {
		t.Error("the dead reference came to life")
	}
	if g.Account != "1" || g.VPC != "vpc-1" {
		t.Errorf("account %q, VPC %q", g.Account, g.VPC)
	}
	wantRules(t, s, "sg-db", "sgr-4 ingress 5432 sg-web", "sgr-5 ingress 22 10.0.0.0/8")
	if s.MissingWhat("network-interfaces") || s.MissingWhat("flow-logs") || !s.MissingWhat("history") {
		t.Errorf("missing %v", s.Missing)
	}
}

// Rules of a group that Terraform does not keep are added to the group's own, and those
// that the plan takes away go.
func TestOverlayOfPartsOfAGroup(t *testing.T) {
	s := overlay(t, parse(t, inForce), readPlan(t,
		change{"aws_vpc_security_group_ingress_rule.gone", "delete", `{"id": "sgr-4", "security_group_id": "sg-db", "ip_protocol": "tcp", "from_port": 5432, "to_port": 5432, "referenced_security_group_id": "sg-web"}`, "", "", ""},
		change{"aws_vpc_security_group_ingress_rule.new", "create", "", `{"security_group_id": "sg-db", "ip_protocol": "tcp", "from_port": 5433, "to_port": 5433, "referenced_security_group_id": "sg-web"}`, `{"id": true}`, ""},
		change{"aws_vpc_security_group_ingress_rule.changed", "update",
			`{"id": "sgr-5", "security_group_id": "sg-db", "ip_protocol": "tcp", "from_port": 22, "to_port": 22, "cidr_ipv4": "10.0.0.0/8"}`,
			`{"id": "sgr-5", "security_group_id": "sg-db", "ip_protocol": "tcp", "from_port": 22, "to_port": 22, "cidr_ipv4": "10.9.0.0/16"}`, "", ""}))
	g, _ := s.Group("sg-db")
	wantRules(t, s, "sg-db", g.Rules[0].Ref.Rule+" ingress 5433 sg-web", "sgr-5 ingress 22 10.9.0.0/16")
	if g.Name != "db" || s.MissingWhat(undeclaredRules("sg-db")) {
		t.Errorf("name %q, missing %v", g.Name, s.Missing)
	}
	// Alone, the plan says what it does not know, and a rule that goes decides nothing.
	alone := readPlan(t, change{"aws_vpc_security_group_ingress_rule.gone", "delete", `{"id": "sgr-4", "security_group_id": "sg-db", "ip_protocol": "tcp", "from_port": 5432, "to_port": 5432, "cidr_ipv4": "10.0.0.0/8"}`, "", "", ""})
	if got := judged(t, alone, "sg-db", flow.Ingress, "10.0.0.4", flow.TCP, 5432); got != policy.Unknown {
		t.Errorf("verdict %v, want unknown", got)
	}
	if !alone.MissingWhat(undeclaredRules("sg-db")) {
		t.Error("the rest of the group is not named missing")
	}
}

// A group of the other cloud in Terraform has the rules that Terraform declares and those
// in force that nobody declares.
func TestOverlayKeepsUndeclaredRulesOfAlibabaGroups(t *testing.T) {
	old := parse(t, `
platform none id=alibaba groups-deny
interface eni-1 10.0.0.4 sg-a platform=alibaba
group sg-a kind=normal egress-open intra
  sgr-1 ingress tcp 22 from 10.0.0.0/8 priority=1
  sgr-2 ingress tcp 80 from 10.0.0.0/8 priority=1
  sgr-3 ingress deny all from 0.0.0.0/0 priority=100
`)
	const group = `{"id": "sg-a", "security_group_name": "a", "vpc_id": "vpc-1", "inner_access_policy": "Drop"}`
	rule := func(port string) string {
		return `{"security_group_id": "sg-a", "type": "ingress", "ip_protocol": "tcp", "nic_type": "intranet", "port_range": "` + port + `", "cidr_ip": "10.0.0.0/8"}`
	}
	s := overlay(t, old, readPlan(t, change{"alicloud_security_group.a", "update", group, group, "", ""},
		change{"alicloud_security_group_rule.ssh", "delete", rule("22/22"), "", "", ""},
		change{"alicloud_security_group_rule.http", "no-op", rule("80/80"), rule("80/80"), "", ""}))
	wantRules(t, s, "sg-a", "sgr-2 ingress 80 10.0.0.0/8", "sgr-3 ingress all 0.0.0.0/0")
	g, _ := s.Group("sg-a")
	if g.Intra || !g.EgressOpen {
		t.Errorf("intra %t, egress open %t", g.Intra, g.EgressOpen)
	}
	if got := judged(t, s, "sg-a", flow.Egress, "10.0.0.9", flow.TCP, 22); got != policy.Allowed {
		t.Errorf("egress %v, want the group's default", got)
	}
}

// A subnet has one ACL: the one that the plan gives it, or the VPC's default once the
// plan takes it away.
func TestOverlayMovesSubnetsBetweenACLs(t *testing.T) {
	old := parse(t, inForce)
	s := overlay(t, old, readPlan(t,
		change{"aws_network_acl.new", "create", "", `{"vpc_id": "vpc-1", "subnet_ids": ["subnet-b"], "ingress": [{"rule_no": 1, "action": "allow", "protocol": "-1", "cidr_block": "10.0.0.0/8", "from_port": 0, "to_port": 0}], "egress": []}`, `{"id": true}`, ""},
		change{"aws_network_acl.one", "update",
			`{"id": "acl-1", "vpc_id": "vpc-1", "subnet_ids": ["subnet-a", "subnet-b"], "ingress": [], "egress": []}`,
			`{"id": "acl-1", "vpc_id": "vpc-1", "subnet_ids": [], "ingress": [], "egress": []}`, "", ""}))
	for _, c := range []struct{ f, want string }{{"eni-1", "acl-0"}, {"eni-2", "aws_network_acl.new"}} {
		f, _ := s.Interface(c.f)
		if acl, _, ok := s.ACLFor(f); !ok || acl.ID != c.want {
			t.Errorf("%s: ACL %v, want %s", c.f, acl, c.want)
		}
	}
	// By a resource of its own.
	s = overlay(t, old, readPlan(t, change{"aws_network_acl.zero", "no-op", `{}`, `{"id": "acl-0", "vpc_id": "vpc-1", "subnet_ids": [], "ingress": [], "egress": []}`, "", ""},
		change{"aws_network_acl_association.a", "create", "", `{"network_acl_id": "acl-0", "subnet_id": "subnet-a"}`, `{"id": true}`, ""}))
	f, _ := s.Interface("eni-1")
	if acl, _, _ := s.ACLFor(f); acl.ID != "acl-0" {
		t.Errorf("eni-1: ACL %s, want acl-0", acl.ID)
	}
}

// Lines of an ACL that Terraform does not keep.
func TestOverlayOfPartsOfAnACL(t *testing.T) {
	s := overlay(t, parse(t, inForce), readPlan(t,
		change{"aws_network_acl_rule.x", "create", "", `{"network_acl_id": "acl-1", "rule_number": 90, "egress": false, "protocol": "tcp", "rule_action": "deny", "cidr_block": "192.0.2.0/24", "from_port": 1, "to_port": 2}`, `{"id": true}`, ""},
		change{"aws_network_acl_rule.y", "delete", `{"network_acl_id": "acl-1", "rule_number": 110, "egress": false, "protocol": "-1", "rule_action": "deny", "cidr_block": "0.0.0.0/0"}`, "", "", ""}))
	wantRules(t, s, "acl-1", "ingress-90 ingress 1-2 192.0.2.0/24", "ingress-100 ingress all 0.0.0.0/0")
	f, _ := s.Interface("eni-1")
	if acl, _, ok := s.ACLFor(f); !ok || acl.ID != "acl-1" {
		t.Error("the ACL lost its subnets")
	}
}

// An interface of the plan has the plan's groups, and the rest from what was known.
func TestOverlayOfInterfaces(t *testing.T) {
	s := overlay(t, parse(t, inForce), readPlan(t, change{"aws_instance.web", "update", `{"id": "i-1"}`,
		`{"id": "i-1", "primary_network_interface_id": "eni-1", "vpc_security_group_ids": ["sg-db"], "private_ip": "10.0.0.4", "subnet_id": "subnet-a"}`, "", ""}))
	f, _ := s.Interface("eni-1")
	if !slices.Equal(f.Groups, []string{"sg-db"}) || f.Attached.IsZero() || f.Account != "1" || f.Instance != "i-1" || len(f.Addresses) != 1 {
		t.Errorf("interface %+v", f)
	}
	if m := s.Members("sg-web"); len(m) != 0 {
		t.Errorf("members of sg-web: %v", m)
	}
	if m := s.Members("sg-db"); len(m) != 2 {
		t.Errorf("members of sg-db: %v", m)
	}
}

// What a plan refers to and nobody holds is named; what old lacked and the plan brings is
// not any more.
func TestOverlayNamesWhatIsMissing(t *testing.T) {
	old := parse(t, `
interface eni-1 10.0.0.4 sg-a
group sg-b
  sgr-1 ingress all from pl-1
missing custom "stays"
`)
	if !old.MissingWhat("group sg-a") || !old.MissingWhat("prefix-list pl-1") {
		t.Fatal("the test's own policy")
	}
	s := overlay(t, old, readPlan(t,
		change{"aws_security_group.a", "no-op", `{}`, `{"id": "sg-a", "name": "a", "egress": [], "ingress": [{"protocol": "-1", "from_port": 0, "to_port": 0, "security_groups": ["sg-c"]}]}`, "", ""},
		change{"aws_ec2_managed_prefix_list.one", "no-op", `{}`, `{"id": "pl-1", "name": "one", "max_entries": 3, "entry": [{"cidr": "192.0.2.0/24"}]}`, "", ""}))
	if got := missingWhats(s); !slices.Equal(got, []string{"custom", "group sg-c"}) {
		t.Errorf("missing %q", got)
	}
	// A list that the plan changes in part is not known any more.
	s = overlay(t, parse(t, inForce), readPlan(t, change{"aws_ec2_managed_prefix_list_entry.x", "create", "", `{"prefix_list_id": "pl-1", "cidr": "198.51.100.0/24"}`, `{"id": true}`, ""}))
	if l, _ := s.List("pl-1"); l.Known || l.Name != "corp" {
		t.Errorf("list %+v", l)
	}
	// And one of which it only has an entry that stays, is.
	s = overlay(t, parse(t, inForce), readPlan(t, change{"aws_ec2_managed_prefix_list_entry.x", "no-op", "", `{"prefix_list_id": "pl-1", "cidr": "192.0.2.0/24"}`, `{}`, ""},
		change{"aws_security_group.x", "no-op", "", `{"id": "sg-x", "ingress": [], "egress": []}`, "", ""}))
	if l, _ := s.List("pl-1"); !l.Known {
		t.Errorf("list %+v", l)
	}
}

// Laying a policy over another twice is laying it over once; what it describes is then
// as it says, and nothing else has changed.
func TestOverlayOfRandomPolicies(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 7))
		old, proposed := parse(t, randomGroups(rng)), parse(t, randomGroups(rng))
		once := overlay(t, old, proposed)
		if d := diff(once, overlay(t, once, proposed)); d != "" {
			t.Fatalf("seed %d: twice differs:\n%s", seed, d)
		}
		for i := range once.Groups {
			g := &once.Groups[i]
			from := proposed
			if _, ok := proposed.Group(g.ID); !ok {
				from = old
			}
			want, _ := from.Group(g.ID)
			if got, want := digests(g), digests(want); !slices.Equal(got, want) {
				t.Fatalf("seed %d: %s: %v, want %v", seed, g.ID, got, want)
			}
		}
		if len(once.Groups) < max(len(old.Groups), len(proposed.Groups)) {
			t.Fatalf("seed %d: groups were lost", seed)
		}
	}
}

func digests(g *policy.Group) []string {
	var out []string
	for i := range g.Rules {
		out = append(out, RuleDigest(&g.Rules[i]))
	}
	slices.Sort(out)
	return out
}

// randomGroups writes some of four groups with rules of few ports, so that they meet.
func randomGroups(rng *rand.Rand) string {
	var b strings.Builder
	b.WriteString("platform none\n")
	for _, g := range []string{"sg-1", "sg-2", "sg-3", "sg-4"} {
		if rng.IntN(3) == 0 {
			continue
		}
		b.WriteString("group " + g + "\n")
		for port := range 4 {
			if rng.IntN(2) == 0 {
				id := "r" + string(rune('a'+rng.IntN(26))) + string(rune('0'+port))
				b.WriteString("  " + id + " ingress tcp " + string(rune('1'+port)) + " from 10.0.0.0/8\n")
			}
		}
	}
	return b.String()
}
