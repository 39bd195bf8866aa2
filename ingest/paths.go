package ingest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// stdinPath is the path that means standard input.
const stdinPath = "-"

// Files returns the files that [Read] would open for paths, ascending and each once: -
// for standard input, else names of files. Folders are walked and globs expanded; a path
// that names nothing is an error that wraps [ErrNoInput].
func Files(paths []string) ([]string, error) { return expand(paths) }

// expand returns the files that paths name, ascending and each once.
func expand(paths []string) ([]string, error) {
	if len(paths) == 0 {
		return nil, fmt.Errorf("%w: no path given", ErrNoInput)
	}
	var files []string
	for _, path := range paths {
		found, err := expandOne(path)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("%s: %w", path, ErrNoInput)
		}
		files = append(files, found...)
	}
	slices.Sort(files)

	// The same file may hide behind several names; the least one stands.
	seen := make(map[string]bool, len(files))
	return slices.DeleteFunc(files, func(path string) bool {
		real := path
		if path != stdinPath {
			if abs, err := filepath.Abs(path); err == nil {
				real = abs
			}
			if target, err := filepath.EvalSymlinks(real); err == nil {
				real = target
			}
		}
		again := seen[real]
		seen[real] = true
		return again
	}), nil
}

func expandOne(path string) ([]string, error) {
	if path == stdinPath {
		return []string{path}, nil
	}
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return walk(path)
	case err == nil:
		return []string{filepath.Clean(path)}, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, &InputError{Path: path, Err: cause(err)}
	}
	matches, err := filepath.Glob(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", path, ErrNoInput, err)
	}
	var files []string
	for _, m := range matches {
		info, err := os.Stat(m)
		switch {
		case err != nil:
			return nil, &InputError{Path: m, Err: cause(err)}
		case info.IsDir():
			below, err := walk(m)
			if err != nil {
				return nil, err
			}
			files = append(files, below...)
		case !skipped(filepath.Base(m)):
			files = append(files, m)
		}
	}
	return files, nil
}

// walk returns the files below a folder. Partitions, Hive or not, are just folders.
func walk(root string) ([]string, error) {
	var files []string
	if target, err := filepath.EvalSymlinks(root); err == nil && target != filepath.Clean(root) {
		root += string(filepath.Separator) // a link to a folder: walk what it names
	}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return &InputError{Path: path, Err: cause(err)}
		case path != root && skipped(e.Name()):
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		case e.IsDir():
			return nil
		}
		info, err := os.Stat(path) // a link counts as what it names
		if err != nil {
			return &InputError{Path: path, Err: cause(err)}
		}
		if info.Mode().IsRegular() {
			files = append(files, filepath.Clean(path))
		}
		return nil
	})
	return files, err
}

// skipped reports whether a file found by walking is none of the log: hidden, or a
// marker that an export leaves beside its data.
func skipped(name string) bool {
	return strings.HasPrefix(name, ".") || name == "_SUCCESS" ||
		strings.HasSuffix(name, ".metadata") || name == "aws-logs-write-test"
}

// cause takes the path off an error of package os, which its message would repeat.
func cause(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}
