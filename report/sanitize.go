package report

import (
	"math"
	"reflect"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxText is the length in characters at which views cut any one text. Long enough
// for every sentence the tool writes; a peer of a thousand prefixes is cut.
const maxText = 400

// ansi matches terminal sequences as a whole, so that what is left of one is not its
// visible tail: CSI, OSC and its kin with their terminators, and two-byte escapes; in
// their 7-bit and 8-bit forms.
var ansi = regexp.MustCompile("(?:\x1b\\[|\u009b)[0-?]*[ -/]*[@-~]?" +
	"|(?:\x1b[\\]PX^_]|[\u0090\u0098\u009d-\u009f])[^\x07\x1b\u009c]*(?:\x07|\x1b\\\\|\u009c)?" +
	"|\x1b[ -/]*[0-~]?")

// hidden reports whether c has no shape of its own but may act on what is around it:
// control characters, line separators, and format characters, which include
// everything that changes the direction of text.
func hidden(c rune) bool {
	return unicode.In(c, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

// clean makes untrusted text inert: terminal sequences and hidden characters go, line
// breaks and tabs become spaces, what is not UTF-8 becomes U+FFFD, and the rest is cut
// at limit characters.
func clean(s string, limit int) string {
	if !utf8.ValidString(s) {
		s = string([]rune(s)) // byte by byte, as encoding/json does it
	}
	if strings.ContainsFunc(s, hidden) {
		s = ansi.ReplaceAllString(s, "")
		s = strings.Map(func(c rune) rune {
			switch {
			case c == '\n' || c == '\r' || c == '\t' || c == '\u2028' || c == '\u2029':
				return ' '
			case hidden(c):
				return -1
			}
			return c
		}, s)
	}
	return clip(s, limit)
}

// clip cuts s to at most limit characters, the last of which is then an ellipsis.
func clip(s string, limit int) string {
	if len(s) <= limit || utf8.RuneCountInString(s) <= limit {
		return s
	}
	n := 0
	for i := range s {
		if n == limit-1 {
			return s[:i] + "…"
		}
		n++
	}
	return s
}

// inert returns a deep copy of r with every text cleaned. It is the one gate through
// which a document reaches a view; walking all strings by reflection makes it
// impossible to forget a field that is added later.
func inert(r *Report) *Report { return cleaned(r.complete()) }

// whole is inert for programs: no text is cut.
func whole(r *Report) *Report { return cleanedTo(r.complete(), math.MaxInt) }

// cleaned returns a deep copy of v with every text cleaned.
func cleaned[T any](v *T) *T { return cleanedTo(v, maxText) }

// cleanedTo is cleaned with another limit to the length of each text.
func cleanedTo[T any](v *T, limit int) *T {
	out := reflect.New(reflect.TypeFor[T]()).Elem()
	copyClean(out, reflect.ValueOf(v).Elem(), limit)
	return out.Addr().Interface().(*T)
}

func copyClean(dst, src reflect.Value, limit int) {
	switch src.Kind() {
	case reflect.String:
		dst.SetString(clean(src.String(), limit))
	case reflect.Struct:
		for i := range src.NumField() {
			copyClean(dst.Field(i), src.Field(i), limit)
		}
	case reflect.Slice:
		dst.Set(reflect.MakeSlice(src.Type(), src.Len(), src.Len()))
		for i := range src.Len() {
			copyClean(dst.Index(i), src.Index(i), limit)
		}
	case reflect.Map:
		dst.Set(reflect.MakeMapWithSize(src.Type(), src.Len()))
		for _, k := range src.MapKeys() {
			// Keys that differ in what is stripped would fall together; the counts are
			// for people, and the JSON keeps them apart.
			key := reflect.New(k.Type()).Elem()
			copyClean(key, k, limit)
			sum := src.MapIndex(k).Uint()
			if old := dst.MapIndex(key); old.IsValid() {
				sum += old.Uint()
			}
			dst.SetMapIndex(key, reflect.ValueOf(sum))
		}
	case reflect.Pointer:
		if !src.IsNil() {
			dst.Set(reflect.New(src.Type().Elem()))
			copyClean(dst.Elem(), src.Elem(), limit)
		}
	default:
		dst.Set(src)
	}
}
