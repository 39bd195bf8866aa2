package cloud

import (
	"net/netip"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sgadvise/sgadvise/engine/policy"
)

// diff returns what differs between two snapshots, indexes left aside.
func diff(a, b *policy.Snapshot) string {
	return cmp.Diff(a, b, cmpopts.IgnoreUnexported(policy.Snapshot{}), cmpopts.IgnoreFields(policy.Rule{}, "File", "Line"),
		cmp.Comparer(func(x, y netip.Addr) bool { return x == y }),
		cmp.Comparer(func(x, y netip.Prefix) bool { return x == y }),
		cmp.Comparer(func(x, y time.Time) bool { return x.Equal(y) }))
}
