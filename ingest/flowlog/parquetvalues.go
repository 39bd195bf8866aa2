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
	offs  []uint32 // where each text begins, and one more: where the last ends, or another would begin
	gap   uint32   // bytes before each text, which are its length; 0 or sizeBytes

	// Memory for values that are not plain: own of text, or of fixed.
	own []byte
	i32 []int32
	i64 []int64
	f64 []float64
}

// sizeBytes is how many bytes the length of a plain text has.
const sizeBytes = 4

func (v *parquetValues) clear() { v.fixed, v.offs = nil, v.offs[:0] }

var errWithin = errors.New("a page is damaged: it ends within a value")

// decode sets v to the values of the kind that are encoded in data. They may stay there.
func (v *parquetValues) decode(kind parquet.Kind, encoding format.Encoding, data []byte) (err error) {
	e := parquet.LookupEncoding(encoding)
	switch kind {
	case parquet.Int32:
		v.width = 4
	case parquet.Int64, parquet.Double:
		v.width = 8
	default:
		if encoding == format.Plain {
			return v.plainTexts(data)
		}
		v.own, v.offs, err = e.DecodeByteArray(v.own[:0], data, v.offs[:0])
		v.text, v.gap = v.own, 0
		return err
	}
	if encoding == format.Plain {
		if len(data)%v.width != 0 {
			return errWithin
		}
		v.fixed = data
		return nil
	}
	v.own = v.own[:0]
	switch kind {
	case parquet.Int32:
		v.i32, err = e.DecodeInt32(v.i32[:0], data)
		for _, n := range v.i32 {
			v.own = binary.LittleEndian.AppendUint32(v.own, uint32(n))
		}
	case parquet.Int64:
		v.i64, err = e.DecodeInt64(v.i64[:0], data)
		for _, n := range v.i64 {
			v.own = binary.LittleEndian.AppendUint64(v.own, uint64(n))
		}
	default:
		v.f64, err = e.DecodeDouble(v.f64[:0], data)
		for _, n := range v.f64 {
			v.own = binary.LittleEndian.AppendUint64(v.own, math.Float64bits(n))
		}
	}
	v.fixed = v.own
	return err
}

// plainTexts finds the texts in data.
func (v *parquetValues) plainTexts(data []byte) error {
	v.text, v.offs, v.gap = data, v.offs[:0], sizeBytes
	for at := 0; ; {
		v.offs = append(v.offs, uint32(at+sizeBytes))
		if at == len(data) {
			return nil
		}
		if len(data)-at < sizeBytes {
			return errWithin
		}
		n := binary.LittleEndian.Uint32(data[at:])
		at += sizeBytes
		if uint64(n) > uint64(len(data)-at) {
			return errWithin
		}
		at += int(n)
	}
}

func (v *parquetValues) len() int {
	if v.width > 0 {
		return len(v.fixed) / v.width
	}
	return max(0, len(v.offs)-1)
}

// bytes returns the text at place p.
func (v *parquetValues) bytes(p int) []byte { return v.text[v.offs[p] : v.offs[p+1]-v.gap] }

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
