package cloud

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sgadvise/sgadvise/engine/policy"
)

// alibabaPlatform is what Alibaba Cloud does beside the rules. The platform's services
// are in 100.64.0.0/10: groups admit them where no rule speaks, yet a rule that drops
// everything drops them too. Network ACLs leave the resolvers and the metadata service
// alone. The limit is the one of a group, the lower of the published ones; 1,000 rules
// may meet on an interface, whatever their groups. Rules that the system once made have
// priority 110, which nobody else can give.
var alibabaPlatform = policy.Platform{ID: "alibaba", Quota: 200, RankMin: 1, RankMax: 100, GroupsDeny: true, ACLOptional: true, NoSelfPeer: true,
	ACLExempt: []netip.Prefix{
		netip.MustParsePrefix("100.100.2.112/28"),
		netip.MustParsePrefix("100.100.2.128/28"),
		netip.MustParsePrefix("100.100.100.200/32"),
	},
	Admitted: []netip.Prefix{netip.MustParsePrefix("100.64.0.0/10")},
}

func claimsAlibaba(f *file) (bool, error) {
	if !f.isJSON {
		return false, nil
	}
	pages, known, err := alibabaPages(f)
	f.alibaba, f.kinds = pages, nil
	for _, p := range pages {
		for _, part := range p.parts {
			f.kinds = append(f.kinds, part.kind.name)
		}
	}
	return known, err
}

// alibabaReader gathers the pieces of all files before any snapshot is built: what a
// rule means depends on groups, and lists of ports, that may come later.
type alibabaReader struct {
	seen       map[string]bool // names of kinds
	turns      map[string][]alibabaTurn
	groups     []located[alibabaGroup]
	attributes map[string]*alibabaAttribute // by group
	interfaces []located[policy.Interface]
	instances  []located[alibabaInstance]
	acls       []located[policy.ACL]
	aclsNamed  map[string]bool // ACLs without their lines
	subnets    []located[policy.Subnet]
	aclOf      map[string]string // subnet → the ACL that it names
	lists      []located[policy.PrefixList]
	entries    map[string][]netip.Prefix
	ports      map[string][]string // port list → its ranges, as written
	flowLogs   []located[policy.FlowLog]

	untyped   int      // groups whose type is not known
	noRules   []string // groups whose rules are not here
	classic   []string // groups outside any VPC
	noPorts   []string // port lists that rules name and that are not here
	secondary int      // interfaces of instances whose groups are not known
}

func readAlibaba(files []*file, s *policy.Snapshot) error {
	r := &alibabaReader{seen: make(map[string]bool), turns: make(map[string][]alibabaTurn), attributes: make(map[string]*alibabaAttribute),
		aclsNamed: make(map[string]bool), aclOf: make(map[string]string), entries: make(map[string][]netip.Prefix), ports: make(map[string][]string)}
	for _, f := range files {
		for _, p := range f.alibaba {
			if err := r.readPage(p); err != nil {
				return err
			}
		}
	}
	if err := r.complete(); err != nil {
		return err
	}
	return r.build(s)
}

// build turns the pieces into s.
func (r *alibabaReader) build(s *policy.Snapshot) error {
	interfaces, err := r.buildInterfaces()
	if err != nil {
		return err
	}
	groups, err := r.buildGroups(interfaces)
	if err != nil {
		return err
	}
	subnets, err := onlyOnce("vSwitch", r.subnets, func(a *policy.Subnet) string { return a.ID }, formatSubnet)
	if err != nil {
		return err
	}
	acls, err := r.buildACLs()
	if err != nil {
		return err
	}
	lists, err := r.buildLists()
	if err != nil {
		return err
	}
	logs, err := onlyOnce("flow log", r.flowLogs, func(l *policy.FlowLog) string { return l.ID }, formatFlowLog)
	if err != nil {
		return err
	}
	s.Groups = append(s.Groups, groups...)
	s.ACLs = append(s.ACLs, acls...)
	s.Subnets = append(s.Subnets, subnets...)
	s.Interfaces = append(s.Interfaces, interfaces...)
	s.Lists = append(s.Lists, lists...)
	s.FlowLogs = append(s.FlowLogs, logs...)
	s.Platforms = append(s.Platforms, alibabaPlatform)
	r.nameMissing(s)
	return nil
}

