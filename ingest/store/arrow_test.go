package store

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// checkedMemory fails the test if Arrow memory is held at its end.
func checkedMemory(t *testing.T) *memory.CheckedAllocator {
	checked := memory.NewCheckedAllocator(memory.DefaultAllocator)
	old := memory.DefaultAllocator
	memory.DefaultAllocator = checked
	t.Cleanup(func() {
		memory.DefaultAllocator = old
		checked.AssertSize(t, 0)
	})
	return checked
}

func TestRecordHasTheRows(t *testing.T) {
	checked := checkedMemory(t)
	w := randomWorld(3)
	c := FromRecords(w.config(), w.records(4000))
	record := c.Record()
	defer record.Release()
	wide := c.Wide()
	defer wide.Release()

	if int(record.NumRows()) != c.Len() || c.Len() < 500 {
		t.Fatalf("%d rows in the record, %d in all", record.NumRows(), c.Len())
	}
	column := func(name string) int {
		at := record.Schema().FieldIndices(name)
		if len(at) != 1 {
			t.Fatalf("%d columns %s", len(at), name)
		}
		return at[0]
	}
	number := func(name string, i int) uint64 {
		switch a := record.Column(column(name)).(type) {
		case *array.Uint8:
			return uint64(a.Value(i))
		case *array.Uint16:
			return uint64(a.Value(i))
		case *array.Uint32:
			return uint64(a.Value(i))
		case *array.Uint64:
			return a.Value(i)
		case *array.Int64:
			return uint64(a.Value(i))
		}
		t.Fatalf("column %s is %T", name, record.Column(column(name)))
		return 0
	}
	address := func(name string, bit uint64, i int) netip.Addr {
		v := number(name, i)
		if number("family", i)&bit == 0 {
			return flow.Addr4(uint32(v)).Netip()
		}
		return netip.AddrFrom16([16]byte(wide.Value(int(v))))
	}
	dictionary := record.Column(column("interface")).(*array.Dictionary)
	names := dictionary.Dictionary().(*array.LargeString)
	for i := range c.Len() {
		var r Row
		c.Row(i, &r)
		if got, want := names.Value(dictionary.GetValueIndex(i)), c.Interfaces()[r.Interface]; got != want {
			t.Fatalf("row %d: interface %q, want %q", i, got, want)
		}
		if got, want := address("remote", 1, i), r.Remote.Netip(); got != want {
			t.Fatalf("row %d: remote %v, want %v", i, got, want)
		}
		if got, want := address("local", 2, i), r.Local.Netip(); got != want {
			t.Fatalf("row %d: local %v, want %v", i, got, want)
		}
		for name, want := range map[string]uint64{
			"side": uint64(r.Side), "protocol": uint64(r.Proto), "action": uint64(r.Action), "class": uint64(r.Class),
			"client": uint64(r.Client), "local_port": uint64(r.LocalPort), "remote_port": uint64(r.RemotePort),
			"port_lo": uint64(r.PortLo), "port_hi": uint64(r.PortHi), "port_bits": r.PortBits, "flags": uint64(r.Flags),
			"records": r.Records, "packets": r.Packets, "bytes": r.Bytes,
			"first": uint64(r.First), "last": uint64(r.Last), "days": r.Days,
			"remote_free": uint64(r.RemoteFree),
			"era_lo":      uint64(r.EraLo), "era_hi": uint64(r.EraHi),
		} {
			if got := number(name, i); got != want {
				t.Fatalf("row %d: %s %d, want %d", i, name, got, want)
			}
		}
	}
	for i := range record.NumCols() {
		if record.Column(int(i)).NullN() != 0 {
			t.Errorf("column %s has nulls", record.ColumnName(int(i)))
		}
	}
	if n := checked.CurrentAlloc(); n != 0 {
		t.Errorf("the record took %d bytes of Arrow memory: something was copied", n)
	}
}

func TestRecordsOutliveTheirSource(t *testing.T) {
	c := FromRecords(Config{}, randomWorld(4).records(500))
	var r Row
	c.Row(1, &r)
	record := c.Record()
	slice := record.NewSlice(1, 3)
	record.Release()
	c = nil
	runtime.GC()
	runtime.GC()
	if slice.NumRows() != 2 || slice.Column(17).(*array.Uint64).Value(0) != r.Bytes {
		t.Error("a slice does not outlive its record")
	}
	slice.Release()
}

func TestRecordOfNothing(t *testing.T) {
	checkedMemory(t)
	for _, c := range []*Connections{new(Connections), FromRecords(Config{}, nil)} {
		record := c.Record()
		if record.NumRows() != 0 || record.NumCols() != int64(recordSchema.NumFields()) {
			t.Errorf("%d rows, %d columns", record.NumRows(), record.NumCols())
		}
		record.Release()
		wide := c.Wide()
		if wide.Len() != 0 {
			t.Errorf("%d wide addresses", wide.Len())
		}
		wide.Release()
	}
}

func ExampleConnections_Record() {
	c := FromRecords(Config{PortBounds: []uint16{443, 444, 32768}}, []flow.Record{
		tcp("192.0.2.1", 40001, "10.0.0.1", 443, flow.FlagsKnown|flow.SYN),
		tcp("192.0.2.1", 40002, "10.0.0.1", 443, flow.FlagsKnown|flow.SYN),
		tcp("2001:db8::9", 40003, "2001:db8::1", 443, flow.FlagsKnown|flow.SYN),
	})
	record := c.Record()
	defer record.Release()
	wide := c.Wide()
	defer wide.Release()
	for _, name := range []string{"family", "remote", "local_port", "remote_port", "records"} {
		fmt.Println(name, record.Column(record.Schema().FieldIndices(name)[0]))
	}
	fmt.Printf("%x\n", wide.Value(1))
	// Output:
	// family [0 3]
	// remote [3221225985 1]
	// local_port [443 443]
	// remote_port [32768 32768]
	// records [2 1]
	// 20010db8000000000000000000000009
}
