package remedy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// The folders of the steps, which are copied into a configuration one after the other.
const (
	firstStep  = "step-1"
	secondStep = "step-2"
	thirdStep  = "step-3"
	backStep   = "rollback"
)

// way is how Terraform can make one edit.
type way uint8

const (
	byHand   way = iota // not by files: the configuration itself has to be edited
	byScript            // not by Terraform at all
	byBlock             // the resource that declares the old rule goes
	byAdopt             // no resource declares the old rule: it is imported first
)

// terraform is a plan on its way into a configuration.
type terraform struct {
	*job
	ways                                                           map[*plan.Edit]way
	add, adopt, adoptDenies, remove, removeDenies, forget, restore []string // blocks
	blocks, denyBlocks                                             []string // addresses of resources to delete
}

func dialectOf(platform string) *dialect {
	if platform == alibabaPlatform {
		return aliyunDialect
	}
	return awsDialect
}

func writeTerraform(j *job) []File {
	t := &terraform{job: j}
	j.sift(func(e *plan.Edit) Left {
		if why := j.unfit(dialectOf(j.in.Platforms[e.Group]), e); why != "" {
			return Left{Reason: why}
		}
		w, why := t.way(e)
		if w == byHand {
			return Left{Reason: why, Hint: t.hint(e)}
		}
		return Left{}
	})
	t.settle()
	var files []File
	if t.resources() {
		files = t.files()
	}
	for _, p := range t.target.platforms {
		files = append(files, t.withScripts(p)...)
	}
	t.how = t.terraformHow()
	return files
}

// settle finds the way of each edit that is left, and leaves denies that scripts would
// remove while rules that allow are still to be removed by Terraform: they go last.
func (t *terraform) settle() {
	find := func() {
		t.ways = make(map[*plan.Edit]way)
		for i := range t.edits {
			t.ways[&t.edits[i]], _ = t.way(&t.edits[i])
		}
	}
	find()
	waits := false
	for e, w := range t.ways {
		old := t.rule(e.Rule)
		waits = waits || w != byScript && old != nil && old.Action == policy.Allow
	}
	if !waits {
		return
	}
	t.sift(func(e *plan.Edit) Left {
		w, _ := t.way(e)
		if old := t.rule(e.Rule); w == byScript && old != nil && old.Action == policy.Deny && t.acl(e.Group) == nil {
			return Left{Reason: "it denies, so it goes after all that Terraform removes: make it a plan of its own"}
		}
		return Left{}
	})
	find()
}

// style returns the type of resource that the rules of group are declared by: empty if
// none is.
func (t *terraform) style(group string) string {
	style := ""
	for _, r := range t.in.Snapshot.Rules() {
		if r.Ref.Owner != group || r.Address == "" {
			continue
		}
		switch typ, _ := typeOf(r.Address); typ {
		case awsGroup, awsDefaultOne:
			return typ
		case awsOldRule:
			style = typ
		default:
			if style == "" {
				style = typ
			}
		}
	}
	return style
}

