package plan

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/sgadvise/sgadvise/analyzer/cover"
	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// Input is what a plan is made from. Result is not changed.
type Input struct {
	Result *engine.Result
	Mode   Mode
	// Budget is the number of rules that a group may have in one direction after the
	// plan; 0: as many as it has now. Groups that have more are not made to fit. A budget
	// beyond the platform's quota is cut to that, unless the group has more already.
	Budget int
	// MinFidelity is the least share of judged records that the policy must explain;
	// below it there is no plan.
	MinFidelity float64
	// Evidence says for each rule of Result.Snapshot.Rules(), in that order, what the
	// evidence is good for. Rules beyond its end have none.
	Evidence []RuleEvidence
	// Held says for rules that no edit may touch why: somebody wants them as they are.
	Held map[policy.Ref]string
	// Measured is what [Measure] says of Result.Snapshot; nil: Make asks.
	Measured *Measured
}

// Measured is how much the rules of a snapshot admit.
type Measured struct{ exposedSizes }

// Measure measures s, as [Make] does. It takes long, and needs no evidence.
func Measure(s *policy.Snapshot) *Measured { return &Measured{exposed(s)} }

// RuleEvidence says what the evidence for one rule is good for. The zero value: nothing.
type RuleEvidence struct {
	Attached   bool   // in force on some interface, or for an ACL line in some subnet with interfaces
	Observable bool   // the log would have shown its use
	NarrowOK   bool   // the minimum for narrowing is met
	UnusedOK   bool   // the minimum for calling it unused is met
	Why        string // why not, if one of them is false
}

// maxRounds bounds the rounds of a plan. Each round admits less than the one before,
// or the same with fewer rules; a dozen is more than any test has needed.
const maxRounds = 64

// Make plans edits for in.Result under in.Mode and proves them. It never fails for
// want of evidence: what could not be planned is in Declined, and a plan that its own
// proof refutes comes back without edits. The plan depends on nothing but in.
//
// Each round takes the group rules of the snapshot, drops what may go, narrows what is
// left, and applies that; rounds follow until nothing changes. Without denies a plan made
// for the planned snapshot from the same evidence is empty. A round costs one look at each
// distinct connection, one coverage test for each rule and interface class, and a
// cover for each rule that may be narrowed.
func Make(ctx context.Context, in Input) (*Plan, error) {
	out := &Plan{Mode: in.Mode, Planned: in.Result.Snapshot}
	if in.Measured == nil {
		in.Measured = Measure(in.Result.Snapshot)
	}
	before := in.Measured.exposedSizes
	out.Exposure = before.to(before)
	if in.Mode == ModeNone {
		return out, nil
	}
	if reason := unfit(in); reason != "" {
		out.Declined = []Declined{{Reason: reason}}
		return out, nil
	}
	p := newPlanner(in)
	out.Slack = slack(p.obs)
	if err := p.run(ctx); err != nil {
		return nil, err
	}
	edits, err := p.compose()
	if err != nil {
		return nil, err
	}
	denies, err := p.needlessDenies(edits)
	if err != nil {
		return nil, err
	}
	edits = append(edits, denies...)
	slices.SortFunc(edits, func(a, b Edit) int { return a.Rule.Compare(b.Rule) })
	planned, err := Apply(in.Result.Snapshot, edits)
	if err != nil {
		return nil, fmt.Errorf("apply the plan: %w", err)
	}
	out.Proof, err = Certify(ctx, in.Result, planned)
	if err != nil {
		return nil, err
	}
	if !out.Proof.Holds() {
		out.Declined = []Declined{{Reason: "the proof refuted the plan: " + out.Proof.Witness}}
		out.Proof, err = Certify(ctx, in.Result, in.Result.Snapshot)
		return out, err
	}
	if in.Mode == ModeTighten {
		if err := p.assess(ctx, out, edits); err != nil {
			return nil, err
		}
	}
	out.Edits, out.Planned = edits, planned
	after := exposed(planned)
	out.Exposure = before.to(after)
	if out.Tradeoff, err = p.tradeoff(edits, before, after); err != nil {
		return nil, err
	}
	out.Declined = p.declined(edits)
	return out, nil
}

// percent writes a share with two decimals, rounded down: a share below a minimum
// never reads like the minimum.
func percent(share float64) string {
	return strconv.FormatFloat(math.Floor(share*1e4+1e-9)/100, 'f', -1, 64) + " %"
}

