package analyzer

import (
	"fmt"
	"strings"

	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/policy"
)

// The verdicts on a rule.
const (
	Used          = "used"           // it decided connections that were answered, and who opened them is proven
	UsedInferred  = "used-inferred"  // the same, by inference
	AttemptOnly   = "attempt-only"   // it let connections in, and none was ever answered
	Redundant     = "redundant"      // it matched, and other rules decided the same each time
	Unused        = "unused"         // no hit under any reading, and the logs would have shown one
	NotSeenGaps   = "not-seen-gaps"  // no hit, but the evidence is too short, too young or has gaps
	NotObservable = "not-observable" // no hit, and no log could have shown one
	DeadByConfig  = "dead-by-config" // no hit, and the configuration alone makes it needless
	CannotJudge   = "unknown"        // something that decides is not known
)

// RuleVerdict is the judgement of one rule.
type RuleVerdict struct {
	Rule       *policy.Rule
	Usage      engine.Usage
	Verdict    string
	Reason     string // one sentence: why this verdict
	Interfaces int    // interfaces on which the rule is in force

	evidence ruleEvidence
	masked   bool // a network ACL alone makes it dead
}

// verdicts judges every rule of res.Usage. The first verdict that fits holds.
func verdicts(res *engine.Result, ev *Evidence, cov *ruleCoverage, visits map[int32][]visit) []RuleVerdict {
	rules := res.Snapshot.Rules()
	past := outgrown(res, cov, visits)
	out := make([]RuleVerdict, len(res.Usage))
	parallel(len(out), func(i int) {
		v := RuleVerdict{Usage: res.Usage[i]}
		if i < len(rules) {
			v.Rule = rules[i]
			v.Interfaces = len(cov.interfaces[i])
			v.evidence = ev.rule(res.Snapshot, v.Rule, cov.interfaces[i])
			if past[i].visits > 0 {
				if v.Usage.Hits == 0 {
					v.Usage.Possible += uint64(past[i].visits)
				}
				v.evidence.others = "traffic to its ports was accepted that fits no rule: its peers may have been in " + v.Rule.Peer() + " at the time"
				if !past[i].unexplained {
					v.evidence.others = "accepted traffic to its ports may have been opened by peers that were in " + v.Rule.Peer() + " at the time"
				}
			}
			v.Verdict, v.Reason = v.judge(res.Snapshot, ev, &cov.rules[i], &cov.boxes[i])
			v.masked = v.Verdict == DeadByConfig && len(cov.rules[i].acls) > 0 && !cov.rules[i].everywhere && deadReference(v.Rule) == ""
		} else {
			v.Rule = res.Rules[i]
			v.Interfaces = int(v.Usage.Interfaces)
			v.Verdict, v.Reason = Used, "it decided connections for which nothing else spoke"
			switch {
			case v.Usage.Hits > 0:
			case v.Usage.Possible > 0:
				v.Verdict, v.Reason = CannotJudge, "it might have decided connections whose opener is not known"
			case unknownGroup(v.Rule):
				v.Verdict, v.Reason = CannotJudge, "the rules of this group are not in the export"
			case v.Rule.Action == policy.Deny && !ev.Rejected:
				v.Verdict, v.Reason = NotObservable, "the logs hold no rejected traffic"
			case isIntra(v.Rule.Ref):
				v.Verdict, v.Reason = Unused, "no connection between members was logged"
			default:
				v.Verdict, v.Reason = Unused, "nothing that was logged fell through to it"
			}
		}
		out[i] = v
	})
	return out
}

