package flowlog

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// parquetValues are the values of a page or dictionary: numbers of fixed width, or text.
type parquetValues struct {
	width int    // bytes of a number; 0: text
	fixed []byte // the numbers, the lowest byte first
	text  []byte
	offs  []uint32 // where each text begins, and the last ends

	// Memory for what is not plain.
	i32   []int32
	i64   []int64
	f64   []float64
	plain []byte
}

func (v *parquetValues) clear() { v.fixed, v.text, v.offs = nil, v.text[:0], v.offs[:0] }

// decode sets v to the values of the kind that are encoded in data. Numbers may stay there.
func (v *parquetValues) decode(kind parquet.Kind, encoding format.Encoding, data []byte) (err error) {
	e := parquet.LookupEncoding(encoding)
	switch kind {
	case parquet.Int32:
		v.width = 4
	case parquet.Int64, parquet.Double:
		v.width = 8
	default:
		v.text, v.offs, err = e.DecodeByteArray(v.text[:0], data, v.offs[:0])
		return err
	}
	if encoding == format.Plain {
		if len(data)%v.width != 0 {
			return errors.New("a page is damaged: it ends within a number")
		}
		v.fixed = data
		return nil
	}
	v.plain = v.plain[:0]
	switch kind {
	case parquet.Int32:
		v.i32, err = e.DecodeInt32(v.i32[:0], data)
		for _, n := range v.i32 {
			v.plain = binary.LittleEndian.AppendUint32(v.plain, uint32(n))
		}
	case parquet.Int64:
		v.i64, err = e.DecodeInt64(v.i64[:0], data)
		for _, n := range v.i64 {
			v.plain = binary.LittleEndian.AppendUint64(v.plain, uint64(n))
		}
	default:
		v.f64, err = e.DecodeDouble(v.f64[:0], data)
		for _, n := range v.f64 {
			v.plain = binary.LittleEndian.AppendUint64(v.plain, math.Float64bits(n))
		}
	}
	v.fixed = v.plain
	return err
}

func (v *parquetValues) len() int {
	if v.width > 0 {
		return len(v.fixed) / v.width
	}
	return max(0, len(v.offs)-1)
}

// bytes returns the text at place p.
func (v *parquetValues) bytes(p int) []byte { return v.text[v.offs[p]:v.offs[p+1]] }

// int returns the number at place p, with its sign.
func (v *parquetValues) int(p int) int64 {
	if v.width == 4 {
		return int64(int32(binary.LittleEndian.Uint32(v.fixed[4*p:])))
	}
	return int64(binary.LittleEndian.Uint64(v.fixed[8*p:]))
}

// float returns the floating-point number at place p.
func (v *parquetValues) float(p int) float64 {
	return math.Float64frombits(binary.LittleEndian.Uint64(v.fixed[8*p:]))
}
