package explain

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
)

func parse(t *testing.T, text string) *policy.Snapshot {
	t.Helper()
	s, err := cloud.ParseText("test.policy", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// tell writes an explanation in a few lines, for tests to compare.
func tell(t *testing.T, s *policy.Snapshot, text string, interfaces ...string) string {
	t.Helper()
	f, err := ParseFlow(text)
	if err != nil {
		t.Fatal(err)
	}
	e, err := Explain(s, f, interfaces)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%v", e.Verdict)
	for _, end := range e.Ends {
		if end.Interface == nil {
			fmt.Fprintf(&b, "\n%v outside", end.Direction)
			continue
		}
		fmt.Fprintf(&b, "\n%v %s %v", end.Direction, end.Interface.ID, end.Verdict)
		for n, ps := range [2][]Pass{end.Requests, end.Answers} {
			for _, p := range ps {
				for _, st := range p.Stages {
					b.WriteString("\n  " + [2]string{"", "answers "}[n])
					if len(ps) > 1 {
						fmt.Fprintf(&b, "ports %v ", p.Ports)
					}
					b.WriteString(st.Name)
					if st.Decision.Skipped {
						fmt.Fprintf(&b, " skipped: %v", st.Exempt)
						continue
					}
					if !st.Reached {
						b.WriteString(" unreached")
					}
					fmt.Fprintf(&b, " %v by %v next %v", st.Decision.Verdict, st.Decision.Winners, st.Next)
					for _, m := range st.Matches {
						if m.Part == Decides {
							continue
						}
						fmt.Fprintf(&b, "; %s %v", m.Rule.Ref, m.Part)
						if len(m.By) > 0 {
							fmt.Fprintf(&b, " by %v", m.By)
						}
					}
					for _, c := range st.ToAllow {
						b.WriteString("\n    to allow: " + say(c))
					}
					for _, c := range st.ToDeny {
						b.WriteString("\n    to deny: " + say(c))
					}
				}
			}
		}
	}
	for _, n := range e.Notes {
		b.WriteString("\nnote: " + n)
	}
	return b.String()
}

func say(c Change) string {
	var parts []string
	if len(c.Remove) > 0 {
		parts = append(parts, fmt.Sprintf("remove %v", c.Remove))
	}
	if len(c.Isolate) > 0 {
		parts = append(parts, fmt.Sprintf("isolate %v", c.Isolate))
	}
	if a := c.Add; a != nil {
		r := a.Rule("x", "y")
		rank := fmt.Sprintf("at %d before %v", a.Rank, a.Before)
		if a.AnyRank {
			rank = "at any rank"
		}
		parts = append(parts, fmt.Sprintf("add %v %v %s %s %s %s to %v", a.Direction, a.Action, r.Protocol(), r.Ports(), r.Peer(), rank, a.Owners))
	}
	return strings.Join(parts, "; ")
}

func expect(t *testing.T, got, want string) {
	t.Helper()
	if want = strings.TrimSpace(want); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

const tiers = `
interface eni-web 10.2.0.5 sg-web sg-base
interface eni-db 10.1.0.7 sg-db
group sg-web
  r1 egress tcp 5432 to sg-db
group sg-base
  r2 egress tcp all to 10.0.0.0/8
group sg-db
  r3 ingress tcp 5432 from sg-web
`

func TestBothEndsOfAnAllowedConnection(t *testing.T) {
	expect(t, tell(t, parse(t, tiers), "10.2.0.5:41000 -> 10.1.0.7:5432/tcp"), `
allow
egress eni-web allow
  sg allow by [sg-base/r2 sg-web/r1] next [implicit/default:sg:egress]
    to deny: remove [sg-base/r2 sg-web/r1]
ingress eni-db allow
  sg allow by [sg-db/r3] next [implicit/default:sg:ingress]
    to deny: remove [sg-db/r3]`)
}

func TestDeniedByDefaultAtOneEnd(t *testing.T) {
	expect(t, tell(t, parse(t, tiers), "10.2.0.5 -> 10.1.0.7:22/tcp"), `
deny
egress eni-web allow
  sg allow by [sg-base/r2] next [implicit/default:sg:egress]
    to deny: remove [sg-base/r2]
ingress eni-db deny
  sg deny by [implicit/default:sg:ingress] next [implicit/default:sg:ingress]
    to allow: add ingress allow tcp 22 10.2.0.5/32 at any rank to [sg-db]`)
}

func TestAnEndOutsideIsSaidToBe(t *testing.T) {
	expect(t, tell(t, parse(t, tiers), "198.51.100.1:1 -> 10.1.0.7:5432/tcp"), `
deny
egress outside
ingress eni-db deny
  sg deny by [implicit/default:sg:ingress] next [implicit/default:sg:ingress]
    to allow: add ingress allow tcp 5432 198.51.100.1/32 at any rank to [sg-db]`)
}

// A deny outranks: a better-ranked allow would do, or the deny would have to go. In a
// network ACL the number must be free.
func TestDeniedByARankedRule(t *testing.T) {
	s := parse(t, `
platform none
interface eni-a 10.0.0.5 sg-a subnet=s
subnet s 10.0.0.0/24
acl acl-1 subnets=s
  98 ingress allow udp all from any
  99 ingress allow udp all from any
  100 ingress deny tcp 22 from any
  200 ingress allow all from any
  100 egress allow tcp 1024-65535 to 10.0.0.0/8
group sg-a
  r1 ingress deny tcp 22 from 10.0.0.0/8 priority=5
  r2 ingress allow tcp all from any priority=5
  r3 ingress deny tcp all from 10.1.0.0/16 priority=1
`)
	expect(t, tell(t, s, "10.9.0.1:40000 -> 10.0.0.5:22/tcp"), `
deny
egress outside
ingress eni-a deny
  nacl deny by [acl-1/ingress-100] next [acl-1/ingress-200]; acl-1/ingress-200 masked by [acl-1/ingress-100]
    to allow: add ingress allow tcp 22 10.9.0.1/32 at 97 before [acl-1/ingress-100] to [acl-1]
    to allow: remove [acl-1/ingress-100]
  sg unreached deny by [sg-a/r1] next [sg-a/r2]; sg-a/r2 masked by [sg-a/r1]
    to allow: add ingress allow tcp 22 10.9.0.1/32 at 4 before [sg-a/r1] to [sg-a]
    to allow: remove [sg-a/r1]
  answers nacl allow by [acl-1/egress-100] next [implicit/default:nacl:egress]`)
	// Nothing outranks priority 1.
	expect(t, tell(t, s, "10.1.0.1:40000 -> 10.0.0.5:80/tcp"), `
deny
egress outside
ingress eni-a deny
  nacl allow by [acl-1/ingress-200] next [implicit/default:nacl:ingress]
    to deny: remove [acl-1/ingress-200]
    to deny: add ingress deny tcp 80 10.1.0.1/32 at 199 before [acl-1/ingress-200] to [acl-1]
  sg deny by [sg-a/r3] next [sg-a/r2]; sg-a/r2 masked by [sg-a/r3]
    to allow: remove [sg-a/r3]
  answers nacl allow by [acl-1/egress-100] next [implicit/default:nacl:egress]`)
}

// Where nothing outranks a deny, and nothing behind it allows, it takes both.
func TestRemovalAndAddition(t *testing.T) {
	s := parse(t, `
platform none
interface eni-a 10.0.0.5 sg-a
group sg-a
  r1 ingress deny tcp 22 from any priority=1
  r2 ingress deny tcp all from any priority=9
`)
	expect(t, tell(t, s, "10.1.0.1:40000 -> 10.0.0.5:22/tcp"), `
deny
egress outside
ingress eni-a deny
  sg deny by [sg-a/r1] next [sg-a/r2]; sg-a/r2 masked by [sg-a/r1]
    to allow: remove [sg-a/r1]; add ingress allow tcp 22 10.1.0.1/32 at 8 before [sg-a/r2] to [sg-a]`)
}

// Answers that the network ACL does not pass deny the connection, for the ports of the
// client that it does not pass them to.
func TestAnswersDependOnTheClientsPort(t *testing.T) {
	s := parse(t, `
interface eni-a 10.0.0.5 sg-a subnet=s
subnet s 10.0.0.0/24
acl acl-1 subnets=s
  100 ingress allow all from any
  100 egress allow tcp 32768-60999 to any
group sg-a
  r1 ingress tcp 443 from any
`)
	expect(t, tell(t, s, "198.51.100.1 -> 10.0.0.5:443/tcp"), `
unknown
egress outside
ingress eni-a unknown
  nacl allow by [acl-1/ingress-100] next [implicit/default:nacl:ingress]
    to deny: remove [acl-1/ingress-100]
    to deny: add ingress deny tcp 443 198.51.100.1/32 at 99 before [acl-1/ingress-100] to [acl-1]
  sg allow by [sg-a/r1] next [implicit/default:sg:ingress]
    to deny: remove [sg-a/r1]
  answers ports 1024-32767 nacl deny by [implicit/default:nacl:egress] next [implicit/default:nacl:egress]
    to allow: add egress allow tcp 1024-32767 198.51.100.1/32 at any rank to [acl-1]
  answers ports 32768-60999 nacl allow by [acl-1/egress-100] next [implicit/default:nacl:egress]
  answers ports 61000-65535 nacl deny by [implicit/default:nacl:egress] next [implicit/default:nacl:egress]
    to allow: add egress allow tcp 61000-65535 198.51.100.1/32 at any rank to [acl-1]`)
	expect(t, tell(t, s, "10.0.0.9:40000 -> 10.0.0.5:443/tcp"), `
allow
egress outside
ingress eni-a allow
  nacl skipped: 10.0.0.0/24
  sg allow by [sg-a/r1] next [implicit/default:sg:ingress]
    to deny: remove [sg-a/r1]
  answers nacl skipped: 10.0.0.0/24`)
}

// Members of a group reach each other by the hidden rule, whatever denies them; only
// isolating the group ends that.
func TestIntraGroupRule(t *testing.T) {
	s := parse(t, `
platform none
interface eni-a 10.0.0.5 sg-a
interface eni-b 10.0.0.6 sg-a
group sg-a intra egress-open
  r1 ingress deny all from any priority=1
`)
	expect(t, tell(t, s, "10.0.0.5:40000 -> 10.0.0.6:2379/tcp"), `
allow
egress eni-a allow
  sg allow by [implicit/intra-group:sg-a] next [implicit/default:sg:egress]
    to deny: isolate [sg-a]; add egress deny tcp 2379 10.0.0.6/32 at any rank to [sg-a]
ingress eni-b allow
  sg allow by [implicit/intra-group:sg-a] next [sg-a/r1]; sg-a/r1 masked by [implicit/intra-group:sg-a]
    to deny: isolate [sg-a]`)
	// At the source that is not enough: the default would let it out. What runs on the
	// default is stopped by adding a deny.
	expect(t, tell(t, s, "10.0.0.5:40000 -> 198.51.100.1:443/tcp"), `
allow
egress eni-a allow
  sg allow by [implicit/default:sg:egress] next [implicit/default:sg:egress]
    to deny: add egress deny tcp 443 198.51.100.1/32 at any rank to [sg-a]
ingress outside`)
}

func TestWhatIsNotKnownIsNotDecided(t *testing.T) {
	s := parse(t, `
interface eni-a 10.0.0.5 sg-a
group sg-a
  r1 ingress tcp 443 from pl-x
`)
	expect(t, tell(t, s, "198.51.100.1:1 -> 10.0.0.5:443/tcp"), `
unknown
egress outside
ingress eni-a unknown
  sg unknown by [implicit/default:sg:ingress] next [sg-a/r1]; sg-a/r1 perhaps
    to allow: add ingress allow tcp 443 198.51.100.1/32 at any rank to [sg-a]
    to deny: remove [sg-a/r1]`)
}

// Two networks may use the same addresses. The other end's network settles it, or the
// user does.
func TestNetworksThatOverlap(t *testing.T) {
	s := parse(t, `
interface eni-a1 10.0.0.5 sg-open vpc=vpc-a
interface eni-a2 10.0.0.6 sg-open vpc=vpc-a
interface eni-b1 10.0.0.5 sg-shut vpc=vpc-b
group sg-open
  r1 ingress all from any
  r2 egress all to any
group sg-shut
`)
	f, _ := ParseFlow("10.0.0.6 -> 10.0.0.5:443/tcp")
	e, err := Explain(s, f, nil)
	if err != nil || len(e.Ends) != 2 || e.Ends[1].Interface.ID != "eni-a1" || e.Verdict != policy.Allowed {
		t.Errorf("%+v, %v, want the interface of the same network", e, err)
	}
	f, _ = ParseFlow("198.51.100.1 -> 10.0.0.5:443/tcp")
	e, err = Explain(s, f, nil)
	if err != nil || len(e.Ends) != 3 || e.Verdict != policy.Unknown || len(e.Notes) != 1 {
		t.Errorf("%+v, %v, want both interfaces and no verdict", e, err)
	}
	e, err = Explain(s, f, []string{"eni-b1"})
	if err != nil || len(e.Ends) != 2 || e.Verdict != policy.Denied || len(e.Notes) != 0 {
		t.Errorf("%+v, %v, want the one that was asked for", e, err)
	}
	var owner *NoOwnerError
	if _, err = Explain(s, f, []string{"eni-a2"}); !errors.As(err, &owner) || owner.Interface != "eni-a2" {
		t.Errorf("%v, want that eni-a2 owns neither address", err)
	}
	f, _ = ParseFlow("198.51.100.1 -> 203.0.113.1:443/tcp")
	if _, err = Explain(s, f, nil); !errors.As(err, &owner) || owner.Interface != "" {
		t.Errorf("%v, want that nothing owns the addresses", err)
	}
}

func TestUnknownIDsHaveNeighbours(t *testing.T) {
	s := parse(t, tiers)
	var u *UnknownError
	if _, err := Interface(s, "eni-wen"); !errors.As(err, &u) || !slices.Equal(u.Near, []string{"eni-web"}) {
		t.Errorf("%v: near %v", err, u)
	}
	if _, err := Interface(s, "sg-web"); !errors.As(err, &u) || u.Is != GroupKind {
		t.Errorf("%v: is %v", err, u)
	}
	if _, err := Group(s, "sg-"); !errors.As(err, &u) || !slices.Equal(u.Near, []string{"sg-base", "sg-db", "sg-web"}) {
		t.Errorf("%v: near %v", err, u)
	}
	if _, err := Group(s, "eni-db"); !errors.As(err, &u) || u.Is != InterfaceKind || len(u.Near) != 0 {
		t.Errorf("%v: %+v", err, u)
	}
	if _, err := Instance(s, "i-1"); !errors.As(err, &u) || len(u.Near) != 0 {
		t.Errorf("%v: %+v", err, u)
	}
	if _, err := Rule(s, "sg-web/r2"); !errors.As(err, &u) || u.Near[0] != "sg-web/r1" {
		t.Errorf("%v: %+v", err, u)
	}
	if _, err := Rule(s, "implicit/default:sg:egres"); !errors.As(err, &u) || u.Near[0] != "implicit/default:sg:egress" {
		t.Errorf("%v: %+v", err, u)
	}
}

func TestRuleSaysWhereItIsInForce(t *testing.T) {
	s := parse(t, tiers+`
interface eni-c 10.3.0.1 sg-db
group sg-spare
  r9 ingress tcp 22 from any
`)
	for ref, want := range map[string]string{
		"sg-db/r3": "eni-c eni-db", "r3": "eni-c eni-db", "sg-spare/r9": "", "implicit/default:sg:ingress": "eni-c eni-db eni-web",
	} {
		f, err := Rule(s, ref)
		if err != nil {
			t.Error(err)
			continue
		}
		var got []string
		for _, i := range f.Interfaces {
			got = append(got, i.ID)
		}
		if strings.Join(got, " ") != want || !strings.HasSuffix(f.Rule.Ref.String(), ref) {
			t.Errorf("%s: %s in force on %v, want %s", ref, f.Rule.Ref, got, want)
		}
	}
}
