package cloud

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
)

var (
	tfAlibabaGroups = map[string]bool{"alicloud_security_group": true}
	tfAlibabaPeers  = []string{"cidr_ip", "ipv6_cidr_ip", "source_security_group_id", "prefix_list_id"}
)

// alibabaGroup reads a group. Its rules are resources of their own, always, and nothing
// here tells of rules that others made.
func (r *tfReader) alibabaGroup(res *tfResource) error {
	r.depart(res, goneGroup, "id", res.id())
	if res.gone {
		return nil
	}
	a := res.attributes()
	g := policy.Group{ID: res.id(), Name: cmp.Or(a.label("security_group_name"), a.label("name")), Description: a.label("description"), VPC: a.text("vpc_id"),
		Kind: cmp.Or(strings.ToLower(a.text("security_group_type")), alibabaBasic)}
	if g.Kind != alibabaBasic && g.Kind != alibabaAdvanced {
		return res.errorf("security_group_type", fmt.Errorf("neither %s nor %s", alibabaBasic, alibabaAdvanced))
	}
	part := tfOwner{fresh: res.cloudID() == "", onlyOwn: true}
	inner := strings.ToLower(a.text("inner_access_policy"))
	if inner == "" && a.v.at("inner_access").v == false {
		inner = "drop"
	}
	if inner != "" && inner != "accept" && inner != "drop" {
		return res.errorf("inner_access_policy", errors.New("neither Accept nor Drop"))
	}
	g.Unnamed = g.Kind != alibabaBasic
	if g.Kind == alibabaBasic {
		g.EgressOpen, g.Intra = true, inner != "drop"
	}
	// A type or policy that is written but not known could be either.
	for _, key := range []string{"security_group_type", "inner_access_policy", "inner_access"} {
		if a.unknown(key) && res.isWritten(key) {
			g.EgressOpen, g.Intra, part.open = false, false, [2]bool{true, true}
		}
	}
	if err := a.failed(); err != nil {
		return err
	}
	var b strings.Builder
	formatGroup(&b, &g)
	if o := r.owner(g.ID, false, true); o.describedBy(res, b.String()) {
		o.group, o.fresh, o.onlyOwn, o.open = g, part.fresh, true, part.open
	}
	return nil
}

func (r *tfReader) alibabaGroupRule(res *tfResource) error {
	var now, before []policy.Rule
	if !res.gone {
		rules, err := r.alibabaTFRules(res, res.attributes())
		if err != nil {
			return err
		}
		now = rules
	}
	if res.changed && !res.before.isNull() {
		rules, err := r.alibabaTFRules(res, res.earlier())
		if err != nil {
			return err
		}
		before = rules
	}
	return r.place(res, "security_group_id", tfAlibabaGroups, false, true, now, before)
}

// alibabaTFRules reads a rule. One whose policy is unknown until apply is two that match
// perhaps; one whose priority is unknown matches perhaps in the first place: then all that
// it may do, or leave to others, is possible.
func (r *tfReader) alibabaTFRules(res *tfResource, a tfAttributes) ([]policy.Rule, error) {
	rule, err := r.alibabaTFRule(res, a)
	if err != nil {
		return nil, err
	}
	unknown := func(key string) bool { return a.unknown(key) && res.isWritten(key) }
	if unknown("policy") || unknown("priority") {
		for i := range rule.Match {
			perhaps(&rule.Match[i])
		}
	}
	if !unknown("policy") {
		return []policy.Rule{rule}, nil
	}
	other := rule
	other.Match = slices.Clone(rule.Match)
	rule.Action, other.Action = policy.Allow, policy.Deny
	return []policy.Rule{rule, other}, nil
}

