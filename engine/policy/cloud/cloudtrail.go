package cloud

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// trailEvent is a CloudTrail record of a call of the EC2 API.
type trailEvent struct {
	EventTime         string
	EventSource       string
	EventName         string
	EventID           string `json:"eventID"`
	ErrorCode         string
	RequestParameters json.RawMessage
	ResponseElements  json.RawMessage

	at    int64
	order string
	pos   position
}

// trailCalls are the calls that change what a policy holds. Descriptions, tags and
// attachments of interfaces to instances change nothing that filters.
var trailCalls = map[string]func(*trailReader, *trailEvent) bool{
	"AuthorizeSecurityGroupIngress":   (*trailReader).authorize,
	"AuthorizeSecurityGroupEgress":    (*trailReader).authorize,
	"RevokeSecurityGroupIngress":      (*trailReader).revoke,
	"RevokeSecurityGroupEgress":       (*trailReader).revoke,
	"ModifySecurityGroupRules":        (*trailReader).modifyRules,
	"CreateSecurityGroup":             (*trailReader).createGroup,
	"DeleteSecurityGroup":             (*trailReader).deleteGroup,
	"CreateNetworkInterface":          (*trailReader).createInterface,
	"DeleteNetworkInterface":          (*trailReader).deleteInterface,
	"ModifyNetworkInterfaceAttribute": (*trailReader).modifyInterface,
	"RunInstances":                    (*trailReader).runInstances,
	"TerminateInstances":              (*trailReader).terminateInstances,
	"ModifyInstanceAttribute":         (*trailReader).modifyInstance,
	"AssignPrivateIpAddresses":        (*trailReader).assignAddresses,
	"AssignIpv6Addresses":             (*trailReader).assignAddresses,
	"UnassignPrivateIpAddresses":      (*trailReader).unassignAddresses,
	"UnassignIpv6Addresses":           (*trailReader).unassignAddresses,
	"ModifyManagedPrefixList":         (*trailReader).modifyList,
	"RestoreManagedPrefixListVersion": (*trailReader).restoreList,
	"CreateNetworkAcl":                (*trailReader).createACL,
	"DeleteNetworkAcl":                (*trailReader).deleteACL,
	"CreateNetworkAclEntry":           (*trailReader).createLine,
	"ReplaceNetworkAclEntry":          (*trailReader).replaceLine,
	"DeleteNetworkAclEntry":           (*trailReader).deleteLine,
	"ReplaceNetworkAclAssociation":    (*trailReader).moveSubnet,
}

// trailReader turns events into what is known of objects.
type trailReader struct {
	*pastBuilder
	rules     groupBuilder
	direction map[string]flow.Direction // of rules by id, from wherever it is known
	contents  map[string][]datedRule    // of rules by id, in order of time
	instances map[string][]string       // instance → its interfaces
	known     map[string]bool           // interfaces of which more is known than their end
	moves     []point                   // of subnets to network ACLs: after says to which
}

// datedRule is the content of a rule from a moment on.
type datedRule struct {
	at   int64
	rule policy.Rule
}

// addCloudTrail gathers what CloudTrail records say. Failed calls and dry runs, which
// have an error code, and calls without a reply changed nothing.
func (b *pastBuilder) addCloudTrail(records []record) error {
	var events []trailEvent
	for _, r := range records {
		var e trailEvent
		if err := r.decode("CloudTrail event", &e); err != nil {
			return err
		}
		if e.EventSource != "ec2.amazonaws.com" || trailCalls[e.EventName] == nil || e.ErrorCode != "" || string(e.ResponseElements) == "null" {
			continue
		}
		var err error
		if e.at, err = r.eventTime(e.EventTime); err != nil {
			return err
		}
		e.pos = r.pos
		if e.order = e.EventID; e.order == "" {
			e.order = e.EventName + string(e.RequestParameters) + string(e.ResponseElements)
		}
		events = append(events, e)
	}
	if len(events) == 0 {
		return nil
	}
	events = inOrder(events, func(e *trailEvent) int64 { return e.at }, func(e *trailEvent) string { return e.order })
	r := &trailReader{pastBuilder: b, rules: groupBuilder{account: make(map[string]string)}, direction: make(map[string]flow.Direction),
		contents: make(map[string][]datedRule), instances: make(map[string][]string), known: make(map[string]bool)}
	r.prepare(events)
	for i := range events {
		if !trailCalls[events[i].EventName](r, &events[i]) {
			b.unplaced++
		}
	}
	r.moveSubnets()
	return nil
}

