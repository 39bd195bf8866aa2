package digest

import (
	"math/bits"

	"github.com/sgadvise/sgadvise/engine"
)

// mostDays is the length of the longest window that is shown day by day.
const mostDays = 366

const daySeconds = 86400

// Classes is the number of classes that [Class] tells apart.
const Classes = 6

// Class puts a count into one of six classes: none, one, and below 10, 100, 1000, and
// what is beyond. It returns their digit, '0' to '5'.
func Class(n uint64) byte {
	switch {
	case n == 0:
		return '0'
	case n == 1:
		return '1'
	case n < 10:
		return '2'
	case n < 100:
		return '3'
	case n < 1000:
		return '4'
	}
	return '5'
}

// Days returns for each rule of res.Rules how many connections used it on each day of the
// window of from and to, in Unix seconds: the digit of a [Class] for each day, or "" if
// there was none. A window of more than 366 days has none at all.
//
// The store tells days apart by their number modulo 64. In a longer window a connection
// that lasted over 64 days counts for each day that it may have been seen on.
func Days(res *engine.Result, from, to int64) []string {
	out := make([]string, len(res.Rules))
	first, n := window(from, to)
	if n == 0 || n > mostDays {
		return out
	}
	counts := make([]uint32, len(res.Signatures)*n) // by signature, then day
	each(res, func(signature int32, seen *engine.Seen) {
		of := counts[int(signature)*n:][:n]
		if n > 64 { // days 64 apart share a bit; when it was first and last seen tells most of them apart
			lo, hi := max(floorDay(seen.First)-first, 0), min(floorDay(seen.Last)-first, int64(n)-1)
			for d := lo; d <= hi; d++ {
				of[d] += uint32(seen.Days >> (uint64(first+d) % 64) & 1)
			}
			return
		}
		for days := bits.RotateLeft64(seen.Days, -int(first%64)); days != 0; days &= days - 1 {
			if d := bits.TrailingZeros64(days); d < n {
				of[d]++
			}
		}
	})
	rules := make([][]int32, len(res.Rules)) // rule → signatures
	for s := range res.Signatures {
		for _, id := range res.Signatures[s].Hits {
			rules[id] = append(rules[id], int32(s))
		}
	}
	digits, sum := make([]byte, n), make([]uint64, n)
	for id := range rules {
		clear(sum)
		used := false
		for _, s := range rules[id] {
			for d, c := range counts[int(s)*n:][:n] {
				sum[d] += uint64(c)
				used = used || c > 0
			}
		}
		if !used {
			continue
		}
		for d, c := range sum {
			digits[d] = Class(c)
		}
		out[id] = string(digits)
	}
	return out
}

// each calls f with what each signature of res saw, connection by connection, those
// that are divided part by part.
func each(res *engine.Result, f func(signature int32, seen *engine.Seen)) {
	parts := res.Parts
	var whole engine.Seen
	for i, c := range res.Connections.All() {
		divided := false
		for len(parts) > 0 && parts[0].Connection == int32(i) {
			f(parts[0].Signature, &parts[0].Seen)
			parts, divided = parts[1:], true
		}
		if !divided {
			whole = engine.Seen{Records: c.Records, Packets: c.Packets, Bytes: c.Bytes, First: c.First, Last: c.Last, Days: c.Days}
			f(c.Signature, &whole)
		}
	}
}

// window returns the first Unix day of from to to and how many there are.
func window(from, to int64) (first int64, n int) {
	if to <= from {
		return 0, 0
	}
	first = floorDay(from)
	return first, int(min(floorDay(to-1)-first+1, mostDays+1))
}

func floorDay(t int64) int64 {
	d := t / daySeconds
	if t%daySeconds < 0 {
		d--
	}
	return d
}
