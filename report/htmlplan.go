package report

import (
	"fmt"
	"html/template"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/sgadvise/sgadvise/report/chart"
)

type (
	pageGroup struct {
		ID, About string
		Edits     []pageEdit
	}
	pageEdit struct {
		ID, Op, Group, Rule, Description, Old, Reason, Check, Basis, Confidence, Anchor string
		New                                                                             []string
		Evidence                                                                        *pageEvidence
	}
	// pageEvidence is what is known of the rule of an edit.
	pageEvidence struct {
		Use, Days, Alone, Proof string
		Picture                 template.HTML
		Shares                  []string
		SharesMore              string
		Decisive                []string
	}
	pageExposure struct {
		Figure, Change, Stays, More string
		Family, Rest                string // of the figure; the other families in words
		Picture                     template.HTML
		Groups                      []pageGroupExposure
	}
	pageGroupExposure struct {
		Group, Name, Before, After, Stays string
		Picture                           template.HTML
	}
	pageTradeoff struct {
		Picture      template.HTML
		Two, Beyond  bool // two families; heights are what goes beyond the least
		Heads, Least []string
		Rows         []pageTradeoffRow
	}
	pageTradeoffRow struct {
		Rules, Kind string
		Values      []string
	}
	pageTrend struct {
		Steps []pageStep
		Rows  [][]string
		More  string
	}
	pageStep struct {
		Name, Last string
		Picture    template.HTML
	}
)

func (p *page) plan(r *Report) {
	byRef, groups := rulesByRef(r), groupsByID(r)
	all := ranked(r)
	shown := firstOf(all, htmlEdits)
	details := detailsByRef(r)
	at := make(map[string]int) // group → index
	for i, e := range shown {
		if _, ok := at[e.Group]; !ok {
			at[e.Group] = len(p.Edits)
			p.Edits = append(p.Edits, pageGroup{ID: e.Group, About: groupAbout(groups[e.Group])})
		}
		// The group stands over its edits.
		row := pageEdit{ID: "e-" + strconv.Itoa(i+1), Op: e.Op, Group: e.Group, Rule: strings.TrimPrefix(string(e.Ref), e.Group+"/"), Reason: e.Reason, Check: e.Check, Basis: e.Basis, Confidence: e.Confidence}
		if row.Rule == "" {
			row.Rule = "new rule"
		}
		if p.anchors[string(e.Finding)] {
			row.Anchor = anchor(string(e.Finding))
		}
		if old := byRef[string(e.Ref)]; old != nil {
			row.Old, row.Description = old.text(), old.Description
			row.Evidence = evidence(r, old, details[old.Ref])
			row.Evidence.Proof = proofText(r, e, old)
			p.edits[old.Ref] = row.ID
		}
		for j := range e.With {
			row.New = append(row.New, e.With[j].text())
		}
		g := &p.Edits[at[e.Group]]
		g.Edits = append(g.Edits, row)
		if i < htmlFirst {
			p.First = append(p.First, row)
		}
	}
	p.EditsMore = showing(len(shown), len(all), "edits")
	p.Declined = firstOf(r.Plan.Declined, htmlEvidence)
	p.DeclinedCount = number(uint64(len(r.Plan.Declined)))
	p.DeclinedMore = showing(len(p.Declined), len(r.Plan.Declined), "rules")
}

func anchor(finding string) string { return "f-" + finding }

func groupsByID(r *Report) map[string]*Group {
	m := make(map[string]*Group, len(r.Groups))
	for i := range r.Groups {
		m[r.Groups[i].ID] = &r.Groups[i]
	}
	return m
}

func detailsByRef(r *Report) map[string]*Detail {
	m := make(map[string]*Detail, len(r.Details))
	for i := range r.Details {
		m[r.Details[i].Ref] = &r.Details[i]
	}
	return m
}

func groupAbout(g *Group) string {
	if g == nil {
		return ""
	}
	about := plural(g.Interfaces, "interface") + ", " + plural(g.Rules, "rule")
	if g.Name != "" {
		about = g.Name + ", " + about
	}
	return about
}

