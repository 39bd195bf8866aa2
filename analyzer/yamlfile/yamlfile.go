// Package yamlfile reads YAML files that people write beside a policy. Keys that are not
// known are errors, and every error names the file and the line.
package yamlfile

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// Error is what is wrong with a file, and where. Line is 0 where no line is known.
type Error struct {
	File    string
	Line    int
	Message string
}

// Error writes e as FILE:LINE: MESSAGE.
func (e *Error) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Message
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Message)
}

// Decode reads the one document of data, the content of the file that name names, into v,
// a pointer to a struct with yaml tags. Unknown keys, keys that occur twice and further
// documents are errors. All errors are of type [*Error].
func Decode(name string, data []byte, v any) error {
	d := yaml.NewDecoder(strings.NewReader(string(data)), yaml.Strict())
	switch err := d.Decode(v); {
	case errors.Is(err, io.EOF):
		return &Error{name, 0, "the file is empty"}
	case err != nil:
		return located(name, err)
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		if err != nil {
			return located(name, err)
		}
		return &Error{name, 0, "there is more than one document; one is read"}
	}
	return nil
}

// located gives err, of the YAML library, the file and the line.
func located(name string, err error) *Error {
	var own *Error
	if errors.As(err, &own) {
		return &Error{name, own.Line, own.Message}
	}
	var y yaml.Error
	if !errors.As(err, &y) {
		return &Error{name, 0, err.Error()}
	}
	out := &Error{File: name, Message: y.GetMessage()}
	if t := y.GetToken(); t != nil && t.Position != nil {
		out.Line = t.Position.Line
	}
	var unknown *yaml.UnknownFieldError
	if errors.As(err, &unknown) && unknown.Token != nil {
		out.Message = fmt.Sprintf("%s: no such key", strings.Trim(unknown.Token.Value, `"`))
	}
	return out
}

// Node is an entry of a list, with the line on which it begins: as the element Node[T] it
// reads T, a struct of single values, strictly. A key with nothing behind it is an error:
// it reads as if it were not there, which may mean much more than what somebody forgot to
// write or a template left out.
type Node[T any] struct {
	Line  int
	Value T
}

// UnmarshalYAML reads the node. It is called by the YAML library.
func (n *Node[T]) UnmarshalYAML(node ast.Node) error {
	n.Line = line(node)
	m, ok := node.(*ast.MappingNode)
	if ok && len(m.Values) > 0 {
		n.Line = line(m.Values[0].Key)
	}
	if !ok {
		return &Error{Line: n.Line, Message: "keys with values are expected here"}
	}
	for _, v := range m.Values {
		if err := single(v); err != nil {
			return err
		}
	}
	return yaml.NodeToValue(node, &n.Value, yaml.Strict())
}

// single reports what is wrong with an entry that is not KEY: VALUE.
func single(v *ast.MappingValueNode) error {
	at := &Error{Line: line(v.Key), Message: v.Key.String() + ": "}
	switch x := v.Value.(type) {
	case *ast.NullNode:
		at.Message += "nothing is written behind it; leave the key out, or say what is meant"
	case *ast.StringNode:
		if x.Value != "" {
			return nil
		}
		at.Message += "nothing is written behind it; leave the key out, or say what is meant"
	case *ast.MappingNode, *ast.MappingValueNode, *ast.SequenceNode:
		at.Message += "one value is expected"
	case *ast.AnchorNode, *ast.AliasNode:
		at.Message += "anchors are not read; write the value"
	default:
		return nil
	}
	return at
}

// line is where node begins; 0: not known.
func line(node ast.Node) int {
	if t := node.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 0
}
