package main

import (
	"bufio"
	"io"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"
)

var v2Fields = strings.Fields(`version account-id interface-id srcaddr dstaddr srcport dstport protocol
	packets bytes start end action log-status`)

// customFields are those of a format that people choose: the default and what tells
// who opened a connection, who spoke behind a gateway, and which way.
var customFields = append(v2Fields[:len(v2Fields):len(v2Fields)], strings.Fields(`vpc-id subnet-id instance-id
	tcp-flags type pkt-srcaddr pkt-dstaddr flow-direction`)...)

// v5Fields are all fields of versions 2 to 5.
var v5Fields = append(v2Fields[:len(v2Fields):len(v2Fields)], strings.Fields(`vpc-id subnet-id instance-id
	tcp-flags type pkt-srcaddr pkt-dstaddr region az-id sublocation-type sublocation-id
	pkt-src-aws-service pkt-dst-aws-service flow-direction traffic-path`)...)

var statusName = [...]string{"OK", "NODATA", "SKIPDATA"}

func actionName(accept bool) string {
	if accept {
		return "ACCEPT"
	}
	return "REJECT"
}

func directionName(egress bool) string {
	if egress {
		return "egress"
	}
	return "ingress"
}

// textSink writes lines: the text form with spaces, CSV with commas.
type textSink struct {
	out  *bufio.Writer
	gz   *gzip.Writer // nil: plain
	more bool         // more fields than those of version 2
	v5   bool         // all fields
	sep  byte
	line []byte
}

func newTextSink(w io.Writer, csv, compress bool, names []string) (*textSink, error) {
	s := &textSink{more: len(names) > len(v2Fields), v5: len(names) == len(v5Fields), sep: ' '}
	if compress {
		gz, err := gzip.NewWriterLevel(w, 6) // what gzip does unless told otherwise
		if err != nil {
			return nil, err
		}
		s.gz = gz
		w = gz
	}
	s.out = bufio.NewWriterSize(w, 1<<20)
	header := strings.Join(names, " ")
	if csv {
		s.sep = ','
		header = strings.NewReplacer(" ", ",", "-", "_").Replace(header)
	}
	_, err := s.out.WriteString(header + "\n")
	return s, err
}

func (s *textSink) write(r *record) error {
	b := s.line[:0]
	str := func(v string) { b = append(append(b, s.sep), v...) }
	num := func(v int64) { b = strconv.AppendInt(append(b, s.sep), v, 10) }
	none := func(n int) {
		for range n {
			b = append(b, s.sep, '-')
		}
	}
	version := byte('2')
	if s.more {
		version = '5'
	}
	b = append(b, version)
	str(account)
	str(r.at.id)
	if r.status != okay {
		none(7)
		num(r.start)
		num(r.end)
		none(1)
		str(statusName[r.status])
	} else {
		b = r.src.AppendTo(append(b, s.sep))
		b = r.dst.AppendTo(append(b, s.sep))
		num(int64(r.srcPort))
		num(int64(r.dstPort))
		num(int64(r.proto))
		num(r.packets)
		num(r.bytes)
		num(r.start)
		num(r.end)
		str(actionName(r.accept))
		str("OK")
	}
	if s.more {
		str(r.at.vpc)
		str(r.at.subnet.id)
		str(r.at.instance)
		if r.status != okay {
			none(4)
		} else {
			num(int64(r.flags))
			str(family(r))
			b = r.src.AppendTo(append(b, s.sep))
			b = r.dst.AppendTo(append(b, s.sep))
		}
	}
	if s.v5 {
		str(region)
		str(r.at.subnet.zone)
		none(4)
	}
	if s.more {
		if r.status != okay {
			none(1)
		} else {
			str(directionName(r.egress))
		}
	}
	if s.v5 {
		if p := path(r); p != 0 {
			num(int64(p))
		} else {
			none(1)
		}
	}
	s.line = append(b, '\n')
	_, err := s.out.Write(s.line)
	return err
}

func (s *textSink) close() error {
	if err := s.out.Flush(); err != nil || s.gz == nil {
		return err
	}
	return s.gz.Close()
}

func family(r *record) string {
	if r.src.Is4() {
		return "IPv4"
	}
	return "IPv6"
}

// path is the traffic path of egress rows: inside the network 1, else the internet
// gateway 8; 0 for ingress.
func path(r *record) int32 {
	switch {
	case !r.egress:
		return 0
	case vpc4.Contains(r.dst) || vpc6.Contains(r.dst):
		return 1
	}
	return 8
}
