package cloud

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// tfModule is the configuration of a module: what its values are made of. Terraform
// prints the names that an expression refers to, not the expression, and neither local
// values nor dynamic blocks.
type tfModule struct {
	Resources []struct {
		Type        string                     `json:"type"`
		Name        string                     `json:"name"`
		Mode        string                     `json:"mode"`
		Expressions map[string]json.RawMessage `json:"expressions"`
		ForEach     json.RawMessage            `json:"for_each_expression"`
	} `json:"resources"`
	Calls map[string]struct {
		Expressions map[string]json.RawMessage `json:"expressions"`
		Module      *tfModule                  `json:"module"`
	} `json:"module_calls"`
	Outputs map[string]struct {
		Expression json.RawMessage `json:"expression"`
	} `json:"outputs"`

	index map[string]int // type.name of managed resources → Resources
}

// resource returns the configuration of a managed resource; ok is false if there is
// none.
func (m *tfModule) resource(r *tfResource) (expressions map[string]json.RawMessage, forEach json.RawMessage, ok bool) {
	if m == nil {
		return nil, nil, false
	}
	if m.index == nil {
		m.index = make(map[string]int, len(m.Resources))
		for i := range m.Resources {
			if c := &m.Resources[i]; c.Mode != "data" {
				m.index[c.Type+"."+c.Name] = i
			}
		}
	}
	i, ok := m.index[r.typ+"."+r.name]
	if !ok {
		return nil, nil, false
	}
	return m.Resources[i].Expressions, m.Resources[i].ForEach, true
}

// tfOrigin is where a value comes from.
type tfOrigin struct {
	resources []*tfResource // whose ids it is made of
	others    bool          // something known is in it besides
	opaque    bool          // and something that cannot be followed
}

// tfStep is a step of the address of a module.
type tfStep struct{ name, key string }

// moduleSteps splits "module.a[\"x\"].module.b".
func moduleSteps(address string) ([]tfStep, bool) {
	var out []tfStep
	for address != "" {
		rest, ok := strings.CutPrefix(address, "module.")
		if !ok {
			return nil, false
		}
		var st tfStep
		if st.name, st.key, rest, ok = cutName(rest); !ok {
			return nil, false
		}
		out = append(out, st)
		if rest != "" {
			if rest, ok = strings.CutPrefix(rest, "."); !ok || rest == "" {
				return nil, false
			}
		}
		address = rest
	}
	return out, true
}

// cutName cuts a name, and its key in brackets if there is one, off s.
func cutName(s string) (name, key, rest string, ok bool) {
	end := strings.IndexAny(s, ".[")
	if end < 0 {
		return s, "", "", s != ""
	}
	name, rest = s[:end], s[end:]
	if name == "" || rest[0] == '.' {
		return name, "", rest, name != ""
	}
	if strings.HasPrefix(rest, `["`) {
		q, err := strconv.QuotedPrefix(rest[1:])
		if err != nil || !strings.HasPrefix(rest[1+len(q):], "]") {
			return "", "", "", false
		}
		end = len(q) + 2
	} else if end = strings.IndexByte(rest, ']') + 1; end == 0 {
		return "", "", "", false
	}
	return name, rest[:end], rest[end:], true
}

// configOf returns the configuration of the module with this address.
func (doc *tfDocument) configOf(address string) *tfModule {
	steps, ok := moduleSteps(address)
	m := doc.config
	for _, st := range steps {
		if m == nil {
			return nil
		}
		m = m.Calls[st.name].Module
	}
	if !ok {
		return nil
	}
	return m
}

// expression returns the configuration of an attribute of r; nil if there is none.
func (r *tfResource) expression(key string) json.RawMessage {
	expressions, _, _ := r.doc.configOf(r.module).resource(r)
	return expressions[key]
}

// isWritten reports whether the configuration sets an attribute of r, or may: a plan can
// come without its configuration.
func (r *tfResource) isWritten(key string) bool {
	return r.expression(key) != nil || r.doc.configOf(r.module) == nil
}

