package catalog

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"

	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// Info is what a store holds.
type Info struct {
	Version     int             `json:"version"` // of the layout
	From        string          `json:"from"`    // first day, as a date; empty if there is none
	To          string          `json:"to"`      // last day
	Files       int             `json:"files"`   // source files that are known
	Pruned      int             `json:"pruned"`  // of them those of which all days were dropped
	SourceBytes int64           `json:"source_bytes"`
	Records     uint64          `json:"records"`
	Malformed   uint64          `json:"malformed"`
	Rows        int64           `json:"rows"`
	Segments    int             `json:"segments"`
	Bytes       int64           `json:"bytes"` // of the segments
	PortBounds  int             `json:"port_bounds"`
	Days        []DayInfo       `json:"days"`
	Interfaces  []InterfaceInfo `json:"interfaces"`
	LastRuns    []RunInfo       `json:"last_runs"` // the last of each kind, latest first
}

// DayInfo is what a store holds of one day.
type DayInfo struct {
	Day      string `json:"day"` // a date, or "undated"
	Segments int    `json:"segments"`
	Rows     int64  `json:"rows"`
	Records  uint64 `json:"records"`
	Bytes    int64  `json:"bytes"`
}

// InterfaceInfo is what a store shows of one interface.
type InterfaceInfo struct {
	Interface string   `json:"interface"`
	From      string   `json:"from"` // RFC 3339
	To        string   `json:"to"`
	Records   uint64   `json:"records"`
	SkipData  uint64   `json:"skipdata"`
	Twice     []string `json:"twice"`   // days on which every accepted, or every refused, record came an even number of times
	Missing   []string `json:"missing"` // days between the first and the last of the store without any record
}

// RunInfo is a run that changed the store.
type RunInfo struct {
	Command string `json:"command"`
	At      string `json:"at"` // RFC 3339
	Files   int    `json:"files"`
	Records uint64 `json:"records"`
	Note    string `json:"note"`
}

// Info returns what the store holds.
func (s *Store) Info(ctx context.Context) (*Info, error) {
	if err := s.reading(); err != nil {
		return nil, err
	}
	out := &Info{Version: schemaNumber, Days: []DayInfo{}, Interfaces: []InterfaceInfo{}, LastRuns: []RunInfo{}}
	err := s.snapshot(ctx, func(tx *sql.Tx) error {
		segs, err := s.segments(ctx, tx)
		if err != nil {
			return err
		}
		if err := readCoverage(ctx, tx, segs); err != nil {
			return err
		}
		out.addSegments(segs)
		c, err := readFiles(ctx, tx)
		if err != nil {
			return err
		}
		report, err := c.report()
		if err != nil {
			return err
		}
		out.Files, out.Malformed = len(c.byID), report.Ledger[flow.Malformed]
		for _, f := range c.byID {
			if f.pruned {
				out.Pruned++
			}
			out.SourceBytes += f.read.Bytes
		}
		k, err := readKnowledge(ctx, tx)
		if err != nil {
			return err
		}
		out.PortBounds = len(k.Bounds)
		rows, err := tx.QueryContext(ctx, "SELECT command, at, files, records, note FROM runs WHERE id IN (SELECT max(id) FROM runs GROUP BY command) ORDER BY id DESC")
		if err != nil {
			return err
		}
		runs, err := scan(rows, func(r *RunInfo) error {
			var at int64
			err := rows.Scan(&r.Command, &at, &r.Files, &r.Records, &r.Note)
			r.At = timeText(at)
			return err
		})
		out.LastRuns = append(out.LastRuns, runs...)
		return err
	})
	return out, err
}

// addSegments sums segments up, which are by day.
func (out *Info) addSegments(segs []segment) {
	type seen struct {
		info     InterfaceInfo
		from, to int64
		days     map[int32]bool
		prints   []store.Print
	}
	ifaces := make(map[string]*seen)
	first, last := int32(store.OddDay), int32(store.OddDay)
	for i := range segs {
		g := &segs[i]
		out.Segments++
		out.Rows += g.rows
		out.Records += g.records
		out.Bytes += g.bytes
		day := dayText(g.day)
		if n := len(out.Days); n == 0 || out.Days[n-1].Day != day {
			out.Days = append(out.Days, DayInfo{Day: day})
		}
		d := &out.Days[len(out.Days)-1]
		d.Segments++
		d.Rows += g.rows
		d.Records += g.records
		d.Bytes += g.bytes
		if first == store.OddDay {
			first = g.day
		}
		last = max(last, g.day)
		for j := range g.coverage {
			c := &g.coverage[j]
			x := ifaces[c.Interface]
			if x == nil {
				x = &seen{info: InterfaceInfo{Interface: c.Interface, Missing: []string{}, Twice: []string{}}, from: c.From, to: c.To, days: make(map[int32]bool)}
				ifaces[c.Interface] = x
			}
			x.from, x.to = min(x.from, c.From), max(x.to, c.To)
			x.info.Records += c.Records
			x.info.SkipData += c.SkipRows
			for _, d := range c.Days {
				x.days[d] = true
			}
			x.prints = append(x.prints, c.Prints...)
		}
	}
	if first != store.OddDay {
		out.From, out.To = dayText(first), dayText(last)
	}
	for _, x := range ifaces {
		x.info.From, x.info.To = timeText(x.from), timeText(x.to)
		for d := first; first != store.OddDay && d <= last; d++ {
			if !x.days[d] {
				x.info.Missing = append(x.info.Missing, dayText(d))
			}
		}
		for _, d := range store.Twice(x.prints) {
			x.info.Twice = append(x.info.Twice, dayText(d))
		}
		out.Interfaces = append(out.Interfaces, x.info)
	}
	slices.SortFunc(out.Interfaces, func(a, b InterfaceInfo) int { return strings.Compare(a.Interface, b.Interface) })
}

func timeText(t int64) string { return time.Unix(t, 0).UTC().Format(time.RFC3339) }
