package inflate

import (
	"math/rand/v2"
	"testing"
)

// FuzzReader compares with the library on what follows the header of a gzip file, and
// on that with a member before it.
func FuzzReader(f *testing.F) {
	rng := rand.New(rand.NewPCG(13, 14))
	for level := -2; level <= 9; level++ {
		f.Add(compress(logText(100*(level+3)), level)[10:])
	}
	for i := range 6 {
		f.Add(randomStream(rng, 1+i%3, 30*i+2).gzip()[10:])
	}
	f.Add(reaching(1)[10:])
	f.Add([]byte{})
	first := compress(logText(1000), 6)
	f.Fuzz(func(t *testing.T, data []byte) {
		z := append([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"), data...)
		check(t, "alone", z)
		check(t, "second", append(first[:len(first):len(first)], z...))
	})
}

// FuzzDamaged compares with the library on a file that compressors write, with a byte
// changed and the end cut off.
func FuzzDamaged(f *testing.F) {
	for level := -2; level <= 9; level++ {
		f.Add(logText(200*(level+3)), int8(level), uint16(level*13), byte(level), uint16(0))
	}
	f.Add([]byte("aaaaaaaaaaaaaaaaaaaaaaaaab"), int8(6), uint16(0), byte(0), uint16(3))
	f.Fuzz(func(t *testing.T, text []byte, level int8, at uint16, change byte, cut uint16) {
		z := compress(text, int(uint8(level)%12)-2)
		if i := 10 + int(at); i < len(z) { // the flags are other than the library's
			z[i] ^= change
		}
		check(t, "damaged", z[:max(0, len(z)-int(cut))])
	})
}
