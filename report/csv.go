package report

import (
	"encoding/csv"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// csvColumn is a column of the CSV view. Columns are only ever added, at the end.
type csvColumn struct {
	name string
	cell func(*csvRow) string
}

// csvRow is a rule with what the document says of it elsewhere.
type csvRow struct {
	*Rule
	schema    string
	groupName string
	findings  []*Finding
	edit      *Edit  // nil: none
	declined  string // why there is no edit
}

var csvColumns = []csvColumn{
	{"schema", func(r *csvRow) string { return r.schema }},
	{"ref", func(r *csvRow) string { return r.Ref }},
	{"group", func(r *csvRow) string { return r.Group }},
	{"group_name", func(r *csvRow) string { return r.groupName }},
	{"rule", func(r *csvRow) string { return r.Rule.Rule }},
	{"direction", func(r *csvRow) string { return r.Direction }},
	{"action", func(r *csvRow) string { return r.Action }},
	{"priority", func(r *csvRow) string { return digits(uint64(r.Priority)) }},
	{"protocol", func(r *csvRow) string { return r.Protocol }},
	{"ports", func(r *csvRow) string { return r.Ports }},
	{"peer", func(r *csvRow) string { return r.Peer }},
	{"description", func(r *csvRow) string { return r.Description }},
	{"implicit", func(r *csvRow) string { return strconv.FormatBool(r.Implicit) }},
	{"editable", func(r *csvRow) string { return strconv.FormatBool(r.Editable) }},
	{"created", func(r *csvRow) string { return r.Created.String() }},
	{"verdict", func(r *csvRow) string { return r.Verdict }},
	{"reason", func(r *csvRow) string { return r.Reason }},
	{"hits", func(r *csvRow) string { return digits(r.Hits) }},
	{"decisive", func(r *csvRow) string { return digits(r.Decisive) }},
	{"possible_hits", func(r *csvRow) string { return digits(r.PossibleHits) }},
	{"records", func(r *csvRow) string { return digits(r.Records) }},
	{"packets", func(r *csvRow) string { return digits(r.Packets) }},
	{"bytes", func(r *csvRow) string { return digits(r.Bytes) }},
	{"peers", func(r *csvRow) string { return digits(r.Peers) }},
	{"first_seen", func(r *csvRow) string { return r.FirstSeen.String() }},
	{"last_seen", func(r *csvRow) string { return r.LastSeen.String() }},
	{"interfaces", func(r *csvRow) string { return strconv.Itoa(r.Interfaces) }},
	{"hit_interfaces", func(r *csvRow) string { return digits(r.HitInterfaces) }},
	{"severity", func(r *csvRow) string { return r.gravest() }},
	{"findings", func(r *csvRow) string { return r.list(false, func(f *Finding) string { return f.Check }) }},
	{"finding_ids", func(r *csvRow) string { return r.list(false, func(f *Finding) string { return f.ID }) }},
	{"edit", func(r *csvRow) string {
		if r.edit == nil {
			return ""
		}
		return r.edit.Op
	}},
	{"becomes", func(r *csvRow) string {
		if r.edit == nil {
			return ""
		}
		return newRulesText(r.edit.With)
	}},
	{"basis", func(r *csvRow) string {
		if r.edit == nil {
			return ""
		}
		return r.edit.Basis
	}},
	{"confidence", func(r *csvRow) string {
		if r.edit == nil {
			return ""
		}
		return r.edit.Confidence
	}},
	{"declined", func(r *csvRow) string { return r.declined }},
	{"source_path", func(r *csvRow) string { return string(r.source().Path) }},
	{"source_line", func(r *csvRow) string {
		if n := r.source().Line; n > 0 {
			return strconv.Itoa(n)
		}
		return ""
	}},
	{"source_address", func(r *csvRow) string { return string(r.source().Address) }},
	{"suppressed_findings", func(r *csvRow) string {
		return r.list(true, func(f *Finding) string { return f.Check })
	}},
	{"suppression", func(r *csvRow) string {
		for _, f := range r.findings {
			if f.Suppressed != nil {
				return suppressionText(f.Suppressed)
			}
		}
		return ""
	}},
}

// CSV writes the rules of r as a table: one row each, a header line, commas, and lines
// that end as RFC 4180 wants it. Findings on a whole group have no row. Cells are guarded
// against spreadsheets.
func CSV(w io.Writer, r *Report) error {
	c := csv.NewWriter(w)
	c.UseCRLF = true
	cells := make([]string, len(csvColumns))
	for i, col := range csvColumns {
		cells[i] = col.name
	}
	if err := c.Write(cells); err != nil {
		return err
	}
	for _, row := range csvRows(whole(r)) {
		for i, col := range csvColumns {
			cells[i] = guarded(col.cell(&row))
		}
		if err := c.Write(cells); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

// csvRows joins the rules of r with their findings and edits.
func csvRows(r *Report) []csvRow {
	rows := make([]csvRow, len(r.Rules))
	at := make(map[string]*csvRow, len(rows))
	names := make(map[string]string, len(r.Groups))
	for i := range r.Groups {
		names[r.Groups[i].ID] = r.Groups[i].Name
	}
	for i := range r.Rules {
		x := &r.Rules[i]
		rows[i] = csvRow{Rule: x, schema: r.Schema, groupName: names[x.Group]}
		at[x.Ref] = &rows[i]
	}
	for i := range r.Findings {
		if row := at[string(r.Findings[i].Ref)]; row != nil {
			row.findings = append(row.findings, &r.Findings[i])
		}
	}
	for i := range r.Plan.Edits {
		if row := at[string(r.Plan.Edits[i].Ref)]; row != nil {
			row.edit = &r.Plan.Edits[i]
		}
	}
	for _, d := range r.Plan.Declined {
		if row := at[string(d.Ref)]; row != nil {
			row.declined = d.Reason
		}
	}
	return rows
}

// gravest is the severity of the gravest finding that is not suppressed: findings come
// in that order.
func (r *csvRow) gravest() string {
	for _, f := range r.findings {
		if f.Suppressed == nil {
			return f.Severity
		}
	}
	return ""
}

// list joins what name says of the findings that are suppressed, or of those that are not.
func (r *csvRow) list(suppressed bool, name func(*Finding) string) string {
	var parts []string
	for _, f := range r.findings {
		if (f.Suppressed != nil) == suppressed {
			parts = append(parts, name(f))
		}
	}
	return strings.Join(parts, " ")
}

func (r *csvRow) source() Source {
	if r.Source == nil {
		return Source{}
	}
	return *r.Source
}

// newRulesText joins what the new rules of an edit say.
func newRulesText(with []NewRule) string {
	var parts []string
	for i := range with {
		parts = append(parts, with[i].text())
	}
	return strings.Join(parts, " + ")
}

func digits(n uint64) string { return strconv.FormatUint(n, 10) }

// formula matches the start of a cell that a spreadsheet may run: one of the signs
// that begin a formula, narrow or wide, after what it may skip or take for quoting. The
// apostrophe is there so that a guarded cell can be told from one that was like it.
var formula = regexp.MustCompile(`^(?:'|[\s"\x00]*[=+@＝＋＠－-])`)

// guarded makes a cell that begins like a formula text: spreadsheets show what follows
// an apostrophe as it is. A semicolon begins a cell, too, where it is the separator of
// the reader's country, whatever quotes are around it. One apostrophe at the start of
// each such part gives the cell back as it was.
func guarded(cell string) string {
	if !strings.ContainsAny(cell, "'=+@＝＋＠－-") {
		return cell
	}
	parts := strings.Split(cell, ";")
	for i, p := range parts {
		if formula.MatchString(p) {
			parts[i] = "'" + p
		}
	}
	return strings.Join(parts, ";")
}
