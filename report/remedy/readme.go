package remedy

import (
	"fmt"
	"strings"

	"github.com/sgadvise/sgadvise/analyzer/plan"
)

// md makes text safe to stand in Markdown.
func md(s string) string {
	var b strings.Builder
	for _, c := range oneLine(s) {
		if strings.ContainsRune("\\`*_{}[]<>()#+!|~&$@", c) {
			b.WriteByte('\\')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// code writes s as a span of code.
func code(s string) string {
	return "`" + strings.ReplaceAll(oneLine(s), "`", "'") + "`"
}

// fenced writes text as a block of code whose fence it cannot close.
func fenced(language, text string) string {
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + language + "\n" + text + fence + "\n"
}

// readme writes README.md.
func (j *job) readme() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# The plan of %s, for %s\n\n", md(j.in.Report), j.target.Title)
	fmt.Fprintf(&b, "%s in, %s out.", count(j.added, "rule comes", "rules come"), count(j.removed, "goes", "go"))
	other, left := 0, 0
	for _, l := range j.left {
		if l.Other {
			other++
		} else {
			left++
		}
	}
	if left+other > 0 {
		fmt.Fprintf(&b, " **%s not here**, %s of another cloud: see [not-expressed.md](not-expressed.md).",
			count(left+other, "edit of the plan is", "edits of the plan are"), fmt.Sprint(other))
	}
	b.WriteString("\n\n")
	if j.in.Partial {
		b.WriteString("The policy was not at hand: all that is said here of rules comes from the report.\n\n")
	}
	for _, n := range j.notes {
		fmt.Fprintf(&b, "> %s\n\n", n)
	}
	b.WriteString(j.how)
	b.WriteString("\n## What changes\n\n")
	if len(j.edits) == 0 {
		b.WriteString("Nothing.\n")
	} else {
		b.WriteString("| Rule | Says | Becomes |\n| --- | --- | --- |\n")
		for i := range j.edits {
			e := &j.edits[i]
			says := "(nothing yet)"
			if old := j.rule(e.Rule); old != nil {
				says = code(words(old))
			}
			var now []string
			for k := range e.With {
				now = append(now, code(words(&e.With[k])))
			}
			becomes := strings.Join(now, "<br>")
			if becomes == "" {
				becomes = "(removed)"
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", md(subject(e)), cell(says), cell(becomes))
		}
	}
	b.WriteString(`
## What this rests on

The plan was proven against the connections of the report, with the groups, members and routes of
that moment. The scripts check before any change that the rules are still those; who is a member of
what group they do not check. Connections that are open keep running for a while after their rule is
gone, so watch rejected traffic for longer than your connections live.

A rule that is put back has a new id, and none of the tags it had.
`)
	return b.String()
}

// cell keeps text inside of its cell of a table, even in code.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// scriptsHow says how scripts are used.
func (j *job) scriptsHow(d *dialect) string {
	return fmt.Sprintf(`## How to

Needed are bash and %s

1. Read the scripts. Each change is one line, in the order in which it is made.
2. `+"`./apply.sh --dry-run`"+` %s.
3. `+"`./apply.sh`"+` checks that the rules are still those of the report, adds the new rules, reads them back, removes
   the old ones, those that deny last, and reads everything back. It stops at the first failure and says how far it came;
   running it again goes on from there.
4. `+"`./verify.sh`"+` reads back at any time whether the plan is in force; `+"`./verify.sh --before`"+` whether everything is as it was.
5. `+"`./rollback.sh`"+` takes the same way back: old rules first, then the new ones go.
`, d.needs, d.dry)
}

// terraformHow says how the steps are used.
func (t *terraform) terraformHow() string {
	var b strings.Builder
	b.WriteString(`## How to

Terraform makes and destroys in no order that it promises, so the way is in steps, each an apply of its own.
Terraform 1.7 or OpenTofu 1.7 is needed for ` + "`removed`" + ` blocks. Ids are written out, so the files work in any module that
uses a provider for the right account and region: the root module is best.

1. Copy the files of ` + "`step-1`" + ` into the configuration. The plan must say nothing but imports and additions: if it wants
   to change or to destroy something, an old rule is not what the report says, or has tags that are not written
   here. Apply.
`)
	n := 2
	item := func(format string, args ...any) {
		fmt.Fprintf(&b, "%d. %s\n", n, fmt.Sprintf(format, args...))
		n++
	}
	for _, p := range t.target.platforms {
		d := dialectOf(p)
		for i := range t.edits {
			if e := &t.edits[i]; t.in.Platforms[e.Group] == p && t.ways[e] == byScript {
				item("Run `%s/apply.sh`: it makes what Terraform cannot, or does not manage. Needed are bash and %s", scriptsOf(d), d.needs)
				break
			}
		}
	}
	step := func(folder, adopt string, adopted int, addresses []string) {
		text := "Delete"
		if adopted > 0 {
			text += " `" + adopt + "`"
		}
		if len(addresses) > 0 {
			if adopted > 0 {
				text += " and"
			}
			text += " the blocks of these resources:"
			for _, a := range addresses {
				text += "\n   - " + code(a)
			}
			text += "\n\n  "
		} else {
			text += "."
		}
		item("%s Copy the file of `%s`. The plan must say nothing but destructions, of these rules. Apply.", text, folder)
	}
	if len(t.remove) > 0 {
		step(secondStep, "sgadvise-adopt.tf", len(t.adopt), t.blocks)
	}
	if len(t.removeDenies) > 0 {
		step(thirdStep, "sgadvise-adopt-denies.tf", len(t.adoptDenies), t.denyBlocks)
	}
	item("`verify.sh` in the folder of scripts reads back whether the plan is in force; `verify.sh --before` whether everything is as it was.")
	b.WriteString(`
To roll back, take the same way: first put back the blocks that were deleted,` + restoring(t) + ` delete the
` + "`removed`" + ` blocks, and apply; then run the ` + "`rollback.sh`" + ` of the scripts, if there are any; then delete ` + "`sgadvise-add.tf`" + `, and apply.

Rules without an address in the policy pass for rules that no configuration declares. If one does, give its plan or state
(` + "`terraform show -json`" + `) as --policy besides the exports, and write the files again: a rule must not be declared twice.
`)
	if len(t.forget) > 0 {
		b.WriteString("To go back after step 1 already, replace the `sgadvise-adopt` files by `rollback/sgadvise-forget.tf`, which leaves the old rules in\n" +
			"force: deleting the files alone would destroy them.\n")
	}
	return b.String()
}

func restoring(t *terraform) string {
	if len(t.restore) == 0 {
		return ""
	}
	return " copy `rollback/sgadvise-restore.tf`,"
}

// notExpressed writes not-expressed.md.
func (j *job) notExpressed() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# What is not in these files\n\nThe plan of %s holds %s that %s cannot make, or not safely.\n",
		md(j.in.Report), count(len(j.left), "edit", "edits"), j.target.Title)
	for i := range j.left {
		l := &j.left[i]
		fmt.Fprintf(&b, "\n## %s %s\n\n%s.\n", l.Edit.Op, md(subject(&l.Edit)), md(l.Reason))
		if old := j.rule(l.Edit.Rule); old != nil {
			fmt.Fprintf(&b, "\nIt says %s.\n", code(words(old)))
		}
		if l.Edit.Op != plan.Remove {
			b.WriteString("\nIt is to become\n\n")
			for k := range l.Edit.With {
				fmt.Fprintf(&b, "- %s\n", code(words(&l.Edit.With[k])))
			}
		}
		if l.Hint != "" {
			b.WriteString("\n" + l.Hint)
		}
	}
	return b.String()
}
