package flowlog

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// within puts s into text that must not show in what is read of it.
func within(s string, r *rand.Rand) (b []byte, lo, hi uint) {
	const around = "0123456789. -/:\xa0\xae\x00\xff9"
	for range valueSlack {
		b = append(b, around[r.IntN(len(around))])
	}
	lo = uint(len(b))
	b = append(b, s...)
	hi = uint(len(b))
	for range valueSlack {
		b = append(b, around[r.IntN(len(around))])
	}
	return b, lo, hi
}

func checkQuad(t *testing.T, s string, r *rand.Rand) {
	t.Helper()
	b, lo, hi := within(s, r)
	got, wrong := quad(b, lo, hi)
	want, ok := parseIPv4([]byte(s))
	if ok != (wrong == 0) || ok && got != want {
		t.Fatalf("quad(%q) = %#x, wrong %#x, want %#x, %v", s, got, wrong, want, ok)
	}
}

func checkNumber(t *testing.T, s string, r *rand.Rand) {
	t.Helper()
	b, lo, hi := within(s, r)
	got, wrong := number(b, lo, hi)
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
	r := rand.New(rand.NewPCG(6, 6))
	for _, sep := range []byte(" ,\t|") {
		chars := []byte{sep, sep, sep ^ 0x80, sep + 1, sep - 1, 'x', 0, 0xff}
		for range 20000 {
			text := make([]byte, r.IntN(100))
			for i := range text {
				text[i] = chars[r.IntN(len(chars))]
			}
			checkSeparators(t, text, sep)
		}
		checkSeparators(t, []byte(strings.Repeat(string(sep), scanSize)), sep)
		checkSeparators(t, []byte(strings.Repeat("x"+string(sep), scanSize/2)), sep)
	}
}

func checkSeparators(t *testing.T, text []byte, sep byte) {
	t.Helper()
	var b placeBuffer
	n := b.scan(text, 7, sep)
	var want []byte
	for i, c := range text {
		if c == sep {
			want = append(want, byte(i+7), byte((i+7)>>8))
		}
	}
	if string(b[placesFront:n]) != string(want) {
		t.Fatalf("places of %q: % x, want % x", text, b[placesFront:n], want)
	}
}
