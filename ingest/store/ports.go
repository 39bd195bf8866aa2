package store

import "github.com/sgadvise/sgadvise/ingest/flow"

// PortTier sorts ports by what they are by convention: 0 for system ports
// (below 1024), which services have; 1 for registered ports (to 32767), which
// mostly services have; 2 for the rest, which kernels hand to clients (Linux
// from 32768, the IANA range and Windows from 49152).
func PortTier(port uint16) int {
	switch {
	case port < 1024:
		return 0
	case port < 32768:
		return 1
	}
	return 2
}

// WellKnown reports whether port, of the registered tier (1024 to 32767), is
// one that a common service listens on. It decides between two ports of that
// tier, as Windows before 2008, NAT gateways and load balancers hand out client
// ports from 1024 on. Ports of the other tiers are never well known here.
func WellKnown(port uint16) bool { return wellKnown[port>>6]>>(port&63)&1 != 0 }

// wellKnownPorts are the default ports of services that are common in clouds.
// A port belongs here if it is the documented default of something widely run
// and below 32768; a port missing costs folding (two rows where one would do),
// never truth.
var wellKnownPorts = [...]uint16{
	1433, 1434, // SQL Server
	1521,                   // Oracle
	1812, 1813, 1883, 8883, // RADIUS, MQTT
	2049,       // NFS
	2181,       // ZooKeeper
	2375, 2376, // Docker
	2379, 2380, // etcd
	3000,             // Grafana, Node.js
	3128,             // Squid
	3260,             // iSCSI
	3268, 3269, 3389, // Active Directory global catalog, RDP
	3306,       // MySQL
	4317, 4318, // OpenTelemetry
	4333,       // mSQL
	4500,       // IPsec NAT traversal
	5000,       // container registry
	5044,       // Logstash
	5060, 5061, // SIP
	5432, 5433, 6432, // PostgreSQL, PgBouncer
	5439,       // Redshift
	5500,       // VNC
	5601,       // Kibana
	5671, 5672, // AMQP
	5900,       // VNC
	5985, 5986, // WinRM
	6379, 6380, // Redis
	6443,       // Kubernetes API
	6667,       // IRC
	7000, 7001, // Cassandra, WebLogic
	8000, 8008, 8080, 8081, 8088, 8443, 8888, // HTTP
	8125,             // StatsD
	8300, 8301, 8500, // Consul
	9000,             // HTTP, ClickHouse
	9042,             // Cassandra
	9090, 9100, 9093, // Prometheus
	9092, 9094, // Kafka
	9200, 9300, // Elasticsearch
	9418,         // Git
	10250, 10255, // kubelet
	11211,        // memcached
	15672,        // RabbitMQ management
	27017, 27018, // MongoDB
}

var wellKnown = func() (set [1 << 10]uint64) {
	for _, p := range wellKnownPorts {
		set[p>>6] |= 1 << (p & 63)
	}
	return set
}()

// end is a side of a record, as the record has it.
type end uint8

const (
	neither end = iota
	source
	destination
)

// clientEnd says which end of a record looks like the client. It sees nothing
// but the record: were it to ask the policy, the same log would fold otherwise
// under a planned policy, and what is compared would not be the same rows.
func clientEnd(class flow.FlagClass, src, dst uint16) end {
	switch {
	case class == flow.Opener:
		return source
	case class == flow.Answer:
		return destination
	}
	if s, d := PortTier(src), PortTier(dst); s != d {
		if s > d {
			return source
		}
		return destination
	}
	if s, d := WellKnown(src), WellKnown(dst); s != d {
		if d {
			return source
		}
		return destination
	}
	return neither
}

// portClasses gives for each port the first port of its class.
type portClasses [1 << 16]uint16

func newPortClasses(bounds []uint16) *portClasses {
	c := new(portClasses)
	for _, b := range bounds {
		c[b] = b
	}
	low := uint16(0)
	for p := range c {
		low = max(low, c[p])
		c[p] = low
	}
	return c
}
