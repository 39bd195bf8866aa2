package cloud

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/sgadvise/sgadvise/engine/policy"
)

// tfReaders say how each type of resource that has to do with filters is read. The
// resources of every other type are passed over.
var tfReaders = map[string]func(*tfReader, *tfResource) error{
	"aws_security_group":                  (*tfReader).awsGroup,
	"aws_default_security_group":          (*tfReader).awsGroup,
	"aws_security_group_rule":             (*tfReader).awsGroupRule,
	"aws_vpc_security_group_ingress_rule": (*tfReader).awsGroupRule,
	"aws_vpc_security_group_egress_rule":  (*tfReader).awsGroupRule,
	"aws_network_acl":                     (*tfReader).awsACL,
	"aws_default_network_acl":             (*tfReader).awsACL,
	"aws_network_acl_rule":                (*tfReader).awsACLRule,
	"aws_network_acl_association":         (*tfReader).awsACLAssociation,
	"aws_network_interface":               (*tfReader).awsInterface,
	"aws_instance":                        (*tfReader).awsInstance,
	"aws_network_interface_sg_attachment": (*tfReader).awsAttachment,
	"aws_subnet":                          (*tfReader).subnet,
	"aws_ec2_managed_prefix_list":         (*tfReader).list,
	"aws_ec2_managed_prefix_list_entry":   (*tfReader).listEntry,
	"alicloud_security_group":             (*tfReader).alibabaGroup,
	"alicloud_security_group_rule":        (*tfReader).alibabaGroupRule,
	"alicloud_network_acl":                (*tfReader).alibabaACL,
	"alicloud_network_interface":          (*tfReader).alibabaInterface,
	"alicloud_instance":                   (*tfReader).alibabaInstance,
	"alicloud_vswitch":                    (*tfReader).subnet,
	"alicloud_ecs_prefix_list":            (*tfReader).list,
}

// tfResource is one instance of a managed resource: what it will be after the plan,
// or is in the state, and what it was before.
type tfResource struct {
	address string // "module.net[0].aws_security_group_rule.web[\"x\"]"
	module  string // "module.net[0]", empty at the root
	typ     string
	name    string
	key     string // "[\"x\"]", "[0]" or empty
	values  tfValue
	before  tfValue // null if it was not there
	changed bool    // before differs from values, or the resource goes
	gone    bool    // it is not there afterwards
	// replaced: what was before is destroyed, and the values are of another one.
	replaced bool
	// sensitive mirrors values: true where messages must not show them.
	sensitive any
	pos       position
	doc       *tfDocument
}

// mark notes in r that the resource declares it, and where that is written.
func (r *tfResource) mark(rule *policy.Rule) {
	rule.Address = r.address
	r.pos.mark(rule)
}

// tfDocument is one plan or state.
type tfDocument struct {
	kind      string // "plan", "state", or "tfstate" as stored: as in Input.Kind
	partial   bool   // the plan leaves out changes that are still to come
	mark      string // follows the addresses that stand for ids, where two plans have the same
	resources []*tfResource
	config    *tfModule // nil if the document has no configuration
	byAddress map[string]*tfResource
	instances map[string][]*tfResource // by module and type.name
}

// tfResourceJSON is a resource in the values of a plan or state.
type tfResourceJSON struct {
	Address   string          `json:"address"`
	Mode      string          `json:"mode"`
	Type      string          `json:"type"`
	Name      string          `json:"name"`
	Index     any             `json:"index"`
	Values    map[string]any  `json:"values"`
	Sensitive json.RawMessage `json:"sensitive_values"`
}

// tfChangeJSON is an element of resource_changes.
type tfChangeJSON struct {
	Address       string `json:"address"`
	ModuleAddress string `json:"module_address"`
	Mode          string `json:"mode"`
	Type          string `json:"type"`
	Name          string `json:"name"`
	Index         any    `json:"index"`
	Deposed       string `json:"deposed"`
	Change        struct {
		Actions         []string `json:"actions"`
		Before          any      `json:"before"`
		After           any      `json:"after"`
		AfterUnknown    any      `json:"after_unknown"`
		BeforeSensitive any      `json:"before_sensitive"`
		AfterSensitive  any      `json:"after_sensitive"`
	} `json:"change"`
}

// claimsTerraform recognises what "terraform show -json" and "tofu show -json" print
// of a plan or a state, and the file that a state is kept in (terraform.tfstate).
func claimsTerraform(f *file) (bool, error) {
	if !f.isJSON {
		return false, nil
	}
	n := 0
	for _, d := range f.docs {
		if isTerraform(d) {
			n++
		}
	}
	if n == 0 {
		return false, nil
	}
	if n < len(f.docs) {
		return true, position{f, 0}.errorf("Terraform's JSON and something else in one file")
	}
	for _, d := range f.docs {
		doc, err := readTerraformDocument(f, d)
		if err != nil {
			return true, err
		}
		f.plans = append(f.plans, doc)
		if len(doc.resources) > 0 {
			f.kinds = append(f.kinds, doc.kind)
		}
	}
	return true, nil
}

