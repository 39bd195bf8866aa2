package cloud

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// tfReader gathers what the resources of all plans and states declare before any
// snapshot is built: a rule may stand apart from its group, in another state even.
type tfReader struct {
	owners     map[tfOwnerID]*tfOwner
	interfaces []located[policy.Interface]
	primary    []located[policy.Interface] // of instances, which may be described apart
	attached   []tfLink                    // group → interface, by resources of their own
	subnetACLs []tfLink                    // ACL → subnet, likewise
	subnets    []located[policy.Subnet]
	lists      []located[policy.PrefixList]
	entries    []tfEntry
	unplaced   []tfRule // rules whose group is unknown until apply
	platforms  []policy.Platform
	missing    []policy.Missing

	subnetPlatforms map[string]string // subnet → platform
}

// tfOwner is a group or an ACL as the resources see it.
type tfOwner struct {
	id      string
	acl     bool
	group   policy.Group // if it is a group
	list    policy.ACL   // if it is an ACL
	at      []located[string]
	alibaba bool
	fresh   bool // not there before apply
	// onlyOwn: the resource says nothing of rules that others made.
	onlyOwn bool
	// declared: the lists of a direction are written at the resource, so they are the
	// whole truth. Else they are what the cloud had when the state was refreshed, with
	// the rules of separate resources among them.
	declared [2]bool
	// blank: nothing says what the list of a direction will be.
	blank    [2]bool
	inline   []policy.Rule
	separate []policy.Rule
	removed  []policy.Rule
	// open: directions in which there may be rules that are not known.
	open [2]bool
}

// tfRule is a rule and the resource that declares it.
type tfRule struct {
	rule    policy.Rule
	r       *tfResource
	alibaba bool
}

// tfLink joins two things by a resource of its own.
type tfLink struct {
	from, to string
	removed  bool
	r        *tfResource
}

// tfEntry is an entry of a prefix list by a resource of its own.
type tfEntry struct {
	list    string
	prefix  netip.Prefix
	unknown bool
	removed bool
	changed bool
}

// tfOwnerID is the id of a group or ACL.
type tfOwnerID struct {
	id  string
	acl bool
}

// owner returns the group or ACL with this id.
func (r *tfReader) owner(id string, acl, alibaba bool) *tfOwner {
	key := tfOwnerID{id, acl}
	o := r.owners[key]
	if o == nil {
		o = &tfOwner{id: id, acl: acl, alibaba: alibaba}
		r.owners[key] = o
	}
	return o
}

// platform is the platform of o.
func (o *tfOwner) platform() policy.Platform {
	if o.alibaba {
		return alibabaPlatform
	}
	return awsPlatform
}

// platform notes that resources of the platform of a type are here.
func (r *tfReader) platform(typ string) {
	p := tfPlatform(typ)
	if !slices.ContainsFunc(r.platforms, func(q policy.Platform) bool { return q.ID == p.ID }) {
		r.platforms = append(r.platforms, p)
	}
}

// tfPlatform is the platform of a type of resources.
func tfPlatform(typ string) policy.Platform {
	if strings.HasPrefix(typ, "alicloud_") {
		return alibabaPlatform
	}
	return awsPlatform
}

// depart notes what a plan destroys: the object whose id was at key, with the id of what
// it makes in its place.
func (r *tfReader) depart(res *tfResource, kind, key, now string) {
	was, _ := res.before.at(key).v.(string)
	switch {
	case was == "":
	case res.gone:
		r.missing = append(r.missing, policy.Missing{What: departure{kind: kind, id: was}.what(), Effect: res.address + ": the plan destroys it"})
	case res.replaced && now != was:
		r.missing = append(r.missing, policy.Missing{What: departure{kind, was, now}.what(),
			Effect: "the plan destroys the one and makes the other: judged as if the other took its place everywhere"})
	}
}

// place gives a rule by a resource of its own to the owner that attribute names.
func (r *tfReader) place(res *tfResource, attribute string, wanted map[string]bool, acl, alibaba bool, now, before []policy.Rule) error {
	if res.changed && !res.before.isNull() {
		a := res.earlier()
		if id := a.text(attribute); id != "" {
			o := r.owner(id, acl, alibaba)
			o.removed = append(o.removed, before...)
		}
	}
	if res.gone {
		return nil
	}
	a := res.attributes()
	id, known := a.oneID(attribute, wanted)
	switch {
	case a.failed() != nil:
		return a.failed()
	case !known:
		for _, rule := range now {
			r.unplaced = append(r.unplaced, tfRule{rule, res, alibaba})
		}
		return nil
	case id == "":
		return res.errorf(attribute, fmt.Errorf("none"))
	}
	o := r.owner(id, acl, alibaba)
	for _, rule := range now {
		res.mark(&rule)
		o.separate = append(o.separate, rule)
	}
	return nil
}

