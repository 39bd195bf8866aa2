package cloud_test

import (
	"fmt"
	"net/netip"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

func ExampleParseText() {
	s, err := cloud.ParseText("policy", []byte(`
interface eni-1 10.0.0.5 sg-web
interface eni-2 10.0.0.9 sg-app
group sg-web
  sgr-1 ingress tcp 443 from 10.0.0.0/8
  sgr-2 ingress all from sg-app
group sg-app
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	c := policy.Conn{Direction: flow.Ingress, Proto: flow.TCP, LocalPort: 443,
		Local: netip.MustParseAddr("10.0.0.5"), Remote: netip.MustParseAddr("10.0.0.9")}
	d := policy.Decide(s.Path("eni-1", flow.Ingress), &c)
	fmt.Println(d.Verdict, d.Stages[0].Winners)
	// Output: allow [sg-web/sgr-1 sg-web/sgr-2]
}
