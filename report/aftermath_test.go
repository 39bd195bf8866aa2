package report

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/analyzer/change"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

func TestFindingsThatComeBackAreReopened(t *testing.T) {
	older, newer := sample(), later()
	at := older.Created - 5*daySeconds
	c := CompareKnowing(Tool{"sgadvise", "1.0.0"}, older, newer, map[string]Time{"0123456789abcdef": at, "ffff": at})
	i := slices.IndexFunc(c.Findings, func(f FindingChange) bool { return f.ID == "0123456789abcdef" })
	f := c.Findings[i]
	want := "it was resolved on " + day(at) + ", and is back: the rule was added"
	if f.Status != FindingReopened || f.Why != want || f.Cause != causePolicy || c.Counts.Reopened != 1 || c.Counts.New != 0 {
		t.Errorf("it is %+v; counts %+v", f, c.Counts)
	}
	if !c.Fails("high") || !strings.Contains(c.Headline, "1 re-opened") {
		t.Errorf("fails: %t; %s", c.Fails("high"), c.Headline)
	}
	if len(c.Failing("critical")) != 0 || len(c.Failing("none")) != 0 {
		t.Error("it fails at a severity that it does not have")
	}
}

func TestOnlyTheEndOfASuppressionIsAnExpiry(t *testing.T) {
	for _, c := range []struct {
		name    string
		expires func(old, new Time) Time // of the old suppression
		now     *Suppression
		want    string
	}{
		{"over", func(_, new Time) Time { return new - 1 }, nil, FindingExpired},
		{"over on the second", func(_, new Time) Time { return new }, nil, FindingPersisting},
		{"taken back", func(_, new Time) Time { return new + 100 }, nil, FindingPersisting},
		{"for ever, taken back", func(_, _ Time) Time { return 0 }, nil, FindingPersisting},
		{"prolonged", func(_, new Time) Time { return new - 1 }, &Suppression{Reason: "still"}, FindingPersisting},
	} {
		older, newer := sample(), sample()
		newer.Created += 10 * daySeconds
		older.Findings[0].Suppressed = &Suppression{Reason: "x", Expires: c.expires(older.Created, newer.Created)}
		newer.Findings[0].Suppressed = c.now
		got := Compare(Tool{}, older, newer)
		i := slices.IndexFunc(got.Findings, func(f FindingChange) bool { return f.ID == older.Findings[0].ID })
		if f := got.Findings[i]; f.Status != c.want {
			t.Errorf("%s: %s, %s", c.name, f.Status, f.Why)
		}
		if fails := got.Fails(older.Findings[0].Severity); fails != (c.now == nil) {
			t.Errorf("%s: fails: %t", c.name, fails)
		}
	}
}

// blocked is a connection that was rejected at eni-1 and would pass with the rule.
func blocked(peer string, port uint16, records uint64, first, last int64) change.Connection {
	return change.Connection{Interface: "eni-1", Direction: flow.Ingress, Proto: flow.TCP, Remote: mustAddr(peer), Port: port, PortHi: port,
		Action: flow.Reject, Records: records, First: first, Last: last}
}

func mustAddr(s string) flow.Addr {
	c, err := cloud.ParseText("a", []byte("interface eni-x "+s+"\n"))
	if err != nil {
		panic(err)
	}
	return flow.AddrFrom(c.Interfaces[0].Addresses[0])
}

