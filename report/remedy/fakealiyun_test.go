package remedy

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// fakeAliyun is as much of the ECS and VPC APIs as the scripts call.
type fakeAliyun struct {
	Next int
	// Strict: a rule is the same as another one whatever the priorities, as a part of the
	// documents says.
	Strict bool
	Groups []fakeAliyunGroup
	ACLs   []fakeAliyunACL
}

type fakeAliyunGroup struct {
	SecurityGroupID   string `json:"SecurityGroupId"`
	InnerAccessPolicy string
	Permissions       struct{ Permission []map[string]string }
}

type fakeAliyunACL struct {
	NetworkACLID      string                                        `json:"NetworkAclId"`
	Resources         json.RawMessage                               `json:",omitempty"`
	IngressAclEntries struct{ IngressAclEntry []map[string]string } //nolint:revive // the API's word
	EgressAclEntries  struct{ EgressAclEntry []map[string]string }  //nolint:revive // the API's word
}

func aliyunError(code string) error { return fmt.Errorf("ERROR: SDK.ServerError\nErrorCode: %s", code) }

// aliyunOptions reads flags as the command line does: a word that begins with a dash is
// a flag, whatever came before.
func aliyunOptions(args []string) (map[string]string, error) {
	out := make(map[string]string)
	name := ""
	for _, a := range args {
		key, value, ok := strings.Cut(a, "=")
		switch {
		case strings.HasPrefix(key, "--") && ok && value != "":
			out[key[2:]], name = value, ""
		case strings.HasPrefix(key, "--"):
			name = key[2:]
		case strings.HasPrefix(key, "-"):
			return nil, fmt.Errorf("not support flag form %s", key)
		case name == "":
			return nil, fmt.Errorf("stray %q", a)
		default:
			out[name], name = a, ""
		}
	}
	return out, nil
}

// exec runs one command: what follows "aliyun".
func (f *fakeAliyun) exec(args []string) (out string, changed bool, err error) {
	if len(args) < 2 {
		return "", false, fmt.Errorf("%q", args)
	}
	opt, err := aliyunOptions(args[2:])
	if err != nil {
		return "", false, err
	}
	if opt["RegionId"] == "" {
		return "", false, aliyunError("MissingRegionId")
	}
	group := func() (*fakeAliyunGroup, error) {
		i := slices.IndexFunc(f.Groups, func(g fakeAliyunGroup) bool { return g.SecurityGroupID == opt["SecurityGroupId"] })
		if i < 0 {
			return nil, aliyunError("InvalidSecurityGroupId.NotFound")
		}
		return &f.Groups[i], nil
	}
	acl := func() (*fakeAliyunACL, error) {
		i := slices.IndexFunc(f.ACLs, func(a fakeAliyunACL) bool { return a.NetworkACLID == opt["NetworkAclId"] })
		if i < 0 {
			return nil, aliyunError("ResourceNotFound.NetworkAcl")
		}
		return &f.ACLs[i], nil
	}
	reply := func(v any) (string, bool, error) {
		b, err := json.MarshalIndent(v, "", "\t")
		return string(b), false, err
	}
	switch call := args[0] + " " + args[1]; call {
	case "ecs DescribeSecurityGroupAttribute":
		g, err := group()
		if err != nil {
			return "", false, err
		}
		return reply(g)
	case "vpc DescribeNetworkAclAttributes":
		a, err := acl()
		if err != nil {
			return "", false, err
		}
		return reply(map[string]any{"NetworkAclAttribute": a})
	case "ecs AuthorizeSecurityGroup", "ecs AuthorizeSecurityGroupEgress", "ecs RevokeSecurityGroup", "ecs RevokeSecurityGroupEgress":
		g, err := group()
		if err != nil {
			return "", false, err
		}
		direction := "ingress"
		if strings.HasSuffix(call, "Egress") {
			direction = "egress"
		}
		if strings.Contains(call, "Revoke") {
			return f.revoke(g, direction, opt)
		}
		return f.authorize(g, direction, opt)
	case "vpc UpdateNetworkAclEntries":
		a, err := acl()
		if err != nil {
			return "", false, err
		}
		return f.update(a, opt)
	default:
		return "", false, fmt.Errorf("no such call: %s", call)
	}
}

