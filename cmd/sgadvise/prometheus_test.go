package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sgadvise/sgadvise/cmd/history"
	reports "github.com/sgadvise/sgadvise/report"
)

var (
	metricName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	sampleLine = regexp.MustCompile(`^([a-z][a-z0-9_]*)(\{(?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)+\})? (-?[0-9.]+|NaN)$`)
)

// checkMetrics holds text to the exposition format and to what promtool's linter asks
// for, and returns the samples.
func checkMetrics(t *testing.T, text string) map[string]float64 {
	t.Helper()
	if !strings.HasSuffix(text, "\n") {
		t.Error("the last line has no end")
	}
	samples := map[string]float64{}
	var families []string
	family, step := "", 0
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		at := fmt.Sprintf("line %d: %s", i+1, line)
		words := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "# HELP "):
			family, step = words[2], 1
			if !metricName.MatchString(family) || slices.Contains(families, family) || len(words) < 4 {
				t.Errorf("%s: a name that is wrong or twice, or no help", at)
			}
			if !strings.HasPrefix(family, "sgadvise_") {
				t.Errorf("%s: a name without its space", at)
			}
			for _, bad := range []string{"_total", "_count", "_sum", "_bucket", "_gauge", "_ms", "_milliseconds", "_minutes", "_hours", "_days", "_percent"} {
				if strings.HasSuffix(family, bad) {
					t.Errorf("%s: no gauge in base units is called so", at)
				}
			}
			families = append(families, family)
		case strings.HasPrefix(line, "# TYPE "):
			if step != 1 || len(words) != 4 || words[2] != family || words[3] != "gauge" {
				t.Errorf("%s: not the type of what has just been explained", at)
			}
			step = 2
		default:
			m := sampleLine.FindStringSubmatch(line)
			if m == nil || step < 2 || m[1] != family {
				t.Errorf("%s: no sample of %s", at, family)
				continue
			}
			if _, twice := samples[m[1]+m[2]]; twice {
				t.Errorf("%s: it is there twice", at)
			}
			samples[m[1]+m[2]], _ = strconv.ParseFloat(m[3], 64)
			step = 3
		}
	}
	return samples
}

func TestMetricsAreWellFormedAndTrue(t *testing.T) {
	at := time.Date(2026, 6, 1, 2, 30, 0, 0, time.UTC)
	good := history.Line{Started: at, Seconds: 1.5, Exit: 1, Version: `v1 "x" \ ` + "\n", Unused: 3, Records: 1 << 40, Rejects: 2,
		Changes: reports.FindingCounts{New: 4, Reopened: 5},
		Trend: &reports.TrendPoint{Rules: 7, Fidelity: 0.25, Findings: reports.Severities{High: 2},
			Exposure: []reports.FamilyExposure{{Family: "ipv4", Ratio: 1e-9}, {Family: "ipv6", Ratio: 1}}}}
	bad := history.Line{Started: at.AddDate(0, 0, 1), Exit: 5, Error: "disk full", Version: "v2"}

	got := checkMetrics(t, metrics([]history.Line{good}))
	for name, want := range map[string]float64{
		"sgadvise_last_run_timestamp_seconds": 1780281000, "sgadvise_last_success_timestamp_seconds": 1780281000, "sgadvise_last_run_exit_code": 1,
		"sgadvise_last_run_duration_seconds": 1.5, `sgadvise_findings{severity="high"}`: 2, `sgadvise_changed_findings{change="re-opened"}`: 5,
		`sgadvise_exposure_ratio{family="ipv4"}`: 1e-9, "sgadvise_fidelity_ratio": 0.25, "sgadvise_unused_rules": 3, "sgadvise_rules": 7,
		"sgadvise_records": 1 << 40, "sgadvise_new_rejects": 2, `sgadvise_build_info{version="v1 \"x\" \\ \n"}`: 1,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v (%t), want %v", name, v, ok, want)
		}
	}

	// A failed run renews what is about the run, and keeps what the last good one found.
	got = checkMetrics(t, metrics([]history.Line{good, bad}))
	for name, want := range map[string]float64{
		"sgadvise_last_run_timestamp_seconds": 1780367400, "sgadvise_last_success_timestamp_seconds": 1780281000,
		"sgadvise_last_run_exit_code": 5, `sgadvise_findings{severity="high"}`: 2,
	} {
		if got[name] != want {
			t.Errorf("after a failed run %s is %v, want %v", name, got[name], want)
		}
	}
	if got := checkMetrics(t, metrics([]history.Line{bad})); len(got) != 4 {
		t.Errorf("without a good run there are %v", got)
	}
}
