// Package netset is the algebra of addresses and services under the rules:
// prefixes, port ranges, intervals and boxes, and the question whether one box is
// covered by others. IPv4 and IPv6 are two universes that never mix.
package netset
