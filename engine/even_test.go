package engine_test

import (
	"testing"

	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// TestPingBackDaysLaterIsAnAttempt: a host that was pinged pings back days later, and is
// rejected. That is no answer, and the policy explains it.
func TestPingBackDaysLaterIsAnAttempt(t *testing.T) {
	const policyText = "interface eni-1 10.0.0.5 sg-1 no-acl\ngroup sg-1\n  out egress all to 0.0.0.0/0\n"
	for _, x := range []struct{ name, log string }{
		{"ping", "eni-1 10.0.0.5 203.0.113.9 0 0 1 ACCEPT -\neni-1 203.0.113.9 10.0.0.5 0 0 1 REJECT -"},
		{"time", "eni-1 10.0.0.5 203.0.113.9 123 123 17 ACCEPT -\neni-1 203.0.113.9 10.0.0.5 123 123 17 REJECT -"},
	} {
		snap, err := cloud.ParseText("policy", []byte(policyText))
		if err != nil {
			t.Fatal(err)
		}
		recs := records(t, x.log)
		soon := replayRecords(t, snap, recs, 1)
		recs[1].Start += 3 * 86400
		recs[1].End += 3 * 86400
		late := replayRecords(t, snap, recs, 1)
		if soon.Ledger[flow.Contradicted] != 1 || soon.Ledger[flow.Permitted] != 1 {
			t.Errorf("%s: soon after: %v", x.name, soon.Ledger)
		}
		if late.Ledger[flow.Blocked] != 1 || late.Ledger[flow.Permitted] != 1 || late.Fidelity.Rate() != 1 || late.RejectedBy.Groups != 1 {
			t.Errorf("%s: days later: %v, rejected by %+v", x.name, late.Ledger, late.RejectedBy)
		}
	}
}
