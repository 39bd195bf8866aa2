package report

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// What the views share: how numbers, times, rules and statements are worded.

// count is a number with the name the document gives it and what it means.
type count struct {
	Name    string
	N       uint64
	Meaning string
}

func (d *Dispositions) list() []count {
	return []count{
		{"permitted", d.Permitted, "sent by the opener, accepted, and the policy allows it"},
		{"reply", d.Reply, "the way back of a connection that the policy allows"},
		{"blocked", d.Blocked, "rejected, and the policy denies it"},
		{"unexplained", d.Unexplained, "accepted, though no reading of the policy allows it"},
		{"contradicted", d.Contradicted, "rejected, though the policy allows it"},
		{"late", d.Late, "a rejected packet that belongs to no new connection"},
		{"undirected", d.Undirected, "who opened it stays open, and the policy differs on the two readings"},
		{"unscoped", d.Unscoped, "of an interface not in the policy, or something unknown decides"},
		{"nodata", d.NoData, "a coverage row: logging worked, no traffic"},
		{"skipdata", d.SkipData, "a gap row: records were lost by the log"},
		{"unsupported", d.Unsupported, "well-formed, but not an IP flow of a network interface"},
		{"malformed", d.Malformed, "could not be read"},
	}
}

func (v *Verdicts) list() []count {
	return []count{
		{"used", uint64(v.Used), "it decided connections, and nothing else allows them"},
		{"used-inferred", uint64(v.UsedInferred), "used, but who opened the connections is inferred, not proven"},
		{"attempt-only", uint64(v.AttemptOnly), "connections were tried through it and never answered"},
		{"redundant", uint64(v.Redundant), "it has hits, and other rules allow every one of them"},
		{"unused", uint64(v.Unused), "no hit in a window that would have shown one"},
		{"not-seen-gaps", uint64(v.NotSeenGaps), "no hit, but the window is too short, the rule too young, or the log has gaps"},
		{"not-observable", uint64(v.NotObservable), "no hit, and a flow log could not have shown one"},
		{"dead-by-config", uint64(v.DeadByConfig), "no hit, and needless as configured: covered by other rules or by what happens without any, denied by a network ACL, a dead reference, or in force nowhere"},
		{"unknown", uint64(v.Unknown), "part of what would decide is not known"},
	}
}

func (s *Severities) list() []count {
	return []count{
		{"critical", uint64(s.Critical), ""},
		{"high", uint64(s.High), ""},
		{"medium", uint64(s.Medium), ""},
		{"low", uint64(s.Low), ""},
		{"info", uint64(s.Info), ""},
	}
}

// statement is one line of "how sure": a name, the short value, and the sentence.
type statement struct {
	Name, Value, Detail string
	Mark                mark
}

// mark is how a statement stands, shown as a sign and a word beside colour.
type mark string

const (
	good    mark = "good"
	caution mark = "caution"
	bad     mark = "bad"
	neutral mark = "neutral"
)

// statements word what the document says of its own certainty, fidelity first.
func statements(r *Report) []statement {
	return []statement{fidelityStatement(r), proofStatement(r), backtestStatement(r), confidenceStatement(r), coverageStatement(r)}
}

func fidelityStatement(r *Report) statement {
	f := &r.Fidelity
	s := statement{Name: "Fidelity", Value: Percent(f.Rate), Mark: good,
		Detail: fmt.Sprintf("%s of %s judged records agree with the policy", number(f.Agree), number(f.Judged))}
	switch {
	case f.Judged == 0:
		s.Value, s.Mark, s.Detail = "none", caution, "no record could be judged against the policy"
	case f.Rate < r.Options.MinFidelity:
		s.Mark = bad
		s.Detail += "; advice needs " + Percent(r.Options.MinFidelity)
	}
	return s
}

func proofStatement(r *Report) statement {
	p := &r.Plan.Proof
	s := statement{Name: "Proof", Value: "holds", Mark: good,
		Detail: fmt.Sprintf("%s (%s) replayed against the planned policy: %s newly denied, %s newly allowed",
			plural64(p.Tuples, "connection"), plural64(p.Records, "record"), number(p.NewlyDenied), noneOr(len(p.NewlyAllowed)))}
	switch {
	case p.NewlyDenied > 0 || len(p.NewlyAllowed) > 0:
		s.Value, s.Mark = "fails", bad
		if p.Witness != "" {
			s.Detail += ", first " + string(p.Witness)
		}
	case len(r.Plan.Edits) == 0:
		s.Value, s.Mark, s.Detail = "not needed", neutral, "the plan changes nothing"
	}
	return s
}

