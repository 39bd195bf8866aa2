package analyzer

import (
	"fmt"
	"math"
	"time"

	"github.com/sgadvise/sgadvise/engine/policy"
)

// young says that rule r, in force at the interfaces ids, is too young for a minimum of
// days, or "". What counts is how long it has been in force as it is now: since it was
// made or given its present content, since what it names grew last, and since its group
// or network ACL came to each interface. Without a history the creation is all that is
// known, where the export has it.
func (e *Evidence) young(r *policy.Rule, ids []int, days int) string {
	enough := func(since int64) bool { return e.To-since >= int64(days)*daySeconds }
	if e.history == nil {
		if r.Created.IsZero() || enough(r.Created.Unix()) {
			return ""
		}
		return fmt.Sprintf("the rule was made on %s, %d days before the end of the window are needed", day(r.Created.Unix()), days)
	}
	since, known := e.history.RuleSince(r.Ref)
	if !r.Created.IsZero() && (!known || r.Created.Unix() > since) {
		since, known = r.Created.Unix(), true
	}
	if known && since == math.MaxInt64 {
		return "insufficient history: when it came into force as it is cannot be told"
	}
	if known && !enough(since) {
		return fmt.Sprintf("insufficient history: in force as it is since %s, %d days before the end of the window are needed", day(since), days)
	}
	for _, i := range ids {
		id := e.Interfaces[i].Interface
		since, ok := e.history.AttachedSince(id, r.Ref.Owner)
		if ok && since == math.MaxInt64 {
			return fmt.Sprintf("insufficient history: when it came into force at %s cannot be told", id)
		}
		if ok && !enough(since) {
			return fmt.Sprintf("insufficient history: in force at %s since %s, %d days before the end of the window are needed", id, day(since), days)
		}
	}
	return ""
}

// day formats the day of Unix seconds.
func day(unix int64) string { return time.Unix(unix, 0).UTC().Format("2006-01-02") }
