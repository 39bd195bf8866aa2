package analyzer_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/analyzer"
	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// estate is groups that are open inside and outwards, as a text that can be changed.
type estate struct {
	head   string
	groups []estateGroup
}

type estateGroup struct {
	id          string
	open, intra bool
	rules       []string
}

func (e *estate) text() string {
	var b strings.Builder
	b.WriteString(e.head)
	for _, g := range e.groups {
		b.WriteString("group " + g.id)
		if g.open {
			b.WriteString(" egress-open")
		}
		if g.intra {
			b.WriteString(" intra")
		}
		b.WriteString("\n")
		for _, r := range g.rules {
			b.WriteString("  " + r + "\n")
		}
	}
	return b.String()
}

// with returns e with one group changed.
func (e *estate) with(id string, change func(*estateGroup)) *estate {
	out := &estate{head: e.head, groups: slices.Clone(e.groups)}
	i := slices.IndexFunc(out.groups, func(g estateGroup) bool { return g.id == id })
	out.groups[i].rules = slices.Clone(out.groups[i].rules)
	change(&out.groups[i])
	return out
}

func (e *estate) snapshot(t *testing.T) *policy.Snapshot {
	t.Helper()
	s, err := cloud.ParseText("estate", []byte(e.text()))
	if err != nil {
		t.Fatalf("%v in\n%s", err, e.text())
	}
	return s
}

// randomEstate draws a policy in which little fits much, and its traffic: with and without
// flags, with equal ports, pings and protocols that have no ports.
func randomEstate(r *rand.Rand) (*estate, string) {
	pick := func(s ...string) string { return s[r.IntN(len(s))] }
	e := &estate{head: "platform none id=alibaba quota=200 ranks=1-100 groups-deny acl-optional no-self-peer admitted=100.64.0.0/10\n" +
		"subnet vsw-1 10.1.0.0/24 2001:db8:1::/64\nsubnet vsw-2 10.2.0.0/28\n"}
	hosts := []string{"10.1.0.4", "10.1.0.5", "10.1.0.6", "10.2.0.4"}
	others := []string{"10.2.0.9", "198.51.100.7", "203.0.113.9", "172.16.5.9", "100.100.3.9", "100.64.1.1"}
	for i, h := range hosts {
		groups := pick("sg-a", "sg-a sg-b", "sg-b", "sg-a sg-c")
		if i < 2 {
			groups = pick("sg-a", "sg-a sg-b") // so that somebody has mates
		}
		six := ""
		if i < 3 {
			six = fmt.Sprintf(" 2001:db8:1::%d", i+4)
		}
		e.head += fmt.Sprintf("interface eni-%d %s%s %s platform=alibaba subnet=vsw-%d\n", i, h, six, groups, 1+i/3)
	}
	for _, id := range []string{"sg-a", "sg-b", "sg-c"} {
		g := estateGroup{id: id, open: r.IntN(4) > 0, intra: r.IntN(4) > 0}
		for n := range r.IntN(6) {
			d, prep := "ingress", "from"
			if r.IntN(2) == 0 {
				d, prep = "egress", "to"
			}
			g.rules = append(g.rules, fmt.Sprintf("r%d %s %s %s %s %s priority=%s", n, d, pick("allow", "allow", "deny"),
				pick("all", "tcp 443", "tcp 400-5432", "udp 53", "udp all", "icmp"), prep,
				pick("0.0.0.0/0", "10.1.0.0/24", "10.0.0.0/8", "10.2.0.9/32", "198.51.100.0/24", "::/0", "2001:db8:1::5/128", "100.100.0.0/16"),
				pick("1", "1", "2", "50", "98", "99", "100", "110")))
		}
		e.groups = append(e.groups, g)
	}
	var log strings.Builder
	log.WriteString("version interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action tcp-flags log-status\n")
	record := func(eni, src, dst string, sport, dport, proto, flags int, action string) {
		fmt.Fprintf(&log, "3 %s %s %s %d %d %d 10 840 1700000000 1700000060 %s %d OK\n", eni, src, dst, sport, dport, proto, action, flags)
	}
	for range 4 + r.IntN(12) {
		i := r.IntN(len(hosts))
		local, remote := hosts[i], pick(append(others, hosts...)...)
		if r.IntN(6) == 0 && i < 3 {
			local, remote = fmt.Sprintf("2001:db8:1::%d", i+4), pick("2001:db8:1::4", "2001:db8:1::5", "2001:db8:9::9")
		}
		if local == remote {
			continue
		}
		eni, proto := fmt.Sprintf("eni-%d", i), []int{1, 6, 6, 17, 17, 112}[r.IntN(6)]
		client, service := 40000+r.IntN(5), []int{53, 443, 2379, 5432, 8080}[r.IntN(5)]
		ask, answer := 2, 18
		switch {
		case proto == 1 || proto == 112:
			client, service, ask, answer = 0, 0, 0, 0
		case proto == 17:
			ask, answer = 0, 0
			if r.IntN(3) == 0 {
				client, service = 5405, 5405
			}
		case r.IntN(3) == 0:
			ask, answer = 0, 0
		}
		action := pick("ACCEPT", "ACCEPT", "ACCEPT", "REJECT")
		if r.IntN(2) == 0 {
			record(eni, local, remote, client, service, proto, ask, action)
			record(eni, remote, local, service, client, proto, answer, action)
		} else {
			record(eni, remote, local, client, service, proto, ask, action)
			record(eni, local, remote, service, client, proto, answer, action)
		}
	}
	return e, log.String()
}

