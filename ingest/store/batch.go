package store

import "github.com/sgadvise/sgadvise/ingest/flow"

// BatchSize is the number of records a Batch holds at most: enough to make the
// cost per batch vanish, small enough to stay in the second-level cache.
const BatchSize = 8 << 10

// Batch holds up to BatchSize records as plain typed columns, all of length Len.
// It is filled by one decoder, handed to one TallyWorker, and reused; nobody keeps
// a reference to its columns after handing it back. The zero Batch is empty and
// ready for use.
//
// Rows whose Status is NODATA or SKIPDATA carry the interface and the times only.
// Addresses are zero and ports 0 where the log has none.
type Batch struct {
	// Names are the interfaces that occur in this batch; Interface indexes it.
	Names     []string
	Interface []uint32

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
}

// Len returns the number of records in b.
func (b *Batch) Len() int { return len(b.Interface) }
