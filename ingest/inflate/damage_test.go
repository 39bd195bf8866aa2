package inflate

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestReaderTakesDegenerateCodesAsTheLibraryDoes(t *testing.T) {
	one := func(n int, symbols ...int) code {
		lengths := make([]uint8, n)
		for _, s := range symbols {
			lengths[s] = 1
		}
		return canonical(lengths)
	}
	for name, c := range map[string]struct {
		lit, dist code
		then      func(*stream, code, code)
		ok        bool
	}{
		"end only":           {one(257, 256), one(1), func(s *stream, lit, dist code) { s.symbol(lit, 256) }, true},
		"no distance":        {one(257, 'a', 256), one(1), func(s *stream, lit, dist code) { s.literal(lit, 'a'); s.symbol(lit, 256) }, true},
		"one distance":       {one(258, 257, 256), one(1, 0), func(s *stream, lit, dist code) { s.match(lit, dist, 3, 1); s.symbol(lit, 256) }, true},
		"second of one":      {one(258, 257, 256), one(1, 0), func(s *stream, lit, dist code) { s.symbol(lit, 257); s.bits(1, 1); s.symbol(lit, 256) }, false},
		"length, no dist":    {one(258, 257, 256), one(1), func(s *stream, lit, dist code) { s.symbol(lit, 257); s.symbol(lit, 256) }, false},
		"no symbol at all":   {one(257), one(1), func(s *stream, lit, dist code) { s.bits(0, 20) }, false},
		"over-subscribed":    {one(257, 'a', 'b', 256), one(1), func(s *stream, lit, dist code) { s.symbol(lit, 256) }, false},
		"distance too far":   {one(258, 257, 256), one(30, 20, 0), func(s *stream, lit, dist code) { s.match(lit, dist, 3, 1); s.symbol(lit, 257); s.symbol(dist, 20) }, false},
		"incomplete":         {canonical(append(make([]uint8, 255), 2, 2)), one(1), func(s *stream, lit, dist code) { s.symbol(lit, 256) }, false},
		"symbols 286 to 287": {one(288, 256, 287), one(1), func(s *stream, lit, dist code) { s.symbol(lit, 256) }, false},
		"distances 30 to 31": {one(257, 256, 'a'), one(32, 30, 31), func(s *stream, lit, dist code) { s.symbol(lit, 256) }, false},
	} {
		for _, padding := range []int{0, 100} {
			s := new(stream)
			s.stored(0, []byte("x"))
			s.dynamic(1, c.lit, c.dist)
			c.then(s, c.lit, c.dist)
			check(t, name, append(s.gzip(), make([]byte, padding)...))
			if _, err := read(bytes.NewReader(s.gzip())); (err == nil) != c.ok {
				t.Errorf("%s: error %v", name, err)
			}
		}
	}
}

func TestReaderOfInputThatIsCutOffGetsWhatIsThere(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	var z, text []byte
	ends := map[int]bool{}
	for _, part := range [][]byte{
		compress(logText(3000), 6),
		compress(logText(200), 0),
		[]byte(member("\x1f\x8b\x08\x1c\x00\x00\x00\x00\x00\xff\x03\x00abcname\x00comment\x00", "some text")),
		randomStream(rng, 5, 100).gzip(),
	} {
		ends[len(z)] = true
		z = append(z, part...)
		text = append(text, check(t, "whole", part)...)
	}
	for n := range z {
		got := check(t, fmt.Sprintf("the first %d bytes", n), z[:n])
		if !bytes.HasPrefix(text, got) {
			t.Errorf("the first %d bytes: something else", n)
		}
		if _, err := read(bytes.NewReader(z[:n])); !ends[n] && err != io.ErrUnexpectedEOF {
			t.Errorf("the first %d bytes: error %v", n, err)
		}
	}
}

func TestReaderOfDamagedInputFailsWhereTheLibraryDoes(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	files := [][]byte{compress(logText(2000), 9), compress(logText(3000), 1), randomStream(rng, 3, 200).gzip(), compress([]byte("hello, hello"), 6)}
	for f, z := range files {
		for i := range z {
			if i == 3 {
				continue // flags: see TestReservedFlagsAreAnError
			}
			damaged := bytes.Clone(z)
			damaged[i] ^= byte(1 << rng.IntN(8))
			check(t, fmt.Sprintf("file %d, byte %d", f, i), damaged)
			damaged[i] = byte(rng.Uint32())
			check(t, fmt.Sprintf("file %d, byte %d", f, i), damaged)
		}
	}
}

func TestErrorsSayWhere(t *testing.T) {
	z := string(compress([]byte("text"), 0))
	_, err := read(strings.NewReader(z[:10] + "\x07"))
	var c *CorruptError
	if !errors.As(err, &c) || c.Offset != 11 || err.Error() != "reserved type of block at byte 11 of the compressed data" {
		t.Errorf("error %v", err)
	}
}
