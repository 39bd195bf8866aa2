package classify

import (
	"testing"

	"github.com/sgadvise/sgadvise/engine/policy"
)

// tape is a source that reads its numbers from bytes, and then says 0 for ever.
type tape struct{ rest []byte }

func (t *tape) IntN(n int) int {
	v := 0
	for room := 1; room < n; room <<= 8 {
		if len(t.rest) == 0 {
			return 0
		}
		v = v<<8 | int(t.rest[0])
		t.rest = t.rest[1:]
	}
	return v % n
}

// FuzzDecide builds a path and keys from bytes and compares the table with the
// definition.
func FuzzDecide(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{2, 0, 1, 1, 3, 9, 7, 5, 3, 1, 8, 6, 4, 2, 0, 255, 128, 64, 32, 16, 8, 4, 2, 1})
	f.Add([]byte("the quick brown fox jumps over the lazy dog, again and again and again and again, until the tape ends"))
	f.Fuzz(func(t *testing.T, data []byte) {
		src := &tape{data}
		var path []policy.Stage
		for i := range src.IntN(4) {
			path = append(path, randomStage(src, i, 70))
		}
		c := newChecker(path)
		b := boundsOf(path)
		for i := 0; i < 20; i++ {
			k := b.key(src)
			if err := c.check(&k); err != nil {
				t.Fatalf("%v\npath: %+v", err, path)
			}
			if len(src.rest) == 0 {
				return
			}
		}
	})
}
