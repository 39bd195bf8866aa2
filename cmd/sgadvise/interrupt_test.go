package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestInterruptibleReadsWhatTheReaderHas(t *testing.T) {
	text := strings.Repeat("0123456789", 100_000)
	for name, r := range map[string]io.Reader{
		"whole": strings.NewReader(text),
		"bytes": iotest.OneByteReader(strings.NewReader(text[:1000])),
		"half":  iotest.HalfReader(strings.NewReader(text)),
		"eof":   iotest.DataErrReader(strings.NewReader(text)),
	} {
		want := text
		if name == "bytes" {
			want = text[:1000]
		}
		got, err := io.ReadAll(newInterruptible(context.Background(), r))
		if err != nil || !bytes.Equal(got, []byte(want)) {
			t.Errorf("%s: %d bytes, %v; want %d", name, len(got), err, len(want))
		}
	}
	broken := errors.New("broken pipe")
	if _, err := io.ReadAll(newInterruptible(context.Background(), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("an error of the reader is %v", err)
	}
}
