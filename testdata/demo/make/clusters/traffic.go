package main

import (
	"fmt"
	"strconv"
)

// row is a record of the flow log.
type row struct {
	on             *host
	in             bool
	src, dst       string
	sport, dport   int
	proto, flags   int
	packets, bytes int
	start, end     int64
	reject         bool
	path           int
}

// object is the record as the log service ships it: every value is a string.
func (r *row) object(shipped int64) object {
	direction, action, flags := "out", "ACCEPT", "-"
	if r.in {
		direction = "in"
	}
	if r.reject {
		action = "REJECT"
	}
	if r.proto == tcp {
		flags = strconv.Itoa(r.flags)
	}
	return object{"__time__": shipped, "__topic__": "flow_log", "__source__": "log_service",
		"version": "1", "account-id": account, "eni-id": r.on.id(), "vm-id": r.on.instance(), "vswitch-id": r.on.subnet, "vpc-id": vpc, "type": "IPv4",
		"protocol": strconv.Itoa(r.proto), "srcaddr": r.src, "srcport": strconv.Itoa(r.sport), "dstaddr": r.dst, "dstport": strconv.Itoa(r.dport),
		"direction": direction, "action": action, "packets": strconv.Itoa(r.packets), "bytes": strconv.Itoa(r.bytes),
		"start": strconv.FormatInt(r.start, 10), "end": strconv.FormatInt(r.end, 10), "tcp-flags": flags, "log-status": "OK", "traffic_path": strconv.Itoa(r.path)}
}

const (
	tcp, udp = 6, 17

	fin, syn, synAck = 1, 2, 18

	// Where the traffic went.
	sameVPC, cloudService, internet = 2, 5, 15
)

type world struct {
	rng uint64
	out []row
}

// roll returns a number from 0 to limit-1 (splitmix64, which no release will change).
func (w *world) roll(limit int) int {
	w.rng += 0x9e3779b97f4a7c15
	z := w.rng
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return int((z ^ z>>31) % uint64(limit))
}

// end is one end of a connection: a host, or an address outside.
type end struct {
	on   *host
	addr string
}

func at(name string) end { h := hostOf(name); return end{h, h.addr} }

func outside(addr string) end { return end{addr: addr} }

// half logs the packets of one direction at each end that is ours.
func (w *world) half(t int64, from, to end, sport, dport, proto, flags, packets, path int) {
	r := row{src: from.addr, dst: to.addr, sport: sport, dport: dport, proto: proto, flags: flags, packets: packets,
		bytes: packets * (60 + w.roll(900)), start: t, end: t + int64(w.roll(500)), path: path}
	if from.on != nil {
		r.on, r.in = from.on, false
		w.out = append(w.out, r)
	}
	if to.on != nil {
		r.on, r.in = to.on, true
		w.out = append(w.out, r)
	}
}

// talk logs a connection that was answered.
func (w *world) talk(t int64, client, server end, port, proto, path int) {
	sport, n := 32768+w.roll(28000), 4+w.roll(30)
	// The log joins the flags of all packets: an opener's later packets add their ACK.
	there, back := syn|fin, synAck|fin
	if w.roll(4) == 0 {
		there = syn | 16 | fin
	}
	w.half(t, client, server, sport, port, proto, there, n, path)
	w.half(t, server, client, port, sport, proto, back, n, path)
}

// refuse logs a SYN that was rejected.
func (w *world) refuse(t int64, from, to end, port, path int) {
	w.out = append(w.out, row{on: to.on, in: true, src: from.addr, dst: to.addr, sport: 20000 + w.roll(40000), dport: port, proto: tcp, flags: syn,
		packets: 1, bytes: 40, start: t, end: t + 2, reject: true, path: path})
}

// day logs what happens on day d, which begins at the given time.
func (w *world) day(d int, from int64) {
	when := func() int64 { return from + int64(w.roll(86400-900)) }
	webs := []end{at("web1"), at("web2"), at("web3"), at("web4")}
	dbs := []end{at("db1"), at("db2"), at("db3")}
	for i, web := range webs {
		for range 5 {
			w.talk(when(), outside(fmt.Sprintf("192.0.2.%d", 1+w.roll(120))), web, [2]int{443, 80}[w.roll(3)/2], tcp, internet)
		}
		w.talk(when(), web, dbs[0], 5432, tcp, sameVPC)
		w.talk(when(), web, dbs[1+w.roll(2)], 5432, tcp, sameVPC)
		if i%2 == d%2 {
			w.talk(when(), web, at("pay"+strconv.Itoa(1+w.roll(2))), 8443, tcp, sameVPC)
		}
		w.talk(when(), web, outside("100.100.2.136"), 53, udp, cloudService)
	}
	// The databases among themselves: no rule says so.
	for i := range dbs {
		for j := range dbs {
			if i != j {
				w.talk(when(), dbs[i], dbs[j], 2379, tcp, sameVPC)
			}
		}
		if i > 0 {
			w.talk(when(), dbs[i], dbs[0], 5432, tcp, sameVPC)
		}
		w.talk(when(), dbs[i], outside("100.100.2.136"), 53, udp, cloudService)
		w.talk(when(), dbs[i], outside("100.118.28.44"), 443, tcp, cloudService) // backups to the object store
	}
	w.talk(when(), dbs[2], dbs[0], 8008, tcp, sameVPC) // the third node votes all the same
	// The payment service and its bank.
	for _, p := range []end{at("pay1"), at("pay2")} {
		w.talk(when(), p, outside("203.0.113.80"), 443, tcp, internet)
	}
	// Operators on working days.
	if day := firstDay.AddDate(0, 0, d).Weekday(); day%6 != 0 {
		ops := at("ops1")
		w.talk(when(), outside("198.51.100.20"), ops, 22, tcp, internet)
		w.talk(when(), ops, dbs[w.roll(3)], 22, tcp, sameVPC)
		w.talk(when(), ops, webs[w.roll(4)], 22, tcp, sameVPC)
	}
	// The noise of the internet.
	for range 6 {
		web := webs[w.roll(4)]
		w.refuse(when(), outside(fmt.Sprintf("203.0.113.%d", 100+w.roll(100))), web, 22, internet)
		w.refuse(when(), outside(fmt.Sprintf("192.0.2.%d", 130+w.roll(100))), web, [3]int{23, 6379, 8080}[w.roll(3)], internet)
	}
}
