package analyzer

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
)

// fingerprint names a finding for life: it depends on the check, the subject and what
// the subject says, never on counts, times or proposals.
func fingerprint(f *Finding) string {
	h := sha256.Sum256([]byte(f.Check + "\n" + f.Subject.Owner + "\n" + f.Subject.Rule + "\n" + f.substance))
	return hex.EncodeToString(h[:8])
}

// substance is a rule in canonical words.
func substance(r *policy.Rule) string {
	parts := []string{r.Direction.String(), r.Action.String(), r.Protocol(), r.Ports(), r.Peer()}
	for i := range r.Match {
		if len(r.Match) > 1 {
			one := policy.Rule{Direction: r.Direction, Match: r.Match[i : i+1]}
			parts = append(parts, one.Protocol()+" "+one.Ports()+" "+one.Peer())
		}
	}
	if only := restrictions(r); only != "" {
		parts = append(parts, only)
	}
	return strings.Join(parts, "|")
}

// restrictions says what r restricts besides peer and service: the local addresses and
// the ports of the other side. "" for most rules.
func restrictions(r *policy.Rule) string {
	var parts []string
	for i := range r.Match {
		m := &r.Match[i]
		if v4, v6 := worldOpen(m.Local.Prefixes); !v4 || !v6 {
			local := make([]string, 0, len(m.Local.Prefixes))
			for _, p := range m.Local.Prefixes {
				local = append(local, p.String())
			}
			parts = append(parts, "at "+strings.Join(local, ","))
		}
		if other := m.ServicePorts(r.Direction.Reverse()); other != netset.AllPorts {
			parts = append(parts, "peer ports "+other.String())
		}
	}
	return strings.Join(parts, ", ")
}

// about starts a finding on a rule.
func about(r *policy.Rule, format string, args ...any) Finding {
	return Finding{Subject: r.Ref, Message: fmt.Sprintf(format, args...), substance: substance(r)}
}

// words is a rule as a reader says it: "ingress tcp 443 from 10.0.0.0/8".
func words(r *policy.Rule) string {
	prep := "from"
	if r.Direction.String() == "egress" {
		prep = "to"
	}
	s := r.Direction.String() + " "
	if r.Action != policy.Allow {
		s += r.Action.String() + " "
	}
	switch proto, ports := r.Protocol(), r.Ports(); {
	case proto == "all":
		s += "all traffic"
	case ports != "all":
		s += proto + " " + ports
	case proto == "tcp" || proto == "udp":
		s += proto + " all ports"
	case strings.Trim(proto, "0123456789") == "":
		s += "protocol " + proto
	default:
		s += proto
	}
	s += " " + prep + " " + r.Peer()
	if only := restrictions(r); only != "" {
		s += " " + only
	}
	return s
}

func sortFindings(fs []Finding) {
	type key struct{ severity, at int } // findings are large: each is moved but twice
	order := make([]key, len(fs))
	for i := range fs {
		order[i] = key{slices.Index(Severities, fs[i].Severity), i}
	}
	slices.SortFunc(order, func(x, y key) int {
		if x.severity != y.severity {
			return x.severity - y.severity
		}
		a, b := &fs[x.at], &fs[y.at]
		return cmp.Or(strings.Compare(a.Check, b.Check), a.Subject.Compare(b.Subject), strings.Compare(a.ID, b.ID), x.at-y.at)
	})
	sorted := make([]Finding, len(fs))
	for to, k := range order {
		sorted[to] = fs[k.at]
	}
	copy(fs, sorted)
}

// backEdits makes sure that every edit of the plan answers a finding: where the check
// it names found nothing by its own measure, the edit itself is the finding.
func backEdits(p *Pass, fs []Finding, edits []plan.Edit) []Finding {
	has := make(map[string]bool)
	for i := range fs {
		has[fs[i].Check+" "+fs[i].Subject.String()] = true
	}
	for i := range edits {
		e := &edits[i]
		if e.Op == plan.Add || has[e.Check+" "+e.Rule.String()] {
			continue
		}
		has[e.Check+" "+e.Rule.String()] = true
		n, ok := p.Snapshot.RuleIndex(e.Rule)
		if !ok {
			continue
		}
		r := p.Snapshot.Rules()[n]
		f := about(r, "%s: %s", words(r), e.Reason)
		f.Check, f.Confidence, f.Severity = e.Check, e.Confidence, Low
		if a := ByName(e.Check); a != nil {
			f.Severity = a.Severity
		}
		fs = append(fs, f)
	}
	return fs
}

// ByName returns the check with this name, nil if there is none.
func ByName(name string) *Analyzer {
	for _, a := range All {
		if a.Name == name {
			return a
		}
	}
	return nil
}

// count formats n with separators of thousands: 1,234,567.
func count[T ~uint64 | ~int | ~int64](n T) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
