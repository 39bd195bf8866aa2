package cloud

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// leaf is a place in a JSON value.
type leaf struct {
	path string
	set  func(any)
}

// leaves returns the places of v that hold no list or object, and the lists and objects
// themselves.
func leaves(v any, path string) []leaf {
	var out []leaf
	switch v := v.(type) {
	case []any:
		for i, e := range v {
			out = append(out, leaf{path + "/" + strconv.Itoa(i), func(x any) { v[i] = x }})
			out = append(out, leaves(e, path+"/"+strconv.Itoa(i))...)
		}
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			out = append(out, leaf{path + "/" + k, func(x any) { v[k] = x }})
			out = append(out, leaves(v[k], path+"/"+k)...)
		}
	}
	return out
}

// Whatever stands anywhere in a plan or state, it is read or refused: nothing panics,
// and what is read has a text form.
func TestAnythingAnywhereIsReadOrRefused(t *testing.T) {
	values := []any{nil, true, "x", "sg-0web", 4294967296.5, -1.0, []any{}, []any{nil, "x"}, map[string]any{"references": []any{"each.value", "a.b"}}}
	for _, name := range []string{"aws-state", "alibaba-state", "modules-plan"} {
		data, err := os.ReadFile("testdata/terraform/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(5, 5))
		var v any
		_ = json.Unmarshal(data, &v)
		n := len(leaves(v, ""))
		for range 40 {
			_ = json.Unmarshal(data, &v)
			l := leaves(v, "")[rng.IntN(n)]
			l.set(values[rng.IntN(len(values))])
			text, _ := json.Marshal(v)
			if s, err := readString(t, string(text)); err == nil {
				roundTrip(t, s)
			}
		}
	}
}

// certain is a plan in which everything is known; the configuration writes each attribute
// by names that cannot be followed.
func certainPlan(t *testing.T, changes []change) map[string]any {
	t.Helper()
	var plan map[string]any
	if err := json.Unmarshal([]byte(planJSON(t, changes...)), &plan); err != nil {
		t.Fatal(err)
	}
	for _, r := range plan["configuration"].(map[string]any)["root_module"].(map[string]any)["resources"].([]any) {
		expressions := make(map[string]any)
		for _, c := range plan["resource_changes"].([]any) {
			if c := c.(map[string]any); c["type"] == r.(map[string]any)["type"] && c["name"] == r.(map[string]any)["name"] {
				for k := range c["change"].(map[string]any)["after"].(map[string]any) {
					expressions[k] = map[string]any{"references": []any{"local.unfollowed"}}
				}
			}
		}
		r.(map[string]any)["expressions"] = expressions
	}
	return plan
}

// makeUnknown moves random parts of the values of a plan to what is unknown until apply,
// as Terraform prints them: left out of objects, null in lists.
func makeUnknown(rng *rand.Rand, plan map[string]any, keep map[string]bool) {
	var hide func(v any) (known, unknown any)
	hide = func(v any) (any, any) {
		switch v := v.(type) {
		case []any:
			known, unknown := make([]any, len(v)), make([]any, len(v))
			for i, e := range v {
				if _, block := e.(map[string]any); !block && rng.IntN(6) == 0 {
					unknown[i] = true
				} else {
					known[i], unknown[i] = hide(e)
				}
			}
			return known, unknown
		case map[string]any:
			known, unknown := make(map[string]any), make(map[string]any)
			for _, k := range slices.Sorted(maps.Keys(v)) {
				if keep[k] {
					known[k] = v[k]
					continue
				}
				if rng.IntN(6) == 0 {
					unknown[k] = true
					continue
				}
				var u any
				if known[k], u = hide(v[k]); u != false {
					unknown[k] = u
				}
			}
			return known, unknown
		}
		return v, false
	}
	planned := plan["planned_values"].(map[string]any)["root_module"].(map[string]any)["resources"].([]any)
	for i, c := range plan["resource_changes"].([]any) {
		if c.(map[string]any)["type"] == "aws_subnet" {
			continue // without its block no ACL is replayed at all
		}
		change := c.(map[string]any)["change"].(map[string]any)
		known, unknown := hide(change["after"])
		change["after"], change["after_unknown"] = known, unknown
		planned[i].(map[string]any)["values"] = known
	}
}

// What a plan does not know yet makes verdicts unknown, never others: a verdict that is
// certain is the one of the plan with everything known.
func TestUnknownPartsNeverTurnVerdicts(t *testing.T) {
	aws := []change{
		{"aws_security_group.web", "update", "", `{"id": "sg-1", "name": "web", "ingress": [
		 {"protocol": "tcp", "from_port": 80, "to_port": 90, "cidr_blocks": ["10.0.0.0/8", "192.0.2.0/24"], "ipv6_cidr_blocks": ["2001:db8::/32"], "prefix_list_ids": ["pl-1"], "security_groups": ["sg-2"], "self": false, "description": "a"},
		 {"protocol": "-1", "from_port": 0, "to_port": 0, "cidr_blocks": ["198.51.100.0/24"], "self": false, "description": "b"}],
		 "egress": [{"protocol": "udp", "from_port": 53, "to_port": 53, "cidr_blocks": ["10.0.0.0/8"], "self": true, "description": ""}]}`, "", ""},
		{"aws_security_group.peers", "update", "", `{"id": "sg-2", "name": "peers", "ingress": [], "egress": []}`, "", ""},
		{"aws_ec2_managed_prefix_list.l", "update", "", `{"id": "pl-1", "name": "l", "entry": [{"cidr": "203.0.113.0/24"}, {"cidr": "203.0.114.0/24"}]}`, "", ""},
		{"aws_security_group_rule.a", "update", "", `{"type": "ingress", "security_group_id": "sg-1", "protocol": "tcp", "from_port": 22, "to_port": 22, "cidr_blocks": ["10.1.0.0/16", "10.2.0.0/16"]}`, "", ""},
		{"aws_vpc_security_group_ingress_rule.b", "update", "", `{"security_group_id": "sg-1", "ip_protocol": "tcp", "from_port": 443, "to_port": 443, "cidr_ipv4": "10.3.0.0/16"}`, "", ""},
		{"aws_network_acl.n", "update", "", `{"id": "acl-1", "subnet_ids": ["subnet-1"], "egress": [{"rule_no": 1, "action": "allow", "protocol": "-1", "cidr_block": "0.0.0.0/0", "from_port": 0, "to_port": 0}], "ingress": [
		 {"rule_no": 10, "action": "deny", "protocol": "tcp", "cidr_block": "10.9.0.0/16", "from_port": 80, "to_port": 80},
		 {"rule_no": 20, "action": "allow", "protocol": "-1", "cidr_block": "0.0.0.0/0", "from_port": 0, "to_port": 0}]}`, "", ""},
		{"aws_subnet.s", "no-op", "", `{"id": "subnet-1", "cidr_block": "10.99.0.0/28"}`, "", ""},
	}
	alibaba := []change{
		{"alicloud_security_group.g", "update", "", `{"id": "sg-1", "security_group_type": "normal", "inner_access_policy": "Drop", "vpc_id": "vpc-1"}`, "", ""},
		{"alicloud_security_group_rule.a", "update", "", `{"security_group_id": "sg-1", "type": "ingress", "ip_protocol": "tcp", "port_range": "80/90", "cidr_ip": "10.0.0.0/8", "priority": 5}`, "", ""},
		{"alicloud_security_group_rule.b", "update", "", `{"security_group_id": "sg-1", "type": "ingress", "policy": "drop", "ip_protocol": "tcp", "port_range": "80/80", "cidr_ip": "10.9.0.0/16", "priority": 5}`, "", ""},
		{"alicloud_security_group_rule.c", "update", "", `{"security_group_id": "sg-1", "type": "egress", "policy": "drop", "ip_protocol": "all", "port_range": "-1/-1", "cidr_ip": "10.9.0.0/16"}`, "", ""},
	}
	keep := map[string]bool{"id": true, "name": true, "subnet_ids": true, "type": true, "policy": true, "priority": true,
		"security_group_id": true, "vpc_id": true, "description": true}
	interfaces := map[string]string{
		"aws":     "interface eni-1 10.99.0.1 sg-1 subnet=subnet-1\ninterface eni-2 10.7.0.1 sg-2\n",
		"alibaba": "interface eni-1 10.99.0.1 sg-1 platform=alibaba\n",
	}
	var conns []policy.Conn
	for _, d := range []flow.Direction{flow.Ingress, flow.Egress} {
		for _, remote := range []string{"10.9.0.1", "10.1.0.1", "10.3.1.1", "192.0.2.1", "203.0.113.5", "203.0.115.5", "198.51.100.9", "10.7.0.1", "2001:db8::1", "11.0.0.1"} {
			for _, port := range []uint16{22, 53, 80, 85, 443, 7} {
				for _, proto := range []flow.Proto{flow.TCP, flow.UDP, 47} {
					local := "10.99.0.1"
					c := policy.Conn{Direction: d, Proto: proto, Local: addr(t, local), Remote: addr(t, remote), LocalPort: port, RemotePort: 40000}
					if d == flow.Egress {
						c.LocalPort, c.RemotePort = c.RemotePort, c.LocalPort
					}
					conns = append(conns, c)
				}
			}
		}
	}
	verdicts := func(cloud string, plan map[string]any) ([]policy.Verdict, string, error) {
		text, _ := json.Marshal(plan)
		s, err := readString(t, string(text))
		if err != nil {
			return nil, "", err
		}
		// Members are known here, so that what the plan knows is all that is unknown.
		s.Missing = slices.DeleteFunc(s.Missing, func(m policy.Missing) bool { return m.What == "network-interfaces" })
		s = parse(t, Format(s)+interfaces[cloud])
		out := make([]policy.Verdict, len(conns))
		for i := range conns {
			out[i] = policy.Decide(s.Path("eni-1", conns[i].Direction), &conns[i]).Verdict
		}
		return out, Format(s), nil
	}
	for name, changes := range map[string][]change{"aws": aws, "alibaba": alibaba} {
		want, _, err := verdicts(name, certainPlan(t, changes))
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range []policy.Verdict{policy.Allowed, policy.Denied} {
			if !slices.Contains(want, v) {
				t.Fatalf("%s: no verdict %v", name, v)
			}
		}
		if slices.Contains(want, policy.Unknown) {
			t.Fatalf("%s: unknown without anything unknown", name)
		}
		unknown, certain := 0, 0
		for seed := range uint64(60) {
			plan := certainPlan(t, changes)
			makeUnknown(rand.New(rand.NewPCG(seed, 11)), plan, keep)
			got, text, err := verdicts(name, plan)
			if err != nil {
				continue // a line without its place in the list is refused
			}
			for i := range got {
				if got[i] == policy.Unknown {
					unknown++
				} else if certain++; got[i] != want[i] {
					t.Fatalf("%s, seed %d: %s is %v, with everything known %v, in\n%s", name, seed, fmt.Sprint(conns[i]), got[i], want[i], text)
				}
			}
		}
		if unknown < 1000 || certain < 1000 {
			t.Errorf("%s: %d verdicts unknown, %d certain: the test shows little", name, unknown, certain)
		}
	}
}

func addr(t *testing.T, s string) netip.Addr {
	t.Helper()
	a, err := netip.ParseAddr(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
