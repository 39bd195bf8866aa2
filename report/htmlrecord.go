package report

import (
	"fmt"

	"github.com/sgadvise/sgadvise/report/chart"
)

func (p *page) coverage(r *Report) {
	p.CoverageText = coverageStatement(r).Detail
	p.FirstDay, p.LastDay = day(r.Window.From), day(r.Window.To)
	var known []InterfaceCoverage
	for _, c := range r.Coverage.Interfaces {
		if c.InPolicy {
			known = append(known, c)
		}
	}
	shown, what := known, "interfaces"
	if len(known) > htmlEvidence {
		// Those without a gap all look the same.
		known = withGaps(known)
		shown, what = firstOf(known, htmlEvidence), "interfaces with gaps"
	}
	for i := range shown {
		c := &shown[i]
		row := pageStrip{Interface: c.Interface, Records: number(c.Records)}
		some := firstOf(c.Gaps, 5)
		for j := range some {
			row.Gaps = append(row.Gaps, some[j].text())
		}
		if s := showing(len(some), len(c.Gaps), "gaps"); s != "" {
			row.Gaps = append(row.Gaps, s)
		}
		row.Picture = chart.Strip(days(r.Window, c.Gaps), fmt.Sprintf("%s, %s to %s: %s", c.Interface, p.FirstDay, p.LastDay, plural(len(c.Gaps), "gap")))
		p.Strips = append(p.Strips, row)
	}
	p.StripsMore = showing(len(shown), len(known), what)
}

// days is the state of each day of w, at most ten years of them.
func days(w Window, gaps []Gap) []chart.Day {
	const length = 86400
	first := int64(w.From) / length
	n := int64(w.To-1)/length - first + 1
	if w.To <= w.From {
		return nil
	}
	out := make([]chart.Day, min(n, 3660))
	for _, g := range gaps {
		state := chart.Lossy
		if g.Kind == GapNoRecord {
			state = chart.None
		}
		for d := max(int64(g.From)/length-first, 0); d <= int64(g.To-1)/length-first && d < int64(len(out)); d++ {
			out[d] = max(out[d], state)
		}
	}
	return out
}

func (p *page) account(r *Report) {
	for _, c := range r.Ledger.Dispositions.list() {
		p.Ledger = append(p.Ledger, newPageCount(c, r.Ledger.Records))
	}
	var apart []InterfaceFidelity
	for _, f := range r.Fidelity.Interfaces {
		if f.Agree < f.Judged {
			apart = append(apart, f)
		}
	}
	shown := firstOf(apart, htmlEvidence)
	for _, f := range shown {
		p.Causes = append(p.Causes, pageCauses{f.Interface, number(f.Judged), number(f.Agree), countsText(causeList(f.Causes))})
	}
	p.CausesMore = showing(len(shown), len(apart), "interfaces")
	p.Account = accountTexts(r)
	for _, o := range r.Orientation {
		kind := "inference"
		switch {
		case o.Proven:
			kind = "proof"
		case o.Method == "undecided":
			kind = "both readings counted"
		}
		p.Orientation = append(p.Orientation, pageMethod{o.Method, kind, number(o.Records)})
	}
	open := firstOf(r.Undecided, htmlEvidence)
	for _, u := range open {
		p.Undecided = append(p.Undecided, pageUndecided{u.Interface, u.Protocol, endpoint(u.Local, u.LocalPort), endpoint(u.Remote, u.RemotePort), number(u.Records)})
	}
	p.UndecidedMore = showing(len(open), len(r.Undecided), "connections")
	samples := firstOf(r.Ledger.Samples, htmlEvidence)
	for i := range samples {
		p.Samples = append(p.Samples, pageSample{samples[i].place(), samples[i].Field, samples[i].Reason})
	}
	p.SamplesMore = showing(len(samples), len(r.Ledger.Samples), "samples")
}

// record is what an auditor signs for.
func (p *page) record(r *Report) {
	files := fmt.Sprintf("%s with %s, %s, each with its digest", plural(len(r.Inputs.Logs), "log file"), plural64(r.Ledger.Records, "record"), plural(len(r.Inputs.Policy), "policy export"))
	made := p.Tool + ", mode " + r.Options.Mode
	if p.Created != "" {
		made += ", " + p.Created
	}
	p.Unknown = unknowns(r)
	p.UnknownCount = plural(len(p.Unknown), "thing")
	p.Facts = []Fact{{"Scope", r.Summary.Scope}, {"Window", windowText(r.Window)}, {"Inputs", files}, {"Made by", made}}
	p.Certain = p.Facts
	for _, s := range statements(r) {
		p.Certain = append(p.Certain, Fact{s.Name, s.Value + ": " + s.Detail})
	}
	logs, policies := firstOf(r.Inputs.Logs, htmlInputs), firstOf(r.Inputs.Policy, htmlInputs)
	for _, l := range logs {
		p.Inputs = append(p.Inputs, pageInput{l.Path, l.Format, size(l.Bytes), number(l.Records), l.Digest})
	}
	for _, l := range policies {
		p.Inputs = append(p.Inputs, pageInput{Path: l.Path, Kind: l.Kind, Digest: l.Digest})
	}
	p.Skipped = firstOf(r.Inputs.Skipped, htmlEvidence)
	p.InputsMore = showing(len(p.Inputs)+len(p.Skipped), len(r.Inputs.Logs)+len(r.Inputs.Policy)+len(r.Inputs.Skipped), "files")
}

// unknowns list what the run could not know, with what follows from it.
func unknowns(r *Report) []Fact {
	var out []Fact
	d, v := &r.Ledger.Dispositions, &r.Summary.Verdicts
	add := func(n uint64, noun, follows string) {
		if n > 0 {
			out = append(out, Fact{plural64(n, noun), follows})
		}
	}
	add(d.Undirected, "record", "who opened the connection stays open; both readings counted")
	add(d.Unscoped, "record", "of interfaces that the policy does not have, or something unknown decides; not judged")
	add(d.Unexplained+d.Contradicted, "record", "log and policy disagree; the causes are in the account")
	add(d.SkipData, "gap row", "the log says that records were lost; rules that only they could have used are not called unused")
	add(d.Malformed, "record", "could not be read; what they held may have been the only use of a rule, so confidence is lowered")
	add(uint64(v.NotSeenGaps), "rule", "no use seen, but the evidence is too short, too young, or has gaps; they stay")
	add(uint64(v.NotObservable), "rule", "no flow log could have shown their use; they stay")
	add(uint64(v.Unknown), "rule", "part of what would decide is not known; they stay")
	add(uint64(len(r.History.Unsettled)), "object", "changed, and what was before is not known; what it decided then is not judged")
	add(uint64(len(r.Inputs.Skipped)), "file", "found and not read")
	for _, m := range r.Coverage.Missing {
		out = append(out, Fact{m.What, m.Effect})
	}
	return out
}
