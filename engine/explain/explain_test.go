package explain

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// judge asks Decide alone, for one port of the client, what happens at one end.
func judge(s *policy.Snapshot, f Flow, id string, d flow.Direction, client uint16) policy.Verdict {
	c := policy.Conn{Direction: d, Proto: f.Proto, Local: f.Src, Remote: f.Dst, ICMP: f.ICMP}
	if f.Proto.HasPorts() {
		c.LocalPort, c.RemotePort = client, f.Port
	}
	if d == flow.Ingress {
		c.Local, c.Remote, c.LocalPort, c.RemotePort = c.Remote, c.Local, c.RemotePort, c.LocalPort
	}
	v := policy.Decide(s.Path(id, d), &c).Verdict
	c.Direction = d.Reverse()
	switch answers := map[int16]int16{-1: -1, 8: 0, 128: 129}; {
	case !f.Proto.IsICMP():
	case f.ICMP.Type == 8 && f.Proto == flow.ICMPv6 || f.ICMP.Type == 128 && f.Proto == flow.ICMP:
		return v
	default:
		typ, ok := answers[f.ICMP.Type]
		if !ok {
			return v
		}
		if c.ICMP = (policy.TypeCode{Type: typ, Code: 0}); typ < 0 {
			c.ICMP = policy.AnyICMP
		}
	}
	back := policy.DecidePacket(s.Path(id, d.Reverse()), &c).Verdict
	if v == policy.Denied || back == policy.Denied {
		return policy.Denied
	}
	if v == policy.Unknown || back == policy.Unknown {
		return policy.Unknown
	}
	return policy.Allowed
}

// samplePorts are ports of the client at and beside every bound of the world's rules.
func samplePorts(f Flow) []uint16 {
	if !f.Proto.HasPorts() {
		return []uint16{0}
	}
	var out []uint16
	for _, p := range []uint16{22, 443, 1024, 4999, 5000, 32767, 32768, 49151, 49152, 60999, 61000, 65535} {
		if f.ClientPorts.Contains(p) {
			out = append(out, p)
		}
	}
	return out
}

// verdictAt is what all ports of the client have in common at one end.
func verdictAt(s *policy.Snapshot, f Flow, id string, d flow.Direction) policy.Verdict {
	ports := samplePorts(f)
	first := judge(s, f, id, d, ports[0])
	for _, p := range ports[1:] {
		if judge(s, f, id, d, p) != first {
			return policy.Unknown
		}
	}
	return first
}

const worlds = 800

func TestExplanationAgreesWithDecide(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	seen := map[policy.Verdict]int{}
	for range worlds {
		s := randomSnapshot(t, r)
		for range 8 {
			f := randomFlow(r)
			e, err := Explain(s, f, nil)
			if err != nil {
				continue
			}
			seen[e.Verdict]++
			all := policy.Allowed
			for _, end := range e.Ends {
				if end.Interface == nil {
					continue
				}
				want := verdictAt(s, f, end.Interface.ID, end.Direction)
				// Parts of an end may each depend on the port where together they do not.
				if end.Verdict != want && !(end.Verdict == policy.Unknown && len(end.Requests)+len(end.Answers) > 2) {
					t.Fatalf("%v at %s %v: %v, want %v", f, end.Interface.ID, end.Direction, end.Verdict, want)
				}
				all = both(all, end.Verdict)
				for _, p := range end.Requests {
					if got := policy.Decide(s.Path(end.Interface.ID, end.Direction), &p.Conn).Verdict; got != p.Verdict {
						t.Fatalf("%v at %s: request %v, Decide %v", f, end.Interface.ID, p.Verdict, got)
					}
				}
				for _, p := range end.Answers {
					if got := policy.DecidePacket(s.Path(end.Interface.ID, end.Direction.Reverse()), &p.Conn).Verdict; got != p.Verdict {
						t.Fatalf("%v at %s: answer %v, Decide %v", f, end.Interface.ID, p.Verdict, got)
					}
				}
			}
			if e.Verdict != all {
				t.Fatalf("%v: %v, want %v", f, e.Verdict, all)
			}
		}
	}
	for v := policy.Denied; v <= policy.Unknown; v++ {
		if seen[v] < 100 {
			t.Errorf("only %d of the connections are %v", seen[v], v)
		}
	}
}

// Every match of a stage is named once, and what is said of it is what Decide says.
func TestMatchesAreAllThatMatched(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	parts := map[Part]int{}
	for range 8 * worlds {
		s := randomSnapshot(t, r)
		e, err := Explain(s, randomFlow(r), nil)
		if err != nil {
			continue
		}
		for _, end := range e.Ends {
			for _, p := range end.Requests {
				path := s.Path(end.Interface.ID, end.Direction)
				for i, st := range p.Stages {
					d := path[i].Decide(&p.Conn)
					var winners, possible []policy.Ref
					for _, m := range st.Matches {
						parts[m.Part]++
						switch m.Part {
						case Decides:
							winners = append(winners, m.Rule.Ref)
						case Perhaps:
							possible = append(possible, m.Rule.Ref)
						case Masked, PassedOver:
							if len(m.By) == 0 {
								t.Fatalf("%s is %v by nothing", m.Rule.Ref, m.Part)
							}
						}
					}
					slices.SortFunc(winners, policy.Ref.Compare)
					slices.SortFunc(possible, policy.Ref.Compare)
					if len(winners) == 0 && !d.Skipped {
						winners = []policy.Ref{path[i].DefaultRef}
					}
					if !slices.Equal(winners, d.Winners) || !slices.Equal(possible, d.Possible) {
						t.Fatalf("%v: winners %v, possible %v; Decide %v, %v", e.Flow, winners, possible, d.Winners, d.Possible)
					}
					n := 0
					for _, tier := range path[i].Tiers {
						for j := range tier.Rules {
							if tier.Rules[j].Matches(&p.Conn) != policy.No {
								n++
							}
						}
					}
					if !d.Skipped && n != len(st.Matches) {
						t.Fatalf("%v: %d matches of %d", e.Flow, len(st.Matches), n)
					}
				}
			}
		}
	}
	for p := Decides; p <= Masked; p++ {
		if parts[p] < 4 {
			t.Errorf("only %d matches are %v", parts[p], p)
		}
	}
}

