package store

import (
	"cmp"
	"slices"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// Print shows whether the records of an interface that begin on one day and have one verdict
// were delivered more than once, by two flow logs or twice by one, whatever the files, their
// formats and the order: Sum is the exclusive or of a hash of each record, which is zero if
// every record came an even number of times, and else but by a chance of one in 2^64.
type Print struct {
	Day     int32 // Unix
	Reject  bool
	Records uint64
	Sum     uint64
}

// leastTwice is how many records there must be before their coming in pairs means anything:
// a log of few fields may well have two lines that are the same.
const leastTwice = 8

// Twice returns the Unix days, ascending, on which every accepted record, or every refused
// one, came twice or another even number of times. They count as often as they came.
func (c *Coverage) Twice() []int32 { return Twice(slices.Clone(c.Prints)) }

// Twice is [Coverage.Twice] of all prints of one interface, in any order. It reuses list.
func Twice(list []Print) []int32 {
	var days []int32
	for _, p := range mergePrints(list) {
		if p.Sum == 0 && p.Records >= leastTwice && p.Records%2 == 0 {
			days = append(days, p.Day)
		}
	}
	return slices.Compact(days)
}

// dayPrint is what some records add to a Print.
type dayPrint struct{ records, sum uint64 }

// print notes record i of b, which is of a flow. Times that are not sound are of no day.
func (s *sightings) print(b *Batch, i int) {
	start, last, action := b.Start[i], b.End[i], b.Action[i]
	if start > last || action != flow.Accept && action != flow.Reject || !b.Src[i].IsValid() || !b.Dst[i].IsValid() {
		return
	}
	one := dayPrint{1, hashRecord(b, i)}
	if s.dayFrom <= start && start < s.dayTo {
		p := &s.today[(action-flow.Accept)&1]
		p.records++
		p.sum ^= one.sum
		return
	}
	s.addPrint(dayOf(start), action == flow.Reject, one)
}

// addPrint adds p to the print of a day and verdict, if it is a day that counts.
func (s *sightings) addPrint(day int64, reject bool, p dayPrint) {
	if day < 0 || day > maxDay || p.records == 0 {
		return
	}
	k := Print{Day: int32(day), Reject: reject}
	at, found := slices.BinarySearchFunc(s.prints, k, comparePrints)
	if !found {
		s.prints = slices.Insert(s.prints, at, k)
	}
	s.prints[at].Records += p.records
	s.prints[at].Sum ^= p.sum
}

// settle adds what is of today to its prints.
func (s *sightings) settle() {
	day := dayOf(s.dayFrom)
	s.addPrint(day, false, s.today[0])
	s.addPrint(day, true, s.today[1])
	s.today = [2]dayPrint{}
}

func comparePrints(a, b Print) int {
	return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(b2i(a.Reject), b2i(b.Reject)))
}

// mergePrints sorts prints and makes one of those of the same day and verdict. It reuses list.
func mergePrints(list []Print) []Print {
	slices.SortFunc(list, comparePrints)
	out := list[:0]
	for _, p := range list {
		if n := len(out); n > 0 && comparePrints(out[n-1], p) == 0 {
			out[n-1].Records = saturatingAdd(out[n-1].Records, p.Records)
			out[n-1].Sum ^= p.Sum
			continue
		}
		out = append(out, p)
	}
	return out
}

// hashRecord returns a hash of the fields that every format has. It is the same in every run:
// stores keep sums of it.
func hashRecord(b *Batch, i int) uint64 {
	src, dst := b.Src[i], b.Dst[i]
	rest := uint64(b.SrcPort[i])<<32 | uint64(b.DstPort[i])<<16 | uint64(b.Proto[i])<<8 | uint64(b.Action[i])
	h := mix(src.Lo^0xa0761d6478bd642f, dst.Lo^0xe7037ed1a0b428db) ^ mix(src.Hi^0x8ebc6af09c88c6e3, dst.Hi^0x589965cc75374cc3)
	h = mix(h^rest, 0x1d8e4e27c47d124f) ^ mix(uint64(b.Start[i])^0xeb44accab455d165, uint64(b.End[i])^0x9e3779b97f4a7c15)
	return mix(h^0xa0761d6478bd642f, mix(b.Packets[i]^0xd6e8feb86659fd93, b.Bytes[i]^0xc2b2ae3d27d4eb4f)^0x8ebc6af09c88c6e3)
}
