package remedy

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// world is a policy with a log and the connections behind it.
type world struct {
	text     string
	platform string
	snap     *policy.Snapshot
	truth    []seen
	edits    []plan.Edit
}

type seen struct {
	eni  string
	conn policy.Conn
}

func parse(t testing.TB, text string) *policy.Snapshot {
	t.Helper()
	s, err := cloud.ParseText("policy", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return s
}

func pick(rng *rand.Rand, words ...string) string { return words[rng.IntN(len(words))] }

func randomAddr(rng *rand.Rand) netip.Addr {
	if rng.IntN(5) == 0 {
		return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(rng.IntN(16))})
	}
	return netip.AddrFrom4([4]byte{10, 0, 0, byte(rng.IntN(16))})
}

func randomPeer(rng *rand.Rand, groups int) string {
	switch rng.IntN(9) {
	case 0:
		return fmt.Sprintf("sg-%d", rng.IntN(groups))
	case 1:
		return "pl-1"
	}
	a := randomAddr(rng)
	bits := a.BitLen() - rng.IntN(5)
	if rng.IntN(4) == 0 {
		bits = 0
	}
	return netip.PrefixFrom(a, bits).Masked().String()
}

func randomService(rng *rand.Rand, alibaba bool) string {
	switch rng.IntN(10) {
	case 0:
		return "all"
	case 1:
		if alibaba {
			return "icmp"
		}
		return pick(rng, "icmp", "icmp type 8", "icmp type 3 code 4", "50")
	case 2:
		return "udp 1-65535"
	}
	lo := 1 + rng.IntN(8)
	return fmt.Sprintf("tcp %d-%d", lo, lo+rng.IntN(9-lo))
}

// randomPolicy writes groups whose rules have ids of the cloud, or none of it, rules that
// cannot be written, and network ACLs.
func randomPolicy(rng *rand.Rand, alibaba bool) string {
	var b strings.Builder
	platform := ""
	if alibaba {
		b.WriteString("platform none id=alibaba groups-deny admitted=100.64.0.0/31\n")
		platform = " platform=alibaba"
	}
	b.WriteString("subnet subnet-0 10.0.0.8/30\nsubnet subnet-1 10.0.0.12/30\nlist pl-1 10.0.0.0/31 10.0.0.4/32\n")
	groups := 1 + rng.IntN(3)
	for e := range 1 + rng.IntN(3) {
		fmt.Fprintf(&b, "interface eni-%d 10.0.0.%d 2001:db8::%d subnet=subnet-%d vpc=vpc-1%s", e, 8+e, 8+e, rng.IntN(2), platform)
		for g := range groups {
			if rng.IntN(3) > 0 {
				fmt.Fprintf(&b, " sg-%d", g)
			}
		}
		b.WriteByte('\n')
	}
	ranks := 1 + rng.IntN(4)
	for g := range groups {
		fmt.Fprintf(&b, "group sg-%d vpc=vpc-1", g)
		if alibaba {
			b.WriteString(pick(rng, " kind=normal egress-open intra", " kind=normal egress-open", " kind=enterprise"))
		}
		b.WriteByte('\n')
		said := make(map[string]bool)
		for r := range rng.IntN(9) {
			d := pick(rng, "ingress", "egress")
			way := map[string]string{"ingress": "from", "egress": "to"}[d]
			action, tail, service := "", "", randomService(rng, alibaba)
			if alibaba {
				action = pick(rng, "allow ", "allow ", "deny ")
				tail = fmt.Sprintf(" priority=%d", 1+rng.IntN(ranks))
				switch rng.IntN(12) {
				case 0:
					tail = " at 10.0.0.9/32" + tail
				case 1:
					if strings.HasPrefix(service, "tcp") {
						tail = " peer-ports=1-99" + tail
					}
				}
			}
			body := fmt.Sprintf("%s %s%s %s %s", d, action, service, way, randomPeer(rng, groups))
			if said[body] { // no cloud has a rule twice
				continue
			}
			said[body] = true
			fmt.Fprintf(&b, "  %s%d %s%s%s\n", pick(rng, "sgr-", "sgr-", "sgr-", "r-"), 10*g+r, body, tail, pick(rng, "", "", ` "it's \"so\" $(id)"`))
		}
	}
	for n := range rng.IntN(3) {
		fmt.Fprintf(&b, "acl acl-%d subnet=subnet-%d\n", n, n)
		for _, d := range []string{"ingress", "egress"} {
			way := map[string]string{"ingress": "from", "egress": "to"}[d]
			for k := range rng.IntN(5) {
				a := randomAddr(rng)
				peer := netip.PrefixFrom(a, a.BitLen()-rng.IntN(5)).Masked()
				fmt.Fprintf(&b, "  %d %s %s %s %s %s\n", 10+10*k, d, pick(rng, "allow", "deny"), randomService(rng, alibaba), way, peer)
			}
			fmt.Fprintf(&b, "  90 %s allow all %s 0.0.0.0/0\n", d, way)
		}
	}
	return b.String()
}

