package store

import (
	"encoding/binary"
	"slices"
	"sort"

	"github.com/sgadvise/sgadvise/ingest/flow"
)

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

// clientEnd says which end of a record looks like the client: its source if the result
// is above 0, its destination if below, neither if it is 0. It sees nothing
// but the record: were it to ask the policy, the same log would fold otherwise
// under a planned policy, and what is compared would not be the same rows.
//
// What opens or answers says it by its flags. Else the client has the port of the higher
// tier, and of two registered ports the one that is not well known. Records of either
// direction come in turn, so there is no branch here that a processor could foresee.
func clientEnd(class flow.FlagClass, src, dst uint16) int {
	return flagEnd[class&3] + clientRank(src) - clientRank(dst)
}

// flagEnd is what the flags say of the client's end, and outweighs any ports.
var flagEnd = [4]int{flow.Opener: 8, flow.Answer: -8}

// clientRank orders ports by how much they look like those of a client: 0 for the system
// tier, 1 and 2 for the registered one, well known or not, and 4 for the rest.
func clientRank(port uint16) int {
	tier := (int(port)+1<<16-1024)>>16 + int(port>>15) // as PortTier
	return 2*tier - int(wellKnown[port>>6]>>(port&63)&1)
}

// portClasses gives for each port the first port of its class. There is one for each set
// of bounds that some interface has.
//
// The ports of records are those of clients, and come in no order: all of the classes of all
// interfaces are read all the time, between much else. So each line is one of the cache, and
// there are as few as will do.
type portClasses struct {
	lines []portLine // of 1<<shift ports each
	shift uint8
	dense uint16 // bit i: line i has no room for its classes; they are in list
	list  *portList
}

// portLine has the classes of some ports: that of the first port, then those that begin
// behind it, ascending, the last one repeated.
type portLine [32]uint16

const maxPortLines = 16

func newPortClasses(bounds []uint16) portClasses {
	firsts := append([]uint16{0}, bounds...)
	slices.Sort(firsts)
	firsts = slices.Compact(firsts)
	list := newPortList(firsts)
	c := portClasses{list: &list}
	for n, shift := 1, uint8(16); n <= maxPortLines; n, shift = 2*n, shift-1 {
		c.lines, c.shift, c.dense = make([]portLine, n), shift, 0
		for i := range c.lines {
			if !c.lines[i].set(firsts, i<<shift, (i+1)<<shift) {
				c.dense |= 1 << i
			}
		}
		if c.dense == 0 {
			break
		}
	}
	return c
}

// set sets l to the classes, which begin at firsts, of the ports from start to before end. It
// returns false if there are too many.
func (l *portLine) set(firsts []uint16, start, end int) bool {
	n := sort.Search(len(firsts), func(i int) bool { return int(firsts[i]) > start })
	m := sort.Search(len(firsts), func(i int) bool { return int(firsts[i]) >= end })
	if m-n >= len(l) {
		return false
	}
	for i := range l {
		l[i] = firsts[min(n-1+i, m-1)]
	}
	return true
}

// line returns the line of p.
func (c *portClasses) line(p uint16) *portLine { return &c.lines[p>>(c.shift&31)] }

// of returns the first port of the class of p. It searches without a branch that a
// processor would have to foresee.
func (c *portClasses) of(p uint16) uint16 {
	n := p >> (c.shift & 31)
	if c.dense>>(n&15)&1 != 0 {
		return c.list.of(p)
	}
	line := &c.lines[n]
	i := (notAbove(line[8], p) + notAbove(line[16], p) + notAbove(line[24], p)) << 3
	i += (notAbove(line[(i+2)%len(line)], p) + notAbove(line[(i+4)%len(line)], p) + notAbove(line[(i+6)%len(line)], p)) << 1
	i += notAbove(line[(i+1)%len(line)], p)
	return line[i%len(line)]
}

// portList is the same for any number of classes: place i has the place of the class of port
// i<<portBlockBits, for i below portBlocks; from there on are the first ports of the
// classes, ascending, from 0, the last one portStep times more.
type portList []uint16

const (
	portBlockBits = 10
	portBlocks    = 1 << (16 - portBlockBits)
	portStep      = 4 // how many classes are looked at at once: more than most blocks have
)

func newPortList(firsts []uint16) portList {
	// If nearly every port is a class, the last places do not fit: the search begins
	// where they would.
	c := make(portList, portBlocks, portBlocks+len(firsts)+portStep)
	at := 0
	for i := range c {
		for at+1 < len(firsts) && int(firsts[at+1]) <= i<<portBlockBits {
			at++
		}
		c[i] = uint16(min(portBlocks+at, 65535))
	}
	c = append(c, firsts...)
	for range portStep {
		c = append(c, firsts[len(firsts)-1])
	}
	return c
}

// of counts the classes that are not beyond p instead of stopping there, for the same reason.
func (l *portList) of(p uint16) uint16 {
	c := *l
	i := int(c[p>>portBlockBits])
	for i+portStep < len(c) {
		next := c[i+1 : i+1+portStep]
		n := notAbove(next[0], p) + notAbove(next[1], p) + notAbove(next[2], p) + notAbove(next[3], p)
		i += n
		if n < portStep {
			break
		}
	}
	return c[i]
}

// notAbove returns 1 if a ≤ b, else 0.
func notAbove(a, b uint16) int { return int(uint32(int32(a)-int32(b)-1) >> 31) }

// sidePorts are the classes of the ports of one interface, by whose port it is.
type sidePorts [3]portClasses

const (
	localPorts = iota
	remotePorts
	eitherPorts // of records whose direction is unknown
)

// folded returns the classes of the ports that a row of that client and side folds.
func (s *sidePorts) folded(client ClientSide, side flow.Direction) *portClasses {
	switch {
	case side == flow.DirectionUnknown:
		return &s[eitherPorts]
	case client == LocalClient:
		return &s[localPorts]
	}
	return &s[remotePorts]
}

// portSets makes the classes of interfaces, each set of bounds once.
type portSets struct {
	cfg    Config
	others sidePorts // of interfaces without bounds of their own
	sets   map[string]portClasses
	// Where the names are those of parts of days: the classes of the interfaces so far. nil
	// elsewhere.
	parts map[string]sidePorts
}

func newPortSets(cfg Config) *portSets {
	all := newPortClasses(cfg.PortBounds)
	return &portSets{cfg: cfg, others: sidePorts{all, all, all}, sets: make(map[string]portClasses)}
}

func (s *portSets) of(name string) sidePorts {
	if s.parts != nil {
		name = parsePart(name).iface
		p, ok := s.parts[name]
		if !ok {
			p = s.make(name)
			s.parts[name] = p
		}
		return p
	}
	return s.make(name)
}

func (s *portSets) make(name string) sidePorts {
	b, ok := s.cfg.Ports[name]
	if !ok {
		return s.others
	}
	return sidePorts{s.set(b.Local), s.set(b.Remote), s.set(slices.Concat(b.Local, b.Remote))}
}

func (s *portSets) set(bounds []uint16) portClasses {
	c := newPortClasses(bounds)
	firsts := (*c.list)[portBlocks:]
	key := make([]byte, 0, 2*len(firsts))
	for _, p := range firsts {
		key = binary.BigEndian.AppendUint16(key, p)
	}
	if have, ok := s.sets[string(key)]; ok {
		return have
	}
	s.sets[string(key)] = c
	return c
}
