package inflate

import "math/bits"

// A decode table is looked up with the next bits of the input, litRoot or distRoot of
// them, and says what they begin with. Codes that are longer have a link there to a
// second table, which all have the same size, for their remaining bits. Wider tables
// would leave less of the first-level cache to the window.
const (
	maxCode  = 15 // bits of the longest code
	litRoot  = 11
	distRoot = 9

	maxLits  = 288 // symbols for literals and lengths, with the two that never occur
	maxDists = 32  // symbols for distances, with the two that never occur

	// At least two codes share each second table.
	litSize  = 1<<litRoot + maxLits/2<<(maxCode-litRoot)
	distSize = 1<<distRoot + maxDists/2<<(maxCode-distRoot)
)

// An entry of a table for literals and lengths is one of
//
//	 31   30   29-25    24-16  15-8     7-6    5-0
//	┌───┬──────────────┬──────┬────────┬──────┬──────┐
//	│ 0 │ third literal│second│ first  │ 1-3  │ bits │  literals
//	├───┼───┬──────────┼──────┼────────┼──────┼──────┤
//	│ 1 │ 0 │ code     │ base │literal │ 0, 1 │ bits │  length, maybe after a literal
//	├───┼───┼──────────┴──────┼────────┼──────┼──────┤
//	│ 1 │ 1 │          offset │ kind   │ 0    │ bits │  anything else
//	└───┴───┴─────────────────┴────────┴──────┴──────┘
//
// bits is how many bits of input the entry stands for. The last of those of a length
// are its extra bits, to be added to base; code is how many come before them. The third
// literal has 7 bits, the second begins at bit 16. Entries for distances are
//
//	 31   30-16  15-12  11-8   7-6   5-0
//	┌───┬───────┬──────┬──────┬─────┬──────┐
//	│ 0 │ base  │      │ code │     │ bits │  distance
//	├───┼───────┼──────┼──────┼─────┼──────┤
//	│ 1 │ offset│ kind │second│     │ bits │  anything else
//	└───┴───────┴──────┴──────┴─────┴──────┘
//
// A link's offset is where its second table begins, and second how many bits it is
// looked up with.
const (
	bitsMask    = 63 // also what shift counts are taken modulo
	countShift  = 6
	countMask   = 3
	litShift    = 8
	baseShift   = 16
	lengthMask  = 1<<9 - 1
	lenCode     = 25 // shift of code in an entry for a length
	distCode    = 8  // and for a distance
	codeMask    = 15
	secondShift = 8
	offsetShift = 16
	offsetMask  = 1<<13 - 1

	notLiterals = 1 << 31 // in a table for literals and lengths
	notLength   = 1 << 30 // and nothing of the kind
	notDistance = 1 << 31 // in a table for distances
	kindLink    = 1 << 12
	kindEnd     = 1 << 13 // end of block; what is neither this nor a link is invalid
)

// symbol is what a symbol's entry is made of: base plus perBit for each bit of its code.
type symbol struct{ base, perBit uint32 }

var (
	litSymbols  = makeLitSymbols()
	distSymbols = makeDistSymbols()
	codeSymbols = makeCodeSymbols()
)

func makeLitSymbols() (s [maxLits]symbol) {
	for i := range 256 {
		s[i] = symbol{uint32(i)<<litShift | 1<<countShift, 1}
	}
	s[256] = symbol{notLiterals | notLength | kindEnd, 1}
	base := uint32(3)
	for i := 257; i < 285; i++ {
		extra := uint32(0)
		if i >= 265 {
			extra = uint32(i-261) / 4
		}
		s[i] = symbol{notLiterals | base<<baseShift | extra, 1 + 1<<lenCode}
		base += 1 << extra
	}
	s[285] = symbol{notLiterals | 258<<baseShift, 1 + 1<<lenCode}
	for i := 286; i < maxLits; i++ {
		s[i] = symbol{notLiterals | notLength, 1}
	}
	return s
}

func makeDistSymbols() (s [maxDists]symbol) {
	base := uint32(1)
	for i := range 30 {
		extra := uint32(0)
		if i >= 4 {
			extra = uint32(i-2) / 2
		}
		s[i] = symbol{base<<baseShift | extra, 1 + 1<<distCode}
		base += 1 << extra
	}
	for i := 30; i < maxDists; i++ {
		s[i] = symbol{notDistance, 1}
	}
	return s
}

// makeCodeSymbols makes the symbols of the code in which the lengths of the other codes
// are written. Their entries are like those of distances.
func makeCodeSymbols() (s [19]symbol) {
	for i := range s {
		s[i] = symbol{uint32(i) << baseShift, 1}
	}
	return s
}

