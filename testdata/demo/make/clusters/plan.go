package main

import "path/filepath"

const provider = "registry.terraform.io/aliyun/alicloud"

// writePlan writes a plan of infrastructure code that isolates the databases from one
// another, as their audit asked for, and forgets what they say to one another.
func writePlan(dir string) error {
	group := func(inner string) object {
		return object{"id": groupDB, "security_group_name": "database-cluster", "vpc_id": vpc, "security_group_type": "normal", "inner_access_policy": inner}
	}
	resource := func(kind, name string) object {
		return object{"address": kind + "." + name, "mode": "managed", "type": kind, "name": name, "provider_name": provider}
	}
	with := func(o object, key string, v any) object { o[key] = v; return o }
	change := func(o object, action string, before, after any) object {
		return with(o, "change", object{"actions": []string{action}, "before": before, "after": after, "after_unknown": object{}})
	}
	const groupKind, ruleKind = "alicloud_security_group", "alicloud_security_group_rule"
	resources := []object{with(resource(groupKind, "database"), "values", group("Drop"))}
	changes := []object{change(resource(groupKind, "database"), "update", group("Accept"), group("Drop"))}
	for _, r := range []struct {
		name, ports, peer string
		priority          int
		stays             bool
	}{
		{"clients", "5432/5432", "10.2.0.0/24", 20, true},
		{"operators", "22/22", groupOps, 10, true},
		{"clients_at_first", "5432/5432", "0.0.0.0/0", 10, false},
		{"ssh", "22/22", "0.0.0.0/0", 1, false},
		{"rdp", "3389/3389", "0.0.0.0/0", 1, false},
	} {
		v := object{"type": "ingress", "ip_protocol": "tcp", "nic_type": "intranet", "policy": "accept", "port_range": r.ports, "priority": r.priority, "security_group_id": groupDB}
		if r.peer == groupOps {
			v["source_security_group_id"] = r.peer
		} else {
			v["cidr_ip"] = r.peer
		}
		if !r.stays {
			changes = append(changes, change(resource(ruleKind, r.name), "delete", v, nil))
			continue
		}
		resources = append(resources, with(resource(ruleKind, r.name), "values", v))
		changes = append(changes, change(resource(ruleKind, r.name), "no-op", v, v))
	}
	return writeJSON(filepath.Join(dir, "plan.json"), object{"format_version": "1.2", "terraform_version": "1.11.4",
		"planned_values": object{"root_module": object{"resources": resources}}, "resource_changes": changes})
}
