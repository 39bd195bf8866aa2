package flowlog

import (
	"bytes"
	"strings"
)

// Causes of lines of CSV that cannot be split.
const (
	causeBareQuote = "quote inside a value that is not quoted"
	causeOpenQuote = "quoted value without its closing quote"
	causeTail      = "text after a closing quote"
	causeNoMessage = "empty message"
)

// splitSeparated finds the values of a line of CSV. Values may be enclosed in quotes,
// with two of them for one inside; none holds a newline, for no field of a flow log
// does. It returns the bytes that pos refers to, the number of values, len(pos)
// meaning that or more, and what is wrong with the line, if anything.
func (d *LineDecoder) splitSeparated(line []byte, sep, quote byte, pos []span) (base []byte, n int, wrong string) {
	if bytes.IndexByte(line, quote) < 0 {
		for start := 0; n < len(pos); n++ {
			end := bytes.IndexByte(line[start:], sep)
			if end < 0 {
				pos[n] = span{uint32(start), uint32(len(line))}
				return line, n + 1, ""
			}
			pos[n] = span{uint32(start), uint32(start + end)}
			start += end + 1
		}
		return line, n, ""
	}
	cells := d.cells[:0]
	for rest := line; ; {
		lo := len(cells)
		if len(rest) > 0 && rest[0] == quote {
			rest = rest[1:]
			for {
				end := bytes.IndexByte(rest, quote)
				if end < 0 {
					return nil, 0, causeOpenQuote
				}
				cells = append(cells, rest[:end]...)
				rest = rest[end+1:]
				if len(rest) == 0 || rest[0] != quote {
					break
				}
				cells = append(cells, quote)
				rest = rest[1:]
			}
			if len(rest) > 0 && rest[0] != sep {
				return nil, 0, causeTail
			}
		} else {
			end := bytes.IndexByte(rest, sep)
			if end < 0 {
				end = len(rest)
			}
			if bytes.IndexByte(rest[:end], quote) >= 0 {
				return nil, 0, causeBareQuote
			}
			cells = append(cells, rest[:end]...)
			rest = rest[end:]
		}
		if n < len(pos) {
			pos[n] = span{uint32(lo), uint32(len(cells))}
			n++
		}
		if len(rest) == 0 {
			d.cells = cells
			return cells, n, ""
		}
		rest = rest[1:]
	}
}

// separatedHeader returns the layout that a line of names with sep between them
// announces, nil if line is not one.
func separatedHeader(line []byte, sep, quote byte) *Layout {
	if !startsAsNames(line, sep, quote) {
		return nil
	}
	var names []string
	known := false
	var d LineDecoder
	pos := make([]span, bytes.Count(line, []byte{sep})+1)
	base, n, wrong := d.splitSeparated(line, sep, quote, pos)
	if wrong != "" {
		return nil
	}
	for _, p := range pos[:n] {
		name := string(bytes.TrimSpace(base[p.lo:p.hi]))
		if !isColumnName(name) {
			return nil
		}
		f, ok := LookupField(name)
		known = known || ok && f != Carried
		names = append(names, name)
	}
	if !known {
		return nil
	}
	l := newLayout(names, sep)
	l.quote = quote
	l.source = string(line)
	return l
}

// startsAsNames is the part of the test for a header line that costs no memory, and
// that rows of data fail at their first number or address.
func startsAsNames(line []byte, sep, quote byte) bool {
	start := true
	for _, c := range line {
		switch {
		case c == sep:
			start = true
		case start && c != quote && c != ' ':
			if !nameStart(c) {
				return false
			}
			start = false
		}
	}
	return true
}

func nameStart(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' || c == '_' || c == '@' }

// isColumnName reports whether s may name a column: it starts as a name does, and
// no value of a row that is needed does so in all columns at once.
func isColumnName(s string) bool {
	s = strings.TrimPrefix(s, "__tag__:") // of Log Service; other names have no colon
	for i := range len(s) {
		c := s[i]
		switch {
		case nameStart(c):
		case i > 0 && ('0' <= c && c <= '9' || c == '-' || c == ' ' || c == '.' || c == '(' || c == ')' || c == '*'):
		default:
			return false
		}
	}
	return s != ""
}

// decodeMessage decodes a value that is a whole record as text.
func (d *LineDecoder) decodeMessage(v []byte) error {
	if blank(v) {
		d.refuse(Message, causeNoMessage, causeNoMessage)
		return nil
	}
	if d.message == nil {
		d.message = &LineDecoder{columns: d.columns}
	}
	m := d.message
	m.file, m.line, m.stats, m.layout = d.file, d.line, d.stats, d.layout.text
	d.stats.Records-- // the text decoder counts it
	return m.decodeLine(v)
}
