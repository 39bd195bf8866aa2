package store

import (
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
)

// fileRow is a row of a segment's file. docs/store.md describes the columns for readers.
type fileRow struct {
	Interface  string `parquet:"interface,dict"`
	Direction  string `parquet:"direction,dict"` // ingress, egress, unknown
	Protocol   uint8  `parquet:"protocol,dict"`
	Local      string `parquet:"local_address,dict"`
	Remote     string `parquet:"remote_address,dict"`
	LocalPort  uint16 `parquet:"local_port,dict"`
	RemotePort uint16 `parquet:"remote_port,dict"`
	Action     string `parquet:"action,dict"`          // ACCEPT, REJECT
	Class      string `parquet:"tcp_class,dict"`       // no-flags, opener, answer, midlife
	Client     string `parquet:"client,dict"`          // local, remote: whose port is the least of several
	PortHi     uint16 `parquet:"client_port_max,dict"` // the greatest of them
	PortBits   uint64 `parquet:"client_port_bits"`     // see Row.PortBits; 0: those of the least and the greatest
	Flags      uint16 `parquet:"tcp_flags,dict"`
	Records    uint64 `parquet:"records,delta"`
	Packets    uint64 `parquet:"packets,delta"`
	Bytes      uint64 `parquet:"bytes,delta"`
	First      int64  `parquet:"first,delta"`
	Last       int64  `parquet:"last,delta"`
	Over       bool   `parquet:"next_day"`
	Days       uint64 `parquet:"days,dict"` // of the odd segment only
	Src        string `parquet:"source_address,dict"`
	Dst        string `parquet:"destination_address,dict"`
}

// The numbers of the leaf columns, which parquet orders as fileRow does.
const (
	colInterface = iota
	colDirection
	colProtocol
	colLocal
	colRemote
	colLocalPort
	colRemotePort
	colAction
	colClass
	colClient
	colPortHi
	colPortBits
	colFlags
	colRecords
	colPackets
	colBytes
	colFirst
	colLast
	colOver
	colDays
	colSrc
	colDst
	numColumns
)

const rowsPerGroup = 128 << 10 // they are in memory at once when read

// fileColumns are the names of the columns, as the tags of fileRow have them.
var fileColumns = [numColumns]string{
	"interface", "direction", "protocol", "local_address", "remote_address", "local_port", "remote_port", "action", "tcp_class",
	"client", "client_port_max", "client_port_bits", "tcp_flags", "records", "packets", "bytes", "first", "last", "next_day", "days",
	"source_address", "destination_address",
}

// wordsOf are the words of the columns that have a fixed set of them, each at its number.
var wordsOf = [numColumns][]string{
	colDirection: {"unknown", "ingress", "egress"},
	colAction:    {"-", "ACCEPT", "REJECT"},
	colClass:     {"no-flags", "opener", "answer", "midlife"},
	colClient:    {NoClient: "", LocalClient: "local", RemoteClient: "remote"},
}

// bitsOf returns the PortBits of a row that saw these two ports only.
func bitsOf(a, b uint16) uint64 { return 1<<(a&63) | 1<<(b&63) }

// ReadParquet calls f with the rows of a segment of the given day that was written by
// [Segment.WriteParquet]: at most some thousands at once, in slices that are reused. The
// error is that of f, or says what is wrong with the file.
func ReadParquet(r io.ReaderAt, size int64, day int32, f func(names []string, rows []Kept) error) (err error) {
	file, err := parquet.OpenFile(r, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true), parquet.ReadBufferSize(1<<18))
	if err != nil {
		return fmt.Errorf("not a complete Parquet file: %w", err)
	}
	for i, c := range file.Root().Columns() {
		if i >= numColumns || c.Name() != fileColumns[i] {
			return fmt.Errorf("column %s is none of a segment", c.Name())
		}
	}
	if n := len(file.Root().Columns()); n != numColumns {
		return fmt.Errorf("has %d columns, not the %d of a segment", n, numColumns)
	}
	defer func() {
		// The caller has checked the digest: only a file that was never sound gets here.
		if p := recover(); p != nil {
			err = fmt.Errorf("damaged: %v", p)
		}
	}()
	var groups groupReader
	for _, g := range file.RowGroups() {
		if err := groups.read(g, day); err != nil {
			return err
		}
		if err := f(groups.names, groups.rows); err != nil {
			return err
		}
	}
	return nil
}
