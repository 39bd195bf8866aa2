package cloud

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/engine/policy"
)

// actionEvent is an ActionTrail record. Of what a call changed, only the ids that it
// names are read: what an object was before is then not known.
type actionEvent struct {
	at    int64
	order string
	name  string
	ids   []string // texts of the event that look like ids
	named bool     // a parameter of the call is about security groups
}

// actionCalls are the calls that change what a policy holds, of the services Ecs and
// Vpc. ModifySecurityGroupAttribute is not among them: it changes names.
var actionCalls = map[string]func(*pastBuilder, *actionEvent) bool{
	"CreateSecurityGroup":             (*pastBuilder).actionCreateGroup,
	"DeleteSecurityGroup":             (*pastBuilder).actionDeleteGroup,
	"AuthorizeSecurityGroup":          (*pastBuilder).actionGroup,
	"AuthorizeSecurityGroupEgress":    (*pastBuilder).actionGroup,
	"RevokeSecurityGroup":             (*pastBuilder).actionGroup,
	"RevokeSecurityGroupEgress":       (*pastBuilder).actionGroup,
	"ModifySecurityGroupRule":         (*pastBuilder).actionGroup,
	"ModifySecurityGroupEgressRule":   (*pastBuilder).actionGroup,
	"ModifySecurityGroupPolicy":       (*pastBuilder).actionGroup,
	"ModifyPortRangeList":             (*pastBuilder).actionPortList,
	"ModifyPrefixList":                (*pastBuilder).actionList,
	"JoinSecurityGroup":               (*pastBuilder).actionMember,
	"LeaveSecurityGroup":              (*pastBuilder).actionMember,
	"ModifyInstanceAttribute":         (*pastBuilder).actionMember,
	"ModifyNetworkInterfaceAttribute": (*pastBuilder).actionMember,
	"UpdateNetworkAclEntries":         (*pastBuilder).actionACL,
}

// addActionTrail gathers what ActionTrail records say. Failed calls changed nothing.
func (b *pastBuilder) addActionTrail(records []record) error {
	var events []actionEvent
	for _, r := range records {
		e, at, ok := readAction(r)
		if !ok {
			continue
		}
		var err error
		if e.at, err = r.eventTime(at); err != nil {
			return err
		}
		events = append(events, e)
	}
	events = inOrder(events, func(e *actionEvent) int64 { return e.at }, func(e *actionEvent) string { return e.order })
	for i := range events {
		if !actionCalls[events[i].name](b, &events[i]) {
			b.unplaced++
		}
	}
	return nil
}

// readAction reads an event in any of the forms it is kept in: as it is, under "event",
// or with its keys flattened to "event.…". ok is false if it changed nothing of use.
func readAction(r record) (e actionEvent, at string, ok bool) {
	var v any
	if json.Unmarshal(r.raw, &v) != nil {
		return e, "", false
	}
	service, failed, id := "", false, ""
	var walk func(key string, v any)
	walk = func(key string, v any) {
		if text, ok := v.(string); ok {
			if t := strings.TrimSpace(text); strings.HasPrefix(t, "{") || strings.HasPrefix(t, "[") {
				var inner any
				if json.Unmarshal([]byte(t), &inner) == nil {
					v = inner
				}
			}
		}
		switch v := v.(type) {
		case map[string]any:
			for _, k := range sortedKeys(v) {
				walk(strings.TrimPrefix(key+"."+keyName(k), "."), v[k])
			}
		case []any:
			for _, x := range v {
				walk(key, x)
			}
		case string:
			switch strings.TrimPrefix(key, "event.") {
			case "eventname":
				e.name = v
			case "servicename":
				service = strings.ToLower(v)
			case "eventtime":
				at = v
			case "errorcode":
				failed = failed || v != ""
			case "eventid":
				id = v
			default:
				e.ids = append(e.ids, v)
			}
			e.named = e.named || strings.Contains(key, "securitygroup")
		}
	}
	walk("", v)
	if e.order = id; id == "" {
		e.order = e.name + string(r.raw)
	}
	e.ids = sortStrings(e.ids)
	return e, at, actionCalls[e.name] != nil && !failed && (service == "ecs" || service == "vpc")
}

// with returns the ids that start with prefix.
func (e *actionEvent) with(prefix string) []string {
	return slices.DeleteFunc(slices.Clone(e.ids), func(s string) bool {
		return !strings.HasPrefix(s, prefix) || strings.ContainsAny(s, " /:")
	})
}

func (b *pastBuilder) actionGroup(e *actionEvent) bool {
	ids := e.with("sg-")
	for _, id := range ids {
		// A rule may name another group as its peer: which of them was changed is not known.
		b.object(groupObject, id).wildly(e.at, e.order)
	}
	return len(ids) > 0
}

func (b *pastBuilder) actionCreateGroup(e *actionEvent) bool {
	ids := e.with("sg-")
	for _, id := range ids {
		o := b.object(groupObject, id)
		o.self = append(o.self, point{e.at, gone, unsure, e.order})
	}
	return len(ids) > 0
}

func (b *pastBuilder) actionDeleteGroup(e *actionEvent) bool {
	ids := e.with("sg-")
	for _, id := range ids {
		b.object(groupObject, id).died(e.at, e.order)
	}
	return len(ids) > 0
}

func (b *pastBuilder) actionList(e *actionEvent) bool {
	ids := e.with("pl-")
	for _, id := range ids {
		b.object(listObject, id).wildly(e.at, e.order)
	}
	return len(ids) > 0
}

// actionPortList unsettles the groups with rules for the ports of a list.
func (b *pastBuilder) actionPortList(e *actionEvent) bool {
	ids := e.with("prl-")
	var groups []string
	for _, m := range b.snapshots {
		for i := range m.s.Groups {
			g := &m.s.Groups[i]
			if slices.ContainsFunc(g.Rules, func(r policy.Rule) bool { return slices.Contains(ids, r.PortList) }) {
				groups = append(groups, g.ID)
			}
		}
	}
	for _, id := range sortStrings(groups) {
		b.object(groupObject, id).wildly(e.at, e.order)
	}
	return len(ids) > 0
}

// actionMember unsettles the groups of the interfaces that the event names, or whose
// instances it does.
func (b *pastBuilder) actionMember(e *actionEvent) bool {
	if !e.named && len(e.with("sg-")) == 0 {
		return true // another attribute
	}
	enis, instances := e.with("eni-"), e.with("i-")
	for _, m := range b.snapshots {
		for i := range m.s.Interfaces {
			if f := &m.s.Interfaces[i]; slices.Contains(instances, f.Instance) {
				enis = append(enis, f.ID)
			}
		}
	}
	for _, id := range sortStrings(enis) {
		b.object(interfaceObject, id).change(e.at, e.order, groupsPart, unsure, unsure)
	}
	return len(enis) > 0 || len(instances) > 0
}

func (b *pastBuilder) actionACL(e *actionEvent) bool {
	ids := e.with("nacl-")
	for _, id := range ids {
		b.object(aclObject, id).wildly(e.at, e.order)
	}
	return len(ids) > 0
}
