package cloud

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/engine/policy"
)

// trailInterface is a network interface in a reply.
type trailInterface struct {
	NetworkInterfaceID string `json:"networkInterfaceId"`
	SubnetID           string `json:"subnetId"`
	VpcID              string `json:"vpcId"`
	OwnerID            string `json:"ownerId"`
	InterfaceType      string
	RequesterManaged   bool
	SourceDestCheck    *bool
	GroupSet           trailItems[awsGroupPair]
	PrivateIPAddress   string          `json:"privateIpAddress"`
	PrivateIPAddresses json.RawMessage `json:"privateIpAddressesSet"`
	Ipv6Addresses      json.RawMessage `json:"ipv6AddressesSet"`
	Ipv4Prefixes       json.RawMessage `json:"ipv4PrefixSet"`
	Ipv6Prefixes       json.RawMessage `json:"ipv6PrefixSet"`
}

// made notes that an interface was made; ok is false if the reply does not say enough.
func (r *trailReader) made(e *trailEvent, t *trailInterface, instance string) bool {
	if t.NetworkInterfaceID == "" {
		return false
	}
	f := &policy.Interface{ID: t.NetworkInterfaceID, VPC: t.VpcID, Subnet: t.SubnetID, Account: t.OwnerID, Instance: instance,
		Kind: t.InterfaceType, Role: roles[t.InterfaceType], RequesterManaged: t.RequesterManaged,
		Transit: t.SourceDestCheck != nil && !*t.SourceDestCheck}
	for _, g := range t.GroupSet {
		f.Groups = append(f.Groups, g.GroupID)
	}
	f.Groups = sortStrings(f.Groups)
	parts := map[string]state{groupsPart: carriedState(f)}
	add := func(text string) {
		if p, err := parsePrefix(text); err == nil {
			name := p.String()
			if !strings.Contains(text, "/") {
				name = p.Addr().String()
			}
			parts[addressPart(name)] = there("", p)
		}
	}
	add(t.PrivateIPAddress)
	for _, raw := range [4]json.RawMessage{t.PrivateIPAddresses, t.Ipv6Addresses, t.Ipv4Prefixes, t.Ipv6Prefixes} {
		for _, text := range addressesIn(raw) {
			add(text)
		}
	}
	if a, err := parseAddr(t.PrivateIPAddress); err == nil {
		f.Addresses = []netip.Addr{a}
	}
	r.object(interfaceObject, f.ID).born(e.at, e.order, interfaceState(f), parts)
	r.belongs(instance, f.ID)
	return true
}

// addressesIn returns the private addresses and prefixes in raw, whatever keys they are
// under; public ones that belong to an address are left out.
func addressesIn(raw json.RawMessage) []string {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return nil
	}
	var out []string
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			if _, err := parsePrefix(v); err == nil {
				out = append(out, v)
			}
		case []any:
			for _, x := range v {
				walk(x)
			}
		case map[string]any:
			for _, k := range sortedKeys(v) {
				if k != "association" {
					walk(v[k])
				}
			}
		}
	}
	walk(v)
	return sortStrings(out)
}

func (r *trailReader) createInterface(e *trailEvent) bool {
	var reply struct{ NetworkInterface trailInterface }
	return json.Unmarshal(e.ResponseElements, &reply) == nil && r.made(e, &reply.NetworkInterface, "")
}

func (r *trailReader) runInstances(e *trailEvent) bool {
	var reply struct {
		InstancesSet trailItems[struct {
			InstanceID          string `json:"instanceId"`
			NetworkInterfaceSet trailItems[trailInterface]
		}]
	}
	if json.Unmarshal(e.ResponseElements, &reply) != nil {
		return false
	}
	ok := true
	for i := range reply.InstancesSet {
		instance := &reply.InstancesSet[i]
		for k := range instance.NetworkInterfaceSet {
			f := &instance.NetworkInterfaceSet[k]
			if r.known[f.NetworkInterfaceID] && r.existed(f.NetworkInterfaceID, e.at) {
				continue // it was there before, and was given to the instance
			}
			ok = r.made(e, f, instance.InstanceID) && ok
		}
	}
	return ok
}

// existed reports whether an earlier event or snapshot has interface id.
func (r *trailReader) existed(id string, t int64) bool {
	if o := r.objects[objectKey{interfaceObject, id}]; o != nil && len(o.births) > 0 {
		return true
	}
	return slices.ContainsFunc(r.snapshots, func(m moment) bool {
		_, ok := m.s.Interface(id)
		return ok && m.at <= t
	})
}

// ended notes the end of interface id. If nothing else is known of it, it may have been
// a member of any group until then.
func (r *trailReader) ended(e *trailEvent, id string) {
	if !r.known[id] {
		r.lost = max(r.lost, e.at)
		return
	}
	r.object(interfaceObject, id).died(e.at, e.order)
}

func (r *trailReader) deleteInterface(e *trailEvent) bool {
	id := e.interfaceID()
	if id == "" {
		return false
	}
	r.ended(e, id)
	return true
}

