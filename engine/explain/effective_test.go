package explain

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// show writes a list in a line for each rule.
func show(l *List) string {
	var b strings.Builder
	for _, a := range l.Attached {
		fmt.Fprintf(&b, "on %s %s %s\n", a.Interface.ID, a.Stage, a.Tier)
	}
	for _, st := range l.Stages {
		fmt.Fprintf(&b, "%v %s\n", st.Direction, st.Name)
		for _, x := range st.Exempt {
			fmt.Fprintf(&b, "  not %v: %s\n", x.Prefixes, x.Why)
		}
		for _, r := range st.Rules {
			fmt.Fprintf(&b, "  %s %d %v %s %s", r.Tier, r.Rule.Rank, r.Rule.Action, r.Rule.Ref, r.Rule.Peer())
			for _, s := range r.Sets {
				fmt.Fprintf(&b, " %s=%v", s.ID, s.Prefixes)
				if s.Unknown {
					b.WriteString("?")
				}
				b.WriteString(s.Dead)
			}
			b.WriteString("\n")
		}
	}
	return strings.TrimSpace(b.String())
}

const basic = `
platform 100.100.0.0/16 admitted=100.64.0.0/10
interface eni-a 10.0.0.5 sg-a sg-b subnet=s instance=i-1
interface eni-b 10.0.0.6 sg-a instance=i-1
interface eni-c 10.0.0.7 instance=i-2 no-acl subnet=s
subnet s 10.0.0.0/24
acl acl-1 subnets=s
  200 ingress allow all from any
  100 ingress deny tcp 22 from any
list pl-1 192.0.2.0/24
list pl-2 unknown
group sg-a intra egress-open
  r1 ingress allow tcp 443 from any priority=1
  r2 ingress deny tcp 443 from 10.0.0.0/8 priority=1
group sg-b
  r3 ingress allow tcp 22 from pl-1 priority=1
  r4 ingress allow tcp 22 from pl-2 sg-a priority=100
  r5 ingress allow tcp 22 from sg-x dead="it is gone" priority=2
group sg-free
`

func TestInterfaceListIsInEvaluationOrder(t *testing.T) {
	l, err := Interface(parse(t, basic), "eni-a")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, show(l), `
ingress nacl
  not [10.0.0.0/24]: what stays inside s
  not [100.100.0.0/16]: addresses of the platform, such as metadata, resolver, time
  rules 100 deny acl-1/ingress-100 0.0.0.0/0,::/0
  rules 200 allow acl-1/ingress-200 0.0.0.0/0,::/0
  default 0 deny implicit/default:nacl:ingress 0.0.0.0/0,::/0
ingress sg
  not [100.100.0.0/16]: addresses of the platform, such as metadata, resolver, time
  intra-group 0 allow implicit/intra-group:sg-a sg-a sg-a=[10.0.0.5/32 10.0.0.6/32]
  rules 1 deny sg-a/r2 10.0.0.0/8
  rules 1 allow sg-a/r1 0.0.0.0/0,::/0
  rules 1 allow sg-b/r3 pl-1 pl-1=[192.0.2.0/24]
  rules 2 allow sg-b/r5 sg-x sg-x=[]it is gone
  rules 100 allow sg-b/r4 pl-2,sg-a pl-2=[]? sg-a=[10.0.0.5/32 10.0.0.6/32]
  platform 0 allow implicit/platform:sg:ingress 100.64.0.0/10
  default 0 deny implicit/default:sg:ingress 0.0.0.0/0,::/0
egress sg
  not [100.100.0.0/16]: addresses of the platform, such as metadata, resolver, time
  intra-group 0 allow implicit/intra-group:sg-a sg-a sg-a=[10.0.0.5/32 10.0.0.6/32]
  platform 0 allow implicit/platform:sg:egress 100.64.0.0/10
  default 0 allow implicit/default:sg:egress 0.0.0.0/0,::/0
egress nacl
  not [10.0.0.0/24]: what stays inside s
  not [100.100.0.0/16]: addresses of the platform, such as metadata, resolver, time
  default 0 deny implicit/default:nacl:egress 0.0.0.0/0,::/0`)
}

