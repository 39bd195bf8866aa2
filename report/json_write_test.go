package report

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// TestWriteIsOneEncoding holds Write, which goes element by element, to one encoding of
// the whole, for reports with every field set, with none, and with text that hides.
func TestWriteIsOneEncoding(t *testing.T) {
	var set func(v reflect.Value, text string)
	set = func(v reflect.Value, text string) {
		switch v.Kind() {
		case reflect.String:
			v.SetString(text)
		case reflect.Bool:
			v.SetBool(true)
		case reflect.Int, reflect.Int64, reflect.Int32:
			v.SetInt(-7)
		case reflect.Uint16, reflect.Uint64, reflect.Uint32, reflect.Uint8:
			v.SetUint(7)
		case reflect.Float64:
			v.SetFloat(0.25)
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), 2, 2))
			for i := range v.Len() {
				set(v.Index(i), text)
			}
		case reflect.Struct:
			for i := range v.NumField() {
				if v.Field(i).CanSet() {
					set(v.Field(i), text)
				}
			}
		case reflect.Map:
			v.Set(reflect.MakeMap(v.Type()))
			v.SetMapIndex(reflect.ValueOf(text), reflect.ValueOf(uint64(1)))
		case reflect.Pointer:
			v.Set(reflect.New(v.Type().Elem()))
			set(v.Elem(), text)
		}
	}
	reports := []*Report{{}}
	for _, text := range []string{"plain", "<a href=\"x\">&", "\x1b[31m", "\u202edrow", "\xff\ufffd", "\U000e0001", "é\n\u2028"} {
		r := new(Report)
		set(reflect.ValueOf(r).Elem(), text)
		reports = append(reports, r)
	}
	for i, r := range reports {
		var got, want bytes.Buffer
		if err := Write(&got, r); err != nil {
			t.Fatal(err)
		}
		enc := json.NewEncoder(&want)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(r.complete()); err != nil {
			t.Fatal(err)
		}
		if want := escapeHidden(want.Bytes()); got.String() != string(want) {
			t.Errorf("report %d:\n%s\nwant\n%s", i, got.Bytes(), want)
		}
		if hides := strings.IndexFunc(got.String(), func(c rune) bool { return c != '\n' && hidden(c) }); hides >= 0 {
			t.Errorf("report %d: a hidden character at %d", i, hides)
		}
	}
}

// TestWriteTellsWhatFails: the writer's error comes back.
func TestWriteTellsWhatFails(t *testing.T) {
	if err := Write(full{}, new(Report)); err == nil {
		t.Error("no error of a writer that takes nothing")
	}
}

// full is a writer without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, bytes.ErrTooLarge }

// TestEncodersAreTheLibrary holds the encoders to the library, for every kind of value that
// documents may hold.
func TestEncodersAreTheLibrary(t *testing.T) {
	type inner struct {
		A string `json:"a,omitempty"`
		B []int  `json:"b,omitempty"`
	}
	type embedding struct {
		inner
		C int
	}
	type itself struct {
		Name string   `json:"name"`
		Sub  []itself `json:"sub"`
	}
	text, when := "x\n", Time(1700000000)
	values := []any{
		0, -5, uint8(200), int64(-1 << 62), uint64(1<<64 - 1), true, false, 0.25, 1e21, float32(0.1),
		"", "plain", `"quoted\`, "<&>", "\x00\x7f", "é\u202e\u2028", "\xff", "\U000e0001",
		[]string(nil), []string{}, []string{"a", "é"}, [][]int{{}, nil, {1, 2}}, []byte("bytes"), []byte(nil), [2]bool{true},
		map[string]uint64{}, map[string]uint64(nil), map[string]uint64{"b": 1, "a\u202e": 2}, map[string][]inner{"x": {{}, {A: "1"}}},
		inner{}, inner{A: "é"}, inner{B: []int{1}}, []inner{{}, {B: []int{}}}, embedding{inner{A: "x"}, 4}, struct{}{}, []struct{}{{}, {}},
		&inner{A: "1"}, (*inner)(nil), []*inner{nil, {A: "2"}}, itself{"a", []itself{{"b", nil}, {"c", []itself{}}}},
		Time(0), when, []Time{0, when}, Optional(""), Optional("é\u202e"), NewlyAllowed(nil), NewlyAllowed{"a", "b\u202e"}, []NewlyAllowed{{"x"}, {}},
		&text, &when, any("x"), []any{1, "a", nil, inner{}, map[string]int{"k": 1}}, json.RawMessage(`{"a":[1,2,{}]}`), json.Number("12"),
		struct {
			X any     `json:"x"`
			Y *int    `json:"y,omitempty"`
			Z float64 `json:"-"`
			w int
			N NewlyAllowed `json:"n"`
			S int          `json:",string"`
		}{X: []int{1}, N: NewlyAllowed{"p"}},
	}
	for _, x := range values {
		for depth := range 3 {
			var want bytes.Buffer
			enc := json.NewEncoder(&want)
			enc.SetEscapeHTML(false)
			enc.SetIndent(strings.Repeat("  ", depth), "  ")
			if err := enc.Encode(x); err != nil {
				t.Fatal(err)
			}
			v := reflect.ValueOf(x)
			got, err := encoderOf(v.Type())([]byte("before "), v, depth)
			if err != nil || string(got) != "before "+string(escapeHidden(bytes.TrimSuffix(want.Bytes(), []byte{'\n'}))) {
				t.Errorf("%#v at %d is %s, %v; want %s", x, depth, got, err, want.Bytes())
			}
		}
	}
	for _, x := range []any{func() {}, make(chan int), []any{make(chan int)}, struct{ C chan int }{}} {
		if b, err := encoderOf(reflect.TypeOf(x))(nil, reflect.ValueOf(x), 0); err == nil {
			t.Errorf("%T is %s", x, b)
		}
	}
}
