package remedy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sgadvise/sgadvise/analyzer/plan"
)

// idShape is what ids of clouds look like: nothing in it means anything to a shell, to a
// command line, or to HCL.
var idShape = regexp.MustCompile(`^[a-z]+-[0-9A-Za-z][0-9A-Za-z_-]{0,80}$`)

func plainID(s string) bool { return idShape.MatchString(s) }

var bareWord = regexp.MustCompile(`^[A-Za-z0-9_@%+:,./=-]+$`)

// quote writes s as one word of bash, whatever it holds. A word of bash cannot hold NUL,
// which becomes a space.
func quote(s string) string {
	s = strings.ReplaceAll(s, "\x00", " ")
	switch {
	case bareWord.MatchString(s):
		return s
	case utf8.ValidString(s) && strings.IndexFunc(s, func(c rune) bool { return !unicode.IsPrint(c) }) < 0:
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	var b strings.Builder
	b.WriteString("$'")
	for len(s) > 0 {
		c, n := utf8.DecodeRuneInString(s)
		switch {
		case c == '\'' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(s[0])
		case c == '\n':
			b.WriteString(`\n`)
		case unicode.IsPrint(c) && !(c == utf8.RuneError && n == 1):
			b.WriteString(s[:n])
		default:
			for i := range n {
				fmt.Fprintf(&b, `\x%02x`, s[i])
			}
		}
		s = s[n:]
	}
	return b.String() + "'"
}

// call writes a command of bash.
func call(name string, args ...string) string {
	words := []string{name}
	for _, a := range args {
		words = append(words, quote(a))
	}
	return strings.Join(words, " ")
}

// oneLine makes text safe to stand in a comment.
func oneLine(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return ' '
	}, s)
}

// scripts writes the edits of j that fit d as scripts.
func (j *job) scripts(d *dialect) []File {
	j.sift(func(e *plan.Edit) Left { return Left{Reason: j.unfit(d, e)} })
	q := j.sequence(d, func(*plan.Edit) bool { return true })
	j.how = j.scriptsHow(d)
	return j.scriptFiles(d, q, "")
}

// scriptFiles writes q as scripts in folder, which is empty or ends in a slash.
func (j *job) scriptFiles(d *dialect, q *sequence, folder string) []File {
	return []File{
		{Name: folder + "common.sh", Body: commonHead + d.common},
		{Name: folder + "apply.sh", Body: j.apply(q), Run: true},
		{Name: folder + "rollback.sh", Body: j.rollback(q), Run: true},
		{Name: folder + "verify.sh", Body: j.verify(q), Run: true},
	}
}

// script is a script in the making.
type script struct{ strings.Builder }

func (j *job) script(what string, steps int) *script {
	b := new(script)
	fmt.Fprintf(b, `#!/usr/bin/env bash
# %s the plan of %s.
# Read README.md first. With --dry-run nothing is changed.
set -euo pipefail
. "$(dirname -- "$0")/common.sh"
options "$@"
total=%d
`, what, oneLine(j.in.Report), steps)
	return b
}

func (b *script) line(s string) { b.WriteString(s + "\n") }

func (b *script) part(title string) { b.line("\n" + call("part", title)) }

// steps writes what a list of steps does.
func (b *script) steps(steps []step, undo bool) {
	for i := range steps {
		s := &steps[i]
		do := s.do
		if undo {
			s, do = &steps[len(steps)-1-i], steps[len(steps)-1-i].undo
		}
		say := s.say
		if undo {
			say = "undo: " + say
		}
		b.line(call("step", say))
		if s.note != "" && !undo {
			b.line("# " + oneLine(s.note))
		}
		b.line(do)
	}
}

// checks writes what is to hold of each watch. If all, each is read even if nothing is
// asked of it: that it is there at all.
func (b *script) checks(q *sequence, all bool, state func(*watch) (lines, there, gone []string)) {
	for _, w := range q.watches {
		lines, there, gone := state(w)
		if !all && len(lines)+len(there)+len(gone) == 0 {
			continue
		}
		if w.acl {
			b.line(call("look_acl", w.owner))
		} else {
			b.line(call("look", w.owner))
		}
		for _, l := range lines {
			b.line(l)
		}
		for _, l := range there {
			b.line(call("holds", l))
		}
		for _, l := range gone {
			if !slices.Contains(there, l) { // of two that say the same one may go
				b.line(call("gone", l))
			}
		}
	}
	b.line("settled")
}

func present(w *watch) (lines, there, gone []string) { return w.fixed, w.kept, nil }

func added(w *watch) (lines, there, gone []string) { return nil, w.added, nil }

func planned(w *watch) (lines, there, gone []string) {
	return w.then, slices.Concat(w.kept, w.added, w.swapped), w.removed
}

func restored(w *watch) (lines, there, gone []string) { return w.once, w.removed, nil }

func original(w *watch) (lines, there, gone []string) {
	return w.once, slices.Concat(w.kept, w.removed), slices.Concat(w.added, w.swapped)
}

func (j *job) apply(q *sequence) string {
	b := j.script("Applies", q.len())
	b.part("Is the policy the one that the plan was made for?")
	b.checks(q, true, present)
	if len(q.adds) > 0 {
		b.part("Add the new rules")
		b.steps(q.adds, false)
		b.part("Are they there?")
		b.checks(q, false, added)
	}
	if len(q.swaps) > 0 {
		b.part("Change rules in place")
		b.steps(q.swaps, false)
	}
	if len(q.removes) > 0 {
		b.part("Remove the old rules")
		b.steps(q.removes, false)
	}
	b.part("Is everything as planned?")
	b.checks(q, true, planned)
	b.line(call("finish", "The plan is applied."))
	return b.String()
}

func (j *job) rollback(q *sequence) string {
	b := j.script("Rolls back", q.len())
	if len(q.removes) > 0 {
		b.part("Put the old rules back")
		b.steps(q.removes, true)
	}
	if len(q.swaps) > 0 {
		b.part("Change rules back")
		b.steps(q.swaps, true)
	}
	b.part("Are they there?")
	b.checks(q, false, restored)
	if len(q.adds) > 0 {
		b.part("Remove the new rules")
		b.steps(q.adds, true)
	}
	b.part("Is everything as it was?")
	b.checks(q, true, original)
	b.line(call("finish", "The plan is rolled back."))
	return b.String()
}

func (j *job) verify(q *sequence) string {
	b := new(script)
	fmt.Fprintf(b, `#!/usr/bin/env bash
# Reads back whether the plan of %s is in force. It changes nothing.
# With --before: whether everything is as it was before the plan.
set -euo pipefail
. "$(dirname -- "$0")/common.sh"
before=""
case "${1-}" in
  "") ;;
  --before) before=yes ;;
  *) echo "usage: $0 [--before]" >&2; exit 2 ;;
esac

if [ -z "$before" ]; then
`, oneLine(j.in.Report))
	b.checks(q, true, planned)
	b.line("else")
	b.checks(q, true, original)
	b.line("fi")
	b.line("echo 'Everything is as it should be.'")
	return b.String()
}
