package flowlog

import (
	"slices"
	"strings"
)

// Field is a field of a flow log record, as far as this program reads it. Several
// names may mean one Field; names that feed nothing are all Carried.
type Field uint8

// The fields. The zero value is Carried.
const (
	Carried        Field = iota // known, and carried past: feeds no column
	InterfaceID                 // Batch.Interface, Batch.Names
	SrcAddr                     // Batch.Src
	DstAddr                     // Batch.Dst
	SrcPort                     // Batch.SrcPort
	DstPort                     // Batch.DstPort
	Protocol                    // Batch.Proto
	Packets                     // Batch.Packets
	Bytes                       // Batch.Bytes
	Start                       // Batch.Start
	End                         // Batch.End
	Action                      // Batch.Action
	LogStatus                   // Batch.Status
	TCPFlags                    // Batch.Flags
	Type                        // IPv4, IPv6 or EFA: no column, but decides what the row is
	PktSrcAddr                  // Batch.PktSrc
	PktDstAddr                  // Batch.PktDst
	FlowDirection               // Batch.Direction
	Version                     // no column; tells the default layout
	ENIDirection                // Alibaba's way to say FlowDirection, and stands for it in a layout of that dialect
	VSwitchID                   // no column; shows whether values stand under the right names
	TransitGateway              // any field only transit gateway flow logs have: such rows are unsupported
	Message                     // a whole record as text in one column or key (CloudWatch Logs)

	NumFields = iota
)

// fieldTable lists every known name: the fields of VPC flow logs by version as
// LogFormat spells them, then those of transit gateway flow logs, then the other
// names that queries and log services give to the same fields, then the names of
// Alibaba Cloud that AWS does not have. Case, hyphens and underscores do not matter,
// so camelCase and underscore spellings need no row.
var fieldTable = []struct {
	name  string
	since int // version of the record format; 0: not a LogFormat name
	field Field
}{
	{"version", 2, Version},
	{"account-id", 2, Carried},
	{"interface-id", 2, InterfaceID},
	{"srcaddr", 2, SrcAddr},
	{"dstaddr", 2, DstAddr},
	{"srcport", 2, SrcPort},
	{"dstport", 2, DstPort},
	{"protocol", 2, Protocol},
	{"packets", 2, Packets},
	{"bytes", 2, Bytes},
	{"start", 2, Start},
	{"end", 2, End},
	{"action", 2, Action},
	{"log-status", 2, LogStatus},

	{"vpc-id", 3, Carried},
	{"subnet-id", 3, Carried},
	{"instance-id", 3, Carried},
	{"tcp-flags", 3, TCPFlags},
	{"type", 3, Type},
	{"pkt-srcaddr", 3, PktSrcAddr},
	{"pkt-dstaddr", 3, PktDstAddr},

	{"region", 4, Carried},
	{"az-id", 4, Carried},
	{"sublocation-type", 4, Carried},
	{"sublocation-id", 4, Carried},

	{"pkt-src-aws-service", 5, Carried},
	{"pkt-dst-aws-service", 5, Carried},
	{"flow-direction", 5, FlowDirection},
	{"traffic-path", 5, Carried},

	{"ecs-cluster-arn", 7, Carried},
	{"ecs-cluster-name", 7, Carried},
	{"ecs-container-instance-arn", 7, Carried},
	{"ecs-container-instance-id", 7, Carried},
	{"ecs-container-id", 7, Carried},
	{"ecs-second-container-id", 7, Carried},
	{"ecs-service-name", 7, Carried},
	{"ecs-task-definition-arn", 7, Carried},
	{"ecs-task-arn", 7, Carried},
	{"ecs-task-id", 7, Carried},

	{"reject-reason", 8, Carried},
	{"resource-id", 9, Carried},
	{"encryption-status", 10, Carried},

	{"instance-tag", 11, Carried},
	{"instance-tag-2", 11, Carried},
	{"interface-tag", 11, Carried},
	{"interface-tag-2", 11, Carried},
	{"asg-tag", 11, Carried},
	{"asg-tag-2", 11, Carried},
	{"interface-type", 11, Carried},
	{"next-hop-interface-id", 11, Carried},
	{"next-hop-subnet-id", 11, Carried},
	{"next-hop-az-id", 11, Carried},
	{"next-hop-vpc-id", 11, Carried},
	{"next-hop-interface-type", 11, Carried},

	// Transit gateway flow logs share version, account-id, the five-tuple and more.
	{"resource-type", 6, TransitGateway},
	{"tgw-id", 6, TransitGateway},
	{"tgw-attachment-id", 6, TransitGateway},
	{"tgw-src-vpc-account-id", 6, TransitGateway},
	{"tgw-dst-vpc-account-id", 6, TransitGateway},
	{"tgw-src-vpc-id", 6, TransitGateway},
	{"tgw-dst-vpc-id", 6, TransitGateway},
	{"tgw-src-subnet-id", 6, TransitGateway},
	{"tgw-dst-subnet-id", 6, TransitGateway},
	{"tgw-src-eni", 6, TransitGateway},
	{"tgw-dst-eni", 6, TransitGateway},
	{"tgw-src-az-id", 6, TransitGateway},
	{"tgw-dst-az-id", 6, TransitGateway},
	{"tgw-pair-attachment-id", 6, TransitGateway},
	{"packets-lost-no-route", 6, TransitGateway},
	{"packets-lost-blackhole", 6, TransitGateway},
	{"packets-lost-mtu-exceeded", 6, TransitGateway},
	{"packets-lost-ttl-expired", 6, TransitGateway},

	// Table definitions for Athena and its relatives.
	{"account", 0, Carried},
	{"source-address", 0, SrcAddr},
	{"destination-address", 0, DstAddr},
	{"source-port", 0, SrcPort},
	{"destination-port", 0, DstPort},
	{"num-packets", 0, Packets},
	{"num-bytes", 0, Bytes},
	{"start-time", 0, Start},
	{"end-time", 0, End},
	{"dest-address", 0, DstAddr},
	{"dest-port", 0, DstPort},
	// Partition columns that a query appends.
	{"date", 0, Carried},
	{"year", 0, Carried},
	{"month", 0, Carried},
	{"day", 0, Carried},
	{"hour", 0, Carried},
	{"aws-account-id", 0, Carried},
	{"aws-service", 0, Carried},
	{"aws-region", 0, Carried},
	// CloudWatch Logs Insights.
	{"@message", 0, Message},
	{"@timestamp", 0, Carried},
	{"@ingestion-time", 0, Carried},
	{"@log-stream", 0, Carried},
	{"@log", 0, Carried},
	{"@ptr", 0, Carried},

	// Alibaba Cloud. The first three tell its dialect, see alibabaNames.
	{"eni-id", 0, InterfaceID},
	{"vswitch-id", 0, VSwitchID},
	{"vm-id", 0, Carried},
	{"direction", 0, ENIDirection},
	{"raffic-path", 0, Carried}, // as older pages of its guide spell traffic_path
	{"srctype", 0, Carried},
	{"dsttype", 0, Carried},
}

