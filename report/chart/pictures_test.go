package chart

import (
	"regexp"
	"strings"
	"testing"
)

const trap = `<script>"&'`

func TestHilbertCurveKeepsNeighbours(t *testing.T) {
	for _, side := range []int{1, 2, 4, 8, 16, 64} {
		seen := map[[2]int]bool{}
		var px, py int
		for i := range side * side {
			x, y := hilbert(side, i)
			if x < 0 || y < 0 || x >= side || y >= side || seen[[2]int{x, y}] {
				t.Fatalf("side %d: cell %d is at %d, %d", side, i, x, y)
			}
			seen[[2]int{x, y}] = true
			if d := (x-px)*(x-px) + (y-py)*(y-py); i > 0 && d != 1 {
				t.Fatalf("side %d: cell %d is %d away from the one before", side, i, d)
			}
			px, py = x, y
			// An aligned quarter of the cells is a quarter of the square.
			if side > 1 && i%(side*side/4) == 0 {
				x2, y2 := hilbert(side, i+side*side/4-1)
				if x/(side/2) != x2/(side/2) || y/(side/2) != y2/(side/2) {
					t.Fatalf("side %d: a quarter is spread", side)
				}
			}
		}
	}
}

func TestSquareDrawsUsedAndFramesKept(t *testing.T) {
	cells := []byte(strings.Repeat("0", 256))
	cells[0], cells[1], cells[255] = '1', '1', '5'
	pic := string(Square(string(cells), func(i int) bool { return i < 64 }, trap, "d"))
	wellFormed(t, pic)
	if !strings.Contains(pic, `class="h1"`) || !strings.Contains(pic, `class="h5"`) || strings.Contains(pic, `class="h2"`) {
		t.Error(pic)
	}
	// A quarter of the square has four straight edges.
	m := regexp.MustCompile(`class="frame" d="([^"]*)"`).FindStringSubmatch(pic)
	if m == nil || strings.Count(m[1], "M") != 4 || strings.Count(m[1], "h8") != 2 || strings.Count(m[1], "v8") != 2 {
		t.Errorf("frame %v", m)
	}
	for _, odd := range []string{"", "0", "012", strings.Repeat("9", 16)} {
		wellFormed(t, string(Square(odd, func(int) bool { return true }, "", "")))
	}
}

func TestHeatIsHigherWithMoreUse(t *testing.T) {
	pic := string(Heat("012345x", trap))
	wellFormed(t, pic)
	for _, want := range []string{`class="h1" d="M1 8h0.86v2`, `class="h5" d="M5 0h0.86v10`} {
		if !strings.Contains(pic, want) {
			t.Errorf("no %s in %s", want, pic)
		}
	}
	if n := strings.Count(pic, "M"); n != 6 { // five bars and the base
		t.Errorf("%d shapes", n)
	}
	if long := string(Heat(strings.Repeat("3", 366), "")); strings.Count(long, "M") != 2 {
		t.Errorf("equal days are not one shape: %s", long)
	}
	wellFormed(t, string(Heat("", "")))
}

func TestCurveStaysInItsFrame(t *testing.T) {
	x := []int{1, 5, 5, 40}
	pic := string(Curve(x, []bool{true, true, false, true}, []Series{{"a", []float64{1, .5, 2, -1}}, {"b", []float64{0, 0, 0, 0}}, {"c", nil}},
		[]Mark{{2, trap, false}, {1, "plan", true}, {9, "nowhere", true}}, trap, trap, trap, trap))
	wellFormed(t, pic)
	line := regexp.MustCompile(`class="line s0" d="([^"]*)"`).FindStringSubmatch(pic)
	if line == nil || strings.Count(line[1], "L") != 2 {
		t.Errorf("line %v: the point of today is not on it", line)
	}
	if strings.Count(pic, `class="ring"`) != 2 {
		t.Error("the plan is not ringed on both lines")
	}
	wellFormed(t, string(Curve(nil, nil, nil, nil, "", "", "", "")))
	wellFormed(t, string(Curve([]int{3}, []bool{true}, []Series{{"a", []float64{0}}}, nil, "", "", "", "")))
}

func TestTicksAreRound(t *testing.T) {
	for _, c := range [][2]int{{0, 0}, {0, 1}, {28, 40}, {2230, 11882}, {1, 1_000_000}, {-5, 7}} {
		got := ticks(c[0], c[1])
		if len(got) == 0 || len(got) > 6 || got[0] < c[0] || got[len(got)-1] > c[1] {
			t.Errorf("%v: %v", c, got)
		}
	}
}

func TestStepsOfEveryLength(t *testing.T) {
	for _, v := range [][]float64{nil, {1}, {1, 1, 1}, {3, 1, 2}} {
		pic := string(Steps(v, trap))
		wellFormed(t, pic)
		if len(v) > 0 && strings.Count(pic, "H") != len(v) {
			t.Errorf("%v: %s", v, pic)
		}
	}
}

// Each link is two bands, and each name stands once in each column that it is in.
func TestLayersDrawEveryLink(t *testing.T) {
	links := []Link{{"a", "tcp 1", "b", 100, trap}, {"a", "tcp 2", "c", 10, ""}, {"b", "tcp 1", "a", 1, ""}, {trap, "others", "others", 0, ""}, {"others", "tcp 1", strings.Repeat("long", 20), 5, ""}}
	pic := string(Layers(links, func(n string) bool { return n == "others" }, trap, "d"))
	wellFormed(t, pic)
	if n := strings.Count(pic, `class="band"`); n != 2*len(links) {
		t.Errorf("%d bands", n)
	}
	if n := strings.Count(pic, `class="node"`); n != 4+3+5 {
		t.Errorf("%d nodes", n)
	}
	if strings.Contains(pic, "longlonglonglonglonglonglong") || !strings.Contains(pic, "…") {
		t.Error("a long name is not cut")
	}
	if again := string(Layers(links, func(n string) bool { return n == "others" }, trap, "d")); again != pic {
		t.Error("the same links make two pictures")
	}
	wellFormed(t, string(Layers(nil, func(string) bool { return false }, "", "")))
}

func TestShareOfEverySize(t *testing.T) {
	for _, c := range []struct {
		part, whole uint64
		want        string
	}{{0, 10, ""}, {5, 10, "500.0"}, {1, 1 << 60, "4.0"}, {10, 10, "1000.0"}, {20, 10, "1000.0"}, {1, 0, ""}} {
		pic := string(Share(c.part, c.whole))
		wellFormed(t, pic)
		if got := strings.Contains(pic, "<rect"); got != (c.want != "") || got && !strings.Contains(pic, `width="`+c.want+`"`) {
			t.Errorf("%d of %d: %s", c.part, c.whole, pic)
		}
	}
}