// way returns how e can be made, and why only by hand.
func (t *terraform) way(e *plan.Edit) (way, string) {
	old := t.rule(e.Rule)
	if t.acl(e.Group) != nil {
		typ, keyed := "", false
		if old != nil {
			typ, keyed = typeOf(old.Address)
		}
		switch {
		case old == nil || old.Address == "":
			return byScript, ""
		case typ == awsACLRule && !keyed && len(e.With) == 0:
			return byBlock, ""
		}
		return byHand, fmt.Sprintf("the line is declared by %s, which has to be edited where it is", oneLine(old.Address))
	}
	style := t.style(e.Group)
	switch style {
	case awsGroup, awsDefaultOne:
		return byHand, fmt.Sprintf("the rules of %s are declared inside of the group: they cannot be resources of their own besides", e.Group)
	}
	if t.in.Platforms[e.Group] == alibabaPlatform {
		for _, r := range append(pointers(e.With), old) {
			if r != nil && alicloudUnfit(r) != "" {
				if old != nil && old.Address != "" {
					return byHand, alicloudUnfit(r)
				}
				return byScript, ""
			}
		}
	}
	if old == nil {
		return byBlock, ""
	}
	if old.Address == "" {
		if style == awsOldRule || t.in.Platforms[e.Group] == awsPlatform && !hasID(old) {
			return byScript, ""
		}
		return byAdopt, ""
	}
	typ, keyed := typeOf(old.Address)
	switch {
	case typ == "":
		return byHand, fmt.Sprintf("%s is no address that can be named", oneLine(old.Address))
	case keyed:
		return byHand, fmt.Sprintf("%s is one of several instances of a resource", oneLine(old.Address))
	case t.shared(old):
		return byHand, fmt.Sprintf("%s declares other rules, too, that stay", oneLine(old.Address))
	}
	return byBlock, ""
}

func pointers(rules []policy.Rule) []*policy.Rule {
	var out []*policy.Rule
	for i := range rules {
		out = append(out, &rules[i])
	}
	return out
}

// shared reports whether the resource that declares old declares a rule that stays.
func (t *terraform) shared(old *policy.Rule) bool {
	goes := make(map[policy.Ref]bool)
	for i := range t.in.Edits {
		goes[t.in.Edits[i].Rule] = true
	}
	return slices.ContainsFunc(t.in.Snapshot.Rules(), func(r *policy.Rule) bool { return r.Address == old.Address && !goes[r.Ref] })
}

// typeFor returns the type of resource for a new rule.
func (t *terraform) typeFor(r *policy.Rule) string {
	switch {
	case t.in.Platforms[r.Ref.Owner] == alibabaPlatform:
		return alicloudRule
	case t.style(r.Ref.Owner) == awsOldRule:
		return awsOldRule
	case r.Direction == flow.Egress:
		return awsEgress
	}
	return awsIngress
}

// resources writes what Terraform does, and reports whether that is anything.
func (t *terraform) resources() bool {
	var edits []plan.Edit
	for i := range t.edits {
		e := &t.edits[i]
		if t.acl(e.Group) != nil {
			if t.ways[e] == byBlock {
				t.block(t.rule(e.Rule))
			}
			continue
		}
		edits = append(edits, *e)
	}
	for _, c := range t.changes(edits) {
		w, _ := t.way(c.by)
		if w == byScript {
			continue
		}
		for _, n := range c.now {
			t.add = append(t.add, resource(t.typeFor(n), resourceName("sgadvise_", n), n))
			t.added++
		}
		switch {
		case c.old == nil:
		case w == byBlock:
			t.block(c.old)
		default:
			t.adoptRule(c.old)
		}
	}
	return len(t.add)+len(t.remove)+len(t.removeDenies) > 0
}

// block removes the resource that declares old, and perhaps other rules that go.
func (t *terraform) block(old *policy.Rule) {
	t.removed++
	blocks, addresses := &t.remove, &t.blocks
	if old.Action == policy.Deny {
		blocks, addresses = &t.removeDenies, &t.denyBlocks
	}
	if slices.Contains(*addresses, old.Address) {
		return
	}
	*blocks = append(*blocks, removedBlock(old.Address, true))
	*addresses = append(*addresses, old.Address)
}

// adoptRule imports old, so that it can go.
func (t *terraform) adoptRule(old *policy.Rule) {
	t.removed++
	typ := t.typeFor(old)
	name := resourceName("sgadvise_old_", old)
	addr := typ + "." + name
	imported := fmt.Sprintf("import {\n  to = %s\n  id = %s\n}\n", addr, hclString(importID(typ, old)))
	block := resource(typ, name, old)
	t.forget = append(t.forget, removedBlock(addr, false))
	t.restore = append(t.restore, block)
	if old.Action == policy.Deny {
		t.adoptDenies = append(t.adoptDenies, imported, block)
		t.removeDenies = append(t.removeDenies, removedBlock(addr, true))
		return
	}
	t.adopt = append(t.adopt, imported, block)
	t.remove = append(t.remove, removedBlock(addr, true))
}

