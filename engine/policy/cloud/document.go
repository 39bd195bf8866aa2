package cloud

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// document is one JSON object of a file: a page of an export, mostly. Several may
// follow each other, or be the elements of an array.
type document struct {
	members []member
}

// member is a key of an object with its undecoded value.
type member struct {
	key  string // as written
	name string // lower case, without "_" and "-": what keys are compared by
	element
}

// element is an undecoded JSON value and where it starts.
type element struct {
	raw json.RawMessage
	pos position
}

var keySeparators = strings.NewReplacer("_", "", "-", "")

func keyName(key string) string { return keySeparators.Replace(strings.ToLower(key)) }

// splitDocuments finds the documents of f.
func splitDocuments(f *file) ([]document, error) {
	var docs []document
	add := func(e element) error {
		members, err := e.members()
		docs = append(docs, document{members})
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(f.data))
	for {
		var raw json.RawMessage
		at := int(dec.InputOffset())
		if err := dec.Decode(&raw); err == io.EOF {
			return docs, nil
		} else if err != nil {
			return nil, syntaxError(f, at, err)
		}
		e := element{raw, position{f, int(dec.InputOffset()) - len(raw)}}
		pages := []element{e}
		if raw[0] == '[' {
			var err error
			if pages, err = e.elements(); err != nil {
				return nil, err
			}
		}
		for _, p := range pages {
			if err := add(p); err != nil {
				return nil, err
			}
		}
	}
}

// syntaxError says where the JSON value that starts at offset at breaks off.
func syntaxError(f *file, at int, err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return position{f, len(bytes.TrimRight(f.data, " \t\r\n"))}.errorf("truncated JSON: the value that starts in line %d does not end",
			position{f, at + len(f.data[at:]) - len(bytes.TrimLeft(f.data[at:], " \t\r\n"))}.line())
	}
	var bad *json.SyntaxError
	if errors.As(err, &bad) {
		// The decoder counts from the start of its input.
		return position{f, max(at, int(bad.Offset)-1)}.errorf("not JSON: %w", err)
	}
	return position{f, at}.errorf("not JSON: %w", err)
}

// members returns the keys of an object, nil for any other value.
func (e element) members() ([]member, error) {
	if len(e.raw) == 0 || e.raw[0] != '{' {
		return nil, nil
	}
	var out []member
	dec := json.NewDecoder(bytes.NewReader(e.raw))
	if _, err := dec.Token(); err != nil {
		return nil, e.pos.errorf("%w", err)
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, e.pos.errorf("%w", err)
		}
		v, err := e.next(dec)
		if err != nil {
			return nil, err
		}
		k, _ := key.(string)
		out = append(out, member{k, keyName(k), v})
	}
	return out, nil
}

// elements returns the elements of an array, nil for any other value.
func (e element) elements() ([]element, error) {
	if len(e.raw) == 0 || e.raw[0] != '[' {
		return nil, nil
	}
	var out []element
	dec := json.NewDecoder(bytes.NewReader(e.raw))
	if _, err := dec.Token(); err != nil {
		return nil, e.pos.errorf("%w", err)
	}
	for dec.More() {
		v, err := e.next(dec)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// next reads the next value inside e.
func (e element) next(dec *json.Decoder) (element, error) {
	var raw json.RawMessage
	if err := dec.Decode(&raw); err != nil {
		return element{}, e.pos.errorf("%w", err)
	}
	return element{raw, position{e.pos.file, e.pos.offset + int(dec.InputOffset()) - len(raw)}}, nil
}

// decode reads e into v; where names e in errors.
func (e element) decode(where string, v any) error {
	err := json.Unmarshal(e.raw, v)
	var bad *json.UnmarshalTypeError
	if errors.As(err, &bad) {
		at := position{e.pos.file, e.pos.offset + int(bad.Offset)}
		return at.errorf("%s: %s: %s does not fit", where, bad.Field, bad.Value)
	}
	if err != nil {
		return e.pos.errorf("%s: %w", where, err)
	}
	return nil
}