// nameMissing names what the exports lack.
func (r *alibabaReader) nameMissing(s *policy.Snapshot) {
	miss := func(what, effect string) {
		s.Missing = append(s.Missing, policy.Missing{What: what, Effect: effect})
	}
	kinds := []struct {
		what, effect string
		here         bool
	}{
		{"security-groups", "the types of groups are not known: where no rule speaks, what leaves and what members send one another is unknown", r.untyped == 0},
		{"security-group-attributes", "the rules of groups are not known", r.seen["security-group-attributes"]},
		{"network-interfaces", "only the primary interfaces of instances are known: members of groups are incomplete, so rules that name a group are unknown",
			r.seen["network-interfaces"] || !r.seen["instances"]},
		{"network-interfaces", "members of groups, and what groups are attached to, are not known", r.seen["network-interfaces"] || r.seen["instances"]},
		{"network-interfaces", fmt.Sprintf("the groups of %d secondary interfaces are not known: their records are not judged", r.secondary), r.secondary == 0},
		{"network-acls", "network ACLs of vSwitches are not replayed", r.seen["network-acls"]},
		{"subnets", "network ACLs are not replayed: traffic inside a vSwitch, which passes none, cannot be told from other traffic", r.seen["subnets"]},
		{"flow-logs", "it is not known which traffic is logged (TrafficType, TrafficPath, IpVersion)", r.seen["flow-logs"]},
		{"history", "rules and memberships are those of the export's moment; the age of a rule is that of its creation", false},
	}
	for _, k := range kinds {
		if !k.here {
			miss(k.what, k.effect)
		}
	}
	if r.seen["security-group-attributes"] {
		for _, id := range r.noRules {
			miss("group "+id, "its rules, and whether its members may talk to one another, are not here: what it allows or drops is unknown")
		}
	}
	for _, id := range r.classic {
		miss("vpc of group "+id, "a group of the classic network is not judged")
	}
	for _, id := range sortStrings(r.noPorts) {
		miss("port-list "+id, "its ports are not here: rules that name it are unknown")
	}
	have := make(map[string]bool)
	for i := range s.ACLs {
		have[s.ACLs[i].ID] = true
	}
	var acls []string
	for id := range r.aclsNamed {
		acls = append(acls, id)
	}
	for _, id := range r.aclOf {
		acls = append(acls, id)
	}
	for _, id := range sortStrings(acls) {
		if !have[id] {
			miss("network-acl "+id, "its lines are not here: it is not replayed")
		}
	}
}

// alibabaText is a string that some replies write as a number or a truth value.
type alibabaText string

func (t *alibabaText) UnmarshalJSON(b []byte) error {
	switch {
	case string(b) == "null":
		return nil
	case b[0] == '"':
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*t = alibabaText(strings.TrimSpace(s))
		return nil
	case b[0] == '{' || b[0] == '[':
		return fmt.Errorf("%.40s is no text", b)
	}
	*t = alibabaText(b)
	return nil
}

// yes reports whether t is a truth value that holds.
func (t alibabaText) yes() bool { return strings.EqualFold(string(t), "true") }

// no reports whether t is a truth value that does not hold.
func (t alibabaText) no() bool { return strings.EqualFold(string(t), "false") }

// alibabaList is a list in its wrapper, {"Ipv6Set": […]}, or bare.
type alibabaList[T any] struct{ all []T }

func (l *alibabaList[T]) UnmarshalJSON(b []byte) error {
	if b[0] == '{' {
		var m map[string]json.RawMessage
		if err := json.Unmarshal(b, &m); err != nil {
			return err
		}
		if len(m) > 1 {
			return errors.New("a list whose wrapper has several keys")
		}
		b = nil
		for _, v := range m {
			b = v
		}
	}
	if len(b) == 0 || string(b) == "null" {
		return nil
	}
	err := json.Unmarshal(b, &l.all)
	var bad *json.UnmarshalTypeError
	if errors.As(err, &bad) { // its offset is that of the part
		return fmt.Errorf("%s: %s does not fit", bad.Field, bad.Value)
	}
	return err
}

// wrapped returns the elements of a list as replies have it: an object whose key inner
// holds an array, or the array alone; ok is false for anything else.
func (e element) wrapped(inner string) (es []element, bare, ok bool, err error) {
	members, err := e.members()
	if err != nil {
		return nil, false, false, err
	}
	if len(e.raw) > 0 && e.raw[0] == '[' {
		es, err = e.elements()
		return es, true, err == nil, err
	}
	i := slices.IndexFunc(members, func(m member) bool { return m.name == inner })
	if i < 0 || members[i].raw[0] != '[' {
		return nil, false, false, nil
	}
	es, err = members[i].elements()
	return es, false, err == nil, err
}

// alibabaTime reads a time as the calls write it; zero if there is none.
func alibabaTime(what string, t alibabaText) (time.Time, error) {
	if t == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02 15:04:05"} {
		if v, err := time.Parse(layout, string(t)); err == nil {
			return v.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%s: %q is not a time", what, string(t))
}