// build turns the pieces into groups and ACLs, and joins them with what s holds.
func (r *tfReader) build(s *policy.Snapshot) error {
	owners := make([]*tfOwner, 0, len(r.owners))
	for _, o := range r.owners {
		owners = append(owners, o)
	}
	slices.SortFunc(owners, func(a, b *tfOwner) int { return cmp.Or(strings.Compare(a.id, b.id), compareBool(a.acl, b.acl)) })
	r.placeUnplaced(owners)
	var groups []policy.Group
	var acls []policy.ACL
	for _, o := range owners {
		if err := o.once(); err != nil {
			return err
		}
		rules := o.rules()
		r.nameUndeclared(o)
		if o.acl {
			o.list.ID, o.list.Rules = o.id, rules
			acls = append(acls, o.list)
		} else {
			o.group.ID, o.group.Rules = o.id, rules
			groups = append(groups, o.group)
		}
	}
	acls = r.linkACLs(acls)
	interfaces, err := r.buildInterfaces()
	if err != nil {
		return err
	}
	subnets, err := onlyOnce("subnet", r.subnets, func(a *policy.Subnet) string { return a.ID }, formatSubnet)
	if err != nil {
		return err
	}
	lists, err := r.buildLists()
	if err != nil {
		return err
	}
	d := &tfDeclared{groups: groups, acls: acls, interfaces: interfaces, subnets: subnets, lists: lists, owners: r.owners, platforms: r.platforms, missing: r.missing,
		subnetPlatforms: r.subnetPlatforms}
	d.join(s)
	return nil
}

// placeUnplaced gives the rules whose owner cannot be told to every owner that it can
// be: one that is not there yet. There they may match, for nobody knows.
func (r *tfReader) placeUnplaced(owners []*tfOwner) {
	slices.SortStableFunc(r.unplaced, func(a, b tfRule) int { return strings.Compare(a.r.address, b.r.address) })
	for _, u := range r.unplaced {
		isACL := strings.Contains(u.r.typ, "acl")
		n := 0
		for _, o := range owners {
			if o.fresh && o.acl == isACL && o.alibaba == u.alibaba {
				rule := u.rule
				rule.Match = slices.Clone(rule.Match)
				for i := range rule.Match {
					perhaps(&rule.Match[i])
				}
				u.r.mark(&rule)
				o.separate = append(o.separate, rule)
				n++
			}
		}
		r.missing = append(r.missing, policy.Missing{What: "owner of " + u.r.address,
			Effect: fmt.Sprintf("unknown until apply: what the rule would do is unknown in each of the %d that are to be made", n)})
	}
}

// once fails if resources that differ describe the same thing.
func (o *tfOwner) once() error {
	for _, at := range o.at[min(1, len(o.at)):] {
		if at.v != o.at[0].v {
			return at.pos.errorf("%s differs from what %s says of it: of different times?", o.id, o.at[0].pos)
		}
	}
	return nil
}

// described notes that resource res describes o, as text says.
func (o *tfOwner) describedBy(res *tfResource, text string) bool {
	o.at = append(o.at, located[string]{text, res.pos})
	return len(o.at) == 1
}

// undeclaredID names the rules that stand for those that nobody declares.
func undeclaredID(d flow.Direction, a policy.Action) string {
	return undeclaredPrefix + d.String() + "-" + a.String()
}

const undeclaredPrefix = "undeclared-"

// removedPrefix begins the ids of the rules that a plan takes away from an owner that it
// does not describe. They lead nowhere: no other rule is left to ask.
const removedPrefix = "removed-"