func TestAftermathTellsWhoIsAffected(t *testing.T) {
	snap, err := cloud.ParseText("p", []byte("interface eni-1 10.0.0.5 sg-a\ninterface eni-2 198.51.100.7 sg-a\ngroup sg-a\n  r ingress tcp 443 from any\n"))
	if err != nil {
		t.Fatal(err)
	}
	taken := Taken{Ref: policy.Ref{Owner: "sg-a", Rule: "ssh"}, Was: "ingress tcp 22 from 0.0.0.0/0", Planned: true, Since: 1000, Until: 5000}
	all := []change.Connection{
		blocked("203.0.113.9", 22, 900, 2000, 3000),  // from outside
		blocked("10.9.0.1", 22, 2, 500, 3000),        // begun before the change: it lived on
		blocked("10.9.0.2", 22, 5, 400, 900),         // over before it
		blocked("198.51.100.7", 22, 1, 2000, 2001),   // public, and ours
		blocked("100.70.0.1", 22, 1, 2000, 2001),     // of the carrier's space
		blocked("fd00::9", 22, 3, 2000, 2001),        // private
		blocked("2001:db8::1", 22, 1000, 2000, 2001), // public
	}
	passed := blocked("10.9.0.3", 22, 7, 2000, 2001)
	passed.Action = flow.Accept
	a, inside := AftermathOf(taken, append(all, passed), snap)
	if a.Status != AfterBroke || a.Inside != 4 || a.New != 4 || a.Outside != 2 || a.Records != 1907 || len(inside) != 4 {
		t.Errorf("%+v, %v", a, inside)
	}
	var got []string
	for _, b := range a.Blocked {
		got = append(got, fmt.Sprintf("%s %s %t %d %d", b.Peer, b.PeerInterface, b.Inside, b.Records, b.First))
	}
	want := []string{"fd00::9  true 3 2000", "10.9.0.1  true 2 1000", "100.70.0.1  true 1 2000", "198.51.100.7 eni-2 true 1 2000", "2001:db8::1  false 1000 2000", "203.0.113.9  false 900 2000"}
	if !slices.Equal(got, want) {
		t.Errorf("blocked are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}

	// An interface that does not reach a public address any more is inside.
	out := blocked("203.0.113.9", 25, 1, 2000, 2001)
	out.Direction = flow.Egress
	if a, inside := AftermathOf(taken, []change.Connection{out}, snap); a.Status != AfterBroke || a.Inside != 1 || len(inside) != 1 {
		t.Errorf("a blocked way out: %+v", a)
	}

	// What was told of is not new; what is new is.
	taken.Told = map[string]bool{}
	for _, k := range inside[1:] {
		taken.Told[k] = true
	}
	if a, _ := AftermathOf(taken, all, snap); a.New != 1 || a.Status != AfterBroke {
		t.Errorf("new are %d, %s", a.New, a.Status)
	}
	for _, c := range []struct {
		name   string
		change func(*Taken) []change.Connection
		want   string
	}{
		{"only outside", func(*Taken) []change.Connection { return all[:1] }, AfterOutside},
		{"nothing", func(*Taken) []change.Connection { return nil }, AfterQuiet},
		{"before it", func(*Taken) []change.Connection { return all[2:3] }, AfterQuiet},
		{"no logs yet", func(t *Taken) []change.Connection { t.Until = t.Since; return nil }, AfterUnknown},
	} {
		x := taken
		opened := c.change(&x)
		if a, _ := AftermathOf(x, opened, snap); a.Status != c.want {
			t.Errorf("%s: %s", c.name, a.Status)
		}
	}
}

func TestManyBlockedConnectionsAreCountedAndSomeListed(t *testing.T) {
	snap, err := cloud.ParseText("p", []byte("interface eni-1 10.0.0.5 sg-a\ngroup sg-a\n  r ingress tcp 443 from any\n"))
	if err != nil {
		t.Fatal(err)
	}
	var all []change.Connection
	for i := range 100 {
		all = append(all, blocked(fmt.Sprintf("10.9.0.%d", i+1), 22, uint64(i+1), 2000, 2001))
	}
	a, inside := AftermathOf(Taken{Ref: policy.Ref{Owner: "sg-a", Rule: "ssh"}, Since: 1000, Until: 5000}, all, snap)
	if a.Inside != 100 || len(inside) != 100 || len(a.Blocked) != maxBlocks || a.Blocked[0].Records != 100 {
		t.Errorf("inside %d, keys %d, listed %d, the first of %d records", a.Inside, len(inside), len(a.Blocked), a.Blocked[0].Records)
	}
	c := Compare(Tool{}, sample(), sample())
	if !c.Same {
		t.Fatal("a report is not the same as itself")
	}
	c.Attach([]Aftermath{{Status: AfterQuiet, Ref: "sg-b/x"}, a})
	if c.Same || !strings.HasPrefix(c.Headline, "A rule that was taken away or narrowed broke something. ") || c.After[0].Status != AfterBroke {
		t.Errorf("same: %t, %s, first %s", c.Same, c.Headline, c.After[0].Status)
	}
	var text, md, js bytes.Buffer
	for _, err := range []error{ComparisonText(&text, c, Options{}), ComparisonMarkdown(&md, c), WriteComparison(&js, c)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, out := range map[string]string{"text": text.String(), "markdown": md.String()} {
		if !strings.Contains(out, "showing 20 of 100 connections") || !strings.Contains(out, "After changes") {
			t.Errorf("%s does not tell of it:\n%s", name, out)
		}
	}
	if err := diffSchemaOf(t).Validate(decode(t, js.Bytes())); err != nil {
		t.Error(err)
	}
}