// Any one of a stage's changes, applied to the policy, makes that stage say the opposite
// to every port of the client; and of a removal every part is needed.
func TestEachChangeTurnsItsStage(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	allows, denies, removals := 0, 0, 0
	for range 4 * worlds {
		s := randomSnapshot(t, r)
		e, err := Explain(s, randomFlow(r), nil)
		if err != nil {
			continue
		}
		for _, end := range e.Ends {
			for side, ps := range [2][]Pass{end.Requests, end.Answers} {
				d := end.Direction
				if side == 1 {
					d = d.Reverse()
				}
				for _, p := range ps {
					for i, st := range p.Stages {
						says := func(s *policy.Snapshot, want policy.Verdict) bool {
							return stageSays(s, e.Flow, end.Interface.ID, d, side == 1, i, p) == want
						}
						for _, c := range st.ToAllow {
							allows++
							if after := apply(t, r, s, []Change{c}); !says(after, policy.Allowed) {
								t.Fatalf("%v at %s %s: %+v does not make it allow", e.Flow, end.Interface.ID, st.Name, c)
							}
						}
						for _, c := range st.ToDeny {
							denies++
							if after := apply(t, r, s, []Change{c}); !says(after, policy.Denied) {
								t.Fatalf("%v at %s %s: %+v does not make it deny", e.Flow, end.Interface.ID, st.Name, c)
							}
						}
						for want, cs := range map[policy.Verdict][]Change{policy.Allowed: st.ToAllow, policy.Denied: st.ToDeny} {
							for _, c := range cs {
								for n := range c.Remove {
									if c.Add != nil {
										break // without it any rank may outrank the rule
									}
									removals++
									less := Change{Remove: slices.Delete(slices.Clone(c.Remove), n, n+1), Isolate: c.Isolate}
									if says(apply(t, r, s, []Change{less}), want) {
										t.Fatalf("%v at %s %s: %v need not go: %+v", e.Flow, end.Interface.ID, st.Name, c.Remove[n], c)
									}
								}
							}
						}
					}
				}
			}
		}
	}
	if allows < 500 || denies < 500 || removals < 500 {
		t.Errorf("only %d changes to allow, %d to deny, %d removals", allows, denies, removals)
	}
}

// stageSays is what stage i of a path says to every port of the client in p.
func stageSays(s *policy.Snapshot, f Flow, id string, d flow.Direction, answers bool, i int, p Pass) policy.Verdict {
	path := s.Path(id, d)
	if answers {
		path = slices.DeleteFunc(path, func(st policy.Stage) bool { return st.Stateful })
	}
	var out []policy.Verdict
	for _, port := range samplePorts(f) {
		if f.Proto.HasPorts() && !p.Ports.Contains(port) {
			continue
		}
		c := p.Conn
		if f.Proto.HasPorts() {
			// The client's port is the one that is not the service's.
			if (d == flow.Ingress) != answers {
				c.RemotePort = port
			} else {
				c.LocalPort = port
			}
		}
		out = append(out, path[i].Decide(&c).Verdict)
	}
	for _, v := range out {
		if v != out[0] {
			return policy.Unknown
		}
	}
	return out[0]
}

// All that stands in the way of a connection, changed at once, lets it through; one
// place where it can be stopped stops it.
func TestChangesTogetherTurnTheVerdict(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	opened, closed, stuck := 0, 0, 0
	for range 4 * worlds {
		s := randomSnapshot(t, r)
		e, err := Explain(s, randomFlow(r), nil)
		if err != nil {
			continue
		}
		var need []Change
		possible := true
		for _, end := range e.Ends {
			for _, p := range slices.Concat(end.Requests, end.Answers) {
				for _, st := range p.Stages {
					switch {
					case st.Decision.Verdict == policy.Allowed || st.Decision.Skipped:
					case len(st.ToAllow) == 0:
						possible = false
					default:
						need = append(need, pick(r, st.ToAllow))
					}
				}
			}
			if len(end.Requests) != 1 {
				continue
			}
			for _, st := range end.Requests[0].Stages {
				for _, c := range st.ToDeny {
					closed++
					if after, _ := Explain(apply(t, r, s, []Change{c}), e.Flow, nil); after.Verdict != policy.Denied {
						t.Fatalf("%v is %v after %+v at %s", e.Flow, after.Verdict, c, end.Interface.ID)
					}
				}
			}
		}
		if !possible {
			stuck++
			continue
		}
		if len(need) == 0 {
			continue
		}
		opened++
		if after, _ := Explain(apply(t, r, s, need), e.Flow, nil); after.Verdict != policy.Allowed {
			t.Fatalf("%v is %v after %+v", e.Flow, after.Verdict, need)
		}
	}
	t.Logf("%d opened, %d closed, %d could not be opened", opened, closed, stuck)
	if opened < 250 || closed < 500 || stuck > opened {
		t.Errorf("%d opened, %d closed, %d could not be opened", opened, closed, stuck)
	}
}