func TestGroupListStandsAlone(t *testing.T) {
	s := parse(t, basic)
	l, err := Group(s, "sg-a")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, show(l), `
on eni-a`+"  "+`
on eni-b`+"  "+`
ingress sg
  intra-group 0 allow implicit/intra-group:sg-a sg-a sg-a=[10.0.0.5/32 10.0.0.6/32]
  rules 1 deny sg-a/r2 10.0.0.0/8
  rules 1 allow sg-a/r1 0.0.0.0/0,::/0
  platform 0 allow implicit/platform:sg:ingress 100.64.0.0/10
  default 0 deny implicit/default:sg:ingress 0.0.0.0/0,::/0
egress sg
  intra-group 0 allow implicit/intra-group:sg-a sg-a sg-a=[10.0.0.5/32 10.0.0.6/32]
  platform 0 allow implicit/platform:sg:egress 100.64.0.0/10
  default 0 allow implicit/default:sg:egress 0.0.0.0/0,::/0`)
	// One that nothing carries has its rules and its default.
	if l, err = Group(s, "sg-free"); err != nil {
		t.Fatal(err)
	}
	expect(t, show(l), `
ingress sg
  default 0 deny implicit/default:sg:ingress 0.0.0.0/0,::/0
egress sg
  default 0 deny implicit/default:sg:egress 0.0.0.0/0,::/0`)
}

// Where the defaults of interfaces differ, a group shows the ref of its own.
func TestGroupNamesItsOwnDefault(t *testing.T) {
	s := parse(t, `
platform none
interface eni-a 10.0.0.5 sg-open
interface eni-b 10.0.0.6 sg-shut
group sg-open egress-open
group sg-shut
`)
	for id, want := range map[string]string{"sg-open": "implicit/default:sg:egress:allow", "sg-shut": "implicit/default:sg:egress"} {
		l, err := Group(s, id)
		if err != nil {
			t.Fatal(err)
		}
		rules := l.Stages[1].Rules
		if got := rules[len(rules)-1].Rule.Ref.String(); got != want {
			t.Errorf("%s: the default of egress is %s, want %s", id, got, want)
		}
	}
}

func TestGroupInSpelledOutStages(t *testing.T) {
	l, err := Group(parse(t, `
platform none
interface eni-a 10.0.0.5
  stage admin deny/allow sg-x sg-y
  stage nic deny/allow sg-z,sg-y
group sg-x
group sg-y
  r1 ingress tcp 443 from any priority=3
group sg-z
`), "sg-y")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, show(l), `
on eni-a admin sg-y
on eni-a nic sg-z
ingress sg
  rules 3 allow sg-y/r1 0.0.0.0/0,::/0
egress sg`)
}

func TestInstanceListsEachInterface(t *testing.T) {
	s := parse(t, basic)
	ls, err := Instance(s, "i-1")
	if err != nil || len(ls) != 2 || ls[0].Interface.ID != "eni-a" || ls[1].Interface.ID != "eni-b" {
		t.Errorf("%v, %v", ls, err)
	}
	ls, err = Instance(s, "i-2")
	if err != nil || len(ls) != 1 || len(ls[0].Stages) != 0 {
		t.Errorf("%v, %v, want one interface that nothing filters", ls, err)
	}
}

// A list is the path, in the order in which Decide reads it: the first rule of the list
// that matches is the first that Decide names, whatever the connection.
func TestFirstMatchOfAListDecides(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	decided := 0
	for range worlds {
		s := randomSnapshot(t, r)
		f := randomFlow(r)
		for i := range s.Interfaces {
			id := s.Interfaces[i].ID
			l, err := Interface(s, id)
			if err != nil {
				t.Fatal(err)
			}
			var path []policy.Stage
			for _, d := range [2]flow.Direction{flow.Ingress, flow.Egress} {
				path = append(path, s.Path(id, d)...)
			}
			if len(path) != len(l.Stages) {
				t.Fatalf("%d stages of %d", len(l.Stages), len(path))
			}
			for n := range path {
				c := f.at(l.Stages[n].Direction, typical(f.ClientPorts))
				d := path[n].Decide(&c)
				if d.Skipped || len(d.Possible) > 0 {
					continue
				}
				first := firstMatch(s, &l.Stages[n], &c)
				if first == nil {
					continue // a rule that passes on: the tier decides no more
				}
				decided++
				if !slices.Contains(d.Winners, first.Ref) {
					t.Fatalf("%v at %s %s: the list says %s, Decide %v", f, id, path[n].Name, first.Ref, d.Winners)
				}
			}
		}
	}
	if decided < worlds {
		t.Errorf("only %d decisions compared", decided)
	}
}

// firstMatch reads a list from the top, as people do; nil if a rule passes on.
func firstMatch(s *policy.Snapshot, st *ListStage, c *policy.Conn) *policy.Rule {
	for _, x := range st.Rules {
		r := *x.Rule
		r.Match = slices.Clone(r.Match)
		for i := range r.Match {
			r.Match[i].Remote = s.Resolve(r.Match[i].Remote)
		}
		if cmp.Compare(r.Matches(c), policy.No) > 0 {
			if r.Action == policy.Next {
				return nil
			}
			return x.Rule
		}
	}
	panic("BUG: a list without a default")
}
