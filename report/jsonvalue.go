package report

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// encoder appends a value as indented JSON, as [json.Encoder] would write it and
// escapeHidden leave it; depth is how deep the value lies. The library indents in a second
// pass over what it wrote, which takes longer than all else.
type encoder func(b []byte, v reflect.Value, depth int) ([]byte, error)

// encoders holds the encoder of each type that has been asked for.
var encoders sync.Map // reflect.Type → encoder

func encoderOf(t reflect.Type) encoder {
	if e, ok := encoders.Load(t); ok {
		return e.(encoder)
	}
	// Types may hold themselves: until it is made, an encoder is one that waits for it.
	var made encoder
	var wg sync.WaitGroup
	wg.Add(1)
	e, loaded := encoders.LoadOrStore(t, encoder(func(b []byte, v reflect.Value, depth int) ([]byte, error) {
		wg.Wait()
		return made(b, v, depth)
	}))
	if loaded {
		return e.(encoder)
	}
	made = newEncoder(t)
	wg.Done()
	encoders.Store(t, made)
	return made
}

var (
	marshaler     = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[interface{ MarshalText() ([]byte, error) }]()
)

// newEncoder returns the encoder of t. What reports seldom hold is left to the library.
func newEncoder(t reflect.Type) encoder {
	switch {
	case t == reflect.TypeFor[Optional](): // there are many
		return func(b []byte, v reflect.Value, _ int) ([]byte, error) {
			if v.Len() == 0 {
				return append(b, "null"...), nil
			}
			return appendText(b, v.String())
		}
	case t.Implements(marshaler):
		return appendMarshaled
	}
	if p := reflect.PointerTo(t); p.Implements(marshaler) || p.Implements(textMarshaler) || t == reflect.TypeFor[json.Number]() {
		return appendLibrary
	}
	switch t.Kind() {
	case reflect.Pointer:
		element := encoderOf(t.Elem())
		return func(b []byte, v reflect.Value, depth int) ([]byte, error) {
			if v.IsNil() {
				return append(b, "null"...), nil
			}
			return element(b, v.Elem(), depth)
		}
	case reflect.String:
		return func(b []byte, v reflect.Value, _ int) ([]byte, error) { return appendText(b, v.String()) }
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return func(b []byte, v reflect.Value, _ int) ([]byte, error) { return strconv.AppendInt(b, v.Int(), 10), nil }
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return func(b []byte, v reflect.Value, _ int) ([]byte, error) {
			return strconv.AppendUint(b, v.Uint(), 10), nil
		}
	case reflect.Bool:
		return func(b []byte, v reflect.Value, _ int) ([]byte, error) { return strconv.AppendBool(b, v.Bool()), nil }
	case reflect.Slice:
		if t.Elem().Kind() != reflect.Uint8 { // those are bytes, as base64
			return sliceEncoder(t)
		}
	case reflect.Struct:
		if e := structEncoder(t); e != nil {
			return e
		}
	}
	return appendLibrary
}

// sliceEncoder returns the encoder of a slice type.
func sliceEncoder(t reflect.Type) encoder {
	element := encoderOf(t.Elem())
	return func(b []byte, v reflect.Value, depth int) (_ []byte, err error) {
		switch {
		case v.IsNil():
			return append(b, "null"...), nil
		case v.Len() == 0:
			return append(b, "[]"...), nil
		}
		open := byte('[')
		for i := range v.Len() {
			b = appendLine(append(b, open), depth+1)
			open = ','
			if b, err = element(b, v.Index(i), depth+1); err != nil {
				return nil, err
			}
		}
		return append(appendLine(b, depth), ']'), nil
	}
}

// jsonField is one member of an object.
type jsonField struct {
	index     int
	key       string // quoted, with the colon
	omitEmpty bool
	encode    encoder
}

// structEncoder returns the encoder of a struct type; nil if it has fields whose place in
// the object is not plain.
func structEncoder(t reflect.Type) encoder {
	var fields []jsonField
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous || options != "" && options != "omitempty":
			return nil
		case !f.IsExported() || name == "-":
			continue
		case name == "":
			name = f.Name
		}
		fields = append(fields, jsonField{i, strconv.Quote(name) + ": ", options == "omitempty", encoderOf(f.Type)})
	}
	return func(b []byte, v reflect.Value, depth int) (_ []byte, err error) {
		open := byte('{')
		for i := range fields {
			f := &fields[i]
			x := v.Field(f.index)
			if f.omitEmpty && isEmpty(x) {
				continue
			}
			b = append(appendLine(append(b, open), depth+1), f.key...)
			open = ','
			if b, err = f.encode(b, x, depth+1); err != nil {
				return nil, err
			}
		}
		if open == '{' {
			return append(b, "{}"...), nil
		}
		return append(appendLine(b, depth), '}'), nil
	}
}

// appendLine begins a line at depth.
func appendLine(b []byte, depth int) []byte {
	b = append(b, '\n')
	for range depth {
		b = append(b, "  "...)
	}
	return b
}

// appendText appends a string.
func appendText(b []byte, s string) ([]byte, error) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			raw, err := marshalPlain(s)
			return append(b, escapeHidden(raw)...), err
		}
	}
	return append(append(append(b, '"'), s...), '"'), nil
}

// appendMarshaled appends what the value's own method makes of it.
func appendMarshaled(b []byte, v reflect.Value, depth int) ([]byte, error) {
	if v.Kind() == reflect.Pointer && v.IsNil() {
		return append(b, "null"...), nil
	}
	raw, err := v.Interface().(json.Marshaler).MarshalJSON()
	if err == nil && !slices.Contains([]byte(`"0123456789-ntf`), raw[0]) {
		return appendLibrary(b, v, depth)
	}
	return append(b, escapeHidden(raw)...), err
}

// appendLibrary appends what the library makes of the value.
func appendLibrary(b []byte, v reflect.Value, depth int) ([]byte, error) {
	raw, err := marshalPlain(v.Interface())
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, raw, strings.Repeat("  ", depth), "  "); err != nil {
		return nil, err
	}
	return append(b, escapeHidden(out.Bytes())...), nil
}