// alibabaNames are names that only Alibaba Cloud gives to fields of flow logs: where
// one of them stands, the others are read in its dialect.
var alibabaNames = [...]string{"eni-id", "vswitch-id", "vm-id"}

// A nameInfo is what a name means.
type nameInfo struct {
	field   Field
	alibaba bool // tells the dialect
}

// nameTable has every name of fieldTable as it stands there, which is how most logs
// spell it, and folded.
var nameTable = func() map[string]nameInfo {
	m := make(map[string]nameInfo, 2*len(fieldTable))
	for _, f := range fieldTable {
		n := nameInfo{f.field, slices.Contains(alibabaNames[:], f.name)}
		m[f.name], m[foldName(f.name)] = n, n
	}
	return m
}()

// lookupName returns what name means and whether it is known at all.
func lookupName(name string) (nameInfo, bool) {
	n, known := nameTable[name]
	if !known {
		n, known = nameTable[foldName(name)]
	}
	// Names in front of which Log Service puts two underscores are its own: they are
	// about the way of a record (__time__ is when it arrived), never about the flow.
	return n, known || strings.HasPrefix(name, "__")
}

// LookupField returns the field that name means and whether the name is known at
// all. Case, hyphens and underscores do not matter.
func LookupField(name string) (Field, bool) {
	n, known := lookupName(name)
	return n.field, known
}

// lookupIn is LookupField for a name that stands among others of a known dialect.
func lookupIn(name string, alibaba bool) (Field, bool) {
	f, known := LookupField(name)
	switch {
	case f != ENIDirection:
		return f, known
	case alibaba:
		return FlowDirection, true
	}
	return Carried, false
}

// speaksAlibaba reports whether names are those of Alibaba Cloud.
func speaksAlibaba(names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool { n, _ := lookupName(name); return n.alibaba })
}

// fieldNames are the names of fields in messages.
var fieldNames = [NumFields]string{
	Carried: "field", InterfaceID: "interface-id", SrcAddr: "srcaddr", DstAddr: "dstaddr",
	SrcPort: "srcport", DstPort: "dstport", Protocol: "protocol", Packets: "packets",
	Bytes: "bytes", Start: "start", End: "end", Action: "action", LogStatus: "log-status",
	TCPFlags: "tcp-flags", Type: "type", PktSrcAddr: "pkt-srcaddr", PktDstAddr: "pkt-dstaddr",
	FlowDirection: "flow-direction", Version: "version", TransitGateway: "tgw-id", Message: "message",
	ENIDirection: "direction", VSwitchID: "vswitch-id",
}

// String returns the name of f as LogFormat spells it.
func (f Field) String() string { return fieldNames[f] }

// foldName brings a name to the form by which names are compared.
func foldName(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '-' || r == '_':
			return -1
		case 'A' <= r && r <= 'Z':
			return r + ('a' - 'A')
		}
		return r
	}, name)
}
