package cloud

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"github.com/sgadvise/sgadvise/engine/policy"
)

// RuleDigest returns the id of a rule that has none of its own: "r-" and a digest of
// what the rule matches and does. Owner, description and what is known of a
// referenced group do not count, so the id is the same in every export. Two rules of
// a group with the same digest are one rule.
func RuleDigest(r *policy.Rule) string {
	var room [512]byte
	sum := sha256.Sum256(appendSubstance(room[:0], r))
	id := [2 + 2*8]byte{'r', '-'}
	hex.Encode(id[2:], sum[:8])
	return string(id[:])
}

// substance returns what r matches and does as text.
func substance(r *policy.Rule) string { return string(appendSubstance(nil, r)) }

// appendSubstance writes what r matches and does.
func appendSubstance(b []byte, r *policy.Rule) []byte {
	b = append(b, r.Direction.String()...)
	b = append(append(b, ' '), r.Action.String()...)
	b = strconv.AppendUint(append(b, ' '), uint64(r.Rank), 10)
	if r.PortList != "" {
		b = append(append(b, " ports of "...), r.PortList...)
	}
	for i := range r.Match {
		m := &r.Match[i]
		b = append(b, "; "...)
		for k, word := range m.Protos {
			b = append(b, "[ "[min(k, 1)])
			b = strconv.AppendUint(b, word, 16)
		}
		b = strconv.AppendInt(append(b, "] icmp "...), int64(m.ICMP.Type), 10)
		b = strconv.AppendInt(append(b, ' '), int64(m.ICMP.Code), 10)
		b = append(append(b, " local "...), m.LocalPorts.String()...)
		b = append(append(b, " remote "...), m.RemotePorts.String()...)
		b = appendSet(b, &m.Local)
		b = appendSet(b, &m.Remote)
	}
	return b
}

func appendSet(b []byte, set *policy.AddrSet) []byte {
	b = strconv.AppendBool(append(b, " unknown "...), set.Unknown)
	for _, p := range set.Prefixes {
		b = p.AppendTo(append(b, ' '))
	}
	for _, ref := range set.Refs {
		b = strconv.AppendUint(append(b, ' '), uint64(ref.Kind), 10)
		b = append(append(b, ':'), ref.ID...)
	}
	return b
}