func backtestStatement(r *Report) statement {
	b := &r.Plan.Backtest
	s := statement{Name: "Back-test", Value: "clean", Mark: good}
	switch {
	case len(r.Plan.Edits) == 0:
		s.Value, s.Mark, s.Detail = "not needed", neutral, "the plan changes nothing"
		return s
	case b.Days == 0:
		s.Value, s.Mark, s.Detail = "not run", neutral, "no days could be held back to try the plan on"
		return s
	case b.BlockedDays > 0:
		s.Value, s.Mark = fmt.Sprintf("%d of %d days", b.BlockedDays, b.Days), caution
		s.Detail = fmt.Sprintf("a plan from the earlier days would have blocked %s on %s of the last %s",
			plural64(b.BlockedTuples, "connection"), plural(b.BlockedDays, "day"), strconv.Itoa(b.Days))
	default:
		s.Detail = fmt.Sprintf("a plan from the earlier days blocks nothing of the last %s", plural(b.Days, "day"))
	}
	s.Detail += fmt.Sprintf("; %s new peers expected in the next 7 days", decimal(b.ExpectedNewPeers7d))
	return s
}

func confidenceStatement(r *Report) statement {
	c := &r.Summary.Confidence
	s := statement{Name: "Confidence", Mark: neutral, Value: "no edits", Detail: "nothing to be confident about"}
	if len(r.Plan.Edits) > 0 {
		s.Value = fmt.Sprintf("%s of %s high", number(uint64(c.High)), number(uint64(len(r.Plan.Edits))))
		s.Detail = fmt.Sprintf("%s: %s with high confidence, %s medium, %s low", plural(len(r.Plan.Edits), "edit"), number(uint64(c.High)), number(uint64(c.Medium)), number(uint64(c.Low)))
		s.Mark = good
		if c.Low > 0 || c.High == 0 {
			s.Mark = caution
		}
	}
	return s
}

func coverageStatement(r *Report) statement {
	c := &r.Coverage
	s := statement{Name: "Coverage", Value: Percent(c.Ratio), Mark: good,
		Detail: fmt.Sprintf("%s of %s interface-days are without a gap", number(uint64(c.CoveredDays)), number(uint64(c.InterfaceDays)))}
	switch {
	case c.InterfaceDays == 0:
		s.Value, s.Mark, s.Detail = "none", caution, "no interface has a record in the window"
	case c.Ratio < r.Options.RequireCoverage:
		s.Mark = bad
		s.Detail += "; " + Percent(r.Options.RequireCoverage) + " was asked for"
	case c.CoveredDays < c.InterfaceDays:
		s.Mark = caution
	}
	return s
}

// windowText is the time span and its length.
func windowText(w Window) string {
	if w.From == 0 && w.To == 0 {
		return "no records"
	}
	return fmt.Sprintf("%s to %s UTC, %s", minute(w.From), minute(w.To), plural(w.Days, "day"))
}

// exposureText is the exposure before and after, and what part of it stays.
// exposureTexts words what stays, each family for itself: all of IPv4 is nothing beside a
// rule for IPv6.
func exposureTexts(e *Exposure) []string {
	if len(e.Families) == 0 {
		return []string{familyText("", e.Before, e.After, e.Ratio)}
	}
	var parts []string
	for _, f := range e.Families {
		parts = append(parts, familyText(familyName(f.Family)+" ", f.Before, f.After, f.Ratio))
	}
	return parts
}

func familyText(name, before, after string, ratio float64) string {
	switch {
	case before == after:
		return name + magnitude(before) + ", unchanged"
	case magnitude(before) == magnitude(after):
		return name + magnitude(before) + ", almost unchanged"
	}
	return fmt.Sprintf("%s%s → %s (%s stays)", name, magnitude(before), magnitude(after), Percent(ratio))
}

