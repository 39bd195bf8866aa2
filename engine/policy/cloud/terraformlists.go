package cloud

import (
	"net/netip"
	"slices"

	"github.com/sgadvise/sgadvise/engine/policy"
)

// subnet reads a subnet or vSwitch.
func (r *tfReader) subnet(res *tfResource) error {
	r.depart(res, goneSubnet, "id", res.id())
	if res.gone {
		return nil
	}
	a := res.attributes()
	s := policy.Subnet{ID: res.id(), VPC: a.text("vpc_id")}
	for _, key := range []string{"cidr_block", "ipv6_cidr_block"} {
		text := a.text(key)
		if text == "" {
			continue
		}
		p, err := parsePrefix(text)
		if err != nil {
			return res.errorf(key, err)
		}
		s.Blocks = append(s.Blocks, p)
	}
	if s.Blocks = sortPrefixes(s.Blocks); len(s.Blocks) > 0 {
		r.subnets = append(r.subnets, located[policy.Subnet]{s, res.pos})
		r.subnetPlatforms[s.ID] = tfPlatform(res.typ).ID
	} else {
		r.missing = append(r.missing, policy.Missing{What: "subnet " + s.ID, Effect: "its address block is unknown until apply: its network ACL is not replayed"})
	}
	return a.failed()
}

// list reads a prefix list with the entries that are written at it.
func (r *tfReader) list(res *tfResource) error {
	r.depart(res, goneList, "id", res.id())
	if res.gone {
		return nil
	}
	a := res.attributes()
	l := policy.PrefixList{ID: res.id(), Name: a.label("name"), Known: true}
	if l.Name == "" {
		l.Name = a.label("prefix_list_name")
	}
	if n := a.number("max_entries"); n != nil {
		l.MaxEntries = max(*n, 0)
	}
	entries, known := a.blocks("entry")
	for _, e := range entries {
		if e.unknown("cidr") || e.v.isUnknown() {
			l.Known = false
			continue
		}
		p, err := parsePrefix(e.text("cidr"))
		if err != nil {
			return res.errorf("entry", err)
		}
		l.Entries = append(l.Entries, p)
	}
	if !known && res.isWritten("entry") {
		l.Known = false
	}
	l.Entries = sortPrefixes(l.Entries)
	r.lists = append(r.lists, located[policy.PrefixList]{l, res.pos})
	return a.failed()
}

// listEntry reads an entry of a prefix list that is a resource of its own.
func (r *tfReader) listEntry(res *tfResource) error {
	read := func(a tfAttributes, e tfEntry) error {
		e.changed = res.changed
		var known bool
		if e.list, known = a.oneID("prefix_list_id", tfLists); !known {
			r.missing = append(r.missing, policy.Missing{What: "effect of " + res.address, Effect: "its prefix list is unknown until apply: it is left out"})
			return a.failed()
		}
		if e.unknown = a.unknown("cidr"); !e.unknown {
			var err error
			if e.prefix, err = parsePrefix(a.text("cidr")); err != nil {
				return res.errorf("cidr", err)
			}
		}
		r.entries = append(r.entries, e)
		return a.failed()
	}
	if res.changed && !res.before.isNull() {
		if err := read(res.earlier(), tfEntry{removed: true}); err != nil {
			return err
		}
	}
	if res.gone {
		return nil
	}
	return read(res.attributes(), tfEntry{})
}

// buildLists joins lists with the entries that stand apart. A list that is kept
// elsewhere and loses or gains an entry is not known any more.
func (r *tfReader) buildLists() ([]policy.PrefixList, error) {
	lists, err := onlyOnce("prefix list", r.lists, func(l *policy.PrefixList) string { return l.ID }, formatList)
	if err != nil {
		return nil, err
	}
	for _, removed := range []bool{true, false} {
		for _, e := range r.entries {
			if e.removed != removed {
				continue
			}
			i := slices.IndexFunc(lists, func(l policy.PrefixList) bool { return l.ID == e.list })
			switch {
			case i < 0 && e.changed:
				lists = append(lists, policy.PrefixList{ID: e.list})
				r.missing = append(r.missing, policy.Missing{What: changedEntries(e.list), Effect: "Terraform changes some and does not keep the rest: rules that name the list are unknown"})
			case i < 0 || !lists[i].Known:
			case removed:
				lists[i].Entries = slices.DeleteFunc(slices.Clone(lists[i].Entries), func(p netip.Prefix) bool { return p == e.prefix })
			case e.unknown:
				lists[i].Known, lists[i].Entries = false, nil
			default:
				lists[i].Entries = append(lists[i].Entries, e.prefix)
			}
		}
	}
	for i := range lists {
		if lists[i].Entries = sortPrefixes(lists[i].Entries); !lists[i].Known {
			lists[i].Entries = nil
		}
	}
	return lists, nil
}

// changedEntries names the entries of a list that a plan changes in part.
func changedEntries(list string) string { return "entries of " + list }
