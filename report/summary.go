package report

import (
	"fmt"
	"strings"
)

// summarize counts r and words the answer.
func summarize(r *Report, rejectOnly bool) Summary {
	out := Summary{Declined: len(r.Plan.Declined), Scope: scope(r)}
	verdicts := map[string]*int{
		"used": &out.Verdicts.Used, "used-inferred": &out.Verdicts.UsedInferred, "attempt-only": &out.Verdicts.AttemptOnly,
		"redundant": &out.Verdicts.Redundant, "unused": &out.Verdicts.Unused, "not-seen-gaps": &out.Verdicts.NotSeenGaps,
		"not-observable": &out.Verdicts.NotObservable, "dead-by-config": &out.Verdicts.DeadByConfig, "unknown": &out.Verdicts.Unknown,
	}
	for i := range r.Rules {
		x := &r.Rules[i]
		if x.Implicit {
			out.Implicit++
			continue
		}
		out.Rules++
		if x.Editable {
			out.Editable++
		}
		add(verdicts, x.Verdict)
	}
	severities := map[string]*int{
		"critical": &out.Severities.Critical, "high": &out.Severities.High, "medium": &out.Severities.Medium,
		"low": &out.Severities.Low, "info": &out.Severities.Info,
	}
	for i := range r.Findings {
		if r.Findings[i].Suppressed != nil {
			out.Suppressed++
			continue
		}
		add(severities, r.Findings[i].Severity)
	}
	ops := map[string]*int{"remove": &out.Removals, "replace": &out.Replacements, "add": &out.Additions}
	confidence := map[string]*int{"high": &out.Confidence.High, "medium": &out.Confidence.Medium, "low": &out.Confidence.Low}
	for i := range r.Plan.Edits {
		add(ops, r.Plan.Edits[i].Op)
		add(confidence, r.Plan.Edits[i].Confidence)
		out.NewRules += len(r.Plan.Edits[i].With)
	}
	out.Outcome, out.Headline = answer(r, &out, rejectOnly)
	return out
}

func add(counts map[string]*int, name string) {
	if n := counts[name]; n != nil {
		*n++
	}
}

func answer(r *Report, s *Summary, rejectOnly bool) (outcome, headline string) {
	for _, d := range r.Plan.Declined {
		if d.Ref == "" && len(r.Plan.Edits) == 0 {
			outcome, headline = OutcomeDeclined, "No change is proposed: "+strings.TrimSuffix(d.Reason, ".")+"."
			break
		}
	}
	switch {
	case rejectOnly:
		return OutcomeRejectOnly, "The logs hold rejected traffic only. They cannot show that a rule is used, so no rule is called unused and no change is proposed."
	case len(r.Plan.Edits) > 0:
		return OutcomeChange, changes(r, s)
	case r.Plan.Mode == "none":
		return OutcomeNoPlan, fmt.Sprintf("%s; no plan was asked for.", plural(len(r.Findings), "finding"))
	case outcome != "":
		return outcome, headline
	}
	if r.Plan.Mode == "tidy" {
		return OutcomeKeep, "No change is proposed: every edit would change what is permitted."
	}
	return OutcomeKeep, "No change is proposed: on this evidence no editable rule can be removed or narrowed."
}

// changes words the plan: "1 rule can be removed and 2 replaced by 3 narrower ones."
func changes(r *Report, s *Summary) string {
	kind := "equivalent"
	for i := range r.Plan.Edits {
		if e := &r.Plan.Edits[i]; e.Op == "replace" && e.Basis == "observed" {
			kind = "narrower"
		}
	}
	ones := kind + " ones"
	if s.NewRules == 1 {
		ones = kind + " one"
	}
	var parts []string
	if s.Removals > 0 {
		parts = append(parts, plural(s.Removals, "rule")+" can be removed")
	}
	if s.Replacements > 0 {
		subject := plural(s.Replacements, "rule") + " can be"
		if len(parts) > 0 {
			subject = number(uint64(s.Replacements))
		}
		parts = append(parts, subject+" replaced by "+number(uint64(s.NewRules-s.Additions))+" "+ones)
	}
	if s.Additions > 0 {
		parts = append(parts, plural(s.Additions, "rule")+" added")
	}
	return strings.Join(parts, " and ") + "."
}

// scope words what was looked at: "5 security groups and 1 network ACL of vpc-1, on
// 12 interfaces".
func scope(r *Report) string {
	groups, acls, interfaces := 0, 0, 0
	vpcs := map[string]bool{}
	vpc := ""
	for i := range r.Groups {
		if r.Groups[i].Kind == "network-acl" {
			acls++
		} else {
			groups++
		}
		if v := r.Groups[i].VPC; v != "" {
			vpcs[v], vpc = true, v
		}
	}
	for i := range r.Coverage.Interfaces {
		if r.Coverage.Interfaces[i].InPolicy {
			interfaces++
		}
	}
	s := plural(groups, "security group")
	if acls > 0 {
		s += " and " + plural(acls, "network ACL")
	}
	switch len(vpcs) {
	case 0:
	case 1:
		s += " of " + vpc
	default:
		s += " of " + plural(len(vpcs), "VPC")
	}
	return s + ", on " + plural(interfaces, "interface")
}