var (
	ruleToAdd = regexp.MustCompile(`^(ingress|egress) (all traffic|tcp .*|udp .*|icmp|icmpv6|protocol \d+) ((?:from|to) [0-9a-f.:]+/\d+), priority (\d+)`)
	worseThan = regexp.MustCompile(`at a worse priority than (\d+);`)
	toMove    = regexp.MustCompile(`(sg-.)/(r\d+) \((\d+)\)`)
)

// added returns the rules to add of f as lines of a policy; ok is false if there are too
// many to list, or others must move first.
func added(t *testing.T, f *analyzer.Finding) (lines []string, ok bool) {
	t.Helper()
	for _, x := range f.Facts {
		if !strings.Contains(x.Name, "rule to add") {
			continue
		}
		if strings.Contains(x.Value, "too many to list") || strings.Contains(x.Value, "no priority left") {
			return nil, false
		}
		m := ruleToAdd.FindStringSubmatch(x.Value)
		if m == nil {
			t.Fatalf("%s: %q is no rule", x.Name, x.Value)
		}
		if n, _ := strconv.Atoi(m[4]); n < 1 || n > 100 {
			t.Errorf("%s: %q has a priority that nobody can give", x.Name, x.Value)
		}
		what := strings.TrimPrefix(m[2], "protocol ")
		what = map[string]string{"all traffic": "all", "tcp all ports": "tcp all", "udp all ports": "udp all"}[what] + map[bool]string{true: what}[!strings.Contains(what, "all ")]
		lines = append(lines, fmt.Sprintf("add%d %s allow %s %s priority=%s", len(lines), m[1], what, m[3], m[4]))
	}
	return lines, true
}

// moved applies what must go first; ok is false if it is not rules that allow alone.
func moved(e *estate, f *analyzer.Finding) (out *estate, ok bool) {
	out = e
	for _, x := range f.Facts {
		if x.Name != "first" {
			continue
		}
		to := regexp.MustCompile(`to (\d+) or better`).FindStringSubmatch(x.Value)[1]
		for _, m := range toMove.FindAllStringSubmatch(x.Value, -1) {
			out = out.with(m[1], func(g *estateGroup) {
				for i, r := range g.rules {
					if strings.HasPrefix(r, m[2]+" ") {
						ok = !strings.Contains(r, " deny ")
						g.rules[i] = strings.TrimSuffix(r, "priority="+m[3]) + "priority=" + to
					}
				}
			})
			if !ok {
				return nil, false
			}
		}
	}
	return out, true
}

