package config

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// File is a configuration file, read and checked.
type File struct {
	Name   string
	values map[string]said // by setting
}

// said is what a file says of one setting.
type said struct {
	line   int
	values []string
}

// Find returns the name of the file that holds for folder: the nearest one upwards from
// it, else that of the user. exists tells of a path whether a file is there. It returns
// "" if there is none.
func Find(folder string, getenv func(string) string, exists func(string) (bool, error)) (string, error) {
	var places []string
	for dir := folder; ; {
		places = append(places, filepath.Join(dir, FileName))
		up := filepath.Dir(dir)
		if up == dir {
			break
		}
		dir = up
	}
	switch home := getenv("HOME"); {
	case getenv("XDG_CONFIG_HOME") != "":
		places = append(places, filepath.Join(getenv("XDG_CONFIG_HOME"), "sgadvise", FileName))
	case home != "":
		places = append(places, filepath.Join(home, ".config", "sgadvise", FileName))
	}
	for _, p := range places {
		there, err := exists(p)
		switch {
		case errors.Is(err, fs.ErrPermission):
			// Somebody else's folder on the way up is not ours to complain about.
		case err != nil:
			return "", err
		case there:
			return p, nil
		}
	}
	return "", nil
}

// Parse reads a configuration file: one mapping from settings to values. Every key must
// be a setting, be said once, and have a value of its kind.
func Parse(name string, body []byte) (*File, error) {
	f := &File{Name: name, values: map[string]said{}}
	tree, err := parser.ParseBytes(body, 0)
	if err != nil {
		return nil, syntax(name, err)
	}
	var root *ast.MappingNode
	for _, doc := range tree.Docs {
		switch n := doc.Body.(type) {
		case nil, *ast.CommentGroupNode:
		case *ast.MappingNode:
			if root != nil {
				return nil, fmt.Errorf("%s:%d: a second document: the file holds one", name, line(n))
			}
			root = n
		case *ast.MappingValueNode:
			if root != nil {
				return nil, fmt.Errorf("%s:%d: a second document: the file holds one", name, line(n))
			}
			root = ast.Mapping(n.Start, false, n)
		default:
			return nil, fmt.Errorf("%s:%d: it is not a list of settings, as in \"mode: tidy\"", name, line(n))
		}
	}
	if root == nil {
		return f, nil // a file of comments says nothing
	}
	for _, pair := range root.Values {
		if err := f.add(pair); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// Values returns what the file says of a setting: nothing if it is silent on it.
func (f *File) Values(name string) []string { return f.values[name].values }

// syntax words an error of the YAML library as position and cause.
func syntax(name string, err error) error {
	var e yaml.Error
	if errors.As(err, &e) && e.GetToken() != nil {
		text, _, _ := strings.Cut(e.GetMessage(), "\n")
		return fmt.Errorf("%s:%d: %s", name, e.GetToken().Position.Line, text)
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	return fmt.Errorf("%s: %s", name, text)
}

func line(n ast.Node) int {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 1
}

// add takes over one key with its value.
func (f *File) add(pair *ast.MappingValueNode) error {
	at := line(pair.Key)
	key, ok := scalar(pair.Key.(ast.Node))
	if !ok {
		return fmt.Errorf("%s:%d: a key that is no name", f.Name, at)
	}
	s := find(key)
	switch {
	case s == nil:
		hint := "sgadvise doctor lists all"
		if n := near(key); n != "" {
			hint = "did you mean " + n + "?"
		}
		return fmt.Errorf("%s:%d: unknown key %q: %s", f.Name, at, key, hint)
	case f.values[key].line > 0:
		return fmt.Errorf("%s:%d: %s is set twice, first in line %d", f.Name, at, key, f.values[key].line)
	}
	x := said{line: at}
	nodes := []ast.Node{pair.Value}
	if list, ok := pair.Value.(*ast.SequenceNode); ok {
		if !s.Kind.List() {
			return fmt.Errorf("%s:%d: %s: a list where one value belongs (%s)", f.Name, at, key, s.Kind)
		}
		nodes = list.Values
	}
	for _, n := range nodes {
		text, ok := scalar(n)
		if !ok {
			return fmt.Errorf("%s:%d: %s: it needs a value (%s)", f.Name, max(at, line(n)), key, s.Kind)
		}
		if err := s.Kind.check(text); err != nil {
			return fmt.Errorf("%s:%d: %s: %w", f.Name, max(at, line(n)), key, err)
		}
		x.values = append(x.values, s.Kind.resolve(filepath.Dir(f.Name), text))
	}
	f.values[key] = x
	return nil
}

// scalar is the text of a single value as it is written, so that a date stays a date.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return strings.TrimRight(n.Value.Value, "\n"), true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return strings.TrimSpace(n.GetToken().Value), true
	}
	return "", false
}
