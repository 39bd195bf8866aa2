package chart

import (
	"encoding/xml"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// wellFormed parses what a picture is made of.
func wellFormed(t *testing.T, svg string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := d.Token(); err == io.EOF {
			return
		} else if err != nil {
			t.Fatalf("%v in %s", err, svg)
		}
	}
}

func lengths(t *testing.T, svg string) (before, after float64) {
	t.Helper()
	m := regexp.MustCompile(`class="(before|after)"[^>]* width="([0-9.]+)"`).FindAllStringSubmatch(svg, -1)
	if len(m) != 2 {
		t.Fatalf("%d bars in %s", len(m), svg)
	}
	before, _ = strconv.ParseFloat(m[0][2], 64)
	after, _ = strconv.ParseFloat(m[1][2], 64)
	return before, after
}

func TestBarsAreLogarithmic(t *testing.T) {
	s := NewScale(math.Exp2(40)-1, 3)
	svg := string(Bars(s, math.Exp2(40)-1, math.Exp2(20)-1, "x"))
	wellFormed(t, svg)
	if before, after := lengths(t, svg); before != 1000 || after != 500 {
		t.Errorf("bars %v and %v, want 1000 and 500", before, after)
	}
	if n := strings.Count(svg, `class="grid"`); n != 2 {
		t.Errorf("%d grid lines, want 2: at 2^16 and 2^32", n)
	}
}

func TestBarsOfEverySize(t *testing.T) {
	for _, v := range []float64{0, 1, 1e-9, math.MaxFloat64, math.Inf(1), math.NaN(), -1} {
		s := NewScale(v, 10)
		svg := string(Bars(s, v, 10, `<&">`))
		wellFormed(t, svg)
		before, after := lengths(t, svg)
		if before < 0 || before > 1000 || after <= 0 || after > 1000 {
			t.Errorf("%v: bars %v and %v", v, before, after)
		}
	}
	if before, _ := lengths(t, string(Bars(NewScale(1e30), 1, 0, ""))); before < 4 {
		t.Errorf("a small value is drawn %v long", before)
	}
	if before, after := lengths(t, string(Bars(Scale{}, 5, 5, ""))); before != 0 || after != 0 {
		t.Errorf("the zero scale draws %v, %v", before, after)
	}
}

func TestStripHasAShapeForEveryDay(t *testing.T) {
	svg := string(Strip([]Day{Data, Data, None, Lossy, Data}, "<eni>"))
	wellFormed(t, svg)
	if !strings.Contains(svg, `viewBox="0 0 5 10"`) || !strings.Contains(svg, "<title>&lt;eni&gt;</title>") {
		t.Error(svg)
	}
	for class, want := range map[string]int{"data": 3, "none": 1, "lossy": 1} {
		m := regexp.MustCompile(`class="` + class + `" d="([^"]*)"`).FindStringSubmatch(svg)
		if m == nil || strings.Count(m[1], "M") != want {
			t.Errorf("%s: %v, want %d shapes", class, m, want)
		}
	}
}

func TestLongStripsAreRuns(t *testing.T) {
	days := make([]Day, 365)
	days[100] = None
	svg := string(Strip(days, ""))
	wellFormed(t, svg)
	if len(svg) > 400 || strings.Count(svg, "z") < 3 {
		t.Errorf("%d bytes: %s", len(svg), svg)
	}
	wellFormed(t, string(Strip(nil, "")))
}