func (r *tfReader) alibabaTFRule(res *tfResource, a tfAttributes) (policy.Rule, error) {
	p := alibabaPermission{SecurityGroupRuleID: alibabaText(a.text("security_group_rule_id")), Direction: alibabaText(a.text("type")),
		Policy: alibabaText(cmp.Or(a.text("policy"), "accept")), Priority: "1", IPProtocol: alibabaText(a.text("ip_protocol")),
		PortRange: alibabaText(cmp.Or(a.text("port_range"), "-1/-1")), Description: alibabaText(a.label("description"))}
	if n := a.number("priority"); n != nil {
		p.Priority = alibabaText(strconv.Itoa(*n))
	}
	if a.unknown("type") {
		return policy.Rule{}, res.errorf("type", errors.New("unknown until apply: the rule could be of either direction"))
	}
	group, _ := a.oneID("security_group_id", tfAlibabaGroups)
	if a.text("nic_type") == "internet" && r.inVPC(res.doc, group) {
		return policy.Rule{}, res.errorf("nic_type", errors.New("must be intranet in a VPC; the provider refuses the rule"))
	}
	uncertain, wide := false, false
	if a.unknown("ip_protocol") {
		p.IPProtocol, p.PortRange, wide = "all", "-1/-1", true
	}
	if a.unknown("port_range") && res.isWritten("port_range") {
		p.PortRange, wide = "-1/-1", true
	}
	for _, key := range tfAlibabaPeers {
		uncertain = uncertain || a.unknown(key) && (res.expression(key) != nil || res.doc.configOf(res.module) == nil)
	}
	peer := alibabaSide{cidr: alibabaText(a.text("cidr_ip")), cidr6: alibabaText(a.text("ipv6_cidr_ip")), account: alibabaText(a.text("source_group_owner_account"))}
	if id, ok := a.oneID("source_security_group_id", tfAlibabaGroups); ok && id != "" {
		peer.group, uncertain = alibabaText(id), false
	}
	if id, ok := a.oneID("prefix_list_id", tfLists); ok && id != "" {
		peer.list, uncertain = alibabaText(id), false
	}
	if peer.cidr != "" || peer.cidr6 != "" {
		uncertain = false
	} else if uncertain {
		peer = alibabaSide{cidr: "0.0.0.0/0"}
	}
	if p.Direction == "ingress" {
		p.SourceCidrIP, p.Ipv6SourceCidrIP, p.SourceGroupID, p.SourcePrefixListID, p.SourceGroupOwnerAccount = peer.cidr, peer.cidr6, peer.group, peer.list, peer.account
	} else {
		p.DestCidrIP, p.Ipv6DestCidrIP, p.DestGroupID, p.DestPrefixListID, p.DestGroupOwnerAccount = peer.cidr, peer.cidr6, peer.group, peer.list, peer.account
	}
	rule, err := (&alibabaRules{}).rule(group, &p)
	if err != nil {
		return rule, res.errorf("rule", err)
	}
	if uncertain || wide {
		for i := range rule.Match {
			perhaps(&rule.Match[i])
			if wide {
				rule.Match[i].LocalPorts, rule.Match[i].RemotePorts = netset.AllPorts, netset.AllPorts
			}
		}
	}
	res.mark(&rule)
	return rule, a.failed()
}

// inVPC reports whether the plan or state says that the group is in a VPC.
func (r *tfReader) inVPC(doc *tfDocument, group string) bool {
	for _, res := range doc.resources {
		if tfAlibabaGroups[res.typ] && res.id() == group && !res.gone {
			v := res.values.at("vpc_id")
			return v.isUnknown() || v.v != nil && v.v != ""
		}
	}
	return false
}

func (r *tfReader) alibabaACL(res *tfResource) error {
	r.depart(res, goneACL, "id", res.id())
	if res.gone {
		return nil
	}
	a := res.attributes()
	acl := policy.ACL{ID: res.id(), VPC: a.text("vpc_id")}
	part := tfOwner{fresh: res.cloudID() == "", alibaba: true}
	for _, s := range tfSides {
		key := s.key + "_acl_entries"
		blocks, known := a.blocks(key)
		part.declared[side(s.d)] = true
		part.open[side(s.d)] = !known && res.isWritten(key)
		count := make(map[bool]int) // IPv6?
		for i, b := range blocks {
			raw := alibabaEntry{NetworkACLEntryName: alibabaText(b.label("network_acl_entry_name")), Description: alibabaText(b.label("description")), Policy: alibabaText(b.text("policy")),
				Protocol: alibabaText(b.text("protocol")), Port: alibabaText(b.text("port")), SourceCidrIP: alibabaText(b.text("source_cidr_ip")),
				DestinationCidrIP: alibabaText(b.text("destination_cidr_ip")), IPVersion: alibabaText(b.text("ip_version")), EntryType: alibabaText(b.text("entry_type"))}
			if b.unknown("policy", "protocol", "port", "source_cidr_ip", "destination_cidr_ip", "ip_version") || b.v.isUnknown() {
				part.open[side(s.d)] = true
				continue
			}
			rule, v6, err := raw.rule(s.d)
			if err != nil {
				return res.errorf(fmt.Sprintf("%s[%d]", key, i), err)
			}
			count[v6]++
			rule.Rank = uint32(count[v6])
			res.mark(&rule)
			rule.Ref.Rule = s.d.String() + "-" + strconv.Itoa(count[v6])
			if v6 {
				rule.Ref.Rule += "-ipv6"
			}
			part.inline = append(part.inline, rule)
		}
	}
	filtered, known := a.blocks("resources")
	if !known && (res.isWritten("resources") || res.cloudID() != "") {
		r.missing = append(r.missing, policy.Missing{What: subnetsOf(acl.ID), Effect: "those that it filters are unknown until apply: there it is not replayed"})
	}
	for _, f := range filtered {
		if id := f.text("resource_id"); id != "" && (f.text("resource_type") == "" || strings.EqualFold(f.text("resource_type"), "VSwitch")) {
			acl.Subnets = append(acl.Subnets, id)
		}
	}
	return r.describeACL(res, a, acl, part)
}