// evidence words what is known of a rule, of which d, if it is not nil, says more.
func evidence(r *Report, x *Rule, d *Detail) *pageEvidence {
	out := &pageEvidence{}
	if x.Hits == 0 {
		out.Use = fmt.Sprintf("no connection in %s, in force on %s", plural(r.Window.Days, "day"), plural(x.Interfaces, "interface"))
		if x.PossibleHits > 0 {
			out.Use += "; " + plural64(x.PossibleHits, "connection") + " may have used it"
		}
		out.Alone = "nothing that was seen would be denied without it"
		return out
	}
	who := "from "
	if x.Direction == "egress" {
		who = "to "
	}
	least := ""
	if x.AtLeast {
		least = "at least "
	}
	out.Use = least + fmt.Sprintf("%s %s%s, %s, on %s of %s; last %s", plural64(x.Hits, "connection"), who, plural64(x.Peers, "peer"), plural64(x.Records, "record"),
		number(x.HitInterfaces), plural(x.Interfaces, "interface"), day(x.LastSeen))
	if x.Daily != "" {
		used := len(x.Daily) - strings.Count(x.Daily, "0")
		out.Days = fmt.Sprintf("used on %d of %s", used, plural(len(x.Daily), "day"))
		bars, _ := barsOf(x.Daily)
		out.Picture = chart.Heat(bars, out.Days)
	}
	would := "would be denied"
	if x.Action == "deny" {
		would = "would be allowed"
	}
	out.Alone = fmt.Sprintf("%s without it", would)
	switch {
	case x.Decisive == 0:
		out.Alone = "nothing that was seen " + would + " without it: other rules decide the same"
	case d == nil || len(d.Decisive) == 0:
		out.Alone = plural64(x.Decisive, "connection") + " " + out.Alone
	default:
		out.Alone = plural64(x.Decisive, "connection") + " " + out.Alone
		if uint64(len(d.Decisive)) < x.Decisive {
			out.Alone += ", the greatest of them"
		}
		for i := range d.Decisive {
			out.Decisive = append(out.Decisive, d.Decisive[i].text(x.Direction))
		}
	}
	if d != nil {
		for _, s := range d.Shares {
			out.Shares = append(out.Shares, fmt.Sprintf("%s (%s of %s)", s.Ref, number(s.Connections), number(x.Hits)))
		}
		if d.MoreShares > 0 {
			out.SharesMore = "and " + number(uint64(d.MoreShares)) + " more"
		}
	}
	return out
}

// text words a connection: who, to whom, what.
func (e *Example) text(direction string) string {
	service := e.Protocol
	if e.Port != "all" {
		service += " " + e.Port
	}
	from, to := e.Remote, e.Interface
	if direction == "egress" {
		from, to = to, from
	}
	s := fmt.Sprintf("%s → %s, %s, %s, last %s", from, to, service, plural64(e.Records, "record"), day(e.LastSeen))
	if !e.Answered {
		s += ", never answered"
	}
	return s
}

// proofText says what makes an edit safe, as far as the document has it.
func proofText(r *Report, e *Edit, x *Rule) string {
	p := &r.Plan.Proof
	switch {
	case p.NewlyDenied > 0 || len(p.NewlyAllowed) > 0:
		return "the proof of the plan does not hold"
	case e.Basis == "equivalent":
		return "what is permitted does not change, whatever comes"
	case p.Tuples == 0:
		return "nothing was replayed"
	case x.Hits == 0:
		return fmt.Sprintf("all %s replayed against the planned policy, none newly denied", plural64(p.Tuples, "connection"))
	}
	return fmt.Sprintf("its %s are among the %s that were replayed against the planned policy, none newly denied", plural64(x.Hits, "connection"), plural64(p.Tuples, "connection"))
}

