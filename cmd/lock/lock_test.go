package lock

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestOneHolderAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	now := time.Date(2026, 6, 1, 2, 30, 0, 0, time.UTC)
	first, err := Take(path, "audit\x1b[2J", now)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Take(path, "audit", now)
	var held *HeldError
	if !errors.As(err, &held) {
		t.Fatalf("the second one gets %v", err)
	}
	if !strings.Contains(held.Holder, ", audit[2J, since 2026-06-01T02:30:00Z") || strings.Contains(err.Error(), "\x1b") {
		t.Errorf("the holder is %q", held.Holder)
	}
	first.Release()
	again, err := Take(path, "audit", now)
	if err != nil {
		t.Fatal(err)
	}
	again.Release()
}
