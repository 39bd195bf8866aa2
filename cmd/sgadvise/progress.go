package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/sgadvise/sgadvise/ingest"
)

// progress tells on standard error how far the reading is: one line that is redrawn on
// a terminal, a plain line every ten seconds elsewhere.
type progress struct {
	w       io.Writer
	redraw  bool
	off     bool
	started time.Time
	last    time.Time
	drawn   bool
}

const plainInterval = 10 * time.Second

func newProgress(mode string, quiet bool, w io.Writer) *progress {
	p := &progress{w: w, off: quiet || mode == "none", started: time.Now()}
	if f, ok := w.(*os.File); ok && mode == "auto" {
		p.redraw = term.IsTerminal(int(f.Fd()))
	}
	p.last = p.started
	return p
}

func (p *progress) update(now ingest.Progress) {
	if p.off || !p.redraw && time.Since(p.last) < plainInterval {
		return
	}
	p.last = time.Now()
	elapsed := time.Since(p.started)
	line := fmt.Sprintf("read %s, %.1f M records, %.1f M records/s", size(now.Bytes), float64(now.Records)/1e6, float64(now.Records)/1e6/max(elapsed.Seconds(), 1e-3))
	if now.Total > 0 && now.Bytes > 0 {
		left := time.Duration(float64(elapsed) * float64(now.Total-now.Bytes) / float64(now.Bytes))
		line += fmt.Sprintf(", %d %%, %s left", 100*now.Bytes/now.Total, left.Round(time.Second))
	}
	if p.redraw {
		p.drawn = true
		fmt.Fprintf(p.w, "\r\x1b[K%s", line)
		return
	}
	fmt.Fprintln(p.w, "sgadvise: "+line)
}

func (p *progress) done() {
	if p.drawn {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

// size writes a number of bytes for people.
func size(n int64) string {
	v, unit := float64(n), "B"
	for _, u := range []string{"KB", "MB", "GB", "TB"} {
		if v < 1000 {
			break
		}
		v, unit = v/1000, u
	}
	return fmt.Sprintf("%.3g %s", v, unit)
}