// permission reads --Permissions.1.X=Y and checks it as the API does.
func (f *fakeAliyun) permission(direction string, opt map[string]string) (map[string]string, error) {
	p := map[string]string{"Direction": direction}
	for k, v := range opt {
		if name, ok := strings.CutPrefix(k, "Permissions.1."); ok {
			p[name] = v
		} else if k != "RegionId" && k != "SecurityGroupId" {
			return nil, fmt.Errorf("unknown parameter %s", k)
		}
	}
	known := []string{"Direction", "IpProtocol", "PortRange", "PortRangeListId", "SourceCidrIp", "Ipv6SourceCidrIp", "SourceGroupId", "SourcePrefixListId", "DestCidrIp",
		"Ipv6DestCidrIp", "DestGroupId", "DestPrefixListId", "SourcePortRange", "Policy", "Priority", "NicType", "Description", "SourceGroupOwnerAccount", "DestGroupOwnerAccount"}
	for k := range p {
		if !slices.Contains(known, k) {
			return nil, fmt.Errorf("unknown parameter %s", k)
		}
	}
	if n, err := strconv.Atoi(p["Priority"]); err != nil || n < 1 || n > 100 {
		return nil, aliyunError("InvalidPriority")
	}
	tcp := p["IpProtocol"] == "TCP" || p["IpProtocol"] == "UDP"
	if p["PortRangeListId"] == "" && tcp == strings.Contains(p["PortRange"], "-1") {
		return nil, aliyunError("InvalidPortRange.Malformed")
	}
	if p["NicType"] != "intranet" || p["Policy"] != "accept" && p["Policy"] != "drop" {
		return nil, aliyunError("InvalidParameter")
	}
	return p, nil
}

func (f *fakeAliyun) same(a, b map[string]string) bool {
	fields := []string{"Direction", "IpProtocol", "PortRange", "PortRangeListId", "SourceCidrIp", "Ipv6SourceCidrIp", "SourceGroupId", "SourcePrefixListId",
		"DestCidrIp", "Ipv6DestCidrIp", "DestGroupId", "DestPrefixListId", "SourcePortRange"}
	if !f.Strict {
		fields = append(fields, "Priority")
	}
	for _, k := range fields {
		if strings.TrimSuffix(a[k], "/32") != strings.TrimSuffix(b[k], "/32") {
			return false
		}
	}
	return strings.EqualFold(a["Policy"], b["Policy"])
}

func (f *fakeAliyun) authorize(g *fakeAliyunGroup, direction string, opt map[string]string) (string, bool, error) {
	p, err := f.permission(direction, opt)
	if err != nil {
		return "", false, err
	}
	all := g.Permissions.Permission
	if slices.ContainsFunc(all, func(x map[string]string) bool { return f.same(x, p) }) {
		return `{"RequestId": "1"}`, false, nil
	}
	f.Next++
	p["SecurityGroupRuleId"] = fmt.Sprintf("sgr-made%d", f.Next)
	p["Policy"] = strings.ToUpper(p["Policy"][:1]) + p["Policy"][1:]
	for _, k := range []string{"SourceCidrIp", "DestCidrIp"} { // as some replies have it
		if p[k] != "" {
			p[k] = strings.TrimSuffix(p[k], "/32")
		}
	}
	g.Permissions.Permission = append(slices.Clone(all), p)
	return `{"RequestId": "1"}`, true, nil
}

func (f *fakeAliyun) revoke(g *fakeAliyunGroup, direction string, opt map[string]string) (string, bool, error) {
	all := g.Permissions.Permission
	at := -1
	if id := opt["SecurityGroupRuleId.1"]; id != "" {
		at = slices.IndexFunc(all, func(x map[string]string) bool { return x["SecurityGroupRuleId"] == id && x["Direction"] == direction })
		if at < 0 {
			return "", false, aliyunError("InvalidParam.SecurityGroupRuleId")
		}
	} else {
		p, err := f.permission(direction, opt)
		if err != nil {
			return "", false, err
		}
		at = slices.IndexFunc(all, func(x map[string]string) bool { return f.same(x, p) })
		if at < 0 {
			return `{"RequestId": "1"}`, false, nil
		}
	}
	g.Permissions.Permission = slices.Delete(slices.Clone(all), at, at+1)
	return `{"RequestId": "1"}`, true, nil
}

// update replaces whole lists, as the API does.
func (f *fakeAliyun) update(a *fakeAliyunACL, opt map[string]string) (string, bool, error) {
	var lists [2][]map[string]string
	for side, name := range []string{"Ingress", "Egress"} {
		peer := []string{"SourceCidrIp", "DestinationCidrIp"}[side]
		for n := 1; ; n++ {
			e := make(map[string]string)
			for k, v := range opt {
				if field, ok := strings.CutPrefix(k, fmt.Sprintf("%sAclEntries.%d.", name, n)); ok {
					e[field] = v
				}
			}
			if len(e) == 0 {
				break
			}
			if e["Policy"] == "" || e["Protocol"] == "" || e["Port"] == "" || e[peer] == "" || e["EntryType"] != "custom" {
				return "", false, errors.New("an entry that lacks something")
			}
			e["NetworkAclEntryId"] = fmt.Sprintf("nae-%d", n)
			lists[side] = append(lists[side], e)
		}
	}
	changed := false
	if opt["UpdateIngressAclEntries"] == "true" {
		a.IngressAclEntries.IngressAclEntry, changed = lists[0], true
	}
	if opt["UpdateEgressAclEntries"] == "true" {
		a.EgressAclEntries.EgressAclEntry, changed = lists[1], true
	}
	return `{"RequestId": "1"}`, changed, nil
}
