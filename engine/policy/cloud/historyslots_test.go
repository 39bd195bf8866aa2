package cloud

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// FuzzRecords: whatever a file of records holds, it is read or refused, and paths can be
// asked for.
func FuzzRecords(f *testing.F) {
	for _, seed := range []string{
		call(10, "AuthorizeSecurityGroupIngress", ask443, reply443) + call(10, "RevokeSecurityGroupIngress", ask443, returned),
		call(10, "ModifySecurityGroupRules", modified("sgr-1", 443), `{}`),
		call(10, "RunInstances", `{}`, `{"instancesSet":{"items":[{"instanceId":"i-2","networkInterfaceSet":{"items":[{"networkInterfaceId":"eni-1"}]}}]}}`),
		call(10, "ReplaceNetworkAclAssociation", `{"networkAclId":"acl-1"}`, `{}`) + call(10, "DeleteNetworkAclEntry", `{"networkAclId":"acl-1","ruleNumber":90}`, `{}`),
		call(10, "ModifyManagedPrefixList", `{"ModifyManagedPrefixListRequest":{"PrefixListId":"pl-1","RemoveEntry":{"Cidr":"203.0.113.0/24"}}}`, `{}`),
		action(10, "AuthorizeSecurityGroup", `{"SecurityGroupId":"sg-1"}`),
		configured(10, "OK", 443) + configured(12, "ResourceDeleted", 443),
	} {
		f.Add([]byte(seed))
	}
	path := filepath.Join(f.TempDir(), "policy")
	if err := os.WriteFile(path, []byte(lines+"list pl-1 10.0.0.0/8\n"), 0o600); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h, _, err := ReadHistory([]string{path, "-"}, Options{Stdin: bytes.NewReader(data)})
		if err != nil {
			return
		}
		for era := range len(h.Cuts("eni-1")) + 1 {
			if n := len(h.Paths("eni-1", era)); n < 1 || n > 2 {
				t.Errorf("era %d has %d pairs of paths", era, n)
			}
		}
		h.Unsettled()
	})
}

// TestPointsSettleWhatIsBetween draws a slot that changes at known times, drops some of
// what points say, and holds every period to the truth.
func TestPointsSettleWhatIsBetween(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 5))
		value := func() state {
			if n := r.IntN(4); n > 0 {
				return there(fmt.Sprint(n), n)
			}
			return gone
		}
		truth := []state{value()} // at time i
		var points []point
		for i := int64(1); i < 12; i++ {
			last := truth[i-1]
			switch r.IntN(3) {
			case 0: // an event
				next := value()
				p := point{at: i, before: last, after: next}
				if r.IntN(3) == 0 {
					p.before = unsure
				}
				if r.IntN(4) == 0 {
					p.after = unsure
				}
				points = append(points, p)
				last = next
			case 1: // a snapshot
				points = append(points, point{at: i, before: last, after: last})
			}
			truth = append(truth, last)
		}
		final := truth[len(truth)-1]
		points = append(points, point{at: now, before: final, after: final})
		r.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
		periods := solve(points)
		for i, want := range truth {
			got := periodAt(periods, int64(i))
			if got.old.kind != unknown && !got.old.same(want) && !got.new.same(want) {
				t.Fatalf("seed %d: at %d %v or %v, want %v, of %v", seed, i, got.old, got.new, want, points)
			}
			if got.old.kind != unknown && !got.old.same(got.new) {
				t.Fatalf("seed %d: at %d %v or %v, although nothing contradicts", seed, i, got.old, got.new)
			}
		}
	}
}