// references returns the names in an expression, or in the expressions of a block, the
// full ones only: Terraform adds to "a.b.c" the names "a.b" and so on.
func references(expression json.RawMessage) []string {
	var v any
	if json.Unmarshal(expression, &v) != nil {
		return nil
	}
	var names []string
	var gather func(v any)
	gather = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				gather(e)
			}
		case map[string]any:
			for key, e := range v {
				list, ok := e.([]any)
				if key != "references" || !ok {
					if key != "constant_value" {
						gather(e)
					}
					continue
				}
				for _, name := range list {
					if s, ok := name.(string); ok {
						names = append(names, s)
					}
				}
			}
		}
	}
	gather(v)
	slices.Sort(names)
	names = slices.Compact(names)
	all := slices.Clone(names)
	return slices.DeleteFunc(names, func(n string) bool {
		return slices.ContainsFunc(all, func(o string) bool { return strings.HasPrefix(o, n+".") || strings.HasPrefix(o, n+"[") })
	})
}

// tfDepth bounds how many modules and outputs a value is followed through.
const tfDepth = 30

// origin finds which resources of the wanted types the attribute of r names.
func (r *tfResource) origin(key string, wanted map[string]bool) tfOrigin {
	var out tfOrigin
	names := references(r.expression(key))
	if len(names) == 0 {
		out.opaque = true
	}
	r.doc.follow(&out, r, r.module, r.key, names, wanted, tfDepth)
	return out
}

// follow adds to out what names mean in module; key is the key of the instance that
// uses them, "[0]", and r the resource it all began with.
func (doc *tfDocument) follow(out *tfOrigin, r *tfResource, module, key string, names []string, wanted map[string]bool, depth int) {
	if depth == 0 {
		out.opaque = true
		return
	}
	// "web[each.key].id" is printed as the two names "web" and "each.key". With a third
	// name, anything might be the key.
	byKey := len(names) == 2 && (slices.Contains(names, "each.key") || slices.Contains(names, "count.index"))
	for _, name := range names {
		kind, rest, _ := strings.Cut(name, ".")
		switch kind {
		case "var":
			doc.followVariable(out, r, module, rest, wanted, depth)
		case "module":
			doc.followOutput(out, r, module, name, wanted, depth)
		case "each":
			if rest == "key" {
				out.others = true
				break
			}
			_, forEach, ok := doc.configOf(module).resource(r)
			inner := references(forEach)
			if !ok || module != r.module || len(inner) == 0 {
				out.opaque = true
				break
			}
			doc.follow(out, r, module, key, inner, wanted, depth-1)
		case "count", "path", "terraform":
			out.others = true
		case "data", "local", "self":
			out.opaque = true
		default:
			doc.followResource(out, r, module, key, name, byKey, wanted)
		}
	}
}

// followVariable goes on in the module that sets the variable. Variables of the root
// are known before any plan.
func (doc *tfDocument) followVariable(out *tfOrigin, r *tfResource, module, name string, wanted map[string]bool, depth int) {
	steps, ok := moduleSteps(module)
	if !ok || len(steps) == 0 {
		out.others, out.opaque = true, out.opaque || !ok
		return
	}
	last := steps[len(steps)-1]
	parent := strings.TrimSuffix(strings.TrimSuffix(module, "module."+last.name+last.key), ".")
	name, _, _, _ = cutName(name)
	var names []string
	if m := doc.configOf(parent); m != nil {
		names = references(m.Calls[last.name].Expressions[name])
	}
	if len(names) == 0 {
		out.others = true // a constant, or the variable's default
		return
	}
	if slices.Contains(names, "each.value") {
		out.opaque = true // of the module's for_each: not followed
	}
	doc.follow(out, r, parent, last.key, slices.DeleteFunc(names, func(n string) bool { return strings.HasPrefix(n, "each.value") }), wanted, depth-1)
}

