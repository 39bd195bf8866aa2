package flowlog

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/snappy"
)

// snappyTexts are what pages may hold: numbers of eight bytes in every mix of repetition,
// text, noise, long runs, and next to nothing.
func snappyTexts() (texts [][]byte) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{0, 1, 7, 15, 16, 17, 33, 100, 5000, 200_000} {
		for _, values := range []int{1, 2, 30, 1000, 1 << 30} {
			for _, width := range []int{1, 3, 4, 8, 21} {
				b := make([]byte, 0, size+width)
				for len(b) < size {
					var v [24]byte
					binary.LittleEndian.PutUint64(v[:], uint64(rng.IntN(values))*0x9e3779b9)
					b = append(b, v[:width]...)
				}
				texts = append(texts, b[:size])
			}
		}
	}
	return texts
}

// unsnapped decompresses a block to at most that many bytes.
func unsnapped(stored []byte, most int) ([]byte, error) {
	return unsnappy(append(make([]byte, most), stored...), most, most)
}

func TestSnappyIsThatOfTheLibrary(t *testing.T) {
	t.Parallel()
	for _, text := range snappyTexts() {
		for name, stored := range map[string][]byte{
			"snappy": snappy.Encode(nil, text),
			"better": s2.EncodeSnappyBetter(nil, text),
			"best":   s2.EncodeSnappyBest(nil, text),
		} {
			got, err := unsnapped(stored, len(text))
			if err != nil || !bytes.Equal(got, text) {
				t.Fatalf("%s, %d bytes: error %v, or other bytes", name, len(text), err)
			}
			if len(text) > 0 {
				if _, err := unsnapped(stored, len(text)-1); err != errExpands {
					t.Fatalf("%s, %d bytes, one too many: error %v", name, len(text), err)
				}
			}
		}
	}
}

// TestSnappyElements reads every kind and length of element at every distance.
func TestSnappyElements(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	for range 20_000 {
		var stored, want []byte
		for len(want) < 300 {
			n := 1 + rng.IntN(64)
			if rng.IntN(2) == 0 {
				n = 1 + rng.IntN(18)
			}
			offset := 1 + rng.IntN(max(1, len(want)))
			if rng.IntN(2) == 0 {
				offset = 1 + (offset-1)%20
			}
			kind := rng.IntN(4)
			if len(want) == 0 {
				kind = 0
			}
			offset = min(offset, max(1, len(want)))
			switch kind {
			case 0:
				text := make([]byte, n)
				for i := range text {
					text[i] = byte(rng.Uint32())
				}
				switch extra := rng.IntN(6); {
				case extra > 0 && extra < 5: // a length of its own, longer than it need be
					stored = append(stored, byte(59+extra)<<2)
					var length [8]byte
					binary.LittleEndian.PutUint64(length[:], uint64(n-1))
					stored = append(stored, length[:extra]...)
				case n > 60:
					stored = append(stored, 60<<2, byte(n-1))
				default:
					stored = append(stored, byte(n-1)<<2)
				}
				stored, want = append(stored, text...), append(want, text...)
				continue
			case 1:
				n = 4 + rng.IntN(8)
				stored = append(stored, byte(offset>>8<<5|(n-4)<<2|1), byte(offset))
			case 2:
				stored = append(stored, byte(n-1)<<2|2, byte(offset), byte(offset>>8))
			case 3:
				stored = append(stored, byte(n-1)<<2|3, byte(offset), byte(offset>>8), 0, 0)
			}
			for range n {
				want = append(want, want[len(want)-offset])
			}
		}
		stored = append(binary.AppendUvarint(nil, uint64(len(want))), stored...)
		if library, err := snappy.Decode(nil, stored); err != nil || !bytes.Equal(library, want) {
			t.Fatal("the test writes no snappy data", err)
		}
		if got, err := unsnapped(stored, len(want)); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("error %v, or other bytes, of % x", err, stored)
		}
	}
}

// FuzzSnappy compares what becomes of damaged blocks with the library's strict decoder.
func FuzzSnappy(f *testing.F) {
	for _, text := range snappyTexts() {
		if len(text) <= 5000 {
			f.Add(snappy.Encode(nil, text), uint32(len(text)/2), byte(1))
		}
	}
	f.Fuzz(func(t *testing.T, stored []byte, at uint32, change byte) {
		if len(stored) > 0 {
			stored = bytes.Clone(stored)
			stored[int(at)%len(stored)] ^= change
		}
		const most = 1 << 20
		got, err := unsnapped(stored, most)
		if n, claim := snappy.DecodedLen(stored); claim == nil && n > most {
			if err == nil {
				t.Fatalf("%d bytes of at most %d", n, most)
			}
			return // the library would make room for what is claimed
		}
		want, wantErr := snappy.DecodeStrict(nil, stored)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("error %v, want %v", err, wantErr)
		}
		if err == nil && !bytes.Equal(got, want) {
			t.Fatalf("%d bytes, want %d others", len(got), len(want))
		}
	})
}

func BenchmarkSnappyNumbers(b *testing.B) {
	rng := rand.New(rand.NewPCG(5, 6))
	var text []byte
	for range 30_000 {
		text = binary.LittleEndian.AppendUint64(text, uint64(1_700_000_000+rng.IntN(3000)))
	}
	stored := snappy.Encode(nil, text)
	buf := append(make([]byte, len(text)), stored...)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		unsnappy(buf, len(text), len(text))
	}
}
