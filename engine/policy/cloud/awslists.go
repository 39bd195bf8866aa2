package cloud

import (
	"cmp"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/engine/policy"
)

// awsSubnet is an element of describe-subnets.
type awsSubnet struct {
	SubnetID                    string `json:"SubnetId"`
	VpcID                       string `json:"VpcId"`
	OwnerID                     string `json:"OwnerId"`
	CidrBlock                   string
	Ipv6CidrBlockAssociationSet []struct {
		Ipv6CidrBlock      string
		Ipv6CidrBlockState struct{ State string }
	}
}

func (r *awsReader) readSubnet(_ *awsPage, e element) error {
	var raw awsSubnet
	if err := e.decode("subnet", &raw); err != nil {
		return err
	}
	if raw.SubnetID == "" {
		return e.pos.errorf("subnet without SubnetId: not of describe-subnets")
	}
	s := policy.Subnet{ID: raw.SubnetID, VPC: raw.VpcID}
	var blocks []string
	if raw.CidrBlock != "" { // IPv6-only subnets have none
		blocks = append(blocks, raw.CidrBlock)
	}
	for _, a := range raw.Ipv6CidrBlockAssociationSet {
		if state := a.Ipv6CidrBlockState.State; state != "disassociated" && state != "failed" {
			blocks = append(blocks, a.Ipv6CidrBlock)
		}
	}
	if len(blocks) == 0 {
		return e.pos.errorf("subnet %s has no address block", s.ID)
	}
	for _, b := range blocks {
		p, err := parsePrefix(b)
		if err != nil {
			return e.pos.errorf("%s: %w", s.ID, err)
		}
		s.Blocks = append(s.Blocks, p)
	}
	s.Blocks = sortPrefixes(s.Blocks)
	r.votes[raw.OwnerID]++
	r.subnets = append(r.subnets, located[policy.Subnet]{s, e.pos})
	return nil
}

// awsList is an element of describe-managed-prefix-lists, without Cidrs, or of
// describe-prefix-lists, with little else.
type awsList struct {
	PrefixListID   string `json:"PrefixListId"`
	PrefixListName string
	OwnerID        string `json:"OwnerId"`
	MaxEntries     int
	Cidrs          *[]string
}

func (r *awsReader) readList(_ *awsPage, e element) error {
	var raw awsList
	if err := e.decode("prefix list", &raw); err != nil {
		return err
	}
	if raw.PrefixListID == "" {
		return e.pos.errorf("prefix list without PrefixListId")
	}
	l := policy.PrefixList{ID: raw.PrefixListID, Name: raw.PrefixListName, MaxEntries: max(raw.MaxEntries, 0),
		Provider: raw.OwnerID == "AWS", Known: raw.Cidrs != nil}
	if raw.Cidrs != nil {
		for _, c := range *raw.Cidrs {
			p, err := parsePrefix(c)
			if err != nil {
				return e.pos.errorf("%s: %w", l.ID, err)
			}
			l.Entries = append(l.Entries, p)
		}
		l.Entries = sortPrefixes(l.Entries)
	}
	r.lists = append(r.lists, located[policy.PrefixList]{l, e.pos})
	return nil
}

// listInName finds the id of a prefix list in a file's name.
var listInName = regexp.MustCompile(`pl-[0-9a-f]+`)

// beginEntries settles whose entries the page holds: the reply of
// get-managed-prefix-list-entries does not say.
func (r *awsReader) beginEntries(p *awsPage) error {
	if p.list == "" {
		p.list = listInName.FindString(filepath.Base(p.pos.file.path))
	}
	if p.list == "" {
		return p.pos.errorf(`Entries of no known prefix list: name the file after it (pl-0123.json), or wrap it as {"PrefixListId": "pl-0123", "Entries": […]}`)
	}
	if _, ok := r.entries[p.list]; !ok {
		r.entries[p.list] = located[[]netip.Prefix]{pos: p.pos}
	}
	return nil
}

