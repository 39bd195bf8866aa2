package cloud

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

func (r *tfReader) awsACL(res *tfResource) error {
	if res.typ == "aws_network_acl" { // the provider only forgets a default one
		r.depart(res, goneACL, "id", res.id())
	}
	if res.gone {
		return nil
	}
	a := res.attributes()
	acl := policy.ACL{ID: res.id(), VPC: a.text("vpc_id"), Default: res.typ == "aws_default_network_acl"}
	part := tfOwner{fresh: res.cloudID() == ""}
	for _, s := range tfSides {
		blocks, known := a.blocks(s.key)
		part.declared[side(s.d)] = res.expression(s.key) != nil || res.alters(s.key)
		if !known {
			part.blank[side(s.d)] = !part.declared[side(s.d)]
			part.open[side(s.d)] = part.declared[side(s.d)]
		}
		for i, b := range blocks {
			rule, ok, err := awsTFLine(b, res, acl.ID, s.d, "rule_no", "action")
			if failed := a.failed(); failed != nil {
				return failed
			}
			if err != nil {
				return res.errorf(fmt.Sprintf("%s[%d]", s.key, i), err)
			}
			if ok {
				part.inline = append(part.inline, rule)
			} else {
				part.open[side(s.d)] = true
			}
		}
	}
	subnets := a.manyIDs("subnet_ids", "subnet_ids", tfSubnets)
	if acl.Subnets = subnets.ids; !subnets.all && (res.isWritten("subnet_ids") || res.cloudID() != "") {
		r.missing = append(r.missing, policy.Missing{What: subnetsOf(acl.ID), Effect: "those that it filters are unknown until apply, in part: there it is not replayed"})
	}
	return r.describeACL(res, a, acl, part)
}

// subnetsOf names the subnets of an ACL.
func subnetsOf(acl string) string { return "subnets of " + acl }

// describeACL takes an ACL that a resource describes, and notes the subnets that the
// plan gives to it: other ACLs may still name them.
func (r *tfReader) describeACL(res *tfResource, a tfAttributes, acl policy.ACL, part tfOwner) error {
	if err := a.failed(); err != nil {
		return err
	}
	acl.Subnets = sortStrings(acl.Subnets)
	if res.changed && !res.before.isNull() && res.alters("subnet_ids") {
		was := res.earlier().texts("subnet_ids")
		for _, s := range acl.Subnets {
			if !slices.Contains(was, s) {
				r.subnetACLs = append(r.subnetACLs, tfLink{from: acl.ID, to: s, r: res})
			}
		}
	}
	text := acl
	text.Rules = tfSortRules(part.inline)
	var b strings.Builder
	formatACL(&b, &text)
	if o := r.owner(acl.ID, true, part.alibaba); o.describedBy(res, b.String()) {
		o.list, o.fresh, o.declared, o.blank, o.open, o.inline = acl, part.fresh, part.declared, part.blank, part.open, part.inline
	}
	return nil
}

func (r *tfReader) awsACLRule(res *tfResource) error {
	read := func(a tfAttributes) ([]policy.Rule, error) {
		sides := []flow.Direction{flow.Ingress, flow.Egress}
		if !a.unknown("egress") {
			sides = sides[:1]
			if a.flag("egress") {
				sides[0] = flow.Egress
			}
		}
		var out []policy.Rule
		for _, d := range sides {
			rules, err := awsTFLines(a, res, d)
			if failed := a.failed(); failed != nil {
				return nil, failed
			}
			if err != nil {
				return nil, res.errorf("rule", err)
			}
			out = append(out, rules...)
		}
		return out, nil
	}
	var now, before []policy.Rule
	var err error
	if !res.gone {
		if now, err = read(res.attributes()); err != nil {
			return err
		}
	}
	if res.changed && !res.before.isNull() {
		if before, err = read(res.earlier()); err != nil {
			return err
		}
	}
	return r.place(res, "network_acl_id", tfAWSACLs, true, false, now, before)
}

