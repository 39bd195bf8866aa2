package cloud

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// The types of groups: basic and advanced, as people call them.
const (
	alibabaBasic    = "normal"
	alibabaAdvanced = "enterprise"
)

// alibabaGroup is an element of DescribeSecurityGroups, which knows the types of
// groups and none of their rules.
type alibabaGroup struct {
	SecurityGroupID   string `json:"SecurityGroupId"`
	SecurityGroupName alibabaText
	SecurityGroupType alibabaText
	Description       alibabaText
	VpcID             alibabaText `json:"VpcId"`
	ServiceManaged    alibabaText
}

// alibabaAttribute is what DescribeSecurityGroupAttribute says of a group, all pages.
type alibabaAttribute struct {
	name, description, vpc, inner string
	pos                           position
	rules                         []located[alibabaPermission]
}

func (r *alibabaReader) readGroup(_ *alibabaPage, e element) error {
	var g alibabaGroup
	if err := e.decode("security group", &g); err != nil {
		return err
	}
	if g.SecurityGroupID == "" {
		return e.pos.errorf("security group without SecurityGroupId: not of DescribeSecurityGroups")
	}
	r.groups = append(r.groups, located[alibabaGroup]{g, e.pos})
	return nil
}

// beginAttribute notes the group that p describes, a page of its rules, and returns its id.
func (r *alibabaReader) beginAttribute(p *alibabaPage) (string, error) {
	id := string(p.head["securitygroupid"])
	if id == "" && strings.HasPrefix(p.under, "sg-") {
		id = p.under
	}
	if id == "" {
		return "", p.pos.errorf("Permissions without SecurityGroupId: not of DescribeSecurityGroupAttribute")
	}
	a := &alibabaAttribute{name: string(p.head["securitygroupname"]), description: string(p.head["description"]),
		vpc: string(p.head["vpcid"]), inner: strings.ToLower(string(p.head["inneraccesspolicy"])), pos: p.pos}
	if a.inner == "" {
		a.inner = "accept"
	}
	if a.inner != "accept" && a.inner != "drop" {
		return "", p.pos.errorf("%s: InnerAccessPolicy %q is neither Accept nor Drop", id, p.head["inneraccesspolicy"])
	}
	old, ok := r.attributes[id]
	if !ok {
		r.attributes[id] = a
		return id, nil
	}
	if old.name != a.name || old.vpc != a.vpc || old.inner != a.inner {
		return "", p.pos.errorf("security group %s differs from the one at %s: exports of different times?", id, old.pos)
	}
	return id, nil
}

func (r *alibabaReader) readPermission(p *alibabaPage, e element) error {
	var raw alibabaPermission
	if err := e.decode("permission", &raw); err != nil {
		return err
	}
	id := cmp.Or(string(p.head["securitygroupid"]), p.under)
	a := r.attributes[id]
	a.rules = append(a.rules, located[alibabaPermission]{raw, e.pos})
	return nil
}

// buildGroups joins types and rules. A group whose rules are not here is left out: what
// is not known of it makes decisions unknown.
func (r *alibabaReader) buildGroups(interfaces []policy.Interface) ([]policy.Group, error) {
	typed, err := onlyOnce("security group", r.groups, func(g *alibabaGroup) string { return g.SecurityGroupID },
		func(b *strings.Builder, g *alibabaGroup) { fmt.Fprintf(b, "%q", *g) })
	if err != nil {
		return nil, err
	}
	types := make(map[string]*alibabaGroup, len(typed))
	rules := &alibabaRules{vpc: make(map[string]string), ports: r.ports}
	for i := range typed {
		g := &typed[i]
		types[g.SecurityGroupID] = g
		rules.vpc[g.SecurityGroupID] = string(g.VpcID)
		if r.attributes[g.SecurityGroupID] == nil {
			r.noRules = append(r.noRules, g.SecurityGroupID)
		}
	}
	ids := make([]string, 0, len(r.attributes))
	for id, a := range r.attributes {
		ids = append(ids, id)
		if t := types[id]; t != nil && t.VpcID != "" && a.vpc != "" && string(t.VpcID) != a.vpc {
			return nil, a.pos.errorf("security group %s: VpcId is %s, elsewhere %s: exports of different times?", id, a.vpc, t.VpcID)
		}
		rules.vpc[id] = cmp.Or(a.vpc, rules.vpc[id])
	}
	slices.Sort(ids)
	attached := make(map[string]bool)
	for i := range interfaces {
		for _, g := range interfaces[i].Groups {
			attached[g] = true
		}
	}
	var out []policy.Group
	for _, id := range ids {
		a := r.attributes[id]
		g := policy.Group{ID: id, Name: a.name, Description: a.description, VPC: rules.vpc[id]}
		if t := types[id]; t != nil {
			g.Name, g.Description = cmp.Or(g.Name, string(t.SecurityGroupName)), cmp.Or(g.Description, string(t.Description))
			g.Managed = t.ServiceManaged.yes()
			g.Kind = strings.ToLower(string(t.SecurityGroupType))
		}
		if g.Rules, err = rules.of(id, a.rules); err != nil {
			return nil, err
		}
		g.Unnamed = g.Kind != alibabaBasic
		switch g.Kind {
		case alibabaBasic:
			g.EgressOpen, g.Intra = true, a.inner == "accept"
		case alibabaAdvanced:
		default:
			r.untyped++
			g.Kind = ""
			g.Rules = append(g.Rules, unknownType(id, a.inner == "accept")...)
		}
		classic := g.VPC == "" && !attached[id]
		if classic {
			r.classic = append(r.classic, id)
		}
		for i := range g.Rules {
			g.Rules[i].Editable = !g.Managed && !classic && !g.Rules[i].Implicit
		}
		out = append(out, g)
	}
	r.noPorts = rules.unknown
	return out, nil
}

// unknownType returns what a group of unknown type may do besides its rules, if it is
// a basic one: let out what no rule matches, and let its members talk to one another
// where it does not isolate them.
func unknownType(id string, mayBeIntra bool) []policy.Rule {
	rule := func(name string, d flow.Direction, rank uint32) policy.Rule {
		return policy.Rule{Ref: policy.Ref{Owner: id, Rule: name}, Direction: d, Rank: rank, Action: policy.Allow, Implicit: true,
			Match: []policy.Match{policy.NewMatch(d, policy.AnyProto, netset.AllPorts, policy.AnyICMP, policy.AddrSet{Unknown: true})}}
	}
	out := []policy.Rule{rule("unknown-type:default", flow.Egress, math.MaxUint32)}
	if mayBeIntra {
		out = append(out, rule("unknown-type:members:ingress", flow.Ingress, 0), rule("unknown-type:members:egress", flow.Egress, 0))
	}
	return out
}