func (r *trailReader) terminateInstances(e *trailEvent) bool {
	ids := stringsWith(e.RequestParameters, "i-")
	for _, instance := range ids {
		if len(r.instances[instance]) == 0 {
			r.lost = max(r.lost, e.at)
		}
		for _, id := range r.instances[instance] {
			if _, stays := r.present().Interface(id); !stays {
				r.ended(e, id)
			}
		}
	}
	return len(ids) > 0
}

// interfaceID returns the interface that a request is about.
func (e *trailEvent) interfaceID() string {
	var q struct {
		NetworkInterfaceID string `json:"networkInterfaceId"`
	}
	if json.Unmarshal(e.RequestParameters, &q) == nil && q.NetworkInterfaceID != "" {
		return q.NetworkInterfaceID
	}
	if ids := sortStrings(stringsWith(e.RequestParameters, "eni-")); len(ids) == 1 {
		return ids[0]
	}
	return ""
}

// groupSet returns the groups that a request sets, nil if it sets none.
func (e *trailEvent) groupSet() *policy.Interface {
	var q struct{ GroupSet, Groups trailItems[awsGroupPair] }
	if json.Unmarshal(e.RequestParameters, &q) != nil {
		return nil
	}
	f := new(policy.Interface)
	for _, g := range append(q.GroupSet, q.Groups...) {
		if g.GroupID != "" {
			f.Groups = append(f.Groups, g.GroupID)
		}
	}
	if f.Groups = sortStrings(f.Groups); f.Groups == nil {
		return nil
	}
	return f
}

// setsGroups reports whether a request names groups in any form.
func (e *trailEvent) setsGroups() bool {
	return len(stringsWith(e.RequestParameters, "sg-")) > 0
}

func (r *trailReader) modifyInterface(e *trailEvent) bool {
	if !e.setsGroups() {
		return true // another attribute
	}
	id := e.interfaceID()
	if id == "" {
		return false
	}
	after := unsure
	if f := e.groupSet(); f != nil {
		after = carriedState(f)
	}
	r.object(interfaceObject, id).change(e.at, e.order, groupsPart, unsure, after)
	return true
}

// modifyInstance reads new groups of an instance, which are those of its first interface.
// Which of several that is, no export says.
func (r *trailReader) modifyInstance(e *trailEvent) bool {
	if !e.setsGroups() {
		return true
	}
	instances := sortStrings(stringsWith(e.RequestParameters, "i-"))
	f := e.groupSet()
	if len(instances) != 1 {
		return false
	}
	ids := r.instances[instances[0]]
	for _, id := range ids {
		after := unsure
		if len(ids) == 1 && f != nil {
			after = carriedState(f)
		}
		r.object(interfaceObject, id).change(e.at, e.order, groupsPart, unsure, after)
	}
	return true // of an instance that is gone, its end says enough
}

func (r *trailReader) assignAddresses(e *trailEvent) bool {
	id := e.interfaceID()
	if id == "" {
		return false
	}
	var q struct{ AllowReassignment bool }
	if json.Unmarshal(e.RequestParameters, &q) == nil && q.AllowReassignment {
		r.lost = max(r.lost, e.at) // any other interface may have had it before
	}
	o := r.object(interfaceObject, id)
	texts := addressesIn(e.ResponseElements)
	if len(texts) == 0 {
		texts = addressesIn(e.RequestParameters)
	}
	if len(texts) == 0 {
		o.moved = append(o.moved, point{at: e.at, order: e.order})
		return true
	}
	o.addresses(e, texts, true)
	return true
}

func (r *trailReader) unassignAddresses(e *trailEvent) bool {
	id := e.interfaceID()
	if id == "" {
		return false
	}
	r.object(interfaceObject, id).addresses(e, addressesIn(e.RequestParameters), false)
	return true
}

// addresses notes that o was given, or lost, addresses.
func (o *object) addresses(e *trailEvent, texts []string, given bool) {
	for _, text := range texts {
		p, err := parsePrefix(text)
		if err != nil {
			continue
		}
		name := p.String()
		if !strings.Contains(text, "/") {
			name = p.Addr().String()
		}
		if given {
			o.change(e.at, e.order, addressPart(name), gone, there("", p))
		} else {
			o.change(e.at, e.order, addressPart(name), there("", p), gone)
		}
	}
}

