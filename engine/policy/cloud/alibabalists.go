package cloud

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sgadvise/sgadvise/engine/policy"
)

// alibabaListHead is an element of DescribePrefixLists, without entries.
type alibabaListHead struct {
	PrefixListID   string `json:"PrefixListId"`
	PrefixListName alibabaText
	MaxEntries     alibabaText
}

func (r *alibabaReader) readList(_ *alibabaPage, e element) error {
	var raw alibabaListHead
	if err := e.decode("prefix list", &raw); err != nil {
		return err
	}
	if raw.PrefixListID == "" {
		return e.pos.errorf("prefix list without PrefixListId: not of DescribePrefixLists")
	}
	r.lists = append(r.lists, located[policy.PrefixList]{policy.PrefixList{ID: raw.PrefixListID, Name: string(raw.PrefixListName),
		MaxEntries: entryCount(raw.MaxEntries)}, e.pos})
	return nil
}

func entryCount(t alibabaText) int {
	n, err := strconv.ParseUint(string(t), 10, 31)
	if err != nil {
		return 0
	}
	return int(n)
}

// beginEntries settles whose entries p holds, and of which kind: prefixes or ports.
func (r *alibabaReader) beginEntries(p *alibabaPage, es []element) (string, error) {
	id := p.list()
	if id == "" {
		return "", p.pos.errorf(`Entries of no known list: name the file after it (prl-0123.json), or wrap it as {"PortRangeListId": "prl-0123", "Entries": […]}`)
	}
	ports := strings.HasPrefix(id, "prl-")
	if len(es) > 0 {
		members, err := es[0].members()
		if err != nil {
			return "", err
		}
		ports = slices.ContainsFunc(members, func(m member) bool { return m.name == "portrange" })
	}
	if ports {
		if r.ports[id] == nil {
			r.ports[id] = []string{}
		}
		return id, nil
	}
	if r.entries[id] == nil {
		r.entries[id] = []netip.Prefix{}
	}
	r.lists = append(r.lists, located[policy.PrefixList]{policy.PrefixList{ID: id, Name: string(p.head["prefixlistname"]),
		MaxEntries: entryCount(p.head["maxentries"])}, p.pos})
	return id, nil
}

func (r *alibabaReader) readEntry(p *alibabaPage, e element) error {
	id := p.list()
	var raw struct{ Cidr, PortRange alibabaText }
	if err := e.decode("entry of "+id, &raw); err != nil {
		return err
	}
	if _, ports := r.ports[id]; ports {
		if _, err := alibabaPorts(string(raw.PortRange)); err != nil {
			return e.pos.errorf("%s: %w", id, err)
		}
		if !slices.Contains(r.ports[id], string(raw.PortRange)) {
			r.ports[id] = append(r.ports[id], string(raw.PortRange))
		}
		return nil
	}
	c, err := parsePrefix(string(raw.Cidr))
	if err != nil {
		return e.pos.errorf("%s: %w", id, err)
	}
	r.entries[id] = append(r.entries[id], c)
	return nil
}

// buildLists joins what the calls say of each prefix list.
func (r *alibabaReader) buildLists() ([]policy.PrefixList, error) {
	byID := make(map[string]*located[policy.PrefixList])
	for i := range r.lists {
		cur := &r.lists[i]
		old, ok := byID[cur.v.ID]
		if !ok {
			byID[cur.v.ID] = cur
			continue
		}
		if old.v.Name != "" && cur.v.Name != "" && old.v.Name != cur.v.Name {
			return nil, cur.pos.errorf("prefix list %s differs from the one at %s: exports of different times?", cur.v.ID, old.pos)
		}
		old.v.Name = max(old.v.Name, cur.v.Name)
		old.v.MaxEntries = max(old.v.MaxEntries, cur.v.MaxEntries)
	}
	out := make([]policy.PrefixList, 0, len(byID))
	for _, l := range byID {
		entries, known := r.entries[l.v.ID]
		l.v.Known, l.v.Entries = known, sortPrefixes(entries)
		out = append(out, l.v)
	}
	slices.SortFunc(out, func(a, b policy.PrefixList) int { return strings.Compare(a.ID, b.ID) })
	return out, nil
}

// alibabaFlowLog is an element of DescribeFlowLogs.
type alibabaFlowLog struct {
	FlowLogID            string `json:"FlowLogId"`
	ResourceID           string `json:"ResourceId"`
	ResourceType         alibabaText
	TrafficType          alibabaText
	TrafficPath          alibabaList[string]
	AggregationInterval  alibabaText // minutes
	IPVersion            alibabaText `json:"IpVersion"`
	LogFormat            alibabaText
	Status               alibabaText
	CreationTime         alibabaText
	FlowLogDeliverStatus alibabaText
	BusinessStatus       alibabaText
}

// alibabaTraffic are the traffic types by the words of the model.
var alibabaTraffic = map[string]string{"all": "ALL", "allow": "ACCEPT", "drop": "REJECT"}

func (r *alibabaReader) readFlowLog(_ *alibabaPage, e element) error {
	var raw alibabaFlowLog
	if err := e.decode("flow log", &raw); err != nil {
		return err
	}
	traffic := alibabaTraffic[strings.ToLower(string(raw.TrafficType))]
	switch t := strings.ToLower(string(raw.ResourceType)); {
	case raw.FlowLogID == "" || raw.ResourceID == "":
		return e.pos.errorf("flow log without FlowLogId or ResourceId")
	case t != "" && t != "networkinterface" && t != "vswitch" && t != "vpc":
		return nil // of something that has no groups
	case traffic == "":
		return e.pos.errorf("%s: TrafficType %q is none of All, Allow, Drop", raw.FlowLogID, raw.TrafficType)
	}
	created, err := alibabaTime("CreationTime", raw.CreationTime)
	if err != nil {
		return e.pos.errorf("%s: %w", raw.FlowLogID, err)
	}
	l := policy.FlowLog{ID: raw.FlowLogID, Resource: raw.ResourceID, Traffic: traffic, Format: string(raw.LogFormat), Created: created,
		// A log that is about to be active captures nothing yet.
		Inactive: raw.Status != "" && !strings.EqualFold(string(raw.Status), "Active") && !strings.EqualFold(string(raw.Status), "Modifying"),
		IPv4Only: strings.EqualFold(string(raw.IPVersion), "IPv4")}
	if n, err := strconv.ParseUint(string(raw.AggregationInterval), 10, 16); err == nil {
		l.Interval = time.Duration(n) * time.Minute
	}
	for _, p := range raw.TrafficPath.all {
		l.Paths = append(l.Paths, splitWords(p)...)
	}
	if l.Paths = sortStrings(l.Paths); slices.ContainsFunc(l.Paths, func(p string) bool { return strings.EqualFold(p, "all") }) {
		l.Paths = nil
	}
	for _, s := range []alibabaText{raw.BusinessStatus, raw.FlowLogDeliverStatus} {
		if t := strings.ToLower(string(s)); t != "" && t != "normal" && t != "success" {
			l.Failed = string(s)
		}
	}
	r.flowLogs = append(r.flowLogs, located[policy.FlowLog]{l, e.pos})
	return nil
}
