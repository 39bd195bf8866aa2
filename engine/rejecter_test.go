package engine_test

import (
	"testing"

	"github.com/sgadvise/sgadvise/engine"
)

// TestRejectedBy names the layer that must have rejected a record, one of each kind
// (aws.md 5.3; alibaba.md trap 24).
func TestRejectedBy(t *testing.T) {
	const world = `interface eni-1 10.0.0.5 sg-1 subnet=subnet-1
subnet subnet-1 10.0.0.0/24
group sg-1
  sgr-web ingress tcp 443 from 0.0.0.0/0
  sgr-list ingress tcp 8443 from pl-1
list pl-1 unknown
`
	const filter = `acl acl-1 subnets=subnet-1
  100 ingress allow tcp 1-1023 from 0.0.0.0/0
  110 ingress allow tcp 8443 from 10.0.0.0/8
  100 egress allow tcp 40000 to 0.0.0.0/0
`
	const open = "interface eni-1 10.0.0.5 sg-1 no-acl\ngroup sg-1\n"
	for _, x := range []struct {
		name, policy, flow string
		want               engine.RejectLayers
	}{
		{"the groups deny, the network ACL allows", world + filter, "eni-1 203.0.113.9 10.0.0.5 40000 22 6 REJECT 2", engine.RejectLayers{Groups: 1}},
		{"the groups allow, the network ACL denies an answer", world + filter, "eni-1 10.0.0.5 203.0.113.9 443 50000 6 REJECT 18", engine.RejectLayers{ACL: 1}},
		{"both deny", world + filter, "eni-1 203.0.113.9 10.0.0.5 40000 5000 6 REJECT 2", engine.RejectLayers{Either: 1}},
		{"the groups may deny, the network ACL allows", world + filter, "eni-1 10.9.9.9 10.0.0.5 40000 8443 6 REJECT 2", engine.RejectLayers{Groups: 1}},
		{"the groups may deny, the network ACL does", world + filter, "eni-1 203.0.113.9 10.0.0.5 40000 8443 6 REJECT 2", engine.RejectLayers{Either: 1}},
		{"everything allows", world + filter, "eni-1 203.0.113.9 10.0.0.5 40000 443 6 REJECT 2", engine.RejectLayers{Unknown: 1}},
		{"the groups deny, and no network ACL is exported", world, "eni-1 203.0.113.9 10.0.0.5 40000 22 6 REJECT 2", engine.RejectLayers{Either: 1}},
		{"the groups allow, and no network ACL is exported", world, "eni-1 203.0.113.9 10.0.0.5 40000 443 6 REJECT 2", engine.RejectLayers{Unknown: 1}},
		{"inside the subnet it can only be the groups", world, "eni-1 10.0.0.9 10.0.0.5 40000 22 6 REJECT 2", engine.RejectLayers{Groups: 1}},
		{"inside the subnet no network ACL is asked", world + filter, "eni-1 10.0.0.9 10.0.0.5 40000 5000 6 REJECT 2", engine.RejectLayers{Groups: 1}},
		{"no network ACL filters the interface", open, "eni-1 203.0.113.9 10.0.0.5 40000 22 6 REJECT 2", engine.RejectLayers{Groups: 1}},
		{"a late packet is rejected by no rule", world + filter, "eni-1 203.0.113.9 10.0.0.5 40000 22 6 REJECT 4", engine.RejectLayers{}},
		{"an interface that is not known", world + filter, "eni-9 203.0.113.9 10.0.0.5 40000 22 6 REJECT 2", engine.RejectLayers{}},
		{"accepted", world + filter, "eni-1 203.0.113.9 10.0.0.5 40000 443 6 ACCEPT 2", engine.RejectLayers{}},
	} {
		res := replay(t, x.policy, x.flow)
		if res.RejectedBy != x.want {
			t.Errorf("%s: %+v, want %+v", x.name, res.RejectedBy, x.want)
		}
	}
}
