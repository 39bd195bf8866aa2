package change_test

import (
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/engine/policy"
)

// A witness is a packet that could be: between hosts of one family, not from a host to
// itself, and one that crosses the stage.
func TestWitnessesCouldBe(t *testing.T) {
	text := `platform none
subnet s 10.0.0.0/24
interface eni-1 10.0.0.5 2001:db8::5 sg-a subnet=s
interface eni-2 10.0.0.6 sg-a subnet=s
acl acl-1 subnets=s
  100 ingress allow all from 10.0.0.0/16
  100 egress allow all to any
group sg-a
  mates ingress tcp 22 from sg-a
  web6 ingress tcp 443 from ::/0
  web ingress tcp 443 from 0.0.0.0/0
`
	proposed := strings.NewReplacer("  100 ingress allow all from 10.0.0.0/16\n", "", "  mates ingress tcp 22 from sg-a\n", "", "  web6 ingress tcp 443 from ::/0\n", "").Replace(text)
	out := compare(t, parse(t, text), parse(t, proposed), nil, 1)
	stages := 0
	for _, p := range out.Paths {
		if len(p.Opened) != len(p.Difference.Opened) || len(p.Closed) != len(p.Difference.Closed) {
			t.Errorf("%s: parts without a witness", p.Stage)
		}
		stages++
		for _, w := range append(p.Opened, p.Closed...) {
			switch {
			case !w.Conn.Remote.IsValid() || w.Conn.Local.IsValid() && w.Conn.Local.Is4() != w.Conn.Remote.Is4():
				t.Errorf("%v and %v do not talk", w.Conn.Local, w.Conn.Remote)
			case w.Conn.Local == w.Conn.Remote:
				t.Errorf("%v talks to itself", w.Conn.Local)
			case w.Old.Verdict == w.New.Verdict:
				t.Errorf("%s %v: %s, then %s", p.Stage, w.Conn, w.Old.Verdict, w.New.Verdict)
			case p.Stage == policy.ACLStage && strings.HasPrefix(w.Conn.Remote.String(), "10.0.0."):
				t.Errorf("%v is inside the subnet", w.Conn.Remote)
			}
		}
	}
	if stages < 2 {
		t.Errorf("%d stages differ", stages)
	}
}
