package cloud

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// The types of resources whose ids others name.
var (
	tfAWSGroups = map[string]bool{"aws_security_group": true, "aws_default_security_group": true}
	tfAWSLists  = map[string]bool{"aws_ec2_managed_prefix_list": true}
	tfAWSACLs   = map[string]bool{"aws_network_acl": true, "aws_default_network_acl": true}
	tfSubnets   = map[string]bool{"aws_subnet": true, "alicloud_vswitch": true}
	tfAWSNICs   = map[string]bool{"aws_network_interface": true}
)

// tfSides are the directions with the attributes that hold their lists.
var tfSides = []struct {
	d   flow.Direction
	key string
}{{flow.Ingress, "ingress"}, {flow.Egress, "egress"}}

func (r *tfReader) awsGroup(res *tfResource) error {
	if res.typ == "aws_security_group" { // the provider only forgets a default one
		r.depart(res, goneGroup, "id", res.id())
	}
	if res.gone {
		return nil
	}
	a := res.attributes()
	g := policy.Group{ID: res.id(), Name: a.label("name"), Description: a.label("description"), VPC: a.text("vpc_id"), Account: a.text("owner_id"),
		Managed: isManaged(a.tags())}
	g.Default = res.typ == "aws_default_security_group" || g.Name == "default"
	o := r.owner(g.ID, false, false)
	part := tfOwner{fresh: res.cloudID() == ""}
	for _, s := range tfSides {
		blocks, known := a.blocks(s.key)
		part.declared[side(s.d)] = res.expression(s.key) != nil || res.alters(s.key)
		if !known {
			part.blank[side(s.d)] = !part.declared[side(s.d)]
			part.open[side(s.d)] = part.declared[side(s.d)]
		}
		for i, b := range blocks {
			rules, err := awsTFRules(b, res, g.ID, s.key, s.d)
			if failed := a.failed(); failed != nil {
				return failed
			}
			if err != nil {
				return res.errorf(fmt.Sprintf("%s[%d]", s.key, i), err)
			}
			part.inline = append(part.inline, rules...)
		}
	}
	if err := a.failed(); err != nil {
		return err
	}
	text := g
	text.Rules = tfSortRules(part.inline)
	var b strings.Builder
	formatGroup(&b, &text)
	if o.describedBy(res, b.String()) {
		o.group, o.fresh, o.declared, o.blank, o.open, o.inline = g, part.fresh, part.declared, part.blank, part.open, part.inline
	}
	return nil
}

// alters reports whether the plan changes this attribute, so that it is written at the
// resource and no mere copy of what the cloud had.
func (r *tfResource) alters(key string) bool {
	if !r.changed || r.before.isNull() || r.values.at(key).isUnknown() {
		return false
	}
	return fmt.Sprint(r.before.at(key).v) != fmt.Sprint(r.values.at(key).v)
}

// awsTFRules fans one block of rules out: one rule for each peer, as AWS has them. The
// attributes of the block are in the attribute at of the resource, or at its top if that
// is empty.
func awsTFRules(a tfAttributes, res *tfResource, group, at string, d flow.Direction) ([]policy.Rule, error) {
	protos, ports, icmp, certain, err := awsTFService(a, "protocol")
	if err != nil {
		return nil, err
	}
	sets, err := awsTFPeers(a, group, at)
	if err != nil {
		return nil, err
	}
	if !certain && len(sets) > 0 {
		sets = []policy.AddrSet{{Unknown: true}}
	}
	out := make([]policy.Rule, 0, len(sets))
	for _, set := range sets {
		out = append(out, policy.Rule{Ref: policy.Ref{Owner: group}, Direction: d, Action: policy.Allow, Description: a.label("description"),
			Match: []policy.Match{policy.NewMatch(d, protos, ports, icmp, set)}})
		res.mark(&out[len(out)-1])
	}
	return out, nil
}

// awsTFService reads protocol and ports. If a part is unknown until apply the rest is
// as wide as it may be, and nothing it matches is certain.
func awsTFService(a tfAttributes, protocol string) (protos policy.ProtoSet, ports netset.PortRange, icmp policy.TypeCode, certain bool, err error) {
	if a.unknown(protocol) {
		return policy.AnyProto, netset.AllPorts, policy.AnyICMP, false, nil
	}
	if a.unknown("from_port", "to_port") {
		protos, _, err = awsProtocol(a.text(protocol))
		return protos, netset.AllPorts, policy.AnyICMP, false, err
	}
	protos, ports, icmp, err = awsService(a.text(protocol), a.number("from_port"), a.number("to_port"))
	return protos, ports, icmp, true, err
}

// awsTFPeers reads the peers of a block in the style that has several.
func awsTFPeers(a tfAttributes, group, at string) ([]policy.AddrSet, error) {
	var out []policy.AddrSet
	unknown := false
	for _, key := range []string{"cidr_blocks", "ipv6_cidr_blocks"} {
		for _, text := range a.texts(key) {
			p, err := parsePrefix(text)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
			out = append(out, policy.AddrSet{Prefixes: []netip.Prefix{p}})
		}
		unknown = unknown || a.unknown(key)
	}
	for _, key := range []string{"prefix_list_ids", "security_groups"} {
		kind, wanted := policy.ListSet, tfAWSLists
		if key == "security_groups" {
			kind, wanted = policy.GroupSet, tfAWSGroups
		}
		ids := a.manyIDs(key, cmp.Or(at, key), wanted)
		for _, id := range ids.ids {
			out = append(out, policy.AddrSet{Refs: []policy.SetRef{tfReference(kind, id, "")}})
		}
		unknown = unknown || !ids.all
	}
	if a.flag("self") {
		out = append(out, policy.AddrSet{Refs: []policy.SetRef{tfReference(policy.GroupSet, group, "")}})
	}
	if unknown || a.unknown("self") {
		out = append(out, policy.AddrSet{Unknown: true})
	}
	return out, nil
}