// followOutput goes on in the module that name is an output of.
func (doc *tfDocument) followOutput(out *tfOrigin, r *tfResource, module, name string, wanted map[string]bool, depth int) {
	call, key, rest, ok := cutName(strings.TrimPrefix(name, "module."))
	m := doc.configOf(module)
	if !ok || m == nil || !strings.HasPrefix(rest, ".") || m.Calls[call].Module == nil {
		out.opaque = true
		return
	}
	output, _, _, _ := cutName(rest[1:])
	child := "module." + call + key
	if module != "" {
		child = module + "." + child
	}
	names := references(m.Calls[call].Module.Outputs[output].Expression)
	if len(names) == 0 {
		out.others = true
		return
	}
	doc.follow(out, r, child, key, names, wanted, depth-1)
}

// followResource finds the instances that name stands for: "aws_security_group.web.id",
// "aws_security_group.web[0].id", or without what follows where the key is computed.
func (doc *tfDocument) followResource(out *tfOrigin, user *tfResource, module, key, name string, byKey bool, wanted map[string]bool) {
	typ, rest, _ := strings.Cut(name, ".")
	resource, index, attribute, ok := cutName(rest)
	if !ok || !wanted[typ] || attribute != "" && attribute != ".id" {
		out.opaque = true
		return
	}
	found := doc.instances[module+"|"+typ+"."+resource]
	if strings.HasPrefix(key, `[`) && !strings.HasPrefix(key, `["`) && len(found) != len(doc.instances[user.module+"|"+user.typ+"."+user.name]) {
		byKey = false // "web[count.index % 2]" is printed like "web[count.index]"
	}
	var hits []*tfResource
	for _, r := range found {
		switch {
		case r.gone:
		case index != "" && r.key != index:
		case index == "" && attribute != "" && r.key != "":
		case index == "" && attribute == "" && byKey && r.key != key:
		default:
			hits = append(hits, r)
		}
	}
	if len(hits) == 0 {
		out.opaque = true
	}
	for _, r := range hits {
		if !slices.Contains(out.resources, r) {
			out.resources = append(out.resources, r)
		}
	}
}

// tfIDs are ids of resources that an attribute names.
type tfIDs struct {
	ids []string
	all bool // there are no others
}

// oneID returns the id that an attribute with one id holds. ok is false if that cannot
// be told before apply; the id is empty if the attribute is null.
func (a tfAttributes) oneID(key string, wanted map[string]bool) (id string, ok bool) {
	v := a.v.at(key)
	if !v.isUnknown() {
		return a.text(key), true
	}
	// Only a resource that is not there yet makes the id unknown: if one alone is
	// named, it is this one.
	o := a.r.origin(key, wanted)
	var fresh []*tfResource
	for _, r := range o.resources {
		if r.cloudID() == "" {
			fresh = append(fresh, r)
		}
	}
	if o.opaque || len(fresh) != 1 {
		return "", false
	}
	return fresh[0].id(), true
}

// manyIDs returns the ids that a list or set holds; at names the attribute of the
// resource that the list is in.
func (a tfAttributes) manyIDs(key, at string, wanted map[string]bool) tfIDs {
	out := tfIDs{ids: a.texts(key), all: true}
	v := a.v.at(key)
	unknown := 0
	for _, e := range v.elements() {
		if e.isUnknown() {
			unknown++
		}
	}
	if !v.isUnknown() && unknown == 0 {
		return out
	}
	o := a.r.origin(at, wanted)
	var fresh []string
	for _, r := range o.resources {
		if r.cloudID() == "" {
			fresh = append(fresh, r.id())
		} else if v.isUnknown() && !o.opaque && !o.others {
			out.ids = append(out.ids, r.id())
		}
	}
	switch {
	case !v.isUnknown() && !o.opaque && len(fresh) == unknown:
		out.ids = append(out.ids, fresh...)
	case v.isUnknown() && !o.opaque && !o.others && at == key:
		// The names alone: they are in it, and constants may be that are not shown.
		out.ids, out.all = append(out.ids, fresh...), false
	case at != key && !o.opaque && len(fresh) == 1:
		out.ids, out.all = append(out.ids, fresh...), !v.isUnknown() && unknown == 1
	default:
		out.all = false
	}
	out.ids = sortStrings(out.ids)
	return out
}