// prepare learns what the snapshots know of rules and interfaces by their ids, and the
// direction of every rule that an event names.
func (r *trailReader) prepare(events []trailEvent) {
	for _, m := range r.snapshots {
		for _, rule := range m.s.Rules() {
			if strings.HasPrefix(rule.Ref.Rule, "sgr-") {
				r.direction[rule.Ref.Rule] = rule.Direction
				r.knows(rule.Ref.Rule, m.at, *rule)
			}
		}
		for i := range m.s.Interfaces {
			f := &m.s.Interfaces[i]
			r.belongs(f.Instance, f.ID)
		}
	}
	for i := range events {
		set, _ := events[i].ruleSet()
		for k := range set {
			r.direction[set[k].SecurityGroupRuleID] = set[k].direction()
		}
		var q trailRequest
		if strings.HasPrefix(events[i].EventName, "Revoke") && json.Unmarshal(events[i].RequestParameters, &q) == nil {
			for _, id := range stringsWith(q.SecurityGroupRuleIDs, "sgr-") {
				r.direction[id] = events[i].direction()
			}
		}
	}
}

// belongs notes that instance has interface id, of which more than its end is known.
func (r *trailReader) belongs(instance, id string) {
	r.known[id] = true
	if instance != "" && !slices.Contains(r.instances[instance], id) {
		r.instances[instance] = append(r.instances[instance], id)
	}
}

// knows notes the content of a rule from t on.
func (r *trailReader) knows(id string, t int64, rule policy.Rule) {
	if id != "" {
		list := append(r.contents[id], datedRule{t, rule})
		slices.SortStableFunc(list, func(a, b datedRule) int {
			switch {
			case a.at < b.at:
				return -1
			case a.at > b.at:
				return 1
			}
			return 0
		})
		r.contents[id] = list
	}
}

// before returns the content that rule id had when something happened to it at t.
func (r *trailReader) before(id string, t int64) (policy.Rule, bool) {
	list := r.contents[id]
	for i := len(list) - 1; i >= 0; i-- {
		switch {
		case list[i].at == t:
			return policy.Rule{}, false // two changes in a second: which was first is not known
		case list[i].at < t:
			return list[i].rule, true
		}
	}
	return policy.Rule{}, false
}

// direction returns the direction of the rules that a call is about.
func (e *trailEvent) direction() flow.Direction {
	if strings.HasSuffix(e.EventName, "Egress") {
		return flow.Egress
	}
	return flow.Ingress
}

// trailItems is a list as CloudTrail writes it: {"items": [...]}, {} if it is empty; an
// array, or the only element itself, in some calls.
type trailItems[T any] []T

func (l *trailItems[T]) UnmarshalJSON(raw []byte) error {
	raw = bytes.TrimSpace(raw)
	switch {
	case len(raw) == 0 || raw[0] == 'n' || raw[0] == '"':
		return nil
	case raw[0] == '[':
		return json.Unmarshal(raw, (*[]T)(l))
	}
	var wrap struct{ Items, Item, Member json.RawMessage }
	if err := json.Unmarshal(raw, &wrap); err != nil {
		return err
	}
	for _, inner := range [3]json.RawMessage{wrap.Items, wrap.Item, wrap.Member} {
		if len(inner) > 0 {
			return l.UnmarshalJSON(inner)
		}
	}
	if string(raw) == "{}" {
		return nil
	}
	var one T
	if err := json.Unmarshal(raw, &one); err != nil {
		return err
	}
	*l = append(*l, one)
	return nil
}

// trailNumber is a number, or a text that is one.
type trailNumber struct{ v *int }

func (n *trailNumber) UnmarshalJSON(raw []byte) error {
	if string(raw) == "null" || string(raw) == `""` {
		return nil
	}
	v, err := strconv.Atoi(strings.Trim(string(raw), `"`))
	n.v = &v
	return err
}

// stringsWith returns the texts in raw, at whatever depth, that start with prefix.
func stringsWith(raw json.RawMessage, prefix string) []string {
	var out []string
	eachString(raw, func(s string) {
		if strings.HasPrefix(s, prefix) {
			out = append(out, s)
		}
	})
	return out
}

// eachString calls f with every text in raw, at whatever depth, keys of objects aside.
// Texts that hold JSON are looked into.
func eachString(raw json.RawMessage, f func(string)) {
	var v any
	if json.Unmarshal(raw, &v) == nil {
		walkStrings(v, f)
	}
}

func walkStrings(v any, f func(string)) {
	switch v := v.(type) {
	case string:
		if t := strings.TrimSpace(v); strings.HasPrefix(t, "{") || strings.HasPrefix(t, "[") {
			var inner any
			if json.Unmarshal([]byte(t), &inner) == nil {
				walkStrings(inner, f)
				return
			}
		}
		f(v)
	case []any:
		for _, x := range v {
			walkStrings(x, f)
		}
	case map[string]any:
		for _, k := range sortedKeys(v) {
			walkStrings(v[k], f)
		}
	}
}

func sortedKeys[T any](m map[string]T) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
