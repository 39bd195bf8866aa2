package inflate

import "math/bits"

const (
	maxMatch = 304 // bytes that may be written for a match, which has 258
	litMask  = 1<<litRoot - 1
	distMask = 1<<distRoot - 1
	near     = 16 // from this distance on, a chunk does not overlap what it is copied from
)

// decodeFast decodes a block as long as there is plenty of input and of room for the
// output, and reports whether the block has ended. It does what decodeOne does; what
// makes it fast:
//
//   - The buffer of bits is filled up to 56 or more with one load and without a branch.
//     Bits beyond those counted are what follows in the input, so that loading them
//     again changes nothing.
//   - Fields of the decoder are local variables, and of a count of bits only the lowest
//     six matter, so that entries need not be masked before they are subtracted.
//   - The entry for what follows a match is looked up before the match is copied.
//   - Up to three literals are written by one store, and matches in whole chunks. What
//     is written too much is overwritten by what follows.
func (d *decoder) decodeFast() (end bool, err error) {
	if len(d.in)-d.ip <= inStart {
		return false, nil
	}
	buf, nbits := d.bits, d.nbits
	ip, op := d.ip, d.op
	packed := &d.packed
	what := ""

	buf |= le.Uint64(d.in[ip:]) << (nbits & bitsMask)
	ip += int(^nbits & bitsMask >> 3)
	nbits |= 56
	e := packed[buf&litMask]
	for ip < len(d.in)-inSlack && op < len(d.out)-outSlack {
		// Both are arrays so that what follows needs few checks: 15 bytes are read at
		// most, and 7 are written before a match.
		in := (*[inSlack]byte)(d.in[ip:])
		out := (*[outSlack]byte)(d.out[op:])
		used := ^nbits & bitsMask >> 3
		buf |= le.Uint64(in[:]) << (nbits & bitsMask)
		nbits |= 56
		written := uint(0)
		// Three entries of literals take 33 bits at most and a length 20.
		if e&notLiterals == 0 {
			buf >>= e & bitsMask
			nbits -= uint(e)
			putLiterals(out[:4], e)
			written = uint(e >> countShift & countMask)
			e = packed[buf&litMask]
			if e&notLiterals == 0 {
				buf >>= e & bitsMask
				nbits -= uint(e)
				putLiterals(out[written:written+4], e)
				written += uint(e >> countShift & countMask)
				e = packed[buf&litMask]
				if e&notLiterals == 0 {
					buf >>= e & bitsMask
					nbits -= uint(e)
					putLiterals(out[written:written+4], e)
					written += uint(e >> countShift & countMask)
					e = packed[buf&litMask]
					ip += int(used)
					op += int(written)
					continue
				}
			}
		}
		saved := buf
		buf >>= e & bitsMask
		nbits -= uint(e)
		if e&notLength != 0 {
			if e&kindLink != 0 {
				e = d.single[e>>offsetShift&offsetMask+uint32(buf)&(1<<(e>>secondShift&codeMask)-1)]
				saved = buf
				buf >>= e & bitsMask
				nbits -= uint(e)
				if e&notLiterals == 0 {
					out[written] = byte(e >> litShift)
					e = packed[buf&litMask]
					ip += int(used)
					op += int(written) + 1
					continue
				}
			}
			if e&notLength != 0 {
				if end = e&kindEnd != 0; !end {
					what = "no symbol of the code"
				}
				ip += int(used)
				op += int(written)
				break
			}
		}
		out[written] = byte(e >> litShift)
		written += uint(e >> countShift & countMask)
		length := uint(e>>baseShift&lengthMask) + uint(saved&(1<<(e&bitsMask)-1)>>(e>>lenCode&codeMask))

		buf |= le.Uint64(in[used:used+8]) << (nbits & bitsMask)
		used += ^nbits & bitsMask >> 3
		nbits |= 56
		ip += int(used)
		op += int(written)
		e = d.dist[buf&distMask]
		if e&notDistance != 0 {
			if e&kindLink != 0 {
				buf >>= distRoot
				nbits -= distRoot
				e = d.dist[e>>offsetShift&offsetMask+uint32(buf)&(1<<(e>>secondShift&codeMask)-1)]
			}
			if e&notDistance != 0 {
				what = "no symbol of the code for distances"
				break
			}
		}
		distance := int(e>>baseShift) + int(buf&(1<<(e&bitsMask)-1)>>(e>>distCode&codeMask))
		buf >>= e & bitsMask
		nbits -= uint(e)
		e = packed[buf&litMask] // 28 bits are left

		if distance > op-d.low {
			what = "match from before the beginning"
			break
		}
		if distance >= near {
			to := out[written:][:maxMatch]
			from := (*[maxMatch]byte)(d.out[op-distance:])
			*(*[16]byte)(to) = *(*[16]byte)(from[:])
			*(*[16]byte)(to[16:]) = *(*[16]byte)(from[16:])
			for i := uint(32); i < length; i += 16 {
				*(*[16]byte)(to[i:]) = *(*[16]byte)(from[i:])
			}
		} else {
			for i := range int(length) {
				d.out[op+i] = d.out[op-distance+i]
			}
		}
		op += int(length)
	}
	// The careful path counts bits exactly.
	nbits &= bitsMask
	ip -= int(nbits >> 3)
	nbits &= 7
	d.bits, d.nbits = buf&(1<<nbits-1), nbits
	d.ip, d.op = ip, op
	if what != "" {
		err = d.corrupt(what)
	}
	return end, err
}

// putLiterals writes the literals of e. The rotation, unlike a shift, keeps the compiler
// from seeing that it could write them byte by byte.
func putLiterals(p []byte, e uint32) { le.PutUint32(p, bits.RotateLeft32(e, -litShift)) }
