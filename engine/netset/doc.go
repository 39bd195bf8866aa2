// Package netset is the algebra of addresses and services under the rules:
// prefixes, port ranges, intervals and boxes, and the question whether one box is
// covered by others. IPv4 and IPv6 are two universes that never mix.
//
// A rule's ports are a [PortRange]. With its protocol they become [Services], one
// interval on a 24-bit axis that holds every protocol, so that every rule of a
// security group is one interval there, "all traffic" included. [Addrs] is an
// interval of addresses of one family, usually a prefix. A [Box] is the product of
// the two: what one rule admits from one peer prefix. [Size] counts the points of
// boxes exactly.
//
// [Covered] answers whether a box lies in the union of others, and if not shows a
// part that does not: cheap filters, then subtraction, and for inputs made of holes
// a sweep with a segment tree, O(m log m) whatever the input. All answers are exact.
//
// The package knows neither rules nor flows; it does not fold boxes into fewer ones.
package netset