// unfit says why no plan can be made from in at all; empty: one can.
func unfit(in Input) string {
	res := in.Result
	if rate := res.Fidelity.Rate(); rate < in.MinFidelity {
		return fmt.Sprintf("the policy explains %s of the judged records, less than the minimum of %s; it may be of another time or account",
			percent(rate), percent(in.MinFidelity))
	}
	rejectOnly := res.Connections.Len() > 0
	for _, c := range res.Connections.All() {
		if c.Action != flow.Reject {
			rejectOnly = false
			break
		}
	}
	// The description of the flow log knows better than the traffic, if there is one.
	if logs := res.Snapshot.FlowLogs; len(logs) > 0 {
		rejectOnly = !slices.ContainsFunc(logs, func(l policy.FlowLog) bool { return l.Traffic != "REJECT" })
	}
	if rejectOnly {
		return "the log holds rejected traffic only: it cannot show what the rules admit"
	}
	return ""
}

// exposedSizes is what the editable allow rules admit, added over directions: in ordered
// lists without what stronger denies take from them, and what the default or the implicit
// rules admit anyway.
type exposedSizes struct {
	groups   []string
	byGroup  map[string]netset.Size
	rules    int            // how many rules that is
	families [2]netset.Size // IPv4, IPv6
}

// exposed measures s group by group.
func exposed(s *policy.Snapshot) exposedSizes {
	weights := cover.DefaultWeights()
	w := newWorld(s)
	out := exposedSizes{byGroup: make(map[string]netset.Size)}
	type sizes struct {
		rules int
		size  [2][2]netset.Size // by direction and family
	}
	of := make([]sizes, len(s.Groups))
	each(len(s.Groups), func(g int) {
		var boxes [2][2][]netset.Box
		for k := range s.Groups[g].Rules {
			r := &w.rules[w.at[s.Groups[g].Rules[k].Ref]]
			if r.Action != policy.Allow || !r.Editable || r.Implicit || r.group.Managed {
				continue
			}
			of[g].rules++
			for _, b := range w.own(r) {
				family := 1
				if b.Addrs.Is4() {
					family = 0
				}
				boxes[side(r.Direction)][family] = append(boxes[side(r.Direction)][family], b)
			}
		}
		for d := range boxes {
			for family := range boxes[d] {
				of[g].size[d][family] = weights.Exposure(boxes[d][family])
			}
		}
	})
	for g := range s.Groups {
		id := s.Groups[g].ID
		out.rules += of[g].rules
		out.groups = append(out.groups, id)
		for d := range of[g].size {
			for family, size := range of[g].size[d] {
				out.byGroup[id] = out.byGroup[id].Add(size)
				out.families[family] = out.families[family].Add(size)
			}
		}
	}
	return out
}

// own returns what the lists admit because of r.
func (w *world) own(r *rule) []netset.Box {
	if r.places == nil {
		return r.boxes
	}
	var out []netset.Box
	for _, c := range r.classes {
		o := w.classes[c].lists[side(r.Direction)]
		if o == nil {
			return r.boxes
		}
		out = append(out, o.own(r.boxes, r.Rank)...)
	}
	return out
}

// own returns what of boxes a rule of this rank admits in the list, and what nothing
// but declared rules admits there.
func (o *ordered) own(boxes []netset.Box, rank uint32) []netset.Box {
	var less []netset.Box
	for i := range o.lines {
		x := &o.list.Lines[i]
		if x.Rule.Action == policy.Deny && x.Rule.Rank <= rank {
			less = append(less, x.Sure...)
		} else if o.lines[i].by != 0 {
			less = append(less, o.lines[i].admits.Sure...)
		}
	}
	less = append(less, o.byDefault...)
	var out []netset.Box
	for _, b := range boxes {
		rest, ok := netset.Residual(b, less, mostParts)
		if !ok {
			rest = []netset.Box{b}
		}
		out = append(out, rest...)
	}
	return out
}

// mostParts bounds the boxes into which a rule is cut to be measured; beyond it the rule
// is measured whole.
const mostParts = 512

// to compares e with what is left of it.
func (e exposedSizes) to(after exposedSizes) Exposure {
	part := func(name string, before, after netset.Size) Part {
		return Part{name, before.String(), after.String(), netset.Ratio(after, before)}
	}
	total := part("", e.families[0].Add(e.families[1]), after.families[0].Add(after.families[1]))
	out := Exposure{Before: total.Before, After: total.After, Ratio: total.Ratio}
	for i, name := range [2]string{"ipv4", "ipv6"} {
		if !e.families[i].IsZero() {
			out.Families = append(out.Families, part(name, e.families[i], after.families[i]))
		}
	}
	for _, g := range e.groups {
		if !e.byGroup[g].IsZero() {
			out.Groups = append(out.Groups, part(g, e.byGroup[g], after.byGroup[g]))
		}
	}
	return out
}