// isTerraform reports whether d has the keys of a plan, a state as shown, or a state as
// stored.
func isTerraform(d document) bool {
	format, _ := d.member("format_version")
	version, _ := d.member("terraform_version")
	if version.raw == nil {
		return false
	}
	for _, key := range []string{"values", "planned_values", "resource_changes"} {
		if m, ok := d.member(key); ok && format.raw != nil && m.raw[0] != '"' {
			return true
		}
	}
	if format.raw != nil {
		return len(d.members) <= 3 // the state of nothing, perhaps with checks
	}
	_, serial := d.member("serial")
	_, resources := d.member("resources")
	return serial && resources
}

// member returns the member of d with this key.
func (d document) member(key string) (member, bool) {
	i := slices.IndexFunc(d.members, func(m member) bool { return m.key == key })
	if i < 0 {
		return member{}, false
	}
	return d.members[i], true
}

func readTerraformDocument(f *file, d document) (*tfDocument, error) {
	doc := &tfDocument{kind: "state", byAddress: make(map[string]*tfResource), instances: make(map[string][]*tfResource)}
	var err error
	if v, ok := d.member("format_version"); ok {
		err = doc.readShown(d, v)
	} else {
		err = doc.readStored(d)
	}
	for _, r := range doc.resources {
		doc.byAddress[r.address] = r
		key := r.module + "|" + r.typ + "." + r.name
		doc.instances[key] = append(doc.instances[key], r)
	}
	return doc, err
}

// readShown reads what "show -json" prints. Minor versions of the format only add to
// it; another major one may mean other things by the same words.
func (doc *tfDocument) readShown(d document, version member) error {
	var text string
	if err := json.Unmarshal(version.raw, &text); err != nil || !strings.HasPrefix(text, "0.") && !strings.HasPrefix(text, "1.") {
		return version.pos.errorf("format_version %s of Terraform's JSON is not known: 0 and 1 are", version.raw)
	}
	if m, _ := d.member("errored"); string(m.raw) == "true" {
		return m.pos.errorf("the plan ended in an error: it does not hold all that would change")
	}
	if m, _ := d.member("complete"); string(m.raw) == "false" {
		doc.partial = true
	}
	var changes []tfChangeJSON
	var changesAt []position
	if m, ok := d.member("resource_changes"); ok {
		doc.kind = "plan"
		es, err := m.elements()
		if err != nil {
			return err
		}
		for _, e := range es {
			var c tfChangeJSON
			if err := e.decode("resource change", &c); err != nil {
				return err
			}
			if tfReaders[c.Type] != nil && c.Mode == "managed" && c.Deposed == "" {
				if c.Address == "" {
					return e.pos.errorf("change of %s without address", c.Type)
				}
				changes, changesAt = append(changes, c), append(changesAt, e.pos)
			}
		}
	}
	key := "values"
	planned, ok := d.member("planned_values")
	if ok {
		key, doc.kind = "planned_values", "plan"
	}
	if values, ok := d.member(key); ok {
		inner, err := values.members()
		if err != nil {
			return err
		}
		for _, m := range inner {
			if m.key == "root_module" {
				if err := doc.readModule(m.element, ""); err != nil {
					return err
				}
			}
		}
	}
	doc.addChanges(changes, changesAt, planned.raw != nil)
	if m, ok := d.member("configuration"); ok {
		var c struct {
			Root *tfModule `json:"root_module"`
		}
		if err := m.decode("configuration", &c); err != nil {
			return err
		}
		doc.config = c.Root
	}
	return nil
}

