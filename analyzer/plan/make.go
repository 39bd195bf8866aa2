package plan

import (
	"context"
	"fmt"
	"slices"

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
	// plan; 0: as many as it has now. Groups that have more are not made to fit.
	Budget int
	// MinFidelity is the least share of judged records that the policy must explain;
	// below it there is no plan.
	MinFidelity float64
	// Evidence says for each rule of Result.Snapshot.Rules(), in that order, what the
	// evidence is good for. Rules beyond its end have none.
	Evidence []RuleEvidence
}

// RuleEvidence says what the evidence for one rule is good for. The zero value: nothing.
type RuleEvidence struct {
	Attached   bool   // in force on some interface, or for an ACL line in some subnet with interfaces
	Observable bool   // the log would have shown its use
	NarrowOK   bool   // the minimum for narrowing is met
	UnusedOK   bool   // the minimum for calling it unused is met
	Why        string // why not, if one of them is false
}

// quota is how many rules AWS lets a group have in one direction by default; a larger
// Budget is cut to it unless the group has more already.
const quota = 60

// maxRounds bounds the rounds of a plan. Each round admits less than the one before,
// or the same with fewer rules; a dozen is more than any test has needed.
const maxRounds = 64

// Make plans edits for in.Result under in.Mode and proves them. It never fails for
// want of evidence: what could not be planned is in Declined, and a plan that its own
// proof refutes comes back without edits. The plan depends on nothing but in.
//
// Each round takes the group rules of the snapshot, drops what may go, narrows what is
// left, and applies that; rounds follow until nothing changes, so a plan made for the
// planned snapshot from the same evidence is empty. A round costs one look at each
// distinct connection, one coverage test for each rule and interface class, and a
// cover for each rule that may be narrowed.
func Make(ctx context.Context, in Input) (*Plan, error) {
	out := &Plan{Mode: in.Mode, Planned: in.Result.Snapshot}
	before := exposure(in.Result.Snapshot)
	out.Exposure = Exposure{before.String(), before.String(), 1}
	if in.Mode == ModeNone {
		return out, nil
	}
	if reason := unfit(in); reason != "" {
		out.Declined = []Declined{{Reason: reason}}
		return out, nil
	}
	p := newPlanner(in)
	if err := p.run(ctx); err != nil {
		return nil, err
	}
	edits, err := p.compose()
	if err != nil {
		return nil, err
	}
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
	after := exposure(planned)
	out.Exposure = Exposure{before.String(), after.String(), netset.Ratio(after, before)}
	out.Declined = p.declined(edits)
	return out, nil
}

// unfit says why no plan can be made from in at all; empty: one can.
func unfit(in Input) string {
	res := in.Result
	if rate := res.Fidelity.Rate(); rate < in.MinFidelity {
		return fmt.Sprintf("the policy explains %.1f %% of the judged records, less than the minimum of %.1f %%: is the snapshot of the same time and account?",
			100*rate, 100*in.MinFidelity)
	}
	rejectOnly := len(res.Connections) > 0
	for i := range res.Connections {
		rejectOnly = rejectOnly && res.Connections[i].Action == flow.Reject
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

// exposure returns what the editable allow rules of each group and direction admit,
// added over groups.
func exposure(s *policy.Snapshot) netset.Size {
	weights := cover.DefaultWeights()
	w := newWorld(s)
	var total netset.Size
	for g := range s.Groups {
		var boxes [2][]netset.Box
		for k := range s.Groups[g].Rules {
			r := &w.rules[w.at[s.Groups[g].Rules[k].Ref]]
			if r.Action == policy.Allow && r.Editable && !r.Implicit && !r.group.Managed {
				boxes[side(r.Direction)] = append(boxes[side(r.Direction)], r.boxes...)
			}
		}
		total = total.Add(weights.Exposure(boxes[0])).Add(weights.Exposure(boxes[1]))
	}
	return total
}
