package flowlog

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maxColumns bounds the columns of a line; VPC flow logs have 54 fields today.
const maxColumns = 1 << 10

// Layout says which column of a line holds which field. It is immutable and safe for
// concurrent use.
type Layout struct {
	sep   byte // what separates columns; 0: runs of spaces
	quote byte // what may enclose a value, where sep is not 0
	n     int  // number of columns
	col   [NumFields]int16

	alibaba bool     // in the dialect of Alibaba Cloud
	assumed bool     // the default layout, for want of anything better: each line must have its exact shape
	fault   string   // not empty: no line can be read by this layout, and why
	lacks   string   // not empty: flows cannot be made of its lines, and why
	unknown []string // column names that are not in the table
	source  string   // the header line, to know it when it repeats
	text    *Layout  // how to read a column that holds a whole record as text
}

// defaultNames are the fields of the default format, which is version 2.
const defaultNames = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"

// DefaultLayout returns the layout of logs that come without a header line and in
// the default format. It takes a line only if it has the exact shape: 14 fields,
// version 2, addresses in fields 4 and 5, an action and a log status at the end.
func DefaultLayout() *Layout {
	l := newLayout(strings.Fields(defaultNames), 0)
	l.assumed = true
	return l
}

// ParseLogFormat returns the layout that a LogFormat describes, as in
// "${version} ${account-id} …"; plain names are taken too. Names that are not known
// stay columns that nobody reads.
func ParseLogFormat(format string) (*Layout, error) {
	names := strings.Fields(format)
	if len(names) == 0 {
		return nil, errors.New("log format: no field in it; in a shell, write it in single quotes")
	}
	for i, name := range names {
		if s, ok := strings.CutPrefix(name, "${"); ok {
			if name, ok = strings.CutSuffix(s, "}"); !ok {
				return nil, fmt.Errorf("log format: %q lacks its closing brace", names[i])
			}
			names[i] = name
		}
		if !isFieldName(names[i]) {
			return nil, fmt.Errorf("log format: %q is not a field name", names[i])
		}
	}
	return checked("log format", newLayout(names, 0))
}

// ParseColumns returns the layout of comma-separated lines without a header line,
// given the names of their columns separated by commas; [Layout.Separated] makes of
// it that of lines separated otherwise. A column that holds whole records as text is
// read under layout text.
func ParseColumns(columns string, text *Layout) (*Layout, error) {
	names := strings.Split(columns, ",")
	for i, name := range names {
		names[i] = strings.TrimSpace(name)
		if names[i] == "" {
			return nil, fmt.Errorf("columns: column %d has no name", i+1)
		}
	}
	l := newLayout(names, ',')
	l.text = text
	return checked("columns", l)
}

func checked(what string, l *Layout) (*Layout, error) {
	switch {
	case l.fault != "":
		return nil, fmt.Errorf("%s: %s", what, l.fault)
	case len(l.unknown) == l.n:
		return nil, fmt.Errorf("%s: none of its names is a field of a flow log", what)
	}
	return l, nil
}

// Separated returns l for lines with sep between their columns and quote around
// values that need it.
func (l *Layout) Separated(sep, quote byte) *Layout {
	s := *l
	s.sep, s.quote = sep, quote
	return &s
}

// Fits reports whether line has as many values as l has columns and, for the default
// layout, its version. It is how a reader chooses among layouts; whether the values
// make sense is for the decoder to say.
func (l *Layout) Fits(line []byte) bool {
	line = bytes.TrimSuffix(line, []byte("\r"))
	pos := make([]span, l.n+1)
	base, n := line, 0
	if l.sep == 0 {
		n = splitSpaces(line, pos)
	} else {
		var wrong string
		if base, n, wrong = new(LineDecoder).splitSeparated(line, l.sep, l.quote, pos); wrong != "" {
			return false
		}
	}
	return n == l.n && (!l.assumed || string(base[pos[0].lo:pos[0].hi]) == "2")
}

// UnknownFields returns the names in l that are not in the table of fields.
func (l *Layout) UnknownFields() []string { return l.unknown }

func (l *Layout) has(f Field) bool { return l.col[f] >= 0 }

func newLayout(names []string, sep byte) *Layout {
	return newLayoutIn(names, sep, speaksAlibaba(names))
}