// readModule reads the values of a module and of those in it.
func (doc *tfDocument) readModule(e element, module string) error {
	members, err := e.members()
	if err != nil {
		return err
	}
	for _, m := range members {
		if m.key == "address" {
			if err := json.Unmarshal(m.raw, &module); err != nil {
				return m.pos.errorf("address of a module: not a string")
			}
		}
	}
	for _, m := range members {
		if m.key != "resources" && m.key != "child_modules" {
			continue
		}
		es, err := m.elements()
		if err != nil {
			return err
		}
		for _, e := range es {
			if m.key == "child_modules" {
				err = doc.readModule(e, module)
			} else {
				err = doc.readResource(e, module)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (doc *tfDocument) readResource(e element, module string) error {
	var head struct{ Type, Mode string }
	if err := e.decode("resource", &head); err != nil {
		return err
	}
	if tfReaders[head.Type] == nil || head.Mode != "managed" {
		return nil
	}
	var raw tfResourceJSON
	if err := e.decode("resource "+head.Type, &raw); err != nil {
		return err
	}
	if raw.Address == "" {
		return e.pos.errorf("%s without address", raw.Type)
	}
	r := &tfResource{address: raw.Address, module: module, typ: raw.Type, name: raw.Name, key: tfKey(raw.Index),
		values: tfValue{v: raw.Values}, pos: e.pos, doc: doc}
	if module != "" && !strings.HasPrefix(r.address, module+".") {
		r.address = module + "." + r.address // old versions name it within its module
	}
	if len(raw.Sensitive) > 0 {
		_ = json.Unmarshal(raw.Sensitive, &r.sensitive) // decoded once already
	}
	doc.resources = append(doc.resources, r)
	return nil
}

// addChanges adds to the planned resources what was before and what is unknown until
// apply, and the resources that go. Without planned values the changes have those too.
func (doc *tfDocument) addChanges(changes []tfChangeJSON, at []position, planned bool) {
	byAddress := make(map[string]*tfResource)
	for _, r := range doc.resources {
		byAddress[r.address] = r
	}
	for i := range changes {
		c := &changes[i]
		gone := slices.Equal(c.Change.Actions, []string{"delete"})
		r := byAddress[c.Address]
		if r == nil {
			if planned && !gone {
				continue // only forgotten: it stays as it is, in nobody's care
			}
			r = &tfResource{address: c.Address, module: c.ModuleAddress, typ: c.Type, name: c.Name, key: tfKey(c.Index),
				values: tfValue{v: c.Change.After}, pos: at[i], doc: doc, gone: gone}
			doc.resources = append(doc.resources, r)
		}
		r.values.unknown = c.Change.AfterUnknown
		if !slices.Contains(c.Change.Actions, "forget") && !slices.Contains(c.Change.Actions, "no-op") {
			r.changed, r.before = true, tfValue{v: c.Change.Before}
		}
		r.replaced = slices.Contains(c.Change.Actions, "delete") && slices.Contains(c.Change.Actions, "create")
		if gone {
			r.sensitive = c.Change.BeforeSensitive
		} else if r.sensitive == nil || c.Change.AfterSensitive != nil {
			r.sensitive = c.Change.AfterSensitive
		}
	}
}

// readStored reads a state as it is stored. Only version 4, of Terraform 0.12 and later,
// has values of their own types.
func (doc *tfDocument) readStored(d document) error {
	doc.kind = "tfstate"
	v, _ := d.member("version")
	if string(v.raw) != "4" {
		return d.members[0].pos.errorf("version %s of a stored Terraform state is not known: use terraform show -json", v.raw)
	}
	m, _ := d.member("resources")
	es, err := m.elements()
	if err != nil {
		return err
	}
	for _, e := range es {
		var raw struct {
			Module, Mode, Type, Name string
			Instances                []struct {
				Index      any    `json:"index_key"`
				Deposed    string `json:"deposed"`
				Attributes map[string]any
				Sensitive  []json.RawMessage `json:"sensitive_attributes"`
			}
		}
		if err := e.decode("resource", &raw); err != nil {
			return err
		}
		if tfReaders[raw.Type] == nil || raw.Mode != "managed" {
			continue
		}
		for _, i := range raw.Instances {
			if i.Deposed != "" {
				continue
			}
			r := &tfResource{module: raw.Module, typ: raw.Type, name: raw.Name, key: tfKey(i.Index), values: tfValue{v: i.Attributes}, pos: e.pos, doc: doc}
			r.address = raw.Type + "." + raw.Name + r.key
			if raw.Module != "" {
				r.address = raw.Module + "." + r.address
			}
			if i.Attributes == nil {
				return e.pos.errorf("%s: no attributes: use terraform show -json", r.address)
			}
			if len(i.Sensitive) > 0 {
				r.sensitive = true // the paths name parts; one is enough to be careful with all
			}
			doc.resources = append(doc.resources, r)
		}
	}
	return nil
}

// tfKey writes the key of an instance as addresses do.
func tfKey(index any) string {
	switch k := index.(type) {
	case string:
		return "[" + strconv.Quote(k) + "]"
	case float64:
		return "[" + strconv.FormatFloat(k, 'f', -1, 64) + "]"
	}
	return ""
}

// readTerraform adds to s what the plans and states in files declare. Where s already
// holds a group or ACL of the cloud's own exports, that one is in force.
func readTerraform(files []*file, s *policy.Snapshot) error {
	r := &tfReader{owners: make(map[tfOwnerID]*tfOwner), subnetPlatforms: make(map[string]string)}
	markFresh(files)
	for _, f := range files {
		for _, doc := range f.plans {
			if doc.partial {
				r.missing = append(r.missing, policy.Missing{What: "complete plan", Effect: "the plan leaves out changes (targets, or actions put off): what they would do is not known"})
			}
			for _, res := range doc.resources {
				r.platform(res.typ)
				if err := tfReaders[res.typ](r, res); err != nil {
					return err
				}
			}
		}
	}
	return r.build(s)
}

// markFresh tells apart the resources that are not there yet of plans that have the
// same address for them: an address is unique only in its plan.
func markFresh(files []*file) {
	first := make(map[string]*tfDocument)
	for _, f := range files {
		for i, doc := range f.plans {
			for _, res := range doc.resources {
				if res.gone || res.cloudID() != "" {
					continue
				}
				if other, ok := first[res.address]; ok && other != doc {
					doc.mark = fmt.Sprintf(" (%s, %d)", filepath.Base(f.path), i+1)
				} else {
					first[res.address] = doc
				}
			}
		}
	}
}
