package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sgadvise/sgadvise/ingest"
)

// someTwice bounds how many interfaces, and flow logs, a note names.
const someTwice = 5

// twiceNotes says of which interfaces the records themselves show that they came twice.
func twiceNotes(in Input) []string {
	if in.Result.Store == nil {
		return nil
	}
	var names []string
	all, days := 0, 0
	var first int32
	for _, c := range in.Result.Store.Coverage() {
		if len(c.Prints) > 0 {
			all++
		}
		if twice := c.Twice(); len(twice) > 0 {
			if days == 0 || twice[0] < first {
				first = twice[0]
			}
			days += len(twice)
			names = append(names, c.Interface)
		}
	}
	if len(names) == 0 {
		return nil
	}
	note := fmt.Sprintf("Two flow logs, or two copies of one, record the same traffic: on %d of %s with traffic every accepted, or every refused, record of a day is there twice, or another even number of times (%s; %s in all, the first %s). Numbers of records, packets and bytes count it each time, hits do not.",
		len(names), plural(all, "interface"), someOf(names), plural(days, "day"), time.Unix(int64(first)*daySeconds, 0).UTC().Format(time.DateOnly))
	if logs := flowLogs(in.Logs); len(logs) > 1 {
		note += fmt.Sprintf(" The files are of the flow logs %s.", someOf(logs))
	}
	return []string{note}
}

// flowLogs returns the flow logs that the names of files tell of.
func flowLogs(logs *ingest.Report) []string {
	if logs == nil {
		return nil
	}
	var out []string
	for i := range logs.Files {
		if id := ingest.FlowLogOf(logs.Files[i].Path); id != "" {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// someOf lists the first few names, and how many more there are.
func someOf(names []string) string {
	text := strings.Join(names[:min(len(names), someTwice)], ", ")
	if more := len(names) - someTwice; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
