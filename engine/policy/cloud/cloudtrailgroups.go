package cloud

import (
	"encoding/json"
	"net/netip"
	"slices"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// trailRequest is what the calls on security groups ask for.
type trailRequest struct {
	GroupID              string `json:"groupId"`
	GroupName            string
	VpcID                string                      `json:"vpcId"`
	IPPermissions        trailItems[trailPermission] `json:"ipPermissions"`
	SecurityGroupRuleIDs json.RawMessage             `json:"securityGroupRuleIds"`

	// The old form: one permission, without a list.
	IPProtocol string `json:"ipProtocol"`
	FromPort   trailNumber
	ToPort     trailNumber
	CidrIP     string `json:"cidrIp"`
}

// trailPermission is one protocol and port range with all its peers.
type trailPermission struct {
	IPProtocol string `json:"ipProtocol"`
	FromPort   trailNumber
	ToPort     trailNumber
	Groups     trailItems[awsGroupPair]
	IPRanges   trailItems[struct {
		CidrIP string `json:"cidrIp"`
	}] `json:"ipRanges"`
	Ipv6Ranges    trailItems[struct{ CidrIpv6 string }]
	PrefixListIDs trailItems[struct {
		PrefixListID string `json:"prefixListId"`
	}] `json:"prefixListIds"`
}

func (p *trailPermission) peers() []awsPeer {
	var out []awsPeer
	for i := range p.Groups {
		out = append(out, awsPeer{group: &p.Groups[i]})
	}
	for _, c := range p.IPRanges {
		out = append(out, awsPeer{cidr: c.CidrIP})
	}
	for _, c := range p.Ipv6Ranges {
		out = append(out, awsPeer{cidr: c.CidrIpv6})
	}
	for _, l := range p.PrefixListIDs {
		out = append(out, awsPeer{list: l.PrefixListID})
	}
	return out
}

// trailRule is a rule with an id, as replies list them.
type trailRule struct {
	SecurityGroupRuleID string `json:"securityGroupRuleId"`
	GroupID             string `json:"groupId"`
	IsEgress            bool
	IPProtocol          string `json:"ipProtocol"`
	FromPort            trailNumber
	ToPort              trailNumber
	CidrIpv4            string
	CidrIpv6            string
	PrefixListID        string `json:"prefixListId"`
	ReferencedGroupInfo *awsGroupPair
	ReferencedGroupID   string `json:"referencedGroupId"`
}

func (t *trailRule) direction() flow.Direction {
	if t.IsEgress {
		return flow.Egress
	}
	return flow.Ingress
}

// ruleSet returns the rules that the reply lists; whole is false if it lists none.
func (e *trailEvent) ruleSet() (set []trailRule, whole bool) {
	var reply struct {
		SecurityGroupRuleSet        trailItems[trailRule]
		RevokedSecurityGroupRuleSet trailItems[trailRule]
	}
	if json.Unmarshal(e.ResponseElements, &reply) != nil {
		return nil, false
	}
	set = append(reply.SecurityGroupRuleSet, reply.RevokedSecurityGroupRuleSet...)
	return set, len(set) > 0
}

// rule builds the rule of a direction that t describes; ok is false if it does not say.
func (r *trailReader) rule(group string, d flow.Direction, t *trailRule) (policy.Rule, bool) {
	p := trailPermission{IPProtocol: t.IPProtocol, FromPort: t.FromPort, ToPort: t.ToPort}
	if t.ReferencedGroupInfo != nil {
		p.Groups = append(p.Groups, *t.ReferencedGroupInfo)
	} else if t.ReferencedGroupID != "" {
		p.Groups = append(p.Groups, awsGroupPair{GroupID: t.ReferencedGroupID})
	}
	peers := p.peers()
	if t.CidrIpv4 != "" {
		peers = append(peers, awsPeer{cidr: t.CidrIpv4})
	}
	if t.CidrIpv6 != "" {
		peers = append(peers, awsPeer{cidr: t.CidrIpv6})
	}
	if t.PrefixListID != "" {
		peers = append(peers, awsPeer{list: t.PrefixListID})
	}
	rules, ok := r.build(group, d, &p, peers)
	if !ok || len(rules) != 1 {
		return policy.Rule{}, false
	}
	rules[0].Ref.Rule = t.SecurityGroupRuleID
	return rules[0], true
}

// build fans a permission out; ok is false if it cannot be read.
func (r *trailReader) build(group string, d flow.Direction, p *trailPermission, peers []awsPeer) ([]policy.Rule, bool) {
	if p.IPProtocol == "" || len(peers) == 0 {
		return nil, false
	}
	rules, err := r.rules.rules(nil, group, d, p.IPProtocol, p.FromPort.v, p.ToPort.v, peers)
	for i := range rules {
		for _, m := range rules[i].Match {
			for k := range m.Remote.Refs {
				m.Remote.Refs[k].Dead = "" // it was alive when it was named
				m.Remote.Refs[k].Account = ""
			}
		}
	}
	return rules, err == nil
}

// permissions builds the rules that a request names; ok is false if they cannot be read.
func (r *trailReader) permissions(group string, d flow.Direction, q *trailRequest) (out []policy.Rule, ok bool) {
	list := q.IPPermissions
	if len(list) == 0 && q.IPProtocol != "" && q.CidrIP != "" {
		p := trailPermission{IPProtocol: q.IPProtocol, FromPort: q.FromPort, ToPort: q.ToPort}
		return r.build(group, d, &p, []awsPeer{{cidr: q.CidrIP}})
	}
	for i := range list {
		rules, ok := r.build(group, d, &list[i], list[i].peers())
		if !ok {
			return nil, false
		}
		out = append(out, rules...)
	}
	return out, len(out) > 0
}

// group returns the object that a call on a group is about, and what it asks; nil if it
// cannot be made out.
func (r *trailReader) group(e *trailEvent) (*object, *trailRequest) {
	var q trailRequest
	if json.Unmarshal(e.RequestParameters, &q) != nil {
		return nil, nil
	}
	if q.GroupID == "" {
		if set, ok := e.ruleSet(); ok {
			q.GroupID = set[0].GroupID
		}
	}
	if q.GroupID == "" && q.GroupName != "" {
		for i := range r.present().Groups {
			if g := &r.present().Groups[i]; g.Name == q.GroupName {
				if q.GroupID != "" {
					return nil, nil
				}
				q.GroupID = g.ID
			}
		}
	}
	if q.GroupID == "" {
		return nil, nil
	}
	return r.object(groupObject, q.GroupID), &q
}

// came and went note that a rule of o was made, or unmade.
func (o *object) came(e *trailEvent, rule policy.Rule) {
	o.change(e.at, e.order, rulePart(&rule), gone, rulesState([]policy.Rule{rule}))
}

func (o *object) went(e *trailEvent, rule policy.Rule) {
	o.change(e.at, e.order, rulePart(&rule), rulesState([]policy.Rule{rule}), gone)
}

func (r *trailReader) authorize(e *trailEvent) bool {
	o, q := r.group(e)
	if o == nil {
		return false
	}
	if set, ok := e.ruleSet(); ok {
		var rules []policy.Rule
		for i := range set {
			rule, ok := r.rule(o.id, e.direction(), &set[i])
			if !ok {
				o.wildly(e.at, e.order)
				return true
			}
			rules = append(rules, rule)
		}
		for _, rule := range rules {
			o.came(e, rule)
			r.knows(rule.Ref.Rule, e.at, rule)
		}
		return true
	}
	rules, ok := r.permissions(o.id, e.direction(), q)
	if !ok {
		o.wildly(e.at, e.order)
		return true
	}
	for _, rule := range rules {
		o.came(e, rule)
	}
	return true
}

func (r *trailReader) revoke(e *trailEvent) bool {
	o, q := r.group(e)
	if o == nil {
		return false
	}
	d := e.direction()
	if set, ok := e.ruleSet(); ok {
		for i := range set {
			if rule, ok := r.rule(o.id, d, &set[i]); ok {
				o.went(e, rule)
			} else if set[i].SecurityGroupRuleID != "" {
				r.wentByID(o, e, set[i].SecurityGroupRuleID)
			} else {
				o.wildly(e.at, e.order)
			}
		}
		return true
	}
	if ids := stringsWith(q.SecurityGroupRuleIDs, "sgr-"); len(ids) > 0 {
		for _, id := range ids {
			r.wentByID(o, e, id)
		}
		return true
	}
	rules, ok := r.permissions(o.id, d, q)
	if !ok {
		o.wildly(e.at, e.order)
		return true
	}
	// What was asked for and not there is listed in the reply.
	var reply struct{ UnknownIPPermissionSet trailItems[trailPermission] }
	_ = json.Unmarshal(e.ResponseElements, &reply) // a reply of another shape lists none
	var missed []string
	for i := range reply.UnknownIPPermissionSet {
		p := &reply.UnknownIPPermissionSet[i]
		rules, ok := r.build(o.id, d, p, p.peers())
		if !ok {
			o.wildly(e.at, e.order)
			return true
		}
		for k := range rules {
			missed = append(missed, rulePart(&rules[k]))
		}
	}
	for _, rule := range rules {
		if !slices.Contains(missed, rulePart(&rule)) {
			o.went(e, rule)
		}
	}
	return true
}

// wentByID notes that rule id, whose content the event does not say, was unmade.
func (r *trailReader) wentByID(o *object, e *trailEvent, id string) {
	if rule, ok := r.before(id, e.at); ok {
		o.went(e, rule)
		return
	}
	o.change(e.at, e.order, lostRulePart(id), there("", r.direction[id]), gone)
}

// modifyRules reads new contents of rules, whose ids stay. What they were before only
// an earlier event or snapshot can tell.
func (r *trailReader) modifyRules(e *trailEvent) bool {
	var q struct {
		Request struct {
			GroupID           string `json:"GroupId"`
			SecurityGroupRule trailItems[struct {
				SecurityGroupRuleID string `json:"SecurityGroupRuleId"`
				SecurityGroupRule   trailRule
			}]
		} `json:"ModifySecurityGroupRulesRequest"`
	}
	if json.Unmarshal(e.RequestParameters, &q) != nil || q.Request.GroupID == "" {
		return false
	}
	o := r.object(groupObject, q.Request.GroupID)
	if len(q.Request.SecurityGroupRule) == 0 {
		o.wildly(e.at, e.order)
		return true
	}
	for i := range q.Request.SecurityGroupRule {
		u := &q.Request.SecurityGroupRule[i]
		id := u.SecurityGroupRuleID
		d, known := r.direction[id]
		if !known {
			d, known = r.directionOf(o.id, &u.SecurityGroupRule)
		}
		rule, ok := r.rule(o.id, d, &u.SecurityGroupRule)
		if !known || !ok || id == "" {
			o.wildly(e.at, e.order)
			return true
		}
		rule.Ref.Rule = id
		old, ok := r.before(id, e.at)
		r.knows(id, e.at, rule)
		switch {
		case ok && rulePart(&old) == rulePart(&rule): // the description alone
		case ok:
			o.went(e, old)
			o.came(e, rule)
		default:
			o.change(e.at, e.order, lostRulePart(id), there("", d), gone)
			// It may have had this content already.
			o.change(e.at, e.order, rulePart(&rule), unsure, rulesState([]policy.Rule{rule}))
		}
	}
	return true
}

// directionOf finds the direction of a rule by its content: where a snapshot has the rule
// in one direction only.
func (r *trailReader) directionOf(group string, t *trailRule) (flow.Direction, bool) {
	var found []flow.Direction
	for _, d := range [2]flow.Direction{flow.Ingress, flow.Egress} {
		rule, ok := r.rule(group, d, t)
		if !ok {
			continue
		}
		for _, m := range r.snapshots {
			if g, ok := m.s.Group(group); ok && slices.ContainsFunc(g.Rules, func(x policy.Rule) bool { return rulePart(&x) == rulePart(&rule) }) {
				found = append(found, d)
				break
			}
		}
	}
	if len(found) != 1 {
		return flow.Ingress, false
	}
	return found[0], true
}

// createGroup reads the making of a group. The rule for all that leaves comes with it,
// and has no event of its own; one for IPv6 may.
func (r *trailReader) createGroup(e *trailEvent) bool {
	var reply struct {
		GroupID string `json:"groupId"`
	}
	var q trailRequest
	if json.Unmarshal(e.ResponseElements, &reply) != nil || reply.GroupID == "" || json.Unmarshal(e.RequestParameters, &q) != nil {
		return false
	}
	g := &policy.Group{ID: reply.GroupID, Name: q.GroupName, VPC: q.VpcID}
	parts := make(map[string]state)
	for _, block := range []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)} {
		rule := policy.Rule{Ref: policy.Ref{Owner: g.ID}, Direction: flow.Egress, Action: policy.Allow,
			Match: []policy.Match{policy.NewMatch(flow.Egress, policy.AnyProto, netset.AllPorts, policy.AnyICMP, policy.AddrSet{Prefixes: []netip.Prefix{block}})}}
		s := rulesState([]policy.Rule{rule})
		if block.Addr().Is6() {
			s = state{unknown, "", s.value}
		}
		parts[rulePart(&rule)] = s
	}
	r.object(groupObject, g.ID).born(e.at, e.order, groupState(g), parts)
	return true
}

func (r *trailReader) deleteGroup(e *trailEvent) bool {
	o, _ := r.group(e)
	if o == nil {
		return false
	}
	o.died(e.at, e.order)
	return true
}