// rules returns the rules of o after the plan, in order.
func (o *tfOwner) rules() []policy.Rule {
	gone := make(map[string]bool)
	for i := range o.removed {
		gone[RuleDigest(&o.removed[i])] = true
	}
	var out []policy.Rule
	at := make(map[string]int)
	names := make(map[string]int)
	add := func(rule policy.Rule) {
		id := RuleDigest(&rule)
		if isUncertain(&rule) {
			// Two rules that are unknown are two rules, whatever is known of them.
			names[rule.Address]++
			id = rule.Address
			if n := names[rule.Address]; n > 1 {
				id = fmt.Sprintf("%s#%d", rule.Address, n)
			}
		} else if j, ok := at[id]; ok {
			combine(&out[j], &rule)
			return
		} else {
			at[id] = len(out)
		}
		if rule.Ref.Rule == "" {
			rule.Ref.Rule = id
		}
		rule.Ref.Owner = o.id
		out = append(out, rule)
	}
	// Rules by resources of their own first: where the same rule is at the group too,
	// the group only repeats it.
	for _, rule := range tfSortRules(o.separate) {
		delete(gone, RuleDigest(&rule))
		add(rule)
	}
	for _, rule := range tfSortRules(o.inline) {
		if !gone[RuleDigest(&rule)] || o.declared[side(rule.Direction)] {
			add(rule)
		}
	}
	for i := range out {
		out[i].Editable = o.acl || !o.group.Managed
	}
	return append(out, o.implicit(gone)...)
}

// implicit returns the rules that stand for what is not known, and, for an owner of
// which only a part is here, for what the plan takes away.
func (o *tfOwner) implicit(gone map[string]bool) []policy.Rule {
	var out []policy.Rule
	for _, d := range []flow.Direction{flow.Ingress, flow.Egress} {
		if len(o.at) > 0 && !o.open[side(d)] && !(o.blank[side(d)] && len(o.separate) == 0) {
			continue
		}
		actions := []policy.Action{policy.Allow}
		if o.acl || o.alibaba {
			actions = append(actions, policy.Deny)
		}
		for _, a := range actions {
			m := policy.NewMatch(d, policy.AnyProto, netset.AllPorts, policy.AnyICMP, policy.AddrSet{Unknown: true})
			out = append(out, policy.Rule{Ref: policy.Ref{Owner: o.id, Rule: undeclaredID(d, a)}, Direction: d, Action: a, Match: []policy.Match{m}, Implicit: true})
		}
	}
	if !o.isPart() {
		return out
	}
	var digests []string
	for id := range gone {
		digests = append(digests, id)
	}
	slices.Sort(digests)
	for _, id := range digests {
		i := slices.IndexFunc(o.removed, func(r policy.Rule) bool { return RuleDigest(&r) == id })
		rule := o.removed[i]
		rule.Ref = policy.Ref{Owner: o.id, Rule: removedPrefix + id}
		rule.Action, rule.Rank, rule.Implicit, rule.Editable = policy.Next, math.MaxUint32, true, false
		out = append(out, rule)
	}
	return out
}

// isPart reports whether the cloud may have rules of o that are not here.
func (o *tfOwner) isPart() bool { return len(o.at) == 0 || o.onlyOwn && !o.fresh }

// nameUndeclared names the owners of which only a part is here.
func (r *tfReader) nameUndeclared(o *tfOwner) {
	switch {
	case len(o.at) == 0:
		r.missing = append(r.missing, policy.Missing{What: undeclaredRules(o.id), Effect: "Terraform declares only some rules here: what others do is unknown"})
	case o.isPart():
		r.missing = append(r.missing, policy.Missing{What: undeclaredRules(o.id), Effect: "rules that Terraform does not manage are taken to be none"})
	}
}

// undeclaredRules names what is missing of a group or ACL of which there is only a part.
func undeclaredRules(id string) string { return "other rules of " + id }

// isUncertain reports whether r matches something perhaps because a part of it is
// unknown until apply.
func isUncertain(r *policy.Rule) bool {
	return slices.ContainsFunc(r.Match, func(m policy.Match) bool { return m.Remote.Unknown })
}

// tfSortRules orders rules by what they do, then by address.
func tfSortRules(rules []policy.Rule) []policy.Rule {
	out := slices.Clone(rules)
	slices.SortStableFunc(out, func(a, b policy.Rule) int {
		return cmp.Or(strings.Compare(substance(&a), substance(&b)), strings.Compare(a.Address, b.Address), strings.Compare(a.Ref.Rule, b.Ref.Rule))
	})
	return out
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func side(d flow.Direction) int {
	if d == flow.Egress {
		return 1
	}
	return 0
}
