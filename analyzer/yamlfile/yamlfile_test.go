package yamlfile

import (
	"errors"
	"strings"
	"testing"
)

type document struct {
	Version int             `yaml:"version"`
	List    []Node[element] `yaml:"list"`
}

type element struct {
	Name   string `yaml:"name"`
	Number int    `yaml:"number"`
}

func TestDecodeKnowsTheLineOfEachElement(t *testing.T) {
	var d document
	text := "version: 1\n# a comment\nlist:\n  - name: a\n    number: 3\n\n  - number: 4\n    name: 2026-01-02\n  - {name: c}\n"
	if err := Decode("f.yaml", []byte(text), &d); err != nil {
		t.Fatal(err)
	}
	want := []Node[element]{{4, element{"a", 3}}, {7, element{"2026-01-02", 4}}, {9, element{"c", 0}}}
	if len(d.List) != len(want) {
		t.Fatalf("%d elements", len(d.List))
	}
	for i := range want {
		if d.List[i] != want[i] {
			t.Errorf("element %d is %+v, want %+v", i, d.List[i], want[i])
		}
	}
}

func TestDecodeNamesTheLineOfWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"an unknown key of the file", "version: 1\nignored: []\n", "f.yaml:2: ignored: no such key"},
		{"an unknown key of an element", "version: 1\nlist:\n  - name: a\n    nmae: b\n", "f.yaml:4: nmae: no such key"},
		{"a key twice", "version: 1\nlist:\n  - name: a\n    name: b\n", "f.yaml:4: "},
		{"a word for a number", "version: one\n", "f.yaml:1: "},
		{"a word for a number in an element", "list:\n  - number: x\n", "f.yaml:2: "},
		{"a list that is none", "list: 3\n", "f.yaml:1: "},
		{"a key of an element without a value", "list:\n  - number: 3\n    name:\n", "f.yaml:3: name: nothing is written behind it"},
		{"a key of an element with an empty value", "list:\n  - {number: 3, name: ''}\n", "f.yaml:2: name: nothing is written behind it"},
		{"a list for a value", "list:\n  - number: 3\n    name: [a, b]\n", "f.yaml:3: name: one value is expected"},
		{"a mapping for a value", "list:\n  - name: {a: b}\n", "f.yaml:2: name: one value is expected"},
		{"an element that is a word", "list:\n  - name\n", "f.yaml:2: keys with values are expected"},
		{"an anchor", "list:\n  - &a {name: x}\n  - {<<: *a, number: 1}\n", "f.yaml:3: <<: anchors are not read"},
		{"broken text", "list:\n  - name: 'a\n", "f.yaml:2: "},
		{"a tab", "list:\n\t- name: a\n", "f.yaml:2: "},
		{"two documents", "version: 1\n---\nversion: 1\n", "f.yaml: there is more than one document"},
		{"nothing", "", "f.yaml: the file is empty"},
		{"a comment alone", "# nothing\n", "f.yaml: the file is empty"},
	} {
		err := Decode("f.yaml", []byte(c.text), new(document))
		var e *Error
		if !errors.As(err, &e) || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("version: 1\nlist:\n  - name: a\n")
	f.Add("list: &a [*a]\n")
	f.Add("list:\n  - <<: {name: x}\n")
	f.Fuzz(func(t *testing.T, text string) {
		var e *Error
		if err := Decode("f.yaml", []byte(text), new(document)); err != nil && !errors.As(err, &e) {
			t.Errorf("an error without a place: %v", err)
		}
	})
}