// modifyList reads entries that a managed prefix list gained and lost. An entry that is
// added may have been there: then its description changed.
func (r *trailReader) modifyList(e *trailEvent) bool {
	params := element{e.RequestParameters, e.pos}
	members, err := params.members()
	if err == nil && len(members) == 1 && members[0].name == "modifymanagedprefixlistrequest" {
		members, err = members[0].members()
	}
	if err != nil {
		return false
	}
	id := ""
	var added, removed []string
	odd := false
	for _, m := range members {
		switch m.name {
		case "prefixlistid":
			_ = json.Unmarshal(m.raw, &id) // checked below
		case "addentry", "addentries":
			added = append(added, addressesIn(m.raw)...)
			odd = odd || len(added) == 0
		case "removeentry", "removeentries":
			removed = append(removed, addressesIn(m.raw)...)
			odd = odd || len(removed) == 0
		case "currentversion", "prefixlistname", "maxentries", "dryrun":
		default:
			odd = true
		}
	}
	if id == "" {
		return false
	}
	o := r.object(listObject, id)
	if odd {
		o.wildly(e.at, e.order)
		return true
	}
	for _, text := range added {
		p, _ := parsePrefix(text)
		o.change(e.at, e.order, entryPart(p), state{unknown, "", p}, there("", p))
		o.values[entryPart(p)] = p
	}
	for _, text := range removed {
		p, _ := parsePrefix(text)
		o.change(e.at, e.order, entryPart(p), there("", p), gone)
	}
	return true
}

func (r *trailReader) restoreList(e *trailEvent) bool {
	ids := sortStrings(stringsWith(e.RequestParameters, "pl-"))
	for _, id := range ids {
		r.object(listObject, id).wildly(e.at, e.order)
	}
	return len(ids) > 0
}

// trailLine is what the calls on lines of network ACLs ask for.
type trailLine struct {
	NetworkACLID string `json:"networkAclId"`
	ACLProtocol  string `json:"aclProtocol"`
	awsEntry
}

func (r *trailReader) line(e *trailEvent) (o *object, part string, q *trailLine) {
	q = new(trailLine)
	if json.Unmarshal(e.RequestParameters, q) != nil || q.NetworkACLID == "" || q.RuleNumber == nil || *q.RuleNumber < 0 || *q.RuleNumber > 65535 {
		return nil, "", nil
	}
	if q.Protocol == "" {
		q.Protocol = q.ACLProtocol
	}
	d := (&trailRule{IsEgress: q.Egress}).direction()
	return r.object(aclObject, q.NetworkACLID), linePart(d, uint32(*q.RuleNumber)), q
}

func (r *trailReader) createLine(e *trailEvent) bool { return r.setLine(e, gone) }

func (r *trailReader) replaceLine(e *trailEvent) bool { return r.setLine(e, unsure) }

func (r *trailReader) setLine(e *trailEvent, before state) bool {
	o, part, q := r.line(e)
	if o == nil {
		return false
	}
	after := unsure
	if rule, err := q.build(o.id); err == nil {
		after = lineState([]policy.Rule{rule})
	}
	o.change(e.at, e.order, part, before, after)
	return true
}

func (r *trailReader) deleteLine(e *trailEvent) bool {
	o, part, _ := r.line(e)
	if o == nil {
		return false
	}
	o.change(e.at, e.order, part, unsure, gone)
	return true
}

func (r *trailReader) createACL(e *trailEvent) bool {
	ids := sortStrings(stringsWith(e.ResponseElements, "acl-"))
	if len(ids) != 1 {
		return false
	}
	r.object(aclObject, ids[0]).born(e.at, e.order, there("", &policy.ACL{ID: ids[0]}), nil)
	return true
}

func (r *trailReader) deleteACL(e *trailEvent) bool {
	ids := sortStrings(stringsWith(e.RequestParameters, "acl-"))
	for _, id := range ids {
		r.object(aclObject, id).died(e.at, e.order)
	}
	return len(ids) > 0
}

// moveSubnet reads that some subnet got another network ACL. Neither the subnet nor the
// ACL it had is named.
func (r *trailReader) moveSubnet(e *trailEvent) bool {
	ids := sortStrings(stringsWith(e.RequestParameters, "acl-"))
	if len(ids) != 1 {
		return false
	}
	r.moves = append(r.moves, point{at: e.at, order: e.order, after: there(ids[0], ids[0])})
	return true
}

// moveSubnets works out which subnets the moves may have been about: those that had the
// ACL afterwards, as far as is known.
func (r *trailReader) moveSubnets() {
	if len(r.moves) == 0 {
		return
	}
	subnets := make(map[string]bool)
	for _, m := range r.snapshots {
		for i := range m.s.ACLs {
			for _, id := range m.s.ACLs[i].Subnets {
				subnets[id] = true
			}
		}
	}
	for _, id := range sortedKeys(subnets) {
		o := r.object(subnetObject, id)
		next := len(r.snapshots) - 1 // the snapshot that tells what came after
		right := unsure
		for i := len(r.moves) - 1; i >= 0; i-- {
			move := r.moves[i]
			for next >= 0 && r.snapshots[next].at >= move.at {
				if c, ok := contentsOf(r.snapshots[next].s, o.objectKey); ok {
					right = gone
					if s, ok := c.parts[aclPart]; ok {
						right = s
					}
				}
				next--
			}
			switch {
			case right.same(move.after):
				o.change(move.at, move.order, aclPart, unsure, move.after)
			case right.kind == unknown:
				o.change(move.at, move.order, aclPart, unsure, unsure)
			default:
				continue // it had another one
			}
			right = unsure
		}
	}
}
