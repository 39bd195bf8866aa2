package cloud

import (
	"fmt"
	"math"
	"strings"

	"github.com/sgadvise/sgadvise/engine/policy"
)

// tfValue is a value of a plan or state: what is known of it, and a mirror of it that
// holds true where the value is unknown until apply.
type tfValue struct{ v, unknown any }

// isUnknown reports whether nothing is known of the value.
func (v tfValue) isUnknown() bool { u, _ := v.unknown.(bool); return u }

// at returns an attribute of an object; null if there is none.
func (v tfValue) at(key string) tfValue {
	if v.isUnknown() {
		return v
	}
	var out tfValue
	if m, ok := v.v.(map[string]any); ok {
		out.v = m[key]
	}
	if m, ok := v.unknown.(map[string]any); ok {
		out.unknown = m[key]
	}
	return out
}

// elements returns the elements of a list or set; of those that are unknown only
// their number is known, and not even that if the list is unknown itself.
func (v tfValue) elements() []tfValue {
	if v.isUnknown() {
		return nil
	}
	known, _ := v.v.([]any)
	unknown, _ := v.unknown.([]any)
	out := make([]tfValue, max(len(known), len(unknown)))
	for i := range known {
		out[i].v = known[i]
	}
	for i := range unknown {
		out[i].unknown = unknown[i]
	}
	return out
}

// isNull reports whether the value is known to be absent.
func (v tfValue) isNull() bool { return v.v == nil && !v.isUnknown() }

// tfAttributes reads the attributes of one object of a resource: the resource itself
// or a block in it. The first thing that does not fit is kept in err, and names the
// resource, not the value: it may be a secret.
type tfAttributes struct {
	r     *tfResource
	v     tfValue
	block string // "ingress[0]." or empty
	err   *error
}

// attributes returns the attributes of r after the plan.
func (r *tfResource) attributes() tfAttributes {
	return tfAttributes{r: r, v: r.values, err: new(error)}
}

// earlier returns the attributes of r before the plan.
func (r *tfResource) earlier() tfAttributes { return tfAttributes{r: r, v: r.before, err: new(error)} }

// blocks returns the objects in a list or set of them. ok is false if it is unknown
// how many there are.
func (a tfAttributes) blocks(key string) (out []tfAttributes, ok bool) {
	list := a.v.at(key)
	for i, e := range list.elements() {
		b := tfAttributes{r: a.r, v: e, block: fmt.Sprintf("%s%s[%d].", a.block, key, i), err: a.err}
		if _, isObject := e.v.(map[string]any); !isObject && !e.isUnknown() {
			a.misfit(fmt.Sprintf("%s[%d]", key, i), "an object")
			continue
		}
		out = append(out, b)
	}
	if _, isList := list.v.([]any); !isList && list.v != nil {
		a.misfit(key, "a list")
	}
	return out, !list.isUnknown()
}

func (a tfAttributes) misfit(key, want string) {
	if *a.err == nil {
		*a.err = fmt.Errorf("%s%s: not %s", a.block, key, want)
	}
}

// text returns a string, empty if it is null or unknown.
func (a tfAttributes) text(key string) string {
	switch v := a.v.at(key).v.(type) {
	case string:
		return v
	case nil:
	default:
		a.misfit(key, "a string")
	}
	return ""
}

// label returns a text for people: empty if it is sensitive.
func (a tfAttributes) label(key string) string {
	if a.r.isSensitive(a.block + key) {
		return ""
	}
	return a.text(key)
}

// flag returns a truth value, false if it is null or unknown.
func (a tfAttributes) flag(key string) bool {
	switch v := a.v.at(key).v.(type) {
	case bool:
		return v
	case nil:
	default:
		a.misfit(key, "true or false")
	}
	return false
}