// overlaps counts the log files that are copies of another one, and the interfaces that
// more than one flow log captures. Records are not told apart one by one: that would
// need all of them in memory.
func overlaps(r *Report, in Input) (copies, twice int) {
	seen := map[string]bool{}
	for _, f := range r.Inputs.Logs {
		if seen[f.Digest] && f.Records > 0 {
			copies++
		}
		seen[f.Digest] = true
	}
	s := in.Result.Snapshot
	for i := range s.Interfaces {
		f := &s.Interfaces[i]
		n := 0
		for _, l := range s.FlowLogs {
			if l.Resource != "" && (l.Resource == f.ID || l.Resource == f.Subnet || l.Resource == f.VPC) {
				n++
			}
		}
		if n > 1 {
			twice++
		}
	}
	return copies, twice
}

func has(n int) string {
	if n == 1 {
		return "has"
	}
	return "have"
}

func isAre(n int, what string) string {
	if n == 1 {
		return plural(n, what) + " is"
	}
	return plural(n, what) + " are"
}

// notes lists what a reader must know before acting on r, the most important first.
// What the headline says is not said again.
func notes(r *Report, in Input) []string {
	var out []string
	say := func(on bool, format string, args ...any) {
		if on {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	d, total := &r.Ledger.Dispositions, r.Ledger.Records

	say(r.Fidelity.Judged > 0 && r.Fidelity.Rate < r.Options.MinFidelity && r.Summary.Outcome != OutcomeDeclined,
		"The policy explains only %s of the judged records; it may not be the policy that was in force.", Percent(r.Fidelity.Rate))
	say(r.Fidelity.Judged == 0, "No record could be judged against the policy.")
	if in.Logs != nil {
		for _, cause := range in.Logs.Stats.Partial.Names() {
			say(true, "The logs may be incomplete: %s.", cause)
		}
	}
	out = append(out, assertionNotes(r)...)
	out = append(out, suppressionNotes(r)...)
	copies, twice := overlaps(r, in)
	say(copies > 0, "%s of the logs %s the same content as another: numbers of records count it again, hits do not.", plural(copies, "file"), has(copies))
	say(twice > 0, "%s under more than one flow log: numbers of records may count traffic again, hits do not.", isAre(twice, "interface"))
	out = append(out, twiceNotes(in)...)
	for _, m := range r.Coverage.Missing {
		say(true, "%s: %s.", m.What, strings.TrimSuffix(m.Effect, "."))
	}
	gaps, silent, foreign := 0, 0, 0
	for i := range r.Coverage.Interfaces {
		switch c := &r.Coverage.Interfaces[i]; {
		case !c.InPolicy:
			foreign++
		case c.From == 0:
			silent++
		case len(c.Gaps) > 0:
			gaps++
		}
	}
	say(silent > 0, "The logs have no record of %s of the policy: nothing is known of the traffic there.", plural(silent, "interface"))
	say(gaps > 0, "The logs have gaps on %s, in which traffic could have gone unseen.", plural(gaps, "interface"))
	say(foreign > 0, "The policy lacks %s of the logs; %s could not be judged.", plural(foreign, "interface"), plural64(d.Unscoped, "record"))
	say(r.Plan.Backtest.BlockedDays > 0, "A plan made from the earlier days alone would have blocked traffic on %s of the last %d.",
		plural(r.Plan.Backtest.BlockedDays, "day"), r.Plan.Backtest.Days)
	say(d.Undirected > 0, "Who opened the connection stays open for %s (%s); both readings counted.", plural64(d.Undirected, "record"), share(d.Undirected, total))
	say(d.Malformed > 0, "Not readable: %s (%s).", plural64(d.Malformed, "record"), share(d.Malformed, total))
	say(d.Unsupported > 0, "Not usable, for the reasons given in the account: %s (%s).", plural64(d.Unsupported, "record"), share(d.Unsupported, total))
	say(d.Malformed+d.Unsupported > 0 && r.Summary.Removals+r.Summary.Replacements > 0,
		"What those records held may have been the only use of a rule: no observed edit is of high confidence, and none is above low if they are more than one in a hundred.")
	if u := r.RollUp; u != nil {
		say(true, "Rolled up: %s, %s. There were more than %s distinct rows, so the peers of these services are known as prefixes: "+
			"verdicts and the account of records are exact, and the plan admits everything observed; of the rules concerned, numbers of connections and peers are at least those shown, and numbers of records at most.",
			plural(u.Services, "service"), plural(u.Rows, "row"), number(uint64(u.ExactRows)))
		say(u.Slack != "0", "Because of the roll-up the narrowest rules for what was observed may admit up to %s more in exposure than rules for the peers themselves would.", group(u.Slack))
	}
	conflicts := uint64(0)
	for _, x := range r.Ledger.Reasons {
		if x.Kind == "conflict" {
			conflicts += x.Records
		}
	}
	say(conflicts > 0, "Used although two fields of the record disagree: %s.", plural64(conflicts, "record"))
	if in.Logs != nil && len(in.Logs.Stats.UnknownFields) > 0 {
		say(true, "The logs have fields that this version does not know and does not read: %s.", strings.Join(in.Logs.Stats.UnknownFields, ", "))
	}
	return out
}
