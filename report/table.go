package report

import (
	"io"
	"strings"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/pkg/twwidth"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
)

// table is what the text view gives to tablewriter. One column bends: it is wrapped so
// that the whole fits the width; the others keep theirs.
type table struct {
	head  []string
	rows  [][]string
	bend  int   // the column that is wrapped
	right []int // columns aligned right
}

// narrowest is the least width of the bending column. A terminal too narrow for it
// wraps lines by itself, which reads better than one word a line.
const narrowest = 28

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// write renders t at most width columns wide.
func (t *table) write(w io.Writer, width int) error {
	const gap, indent = 2, 2
	left := width - indent
	for c := range t.head {
		if c == t.bend {
			continue
		}
		widest := twwidth.Width(t.head[c])
		for _, row := range t.rows {
			for line := range strings.SplitSeq(row[c], "\n") {
				widest = max(widest, twwidth.Width(line))
			}
		}
		left -= widest + gap
	}
	left = max(left, narrowest)
	for _, row := range t.rows {
		row[t.bend] = wrap(row[t.bend], left)
	}

	align := make([]tw.Align, len(t.head))
	pads := make([]tw.Padding, len(t.head))
	for c := range align {
		align[c] = tw.AlignLeft
		pads[c] = tw.Padding{Left: "", Right: strings.Repeat(" ", gap), Overwrite: true}
	}
	for _, c := range t.right {
		align[c] = tw.AlignRight
	}
	pads[0].Left = strings.Repeat(" ", indent)
	cell := tw.CellConfig{
		Formatting: tw.CellFormatting{AutoFormat: tw.Off, AutoWrap: tw.WrapNone},
		Padding:    tw.CellPadding{PerColumn: pads},
		Alignment:  tw.CellAlignment{Global: tw.AlignLeft, PerColumn: align},
	}
	var b strings.Builder
	out := tablewriter.NewTable(&b,
		tablewriter.WithHeaderConfig(cell), tablewriter.WithRowConfig(cell),
		tablewriter.WithHeaderAutoFormat(tw.Off),
		tablewriter.WithTrimSpace(tw.Off),
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{
			Borders: tw.BorderNone,
			Settings: tw.Settings{
				Separators: tw.Separators{BetweenColumns: tw.Off, BetweenRows: tw.Off},
				Lines:      tw.Lines{ShowHeaderLine: tw.Off},
			},
		})))
	out.Header(t.head)
	if err := out.Bulk(t.rows); err != nil {
		return err
	}
	if err := out.Render(); err != nil {
		return err
	}
	for line := range strings.Lines(b.String()) {
		if _, err := io.WriteString(w, strings.TrimRight(line, " \n")+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// wrap breaks every line of s at spaces so that it fits width; a word that is longer
// than that is cut. What follows a "- " or "+ " stays indented by it.
func wrap(s string, width int) string {
	var out []string
	for line := range strings.SplitSeq(s, "\n") {
		indent := ""
		if strings.HasPrefix(line, "- ") || strings.HasPrefix(line, "+ ") {
			indent = "  "
		}
		cur := ""
		for word := range strings.SplitSeq(line, " ") {
			for twwidth.Width(word) > width-len(indent) {
				if cur != "" && cur != indent {
					out = append(out, cur)
				}
				part := twwidth.Truncate(word, width-len(indent))
				if part == "" { // one character wider than the column
					break
				}
				out = append(out, indent+part)
				word, cur = word[len(part):], indent
			}
			switch {
			case cur == "" || cur == indent:
				cur += word
			case twwidth.Width(cur)+1+twwidth.Width(word) <= width:
				cur += " " + word
			default:
				out = append(out, cur)
				cur = indent + word
			}
		}
		out = append(out, cur)
	}
	return strings.Join(out, "\n")
}
