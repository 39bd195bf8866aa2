package orient_test

import (
	"fmt"
	"testing"

	"github.com/sgadvise/sgadvise/engine/orient"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// TestExchangesFarApartAreNotOneConnection: where ports do not tell the two ends apart,
// either may open a connection after the other has. A record runs for 60 s, and a
// connection that is silent for 910 s is over.
func TestExchangesFarApartAreNotOneConnection(t *testing.T) {
	all := rule{iface: "eni-1", dir: flow.Egress, last: 65535}
	const near, far = "+970", "+971"
	for _, c := range []struct {
		name, ports, proto, later string
		rules                     rules
		want                      [2]string // of what was accepted, and of what was rejected later
	}{
		{"a ping and one back days later", ":0", "icmp", "+200000", rules{all}, [2]string{"egress by rules", "ingress by rejection"}},
		{"the same, if the rules say nothing", ":0", "icmp", "+200000", nil, [2]string{"unknown by undecided", "ingress by rejection"}},
		{"time servers that ask each other", ":123", "udp", far, rules{all}, [2]string{"egress by rules", "ingress by rejection"}},
		{"an answer in time", ":123", "udp", near, rules{all}, [2]string{"egress by rules", "egress by one-way"}},
		{"an answer to a ping in time", ":0", "icmp", near, nil, [2]string{"egress by one-way", "egress by one-way"}},
		{"days apart, and the service tells", ":53", "udp", "+200000", rules{all}, [2]string{"egress by rules", "egress by one-way"}},
	} {
		own := c.ports
		if c.ports == ":53" {
			own = ":40001"
		}
		local, remote := "10.0.0.1"+own, "198.51.100.7"+c.ports
		shown := own
		if own == ":40001" {
			shown = ":*"
		}
		t.Run(c.name, func(t *testing.T) {
			checkOpinions(t, fmt.Sprintf("eni-1 %s > %s %s\neni-1 %s > %s %s REJECT %s", local, remote, c.proto, remote, local, c.proto, c.later), c.rules,
				fmt.Sprintf("eni-1 egress 10.0.0.1%s %s opened %s\neni-1 ingress 10.0.0.1%s %s REJECT opened %s", shown, remote, c.want[0], shown, remote, c.want[1]))
		})
	}
}

// TestFarEndProvesItsOwnTimeOnly: what the far end opened once is not what it is asked
// for later from the same port.
func TestFarEndProvesItsOwnTimeOnly(t *testing.T) {
	rs := rules{{iface: "eni-1", dir: flow.Egress, last: 65535}, {iface: "eni-1", dir: flow.Ingress, last: 65535}, {iface: "eni-2", dir: flow.Ingress, last: 65535}}
	for later, want := range map[string]string{"+100": "egress by peer", "+200000": "ingress by rejection"} {
		checkOpinions(t, `
			eni-1 10.0.0.1:500 > 10.0.0.2:500 udp
			eni-2 10.0.0.1:500 > 10.0.0.2:500 udp
			eni-1 10.0.0.2:500 > 10.0.0.1:500 udp REJECT `+later, rs, `
			eni-1 egress 10.0.0.1:500 10.0.0.2:500 opened egress by peer
			eni-2 ingress 10.0.0.2:500 10.0.0.1:500 opened ingress by rules
			eni-1 ingress 10.0.0.1:500 10.0.0.2:500 REJECT opened `+want)
	}
}

// TestManyExchangesOfTwoHosts: pieces of many conversations do not get mixed up.
func TestManyExchangesOfTwoHosts(t *testing.T) {
	flows, want := "", ""
	for port := 100; port < 140; port++ {
		flows += fmt.Sprintf("eni-1 10.0.0.1:%d > 198.51.100.7:%d udp\neni-1 198.51.100.7:%d > 10.0.0.1:%d udp REJECT +%d\n", port, port, port, port, 20*port)
		back := "opened egress by one-way"
		if 20*port > 970 {
			back = "opened ingress by rejection"
		}
		out := "opened egress by rules"
		want += fmt.Sprintf("eni-1 egress 10.0.0.1:%d 198.51.100.7:%d %s\neni-1 ingress 10.0.0.1:%d 198.51.100.7:%d REJECT %s\n", port, port, out, port, port, back)
	}
	checkOpinions(t, flows, rules{{iface: "eni-1", dir: flow.Egress, last: 65535}}, want)
	recs := records(flows)
	c := connections(recs, nil)
	a, b := orient.Decide(c, env(c, nil, 1)), orient.Decide(c, env(c, nil, 3))
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("row %d: %v on one worker, %v on three", i, a[i], b[i])
		}
	}
}