// magnitudeOf reads a decimal integer of any length, near enough for a length in pixels.
func magnitudeOf(s string) float64 {
	f, _ := strconv.ParseFloat(s, 64)
	return f
}

func (p *page) exposure(r *Report) {
	e := &r.Plan.Exposure
	if e.Before == "" {
		return
	}
	picture := func(s chart.Scale, what, before, after string) template.HTML {
		return chart.Bars(s, magnitudeOf(before), magnitudeOf(after), what+": "+magnitude(before)+" before, "+magnitude(after)+" after")
	}
	// The figure is of the family that changed most; the others are one line of text.
	main, what := FamilyExposure{Before: e.Before, After: e.After, Ratio: e.Ratio}, "All groups"
	var rest []string
	for i, f := range e.Families {
		if i == 0 || f.Ratio < main.Ratio {
			main, what = f, familyName(f.Family)
		}
	}
	for _, f := range e.Families {
		if f != main {
			rest = append(rest, familyText(familyName(f.Family)+" ", f.Before, f.After, f.Ratio))
		}
	}
	p.Exposure = &pageExposure{
		Change: magnitude(main.Before) + " → " + magnitude(main.After), Stays: Percent(main.Ratio),
		Family: familyName(main.Family), Rest: strings.Join(rest, "; "),
		Picture: picture(chart.NewScale(magnitudeOf(main.Before), magnitudeOf(main.After)), what, main.Before, main.After),
	}
	// Those that shrink most come first.
	groups := slices.Clone(e.Groups)
	shrinks := func(g GroupExposure) float64 {
		return math.Log2(1+magnitudeOf(g.Before)) - math.Log2(1+magnitudeOf(g.After))
	}
	slices.SortStableFunc(groups, func(a, b GroupExposure) int {
		switch x, y := shrinks(a), shrinks(b); {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	shrink := 0
	for _, g := range groups {
		if g.Before != g.After {
			shrink++
		}
	}
	if magnitude(main.Before) == magnitude(main.After) {
		p.Exposure.Change = familyText("", main.Before, main.After, main.Ratio)
	}
	p.answer(r, main, groups, shrink)
	shown := firstOf(groups, htmlEvidence)
	var all []float64
	for _, g := range shown {
		all = append(all, magnitudeOf(g.Before), magnitudeOf(g.After))
	}
	scale, byID := chart.NewScale(all...), groupsByID(r)
	for _, g := range shown {
		row := pageGroupExposure{Group: g.Group, Before: magnitude(g.Before), After: magnitude(g.After), Stays: Percent(g.Ratio),
			Picture: picture(scale, g.Group, g.Before, g.After)}
		if known := byID[g.Group]; known != nil {
			row.Name = known.Name
		}
		p.Exposure.Groups = append(p.Exposure.Groups, row)
	}
	p.Exposure.More = showing(len(shown), len(e.Groups), "groups")
}

// answer says how much smaller the attack surface gets, and why not more. groups stand in
// the order of how much they shrink; the first shrink of them do.
func (p *page) answer(r *Report, main FamilyExposure, groups []GroupExposure, shrink int) {
	if len(r.Plan.Edits) == 0 {
		return
	}
	family := ""
	if main.Family != "" {
		family = " over " + familyName(main.Family)
	}
	kept := "No connection that was seen is denied by it."
	if r.Plan.Proof.NewlyDenied == 0 && r.Plan.Proof.Tuples > 0 {
		kept = fmt.Sprintf("All %s that were seen and allowed stay so.", plural64(r.Plan.Proof.Tuples, "connection"))
	}
	if less := 1 - main.Ratio; less >= 0.0001 {
		p.Exposure.Figure = Percent(less) + " less"
		p.Answer = append(p.Answer, fmt.Sprintf("The editable rules then admit %s less%s, at no observed cost. %s", Percent(less), family, kept))
		return
	}
	if shrink > 0 {
		g, name := groups[0], groups[0].Group
		if known := groupsByID(r)[name]; known != nil && known.Name != "" {
			name = known.Name + " (" + name + ")"
		}
		p.Exposure.Figure = fmt.Sprintf("%d of %s shrink", shrink, plural(len(groups), "group"))
		p.Answer = append(p.Answer, fmt.Sprintf("%s of %s admit less, at no observed cost: %s most, from %s to %s. %s", number(uint64(shrink)), plural(len(groups), "group"), name, magnitude(g.Before), magnitude(g.After), kept),
			"The sum hardly moves: rules that stay make up most of it.")
		return
	}
	p.Answer = append(p.Answer, "What is admitted stays the same: the plan tidies up. "+kept)
}

// tradeoff draws what more or fewer rules would admit. Heights are logarithms: of the
// exposure, or where the options hardly differ in it, because what they share is most of
// it, of what each admits beyond the least of them.
func (p *page) tradeoff(r *Report) {
	if r.Pictures == nil || len(r.Pictures.Tradeoff) < 2 {
		return
	}
	points := r.Pictures.Tradeoff
	if !slices.IsSortedFunc(points, func(a, b TradeoffPoint) int { return a.Rules - b.Rules }) {
		return
	}
	t := &pageTradeoff{}
	var x []int
	var line []bool
	var marks []chart.Mark
	for i, pt := range points {
		x, line = append(x, pt.Rules), append(line, pt.Kind != TradeoffToday)
		row := pageTradeoffRow{Rules: number(uint64(max(pt.Rules, 0))), Kind: map[string]string{TradeoffToday: "as it is today", TradeoffPlan: "the plan", TradeoffOption: "possible"}[pt.Kind]}
		t.Rows = append(t.Rows, row)
		switch pt.Kind {
		case TradeoffToday:
			marks = append(marks, chart.Mark{At: i, Name: "today, " + plural(max(pt.Rules, 0), "rule")})
		case TradeoffPlan:
			marks = append(marks, chart.Mark{At: i, Name: "the plan, " + plural(max(pt.Rules, 0), "rule"), Main: true})
		}
	}
	var series []chart.Series
	var all [2]heights
	for i := range all {
		values := make([]string, len(points))
		for k, pt := range points {
			values[k] = [2]string{pt.IPv4, pt.IPv6}[i]
		}
		all[i] = heightsOf(values, line)
	}
	for i, name := range []string{"IPv4", "IPv6"} {
		// A family that hardly differs is shown if there is no other.
		h, other := &all[i], &all[1-i]
		if h.y == nil || h.beyond && other.y != nil && (!other.beyond || i == 1) {
			continue
		}
		series = append(series, chart.Series{Name: name, Y: h.y})
		head := name
		if h.beyond {
			t.Beyond, head = true, name+" beyond the least"
			t.Least = append(t.Least, fmt.Sprintf("the least of %s is %s", name, magnitude(h.least)))
		}
		t.Heads = append(t.Heads, head)
		for k := range t.Rows {
			t.Rows[k].Values = append(t.Rows[k].Values, magnitude(h.values[k]))
		}
	}
	if len(series) == 0 {
		return
	}
	t.Two = len(series) > 1
	t.Picture = chart.Curve(x, line, series, marks, "exposure", "rules",
		"Number of rules against exposure", "Each dot is a policy that allows all that was seen. The plan is ringed; the dot apart is the policy of today. The numbers are in the table beside it.")
	p.Tradeoff = t
}

// heights are exposures as a curve shows them.
type heights struct {
	y      []float64 // from 0 to 1
	values []string  // decimal integers
	beyond bool      // they are what goes beyond the least
	least  string
}

// heightsOf returns the heights of values, decimal integers, of which on says which are
// on the line. It has none if they are all the same, or not numbers.
func heightsOf(values []string, on []bool) heights {
	var ints []*big.Int
	var least, most, mostOn *big.Int
	for i, v := range values {
		n, ok := new(big.Int).SetString(v, 10)
		if !ok || n.Sign() < 0 || len(v) > 60 {
			return heights{}
		}
		if ints = append(ints, n); least == nil || n.Cmp(least) < 0 {
			least = n
		}
		if most == nil || n.Cmp(most) > 0 {
			most = n
		}
		if on[i] && (mostOn == nil || n.Cmp(mostOn) > 0) {
			mostOn = n
		}
	}
	if least == nil || least.Cmp(most) == 0 {
		return heights{}
	}
	h := heights{least: least.String(), values: values}
	// Half as much again is seen on the axis.
	if least.Sign() == 0 || mostOn == nil || new(big.Int).Mul(mostOn, big.NewInt(2)).Cmp(new(big.Int).Mul(least, big.NewInt(3))) < 0 {
		h.beyond, h.values = true, nil
		for i := range ints {
			ints[i] = new(big.Int).Sub(ints[i], least)
			h.values = append(h.values, ints[i].String())
		}
	}
	log := func(n *big.Int) float64 {
		f, _ := new(big.Float).SetInt(n).Float64()
		return math.Log2(f + 1)
	}
	lo, hi := math.Inf(1), 0.0
	for _, n := range ints {
		lo, hi = min(lo, log(n)), max(hi, log(n))
	}
	for _, n := range ints {
		h.y = append(h.y, (log(n)-lo)/(hi-lo))
	}
	return h
}

// mostRuns is how many runs the trend shows, the latest.
const mostRuns = 60

func (p *page) trend(r *Report) {
	if len(r.Trend) < 2 {
		return
	}
	shown := r.Trend[max(0, len(r.Trend)-mostRuns):]
	p.Trend = &pageTrend{More: showing(len(shown), len(r.Trend), "runs")}
	step := func(name string, value func(*TrendPoint) (float64, string)) {
		var ys []float64
		first, last := "", ""
		for i := range shown {
			y, words := value(&shown[i])
			if ys = append(ys, y); i == 0 {
				first = words
			}
			last = words
		}
		p.Trend.Steps = append(p.Trend.Steps, pageStep{name, last, chart.Steps(ys, fmt.Sprintf("%s over %s: %s at first, %s at last", name, plural(len(ys), "run"), first, last))})
	}
	family := func(t *TrendPoint, name string) string {
		for _, f := range t.Exposure {
			if f.Family == name {
				return f.Before
			}
		}
		return "0"
	}
	for _, name := range []string{"ipv4", "ipv6"} {
		if slices.ContainsFunc(shown, func(t TrendPoint) bool { return family(&t, name) != "0" }) {
			step("Exposure, "+familyName(name), func(t *TrendPoint) (float64, string) {
				return math.Log2(1 + magnitudeOf(family(t, name))), magnitude(family(t, name))
			})
		}
	}
	whole := func(n int) (float64, string) { return float64(n), number(uint64(max(n, 0))) }
	step("Rules", func(t *TrendPoint) (float64, string) { return whole(t.Rules) })
	step("Edits proposed", func(t *TrendPoint) (float64, string) { return whole(t.Edits) })
	step("Critical and high findings", func(t *TrendPoint) (float64, string) { return whole(t.Findings.Critical + t.Findings.High) })
	step("Fidelity", func(t *TrendPoint) (float64, string) { return t.Fidelity, Percent(t.Fidelity) })
	step("Coverage", func(t *TrendPoint) (float64, string) { return t.Coverage, Percent(t.Coverage) })
	for i := len(shown) - 1; i >= 0; i-- {
		t := &shown[i]
		f := &t.Findings
		p.Trend.Rows = append(p.Trend.Rows, []string{minute(t.Run), magnitude(family(t, "ipv4")), magnitude(family(t, "ipv6")), number(uint64(max(t.Rules, 0))), number(uint64(max(t.Edits, 0))),
			fmt.Sprintf("%d / %d / %d / %d / %d", f.Critical, f.High, f.Medium, f.Low, f.Info), Percent(t.Fidelity), Percent(t.Coverage)})
	}
}