// number returns a whole number; nil if it is null or unknown. Some providers keep
// numbers as text.
func (a tfAttributes) number(key string) *int {
	f := math.NaN()
	switch v := a.v.at(key).v.(type) {
	case nil:
		return nil
	case float64:
		f = v
	case string:
		if v == "" {
			return nil
		}
		if _, err := fmt.Sscanf(v+"\n", "%g\n", &f); err != nil {
			f = math.NaN()
		}
	}
	if f != math.Trunc(f) || math.Abs(f) > math.MaxInt32 {
		a.misfit(key, "a whole number")
		return nil
	}
	n := int(f)
	return &n
}

// texts returns the strings of a list or set, those that are known.
func (a tfAttributes) texts(key string) []string {
	list := a.v.at(key)
	if _, ok := list.v.([]any); !ok && list.v != nil {
		a.misfit(key, "a list")
		return nil
	}
	var out []string
	for _, e := range list.elements() {
		switch v := e.v.(type) {
		case string:
			out = append(out, v)
		case nil:
		default:
			a.misfit(key, "a list of strings")
		}
	}
	return out
}

// unknown reports whether any part of the attributes is unknown until apply.
func (a tfAttributes) unknown(keys ...string) bool {
	for _, key := range keys {
		v := a.v.at(key)
		if v.isUnknown() {
			return true
		}
		for _, e := range v.elements() {
			if e.isUnknown() {
				return true
			}
		}
	}
	return false
}

// isSensitive reports whether a part of r is marked as a secret. Inside blocks it is
// the block that counts.
func (r *tfResource) isSensitive(path string) bool {
	key, _, _ := strings.Cut(path, ".")
	key, _, _ = strings.Cut(key, "[")
	if m, ok := r.sensitive.(map[string]any); ok {
		return anyTrue(m[key])
	}
	return anyTrue(r.sensitive)
}

func anyTrue(v any) bool {
	switch v := v.(type) {
	case bool:
		return v
	case []any:
		for _, e := range v {
			if anyTrue(e) {
				return true
			}
		}
	case map[string]any:
		for _, e := range v {
			if anyTrue(e) {
				return true
			}
		}
	}
	return false
}

// errorf returns an error about r: where it stands, its address, and what is wrong. The
// cause, which may quote a value, is left out if any value of r is a secret.
func (r *tfResource) errorf(what string, cause error) error {
	if anyTrue(r.sensitive) {
		return r.pos.errorf("%s: %s: does not fit (not shown: the resource has sensitive values)", r.address, what)
	}
	return r.pos.errorf("%s: %s: %w", r.address, what, cause)
}

// failed returns the error that reading attributes of r met.
func (a tfAttributes) failed() error {
	if *a.err != nil {
		return a.r.pos.errorf("%s: %w", a.r.address, *a.err)
	}
	return nil
}

// id returns the id of r: the cloud's if it is known, else the resource's address,
// which is as unique and stands in its place until apply.
func (r *tfResource) id() string {
	if id := r.cloudID(); id != "" {
		return id
	}
	return r.address + r.doc.mark
}

// cloudID returns the id that the cloud gave r, empty if it is unknown until apply.
func (r *tfResource) cloudID() string {
	v := r.values
	if r.gone {
		v = r.before
	}
	for _, key := range []string{"id", "default_network_acl_id"} {
		if id, ok := v.at(key).v.(string); ok && id != "" {
			return id
		}
	}
	return ""
}

// tags returns the tags of r as the cloud's exports have them.
func (a tfAttributes) tags() []awsTag {
	var out []awsTag
	m, _ := a.v.at("tags").v.(map[string]any)
	for k, v := range m {
		if text, ok := v.(string); ok && !a.r.isSensitive("tags") {
			out = append(out, awsTag{k, text})
		}
	}
	return out
}

// perhaps makes m match everything perhaps and nothing for certain, as far as its
// protocols, ports and sides are left as they are.
func perhaps(m *policy.Match) { m.Remote = policy.AddrSet{Unknown: true} }
