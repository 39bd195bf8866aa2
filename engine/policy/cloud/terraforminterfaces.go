package cloud

import (
	"cmp"

	"github.com/sgadvise/sgadvise/engine/policy"
)

func (r *tfReader) awsInterface(res *tfResource) error {
	r.depart(res, goneInterface, "id", res.id())
	if res.gone {
		return nil
	}
	a := res.attributes()
	f := policy.Interface{ID: res.id(), Subnet: r.subnetOf(a, "subnet_id"), Account: a.text("owner_id"), Kind: a.text("interface_type"),
		Transit: a.v.at("source_dest_check").v == false}
	f.Role = roles[f.Kind]
	if f.Name = tagValue(a.tags(), "Name"); f.Name == "" {
		f.Name = a.label("description")
	}
	attachments, _ := a.blocks("attachment")
	for _, at := range attachments {
		f.Instance = at.text("instance")
	}
	f.Groups = groupsOf(a, "security_groups", tfAWSGroups)
	return r.addInterface(&r.interfaces, res, a, f, []string{"private_ip"}, []string{"private_ips", "ipv6_addresses"}, []string{"ipv4_prefixes", "ipv6_prefixes"})
}

// awsInstance reads the primary interface of an instance.
func (r *tfReader) awsInstance(res *tfResource) error {
	if len(res.before.at("network_interface").elements()) == 0 { // else it is a resource of its own
		r.depart(res, goneInterface, "primary_network_interface_id", cmp.Or(res.attributes().text("primary_network_interface_id"), res.id()))
	}
	if res.gone {
		return nil
	}
	a := res.attributes()
	f := policy.Interface{ID: a.text("primary_network_interface_id"), Instance: res.id(), Name: tagValue(a.tags(), "Name"), Subnet: r.subnetOf(a, "subnet_id"),
		Kind: "interface", Transit: a.v.at("source_dest_check").v == false}
	if f.ID == "" {
		if own, known := a.blocks("network_interface"); len(own) > 0 || !known && res.expression("network_interface") != nil {
			return a.failed() // an interface that is a resource of its own
		}
		f.ID = res.id()
	}
	f.Groups = groupsOf(a, "vpc_security_group_ids", tfAWSGroups)
	return r.addInterface(&r.primary, res, a, f, []string{"private_ip"}, []string{"secondary_private_ips", "ipv6_addresses"}, nil)
}

func (r *tfReader) alibabaInterface(res *tfResource) error {
	r.depart(res, goneInterface, "id", res.id())
	if res.gone {
		return nil
	}
	a := res.attributes()
	f := policy.Interface{ID: res.id(), Platform: alibabaPlatform.ID, Subnet: r.subnetOf(a, "vswitch_id"), Instance: a.text("instance_id"),
		Name: cmp.Or(a.label("network_interface_name"), a.label("name"), a.label("description"))}
	key := "security_group_ids"
	if a.v.at(key).isNull() {
		key = "security_groups"
	}
	f.Groups = groupsOf(a, key, tfAlibabaGroups)
	return r.addInterface(&r.interfaces, res, a, f, []string{"primary_ip_address", "private_ip"}, []string{"private_ip_addresses", "private_ips", "ipv6_addresses"},
		[]string{"ipv4_prefixes", "ipv6_prefixes"})
}

// alibabaInstance reads the primary interface of an instance.
func (r *tfReader) alibabaInstance(res *tfResource) error {
	r.depart(res, goneInterface, "network_interface_id", cmp.Or(res.attributes().text("network_interface_id"), res.id()))
	if res.gone {
		return nil
	}
	a := res.attributes()
	f := policy.Interface{ID: cmp.Or(a.text("network_interface_id"), res.id()), Instance: res.id(), Platform: alibabaPlatform.ID,
		Name: a.label("instance_name"), Subnet: r.subnetOf(a, "vswitch_id")}
	f.Groups = groupsOf(a, "security_groups", tfAlibabaGroups)
	return r.addInterface(&r.primary, res, a, f, []string{"primary_ip_address", "private_ip"}, []string{"secondary_private_ips", "ipv6_addresses"}, nil)
}

// unknownGroup names the group that stands for those that are unknown until apply; no
// group has that name, so what it allows is unknown.
func unknownGroup(res *tfResource) string { return "unknown-groups-of:" + res.address }

