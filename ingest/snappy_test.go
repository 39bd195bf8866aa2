package ingest

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/snappy"
)

func blockOf(s string) string { return string(snappy.Encode(nil, []byte(s))) }

func framed(s string) string {
	var b bytes.Buffer
	w := snappy.NewBufferedWriter(&b)
	io.WriteString(w, s)
	w.Close()
	return b.String()
}

// javaSnappy is what SnappyOutputStream writes, in small chunks.
func javaSnappy(s string) string {
	out := []byte(magicXerial + "\x00\x00\x00\x01\x00\x00\x00\x01")
	for s != "" {
		n := min(len(s), 5000)
		chunk := snappy.Encode(nil, []byte(s[:n]))
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(chunk))), chunk...)
		s = s[n:]
	}
	return string(out)
}

// manyLines are lines that do not compress to nothing.
func manyLines(n int) string {
	var b strings.Builder
	r := rand.New(rand.NewPCG(9, 9))
	for range n {
		fmt.Fprintf(&b, "2 1 eni-%d 10.0.%d.%d 10.1.0.1 %d 443 6 1 1 1700000000 1700000060 ACCEPT OK\n", r.IntN(9), r.IntN(256), r.IntN(256), r.IntN(65536))
	}
	return b.String()
}

func TestSnappyInAllItsForms(t *testing.T) {
	text := manyLines(20000) // several chunks and frames
	for name, stored := range map[string]string{
		"block": blockOf(text), "framed": framed(text), "framed twice": framed(text[:len(line)]) + framed(text[len(line):]),
		"java": javaSnappy(text), "java twice": javaSnappy(text[:9000]) + javaSnappy(text[9000:]),
	} {
		for _, file := range []string{"x", "x.SNAPPY", "x.json.snappy", "x.gz"} {
			rows, r, err := readRows([]string{write(t, file, stored)}, Options{Workers: 1})
			if err != nil || len(rows) != 20000 || r.Files[0].Compression != compressionSnappy || r.Files[0].Bytes != int64(len(stored)) {
				t.Errorf("%s as %s: %d rows, %v", name, file, len(rows), err)
			}
		}
		rows, _, err := readRows([]string{"-"}, Options{Stdin: strings.NewReader(stored)})
		if err != nil || len(rows) != 20000 {
			t.Errorf("%s from standard input: %d rows, %v", name, len(rows), err)
		}
	}
}

// A name is a reason to try, not to believe.
func TestFilesNamedSnappyThatAreNot(t *testing.T) {
	for _, c := range []struct{ content, compression string }{
		{line, compressionNone},
		{header + "\n" + line, compressionNone},
		{`{"message":"` + line + `"}`, compressionNone},
		{"  " + line, compressionNone},
		{line + "\n" + line, compressionNone},
		{gz(line), compressionGzip},
		{zst(line), compressionZstd},
	} {
		rows, r, err := readRows([]string{write(t, "x.snappy", c.content)}, Options{})
		if err != nil || len(rows) == 0 || r.Files[0].Compression != c.compression {
			t.Errorf("%.30q: %d rows, %v", c.content, len(rows), err)
		}
	}
	for _, empty := range []string{"", "\x00"} {
		if _, r, err := readRows([]string{write(t, "x.snappy", empty)}, Options{}); err != nil || r.Files[0].Format != formatEmpty {
			t.Errorf("%q: %v", empty, err)
		}
	}
}

func TestDamagedSnappyDataIsAnError(t *testing.T) {
	text := manyLines(3000)
	whole, frames, java := blockOf(text), framed(text), javaSnappy(text)
	for _, c := range []struct{ name, content, want string }{
		{"x.snappy", whole[:len(whole)/2], "snappy data damaged before byte"},
		{"x.snappy", whole[:len(whole)-1], "not a whole snappy block"},
		{"x.snappy", whole + "more", "not a whole snappy block"},
		{"x.snappy", "\xff\xff\xff\xff\x7f" + whole, "not a whole snappy block"},
		{"x.snappy", "\x00\x01\x02\x03", "not a whole snappy block"},
		{"x", whole[:len(whole)/2], "no flow log: binary data"},
		{"x", frames[:len(frames)-9], "snappy data"},
		{"x", frames[:50] + "\x00\x00" + frames[52:], "snappy data damaged"},
		{"x", java[:len(java)-9], "snappy data cut off"},
		{"x", java[:20], "snappy data cut off"},
		{"x", java[:13], "snappy data cut off"},
		{"x", java[:18], "snappy data cut off"},
		{"x", java[:16] + "\x7f\xff\xff\xff" + java[20:], "snappy data damaged"},
		{"x", java[:20] + "\x00" + java[21:], "snappy data damaged"},
		{"x", gz(frames), "no flow log: snappy data"},
	} {
		_, r, err := readRows([]string{write(t, c.name, c.content)}, tolerant)
		var at *InputError
		if !errors.As(err, &at) || !at.Corrupt || r != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %.20q: error %v, want %q", c.name, c.content, err, c.want)
		}
	}
	_, _, err := readRows([]string{"-"}, Options{Stdin: io.MultiReader(strings.NewReader(whole[:100]), broken{})})
	var at *InputError
	if !errors.As(err, &at) || at.Corrupt || !errors.Is(err, errBroken) {
		t.Errorf("a pipe that bursts: %v", err)
	}
}

func TestSnappyBlocksHaveABound(t *testing.T) {
	stored := []byte(blockOf(strings.Repeat("x", 5000)))
	if _, err := decodeBlock(stored, 4999); err == nil || !strings.Contains(err.Error(), "at most 4999 are decompressed at once") {
		t.Errorf("error %v", err)
	}
	if content, err := decodeBlock(stored, 5000); err != nil || len(content) != 5000 {
		t.Errorf("%d bytes, %v", len(content), err)
	}
}

// FuzzSnappy: whatever stands in a file is handed on unchanged or decompressed, and
// damage neither panics nor passes.
func FuzzSnappy(f *testing.F) {
	for _, s := range []string{"", line, "\x00", blockOf(line), framed(line), javaSnappy(line), "PAR1", string(binary.AppendUvarint(nil, 1<<40)) + "\x00a"} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, content []byte, named bool) {
		read := func(stored string) (string, bool, error) {
			r, found, err := snappyReader(bufio.NewReader(strings.NewReader(stored)), named)
			if err != nil {
				return "", found, err
			}
			b, err := io.ReadAll(r)
			return string(b), found, err
		}
		if got, found, err := read(string(content)); err == nil && !found && got != string(content) {
			t.Errorf("plain data came out as %q", got)
		}
		if len(content) == 0 || bytes.HasPrefix(content, []byte("PAR1")) {
			return
		}
		for _, stored := range []string{framed(string(content)), javaSnappy(string(content))} {
			if got, found, err := read(stored); !found || err != nil || got != string(content) {
				t.Errorf("%q came out as %q, %t, %v", content, got, found, err)
			}
		}
		if stored := blockOf(string(content)); named {
			if got, _, err := read(stored); err != nil || got != string(content) {
				t.Errorf("block of %q came out as %q, %v", content, got, err)
			}
		}
	})
}
