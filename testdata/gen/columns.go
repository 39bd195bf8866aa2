package main

import (
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
)

// row has the names and types of the Parquet files that the cloud delivers. What
// the text form writes as "-" is "-" in string columns and null in number columns.
type row struct {
	Version       int32  `parquet:"version"`
	Account       string `parquet:"account_id,dict"`
	Interface     string `parquet:"interface_id,dict"`
	Src           string `parquet:"srcaddr,dict"`
	Dst           string `parquet:"dstaddr,dict"`
	SrcPort       *int32 `parquet:"srcport,optional"`
	DstPort       *int32 `parquet:"dstport,optional"`
	Proto         *int32 `parquet:"protocol,optional,dict"`
	Packets       *int64 `parquet:"packets,optional"`
	Bytes         *int64 `parquet:"bytes,optional"`
	Start         int64  `parquet:"start"`
	End           int64  `parquet:"end"`
	Action        string `parquet:"action,dict"`
	Status        string `parquet:"log_status,dict"`
	VPC           string `parquet:"vpc_id,dict"`
	Subnet        string `parquet:"subnet_id,dict"`
	Instance      string `parquet:"instance_id,dict"`
	Flags         *int32 `parquet:"tcp_flags,optional,dict"`
	Type          string `parquet:"type,dict"`
	PktSrc        string `parquet:"pkt_srcaddr,dict"`
	PktDst        string `parquet:"pkt_dstaddr,dict"`
	Region        string `parquet:"region,dict"`
	Zone          string `parquet:"az_id,dict"`
	SublocationT  string `parquet:"sublocation_type,dict"`
	SublocationID string `parquet:"sublocation_id,dict"`
	SrcService    string `parquet:"pkt_src_aws_service,dict"`
	DstService    string `parquet:"pkt_dst_aws_service,dict"`
	Direction     string `parquet:"flow_direction,dict"`
	Path          *int32 `parquet:"traffic_path,optional,dict"`
}

// numbers are what the pointers of a row point at.
type numbers struct {
	srcPort, dstPort, proto, flags, path int32
	packets, bytes                       int64
}

type parquetSink struct {
	w    *parquet.GenericWriter[row]
	rows []row
	nums []numbers
}

var codecs = map[string]compress.Codec{
	"none": &parquet.Uncompressed, "snappy": &parquet.Snappy, "gzip": &parquet.Gzip, "zstd": &parquet.Zstd,
}

func newParquetSink(w io.Writer, codec string, groupRows int64) (*parquetSink, error) {
	c, ok := codecs[codec]
	if !ok {
		return nil, fmt.Errorf("codec %q is not one of none, snappy, gzip, zstd", codec)
	}
	return &parquetSink{
		w:    parquet.NewGenericWriter[row](w, parquet.Compression(c), parquet.MaxRowsPerRowGroup(groupRows)),
		nums: make([]numbers, 1024),
	}, nil
}

func (s *parquetSink) write(r *record) error {
	n := &s.nums[len(s.rows)]
	x := row{Version: 5, Account: account, Interface: r.at.id, Src: "-", Dst: "-", Start: r.start, End: r.end, Action: "-",
		Status: statusName[r.status], VPC: r.at.vpc, Subnet: r.at.subnet.id, Instance: r.at.instance, Type: "-", PktSrc: "-", PktDst: "-",
		Region: region, Zone: r.at.subnet.zone, SublocationT: "-", SublocationID: "-", SrcService: "-", DstService: "-", Direction: "-"}
	if r.status == okay {
		*n = numbers{int32(r.srcPort), int32(r.dstPort), int32(r.proto), int32(r.flags), path(r), r.packets, r.bytes}
		x.SrcPort, x.DstPort, x.Proto, x.Flags, x.Packets, x.Bytes = &n.srcPort, &n.dstPort, &n.proto, &n.flags, &n.packets, &n.bytes
		if n.path != 0 {
			x.Path = &n.path
		}
		x.Src, x.Dst = r.src.String(), r.dst.String()
		x.PktSrc, x.PktDst = x.Src, x.Dst
		x.Action, x.Type, x.Direction = actionName(r.accept), family(r), directionName(r.egress)
	}
	s.rows = append(s.rows, x)
	if len(s.rows) < len(s.nums) {
		return nil
	}
	return s.flush()
}

func (s *parquetSink) flush() error {
	_, err := s.w.Write(s.rows)
	s.rows = s.rows[:0]
	return err
}

func (s *parquetSink) close() error {
	if err := s.flush(); err != nil {
		return err
	}
	return s.w.Close()
}