// files returns the steps.
func (t *terraform) files() []File {
	var out []File
	file := func(name, head string, blocks []string) {
		if len(blocks) == 0 {
			return
		}
		out = append(out, File{Name: name, Body: "# " + head + "\n# Read README.md first.\n\n" + strings.Join(blocks, "\n")})
	}
	file(firstStep+"/sgadvise-add.tf", "New rules.", t.add)
	file(firstStep+"/sgadvise-adopt.tf", "Old rules that no resource declares: they are imported, so that step 2 can remove them.", t.adopt)
	file(firstStep+"/sgadvise-adopt-denies.tf", "Old rules that deny and that no resource declares: they are imported, so that step 3 can remove them.", t.adoptDenies)
	file(secondStep+"/sgadvise-remove.tf", "Old rules that allow. Their resource blocks have to be gone.", t.remove)
	file(thirdStep+"/sgadvise-remove-denies.tf", "Old rules that deny, after all others. Their resource blocks have to be gone.", t.removeDenies)
	file(backStep+"/sgadvise-forget.tf", "Takes imported rules out of the state and leaves them in force.", t.forget)
	file(backStep+"/sgadvise-restore.tf", "The old rules that no resource declared, to be put back.", t.restore)
	return out
}

// withScripts returns the scripts for what Terraform cannot do on one platform, and the
// one that reads everything back.
func (t *terraform) withScripts(platform string) []File {
	d := dialectOf(platform)
	of := func(e *plan.Edit) bool { return t.in.Platforms[e.Group] == platform }
	script := func(e *plan.Edit) bool { w, _ := t.way(e); return of(e) && w == byScript }
	if !slices.ContainsFunc(t.edits, func(e plan.Edit) bool { return of(&e) }) {
		return nil
	}
	folder := scriptsOf(d) + "/"
	counted := *t.job // what is counted here was counted by resources, or is by the scripts
	files := counted.scriptFiles(d, counted.sequence(d, of), folder)
	if !slices.ContainsFunc(t.edits, func(e plan.Edit) bool { return script(&e) }) {
		return slices.DeleteFunc(files, func(f File) bool { return f.Name != folder+"common.sh" && f.Name != folder+"verify.sh" })
	}
	own := t.scriptFiles(d, t.sequence(d, script), folder)
	for i := range own {
		if own[i].Name == folder+"verify.sh" {
			own[i] = files[i]
		}
	}
	return own
}

func scriptsOf(d *dialect) string { return d.tool + "-cli" }

// hint says what to do by hand about e.
func (t *terraform) hint(e *plan.Edit) string {
	old := t.rule(e.Rule)
	var b strings.Builder
	var blocks []string
	if t.acl(e.Group) == nil {
		for i := range e.With {
			n := &e.With[i]
			if t.in.Platforms[n.Ref.Owner] == alibabaPlatform && alicloudUnfit(n) != "" {
				continue
			}
			blocks = append(blocks, resource(t.typeFor(n), resourceName("sgadvise_", n), n))
		}
	}
	if len(blocks) > 0 {
		fmt.Fprintf(&b, "First declare, in the form that the group is written in, what these blocks say, and apply:\n\n%s\n", fenced("hcl", strings.Join(blocks, "\n")))
	}
	if old != nil {
		then := "Take"
		if len(blocks) > 0 {
			then = "Then take"
		}
		fmt.Fprintf(&b, "%s out what declares `%s`", then, words(old))
		if old.Address != "" {
			fmt.Fprintf(&b, ", in `%s`", strings.ReplaceAll(oneLine(old.Address), "`", "'"))
		}
		b.WriteString(", and apply.\n")
	}
	return b.String()
}