// newWorld makes a world and the plan for it.
func newWorld(t testing.TB, seed uint64, platform string) *world {
	t.Helper()
	rng := rand.New(rand.NewPCG(9, seed))
	w := &world{text: randomPolicy(rng, platform == alibabaPlatform), platform: platform}
	w.snap = parse(t, w.text)
	var recs []flow.Record
	for k := range 10 + rng.IntN(30) {
		f := &w.snap.Interfaces[rng.IntN(len(w.snap.Interfaces))]
		local := f.Addresses[rng.IntN(len(f.Addresses))]
		remote := randomAddr(rng)
		if remote.Is4() != local.Is4() || remote == local {
			continue
		}
		c := policy.Conn{Direction: []flow.Direction{flow.Ingress, flow.Egress}[rng.IntN(2)], Local: local, Remote: remote, ICMP: policy.AnyICMP,
			Proto: []flow.Proto{flow.TCP, flow.TCP, flow.TCP, flow.UDP, flow.ICMP}[rng.IntN(5)]}
		if c.Proto.HasPorts() {
			service, client := uint16(1+rng.IntN(8)), uint16(40000+k)
			c.LocalPort, c.RemotePort = service, client
			if c.Direction == flow.Egress {
				c.LocalPort, c.RemotePort = client, service
			}
		}
		if policy.Decide(w.snap.Path(f.ID, c.Direction), &c).Verdict != policy.Allowed {
			continue
		}
		w.truth = append(w.truth, seen{f.ID, c})
		rec := flow.Record{Interface: f.ID, Src: c.Remote, Dst: c.Local, SrcPort: c.RemotePort, DstPort: c.LocalPort, Proto: c.Proto,
			Packets: 3, Bytes: 300, Start: 1_700_000_000 + int64(k)*86400, Action: flow.Accept}
		if c.Proto == flow.TCP {
			rec.Flags = flow.FlagsKnown | flow.SYN
		}
		if c.Direction == flow.Egress {
			rec.Src, rec.Dst, rec.SrcPort, rec.DstPort = rec.Dst, rec.Src, rec.DstPort, rec.SrcPort
		}
		rec.End = rec.Start + 30
		recs = append(recs, rec)
	}
	res, err := engine.Replay(context.Background(), store.FromRecords(engine.StoreConfig(w.snap), recs), w.snap, 1)
	if err != nil {
		t.Fatal(err)
	}
	in := plan.Input{Result: res, Mode: plan.ModeTighten}
	for range w.snap.Rules() {
		in.Evidence = append(in.Evidence, plan.RuleEvidence{Attached: true, Observable: true, NarrowOK: true, UnusedOK: true})
	}
	p, err := plan.Make(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	w.edits = p.Edits
	return w
}

// job returns the plan of w on its way to the command line of its cloud.
func (w *world) job() (*job, *dialect, *sequence) {
	j := &job{in: Input{Snapshot: w.snap, Edits: w.edits, Platforms: Platforms(w.snap)}, edits: slices.Clone(w.edits)}
	d := dialectOf(w.platform)
	j.sift(func(e *plan.Edit) Left { return Left{Reason: j.unfit(d, e)} })
	return j, d, j.sequence(d, func(*plan.Edit) bool { return true })
}

// probes returns a packet of each kind that rules could tell apart, more or less, for
// one interface and direction.
func probes(nic *policy.Interface, d flow.Direction) []policy.Conn {
	var out []policy.Conn
	for _, local := range nic.Addresses {
		for a := range 16 {
			remote := netip.AddrFrom4([4]byte{10, 0, 0, byte(a)})
			if local.Is6() {
				remote = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(a)})
			}
			c := policy.Conn{Direction: d, Proto: flow.ICMP, Local: local, Remote: remote, ICMP: policy.AnyICMP}
			out = append(out, c)
			for _, port := range []uint16{1, 4, 8} {
				for _, proto := range []flow.Proto{flow.TCP, flow.UDP} {
					c.Proto, c.LocalPort, c.RemotePort = proto, port, 50
					if d == flow.Egress {
						c.LocalPort, c.RemotePort = 50, port
					}
					out = append(out, c)
				}
			}
		}
	}
	return out
}

