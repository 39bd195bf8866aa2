package report

import (
	"os"
	"testing"
)

func TestX(t *testing.T) {
	Markdown(os.Stdout, sample())
}