// build fills a table for the canonical code whose symbols have codes of the given
// lengths, 0 for those that have none, and reports whether it is one: that every
// sequence of bits means something. As with the libraries, a code may also be empty or
// have one symbol, of one bit; what else the input says then meets an entry none.
//
// Codes are assigned in order of length, and a code of n bits fills every 2ⁿth entry.
// So the table is filled at the size that the length in hand needs, and doubled by
// copying when the length grows.
func build(table []uint32, root uint, lengths []uint8, symbols []symbol, none uint32) bool {
	var count, next [maxCode + 1]int
	longest := uint(0)
	for _, n := range lengths {
		count[n]++
		longest = max(longest, uint(n))
	}
	if longest == 0 {
		fill(table[:1<<root], none+1)
		return true
	}
	count[0] = 0
	code, codes := 0, 0 // as far as codes of one length reach; how many symbols
	for n := 1; n <= int(longest); n++ {
		next[n] = codes
		codes += count[n]
		code = code<<1 + count[n]
	}
	switch {
	case code == 1 && longest == 1:
		for s, n := range lengths {
			if n == 1 {
				fill(table[:1<<root], none+1)
				for i := 0; i < 1<<root; i += 2 {
					table[i] = symbols[s].base + symbols[s].perBit
				}
			}
		}
		return true
	case code != 1<<longest:
		return false
	}
	var sorted [maxLits]uint16 // symbols by length, then as they are numbered
	for s, n := range lengths {
		if n != 0 {
			sorted[next[n]] = uint16(s)
			next[n]++
		}
	}

	order := sorted[:codes]
	at := uint32(0) // the code in hand, its first bit lowest
	size := 1 << 0  // of the table so far
	n := uint(0)
	for ; n <= root && len(order) > 0; n++ {
		if n > 0 {
			copy(table[size:2*size], table[:size])
			size *= 2
		}
		for _, s := range order[:count[n]] {
			table[at] = symbols[s].base + symbols[s].perBit*uint32(n)
			at = increment(at, n)
		}
		order = order[count[n]:]
	}
	for ; size < 1<<root; size *= 2 {
		copy(table[size:2*size], table[:size])
	}

	second := longest - root // bits of the second tables, if there are any
	end, prefix := 1<<root, uint32(1<<root)
	for ; len(order) > 0; n++ {
		for _, s := range order[:count[n]] {
			if p := at & (1<<root - 1); p != prefix {
				prefix = p
				table[p] = linkTo(end, root, second)
				end += 1 << second
			}
			rest := uint32(n - root)
			e := symbols[s].base + symbols[s].perBit*rest
			for i := at >> root; i < 1<<second; i += 1 << rest {
				table[end-1<<second+int(i)] = e
			}
			at = increment(at, n)
		}
		order = order[count[n]:]
	}
	return true
}

func fill(table []uint32, e uint32) {
	for i := range table {
		table[i] = e
	}
}

// linkTo makes the entry of the table for literals or distances that links to offset.
// The flags of the two do not meet.
func linkTo(offset int, root, second uint) uint32 {
	return notLiterals | notLength | kindLink | uint32(offset)<<offsetShift | uint32(second)<<secondShift | uint32(root)
}

// increment returns the code of n bits that follows, its first bit lowest. What follows
// the last code does not matter.
func increment(code uint32, n uint) uint32 {
	free := ^code & (1<<n - 1)
	if free == 0 {
		return 0
	}
	top := uint32(1) << (bits.Len32(free) - 1)
	return code&(top-1) | top
}

// pack makes of a table whose entries stand for one symbol each one whose entries stand
// for up to three literals, or for a literal and a length, if their codes together fit
// the bits by which the table is looked up. In logs a match follows after no or one
// literal five times out of six, and what the processor need not guess it cannot guess
// wrongly.
func pack(packed *[1 << litRoot]uint32, single *[litSize]uint32) {
	for i := range uint32(1 << litRoot) {
		e := single[i]
		packed[i] = e
		if e&notLiterals != 0 {
			continue
		}
		n := e & bitsMask
		f := single[i>>n]
		if f&notLiterals != 0 {
			if f&notLength == 0 && n+f>>lenCode&codeMask <= litRoot {
				packed[i] = f + n + n<<lenCode | e&(countMask<<countShift|255<<litShift)
			}
			continue
		}
		m := n + f&bitsMask
		if m > litRoot {
			continue
		}
		e = m | 2<<countShift | e&(255<<litShift) | f&(255<<litShift)<<8
		if g := single[i>>m]; g&notLiterals == 0 && m+g&bitsMask <= litRoot && g < 128<<litShift {
			e += g&bitsMask + 1<<countShift + g&(127<<litShift)<<16
		}
		packed[i] = e
	}
}
