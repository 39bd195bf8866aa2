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