// denied returns the probes that s denies.
func denied(s *policy.Snapshot) map[seen]bool {
	out := make(map[seen]bool)
	for i := range s.Interfaces {
		nic := &s.Interfaces[i]
		for _, d := range []flow.Direction{flow.Ingress, flow.Egress} {
			path := s.Path(nic.ID, d)
			for _, c := range probes(nic, d) {
				if policy.Decide(path, &c).Verdict == policy.Denied {
					out[seen{nic.ID, c}] = true
				}
			}
		}
	}
	return out
}

// between holds a state between old and planned policy to what every state owes: was is
// what the old one denied.
func (w *world) between(t *testing.T, was map[seen]bool, now *policy.Snapshot, when string) {
	t.Helper()
	for _, x := range w.truth {
		if v := policy.Decide(now.Path(x.eni, x.conn.Direction), &x.conn).Verdict; v != policy.Allowed {
			t.Errorf("%s: %s %+v is %s", when, x.eni, x.conn, v)
		}
	}
	is := denied(now)
	for x := range was {
		if !is[x] {
			t.Errorf("%s: %s %+v was denied and is not", when, x.eni, x.conn)
		}
	}
}

func TestEveryStepKeepsWhatWasSeenAndOpensNothing(t *testing.T) {
	for _, platform := range []string{alibabaPlatform, awsPlatform} {
		steps, left, collisions, acl := 0, 0, 0, 0
		for seed := range uint64(50) {
			w := newWorld(t, seed, platform)
			j, _, q := w.job()
			left += len(j.left)
			planned, err := plan.Apply(w.snap, j.edits)
			if err != nil {
				t.Fatal(err)
			}
			f, was := newFake(w.snap, platform), denied(w.snap)
			before := contents(f.snapshot(t, w.snap), true)
			all := slices.Concat(q.adds, q.swaps, q.removes)
			for i := range all {
				do(t, f, all[i].do)
				w.between(t, was, f.snapshot(t, w.snap), all[i].say)
				if strings.Contains(all[i].say, "acl-") {
					acl++
				}
			}
			steps += len(all)
			if len(q.adds)+len(q.removes) < 2*len(j.edits) && slices.ContainsFunc(j.edits, func(e plan.Edit) bool { return len(e.With) > 0 }) {
				collisions++
			}
			if got, want := contents(f.snapshot(t, w.snap), false), contents(planned, false); got != want {
				t.Errorf("%q, seed %d: the cloud has\n%s\nplanned is\n%s", platform, seed, got, want)
			}
			for i := len(all) - 1; i >= 0; i-- {
				do(t, f, all[i].undo)
				w.between(t, was, f.snapshot(t, w.snap), "undo "+all[i].say)
			}
			if got := contents(f.snapshot(t, w.snap), true); got != before {
				t.Errorf("%q, seed %d: rolled back it has\n%s\nit was\n%s", platform, seed, got, before)
			}
			if t.Failed() {
				t.Fatalf("%q, seed %d\n%s", platform, seed, w.text)
			}
		}
		t.Logf("%q: %d steps, %d of network ACLs, %d edits left", platform, steps, acl, left)
		if steps < 150 || acl < 40 || collisions == 0 {
			t.Errorf("%q: %d steps, %d of network ACLs, %d edits left: the test proves little", platform, steps, acl, left)
		}
	}
}
