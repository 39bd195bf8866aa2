// Package chart draws the small pictures of the HTML report as inline SVG: [Bars]
// for a size before and after, [Strip] for days with and without data.
//
// A picture holds no text but its title, takes its colours from classes of the page
// around it, and stretches to the width it is given, so that it can stand in a cell
// of the table that has its numbers. What it says is said by shape as well as colour.
// The package computes no evidence: it scales numbers to lengths.
package chart
