package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// The documents of explain and effective are smaller than the report, and each is an
// answer of its own. Their JSON Schemas are made of their types: a field's doc tag is
// its description, its enum tag the values it may have.

// ExplainJSONSchema returns the JSON Schema (2020-12) of [Explanation].
func ExplainJSONSchema() []byte {
	return schemaOf(reflect.TypeFor[Explanation](), "sgadvise explanation", ExplainSchema,
		"What decides one connection, or the evidence behind one rule.")
}

// EffectiveJSONSchema returns the JSON Schema (2020-12) of [Effective].
func EffectiveJSONSchema() []byte {
	return schemaOf(reflect.TypeFor[Effective](), "sgadvise effective rules", EffectiveSchema,
		"The rules in force on interfaces, or those of a group, in evaluation order, implicit ones included.")
}

// member is a key of a JSON object. A schema is written in the order of its types, not
// of its keys.
type member struct {
	Key   string
	Value any
}

type object []member

// MarshalJSON writes the members in order.
func (o object) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, m := range o {
		if i > 0 {
			b = append(b, ',')
		}
		v, err := marshalPlain(m.Value)
		if err != nil {
			return nil, err
		}
		b = fmt.Appendf(b, "%q:%s", m.Key, v)
	}
	return append(b, '}'), nil
}

func schemaOf(t reflect.Type, title, schema, about string) []byte {
	var defs object
	known := map[string]bool{}
	var typeOf func(reflect.Type) object
	structOf := func(t reflect.Type) object {
		var required []string
		var props object
		for i := range t.NumField() {
			f := t.Field(i)
			key, omitted := strings.CutSuffix(f.Tag.Get("json"), ",omitempty")
			p := typeOf(f.Type)
			if e := f.Tag.Get("enum"); e != "" {
				p = append(p, member{"enum", strings.Split(e, ",")})
			}
			if d := f.Tag.Get("doc"); d != "" {
				p = append(p, member{"description", d})
			}
			if !omitted {
				required = append(required, key)
			}
			props = append(props, member{key, p})
		}
		return object{{"type", "object"}, {"required", required}, {"properties", props}}
	}
	typeOf = func(t reflect.Type) object {
		switch t {
		case reflect.TypeFor[Time]():
			return object{{"type", []string{"string", "null"}}, {"format", "date-time"}}
		case reflect.TypeFor[Optional]():
			return object{{"type", []string{"string", "null"}}}
		}
		switch t.Kind() {
		case reflect.Pointer:
			return object{{"oneOf", []object{typeOf(t.Elem()), {{"type", "null"}}}}}
		case reflect.Slice:
			return object{{"type", "array"}, {"items", typeOf(t.Elem())}}
		case reflect.String:
			return object{{"type", "string"}}
		case reflect.Bool:
			return object{{"type", "boolean"}}
		case reflect.Struct:
			if !known[t.Name()] {
				known[t.Name()] = true
				def := structOf(t)
				defs = append(defs, member{t.Name(), def})
			}
			return object{{"$ref", "#/$defs/" + t.Name()}}
		case reflect.Int, reflect.Int64, reflect.Uint16, reflect.Uint32, reflect.Uint64:
			return object{{"type", "integer"}, {"minimum", 0}}
		}
		panic("BUG: no schema for " + t.String())
	}
	root := structOf(t)
	name, version, _ := strings.Cut(schema, "/")
	props := root[2].Value.(object)
	props[0].Value = object{{"type", "string"}, {"pattern", "^" + strings.ReplaceAll(name, ".", `\.`) + "/" + version + `(\.[0-9]+)?$`}}
	out := append(object{{"$schema", "https://json-schema.org/draft/2020-12/schema"}, {"title", title}, {"description", about +
		" The major number in \"schema\" is raised when a meaning changes; keys are added without, so readers ignore those they do not know. Arrays are in a total order and never null."}},
		root...)
	out = append(out, member{"$defs", defs})
	var b bytes.Buffer
	writeJSON(&b, out) // into memory, of values that are made to be encoded
	return b.Bytes()
}

// writeJSON writes v as [Write] writes a report.
func writeJSON(w io.Writer, v any) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	_, err := w.Write(escapeHidden(buf.Bytes()))
	return err
}

// completed fills what is nil: arrays are never null.
func completed[T any](v *T) *T {
	fillSlices(reflect.ValueOf(v).Elem())
	return v
}

func fillSlices(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fillSlices(v.Field(i))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			fillSlices(v.Elem())
		}
	case reflect.Slice:
		if v.IsNil() {
			v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		}
		for i := range v.Len() {
			fillSlices(v.Index(i))
		}
	}
}
