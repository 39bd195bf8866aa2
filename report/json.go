package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// Write writes r as indented JSON with a newline at the end. Equal reports give
// equal bytes. Characters that could steer a terminal or reorder text are written as
// \u escapes, so the file is safe to look at; nothing is lost.
//
// It writes one element of the long arrays after another: after an error w holds a part.
func Write(w io.Writer, r *Report) error {
	out := bufio.NewWriterSize(w, 64<<10)
	if err := writeMembers(out, reflect.ValueOf(r.complete()).Elem()); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return out.Flush()
}

// writeMembers writes the struct v as [json.Encoder] would, arrays element by element.
func writeMembers(w *bufio.Writer, v reflect.Value) error {
	var buf []byte
	separator := "{"
	for i := range v.NumField() {
		name, option, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		f := v.Field(i)
		if option == "omitempty" && isEmpty(f) {
			continue
		}
		fmt.Fprintf(w, "%s\n  %q: ", separator, name)
		separator = ","
		if f.Kind() != reflect.Slice || f.Len() == 0 {
			var err error
			if buf, err = encoderOf(f.Type())(buf[:0], f, 1); err != nil {
				return err
			}
			w.Write(buf)
			continue
		}
		w.WriteByte('[')
		if err := writeElements(w, f, 2); err != nil {
			return err
		}
		w.WriteString("\n  ]")
	}
	_, err := w.WriteString("\n}\n") // bufio keeps the first error
	return err
}

// writeElements writes the elements of the slice v, each on lines of its own at depth.
// Some are encoded at once, each share of them into memory of its own.
func writeElements(w *bufio.Writer, v reflect.Value, depth int) error {
	const share = 256
	encode := encoderOf(v.Type().Elem())
	shares := make([][]byte, runtime.GOMAXPROCS(0))
	errs := make([]error, len(shares))
	fill := func(n, lo int) {
		b := shares[n][:0]
		for k := lo; k < min(lo+share, v.Len()) && errs[n] == nil; k++ {
			if k > 0 {
				b = append(b, ',')
			}
			b, errs[n] = encode(appendLine(b, depth), v.Index(k), depth)
		}
		shares[n] = b
	}
	for at := 0; at < v.Len(); at += share * len(shares) {
		var wg sync.WaitGroup
		for n := range shares {
			shares[n] = shares[n][:0]
			if lo := at + n*share; lo < v.Len() {
				wg.Go(func() { fill(n, lo) })
			}
		}
		wg.Wait()
		for n := range shares {
			if errs[n] != nil {
				return errs[n]
			}
			if _, err := w.Write(shares[n]); err != nil {
				return err
			}
		}
	}
	return nil
}

// isEmpty reports whether v is what omitempty leaves out.
func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map, reflect.String, reflect.Array:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}

// escapeHidden replaces the characters that [hidden] names by \u escapes, and U+FFFD
// too, which the encoder escapes only where it stands for bytes that are no text. In
// JSON that has been encoded they can only stand inside strings.
func escapeHidden(b []byte) []byte {
	plain := func(c byte) bool { return c >= ' ' && c < 0x7f || c == '\n' }
	at := 0
	for at < len(b) && plain(b[at]) {
		at++
	}
	escaped := func(c rune) bool { return c != '\n' && hidden(c) || c == utf8.RuneError }
	if !bytes.ContainsFunc(b[at:], escaped) {
		return b
	}
	out := make([]byte, 0, len(b)+64)
	for len(b) > 0 {
		c, n := utf8.DecodeRune(b)
		switch {
		case !escaped(c):
			out = append(out, b[:n]...)
		case c > 0xffff:
			c -= 0x10000
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+c>>10, 0xdc00+c&0x3ff)
		default:
			out = fmt.Appendf(out, `\u%04x`, c)
		}
		b = b[n:]
	}
	return out
}

