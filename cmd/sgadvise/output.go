package main

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	reports "github.com/sgadvise/sgadvise/report"
)

// outputFlags say where reports go and how they look.
type outputFlags struct {
	format  string
	out     string
	export  []string
	color   string
	verbose bool

	exportOnly bool // there is nothing to write but what --export names
}

func (f *outputFlags) register(fs *pflag.FlagSet) {
	fs.StringVar(&f.format, "format", "", "format of the report: "+reports.FormatNames()+" (default: from -o, else text)")
	fs.StringVarP(&f.out, "output", "o", "-", "file for the report, - for standard output")
	fs.StringArrayVar(&f.export, "export", nil, "write the report to this file too, format from its extension (repeatable)")
	fs.StringVar(&f.color, "color", "auto", "colour in text: auto, always, never")
	fs.BoolVarP(&f.verbose, "verbose", "v", false, "show all rows in text")
}

func (f *outputFlags) check() error {
	if !slices.Contains([]string{"auto", "always", "never"}, f.color) {
		return usageError("--color: %q is not auto, always or never", f.color)
	}
	if _, err := f.mainFormat(); err != nil {
		return err
	}
	written := map[string]bool{}
	for _, name := range append([]string{f.out}, f.export...) {
		if name != "-" && written[filepath.Clean(name)] {
			return usageError("%s is named twice as the file for a report", name)
		}
		written[filepath.Clean(name)] = true
	}
	for _, name := range f.export {
		if _, err := reports.FormatFor(filepath.Base(name)); err != nil || filepath.Ext(name) == "" {
			return usageError("--export: %q does not end in the extension of a report format", name)
		}
	}
	return nil
}

func (f *outputFlags) mainFormat() (reports.Format, error) {
	name := f.format
	if name == "" && f.out != "-" {
		if format, err := reports.FormatFor(filepath.Base(f.out)); err == nil && filepath.Ext(f.out) != "" {
			return format, nil
		}
	}
	if name == "" {
		name = "text"
	}
	format, err := reports.FormatFor(name)
	if err != nil {
		return format, usageError("--format: %v", err)
	}
	return format, nil
}

// write renders every view into a file beside its place first and then moves them there,
// so that a failure leaves no report behind rather than some.
func (f *outputFlags) write(doc *reports.Report, s streams) error {
	var files []file
	for _, name := range f.export {
		format, err := reports.FormatFor(filepath.Base(name))
		if err != nil {
			return err
		}
		files = append(files, file{name: name, render: func(w io.Writer) error { return format.Render(w, doc) }})
	}
	if f.exportOnly {
		if err := writeFiles(files); err != nil {
			return &exitError{code: exitInternal, cause: err}
		}
		return nil
	}
	format, err := f.mainFormat()
	if err != nil {
		return err
	}
	render := func(w io.Writer) error { return format.Render(w, doc) }
	if format.Name == "text" {
		render = func(w io.Writer) error { return reports.Text(w, doc, f.textOptions(s.out)) }
	}
	var b bytes.Buffer
	if f.out != "-" {
		files = append(files, file{name: f.out, render: render})
	} else if err := render(&b); err != nil {
		return err
	}
	if err := writeFiles(files); err != nil {
		return &exitError{code: exitInternal, cause: err}
	}
	if f.out == "-" {
		if _, err := s.out.Write(b.Bytes()); err != nil {
			return &exitError{code: exitInternal, cause: err}
		}
	}
	return nil
}

func (f *outputFlags) textOptions(out io.Writer) reports.Options {
	o := reports.Options{Verbose: f.verbose}
	if f.out != "-" {
		return o
	}
	file, ok := out.(*os.File)
	tty := ok && term.IsTerminal(int(file.Fd()))
	if tty {
		if w, _, err := term.GetSize(int(file.Fd())); err == nil {
			o.Width = w
		}
	}
	switch f.color {
	case "always":
		o.Color = true
	case "auto":
		forced := os.Getenv("CLICOLOR_FORCE")
		o.Color = os.Getenv("NO_COLOR") == "" && (tty && os.Getenv("TERM") != "dumb" || forced != "" && forced != "0")
	}
	return o
}

// file is a report to write: its bytes, or what writes them.
type file struct {
	name   string
	body   []byte
	render func(io.Writer) error
}

// writeFiles replaces every file as a whole: others see the old one or the new one. It
// replaces none before all are on disk.
func writeFiles(files []file) (err error) {
	var staged []string
	defer func() {
		for _, name := range staged {
			os.Remove(name)
		}
	}()
	for _, x := range files {
		if info, err := os.Stat(x.name); err == nil && info.IsDir() {
			return fmt.Errorf("%s: it is a folder", x.name)
		}
		name, err := stage(x)
		if name != "" {
			staged = append(staged, name)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", x.name, reason(err))
		}
	}
	for i, x := range files {
		if err := os.Rename(staged[i], x.name); err != nil {
			return fmt.Errorf("%s: %w", x.name, reason(err))
		}
	}
	staged = nil
	return nil
}

// stage writes x to a new file beside its place and returns its name, also after an
// error if there is one to remove.
func stage(x file) (name string, err error) {
	tmp, err := os.CreateTemp(filepath.Dir(x.name), ".sgadvise-*")
	if err != nil {
		return "", err
	}
	if x.render != nil {
		w := bufio.NewWriterSize(tmp, 64<<10)
		err = cmp.Or(x.render(w), w.Flush())
	} else {
		_, err = tmp.Write(x.body)
	}
	if err == nil {
		err = tmp.Chmod(0o644)
	}
	if e := tmp.Close(); err == nil {
		err = e
	}
	return tmp.Name(), err
}

// reason takes the name of the staged file, which nobody knows, out of err.
func reason(err error) error {
	var path *os.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}