// passes says what s says of c on every port that it may have been for.
func passes(s *policy.Snapshot, c *engine.Connection) policy.Verdict {
	f := &s.Interfaces[c.Interface]
	remote := c.Remote.Netip()
	local := f.Addresses[slices.IndexFunc(f.Addresses, func(a netip.Addr) bool { return a.Is4() == remote.Is4() })]
	worst := policy.Allowed
	last := max(c.Port, c.PortHi)
	for _, port := range []uint16{c.Port, c.Port + (last-c.Port)/2, last} {
		conn := policy.Conn{Direction: c.Direction, Proto: c.Proto, Local: local, Remote: remote, LocalPort: 50000, RemotePort: 50000, ICMP: policy.AnyICMP}
		if c.Direction == flow.Ingress {
			conn.LocalPort = port
		} else {
			conn.RemotePort = port
		}
		switch policy.Decide(s.Path(f.ID, c.Direction), &conn).Verdict {
		case policy.Denied:
			return policy.Denied
		case policy.Unknown:
			worst = policy.Unknown
		}
	}
	return worst
}

// What is closed as a finding says cuts nothing that was observed; what has no finding can
// be closed as it is.
func TestRulesToAddHoldAllThatWasObserved(t *testing.T) {
	closed, isolated, bare, first, all := 0, 0, 0, 0, 0
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 7))
		e, log := randomEstate(r)
		snap := e.snapshot(t)
		tally := store.NewTally(engine.StoreConfig(snap))
		if _, err := ingest.Read(context.Background(), []string{"-"}, ingest.Options{Stdin: strings.NewReader(log)}, tally); err != nil {
			t.Fatal(err)
		}
		res, err := engine.Replay(context.Background(), tally.Finish(), snap, 1)
		if err != nil {
			t.Fatal(err)
		}
		a, err := analyzer.Run(context.Background(), res, analyzer.Options{Mode: plan.ModeNone, Budget: r.IntN(5)})
		if err != nil {
			t.Fatal(err)
		}
		check := func(what string, changed *estate) {
			t.Helper()
			after := changed.snapshot(t)
			for _, c := range res.Connections.All() {
				if c.Action == flow.Accept && passes(snap, c) != policy.Denied && passes(after, c) == policy.Denied {
					t.Fatalf("seed %d: %s cuts %+v\n%s\n%s\nwas\n%s", seed, what, *c, changed.text(), log, e.text())
				}
			}
		}
		found := make(map[string]*analyzer.Finding)
		for i := range a.Findings {
			if f := &a.Findings[i]; f.Check == "default-egress" || f.Check == "intra-group-only" {
				found[f.Check+f.Subject.Owner] = f
			}
		}
		for _, g := range e.groups {
			closing := []string{"last4 egress deny all to 0.0.0.0/0 priority=", "last6 egress deny all to ::/0 priority="}
			f := found["default-egress"+g.id]
			switch {
			case !g.open && f != nil:
				t.Errorf("seed %d: %s is found, and not open", seed, g.id)
			case !g.open:
			case f == nil:
				bare++
				check("closing "+g.id, e.with(g.id, func(g *estateGroup) {
					g.rules = append(g.rules, closing[0]+"1000", closing[1]+"1000", "platform egress all to 100.64.0.0/10 priority=999")
				}))
			default:
				lines, ok := added(t, f)
				room, simple := moved(e, f)
				if !ok || !simple {
					continue
				}
				closed++
				if slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "allow all") && !strings.Contains(l, "100.64.0.0/10") }) {
					all++
				}
				if room != e {
					first++
				}
				last := ""
				for _, x := range f.Facts {
					if m := worseThan.FindStringSubmatch(x.Value); m != nil {
						n, _ := strconv.Atoi(m[1])
						last = strconv.Itoa(n + 1)
						if n >= 100 {
							t.Errorf("seed %d: %s: nothing is worse", seed, x.Value)
						}
					}
				}
				check("closing "+g.id, room.with(g.id, func(g *estateGroup) { g.rules = append(append(g.rules, lines...), closing[0]+last, closing[1]+last) }))
			}
			if !g.intra {
				continue
			}
			var lines []string
			if f := found["intra-group-only"+g.id]; f != nil {
				var ok bool
				if lines, ok = added(t, f); !ok {
					continue
				}
				isolated++
			}
			check("isolating "+g.id, e.with(g.id, func(g *estateGroup) { g.intra, g.rules = false, append(g.rules, lines...) }))
		}
	}
	t.Logf("closed %d (%d after moving rules) and %d without a finding, isolated %d; with a rule for all protocols %d", closed, first, bare, isolated, all)
	if closed < 50 || isolated < 50 || bare < 20 || first < 5 || all < 5 {
		t.Error("too few of one kind")
	}
}