func (v *RuleVerdict) judge(s *policy.Snapshot, ev *Evidence, cov *covered, boxes *ruleBoxes) (verdict, reason string) {
	u := &v.Usage
	switch {
	case u.Hits > 0 && u.Decisive > 0 && u.Answered == 0 && v.Rule.Action == policy.Allow:
		return AttemptOnly, fmt.Sprintf("%s, none was ever answered", plural(int(u.Hits), "connection"))
	case u.Hits > 0 && u.Decisive > 0 && u.Proven == 0:
		return UsedInferred, fmt.Sprintf("it decided %s; who opened them is inferred", plural(int(u.Decisive), "connection"))
	case u.Hits > 0 && u.Decisive > 0:
		return Used, fmt.Sprintf("it decided %s", plural(int(u.Decisive), "connection"))
	case u.Hits > 0:
		if v.Rule.Action == policy.Deny || cov.everywhere && cov.instead == byDefault {
			return Redundant, fmt.Sprintf("it matched %s, and without it each would be decided the same", plural(int(u.Hits), "connection"))
		}
		return Redundant, fmt.Sprintf("it matched %s, and other rules allowed each of them too", plural(int(u.Hits), "connection"))
	case v.evidence.others != "":
		return CannotJudge, v.evidence.others
	case u.Possible > 0:
		if ev.history != nil {
			return CannotJudge, fmt.Sprintf("it may have decided %s whose opener or match is not known, or would have, had it been in force as it is", plural(int(u.Possible), "connection"))
		}
		return CannotJudge, fmt.Sprintf("it may have decided %s whose opener or match is not known", plural(int(u.Possible), "connection"))
	}
	dead := deadReference(v.Rule)
	switch {
	case dead == "" && unresolved(s, v.Rule) != "":
		return CannotJudge, unresolved(s, v.Rule)
	case len(s.Interfaces) == 0:
		return CannotJudge, "no interfaces were exported, so where the rule is in force is not known"
	case isACL(s, v.Rule.Ref.Owner) && v.Interfaces == 0 && s.MissingWhat("subnets"):
		return CannotJudge, "no subnets were exported, so where the network ACL is in force is not known"
	case dead != "":
		return DeadByConfig, "its reference is dead: " + dead
	case cov.everywhere:
		return DeadByConfig, cov.reason() + ", on every interface where it is in force"
	case len(cov.acls) > 0:
		return DeadByConfig, strings.Join(cov.acls, " or ") + " denies all that it would admit, on every interface where it is in force"
	case v.Interfaces == 0:
		return DeadByConfig, v.Rule.Ref.Owner + " is attached to no interface of the snapshot"
	case v.evidence.hidden != "":
		return NotObservable, v.evidence.hidden
	case v.evidence.unused != "":
		return NotSeenGaps, v.evidence.unused
	}
	return Unused, fmt.Sprintf("no connection in %s on %s", plural(ev.Days, "day"), plural(v.Interfaces, "interface"))
}

// deadReference says why every reference of r, which has nothing but references,
// is dead; or "".
func deadReference(r *policy.Rule) string {
	why := ""
	for i := range r.Match {
		m := &r.Match[i]
		if len(m.Remote.Prefixes) > 0 || len(m.Remote.Refs) == 0 || m.Remote.Unknown {
			return ""
		}
		for _, ref := range m.Remote.Refs {
			if ref.Dead == "" {
				return ""
			}
			why = ref.Dead
		}
	}
	return why
}

// unresolved names a peer of r that cannot be resolved, or "".
func unresolved(s *policy.Snapshot, r *policy.Rule) string {
	for i := range r.Match {
		if !s.Resolve(r.Match[i].Remote).Unknown {
			continue
		}
		for _, ref := range r.Match[i].Remote.Refs {
			if s.Resolve(policy.AddrSet{Refs: []policy.SetRef{ref}}).Unknown {
				return fmt.Sprintf("what %s holds is not in the export", ref.ID)
			}
		}
		return "its peer is not known"
	}
	return ""
}

// unknownGroup reports whether r, an implicit rule, stands for a group whose rules are
// not in the export.
func unknownGroup(r *policy.Rule) bool {
	return len(r.Match) > 0 && r.Match[0].Remote.Unknown
}
