package cloud

import (
	"bytes"
	"encoding/binary"
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
	values, err := topValues(f)
	if err != nil {
		return nil, err
	}
	var docs []document
	for _, e := range values {
		pages := []element{e}
		if e.raw[0] == '[' {
			if pages, err = e.elements(); err != nil {
				return nil, err
			}
		}
		for _, p := range pages {
			members, err := p.members()
			if err != nil {
				return nil, err
			}
			docs = append(docs, document{members})
		}
	}
	return docs, nil
}

// topValues finds the values of f that follow each other, and checks that they are JSON.
func topValues(f *file) ([]element, error) {
	var out []element
	for at := skipSpace(f.data, 0); at < len(f.data); {
		end, ok := validEnd(f.data, at)
		if !ok || !ends(f.data, at, end) {
			return decodeValues(f) // which knows what to say
		}
		out = append(out, element{f.data[at:end:end], position{f, at}})
		at = skipSpace(f.data, end)
	}
	return out, nil
}

// ends reports whether the value from at to end ends there: a bracket or quote says so, and
// numbers and words must not go on.
func ends(data []byte, at, end int) bool {
	return data[at] == '{' || data[at] == '[' || data[at] == '"' || end == len(data) || bytes.IndexByte([]byte(",:[]{}\" \t\r\n"), data[end]) >= 0
}

// decodeValues is topValues by the JSON library.
func decodeValues(f *file) ([]element, error) {
	var out []element
	dec := json.NewDecoder(bytes.NewReader(f.data))
	for {
		var raw json.RawMessage
		at := int(dec.InputOffset())
		if err := dec.Decode(&raw); err == io.EOF {
			return out, nil
		} else if err != nil {
			return nil, syntaxError(f, at, err)
		}
		out = append(out, element{raw, position{f, int(dec.InputOffset()) - len(raw)}})
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
	for at := skipSpace(e.raw, 1); at < len(e.raw) && e.raw[at] != '}'; at = next(e.raw, at) {
		key, err := e.value(at)
		if err != nil {
			return nil, err
		}
		var k string
		if err := json.Unmarshal(key.raw, &k); err != nil {
			return nil, e.pos.errorf("%w", err)
		}
		v, err := e.value(skipSpace(e.raw, skipSpace(e.raw, at+len(key.raw))+1)) // behind the colon
		if err != nil {
			return nil, err
		}
		out = append(out, member{k, keyName(k), v})
		at = v.pos.offset - e.pos.offset + len(v.raw)
	}
	return out, nil
}

// elements returns the elements of an array, nil for any other value.
func (e element) elements() ([]element, error) {
	if len(e.raw) == 0 || e.raw[0] != '[' {
		return nil, nil
	}
	var out []element
	for at := skipSpace(e.raw, 1); at < len(e.raw) && e.raw[at] != ']'; at = next(e.raw, at) {
		v, err := e.value(at)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
		at += len(v.raw)
	}
	return out, nil
}

// value returns the value at offset at of e, which is JSON.
func (e element) value(at int) (element, error) {
	end, ok := valueEnd(e.raw, at)
	if !ok {
		return element{}, e.pos.errorf("not JSON")
	}
	return element{e.raw[at:end:end], position{e.pos.file, e.pos.offset + at}}, nil
}

// next returns where the value after the comma at or behind at begins, or the bracket
// that closes.
func next(data []byte, at int) int {
	if at = skipSpace(data, at); at < len(data) && data[at] == ',' {
		at = skipSpace(data, at+1)
	}
	return at
}

func skipSpace(data []byte, at int) int {
	for at < len(data) && (data[at] == ' ' || data[at] == '\n' || data[at] == '\r' || data[at] == '\t') {
		if at++; at+8 <= len(data) && binary.LittleEndian.Uint64(data[at:]) == eightSpaces {
			at += 8 // most of an export is indentation
		}
	}
	return at
}

const eightSpaces = 0x2020202020202020

// valueEnd returns the end of the JSON value that begins at offset at, by quotes and
// brackets alone. What is no JSON has any end, or none.
func valueEnd(data []byte, at int) (end int, ok bool) {
	depth := 0
	for i := at; i < len(data); i++ {
		switch data[i] {
		case '"':
			if i = stringEnd(data, i); i < 0 {
				return 0, false
			}
			i--
		case '{', '[':
			depth++
			continue
		case '}', ']':
			if depth--; depth < 0 {
				return 0, false
			}
		default:
			if depth > 0 {
				for i+9 <= len(data) && binary.LittleEndian.Uint64(data[i+1:]) == eightSpaces {
					i += 8
				}
				continue
			}
			// A number or a word.
			n := bytes.IndexAny(data[i:], ",:[]{}\" \t\r\n")
			if n < 0 {
				n = len(data) - i
			}
			return i + n, n > 0
		}
		if depth == 0 {
			return i + 1, true
		}
	}
	return 0, false
}

// stringEnd returns the end of the string that begins at offset at, -1 if it has none.
func stringEnd(data []byte, at int) int {
	for i := at + 1; ; {
		n := bytes.IndexByte(data[i:], '"')
		if n < 0 {
			return -1
		}
		i += n + 1
		back := 0
		for data[i-2-back] == '\\' {
			back++
		}
		if back%2 == 0 {
			return i
		}
	}
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
