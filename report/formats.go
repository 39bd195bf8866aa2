package report

import (
	"fmt"
	"io"
	"path"
	"strings"
)

// Format is one view of the document. Render writes it whole; its result depends on
// the report alone.
type Format struct {
	Name   string
	Ext    string // of files, with the dot
	Render func(io.Writer, *Report) error
}

// Formats are all views, in the order help texts name them.
var Formats = []Format{
	{"text", ".txt", func(w io.Writer, r *Report) error { return Text(w, r, Options{}) }},
	{"markdown", ".md", Markdown},
	{"html", ".html", HTML},
	{"json", ".json", Write},
	{"sarif", ".sarif", SARIF},
	{"csv", ".csv", CSV},
	{"junit", ".xml", JUnit},
}

// FormatNames lists the names of all formats as help texts do: "text, markdown, …".
func FormatNames() string {
	names := make([]string, len(Formats))
	for i, f := range Formats {
		names[i] = f.Name
	}
	return strings.Join(names, ", ")
}

// FormatFor finds a format by its name ("markdown"), or by the extension of a file
// name ("out/report.md", ".md").
func FormatFor(name string) (Format, error) {
	ext := strings.ToLower(path.Ext(name))
	if strings.HasSuffix(strings.ToLower(name), ".sarif.json") {
		ext = ".sarif" // the other customary extension; what reads it cannot read a report
	}
	var names []string
	for _, f := range Formats {
		if name == f.Name || ext == f.Ext {
			return f, nil
		}
		names = append(names, f.Name+" ("+f.Ext+")")
	}
	return Format{}, fmt.Errorf("%q is no report format; there are %s", name, strings.Join(names, ", "))
}
