package cloud

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// token is a word of the policy language, with the key of a key=value word.
type token struct {
	key    string
	text   string
	quoted bool
}

// is reports whether t is the keyword w.
func (t token) is(w string) bool { return t.key == "" && !t.quoted && t.text == w }

// tokens splits a line. A # where a word would start begins a comment.
func tokens(line string) ([]token, error) {
	var out []token
	for {
		line = strings.TrimLeft(line, " \t\r")
		if line == "" || line[0] == '#' {
			return out, nil
		}
		var t token
		if line[0] != '"' {
			end := strings.IndexAny(line, " \t\r\"=")
			if end < 0 {
				end = len(line)
			}
			if end < len(line) && line[end] == '=' {
				t.key, line = line[:end], line[end+1:]
				if t.key == "" {
					return nil, fmt.Errorf("= without a name before it")
				}
			}
		}
		if strings.HasPrefix(line, `"`) {
			q, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, fmt.Errorf("quoted word does not end: %s", line)
			}
			if t.text, err = strconv.Unquote(q); err != nil {
				return nil, fmt.Errorf("quoted word %s: %w", q, err)
			}
			t.quoted, line = true, line[len(q):]
			if line != "" && !strings.ContainsRune(" \t\r#", rune(line[0])) {
				return nil, fmt.Errorf("no blank after %s", q)
			}
		} else {
			end := strings.IndexAny(line, " \t\r")
			if end < 0 {
				end = len(line)
			}
			t.text, line = line[:end], line[end:]
			if strings.ContainsAny(t.text, `"=`) {
				return nil, fmt.Errorf("quote the word %s", t.text)
			}
		}
		out = append(out, t)
	}
}

// words reads the tokens of one line in order.
type words struct {
	rest []token
}

// next takes the next token; ok is false at the end of the line.
func (w *words) next() (token, bool) {
	if len(w.rest) == 0 {
		return token{}, false
	}
	t := w.rest[0]
	w.rest = w.rest[1:]
	return t, true
}

// peek returns the next token without taking it; the zero token at the end.
func (w *words) peek() token {
	if len(w.rest) == 0 {
		return token{}
	}
	return w.rest[0]
}

// id takes an id: any word that is no key=value.
func (w *words) id(what string) (string, error) {
	t, ok := w.next()
	if !ok || t.key != "" || t.text == "" {
		return "", fmt.Errorf("no %s", what)
	}
	return t.text, nil
}

func parseTime(what, text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%s: %q is not a time like 2024-01-31T00:00:00Z", what, text)
	}
	return t.UTC(), nil
}

// keywords are the words that mean something where an id could stand.
var keywords = map[string]bool{
	"all": true, "any": true, "none": true, "unknown": true, "or": true, "at": true, "from": true, "to": true,
	"type": true, "code": true, "ingress": true, "egress": true, "allow": true, "deny": true, "next": true, "allow-all": true,
	"transit": true, "requester-managed": true, "managed": true, "default": true, "provider": true,
	"readonly": true, "implicit": true, "first": true,
}

// bare reports whether s can be written without quotes wherever an id stands: it is
// no keyword, no number and no address.
func bare(s string) bool {
	if s == "" || keywords[s] {
		return false
	}
	if _, err := strconv.ParseUint(s, 10, 64); err == nil {
		return false
	}
	if _, err := parsePrefix(s); err == nil {
		return false
	}
	for _, c := range s {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.ContainsRune("-_.:/", c):
		default:
			return false
		}
	}
	return true
}

// word writes s as an id or value.
func word(s string) string {
	if bare(s) {
		return s
	}
	return strconv.Quote(s)
}
