package cloud

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/sgadvise/sgadvise/engine/policy"
)

// RuleDigest returns the id of a rule that has none of its own: "r-" and a digest of
// what the rule matches and does. Owner, description and what is known of a
// referenced group do not count, so the id is the same in every export. Two rules of
// a group with the same digest are one rule.
func RuleDigest(r *policy.Rule) string {
	sum := sha256.Sum256([]byte(substance(r)))
	return "r-" + hex.EncodeToString(sum[:8])
}

// substance writes what r matches and does.
func substance(r *policy.Rule) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %d", r.Direction, r.Action, r.Rank)
	if r.PortList != "" {
		fmt.Fprintf(&b, " ports of %s", r.PortList)
	}
	for i := range r.Match {
		m := &r.Match[i]
		fmt.Fprintf(&b, "; %x icmp %d %d local %s remote %s", m.Protos, m.ICMP.Type, m.ICMP.Code, m.LocalPorts, m.RemotePorts)
		for _, set := range []policy.AddrSet{m.Local, m.Remote} {
			fmt.Fprintf(&b, " unknown %t", set.Unknown)
			for _, p := range set.Prefixes {
				b.WriteByte(' ')
				b.WriteString(p.String())
			}
			for _, ref := range set.Refs {
				fmt.Fprintf(&b, " %d:%s", ref.Kind, ref.ID)
			}
		}
	}
	return b.String()
}
