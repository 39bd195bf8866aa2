package report

import (
	"os"
	"testing"
)

func TestX(t *testing.T) {
	f, _ := os.Create("/tmp/report.html")
	if err := HTML(f, sample()); err != nil {
		t.Fatal(err)
	}
	f.Close()
}
