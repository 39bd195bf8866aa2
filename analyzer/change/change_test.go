package change_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/analyzer/change"
	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

func parse(t *testing.T, text string) *policy.Snapshot {
	t.Helper()
	s, err := cloud.ParseText("p", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func addr(s string) flow.Addr { return flow.AddrFrom(netip.MustParseAddr(s)) }

// syn is an accepted or rejected opening packet.
func syn(eni, src, dst string, sport, dport uint16, d flow.Direction, a flow.Action) flow.Record {
	return flow.Record{Interface: eni, Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr(dst), SrcPort: sport, DstPort: dport, Proto: flow.TCP, Direction: d, Action: a,
		Status: flow.StatusOK, Flags: flow.FlagsKnown | flow.SYN, Packets: 1, Bytes: 60, Start: 1700000000, End: 1700000060}
}

func compare(t *testing.T, old, proposed *policy.Snapshot, recs []flow.Record, workers int) *change.Outcome {
	t.Helper()
	cfg := engine.StoreConfig(old)
	change.Bounds(&cfg, proposed)
	res, err := engine.Replay(t.Context(), store.FromRecords(cfg, recs), old, workers)
	if err != nil {
		t.Fatal(err)
	}
	out, err := change.Compare(t.Context(), res, proposed, workers)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

const before = `interface eni-1 10.0.0.5 sg-a
interface eni-2 10.0.0.6 sg-a
group sg-a
  web ingress tcp 443 from 10.0.0.0/8
  ssh ingress tcp 22 from 10.1.0.0/16
  out egress all to any
`

func TestBrokenAndOpenedConnectionsAreListed(t *testing.T) {
	old := parse(t, before)
	proposed := parse(t, strings.NewReplacer("10.0.0.0/8", "10.2.0.0/16", "10.1.0.0/16", "10.0.0.0/8").Replace(before))
	out := compare(t, old, proposed, []flow.Record{
		syn("eni-1", "10.3.0.1", "10.0.0.5", 40000, 443, flow.Ingress, flow.Accept),
		syn("eni-1", "10.3.0.1", "10.0.0.5", 40001, 443, flow.Ingress, flow.Accept),
		syn("eni-1", "10.2.0.1", "10.0.0.5", 40000, 443, flow.Ingress, flow.Accept),
		syn("eni-1", "10.9.0.1", "10.0.0.5", 40000, 22, flow.Ingress, flow.Reject),
		syn("eni-2", "10.9.0.1", "10.0.0.6", 40000, 80, flow.Ingress, flow.Reject),
	}, 1)
	if want := (change.Tally{Permitted: 1, NewlyDenied: 2, NewlyAllowed: 1, Denied: 1}); out.Records != want {
		t.Errorf("records %+v, want %+v", out.Records, want)
	}
	if len(out.Broken) != 1 || out.Broken[0].Remote != addr("10.3.0.1") || out.Broken[0].Records != 2 ||
		out.Broken[0].Old.Rules[0].String() != "sg-a/web" || out.Broken[0].New.Rules[0].String() != "implicit/default:sg:ingress" {
		t.Errorf("broken %+v", out.Broken)
	}
	if len(out.Opened) != 1 || out.Opened[0].Remote != addr("10.9.0.1") || out.Opened[0].Port != 22 {
		t.Errorf("opened %+v", out.Opened)
	}
	if len(out.Paths) != 1 || len(out.Paths[0].Interfaces) != 2 || out.Paths[0].Direction != flow.Ingress {
		t.Fatalf("paths %+v", out.Paths)
	}
	for _, w := range out.Paths[0].Opened {
		if w.Old.Verdict != policy.Denied || w.New.Verdict != policy.Allowed {
			t.Errorf("witness %+v does not show what opened", w)
		}
	}
	for _, w := range out.Paths[0].Closed {
		if w.Old.Verdict != policy.Allowed || w.New.Verdict != policy.Denied {
			t.Errorf("witness %+v does not show what closed", w)
		}
	}
}

func TestTheSamePolicyChangesNothing(t *testing.T) {
	old := parse(t, before)
	out := compare(t, old, parse(t, before), []flow.Record{
		syn("eni-1", "10.3.0.1", "10.0.0.5", 40000, 443, flow.Ingress, flow.Accept),
		syn("eni-9", "10.3.0.1", "10.0.0.9", 40000, 443, flow.Ingress, flow.Accept),
	}, 1)
	if out.Records != (change.Tally{Permitted: 1}) || len(out.Broken)+len(out.Opened)+len(out.Paths) > 0 {
		t.Errorf("%+v", out)
	}
}

// What a plan leaves open until it is applied may break what passes today: it is counted
// apart, not as something that holds.
func TestWhatTheProposalLeavesOpenIsInDoubt(t *testing.T) {
	old := parse(t, before)
	out := compare(t, old, parse(t, strings.Replace(before, "from 10.0.0.0/8", "from unknown", 1)), []flow.Record{
		syn("eni-1", "10.3.0.1", "10.0.0.5", 40000, 443, flow.Ingress, flow.Accept),
		syn("eni-1", "10.1.0.1", "10.0.0.5", 40000, 22, flow.Ingress, flow.Accept),
		syn("eni-1", "10.3.0.1", "10.0.0.5", 40000, 444, flow.Ingress, flow.Accept),
	}, 1)
	if want := (change.Tally{Permitted: 1, InDoubt: 1, Unexplained: 1}); out.Records != want || len(out.Broken) != 0 {
		t.Errorf("records %+v, want %+v; broken %+v", out.Records, want, out.Broken)
	}
}

// An answer that the network ACL of the proposal rejects breaks the connection, though
// its request still passes.
func TestARejectedAnswerBreaksTheConnection(t *testing.T) {
	text := `interface eni-1 10.0.0.5 sg-a subnet=s
subnet s 10.0.0.0/24
acl acl-1 subnets=s
  100 ingress allow all from any
  100 egress allow tcp 1024-65535 to any
group sg-a
  web ingress tcp 443 from 10.0.0.0/8
`
	answer := flow.Record{Interface: "eni-1", Src: netip.MustParseAddr("10.0.0.5"), Dst: netip.MustParseAddr("10.3.0.1"), SrcPort: 443, DstPort: 40000, Proto: flow.TCP,
		Direction: flow.Egress, Action: flow.Accept, Status: flow.StatusOK, Flags: flow.FlagsKnown | flow.SYN | flow.ACK, Packets: 1, Start: 1700000000, End: 1700000060}
	out := compare(t, parse(t, text), parse(t, strings.Replace(text, "1024-65535", "50000-65535", 1)),
		[]flow.Record{syn("eni-1", "10.3.0.1", "10.0.0.5", 40000, 443, flow.Ingress, flow.Accept), answer}, 1)
	if len(out.Broken) != 1 || !out.Broken[0].Reply || out.Broken[0].New.Stage != "nacl" {
		t.Errorf("broken %+v", out.Broken)
	}
}

// What is said of each record must be what both policies decide of it.
func TestOutcomeIsWhatBothPoliciesDecide(t *testing.T) {
	broken := 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		old, proposed := parse(t, randomPolicy(r)), parse(t, randomPolicy(r))
		var recs []flow.Record
		for range 60 {
			eni, own := "eni-1", "10.0.0.5"
			remote := fmt.Sprintf("10.0.%d.%d", r.IntN(2), r.IntN(6))
			a := flow.Action(flow.Accept)
			if r.IntN(3) == 0 {
				a = flow.Reject
			}
			if port := uint16(20 + r.IntN(6)); r.IntN(2) == 0 {
				recs = append(recs, syn(eni, remote, own, 40000, port, flow.Ingress, a))
			} else {
				recs = append(recs, syn(eni, own, remote, 40000, port, flow.Egress, a))
			}
		}
		out := compare(t, old, proposed, recs, 1+int(seed%3))
		var want change.Tally
		for _, x := range recs {
			c := policy.Conn{Direction: x.Direction, Proto: x.Proto, Local: x.Dst, Remote: x.Src, LocalPort: x.DstPort, RemotePort: x.SrcPort, ICMP: policy.AnyICMP}
			if x.Direction == flow.Egress {
				c.Local, c.Remote, c.LocalPort, c.RemotePort = c.Remote, c.Local, c.RemotePort, c.LocalPort
			}
			a, b := policy.Decide(old.Path("eni-1", x.Direction), &c).Verdict, policy.Decide(proposed.Path("eni-1", x.Direction), &c).Verdict
			switch ok := x.Action == flow.Accept; {
			case a == policy.Denied && b == policy.Allowed:
				want.NewlyAllowed++
			case ok && a == policy.Allowed && b == policy.Denied:
				want.NewlyDenied++
			case ok && b == policy.Allowed:
				want.Permitted++
			case ok:
				want.Unexplained++
			case b == policy.Denied:
				want.Denied++
			default:
				want.Allowed++
			}
		}
		if out.Records != want {
			t.Fatalf("seed %d: %+v, want %+v", seed, out.Records, want)
		}
		var listed uint64
		for _, c := range out.Broken {
			listed += c.Records
		}
		if listed != want.NewlyDenied {
			t.Fatalf("seed %d: %d broken records listed, %d counted", seed, listed, want.NewlyDenied)
		}
		broken += len(out.Broken)
		for _, p := range out.Paths {
			for _, w := range append(p.Opened, p.Closed...) {
				if w.Old.Verdict == w.New.Verdict {
					t.Fatalf("seed %d: %s %s: witness of no difference: %+v", seed, p.Stage, p.Direction, w)
				}
			}
		}
		if len(out.Paths) == 0 && (want.NewlyAllowed > 0 || want.NewlyDenied > 0) {
			t.Fatalf("seed %d: traffic differs and the lists do not", seed)
		}
	}
	if broken == 0 {
		t.Error("nothing ever broke")
	}
}

func randomPolicy(r *rand.Rand) string {
	var b strings.Builder
	b.WriteString("platform none\ninterface eni-1 10.0.0.5 sg-a\ngroup sg-a")
	if r.IntN(2) == 0 {
		b.WriteString(" egress-open")
	}
	b.WriteByte('\n')
	for i := range 2 + r.IntN(5) {
		d, word := "ingress", "from"
		if r.IntN(2) == 0 {
			d, word = "egress", "to"
		}
		action := [...]string{"allow", "allow", "deny"}[r.IntN(3)]
		lo := 20 + r.IntN(6)
		fmt.Fprintf(&b, "  r%d %s %s tcp %d-%d %s 10.0.%d.0/%d priority=%d\n", i, d, action, lo, lo+r.IntN(4), word, r.IntN(2), 22+r.IntN(9), 1+r.IntN(3))
	}
	return b.String()
}
