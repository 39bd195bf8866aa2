package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// runs are those of one command, by round.
type runs []run

// spread is the least, the middle and the greatest of some figures.
type spread struct{ min, median, max float64 }

func spreadOf(figures []float64) spread {
	if len(figures) == 0 {
		return spread{}
	}
	f := slices.Sorted(slices.Values(figures))
	return spread{f[0], (f[(len(f)-1)/2] + f[len(f)/2]) / 2, f[len(f)-1]}
}

func (rs runs) of(figure func(*run) float64) spread {
	figures := make([]float64, len(rs))
	for i := range rs {
		figures[i] = figure(&rs[i])
	}
	return spreadOf(figures)
}

func wall(r *run) float64      { return r.wall }
func cpu(r *run) float64       { return r.cpu }
func memory(r *run) float64    { return r.memory }
func others(r *run) float64    { return r.others }
func queryTime(r *run) float64 { return r.query }

// table is a Markdown table with aligned columns, numbers to the right.
type table struct{ rows [][]string }

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) print(out io.Writer) {
	widths := make([]int, len(t.rows[0]))
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell), 3)
		}
	}
	for n, row := range t.rows {
		for i, cell := range row {
			gap := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i < 2 {
				fmt.Fprintf(out, "| %s%s ", cell, gap)
			} else {
				fmt.Fprintf(out, "| %s%s ", gap, cell)
			}
		}
		fmt.Fprintln(out, "|")
		if n > 0 {
			continue
		}
		for i, w := range widths {
			if i < 2 {
				fmt.Fprintf(out, "| %s ", strings.Repeat("-", w))
			} else {
				fmt.Fprintf(out, "| %s: ", strings.Repeat("-", w-1))
			}
		}
		fmt.Fprintln(out, "|")
	}
	fmt.Fprintln(out)
}

// printRuns prints what everything took.
func printRuns(out io.Writer, results []*result) {
	t := &table{}
	t.add("input", "run", "wall s, min", "median", "max", "CPU s", "peak MiB", "others")
	for _, r := range results {
		title := fmt.Sprintf("%s, %s MB", r.in.title, grouped(int(r.bytes/1e6)))
		for _, c := range []struct {
			name string
			runs runs
		}{{strings.Join(r.in.reader, " "), r.reader}, {"DuckDB", r.duckdb}, {"sgadvise, no plan", r.none}, {"sgadvise, plan", r.tight}} {
			if len(c.runs) == 0 {
				continue
			}
			w := c.runs.of(wall)
			t.add(title, c.name, seconds(w.min), seconds(w.median), seconds(w.max), seconds(c.runs.of(cpu).median),
				fmt.Sprintf("%.0f", c.runs.of(memory).median), fmt.Sprintf("%.0f %%", 100*c.runs.of(others).median))
			if q := c.runs.of(queryTime); q.median > 0 {
				t.add("", "its query alone", seconds(q.min), seconds(q.median), seconds(q.max), "", "", "")
			}
			title = ""
		}
	}
	t.print(out)
}

// goal is a ratio and what it must reach.
type goal struct {
	title          string
	must, moonshot float64 // moonshot 0: none
	each           spread  // round by round
	best           float64 // the least of one by the least of the other
}

// by compares a figure of some runs to one of others. Those of a round are compared to
// each other: both saw the same weather.
func (g goal) by(a, b runs, figure, other func(*run) float64) goal {
	var ratios []float64
	for i := range min(len(a), len(b)) {
		if d := other(&b[i]); d > 0 {
			ratios = append(ratios, figure(&a[i])/d)
		}
	}
	g.each = spreadOf(ratios)
	if d := b.of(other).min; d > 0 {
		g.best = a.of(figure).min / d
	}
	return g
}

// goals returns those that there are runs for, in the order of the issue that set them.
func goals(results []*result) []goal {
	var all []goal
	add := func(g goal) {
		if g.each.median > 0 {
			all = append(all, g)
		}
	}
	for _, r := range results {
		add(goal{title: r.in.title + " / DuckDB", must: r.in.must, moonshot: r.in.moonshot}.by(r.none, r.duckdb, wall, wall))
	}
	for _, r := range results {
		if r.in.readerMust > 0 {
			add(goal{title: r.in.title + " / " + strings.Join(r.in.reader, " "), must: r.in.readerMust, moonshot: r.in.readerMoonshot}.
				by(r.none, r.reader, wall, wall))
		}
	}
	for _, r := range results {
		add(goal{title: "peak memory, " + r.in.title + " / DuckDB", must: memoryMust, moonshot: memoryMoonshot}.
			by(r.none, r.duckdb, memory, memory))
	}
	for _, r := range results {
		add(goal{title: "plan / no plan, " + r.in.title, must: planMust}.by(r.tight, r.none, wall, wall))
	}
	return all
}

// printGoals prints the ratios and what they must reach; it reports whether the best of
// one misses that. Those to DuckDB's query alone are stricter: they leave out that its
// program starts and hands over.
func printGoals(out io.Writer, results []*result) (missed bool) {
	all := goals(results)
	if len(all) == 0 {
		return false
	}
	t := &table{}
	t.add("ratio", "", "must", "moonshot", "min", "median", "max", "best/best")
	for _, g := range all {
		word, hope := "missed", "–"
		if g.moonshot > 0 {
			hope = ratio(g.moonshot)
		}
		switch {
		case g.each.median <= g.moonshot:
			word = "moonshot"
		case g.each.median <= g.must:
			word = "reached"
		}
		t.add(g.title, word, ratio(g.must), hope, ratio(g.each.min), ratio(g.each.median), ratio(g.each.max), ratio(g.best))
		missed = missed || g.best > g.must
	}
	for _, r := range results {
		g := goal{title: r.in.title + " / DuckDB's query alone"}.by(r.none, r.duckdb, wall, queryTime)
		if g.each.median > 0 {
			t.add(g.title, "", "", "", ratio(g.each.min), ratio(g.each.median), ratio(g.each.max), ratio(g.best))
		}
	}
	for _, r := range results {
		g := goal{title: "CPU time, " + r.in.title + " / DuckDB"}.by(r.none, r.duckdb, cpu, cpu)
		if g.each.median > 0 {
			t.add(g.title, "", "", "", ratio(g.each.min), ratio(g.each.median), ratio(g.each.max), ratio(g.best))
		}
	}
	t.print(out)
	return missed
}

func seconds(s float64) string { return fmt.Sprintf("%.2f", s) }

func ratio(r float64) string { return fmt.Sprintf("%.2f", r) }

// grouped writes n with commas between thousands.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
