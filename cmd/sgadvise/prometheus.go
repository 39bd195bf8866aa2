package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sgadvise/sgadvise/cmd/history"
)

// metric is one family of gauges in the text format of Prometheus.
type metric struct {
	name, help string
	samples    []metricSample
}

// metricSample is one value. Labels are pairs of name and value.
type metricSample struct {
	labels []string
	value  float64
}

// metrics are what the last run did and what the last complete one found, one file for
// the textfile collector. There are no labels by rule: they would be too many, and the
// report has them.
func metrics(lines []history.Line) string {
	run := &lines[len(lines)-1]
	one := func(v float64) []metricSample { return []metricSample{{nil, v}} }
	count := func(label string, pairs ...any) []metricSample {
		var out []metricSample
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, metricSample{[]string{label, pairs[i].(string)}, float64(pairs[i+1].(int))})
		}
		return out
	}
	all := []metric{
		{"sgadvise_build_info", "The version that made the last run.", []metricSample{{[]string{"version", run.Version}, 1}}},
		{"sgadvise_last_run_timestamp_seconds", "When the last run began, whether it failed or not.", one(seconds(run.Started))},
		{"sgadvise_last_run_duration_seconds", "How long the last run took.", one(run.Seconds)},
		{"sgadvise_last_run_exit_code", "Exit code of the last run: 0 well, 1 the gate tripped, others failed.", one(float64(run.Exit))},
	}
	if l := history.Last(lines); l != nil {
		c, t, f := &l.Changes, l.Trend, l.Trend.Findings
		all = append(all,
			metric{"sgadvise_last_success_timestamp_seconds", "When the last run began that made a report.", one(seconds(l.Started))},
			metric{"sgadvise_findings", "Findings that are not suppressed.",
				count("severity", "critical", f.Critical, "high", f.High, "medium", f.Medium, "low", f.Low, "info", f.Info)},
			metric{"sgadvise_suppressed_findings", "Findings that somebody accepted.", one(float64(l.Suppressed))},
			metric{"sgadvise_changed_findings", "Findings by what became of them since the run before.",
				count("change", "new", c.New, "re-opened", c.Reopened, "suppression-expired", c.Expired, "worsened", c.Worsened, "improved", c.Improved, "resolved", c.Resolved, "persisting", c.Persisting)},
			metric{"sgadvise_rules", "Declared rules.", one(float64(t.Rules))},
			metric{"sgadvise_unused_rules", "Declared rules that nothing used.", one(float64(l.Unused))},
			metric{"sgadvise_changed_rules", "Rules that changed in the policy since the run before.",
				count("change", "added", l.Rules.Added, "removed", l.Rules.Removed, "changed", l.Rules.Changed)},
			metric{"sgadvise_plan_edits", "Edits of the plan.", one(float64(t.Edits))},
			metric{"sgadvise_fidelity_ratio", "Share of the judged records that the policy explains.", one(t.Fidelity)},
			metric{"sgadvise_coverage_ratio", "Share of the interface-days without a gap.", one(t.Coverage)},
			metric{"sgadvise_window_end_timestamp_seconds", "The end of the logs.", one(float64(t.To))},
			metric{"sgadvise_records", "Log records in the window.", one(float64(l.Records))},
			metric{"sgadvise_blocked_records", "Records of connections that were rejected and that the policy denies.", one(float64(l.Blocked))},
			metric{"sgadvise_watched_rules", "Rules taken away or narrowed of which it is watched whether anything misses them.", one(float64(l.Watched))},
			metric{"sgadvise_broken_rules", "Of those, the ones that something inside misses.", one(float64(l.Broke))},
			metric{"sgadvise_new_rejects", "Connections from inside that miss them and that no run before told of.", one(float64(l.Rejects))},
		)
		var ratios []metricSample
		for _, e := range t.Exposure {
			ratios = append(ratios, metricSample{[]string{"family", e.Family}, e.Ratio})
		}
		if len(ratios) > 0 {
			all = append(all, metric{"sgadvise_exposure_ratio", "What the plan leaves of the exposure, by address family.", ratios})
		}
	}
	var b strings.Builder
	for _, m := range all {
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s gauge\n", m.name, m.help, m.name)
		for _, s := range m.samples {
			b.WriteString(m.name)
			for i := 0; i < len(s.labels); i += 2 {
				open := ","
				if i == 0 {
					open = "{"
				}
				fmt.Fprintf(&b, `%s%s="%s"`, open, s.labels[i], labelEscapes.Replace(s.labels[i+1]))
			}
			if len(s.labels) > 0 {
				b.WriteString("}")
			}
			b.WriteString(" " + strconv.FormatFloat(s.value, 'f', -1, 64) + "\n")
		}
	}
	return b.String()
}

var labelEscapes = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

func seconds(t time.Time) float64 { return float64(t.Unix()) }
