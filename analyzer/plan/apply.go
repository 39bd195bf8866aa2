package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/engine/policy"
)

// Apply returns s with edits made; s itself stays as it is. It reports an edit whose
// rule or group is not in s, that changes a rule a second time, or that adds a rule
// that is there already or is not named after its group.
func Apply(s *policy.Snapshot, edits []Edit) (*policy.Snapshot, error) {
	gone := make(map[policy.Ref]bool)
	added := make(map[string][]policy.Rule)
	for _, e := range edits {
		if e.Op != Add {
			if _, ok := s.RuleIndex(e.Rule); !ok {
				return nil, fmt.Errorf("%s: %s: the rule is not in the snapshot", e.Rule, e.Op)
			}
			if gone[e.Rule] {
				return nil, fmt.Errorf("%s: %s: another edit changes the rule", e.Rule, e.Op)
			}
			gone[e.Rule] = true
		}
		if len(e.With) == 0 {
			continue
		}
		if _, ok := s.Group(e.Group); !ok {
			return nil, fmt.Errorf("%s: %s: the group is not in the snapshot", e.Group, e.Op)
		}
		for _, r := range e.With {
			if r.Ref.Owner != e.Group {
				return nil, fmt.Errorf("%s: %s: the rule is not named after group %s", r.Ref, e.Op, e.Group)
			}
		}
		added[e.Group] = append(added[e.Group], e.With...)
	}
	out := &policy.Snapshot{Taken: s.Taken, Interfaces: slices.Clone(s.Interfaces), Groups: slices.Clone(s.Groups),
		ACLs: slices.Clone(s.ACLs), Subnets: slices.Clone(s.Subnets), Lists: slices.Clone(s.Lists),
		FlowLogs: slices.Clone(s.FlowLogs), Platforms: slices.Clone(s.Platforms), Missing: slices.Clone(s.Missing)}
	for i := range out.Interfaces { // Seal sorts them in place
		out.Interfaces[i].Groups = slices.Clone(out.Interfaces[i].Groups)
	}
	change := func(rules []policy.Rule, more []policy.Rule) []policy.Rule {
		kept := make([]policy.Rule, 0, len(rules)+len(more))
		for _, r := range rules {
			if !gone[r.Ref] {
				kept = append(kept, r)
			}
		}
		return append(kept, more...)
	}
	for i := range out.Groups {
		out.Groups[i].Rules = change(out.Groups[i].Rules, added[out.Groups[i].ID])
	}
	for i := range out.ACLs {
		out.ACLs[i].Rules = change(out.ACLs[i].Rules, nil)
	}
	if err := out.Seal(); err != nil {
		return nil, err
	}
	return out, nil
}

// replacement returns a rule like old with another match, named by what it says.
func replacement(old *policy.Rule, m policy.Match) policy.Rule {
	r := policy.Rule{Ref: policy.Ref{Owner: old.Ref.Owner}, Direction: old.Direction, Rank: old.Rank, Action: old.Action,
		Match: []policy.Match{m}, Description: old.Description, Editable: true}
	text := strings.Join([]string{r.Direction.String(), r.Action.String(), fmt.Sprint(r.Rank), r.Protocol(), r.Ports(), r.Peer()}, "|")
	sum := sha256.Sum256([]byte(text))
	r.Ref.Rule = "new-" + hex.EncodeToString(sum[:6])
	return r
}
