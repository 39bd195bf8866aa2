package cloud

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sgadvise/sgadvise/engine/policy"
)

// awsPlatform is what AWS does beside the rules. It is the platform of interfaces that
// name none. Exempt are the addresses that neither security groups nor network ACLs
// filter: instance metadata, the Amazon DNS server, time sync, ECS task metadata and
// Windows licence activation. The router's and the DNS server's addresses inside
// the VPC are exempt too, but not here: the same address is somebody's host in
// another network, and hiding that host's traffic would cost its rules their hits.
var awsPlatform = policy.Platform{Quota: 60, OpenUntracked: true, Exempt: []netip.Prefix{
	netip.MustParsePrefix("169.254.169.123/32"),
	netip.MustParsePrefix("169.254.169.250/32"),
	netip.MustParsePrefix("169.254.169.251/32"),
	netip.MustParsePrefix("169.254.169.253/32"),
	netip.MustParsePrefix("169.254.169.254/32"),
	netip.MustParsePrefix("169.254.170.2/32"),
	netip.MustParsePrefix("fd00:ec2::123/128"),
	netip.MustParsePrefix("fd00:ec2::253/128"),
	netip.MustParsePrefix("fd00:ec2::254/128"),
}}

// awsKind is one kind of export: the key it is under, lower case and without "_".
type awsKind struct {
	key  string
	name string // as in Input.Kind and Missing.What
	read func(*awsReader, *awsPage, element) error
}

var awsKinds = []awsKind{
	{"securitygroups", "security-groups", (*awsReader).readGroup},
	{"securitygrouprules", "security-group-rules", (*awsReader).readGroupRule},
	{"networkinterfaces", "network-interfaces", (*awsReader).readInterface},
	{"reservations", "instances", (*awsReader).readReservation},
	{"instances", "instances", (*awsReader).readInstance},
	{"networkacls", "network-acls", (*awsReader).readACL},
	{"subnets", "subnets", (*awsReader).readSubnet},
	{"prefixlists", "prefix-lists", (*awsReader).readList},
	{"entries", "prefix-list-entries", (*awsReader).readListEntry},
	{"flowlogs", "flow-logs", (*awsReader).readFlowLog},
}

// awsUnused are the keys of AWS exports that hold nothing about filters. A file
// with nothing else is ignored, not refused: people export whole accounts.
var awsUnused = map[string]bool{
	"addresses": true, "clusterinfolist": true, "clusters": true, "customergateways": true, "dbinstances": true,
	"domainstatuslist": true, "functions": true, "internetgateways": true, "launchconfigurations": true,
	"loadbalancerattributes": true, "loadbalancerdescriptions": true, "loadbalancerlisteners": true, "loadbalancers": true,
	"loadbalancertargethealth": true, "natgateways": true, "regions": true, "routetables": true,
	"securitygroupreferenceset": true, "securitygroupvpcassociations": true, "stalesecuritygroupset": true, "tags": true,
	"targetgroups": true, "tasks": true, "transitgateways": true, "transitgatewayattachments": true, "vpcendpoints": true,
	"vpcpeeringconnections": true, "vpcs": true, "vpnconnections": true, "vpngateways": true,
}

// awsPage is an object with the keys of exports: one reply of one call.
type awsPage struct {
	parts []awsPart
	list  string   // PrefixListId, or the key the page is under: whose Entries these are
	next  bool     // NextToken is set: there are further pages
	pos   position // of the object
}

type awsPart struct {
	kind     *awsKind
	elements []element
}

