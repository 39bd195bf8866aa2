package chart

import (
	"fmt"
	"html"
	"html/template"
	"strconv"
	"strings"
)

// svg collects one picture.
type svg struct{ strings.Builder }

// open begins a picture that is w by h units, with the title and a description if there
// is one. Stretched pictures fill what room they get.
func open(class string, w, h int, stretched bool, title, desc string) *svg {
	s := &svg{}
	s.printf(`<svg class="%s" role="img" viewBox="0 0 %d %d"`, class, w, h)
	if stretched {
		s.WriteString(` preserveAspectRatio="none"`)
	}
	s.printf(`><title>%s</title>`, html.EscapeString(title))
	if desc != "" {
		s.printf(`<desc>%s</desc>`, html.EscapeString(desc))
	}
	return s
}

func (s *svg) printf(format string, args ...any) { fmt.Fprintf(&s.Builder, format, args...) }

// path writes what was drawn of one class, if anything was.
func (s *svg) path(class string, d *strings.Builder) {
	if d.Len() > 0 {
		s.printf(`<path class="%s" d="%s"/>`, class, d.String())
	}
}

// text writes words at a place; anchor is start, middle or end.
func (s *svg) text(class string, x, y float64, anchor, words string) {
	s.printf(`<text class="%s" x="%s" y="%s" text-anchor="%s">%s</text>`, class, num(x), num(y), anchor, html.EscapeString(words))
}

func (s *svg) done() template.HTML {
	s.WriteString("</svg>")
	return template.HTML(s.String())
}

// num writes a coordinate with one decimal at most.
func num(v float64) string {
	t := strconv.FormatFloat(v, 'f', 1, 64)
	return strings.TrimSuffix(t, ".0")
}

// cut shortens words to n characters.
func cut(words string, n int) string {
	r := []rune(words)
	if len(r) <= n {
		return words
	}
	return string(r[:n-1]) + "…"
}
