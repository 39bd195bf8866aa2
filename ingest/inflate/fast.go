package inflate

const (
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
	in, out := d.in, d.out
	ip, op, low := d.ip, d.op, d.low
	inEnd, outEnd := len(in)-inSlack, len(out)-outSlack
	if len(in)-ip <= inStart {
		return false, nil
	}
	bits, nbits := d.bits, d.nbits
	packed := &d.packed
	what := ""

	bits |= le.Uint64(in[ip:]) << (nbits & bitsMask)
	ip += int(^nbits&bitsMask) >> 3
	nbits |= 56
	e := packed[bits&litMask]
	for ip < inEnd && op < outEnd {
		bits |= le.Uint64(in[ip:]) << (nbits & bitsMask)
		ip += int(^nbits&bitsMask) >> 3
		nbits |= 56
		// Three entries of literals take 33 bits at most and a length 20.
		if e&notLiterals == 0 {
			bits >>= e & bitsMask
			nbits -= uint(e)
			le.PutUint32(out[op:], e>>litShift)
			op += int(e >> countShift & countMask)
			e = packed[bits&litMask]
			if e&notLiterals == 0 {
				bits >>= e & bitsMask
				nbits -= uint(e)
				le.PutUint32(out[op:], e>>litShift)
				op += int(e >> countShift & countMask)
				e = packed[bits&litMask]
				if e&notLiterals == 0 {
					bits >>= e & bitsMask
					nbits -= uint(e)
					le.PutUint32(out[op:], e>>litShift)
					op += int(e >> countShift & countMask)
					e = packed[bits&litMask]
					continue
				}
			}
		}
		saved := bits
		bits >>= e & bitsMask
		nbits -= uint(e)
		if e&notLength != 0 {
			if e&kindLink != 0 {
				e = d.single[e>>offsetShift&offsetMask+uint32(bits)&(1<<(e>>secondShift&codeMask)-1)]
				saved = bits
				bits >>= e & bitsMask
				nbits -= uint(e)
				if e&notLiterals == 0 {
					out[op] = byte(e >> litShift)
					op++
					e = packed[bits&litMask]
					continue
				}
			}
			if e&notLength != 0 {
				if end = e&kindEnd != 0; !end {
					what = "no symbol of the code"
				}
				break
			}
		}
		out[op] = byte(e >> litShift)
		op += int(e >> countShift & countMask)
		length := int(e>>baseShift&lengthMask) + int(saved&(1<<(e&bitsMask)-1)>>(e>>lenCode&codeMask))

		bits |= le.Uint64(in[ip:]) << (nbits & bitsMask)
		ip += int(^nbits&bitsMask) >> 3
		nbits |= 56
		e = d.dist[bits&distMask]
		if e&notDistance != 0 {
			if e&kindLink == 0 {
				what = "no symbol of the code for distances"
				break
			}
			bits >>= distRoot
			nbits -= distRoot
			e = d.dist[e>>offsetShift&offsetMask+uint32(bits)&(1<<(e>>secondShift&codeMask)-1)]
			if e&notDistance != 0 {
				what = "no symbol of the code for distances"
				break
			}
		}
		distance := int(e>>baseShift) + int(bits&(1<<(e&bitsMask)-1)>>(e>>distCode&codeMask))
		bits >>= e & bitsMask
		nbits -= uint(e)
		e = packed[bits&litMask] // 28 bits are left

		if distance > op-low {
			what = "match from before the beginning"
			break
		}
		if distance >= near {
			to := out[op : op+outSlack-16]
			from := out[op-distance : op-distance+outSlack-16]
			*(*[16]byte)(to) = *(*[16]byte)(from)
			*(*[16]byte)(to[16:]) = *(*[16]byte)(from[16:])
			for i := 32; i < length; i += 16 {
				*(*[16]byte)(to[i:]) = *(*[16]byte)(from[i:])
			}
		} else {
			for i := range length {
				out[op+i] = out[op-distance+i]
			}
		}
		op += length
	}
	// The careful path counts bits exactly.
	nbits &= bitsMask
	ip -= int(nbits >> 3)
	nbits &= 7
	d.bits, d.nbits = bits&(1<<nbits-1), nbits
	d.ip, d.op = ip, op
	if what != "" {
		err = d.corrupt(what)
	}
	return end, err
}