// awsPages finds the pages of f: at the top of each document or one level down, in
// the wrapper of another tool. known reports whether any AWS key was seen.
func awsPages(f *file) (pages []*awsPage, known bool, err error) {
	add := func(members []member, under string, next bool) error {
		p := &awsPage{next: next}
		if strings.HasPrefix(under, "pl-") {
			p.list = under
		}
		for _, m := range members {
			switch m.name {
			case "nexttoken":
				p.next = p.next || m.isToken()
				continue
			case "prefixlistid":
				if err := json.Unmarshal(m.raw, &p.list); err != nil {
					return m.pos.errorf("%s: not a string", m.key)
				}
				continue
			}
			i := slices.IndexFunc(awsKinds, func(k awsKind) bool { return k.key == m.name })
			if i < 0 {
				known = known || awsUnused[m.name]
				continue
			}
			es, ok, err := m.objects()
			if err != nil {
				return err
			}
			if ok && (m.name != "entries" || p.list != "" || hasCIDR(es)) {
				if p.parts == nil {
					p.pos = m.pos
				}
				p.parts = append(p.parts, awsPart{&awsKinds[i], es})
			}
		}
		if len(p.parts) > 0 {
			pages = append(pages, p)
		}
		return nil
	}
	for _, d := range f.docs {
		if err := add(d.members, "", false); err != nil {
			return nil, false, err
		}
		next := slices.ContainsFunc(d.members, func(m member) bool { return m.name == "nexttoken" && m.isToken() })
		for _, m := range d.members {
			inner, err := m.members()
			if err == nil {
				err = add(inner, m.key, next)
			}
			if err != nil {
				return nil, false, err
			}
		}
	}
	return pages, known || len(pages) > 0, nil
}

// isToken reports whether e, a NextToken, is set.
func (e element) isToken() bool { return string(e.raw) != "null" && string(e.raw) != `""` }

// objects returns the elements of an array of objects; ok is false for other values.
func (e element) objects() (es []element, ok bool, err error) {
	if len(e.raw) == 0 || e.raw[0] != '[' {
		return nil, false, nil
	}
	es, err = e.elements()
	return es, err == nil && (len(es) == 0 || es[0].raw[0] == '{'), err
}

func hasCIDR(es []element) bool {
	return len(es) > 0 && bytes.Contains(bytes.ToLower(es[0].raw), []byte(`"cidr"`))
}

func claimsAWS(f *file) (bool, error) {
	if !f.isJSON {
		return false, nil
	}
	// Keys like SecurityGroups are in both; what is in them tells.
	if other, err := claimsAlibaba(f); other || err != nil {
		return false, err
	}
	pages, known, err := awsPages(f)
	for _, p := range pages {
		for _, part := range p.parts {
			f.kinds = append(f.kinds, part.kind.name)
		}
	}
	f.pages = pages
	return known, err
}

// located is something with the place it was read from.
type located[T any] struct {
	v   T
	pos position
}

// awsReader gathers the pieces of all files before any snapshot is built: what a
// rule means depends on groups that may come later.
type awsReader struct {
	seen       map[string]bool // names of kinds
	pages      map[string][]*awsPage
	groups     []located[awsGroup]
	groupRules []located[awsGroupRule]
	interfaces []located[policy.Interface]
	ofInstance []located[policy.Interface] // as describe-instances has them
	acls       []located[policy.ACL]
	subnets    []located[policy.Subnet]
	lists      []located[policy.PrefixList]
	entries    map[string]located[[]netip.Prefix]
	flowLogs   []located[policy.FlowLog]
	votes      map[string]int // objects for each owner
	ambiguous  []string       // interfaces that instances describe in different ways
	nameless   int            // rules that describe-security-group-rules does not have
	plain      awsPlain
}

func newAWSReader() *awsReader {
	return &awsReader{seen: make(map[string]bool), pages: make(map[string][]*awsPage),
		entries: make(map[string]located[[]netip.Prefix]), votes: make(map[string]int)}
}

func readAWS(files []*file, s *policy.Snapshot) error {
	readers := make([]*awsReader, len(files))
	errs := make([]error, len(files))
	atOnce(len(files), func(i int) {
		readers[i] = newAWSReader()
		for _, p := range files[i].pages {
			if errs[i] = readers[i].readPage(p); errs[i] != nil {
				return
			}
		}
	})
	r := newAWSReader()
	for i := range files {
		if errs[i] != nil {
			return errs[i]
		}
		r.add(readers[i])
	}
	if err := r.complete(); err != nil {
		return err
	}
	return r.build(s)
}

