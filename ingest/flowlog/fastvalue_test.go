package flowlog

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// within puts s into text that must not show in what is read of it.
func within(s string, r *rand.Rand) (text *window, lo, hi uint) {
	const around = "0123456789. -/:\xa0\xae\x00\xff9"
	text = new(window)
	for i := range 2*slack + len(s) {
		text[i] = around[r.IntN(len(around))]
	}
	return text, slack, slack + uint(copy(text[slack:], s))
}

func checkQuad(t *testing.T, s string, r *rand.Rand) {
	t.Helper()
	text, lo, hi := within(s, r)
	got, wrong := text.quad(lo, hi)
	want, ok := parseIPv4([]byte(s))
	if ok != (wrong == 0) || ok && got != want {
		t.Fatalf("quad(%q) = %#x, wrong %#x, want %#x, %v", s, got, wrong, want, ok)
	}
}

func checkNumber(t *testing.T, s string, r *rand.Rand) {
	t.Helper()
	text, lo, hi := within(s, r)
	got, wrong := text.number(lo, hi)
	want, ok := parseUint([]byte(s))
	if ok = ok && len(s) <= 16; ok != (wrong == 0) || ok && got != want {
		t.Fatalf("number(%q) = %d, wrong %#x, want %d, %v", s, got, wrong, want, ok)
	}
}

func TestFastValuesEqualTheSlowOnes(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	octets := strings.Fields("0 1 9 10 99 100 199 255 256 260 300 999 00 01 000 001 010 099 1000 0255")
	octets = append(octets, "", "-", "1a", "\xb1", "/", ":", "2\xae5")
	for _, a := range octets {
		for _, b := range octets {
			for _, c := range octets {
				checkQuad(t, a+"."+b+"."+c+"."+octets[r.IntN(len(octets))], r)
				checkQuad(t, octets[r.IntN(len(octets))]+"."+a+"."+b+"."+c, r)
			}
		}
	}
	chars := "0123456789.................-:\xae\xb0/ "
	for range 300000 {
		s := make([]byte, r.IntN(18))
		for i := range s {
			s[i] = chars[r.IntN(len(chars))]
		}
		checkQuad(t, string(s), r)
	}
	for size := range 24 {
		for range 3000 {
			s := make([]byte, size)
			for i := range s {
				s[i] = byte('0' + r.IntN(10))
			}
			checkNumber(t, string(s), r)
			if size > 0 {
				s[r.IntN(size)] = byte(r.Uint32())
				checkNumber(t, string(s), r)
			}
		}
	}
}

func FuzzFastValues(f *testing.F) {
	for _, s := range []string{"", "0", "1.2.3.4", "255.255.255.255", "1234567890123456", "12345678901234567"} {
		f.Add(s, uint64(1))
	}
	f.Fuzz(func(t *testing.T, s string, seed uint64) {
		r := rand.New(rand.NewPCG(seed, seed))
		checkQuad(t, s, r)
		checkNumber(t, s, r)
	})
}

func TestSeparatorsAreFoundExactly(t *testing.T) {
	r, s := rand.New(rand.NewPCG(6, 6)), newScan()
	for _, sep := range []byte(" ,\t|") {
		for _, quote := range []byte{0, '"', '\''} {
			chars := []byte{sep, sep, sep, sep ^ 0x80, '\n', '\n' + 0x80, sep + 1, sep - 1, 'x', 'x', 0, 0xff, quote, quote ^ 0x80, '.', '-', '0', '\r'}
			for range 10000 {
				text := make([]byte, 1+r.IntN(100))
				for i := range text {
					text[i] = chars[r.IntN(len(chars))]
				}
				checkSeparators(t, s, text, sep, quote)
			}
			checkSeparators(t, s, []byte(strings.Repeat(string(sep), scanSize-1)+"\n"), sep, quote)
			checkSeparators(t, s, []byte(strings.Repeat(string(sep), scanSize)), sep, quote)
			checkSeparators(t, s, []byte(strings.Repeat("x"+string(sep), scanSize/2-1)+"\n"), sep, quote)
		}
	}
}

// checkSeparators checks that places has all separators, quotes and ends of lines, and nothing
// else but bytes that are taken for odd.
func checkSeparators(t *testing.T, s *scan, text []byte, sep, quote byte) {
	t.Helper()
	if size := s.load(text, 0, sep, quote); size != len(text) {
		t.Fatalf("%d bytes of %q taken, not %d", size, text, len(text))
	}
	if text[len(text)-1] != '\n' {
		text = append(text, '\n')
	}
	want := []byte{slack - 1, 0}
	for i, c := range text {
		if limit := max(sep, quote, '\r'); c == sep || c == '\n' || c == '\r' || c == quote && limit > ',' || c <= limit && limit <= ',' {
			want = append(want, byte(i+slack), byte((i+slack)>>8))
		}
	}
	if string(s.places[:s.found]) != string(want) {
		t.Fatalf("places of %q: % x, want % x", text, s.places[:s.found], want)
	}
}