// awsTFLines reads a line of an ACL that is a resource of its own. One whose action is
// unknown until apply is two that match perhaps; one whose number is unknown matches
// perhaps in the first place, and one whose direction is unknown in both: then all that it
// may do, or leave to others, is possible.
func awsTFLines(a tfAttributes, res *tfResource, d flow.Direction) ([]policy.Rule, error) {
	number, action := a.unknown("rule_number"), a.unknown("rule_action")
	known := make(map[string]any)
	if m, ok := a.v.v.(map[string]any); ok {
		maps.Copy(known, m)
	}
	unknown := make(map[string]any)
	if m, ok := a.v.unknown.(map[string]any); ok {
		maps.Copy(unknown, m)
	}
	if number {
		known["rule_number"], unknown["rule_number"] = 0.0, false
	}
	actions := []any{known["rule_action"]}
	if action {
		actions, unknown["rule_action"] = []any{"allow", "deny"}, false
	}
	var out []policy.Rule
	for _, act := range actions {
		known["rule_action"] = act
		b := a
		b.v = tfValue{v: known, unknown: unknown}
		rule, _, err := awsTFLine(b, res, "", d, "rule_number", "rule_action")
		if err != nil {
			return nil, err
		}
		if number || action || a.unknown("egress") {
			rule.Ref.Rule = "" // it has no number of its own: its address is its id
			for i := range rule.Match {
				perhaps(&rule.Match[i])
			}
		}
		out = append(out, rule)
	}
	return out, nil
}

// awsTFLine reads a line of an ACL. ok is false if its number or action is unknown until
// apply: then anything may come before anything else.
func awsTFLine(a tfAttributes, res *tfResource, acl string, d flow.Direction, number, action string) (rule policy.Rule, ok bool, err error) {
	if a.unknown(number, action) {
		return rule, false, nil
	}
	entry := awsEntry{RuleNumber: a.number(number), Egress: d == flow.Egress, Protocol: a.text("protocol"), RuleAction: a.text(action),
		CidrBlock: a.text("cidr_block"), Ipv6CidrBlock: a.text("ipv6_cidr_block")}
	wide := a.unknown("protocol", "from_port", "to_port", "icmp_type", "icmp_code")
	uncertain := wide || a.unknown("cidr_block", "ipv6_cidr_block")
	if !wide {
		entry.PortRange = &struct{ From, To *int }{orZero(a.number("from_port")), orZero(a.number("to_port"))}
		entry.IcmpTypeCode = &struct{ Type, Code *int }{orZero(a.number("icmp_type")), orZero(a.number("icmp_code"))}
	} else if a.unknown("protocol") {
		entry.Protocol = "-1"
	}
	if uncertain && entry.CidrBlock == "" && entry.Ipv6CidrBlock == "" {
		entry.CidrBlock = netip.PrefixFrom(netip.IPv4Unspecified(), 0).String()
	}
	rule, err = entry.build(acl)
	if err != nil {
		return rule, false, err
	}
	if uncertain {
		for i := range rule.Match {
			perhaps(&rule.Match[i])
		}
	}
	res.mark(&rule)
	return rule, true, nil
}

// orZero is what the provider sends for a number that is left out.
func orZero(n *int) *int {
	if n == nil {
		return new(int)
	}
	return n
}

// awsACLAssociation reads an ACL that is given to a subnet by a resource of its own.
func (r *tfReader) awsACLAssociation(res *tfResource) error {
	return r.link(&r.subnetACLs, res, "network_acl_id", "subnet_id", tfAWSACLs, tfSubnets)
}

// linkACLs gives each subnet the one ACL it has after the plan. What resources of their
// own say goes before the lists of the ACLs, which may be those of before the plan.
func (r *tfReader) linkACLs(acls []policy.ACL) []policy.ACL {
	slices.SortStableFunc(r.subnetACLs, func(a, b tfLink) int { return strings.Compare(a.r.address, b.r.address) })
	take := func(subnet string, from string) {
		for i := range acls {
			if from == "" || acls[i].ID == from {
				acls[i].Subnets = slices.DeleteFunc(slices.Clone(acls[i].Subnets), func(s string) bool { return s == subnet })
			}
		}
	}
	for _, l := range r.subnetACLs {
		if l.removed {
			take(l.to, l.from)
		}
	}
	for _, l := range r.subnetACLs {
		if l.removed {
			continue
		}
		take(l.to, "")
		i := slices.IndexFunc(acls, func(a policy.ACL) bool { return a.ID == l.from })
		if i < 0 {
			r.missing = append(r.missing, policy.Missing{What: "network-acl " + l.from, Effect: "filters " + l.to + ", but its lines are not here: it is not replayed"})
			continue
		}
		acls[i].Subnets = append(acls[i].Subnets, l.to)
	}
	for i := range acls {
		acls[i].Subnets = sortStrings(acls[i].Subnets)
	}
	return acls
}
