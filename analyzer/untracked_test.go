package analyzer_test

import (
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/sgadvise/sgadvise/analyzer/plan"
)

// Trap 21: connections under a rule open to the world, with a way out that is just as
// open, are not tracked. Narrowing the rule cuts them; say so.
func TestTrap21UntrackedConnectionsAreWarnedOf(t *testing.T) {
	const flows = `
-- flows --
version interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action tcp-flags log-status
3 eni-1 203.0.113.9 10.0.0.5 40000 443 6 10 840 1700000000 1700000060 ACCEPT 2 OK
3 eni-1 10.0.0.5 203.0.113.9 443 40000 6 10 840 1700000000 1700000060 ACCEPT 18 OK
3 eni-1 10.0.0.5 203.0.113.8 40000 443 6 10 840 1700000000 1700000060 ACCEPT 2 OK
`
	for _, tc := range []struct {
		egress string
		warned bool
	}{
		{"all to 0.0.0.0/0", true},
		{"tcp 0-65535 to 0.0.0.0/0", true},
		{"tcp 443 to 0.0.0.0/0", false},
		{"udp 0-65535 to 0.0.0.0/0", false},
		{"all to ::/0", false},
		{"all to 203.0.113.0/24", false},
	} {
		s := newScenario(t, txtar.Parse([]byte("-- policy --\ninterface eni-1 10.0.0.5 sg-1\ngroup sg-1\n  sgr-in ingress tcp 443 from 0.0.0.0/0\n  sgr-out egress "+tc.egress+"\n"+flows[1:])))
		warned := false
		for _, f := range s.run(t, plan.ModeTighten).Findings {
			for _, x := range f.Facts {
				warned = warned || f.Subject.Rule == "sgr-in" && x.Name == "tracking" && strings.Contains(x.Value, "sgr-out")
			}
		}
		if warned != tc.warned {
			t.Errorf("%s: warned = %v", tc.egress, warned)
		}
	}
}
