package report

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("report.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	return c.MustCompile("report.schema.json")
}

func decode(t *testing.T, data []byte) any {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestSchemaAcceptsReports(t *testing.T) {
	schema := compileSchema(t)
	golden, err := os.ReadFile("testdata/sample.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"golden":  golden,
		"hostile": encode(t, hostile()),
		"large":   encode(t, large(50)),
	} {
		if err := schema.Validate(decode(t, data)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A rule says its ports, or the list that holds them; an edit says the ports only.
func TestSchemaAcceptsThePortsOfRules(t *testing.T) {
	schema := compileSchema(t)
	for _, ports := range []string{"all", "443", "8000-8100", "type 8", "type 3 code 4", "prl-2zeh8dkd", "prl-web"} {
		doc := decode(t, encode(t, sample())).(map[string]any)
		doc["rules"].([]any)[0].(map[string]any)["ports"] = ports
		if err := schema.Validate(doc); err != nil {
			t.Errorf("%s: %v", ports, err)
		}
	}
	doc := decode(t, encode(t, sample())).(map[string]any)
	for _, edit := range doc["plan"].(map[string]any)["edits"].([]any) {
		for _, with := range edit.(map[string]any)["with"].([]any) {
			with.(map[string]any)["ports"] = "prl-web"
		}
	}
	if schema.Validate(doc) == nil {
		t.Error("an edit that names a list is valid")
	}
}

// Every key that a report has is required, at every level, but for those that old
// reports do not have.
func TestSchemaRejectsMissingKeys(t *testing.T) {
	schema := compileSchema(t)
	data := encode(t, sample())
	removed, optional := 0, optionalKeys(reflect.TypeFor[Report](), "")
	var walk func(v any, path string)
	root := decode(t, data)
	walk = func(v any, path string) {
		switch v := v.(type) {
		case []any:
			if len(v) > 0 {
				walk(v[0], path+"[0]")
			}
		case map[string]any:
			if strings.HasSuffix(path, ".causes") {
				return // open-ended: cause → records
			}
			for _, key := range slices.Sorted(maps.Keys(v)) {
				value := v[key]
				delete(v, key)
				removed++
				if valid := schema.Validate(root) == nil; valid != optional[path+"."+key] {
					t.Errorf("without %s.%s: valid %v", path, key, valid)
				}
				v[key] = value
				walk(value, path+"."+key)
			}
		}
	}
	walk(root, "")
	if removed < 150 {
		t.Errorf("removed %d keys only", removed)
	}
}

// optionalKeys are the keys, with their path, that may be missing from what t is written as.
func optionalKeys(t reflect.Type, path string) map[string]bool {
	out := map[string]bool{}
	switch t.Kind() {
	case reflect.Slice:
		return optionalKeys(t.Elem(), path+"[0]")
	case reflect.Pointer:
		return optionalKeys(t.Elem(), path)
	case reflect.Struct:
		for i := range t.NumField() {
			key, optional := strings.CutSuffix(t.Field(i).Tag.Get("json"), ",omitempty")
			if optional {
				out[path+"."+key] = true
			}
			maps.Copy(out, optionalKeys(t.Field(i).Type, path+"."+key))
		}
	}
	return out
}

func TestSchemaRejectsWrongValues(t *testing.T) {
	schema := compileSchema(t)
	for name, spoil := range map[string]func(doc map[string]any){
		"another major": func(d map[string]any) { d["schema"] = "sgadvise.report/2" },
		"null array":    func(d map[string]any) { d["rules"] = nil },
		"local time":    func(d map[string]any) { d["window"].(map[string]any)["from"] = "2025-03-01T00:00:00+01:00" },
		"verdict":       func(d map[string]any) { d["rules"].([]any)[0].(map[string]any)["verdict"] = "dead" },
		"several ports": func(d map[string]any) { d["rules"].([]any)[0].(map[string]any)["ports"] = "80,443" },
		"fraction":      func(d map[string]any) { d["ledger"].(map[string]any)["records"] = 0.5 },
		"negative":      func(d map[string]any) { d["ledger"].(map[string]any)["records"] = -1 },
	} {
		doc := decode(t, encode(t, sample())).(map[string]any)
		spoil(doc)
		if schema.Validate(doc) == nil {
			t.Errorf("%s: valid", name)
		}
	}
}

// The schema and the types say the same: same keys, all required, same kinds.
func TestSchemaFollowsTypes(t *testing.T) {
	var root map[string]any
	if err := json.Unmarshal(Schema(), &root); err != nil {
		t.Fatal(err)
	}
	defs := root["$defs"].(map[string]any)
	used := map[string]bool{}
	resolve := func(s map[string]any) map[string]any {
		for {
			ref, ok := s["$ref"].(string)
			if !ok {
				return s
			}
			name := strings.TrimPrefix(ref, "#/$defs/")
			used[name] = true
			s = defs[name].(map[string]any)
		}
	}
	var same func(path string, typ reflect.Type, s map[string]any)
	same = func(path string, typ reflect.Type, s map[string]any) {
		s = resolve(s)
		want := map[reflect.Kind]string{reflect.Struct: "object", reflect.Map: "object", reflect.Slice: "array", reflect.String: "string",
			reflect.Bool: "boolean", reflect.Float64: "number"}[typ.Kind()]
		if want == "" {
			want = "integer"
		}
		switch typ {
		case reflect.TypeFor[Time](), reflect.TypeFor[Optional]():
			if got := s["type"]; !reflect.DeepEqual(got, []any{"string", "null"}) {
				t.Errorf("%s: type %v, want string or null", path, got)
			}
			return
		case reflect.TypeFor[NewlyAllowed]():
			return
		}
		if typ.Kind() == reflect.Pointer {
			same(path, typ.Elem(), s["oneOf"].([]any)[0].(map[string]any))
			return
		}
		if s["type"] != want {
			t.Errorf("%s: type %v, want %s", path, s["type"], want)
			return
		}
		switch typ.Kind() {
		case reflect.Slice:
			same(path+"[]", typ.Elem(), s["items"].(map[string]any))
		case reflect.Struct:
			var keys, all []string // those that are required, and all of them
			props := s["properties"].(map[string]any)
			for i := range typ.NumField() {
				key, optional := strings.CutSuffix(typ.Field(i).Tag.Get("json"), ",omitempty")
				if key == "" || strings.Contains(key, ",") {
					t.Errorf("%s.%s: tag %q: every field has a plain key", path, typ.Field(i).Name, key)
					continue
				}
				if all = append(all, key); !optional {
					keys = append(keys, key)
				}
				p, ok := props[key].(map[string]any)
				if !ok {
					t.Errorf("%s.%s is not in the schema", path, key)
					continue
				}
				same(path+"."+key, typ.Field(i).Type, p)
			}
			var required []string
			for _, k := range s["required"].([]any) {
				required = append(required, k.(string))
			}
			if !slices.Equal(required, keys) {
				t.Errorf("%s: required %v, want %v", path, required, keys)
			}
			if len(props) != len(all) {
				t.Errorf("%s: %d properties in the schema, %d fields", path, len(props), len(all))
			}
		}
	}
	same("report", reflect.TypeFor[Report](), root)
	used["count"] = true // values of the open-ended objects
	for name := range defs {
		if !used[name] {
			t.Errorf("$defs/%s is not used", name)
		}
	}
}