// newLayoutIn is newLayout for names that leave out some which tell the dialect.
func newLayoutIn(names []string, sep byte, alibaba bool) *Layout {
	l := &Layout{sep: sep, quote: '"', n: len(names), alibaba: alibaba}
	for f := range l.col {
		l.col[f] = -1
	}
	if len(names) > maxColumns {
		l.fault = fmt.Sprintf("the header line names more than %d fields", maxColumns)
		return l
	}
	for i, name := range names {
		f, known := lookupIn(name, l.alibaba)
		switch {
		case !known:
			l.unknown = append(l.unknown, clip(name))
		case f == Carried:
		case f == TransitGateway:
			l.col[f] = int16(i)
		case l.has(f):
			l.fault = "the header line names " + f.String() + " twice"
		default:
			l.col[f] = int16(i)
		}
	}
	l.lacks = l.lacking()
	return l
}

// lacking says what keeps lines of l from being flows, or nothing.
func (l *Layout) lacking() string {
	if l.has(TransitGateway) {
		return causeGateway
	}
	if l.has(Message) {
		return ""
	}
	var lacks []string
	need := func(f Field, or ...Field) {
		if !l.has(f) && !slices.ContainsFunc(or, l.has) {
			lacks = append(lacks, f.String())
		}
	}
	need(SrcAddr, PktSrcAddr)
	need(DstAddr, PktDstAddr)
	need(SrcPort)
	need(DstPort)
	need(Protocol)
	need(Action)
	need(Start, End)
	if lacks == nil {
		return ""
	}
	return "the format has no " + strings.Join(lacks, ", ")
}

// Scan returns the layout in force after block, which holds whole lines, and the
// number of lines. It lets one reader hand blocks of a file to several decoders
// although a header line may change the layout anywhere.
func (l *Layout) Scan(block []byte) (after *Layout, lines int64) {
	for len(block) > 0 {
		end := bytes.IndexByte(block, '\n')
		line := block
		if end >= 0 {
			line, block = block[:end], block[end+1:]
		} else {
			block = nil
		}
		lines++
		if l.mayBeHeader(line) {
			if h := l.header(line); h != nil {
				l = h
			}
		}
	}
	return l, lines
}

// mayBeHeader is the cheap test that almost no row of data passes.
func (l *Layout) mayBeHeader(line []byte) bool {
	if len(line) == 0 {
		return false
	}
	c := line[0]
	if l.sep != 0 {
		return nameStart(c) || c == l.quote || c == ' '
	}
	return 'a' <= c && c <= 'z' || c == ' '
}

// header returns the layout that line announces, nil if line is not a header line.
// All its tokens must look like names and at least one must be known.
func (l *Layout) header(line []byte) *Layout {
	line = trimLine(line)
	if l.source != "" && string(line) == l.source {
		return l
	}
	if l.sep == 0 {
		return spaceHeader(line)
	}
	h := separatedHeader(line, l.sep, l.quote)
	if h != nil {
		h.text = l.text
	}
	return h
}

// CSVLayout returns a layout under which a file starts whose first line is a header
// line, with sep between columns and quote around values that need it. Columns that
// hold whole records as text are read under layout text.
func CSVLayout(sep, quote byte, text *Layout) *Layout {
	return &Layout{sep: sep, quote: quote, text: text, fault: "no header line; give --columns"}
}

// spaceHeader returns the layout that a header line with names separated by spaces
// announces, nil if line is not one.
func spaceHeader(line []byte) *Layout {
	known := false
	for token := range bytes.FieldsSeq(line) {
		if !isFieldName(string(token)) {
			return nil
		}
		if !known {
			_, known = LookupField(string(token))
		}
	}
	if !known {
		return nil
	}
	l := newLayout(strings.Fields(string(line)), 0)
	l.source = string(line)
	return l
}

// isFieldName reports whether s has the form of a field of LogFormat.
func isFieldName(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z':
		case i > 0 && ('0' <= c && c <= '9' || c == '-' || c == '_'):
		default:
			return false
		}
	}
	return s != ""
}

// trimLine takes off what surrounds a line: spaces and a carriage return.
func trimLine(line []byte) []byte { return bytes.Trim(line, " \r") }
