package explain

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// A site says what the explanation of an end says.
func TestSitesJudgeAsExplanationsDo(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 1))
	verdicts := map[policy.Verdict]int{}
	for range 400 {
		s := randomSnapshot(t, r)
		for range 10 {
			f := randomFlow(r)
			e, err := Explain(s, f, nil)
			if err != nil {
				continue
			}
			for _, end := range e.Ends {
				if end.Interface == nil {
					continue
				}
				got, refs := NewSite(s, end.Interface.ID, end.Direction).Judge(f)
				if verdicts[got]++; got != end.Verdict {
					t.Fatalf("%s at %s: %s, explained as %s", f, end.Interface.ID, got, end.Verdict)
				}
				for _, p := range end.Requests {
					for _, st := range p.Stages {
						for _, ref := range st.Decision.Winners {
							if st.Reached && !slices.Contains(refs, ref) {
								t.Fatalf("%s at %s: %s is not named in %v", f, end.Interface.ID, ref, refs)
							}
						}
					}
				}
			}
		}
	}
	if len(verdicts) < 3 {
		t.Errorf("only these verdicts: %v", verdicts)
	}
}

// Two connections that no bound separates have the same verdict.
func TestBoundsTellApartAllThatIsJudgedOtherwise(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 2))
	for range 300 {
		s := randomSnapshot(t, r)
		x := pick(r, s.Interfaces)
		if len(x.Addresses) == 0 {
			continue
		}
		site := NewSite(s, x.ID, flow.Ingress)
		var b Bounds
		site.AddTo(&b)
		b.Compact()
		one := Flow{Src: netip.AddrFrom4([4]byte{10, byte(r.IntN(3)), byte(r.IntN(3)), byte(r.IntN(9))}), Dst: x.Addresses[0], Proto: flow.TCP, ClientPorts: ClientPorts, Port: uint16(r.IntN(9000)), ICMP: policy.AnyICMP}
		two := one
		two.Src = netip.AddrFrom4([4]byte{10, byte(r.IntN(3)), byte(r.IntN(3)), byte(r.IntN(9))})
		two.Port = uint16(r.IntN(9000))
		if one.Dst.Is6() || slices.ContainsFunc(b.Peers, func(p netip.Prefix) bool { return p.Contains(one.Src) != p.Contains(two.Src) }) ||
			slices.ContainsFunc(b.Ports, func(p uint16) bool { return (one.Port < p) != (two.Port < p) }) {
			continue
		}
		v, _ := site.Judge(one)
		if w, _ := site.Judge(two); v != w {
			t.Fatalf("at %s: %s is %s, %s is %s", x.ID, one, v, two, w)
		}
	}
}