// Read reads a report that Write wrote, or a later minor version of it: keys it does
// not know are ignored. A document of another major schema, or of none, is a
// [SchemaError].
func Read(r io.Reader) (*Report, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	var head struct {
		Schema string `json:"schema"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, fmt.Errorf("report: %w", positioned(data, err))
	}
	if err := checkSchema(head.Schema); err != nil {
		return nil, fmt.Errorf("report: schema: %w", err)
	}
	var doc Report
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("report: %w", positioned(data, err))
	}
	return doc.complete(), nil
}

// SchemaError says that a document is no report that this version reads. Schema is what
// the document calls itself, "" if nothing.
type SchemaError struct{ Schema string }

// Error says what was wanted.
func (e *SchemaError) Error() string {
	name, _, _ := strings.Cut(e.Schema, "/")
	wantName, _, _ := strings.Cut(SchemaName, "/")
	switch {
	case e.Schema == "":
		return "missing; is this a report of sgadvise?"
	case name != wantName:
		return fmt.Sprintf("%q is not a report; want %q", e.Schema, SchemaName)
	}
	return fmt.Sprintf("%q is not known to this version, which reads %q", e.Schema, SchemaName)
}

func checkSchema(s string) error {
	name, version, _ := strings.Cut(s, "/")
	wantName, wantMajor, _ := strings.Cut(SchemaName, "/")
	if major, _, _ := strings.Cut(version, "."); name != wantName || major != wantMajor {
		return &SchemaError{s}
	}
	return nil
}

// positioned adds the line to errors that know their offset.
func positioned(data []byte, err error) error {
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	var at int64
	switch {
	case errors.As(err, &syntax):
		at = syntax.Offset
	case errors.As(err, &typ):
		at = typ.Offset
	default:
		return err
	}
	line := 1 + bytes.Count(data[:min(at, int64(len(data)))], []byte{'\n'})
	return fmt.Errorf("line %d: %w", line, err)
}

// marshalPlain is json.Marshal without the escapes for HTML, which the encoder would
// keep when they come from a MarshalJSON method.
func marshalPlain(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(buf.Bytes(), []byte{'\n'}), err
}

// complete returns a copy of r in which no array and no map is nil, and the schema is
// named. It shares with r what it need not change.
func (r *Report) complete() *Report {
	c := *r
	if c.Schema == "" {
		c.Schema = SchemaName
	}
	fill(&c.Notes)
	fill(&c.Inputs.Logs)
	fill(&c.Inputs.Policy)
	fill(&c.Inputs.Skipped)
	fill(&c.Ledger.Reasons)
	fill(&c.Ledger.Samples)
	fillMap(&c.Fidelity.Causes)
	fillEach(&c.Fidelity.Interfaces, func(f *InterfaceFidelity) { fillMap(&f.Causes) })
	fill(&c.History.Unsettled)
	fill(&c.Orientation)
	fillEach(&c.Coverage.Interfaces, func(f *InterfaceCoverage) { fill(&f.Gaps) })
	fill(&c.Coverage.Missing)
	fill(&c.Groups)
	fill(&c.Rules)
	fill(&c.Checks)
	fillEach(&c.Findings, func(f *Finding) { fill(&f.Facts); fill(&f.Related); fill(&f.Controls) })
	fillEach(&c.Plan.Edits, func(e *Edit) { fill(&e.With) })
	fill(&c.Plan.Declined)
	fill(&c.Plan.Exposure.Families)
	fill(&c.Plan.Exposure.Groups)
	fill(&c.Undecided)
	fillOptional(&c.Controls, func(x *ControlEvidence) { fill(&x.Checks); fill(&x.Refs); fill(&x.Evidence) })
	fillOptional(&c.Suppressions, func(x *SuppressionEntry) { fill(&x.Findings) })
	fillOptional(&c.Details, func(d *Detail) { fill(&d.Shares); fill(&d.Decisive) })
	if c.Pictures != nil {
		p := *c.Pictures
		fill(&p.Tradeoff)
		fill(&p.Flows.Links)
		fillEach(&p.Spaces, func(s *Space) { fill(&s.Cells); fill(&s.Used) })
		c.Pictures = &p
	}
	fillOptional(&c.Trend, func(p *TrendPoint) { fill(&p.Exposure) })
	return &c
}

func fill[T any](s *[]T) {
	if *s == nil {
		*s = []T{}
	}
}

func fillMap(m *map[string]uint64) {
	if *m == nil {
		*m = map[string]uint64{}
	}
}

// fillOptional is fillEach for an array that may be missing.
func fillOptional[T any](s *[]T, each func(*T)) {
	if len(*s) > 0 {
		fillEach(s, each)
	}
}

// fillEach copies s before it changes the elements.
func fillEach[T any](s *[]T, each func(*T)) {
	*s = slices.Clone(*s)
	fill(s)
	for i := range *s {
		each(&(*s)[i])
	}
}