func familyName(family string) string {
	return map[string]string{"ipv4": "IPv4", "ipv6": "IPv6"}[family]
}

func noneOr(n int) string {
	if n == 0 {
		return "none"
	}
	return number(uint64(n))
}

// ruleText words a rule the way people say it.
func ruleText(direction, action, protocol, ports, peer string) string {
	var b strings.Builder
	b.WriteString(direction)
	if action == "deny" {
		b.WriteString(" deny")
	}
	switch {
	case protocol == "all":
		b.WriteString(" all traffic")
	case ports != "all":
		b.WriteString(" " + protocol + " " + ports)
	case protocol == "tcp" || protocol == "udp":
		b.WriteString(" " + protocol + " all ports")
	case strings.Trim(protocol, "0123456789") == "":
		b.WriteString(" protocol " + protocol)
	default:
		b.WriteString(" " + protocol)
	}
	if direction == "egress" {
		b.WriteString(" to ")
	} else {
		b.WriteString(" from ")
	}
	b.WriteString(peer)
	return b.String()
}

func (r *Rule) text() string {
	return ruleText(r.Direction, r.Action, r.Protocol, r.Ports, r.Peer)
}

func (n *NewRule) text() string {
	return ruleText(n.Direction, n.Action, n.Protocol, n.Ports, n.Peer)
}

// rulesByRef finds the rules that edits and findings name.
func rulesByRef(r *Report) map[string]*Rule {
	m := make(map[string]*Rule, len(r.Rules))
	for i := range r.Rules {
		m[r.Rules[i].Ref] = &r.Rules[i]
	}
	return m
}

// number groups digits by thousands.
func number(n uint64) string { return group(strconv.FormatUint(n, 10)) }

// hits is the number of hits of x as tables show it.
func (x *Rule) hits() string { return x.least(x.Hits) }

// decisive is the same of the decisive ones.
func (x *Rule) decisive() string { return x.least(x.Decisive) }

// least writes a number of connections or peers of x.
func (x *Rule) least(n uint64) string {
	if x.AtLeast && n > 0 {
		return "≥ " + number(n)
	}
	return number(n)
}

func group(digits string) string {
	if len(digits) <= 3 {
		return digits
	}
	var b strings.Builder
	head := len(digits) % 3
	b.WriteString(digits[:head])
	for i := head; i < len(digits); i += 3 {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(digits[i : i+3])
	}
	return b.String()
}

// magnitude shows a decimal integer of any length: in full up to 13 digits, beyond
// as a power of ten with its leading digits cut, not rounded.
func magnitude(s string) string {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return s
	}
	if len(s) <= 13 {
		return group(s)
	}
	exp := strings.Map(func(c rune) rune { return []rune("⁰¹²³⁴⁵⁶⁷⁸⁹")[c-'0'] }, strconv.Itoa(len(s)-1))
	return s[:1] + "." + s[1:3] + " × 10" + exp
}

// Percent writes a share for people. It never rounds up: what is not all is not "100 %", and
// what is not nothing is not "0 %".
func Percent(share float64) string {
	switch p := share * 100; {
	case math.IsNaN(p):
		return "unknown"
	case p <= 0:
		return "0 %"
	case p < 0.01:
		return "< 0.01 %"
	case p == 100:
		return "100 %"
	default:
		// The small addition undoes the error of a share such as 0.29, which times 100
		// falls just short of 29.
		return strconv.FormatFloat(math.Floor(p*100+1e-9)/100, 'f', -1, 64) + " %"
	}
}

// share is the part n of total as a percentage, "–" for none.
func share(n, total uint64) string {
	if n == 0 || total == 0 {
		return "–"
	}
	return Percent(float64(n) / float64(total))
}

func decimal(f float64) string { return strconv.FormatFloat(f, 'f', 1, 64) }

// size writes a number of bytes in powers of 1024.
func size(n int64) string {
	if n < 1024 {
		return strconv.FormatInt(n, 10) + " B"
	}
	f, units := float64(n)/1024, "KMGTPE"
	for f >= 1024 && len(units) > 1 {
		f, units = f/1024, units[1:]
	}
	return decimal(f) + " " + units[:1] + "iB"
}

func plural(n int, noun string) string { return plural64(uint64(n), noun) }