// appendAll returns a with b behind it; b itself if a is empty.
func appendAll[T any](a, b []T) []T {
	if len(a) == 0 {
		return b
	}
	return append(a, b...)
}

// add adds what o read of later files.
func (r *awsReader) add(o *awsReader) {
	for kind := range o.seen {
		r.seen[kind] = true
	}
	for kind, pages := range o.pages {
		r.pages[kind] = append(r.pages[kind], pages...)
	}
	r.groups = appendAll(r.groups, o.groups)
	r.groupRules = appendAll(r.groupRules, o.groupRules)
	r.interfaces = append(r.interfaces, o.interfaces...)
	r.ofInstance = append(r.ofInstance, o.ofInstance...)
	r.acls = append(r.acls, o.acls...)
	r.subnets = append(r.subnets, o.subnets...)
	r.lists = append(r.lists, o.lists...)
	for list, theirs := range o.entries {
		ours, ok := r.entries[list]
		if !ok {
			ours.pos = theirs.pos
		}
		ours.v = append(ours.v, theirs.v...)
		r.entries[list] = ours
	}
	r.flowLogs = append(r.flowLogs, o.flowLogs...)
	for owner, n := range o.votes {
		r.votes[owner] += n
	}
}

func (r *awsReader) readPage(p *awsPage) error {
	for _, part := range p.parts {
		key := part.kind.name
		r.seen[key] = true
		if key == "prefix-list-entries" {
			if err := r.beginEntries(p); err != nil {
				return err
			}
			key += " of " + p.list
		}
		if n := len(r.pages[key]); n == 0 || r.pages[key][n-1] != p {
			r.pages[key] = append(r.pages[key], p)
		}
		switch n := len(part.elements); key { // the most there is of anything
		case "security-groups":
			r.groups = slices.Grow(r.groups, n)
		case "security-group-rules":
			r.groupRules = slices.Grow(r.groupRules, n)
		}
		for i, e := range part.elements {
			if e.raw[0] != '{' {
				return e.pos.errorf("%s[%d]: not an object", part.kind.name, i)
			}
			if err := part.kind.read(r, p, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// complete fails if every page of a kind says that there are more: then the last one
// is not here, and rules that are not read must not pass for rules that do not exist.
func (r *awsReader) complete() error {
	kinds := make([]string, 0, len(r.pages))
	for k := range r.pages {
		kinds = append(kinds, k)
	}
	slices.Sort(kinds)
	for _, k := range kinds {
		if !slices.ContainsFunc(r.pages[k], func(p *awsPage) bool { return !p.next }) {
			return r.pages[k][len(r.pages[k])-1].pos.errorf("%s: truncated export: NextToken left; fetch all pages", k)
		}
	}
	return nil
}

// build turns the pieces into s.
func (r *awsReader) build(s *policy.Snapshot) error {
	var err error
	keep := func(e error) {
		if err == nil {
			err = e
		}
	}
	groups, e := r.buildGroups()
	keep(e)
	acls, e := onlyOnce("network ACL", r.acls, func(a *policy.ACL) string { return a.ID }, formatACL)
	keep(e)
	keep(oneACLEach(acls))
	subnets, e := onlyOnce("subnet", r.subnets, func(a *policy.Subnet) string { return a.ID }, formatSubnet)
	keep(e)
	interfaces, e := r.buildInterfaces()
	keep(e)
	lists, e := r.buildLists()
	keep(e)
	logs, e := onlyOnce("flow log", r.flowLogs, func(l *policy.FlowLog) string { return l.ID }, formatFlowLog)
	keep(e)
	if err != nil {
		return err
	}
	s.Groups = append(s.Groups, groups...)
	s.ACLs = append(s.ACLs, acls...)
	s.Subnets = append(s.Subnets, subnets...)
	s.Interfaces = append(s.Interfaces, interfaces...)
	s.Lists = append(s.Lists, lists...)
	s.FlowLogs = append(s.FlowLogs, logs...)
	s.Platforms = append(s.Platforms, awsPlatform)
	r.nameMissing(s)
	return nil
}

// onlyOnce returns each object once, by id. Repeated pages and overlapping exports
// are fine; two that differ are not, because nobody could say which one holds.
func onlyOnce[T any](kind string, all []located[T], id func(*T) string, text func(*strings.Builder, *T)) ([]T, error) {
	type named struct {
		id string
		at int
	}
	order := make([]named, len(all))
	for i := range all {
		order[i] = named{id(&all[i].v), i}
	}
	slices.SortFunc(order, func(a, b named) int {
		return cmp.Or(strings.Compare(a.id, b.id), all[a.at].pos.compare(all[b.at].pos), cmp.Compare(a.at, b.at))
	})
	write := func(v *T) string {
		var b strings.Builder
		text(&b, v)
		return b.String()
	}
	out := make([]T, 0, len(all))
	var last *located[T]
	for i, o := range order {
		cur := &all[o.at]
		if i == 0 || order[i-1].id != o.id {
			out = append(out, cur.v)
			last = cur
			continue
		}
		if write(&last.v) != write(&cur.v) {
			return nil, cur.pos.errorf("%s %s differs from the one at %s: exports of different times?", kind, o.id, last.pos)
		}
	}
	return out, nil
}

// nameMissing names the kinds of exports that are not here. Those that came from
// another family's files count as here.
func (r *awsReader) nameMissing(s *policy.Snapshot) {
	for _, m := range []struct {
		what, effect string
		here         bool
	}{
		{"security-groups", "the rules of groups are not known", len(s.Groups) > 0 || r.seen["security-groups"]},
		{"security-groups", "names and VPCs of groups are not known, and groups without rules not listed",
			r.seen["security-groups"] || !r.seen["security-group-rules"]},
		{"security-group-rules", "rule ids are digests of the rules' own fields", !r.seen["security-groups"] || r.seen["security-group-rules"]},
		{"security-group-rules", fmt.Sprintf("%d rules are not in that export: their ids are digests; are the exports of the same time?", r.nameless),
			!r.seen["security-group-rules"] || r.nameless == 0},
		{"network-acls", "network ACLs are not replayed", len(s.ACLs) > 0 || r.seen["network-acls"]},
		{"subnets", "network ACLs are not replayed: traffic inside a subnet, which passes none, cannot be told from other traffic", len(s.Subnets) > 0 || r.seen["subnets"]},
		{"network-interfaces", "only the interfaces of instances are known: members of groups are incomplete, so rules that name a group are unknown",
			r.seen["network-interfaces"] || !r.seen["instances"]},
		{"network-interfaces", "members of groups, and what groups are attached to, are not known",
			len(s.Interfaces) > 0 || r.seen["network-interfaces"] || r.seen["instances"]},
		{"flow-logs", "it is not known whether accepted and rejected traffic are both logged (TrafficType)", len(s.FlowLogs) > 0 || r.seen["flow-logs"]},
		{"history", "rules and memberships are those of the export's moment; rule ages are not known", false},
	} {
		if !m.here {
			s.Missing = append(s.Missing, policy.Missing{What: m.what, Effect: m.effect})
		}
	}
	for _, id := range r.ambiguous {
		s.Missing = append(s.Missing, policy.Missing{What: "interface " + id, Effect: "several instances describe it in different ways: its records are not judged"})
	}
}

// awsTag is a tag of a resource.
type awsTag struct{ Key, Value string }

func tagValue(tags []awsTag, key string) string {
	for _, t := range tags {
		if t.Key == key {
			return t.Value
		}
	}
	return ""
}

// awsTime is a time as the command line and recorders of API replies write it; zero
// where it is not stated.
type awsTime struct{ time.Time }

func (t *awsTime) UnmarshalJSON(b []byte) error {
	if len(b) == 0 || b[0] != '"' {
		// Some recorders write times as objects or numbers; ages are then not known.
		return nil
	}
	var text string
	if err := json.Unmarshal(b, &text); err != nil || text == "" {
		return err
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02T15:04:05.999999999Z0700"} {
		if v, err := time.Parse(layout, text); err == nil {
			t.Time = v.UTC()
			return nil
		}
	}
	return fmt.Errorf("%q is not a time", text)
}