func (r *awsReader) readListEntry(page *awsPage, e element) error {
	var raw struct{ Cidr string }
	if err := e.decode("entry of "+page.list, &raw); err != nil {
		return err
	}
	c, err := parsePrefix(raw.Cidr)
	if err != nil {
		return e.pos.errorf("%s: %w", page.list, err)
	}
	l := r.entries[page.list]
	l.v = append(l.v, c)
	r.entries[page.list] = l
	return nil
}

// buildLists joins what the three calls say of each list. Entries come from
// get-managed-prefix-list-entries or, failing that, from describe-prefix-lists.
func (r *awsReader) buildLists() ([]policy.PrefixList, error) {
	byID := make(map[string]*located[policy.PrefixList])
	slices.SortStableFunc(r.lists, func(a, b located[policy.PrefixList]) int {
		return cmp.Or(strings.Compare(a.v.ID, b.v.ID), a.pos.compare(b.pos))
	})
	for i := range r.lists {
		cur := &r.lists[i]
		old, ok := byID[cur.v.ID]
		if !ok {
			byID[cur.v.ID] = cur
			continue
		}
		if old.v.Known && cur.v.Known && !slices.Equal(old.v.Entries, cur.v.Entries) ||
			old.v.Name != "" && cur.v.Name != "" && old.v.Name != cur.v.Name {
			return nil, cur.pos.errorf("prefix list %s differs from the one at %s: exports of different times?", cur.v.ID, old.pos)
		}
		if cur.v.Known {
			old.v.Known, old.v.Entries = true, cur.v.Entries
		}
		old.v.Name = max(old.v.Name, cur.v.Name)
		old.v.MaxEntries = max(old.v.MaxEntries, cur.v.MaxEntries)
		old.v.Provider = old.v.Provider || cur.v.Provider
	}
	for id, entries := range r.entries {
		l, ok := byID[id]
		if !ok {
			l = &located[policy.PrefixList]{v: policy.PrefixList{ID: id}}
			byID[id] = l
		}
		l.v.Known, l.v.Entries = true, sortPrefixes(entries.v)
	}
	out := make([]policy.PrefixList, 0, len(byID))
	for _, l := range byID {
		out = append(out, l.v)
	}
	slices.SortFunc(out, func(a, b policy.PrefixList) int { return strings.Compare(a.ID, b.ID) })
	return out, nil
}

// awsFlowLog is an element of describe-flow-logs.
type awsFlowLog struct {
	FlowLogID               string `json:"FlowLogId"`
	ResourceID              string `json:"ResourceId"`
	TrafficType             string
	LogFormat               string
	CreationTime            awsTime
	DeliverLogsStatus       string
	DeliverLogsErrorMessage string
}

func (r *awsReader) readFlowLog(_ *awsPage, e element) error {
	var raw awsFlowLog
	if err := e.decode("flow log", &raw); err != nil {
		return err
	}
	traffic := strings.ToUpper(raw.TrafficType)
	switch {
	case raw.FlowLogID == "" || raw.ResourceID == "":
		return e.pos.errorf("flow log without FlowLogId or ResourceId")
	case strings.HasPrefix(raw.ResourceID, "tgw-"):
		return nil // transit gateway logs are another kind, with no TrafficType
	case traffic != "ALL" && traffic != "ACCEPT" && traffic != "REJECT":
		return e.pos.errorf("%s: TrafficType %q is none of ALL, ACCEPT, REJECT", raw.FlowLogID, raw.TrafficType)
	}
	l := policy.FlowLog{ID: raw.FlowLogID, Resource: raw.ResourceID, Traffic: traffic, Format: raw.LogFormat,
		Created: raw.CreationTime.Time, Failed: raw.DeliverLogsErrorMessage}
	if l.Failed == "" && strings.EqualFold(raw.DeliverLogsStatus, "FAILED") {
		l.Failed = "delivery failed"
	}
	r.flowLogs = append(r.flowLogs, located[policy.FlowLog]{l, e.pos})
	return nil
}