func plural64(n uint64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return number(n) + " " + noun + "s"
}

func minute(t Time) string { return layout(t, "2006-01-02 15:04") }

func day(t Time) string { return layout(t, "2006-01-02") }

func layout(t Time, l string) string {
	if t == 0 {
		return "–"
	}
	return t.format(l)
}

// firstOf cuts s to n elements; n < 0 means all.
func firstOf[T any](s []T, n int) []T {
	if n < 0 || n >= len(s) {
		return s
	}
	return s[:n]
}

// showing says what was left out, or nothing if all is shown.
func showing(shown, all int, what string) string {
	if shown >= all {
		return ""
	}
	return fmt.Sprintf("showing %s of %s %s", number(uint64(shown)), number(uint64(all)), what)
}

// accountTexts are sentences under the account: who rejected, and what rests on the past.
func accountTexts(r *Report) (out []string) {
	b := &r.Ledger.RejectedBy
	if rejected := countsText([]count{{Name: "groups", N: b.Groups}, {Name: "network ACL", N: b.NetworkACL}, {Name: "either of them", N: b.Either}, {Name: "neither as far as is known", N: b.Unknown}}); rejected != "" {
		out = append(out, "Rejected by: "+rejected)
	}
	h := &r.History
	if h.Former > 0 {
		out = append(out, plural64(h.Former, "connection")+" passed by rules that are gone or were changed: they credit no rule of the present")
	}
	if h.Outlived > 0 {
		out = append(out, plural64(h.Outlived, "record")+" of connections that lived on after the rules that let them in")
	}
	if n := len(h.Unsettled); n > 0 {
		out = append(out, fmt.Sprintf("%s changed and nobody says what was before, %s among them: what it decided until %s is not judged",
			plural(n, "object"), h.Unsettled[0].ID, minute(h.Unsettled[0].Before)))
	}
	return out
}

// causeList lists causes of disagreement, by name.
func causeList(m map[string]uint64) []count {
	var out []count
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, count{Name: k, N: m[k]})
	}
	return out
}

// settingsList words the options of a run.
func settingsList(r *Report) []Fact {
	o := &r.Options
	budget := "as many rules as each group has now"
	if o.Budget > 0 {
		budget = plural(o.Budget, "rule") + " per group and direction"
	}
	rows := "any number"
	switch {
	case o.Strict:
		rows = "none (strict)"
	case o.MaxBadRows >= 0:
		rows = number(uint64(o.MaxBadRows))
	}
	out := []Fact{
		{"mode", o.Mode},
		{"budget", budget},
		{"days of evidence", fmt.Sprintf("%d to narrow a rule, %d to call it unused", o.MinDaysNarrow, o.MinDaysUnused)},
		{"fidelity needed", Percent(o.MinFidelity)},
		{"bad records tolerated", rows},
	}
	if o.RequireCoverage > 0 {
		out = append(out, Fact{"coverage required", Percent(o.RequireCoverage)})
	}
	if o.From != 0 || o.To != 0 {
		out = append(out, Fact{"window asked for", minute(o.From) + " to " + minute(o.To)})
	}
	return out
}

// place says where a malformed record stands.
func (s *Sample) place() string {
	if s.Line == 0 {
		return s.Path
	}
	return s.Path + ":" + strconv.FormatInt(s.Line, 10)
}

// endpoint joins an address and a port; 0 is written too, since it was in the log.
func endpoint(addr string, port uint16) string {
	if strings.Contains(addr, ":") {
		return "[" + addr + "]:" + strconv.Itoa(int(port))
	}
	return addr + ":" + strconv.Itoa(int(port))
}

// text words a gap: days for whole days, minutes for lost records.
func (g *Gap) text() string {
	if g.Kind == GapSkipData {
		return "records lost " + minute(g.From) + " to " + minute(g.To)
	}
	if first, last := day(g.From), day(g.To-1); first != last {
		return "no record from " + first + " to " + last
	}
	return "no record on " + day(g.From)
}

// withGaps are the interfaces that have any, in their order.
func withGaps(all []InterfaceCoverage) []InterfaceCoverage {
	var out []InterfaceCoverage
	for _, c := range all {
		if len(c.Gaps) > 0 {
			out = append(out, c)
		}
	}
	return out
}
