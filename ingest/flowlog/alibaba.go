package flowlog

import (
	"bytes"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

// What Alibaba Cloud's flow logs say in other ways than those of AWS, apart from the
// names of fields: directions are "in" and "out", every record has a start and an
// end, and the two rules below.

// alibabaFlags returns the flags f of a record as far as they can be relied on.
//
// The log ORs the flags of all packets of a record. AWS leaves out packets with
// nothing but ACK, so that SYN and ACK together are those of one packet, the answer.
// Alibaba Cloud does not say that it does: there, they may be the SYN of whoever
// opened the connection and its own later ACKs. Such flags are taken as not stated.
// SYN without ACK still is the opener's, and no SYN still means mid-life.
func alibabaFlags(f flow.TCPFlags) flow.TCPFlags {
	const both = flow.SYN | flow.ACK
	if f&both == both {
		return 0
	}
	return f
}

// misplaced reports whether the values of a record stand under the wrong names, as
// in the sample records of the cloud's own guide: there the last values are shifted
// by one, so that version is "-" and the vSwitch is a VPC. A version that is not
// there at all is no sign, for a shipment may leave it out.
func misplaced(version, vswitch []byte) bool {
	_, number := parseUint(version)
	return len(version) > 0 && !number || bytes.HasPrefix(vswitch, []byte("vpc-"))
}
