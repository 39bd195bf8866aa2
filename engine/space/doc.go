// Package space says what an ordered list of rules permits, as boxes of services and
// remote addresses: which lines never speak, which change nothing, what one list
// permits that another does not.
//
// A [List] is one stage of a path in one direction, its lines in the order in which
// they speak: by tier, rank, deny before allow. Security groups of platforms without
// ranks are the case where all lines speak together. [List.Speaks] is what a line is
// left with by the stronger ones; [List.Admits] is what an allow line admits once the
// denies above it have spoken. What the list permits is the union of what its allow
// lines admit, plus, where the default allows, all that no line denies. So as long as
// the denies stay, questions about allow lines are questions about unions.
//
// [List.Redundant] answers whether the list permits the same without a line, and
// [Compare] what two lists permit differently, with boxes as witnesses.
//
// What is not known of a line (addresses that could not be resolved, restrictions that
// boxes do not show) is bounded from both sides: Sure holds what it matches for
// certain, Perhaps all that it may match. Every answer "never", "covered", "redundant"
// rests on the side that keeps it true.
//
// The definitions are those of Al-Shaer and Hamed (2004) for pairs, of Yuan et al.
// (FIREMAN, 2006) for unions, and of Liu and Gouda (2005) for upward and downward
// redundancy.
//
// The package knows no groups, no interfaces and no traffic. Its values are immutable
// and safe for concurrent use.
package space
