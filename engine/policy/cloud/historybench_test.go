package cloud

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// BenchmarkReadHistory reads 5,000 changes of 500 groups of 20 rules on 2,000 interfaces.
func BenchmarkReadHistory(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	var text, trail strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&text, "interface eni-%d 10.%d.%d.%d sg-%d sg-%d\n", i, i/65536, i/256%256, i%256, i%500, (i*7+1)%500)
	}
	for g := range 500 {
		fmt.Fprintf(&text, "group sg-%d\n", g)
		for n := range 20 {
			peer := fmt.Sprintf("10.%d.0.0/16", n)
			if n%5 == 0 {
				peer = fmt.Sprintf("sg-%d", (g+n+1)%500)
			}
			fmt.Fprintf(&text, "  sgr-%d-%d ingress tcp %d from %s\n", g, n, 1000+n, peer)
		}
	}
	for n := range 5000 {
		g, port := r.IntN(500), 2000+r.IntN(1000)
		name := "Authorize"
		if n%2 == 1 {
			name = "Revoke"
		}
		request := fmt.Sprintf(`{"groupId":"sg-%d","ipPermissions":{"items":[{"ipProtocol":"tcp","fromPort":%d,"toPort":%d,"groups":{},"ipRanges":{"items":[{"cidrIp":"10.0.0.0/8"}]},"ipv6Ranges":{},"prefixListIds":{}}]}}`, g, port, port)
		if n%10 == 9 {
			name, request = "ModifyNetworkInterfaceAttribute", fmt.Sprintf(`{"networkInterfaceId":"eni-%d","groupSet":{"items":[{"groupId":"sg-%d"}]}}`, r.IntN(2000), g)
		} else {
			name += "SecurityGroupIngress"
		}
		fmt.Fprintf(&trail, `{"eventTime":"2024-03-%02dT%02d:%02d:%02dZ","eventSource":"ec2.amazonaws.com","eventName":%q,"eventID":"e-%d","requestParameters":%s,"responseElements":{"_return":true}}`+"\n",
			1+n/200, n/10%24, n%60, n%60, name, n, request)
	}
	dir := b.TempDir()
	for name, data := range map[string]string{"a.policy": text.String(), "trail.json": trail.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	cuts := 0
	for b.Loop() {
		h, _, err := ReadHistory([]string{dir}, Options{})
		if err != nil {
			b.Fatal(err)
		}
		cuts = 0
		for i := range h.Present().Interfaces {
			cuts += len(h.Cuts(h.Present().Interfaces[i].ID))
		}
	}
	b.ReportMetric(float64(cuts), "cuts")
}
