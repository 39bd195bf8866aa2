package cloud

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// decodedMembers is members by the JSON library.
func decodedMembers(e element) (out []member, err error) {
	dec := json.NewDecoder(bytes.NewReader(e.raw))
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		v, err := decoded(e, dec)
		if err != nil {
			return nil, err
		}
		out = append(out, member{key.(string), keyName(key.(string)), v})
	}
	return out, nil
}

// decodedElements is elements by the JSON library.
func decodedElements(e element) (out []element, err error) {
	dec := json.NewDecoder(bytes.NewReader(e.raw))
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	for dec.More() {
		v, err := decoded(e, dec)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

func decoded(e element, dec *json.Decoder) (element, error) {
	var raw json.RawMessage
	err := dec.Decode(&raw)
	return element{raw, position{e.pos.file, e.pos.offset + int(dec.InputOffset()) - len(raw)}}, err
}

// randomJSON writes a value with all that may confuse who looks at quotes and brackets.
func randomJSON(r *rand.Rand, depth int) string {
	space := func() string { return strings.Repeat([]string{"", " ", "\n", "\t\r "}[r.IntN(4)], r.IntN(2)) }
	text := func() string {
		return []string{`""`, `"a"`, `"\""`, `"\\"`, `"\\\""`, `"{[,:]}"`, `"]\\"`, `"é"`, `"\u0022}"`, "\"\xff\"", `"Security_Groups"`}[r.IntN(11)]
	}
	kind := r.IntN(7)
	if depth == 0 {
		kind = r.IntN(3)
	}
	var parts []string
	switch kind {
	case 0:
		return text()
	case 1, 2:
		return []string{"0", "-1.5e+3", "true", "false", "null", "17"}[r.IntN(6)]
	case 3, 4:
		for range r.IntN(4) {
			parts = append(parts, space()+text()+space()+":"+space()+randomJSON(r, depth-1)+space())
		}
		return "{" + space() + strings.Join(parts, ",") + "}"
	}
	for range r.IntN(4) {
		parts = append(parts, space()+randomJSON(r, depth-1)+space())
	}
	return "[" + space() + strings.Join(parts, ",") + "]"
}

// TestValuesAreThoseOfTheLibrary compares what is found by quotes and brackets with what
// the JSON library finds, in text that is JSON and in text that is not.
func TestValuesAreThoseOfTheLibrary(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var walk func(e element) error
	walk = func(e element) error {
		switch e.raw[0] {
		case '{':
			want, err := decodedMembers(e)
			if err != nil {
				return err
			}
			got, err := e.members()
			if err != nil || !slices.EqualFunc(got, want, func(a, b member) bool {
				return a.key == b.key && a.name == b.name && sameElement(a.element, b.element)
			}) {
				return fmt.Errorf("members of %q: %v, %v, want %v", e.raw, got, err, want)
			}
			for _, m := range got {
				if err := walk(m.element); err != nil {
					return err
				}
			}
		case '[':
			want, err := decodedElements(e)
			if err != nil {
				return err
			}
			got, err := e.elements()
			if err != nil || !slices.EqualFunc(got, want, sameElement) {
				return fmt.Errorf("elements of %q: %v, %v, want %v", e.raw, got, err, want)
			}
			for _, v := range got {
				if err := walk(v); err != nil {
					return err
				}
			}
		}
		return nil
	}
	valid := 0
	for n := range 20_000 {
		var text string
		for range r.IntN(4) {
			text += randomJSON(r, 4) + []string{"", " ", "\n"}[r.IntN(3)]
		}
		data := []byte(text)
		for range n % 3 * r.IntN(2) {
			if at := r.IntN(len(data) + 1); at < len(data) {
				data[at] = "{}[],:\"\\ 1n"[r.IntN(11)]
			}
		}
		f := &file{path: "x.json", data: data}
		got, gotErr := topValues(f)
		want, wantErr := decodeValues(f)
		if fmt.Sprint(gotErr) != fmt.Sprint(wantErr) || !slices.EqualFunc(got, want, sameElement) {
			t.Fatalf("%q: %v, %v, want %v, %v", data, got, gotErr, want, wantErr)
		}
		for _, e := range got {
			if err := walk(e); err != nil {
				t.Fatal(err)
			}
		}
		if gotErr == nil {
			valid++
		}
	}
	if valid < 5000 || valid > 19_000 {
		t.Errorf("%d texts are JSON", valid)
	}
}

func sameElement(a, b element) bool { return bytes.Equal(a.raw, b.raw) && a.pos == b.pos }

// TestValuesOfWhatIsNoJSONEnd gives the scanners text that nobody checked.
func TestValuesOfWhatIsNoJSONEnd(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 50_000 {
		raw := make([]byte, 1+r.IntN(12))
		for i := range raw {
			raw[i] = "{}[],:\"\\ 1n"[r.IntN(11)]
		}
		e := element{raw, position{&file{path: "x.json", data: raw}, 0}}
		_, _ = e.members()
		_, _ = e.elements()
	}
}
