package ingest

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestGzipIsLeftAloneWhereReadingStops reads files that are decompressed ahead of what
// is read of them and given up in the middle.
func TestGzipIsLeftAloneWhereReadingStops(t *testing.T) {
	before := runtime.NumGoroutine()
	many := strings.Repeat(line+"\n", 10_000)
	broken := `{"events":[{"message":"` + line + `"},` + "\nbroken\n" + strings.Repeat(`{"message":"`+line+`"}`+"\n", 10_000)
	dir := write(t, "a.json.gz", gz(broken), "b.log.gz", gz(many), "c.log.gz", gz(many)[:3000], "d.log.gz", gz(many))
	want := ""
	for i := range 6 {
		_, _, err := readRows([]string{dir}, Options{Workers: 1 + i%3})
		if err == nil {
			t.Fatal("no error")
		}
		if want == "" {
			want = err.Error()
		}
		if err.Error() != want {
			t.Errorf("error %q, before %q", err, want)
		}
	}
	if !strings.Contains(want, "a.json.gz") {
		t.Errorf("error %q is not of the first file", want)
	}
	time.Sleep(10 * time.Millisecond)
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines are left", after-before)
	}
}

func TestDamageIsReportedAtTheSamePlaceByAnyNumberOfWorkers(t *testing.T) {
	z := gz(strings.Repeat(line+"\n", 10_000) + fmt.Sprint(strings.Repeat("0123456789 ", 50_000)))
	dir := write(t, "a.log.gz", z[:len(z)/2]+"\xff\x00\xff\x00"+z[len(z)/2+4:], "b.log.gz", z)
	want := ""
	for workers := 1; workers <= 4; workers++ {
		_, _, err := readRows([]string{dir}, Options{Workers: workers, MaxBadRows: -1})
		if err == nil || want != "" && err.Error() != want {
			t.Errorf("%d workers: error %v, before %q", workers, err, want)
		} else {
			want = err.Error()
		}
	}
}
