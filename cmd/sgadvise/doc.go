/*
Sgadvise says which firewall rules can go and how tight the rest can be, and proves
that no connection seen in the flow logs would be denied.

	sgadvise analyze --logs PATH… --policy PATH… [flags]   the main job
	sgadvise effective --policy PATH… --interface ID        the rules in force, in evaluation order
	sgadvise explain --policy PATH… --flow "…"              what decides one connection
	sgadvise explain --policy PATH… --logs PATH… --rule REF the evidence behind one rule
	sgadvise render REPORT.json --export FILE…              a stored report in other formats
	sgadvise diff OLD.json NEW.json                         what changed between two reports
	sgadvise checks [NAME]                                  the checks and what they mean
	sgadvise schema [NAME]                                  the JSON Schemas of the documents
	sgadvise version

Results go to standard output or to the files named with -o and --export; messages and
progress go to standard error. Exit codes: 0 done, 1 a finding reached --fail-on, 2
usage, 3 input unusable, 4 evidence incomplete where --require-coverage asked for it,
5 internal or I/O error, 130 interrupted.

# What sgadvise cannot know

The logs speak for their window. Traffic rarer than that, before it, or lost (SKIPDATA)
is not there. Some traffic is never logged: the network's own resolver, metadata, time.
ICMP types are in no log. The log does not say who opened a connection nor which layer
rejected it; where flags and rules do not prove it, the report says how it was inferred,
and what stays undecided counts for both readings. The policy is one moment: rules and
members may have been different when the log was written, which shows as low fidelity.
Behind address translation one address stands for many hosts.
*/
package main
