package plan

import (
	"context"
	"net/netip"
	"testing"

	"github.com/sgadvise/sgadvise/engine/orient"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// certifyRow replays one row by itself.
func certifyRow(t *testing.T, old, planned string, r store.Row, o orient.Opinion) Proof {
	t.Helper()
	var snaps [2]*policy.Snapshot
	for i, text := range []string{old, planned} {
		s, err := cloud.ParseText("policy", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		snaps[i] = s
	}
	p, err := certify(context.Background(), &replay{old: snaps[0], planned: snaps[1], names: []string{"eni-1"}, spans: []int{0, 1},
		row: func(_ int, to *store.Row) { *to = r }, opinion: func(int) orient.Opinion { return o }})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func addr(s string) flow.Addr { return flow.AddrFrom(netip.MustParseAddr(s)) }

// A folded port stands for its class under the old rules. Where it may have been the
// service, a new rule that cuts the class must be tried on both sides of the cut; where
// it was the client's, no group reads it.
func TestCertifyTriesEveryClassOfAFoldedPort(t *testing.T) {
	policy := func(ports string) string {
		return "interface eni-1 10.0.0.5 sg-a\ngroup sg-a\n  in" + ports + " ingress tcp " + ports + " from 10.0.0.0/8\n  out egress tcp all to 10.0.0.0/8\n"
	}
	row := store.Row{Side: flow.Ingress, Proto: flow.TCP, Action: flow.Accept, Client: store.LocalClient, Local: addr("10.0.0.5"), Remote: addr("10.4.4.4"),
		LocalPort: 32768, RemotePort: 7000, PortLo: 40000, PortHi: 50000, Records: 2}
	turned := row
	turned.Side, turned.Client = flow.DirectionUnknown, store.RemoteClient
	turned.Local, turned.Remote, turned.LocalPort, turned.RemotePort = row.Remote, row.Local, row.RemotePort, row.LocalPort
	for _, tc := range []struct {
		name, ports string
		row         store.Row
		opener      flow.Direction
		denied      uint64
	}{
		{"all of the class", "40000-50000", row, flow.DirectionUnknown, 0},
		{"its lowest port is gone", "40001-50000", row, flow.DirectionUnknown, 1},
		{"its greatest port is gone", "40000-49999", row, flow.DirectionUnknown, 1},
		{"it was the client's", "40000-49999", row, flow.Egress, 0},
		{"it was the service", "40000-49999", row, flow.Ingress, 1},
		{"the side is not known", "40000-50000", turned, flow.DirectionUnknown, 0},
		{"the side is not known, and a port is gone", "40000-49999", turned, flow.DirectionUnknown, 1},
	} {
		p := certifyRow(t, policy("32768-65535"), policy(tc.ports), tc.row, orient.Opinion{Opener: tc.opener})
		if p.NewlyDenied != tc.denied || p.NewlyAllowed != 0 {
			t.Errorf("%s: %+v", tc.name, p)
		}
	}
}

// A hole in the middle of a class is found, too.
func TestCertifyFindsAHoleInsideAClass(t *testing.T) {
	head := "interface eni-1 10.0.0.5 sg-a\ngroup sg-a\n"
	row := store.Row{Side: flow.Ingress, Proto: flow.UDP, Action: flow.Accept, Client: store.LocalClient, Local: addr("10.0.0.5"), Remote: addr("10.4.4.4"),
		LocalPort: 0, RemotePort: 7000, PortLo: 1000, PortHi: 60000, Records: 1}
	old := head + "  in ingress udp all from 10.0.0.0/8\n"
	for rules, denied := range map[string]uint64{
		"  a ingress udp 0-29999 from 10.0.0.0/8\n  b ingress udp 30000-65535 from 10.0.0.0/8\n": 0,
		"  a ingress udp 0-29999 from 10.0.0.0/8\n  b ingress udp 30001-65535 from 10.0.0.0/8\n": 1,
	} {
		if p := certifyRow(t, old, head+rules, row, orient.Opinion{Opener: flow.Ingress}); p.NewlyDenied != denied {
			t.Errorf("%q: %+v", rules, p)
		}
	}
}

// What was unknown may stay so and nothing else; what was rejected is not missed.
func TestCertifyOfUnknownAndRejected(t *testing.T) {
	head := "interface eni-1 10.0.0.5 sg-a\nlist pl-1 unknown\ngroup sg-a\n"
	row := store.Row{Side: flow.Ingress, Proto: flow.TCP, Action: flow.Accept, Class: flow.Opener, Local: addr("10.0.0.5"), Remote: addr("10.4.4.4"),
		LocalPort: 443, RemotePort: 40000, Records: 1}
	rejected := row
	rejected.Action = flow.Reject
	const unknown, known, none = "  u ingress tcp 443 from pl-1\n", "  k ingress tcp 443 from 10.0.0.0/8\n", "  n ingress tcp 80 from 10.0.0.0/8\n"
	for _, tc := range []struct {
		old, planned    string
		row             store.Row
		denied, allowed uint64
	}{
		{unknown, unknown + none, row, 0, 0},
		{unknown, none, row, 1, 0},
		{unknown, known, row, 0, 1},
		{known, none, row, 1, 0},
		{known, none, rejected, 0, 0},
		{known, unknown, row, 1, 0},
		{none, known, rejected, 0, 1},
		{none, unknown, row, 0, 1},
	} {
		p := certifyRow(t, head+tc.old, head+tc.planned, tc.row, orient.Opinion{Opener: flow.Ingress})
		if p.NewlyDenied != tc.denied || p.NewlyAllowed != tc.allowed {
			t.Errorf("%q to %q, %v: %+v", tc.old, tc.planned, tc.row.Action, p)
		}
	}
}

// A record holds no ICMP type. Rules of which one silences the other for every type
// differ in nothing; a rule for one type that is gone is missed.
func TestCertifyAsksForEveryICMPType(t *testing.T) {
	head := "platform none groups-deny\ninterface eni-1 10.0.0.5 sg-a\ngroup sg-a\n"
	row := store.Row{Side: flow.Ingress, Proto: flow.ICMP, Action: flow.Accept, Local: addr("10.0.0.5"), Remote: addr("10.4.4.4"), Records: 1}
	const ping, noPing, any, unreachable = "  p ingress icmp type 8 from 10.0.0.0/8\n", "  n ingress deny icmp type 8 from 10.0.0.0/8\n",
		"  a ingress icmp from 10.0.0.0/8\n", "  u ingress icmp type 3 code 4 from 10.0.0.0/8\n"
	for _, tc := range []struct {
		old, planned    string
		denied, allowed uint64
	}{
		{ping + noPing, noPing, 0, 0},
		{ping, "", 1, 0},
		{any, ping, 1, 0},
		{ping + any, any, 0, 0},
		{unreachable, ping, 1, 1},
		{unreachable + ping, ping, 1, 0},
		{any + noPing, any, 0, 1},
	} {
		if p := certifyRow(t, head+tc.old, head+tc.planned, row, orient.Opinion{Opener: flow.Ingress}); p.NewlyDenied != tc.denied || p.NewlyAllowed != tc.allowed {
			t.Errorf("%q to %q: %+v", tc.old, tc.planned, p)
		}
	}
}
