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
