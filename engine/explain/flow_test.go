package explain

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

func TestParseFlow(t *testing.T) {
	for text, want := range map[string]Flow{
		"10.2.0.5:41000 -> 10.1.0.7:5432/tcp":         {Src: addr("10.2.0.5"), Dst: addr("10.1.0.7"), Proto: flow.TCP, ClientPorts: netset.Port(41000), Port: 5432, ICMP: policy.AnyICMP},
		" 10.2.0.5->10.1.0.7:53/UDP ":                 {Src: addr("10.2.0.5"), Dst: addr("10.1.0.7"), Proto: flow.UDP, ClientPorts: ClientPorts, Port: 53, ICMP: policy.AnyICMP},
		"[fd00::5]:0 -> [fd00::7]:65535/tcp":          {Src: addr("fd00::5"), Dst: addr("fd00::7"), Proto: flow.TCP, ClientPorts: netset.Port(0), Port: 65535, ICMP: policy.AnyICMP},
		"fd00::5 -> [fd00::7]:443/6":                  {Src: addr("fd00::5"), Dst: addr("fd00::7"), Proto: flow.TCP, ClientPorts: ClientPorts, Port: 443, ICMP: policy.AnyICMP},
		"10.2.0.5 -> 10.1.0.7/icmp":                   {Src: addr("10.2.0.5"), Dst: addr("10.1.0.7"), Proto: flow.ICMP, ClientPorts: ClientPorts, ICMP: policy.AnyICMP},
		"10.2.0.5 -> 10.1.0.7/icmp:8":                 {Src: addr("10.2.0.5"), Dst: addr("10.1.0.7"), Proto: flow.ICMP, ClientPorts: ClientPorts, ICMP: policy.TypeCode{Type: 8, Code: -1}},
		"10.2.0.5 -> 10.1.0.7/icmp:3/4":               {Src: addr("10.2.0.5"), Dst: addr("10.1.0.7"), Proto: flow.ICMP, ClientPorts: ClientPorts, ICMP: policy.TypeCode{Type: 3, Code: 4}},
		"fd00::5 -> [fd00::7]/icmpv6:128/0":           {Src: addr("fd00::5"), Dst: addr("fd00::7"), Proto: flow.ICMPv6, ClientPorts: ClientPorts, ICMP: policy.TypeCode{Type: 128, Code: 0}},
		"10.2.0.5 -> 10.1.0.7/esp":                    {Src: addr("10.2.0.5"), Dst: addr("10.1.0.7"), Proto: 50, ClientPorts: ClientPorts, ICMP: policy.AnyICMP},
		"::ffff:10.2.0.5 -> [::ffff:10.1.0.7]:22/tcp": {Src: addr("10.2.0.5"), Dst: addr("10.1.0.7"), Proto: flow.TCP, ClientPorts: ClientPorts, Port: 22, ICMP: policy.AnyICMP},
	} {
		got, err := ParseFlow(text)
		if err != nil || got != want {
			t.Errorf("ParseFlow(%q) = %+v, %v, want %+v", text, got, err, want)
		}
	}
}

func TestParseFlowSaysWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"":                                "no -> between source and destination",
		"10.0.0.1:1 10.0.0.2:2/tcp":       "no -> between source and destination",
		"10.0.0.1:1 -> 10.0.0.2:2":        "no /PROTOCOL at the end",
		"10.0.0.1:1 -> 10.0.0.2:2/tpc":    `protocol "tpc" is neither a name nor in 0-255`,
		"10.0.0.1 -> 10.0.0.2/256":        `protocol "256" is neither a name nor in 0-255`,
		"10.0.0.1 -> 10.0.0.2/tcp":        "the destination has no port",
		"10.0.0.1:1 -> 10.0.0.2/icmp":     "icmp has no ports that rules read",
		"10.0.0.1:x -> 10.0.0.2:2/tcp":    `source: port "x" is not in 0-65535`,
		"10.0.0.1 -> 10.0.0.2:65536/tcp":  `destination: port "65536" is not in 0-65535`,
		"10.0.0 -> 10.0.0.2:2/tcp":        `source: "10.0.0" is not an address`,
		"web -> 10.0.0.2:2/tcp":           `source: "web" is not an address`,
		"10.0.0.1 -> [fd00::2]:2/tcp":     "one address is IPv4, the other IPv6",
		"fd00::1 -> fd00::2/icmp":         "icmp is not of the family of its addresses",
		"10.0.0.1 -> 10.0.0.2/icmpv6":     "icmpv6 is not of the family of its addresses",
		"[fd00::1 -> [fd00::2]:2/tcp":     `source: "[fd00::1": the bracket is not closed`,
		"[fd00::1]2 -> [fd00::2]:2/tcp":   `source: "[fd00::1]2": no colon before the port`,
		"fe80::1%eth0 -> [fd00::2]:2/tcp": `source: "fe80::1%eth0" is not an address`,
		"10.0.0.1 -> 10.0.0.2/icmp:300":   `ICMP type "300" is not in 0-255`,
		"10.0.0.1 -> 10.0.0.2/icmp:3/x":   `ICMP code "x" is not in 0-255`,
		"10.0.0.1 -> 10.0.0.2:2/tcp:8":    "tcp has no type",
	} {
		if _, err := ParseFlow(text); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("ParseFlow(%q): %v, want … %s", text, err, want)
		}
	}
}

func TestFlowRoundTrips(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for range 2000 {
		f := randomFlow(r)
		if f.ICMP.Type < 0 && f.Proto.IsICMP() {
			f.ICMP = policy.AnyICMP
		}
		if got, err := ParseFlow(f.String()); err != nil || got != f {
			t.Fatalf("ParseFlow(%q) = %+v, %v, want %+v", f.String(), got, err, f)
		}
	}
}

func FuzzParseFlow(f *testing.F) {
	for _, s := range []string{"10.2.0.5:41000 -> 10.1.0.7:5432/tcp", "[fd00::5]:1 -> [fd00::7]:2/udp", "10.0.0.1 -> 10.0.0.2/icmp:8/0", "->/", "[]->[]/tcp:"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		x, err := ParseFlow(s)
		if err != nil {
			return
		}
		if again, err := ParseFlow(x.String()); err != nil || again != x {
			t.Errorf("%q reads as %+v, but %q as %+v, %v", s, x, x.String(), again, err)
		}
	})
}