// tfReference is a peer; groups of other accounts are written ACCOUNT/GROUP.
func tfReference(kind policy.SetKind, id, own string) policy.SetRef {
	ref := policy.SetRef{Kind: kind, ID: id}
	if account, group, ok := strings.Cut(id, "/"); ok && kind == policy.GroupSet && strings.HasPrefix(group, "sg-") {
		ref.ID = group
		if account != own {
			ref.Account = account
		}
	}
	return ref
}

// awsGroupRule reads a rule that is a resource of its own, of either style: the older
// one may be several rules of AWS.
func (r *tfReader) awsGroupRule(res *tfResource) error {
	var now, before []policy.Rule
	var err error
	if !res.gone {
		if now, err = awsTFRule(res, res.attributes()); err != nil {
			return err
		}
	}
	if res.changed && !res.before.isNull() {
		if before, err = awsTFRule(res, res.earlier()); err != nil {
			return err
		}
	}
	return r.place(res, "security_group_id", tfAWSGroups, false, false, now, before)
}

func awsTFRule(res *tfResource, a tfAttributes) ([]policy.Rule, error) {
	d := flow.Ingress
	var rules []policy.Rule
	var err error
	ruleID := ""
	switch res.typ {
	case "aws_security_group_rule":
		switch a.text("type") {
		case "ingress":
		case "egress":
			d = flow.Egress
		default:
			return nil, res.errorf("type", errors.New("neither ingress nor egress"))
		}
		group, _ := a.oneID("security_group_id", tfAWSGroups)
		if rules, err = awsTFRules(a, res, group, "", d); err == nil && !(len(rules) > 0 && a.unknown("source_security_group_id")) {
			var more []policy.Rule
			more, err = awsTFOne(a, res, d, "protocol", map[string]string{"source_security_group_id": "group"})
			rules = append(rules, more...)
		}
		if len(rules) == 1 {
			ruleID = a.text("security_group_rule_id")
		}
	default:
		if strings.Contains(res.typ, "egress") {
			d = flow.Egress
		}
		rules, err = awsTFOne(a, res, d, "ip_protocol", map[string]string{"cidr_ipv4": "cidr", "cidr_ipv6": "cidr", "prefix_list_id": "list", "referenced_security_group_id": "group"})
		if ruleID = a.text("id"); !strings.HasPrefix(ruleID, "sgr-") {
			ruleID = a.text("security_group_rule_id")
		}
	}
	if failed := a.failed(); failed != nil {
		return nil, failed
	}
	if err != nil {
		return nil, res.errorf("rule", err)
	}
	for i := range rules {
		rules[i].Ref.Rule = ruleID
	}
	return rules, nil
}

// awsTFOne reads the peers of a rule each of which has an attribute of its own: what
// kind of peer it is stands in kinds.
func awsTFOne(a tfAttributes, res *tfResource, d flow.Direction, protocol string, kinds map[string]string) ([]policy.Rule, error) {
	protos, ports, icmp, certain, err := awsTFService(a, protocol)
	if err != nil {
		return nil, err
	}
	var keys []string
	for key := range kinds {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	var out []policy.Rule
	for _, key := range keys {
		set, err := tfPeer(a, key, kinds[key])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		if set == nil {
			continue
		}
		if !certain {
			*set = policy.AddrSet{Unknown: true}
		}
		out = append(out, policy.Rule{Direction: d, Action: policy.Allow, Description: a.label("description"),
			Match: []policy.Match{policy.NewMatch(d, protos, ports, icmp, *set)}})
		res.mark(&out[len(out)-1])
	}
	return out, nil
}

// tfPeer reads an attribute that is one peer; nil if it is null.
func tfPeer(a tfAttributes, key, kind string) (*policy.AddrSet, error) {
	switch kind {
	case "cidr":
		text := a.text(key)
		if a.unknown(key) {
			return &policy.AddrSet{Unknown: true}, nil
		}
		if text == "" {
			return nil, nil
		}
		p, err := parsePrefix(text)
		return &policy.AddrSet{Prefixes: []netip.Prefix{p}}, err
	case "list":
		id, ok := a.oneID(key, tfLists)
		if !ok {
			return &policy.AddrSet{Unknown: true}, nil
		}
		if id == "" {
			return nil, nil
		}
		return &policy.AddrSet{Refs: []policy.SetRef{tfReference(policy.ListSet, id, "")}}, nil
	}
	id, ok := a.oneID(key, tfGroups)
	if !ok && a.r.maybeComputed(key) {
		return nil, nil
	}
	if !ok {
		return &policy.AddrSet{Unknown: true}, nil
	}
	if id == "" {
		return nil, nil
	}
	return &policy.AddrSet{Refs: []policy.SetRef{tfReference(policy.GroupSet, id, "")}}, nil
}

// tfGroups and tfLists are the groups and lists of every cloud.
var (
	tfGroups = map[string]bool{"aws_security_group": true, "aws_default_security_group": true, "alicloud_security_group": true}
	tfLists  = map[string]bool{"aws_ec2_managed_prefix_list": true, "alicloud_ecs_prefix_list": true}
)

// maybeComputed reports whether an unknown attribute is one that the provider fills in
// itself where the configuration leaves it out, and the configuration does.
func (r *tfResource) maybeComputed(key string) bool {
	return r.typ == "aws_security_group_rule" && r.doc.configOf(r.module) != nil && r.expression(key) == nil
}
