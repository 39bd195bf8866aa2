package cloud

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/engine/policy"
)

// configItem is what AWS Config recorded of a resource: all of it, when it changed.
type configItem struct {
	ConfigurationItemCaptureTime string
	ConfigurationItemStatus      string
	ResourceID                   string `json:"resourceId"`
	ResourceType                 string
	Configuration                json.RawMessage // an object, or a text that holds one

	at   int64
	key  objectKey
	made []policy.ACL // the network ACL, to tell its subnets
	contents
}

// configLag is how much earlier than its item a change may have been made, in seconds:
// items are captured within minutes, or once a day.
const configLag = 86400

// configKinds are the resources that matter, with what builds the contents of one.
var configKinds = map[string]struct {
	kind  objectKind
	build func(*configItem, element) bool
}{
	"AWS::EC2::SecurityGroup":    {groupObject, (*configItem).group},
	"AWS::EC2::NetworkInterface": {interfaceObject, (*configItem).networkInterface},
	"AWS::EC2::NetworkAcl":       {aclObject, (*configItem).acl},
}

// addConfigItems gathers what configuration items say. An item holds until a day before
// the next one of the same resource: on that day the change was made.
func (b *pastBuilder) addConfigItems(records []record) error {
	var items []configItem
	for _, r := range records {
		var x configItem
		if err := r.decode("configuration item", &x); err != nil {
			return err
		}
		k, ok := configKinds[x.ResourceType]
		if !ok || x.ResourceID == "" || x.ConfigurationItemStatus == "ResourceNotRecorded" {
			continue
		}
		var err error
		if x.at, err = r.eventTime(x.ConfigurationItemCaptureTime); err != nil {
			return err
		}
		x.key = objectKey{k.kind, x.ResourceID}
		var text string
		if json.Unmarshal(x.Configuration, &text) == nil {
			x.Configuration = json.RawMessage(text)
		}
		switch {
		case strings.HasPrefix(x.ConfigurationItemStatus, "ResourceDeleted"):
			x.contents = contents{self: gone}
		case !k.build(&x, element{x.Configuration, r.pos}):
			b.unplaced++
			continue
		}
		items = append(items, x)
	}
	slices.SortStableFunc(items, func(x, y configItem) int {
		return cmp.Or(cmp.Compare(x.key.kind, y.key.kind), strings.Compare(x.key.id, y.key.id), cmp.Compare(x.at, y.at))
	})
	items = slices.CompactFunc(items, func(x, y configItem) bool { return x.key == y.key && x.at == y.at }) // files overlap
	for i := range items {
		x := &items[i]
		b.holds(x, x.at)
		if i+1 < len(items) && items[i+1].key == x.key && items[i+1].at-configLag > x.at {
			b.holds(x, items[i+1].at-configLag)
		}
	}
	return nil
}

// holds notes that item x was what its resource was at t.
func (b *pastBuilder) holds(x *configItem, t int64) {
	o := b.object(x.key.kind, x.key.id)
	o.items = append(o.items, item{t, "item", x.contents})
	for _, a := range x.made {
		for _, s := range a.Subnets {
			o := b.object(subnetObject, s)
			o.items = append(o.items, item{t, "item", contents{self: there("", nil), parts: map[string]state{aclPart: there(a.ID, a.ID)}}})
		}
	}
}

// group reads a security group, which lists its IPv4 ranges twice: as texts, and with
// descriptions under another name.
func (x *configItem) group(e element) bool {
	var raw struct {
		GroupID             string           `json:"groupId"`
		IPPermissions       []map[string]any `json:"ipPermissions"`
		IPPermissionsEgress []map[string]any `json:"ipPermissionsEgress"`
	}
	if json.Unmarshal(e.raw, &raw) != nil {
		return false
	}
	for _, p := range append(raw.IPPermissions, raw.IPPermissionsEgress...) {
		if with, ok := p["ipv4Ranges"]; ok {
			p["ipRanges"] = with
			continue
		}
		var ranges []any
		list, _ := p["ipRanges"].([]any)
		for _, v := range list {
			if text, ok := v.(string); ok {
				v = map[string]any{"cidrIp": text}
			}
			ranges = append(ranges, v)
		}
		p["ipRanges"] = ranges
	}
	text, err := json.Marshal(raw)
	var g awsGroup
	if err != nil || json.Unmarshal(text, &g) != nil {
		return false
	}
	g.GroupID = x.ResourceID
	builder := groupBuilder{account: make(map[string]string)}
	built, err := builder.group(&g, e.pos)
	if err != nil {
		return false
	}
	for i := range built.Rules {
		for _, m := range built.Rules[i].Match {
			for k := range m.Remote.Refs {
				m.Remote.Refs[k].Dead, m.Remote.Refs[k].Account = "", ""
			}
		}
	}
	s := policy.Snapshot{Groups: []policy.Group{built}}
	if s.Seal() != nil {
		return false
	}
	x.contents, _ = groupContents(&s, x.ResourceID)
	return true
}

func (x *configItem) networkInterface(e element) bool {
	var raw awsInterface
	if json.Unmarshal(e.raw, &raw) != nil {
		return false
	}
	raw.NetworkInterfaceID = x.ResourceID
	f, err := raw.build(e.pos)
	s := policy.Snapshot{Interfaces: []policy.Interface{f}}
	if err != nil || s.Seal() != nil {
		return false
	}
	x.contents, _ = interfaceContents(&s, x.ResourceID)
	return true
}

func (x *configItem) acl(e element) bool {
	r := &awsReader{votes: make(map[string]int)}
	if r.readACL(nil, e) != nil || r.acls[0].v.ID != x.ResourceID {
		return false
	}
	s := policy.Snapshot{ACLs: []policy.ACL{r.acls[0].v}}
	if s.Seal() != nil {
		return false
	}
	x.made = s.ACLs
	x.contents, _ = aclContents(&s, x.ResourceID)
	return true
}
