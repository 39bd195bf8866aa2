package store

import (
	"slices"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// BatchSize is the number of records a Batch holds at most: enough to make the
// cost per batch vanish, small enough to stay in the second-level cache together
// with what a TallyWorker makes of it (75 to 110 bytes a record, and 75 more).
const BatchSize = 2 << 10

// Batch holds up to BatchSize records as plain typed columns, all of length Len.
// The columns that few logs have, PktSrc, PktDst, Direction and Flags, may each be
// of length 0 instead: all records of the batch then lack it, as if it were full
// of zeros, and nobody spends time on it.
//
// It is filled by one decoder, handed to one TallyWorker, and reused; nobody keeps
// a reference to its columns after handing it back. The zero Batch is empty and
// ready for use.
//
// A decoder either appends to the columns, or calls [Batch.Resize] and sets
// them by index, cutting those that the log lacks to length 0. Rows whose Status is NODATA or SKIPDATA carry the interface and
// the times only; what their other columns hold is not read. Addresses are zero
// and ports 0 where the log has none.
type Batch struct {
	// Names are the interfaces that occur in this batch, and maybe others; Interface
	// indexes it. Batches with the same Series, if that is not nil, have the same Names as
	// far as both go: their reader need look at each name only once.
	Names     []string
	Interface []uint32
	Series    *Series

	Src, Dst         []flow.Addr
	PktSrc, PktDst   []flow.Addr // zero: same as Src, Dst, or not in the log
	SrcPort, DstPort []uint16
	Proto            []flow.Proto
	Direction        []flow.Direction
	Action           []flow.Action
	Status           []flow.Status
	Flags            []flow.TCPFlags
	Packets, Bytes   []uint64
	Start, End       []int64

	ids map[string]uint32 // of Names, as AppendRow knows them
}

// Series is the identity of a list of names that grows from batch to batch; see Batch.
type Series struct{ _ byte } // not of size zero: each has its own address

// Len returns the number of records in b.
func (b *Batch) Len() int { return len(b.Interface) }

// Reset empties b and keeps its memory.
func (b *Batch) Reset() {
	b.Resize(0)
	clear(b.Names)
	b.Names, b.Series = b.Names[:0], nil
	clear(b.ids)
}

// Grow makes room for n more records, so that appending them allocates nothing.
func (b *Batch) Grow(n int) {
	size := b.Len()
	b.Resize(size + n)
	b.Resize(size)
}

// Resize sets the number of records to n and gives every column that length. What records beyond the former length
// hold is undefined: the caller sets every column of them.
func (b *Batch) Resize(n int) {
	resize(&b.Interface, n)
	resize(&b.Src, n)
	resize(&b.Dst, n)
	resize(&b.PktSrc, n)
	resize(&b.PktDst, n)
	resize(&b.SrcPort, n)
	resize(&b.DstPort, n)
	resize(&b.Proto, n)
	resize(&b.Direction, n)
	resize(&b.Action, n)
	resize(&b.Status, n)
	resize(&b.Flags, n)
	resize(&b.Packets, n)
	resize(&b.Bytes, n)
	resize(&b.Start, n)
	resize(&b.End, n)
}

func resize[T any](column *[]T, n int) {
	*column = slices.Grow(*column, max(0, n-len(*column)))[:n]
}

// AppendRow appends r to every column; it is not to be mixed with columns that are
// left empty. It looks the interface up in a map and converts the
// addresses, which is fine for formats that cost far more to read, and for
// tests; a fast decoder fills the columns itself.
func (b *Batch) AppendRow(r flow.Record) {
	b.Interface = append(b.Interface, b.intern(r.Interface))
	b.Src = append(b.Src, flow.AddrFrom(r.Src))
	b.Dst = append(b.Dst, flow.AddrFrom(r.Dst))
	b.PktSrc = append(b.PktSrc, flow.AddrFrom(r.PktSrc))
	b.PktDst = append(b.PktDst, flow.AddrFrom(r.PktDst))
	b.SrcPort = append(b.SrcPort, r.SrcPort)
	b.DstPort = append(b.DstPort, r.DstPort)
	b.Proto = append(b.Proto, r.Proto)
	b.Direction = append(b.Direction, r.Direction)
	b.Action = append(b.Action, r.Action)
	b.Status = append(b.Status, r.Status)
	b.Flags = append(b.Flags, r.Flags)
	b.Packets = append(b.Packets, r.Packets)
	b.Bytes = append(b.Bytes, r.Bytes)
	b.Start = append(b.Start, r.Start)
	b.End = append(b.End, r.End)
}

func (b *Batch) intern(name string) uint32 {
	id, ok := b.ids[name]
	// Names is public: whoever cut it without Reset left the map behind.
	if ok && int(id) < len(b.Names) && b.Names[id] == name {
		return id
	}
	if b.ids == nil {
		b.ids = make(map[string]uint32)
	}
	id = uint32(len(b.Names))
	b.Names = append(b.Names, name)
	b.ids[name] = id
	return id
}
