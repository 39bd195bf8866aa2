package plan_test

import (
	"context"
	"testing"

	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/orient"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// certifySlowly counts what Certify counts over rows: it asks the whole paths of both
// snapshots about every reading, folded port and ICMP type of every row.
func certifySlowly(res *engine.Result, planned *policy.Snapshot) (denied, allowed uint64) {
	var r store.Row
	for i := range res.Store.Len() {
		res.Store.Row(i, &r)
		id := res.Store.Interfaces()[r.Interface]
		if _, ok := res.Snapshot.Interface(id); !ok {
			continue
		}
		lost, won := false, false
		ask := func(c policy.Conn, decide func([]policy.Stage, *policy.Conn) policy.Decision) {
			types := []policy.TypeCode{policy.AnyICMP}
			if c.Proto.IsICMP() {
				types = []policy.TypeCode{{Type: 8, Code: 0}, {Type: 8, Code: 1}, {Type: 3, Code: 4}, {Type: 3, Code: 0}, {Type: 0, Code: 0}, {Type: 77, Code: 7}}
			}
			for _, c.ICMP = range types {
				was, is := decide(res.Snapshot.Path(id, c.Direction), &c).Verdict, decide(planned.Path(id, c.Direction), &c).Verdict
				switch {
				case r.Action != flow.Reject && (was == policy.Allowed && is != policy.Allowed || was == policy.Unknown && is == policy.Denied):
					lost = true
				case was == policy.Denied && is != policy.Denied || was == policy.Unknown && is == policy.Allowed:
					won = true
				}
			}
		}
		for _, x := range orient.Readings(nil, &r, res.Openers[i]) {
			for port := int(r.PortLo); port <= int(r.PortHi); port++ {
				c := policy.Conn{Direction: x.Opener, Proto: r.Proto, Local: x.Local.Netip(), Remote: x.Remote.Netip(), LocalPort: x.LocalPort, RemotePort: x.RemotePort}
				turned := r.Side == flow.DirectionUnknown && x.Packet == flow.Ingress
				switch {
				case r.Client == store.NoClient:
				case (r.Client == store.LocalClient) != turned:
					c.LocalPort = uint16(port)
				default:
					c.RemotePort = uint16(port)
				}
				ask(c, policy.Decide)
				if x.IsReply() {
					c.Direction = x.Packet
					ask(c, policy.DecidePacket)
				}
			}
		}
		if lost {
			denied++
		}
		if won {
			allowed++
		}
	}
	return denied, allowed
}

// TestCertifyAsksEnough holds the proof, which asks once for each class of packets, to
// its twin, which asks about all, over policies that have nothing to do with the log.
func TestCertifyAsksEnough(t *testing.T) {
	breaks := 0
	for seed := range uint64(40) {
		w := newRandomWorld(t, seed)
		old := parse(t, w.policy)
		res := replay(t, old, w.recs)
		for other := range uint64(2) {
			planned := parse(t, newRandomWorld(t, seed+1000*(other+1)).policy)
			p, err := plan.Certify(context.Background(), res, planned)
			if err != nil {
				t.Fatal(err)
			}
			denied, allowed := certifySlowly(res, planned)
			if plan.Widens(old, planned) != "" {
				allowed++
			}
			if p.NewlyDenied != denied || p.NewlyAllowed != allowed {
				t.Errorf("seed %d, other %d: denied %d, allowed %d; asked about everything: %d, %d", seed, other, p.NewlyDenied, p.NewlyAllowed, denied, allowed)
			}
			if denied > 0 && allowed > 1 {
				breaks++
			}
		}
	}
	if breaks < 20 {
		t.Errorf("only %d of these policies break anything", breaks)
	}
}