// groupsOf reads the groups that an interface carries.
func groupsOf(a tfAttributes, key string, wanted map[string]bool) []string {
	ids := a.manyIDs(key, key, wanted)
	if !ids.all {
		ids.ids = append(ids.ids, unknownGroup(a.r))
	}
	return sortStrings(ids.ids)
}

// subnetOf reads the subnet of an interface; empty if it cannot be told.
func (r *tfReader) subnetOf(a tfAttributes, key string) string {
	id, _ := a.oneID(key, tfSubnets)
	return id
}

// addInterface adds f with the addresses in attributes of one and of many, and the
// prefixes.
func (r *tfReader) addInterface(to *[]located[policy.Interface], res *tfResource, a tfAttributes, f policy.Interface, one, many, prefixes []string) error {
	var texts []string
	for _, key := range one {
		texts = append(texts, a.text(key))
	}
	for _, key := range many {
		texts = append(texts, a.texts(key)...)
	}
	for _, text := range texts {
		if text == "" {
			continue
		}
		addr, err := parseAddr(text)
		if err != nil {
			return res.errorf("addresses", err)
		}
		f.Addresses = append(f.Addresses, addr)
	}
	f.Addresses = sortAddresses(f.Addresses)
	for _, key := range prefixes {
		for _, text := range a.texts(key) {
			p, err := parsePrefix(text)
			if err != nil {
				return res.errorf(key, err)
			}
			f.Prefixes = append(f.Prefixes, p)
		}
	}
	f.Prefixes = sortPrefixes(f.Prefixes)
	*to = append(*to, located[policy.Interface]{f, res.pos})
	return a.failed()
}

// awsAttachment reads a group that is put on an interface by a resource of its own.
func (r *tfReader) awsAttachment(res *tfResource) error {
	return r.link(&r.attached, res, "security_group_id", "network_interface_id", tfAWSGroups, tfAWSNICs)
}

// link reads a resource that joins two others, now and before.
func (r *tfReader) link(to *[]tfLink, res *tfResource, from, at string, froms, ats map[string]bool) error {
	if res.changed && !res.before.isNull() {
		a := res.earlier()
		*to = append(*to, tfLink{from: a.text(from), to: a.text(at), removed: true, r: res})
	}
	if res.gone {
		return nil
	}
	a := res.attributes()
	x, okX := a.oneID(from, froms)
	y, okY := a.oneID(at, ats)
	if !okX || !okY {
		r.missing = append(r.missing, policy.Missing{What: "effect of " + res.address, Effect: "what it joins is unknown until apply: it is left out"})
		return a.failed()
	}
	*to = append(*to, tfLink{from: x, to: y, r: res})
	return a.failed()
}

// buildInterfaces joins interfaces with those of instances, and with the groups that
// resources of their own put on them.
func (r *tfReader) buildInterfaces() ([]policy.Interface, error) {
	id := func(f *policy.Interface) string { return f.ID }
	out, err := onlyOnce("network interface", r.interfaces, id, formatInterface)
	if err != nil {
		return nil, err
	}
	at := make(map[string]int)
	for i := range out {
		at[out[i].ID] = i
	}
	of, err := onlyOnce("network interface", r.primary, id, formatInterface)
	if err != nil {
		return nil, err
	}
	for _, f := range of {
		if i, ok := at[f.ID]; ok {
			out[i].Instance, out[i].Name = cmp.Or(out[i].Instance, f.Instance), cmp.Or(out[i].Name, f.Name)
			continue
		}
		at[f.ID] = len(out)
		out = append(out, f)
	}
	vpcs := make(map[string]string)
	for _, s := range r.subnets {
		vpcs[s.v.ID] = s.v.VPC
	}
	for i := range out {
		out[i].VPC = cmp.Or(out[i].VPC, vpcs[out[i].Subnet])
	}
	for _, removed := range []bool{true, false} {
		for _, l := range r.attached {
			i, ok := at[l.to]
			switch {
			case l.removed != removed:
			case !ok:
				r.missing = append(r.missing, policy.Missing{What: "effect of " + l.r.address, Effect: "the interface that it changes is not here: it is left out"})
			case removed:
				out[i].Groups = without(out[i].Groups, l.from)
			default:
				out[i].Groups = sortStrings(append(out[i].Groups, l.from))
			}
		}
	}
	return out, nil
}

// without returns a copy of all without one.
func without(all []string, one string) []string {
	var out []string
	for _, s := range all {
		if s != one {
			out = append(out, s)
		}
	}
	return out
}
