// Package chart draws the pictures of the HTML report as inline SVG: [Bars] for a size
// before and after, [Share] for a part of a whole, [Strip] for days with and without
// data, [Heat] for days or ranges of use, [Square] for used address space, [Curve] for a
// trade-off, [Steps] for a number over time, and [Layers] for flows between parties.
//
// A picture takes its colours from classes of the page around it and has a title, which is
// read out in its place, and where it shows much a description. What it says is said by
// shape as well as colour, and stands in a table of the page, too. The small ones hold no
// text and stretch to the width they are given, so that they can stand in a cell of that
// table. Untrusted text is escaped here.
//
// The package computes no evidence: it scales numbers to lengths.
package chart
