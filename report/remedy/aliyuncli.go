package remedy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// aliyunDialect is the Alibaba Cloud command line. It changes no rule in place: the call
// cannot change the kind of a peer nor take a field away, and for years it changed the
// description alone.
var aliyunDialect = &dialect{
	tool:   "aliyun",
	common: aliyunCommon,
	needs: "`aliyun` (the Alibaba Cloud command line), with credentials for the account of the groups, `jq`, and the region in the " +
		"environment variable `REGION`. The calls are ecs:DescribeSecurityGroupAttribute, AuthorizeSecurityGroup and Egress, RevokeSecurityGroup " +
		"and Egress, vpc:DescribeNetworkAclAttributes and UpdateNetworkAclEntries.",
	partial:  "the report does not hold all of the rule (source ports, own addresses, lists of ports), nor the other lines of a network ACL: give --policy",
	dry:      "prints each change and makes none",
	quota:    200,
	id:       plainID,
	unfit:    alibabaUnfit,
	line:     alibabaLine,
	args:     func(r *policy.Rule) []string { return alibabaArgs(r, r.Description) },
	like:     func(r *policy.Rule) []string { return alibabaArgs(r, "") },
	aclUnfit: alibabaACLUnfit,
	acl:      alibabaACL,
}

// mostEntries is how many lines one call can carry.
const mostEntries = 100

// alibabaACLUnfit says why e cannot be made by writing the whole list anew.
func alibabaACLUnfit(j *job, acl *policy.ACL, e *plan.Edit) string {
	old := j.rule(e.Rule)
	if old == nil {
		return "a new line would need a place that nobody chose"
	}
	list := entriesOf(acl, old.Direction)
	if len(list) > mostEntries {
		return fmt.Sprintf("the call replaces all lines of a direction and takes %d, there are %d", mostEntries, len(list))
	}
	for _, r := range list {
		if !r.Editable {
			return fmt.Sprintf("the call replaces all lines of a direction, and %s is not the user's to write", r.Ref)
		}
		if why := alibabaEntryUnfit(r); why != "" {
			return fmt.Sprintf("the call replaces all lines of a direction, and %s cannot be written: %s", r.Ref, why)
		}
	}
	for i := range e.With {
		if e.With[i].Rank != old.Rank || e.With[i].Direction != old.Direction {
			return "its replacement has another place"
		}
		if why := alibabaEntryUnfit(&e.With[i]); why != "" {
			return why
		}
	}
	return ""
}

// entriesOf returns one list of the ACL in order: IPv4 before IPv6, which does not matter
// to either.
func entriesOf(acl *policy.ACL, d flow.Direction) []*policy.Rule {
	var out []*policy.Rule
	for i := range acl.Rules {
		if r := &acl.Rules[i]; r.Direction == d && !r.Implicit {
			out = append(out, r)
		}
	}
	slices.SortStableFunc(out, func(a, b *policy.Rule) int {
		if isIPv6(a) != isIPv6(b) {
			if isIPv6(a) {
				return 1
			}
			return -1
		}
		return cmp.Or(cmp.Compare(a.Rank, b.Rank), a.Ref.Compare(b.Ref))
	})
	return out
}

func alibabaACL(j *job, q *sequence, acl *policy.ACL, edits []plan.Edit) {
	w := q.watch(acl.ID, true)
	with := make(map[policy.Ref]*plan.Edit)
	for i := range edits {
		with[edits[i].Rule] = &edits[i]
	}
	for _, d := range []flow.Direction{flow.Ingress, flow.Egress} {
		before := entriesOf(acl, d)
		var after []*policy.Rule
		for _, r := range before {
			e := with[r.Ref]
			if e == nil {
				after = append(after, r)
				continue
			}
			j.removed++
			for k := range e.With {
				n := e.With[k]
				n.Ref.Rule = r.Ref.Rule // of its family
				after = append(after, &n)
				j.added++
			}
		}
		if len(after) == len(before) && slices.Equal(after, before) {
			continue
		}
		was, now := listed(before), listed(after)
		write := func(from, to string, list []*policy.Rule) string {
			args := []string{acl.ID, d.String(), from, to}
			for i, r := range list {
				args = append(args, alibabaEntryArgs(r, i+1)...)
			}
			return call("replace_entries", args...)
		}
		w.fixed = append(w.fixed, call("entries_are", d.String(), was, now))
		w.then = append(w.then, call("entries_are", d.String(), now))
		w.once = append(w.once, call("entries_are", d.String(), was))
		q.removes = append(q.removes, step{
			say: fmt.Sprintf("write the %s list of %s: %d lines become %d", d, acl.ID, len(before), len(after)),
			do:  write(was, now, after), undo: write(now, was, before),
		})
	}
}

// listed writes a list as the scripts read it, one line each.
func listed(list []*policy.Rule) string {
	var lines []string
	for _, r := range list {
		lines = append(lines, alibabaEntryLine(r))
	}
	return strings.Join(lines, "\n")
}

// aliyunCommon is the part of common.sh for Alibaba Cloud. What is read is brought into
// the form in which the plan writes rules: names in capitals, prefixes without host bits.
const aliyunCommon = `
: "${REGION:?set REGION to the region of the groups, like cn-hangzhou}"
if ! command -v jq >/dev/null; then
  echo "jq is needed to read the replies" >&2
  exit 1
fi

normal='
  def first_of: map(select(. != null and . != "")) | .[0] // "-";
  def masked:
    if test("^[0-9.]+/[0-9]+$") then
      split("/") as $p | ($p[0] | split(".") | map(tonumber)) as $o | ($p[1] | tonumber) as $n
      | pow(2; 32 - $n) as $size | (((($o[0] * 256 + $o[1]) * 256 + $o[2]) * 256 + $o[3]) / $size | floor) * $size
      | "\(. / 16777216 | floor).\((. / 65536 | floor) % 256).\((. / 256 | floor) % 256).\(. % 256)/\($n)"
    else . end;
  def address: masked | if contains(":") then rtrimstr("/128") else rtrimstr("/32") end;
  def ported: . == "TCP" or . == "UDP";
  def service($protocol): if ($protocol | ported | not) then "-1/-1" elif . == "-1/-1" then "1/65535" else . end;
'

# look GROUP reads the rules of a group, and fails if there is no such group.
look() {
  if pretended; then return; fi
  owner=$1
  state=$(rules "$1")
  lines=$(cut -d ' ' -f 2- <<<"$state")
}

rules() {
  aliyun ecs DescribeSecurityGroupAttribute "--RegionId=$REGION" "--SecurityGroupId=$1" --Direction=all --MaxResults=1000 |
    jq -r "$normal"'
      if (.NextToken // "") != "" then error("there are more than 1000 rules") else . end
      | .Permissions.Permission // [] | .[]
      | (.Direction | ascii_downcase) as $way
      | (.IpProtocol | ascii_upcase) as $protocol
      | [.SourceCidrIp, .Ipv6SourceCidrIp, .SourceGroupId, .SourcePrefixListId] as $source
      | [.DestCidrIp, .Ipv6DestCidrIp, .DestGroupId, .DestPrefixListId] as $dest
      | (if $way == "ingress" then [$source, $dest] else [$dest, $source] end) as $sides
      | (.SourcePortRange // "") as $client
      | [([.SecurityGroupRuleId] | first_of), $way, (.Policy | ascii_downcase), (.Priority | tostring), $protocol,
         (if (.PortRange // "") == "" and (.PortRangeListId // "") != "" then .PortRangeListId else (.PortRange // "-1/-1" | service($protocol)) end),
         ($sides[0] | first_of | address), ($sides[1] | first_of | address),
         (if ($protocol | ported) and $client != "" and $client != "-1/-1" and $client != "1/65535" then $client else "-" end)]
      | join(" ")'
}

# look_acl ACL reads the lines of a network ACL, and fails if there is none.
look_acl() {
  if pretended; then return; fi
  owner=$1
  lines=$(entries "$1")
  state=$lines
}

entries() {
  aliyun vpc DescribeNetworkAclAttributes "--RegionId=$REGION" "--NetworkAclId=$1" |
    jq -r "$normal"'
      def lines($way):
        map(((if $way == "ingress" then .SourceCidrIp else .DestinationCidrIp end) // "-") as $peer
          | (.Protocol | ascii_upcase) as $protocol
          | (if ($peer | contains(":")) or ($peer | startswith("pl-")) and (.IpVersion // "" | ascii_downcase) == "ipv6" then "ipv6" else "ipv4" end) as $version
          | [$way, $version, (.Policy | ascii_downcase), $protocol, (.Port // "-1/-1" | service($protocol)), ($peer | address)])
        | (map(select(.[1] == "ipv4")) + map(select(.[1] == "ipv6"))) | .[] | join(" ");
      .NetworkAclAttribute
      | (.IngressAclEntries.IngressAclEntry // [] | lines("ingress")), (.EgressAclEntries.EgressAclEntry // [] | lines("egress"))'
}

# list_of DIRECTION: that list of what was read.
list_of() { grep -e "^$1 " <<<"$lines" || true; }

# entries_are DIRECTION LIST…: the list of that direction is one of these.
entries_are() {
  if pretended; then return; fi
  local now list
  now=$(list_of "$1")
  for list in "${@:2}"; do
    if [ "$now" = "$list" ]; then return; fi
  done
  {
    echo "  $owner: the $1 list is another one:"
    printf '%s\n' "$now"
  } >&2
  wrong=$((wrong + 1))
}

# change SAME ARG… makes a change. The error code SAME says that it was made before.
change() {
  local same=$1 out
  shift
  if [ -n "$dry_run" ]; then
    printf '  would run: aliyun'
    printf ' %q' "$@"
    echo
    return
  fi
  if out=$(aliyun "$@" 2>&1); then return; fi
  if [ -n "$same" ] && [[ $out == *"$same"* ]]; then
    echo "  it is so already"
    return
  fi
  printf '%s\n' "$out" >&2
  return 1
}

# action NAME DIRECTION: the name of the call for that direction.
action() { if [ "$2" = egress ]; then echo "$1Egress"; else echo "$1"; fi; }

add_rule() { # GROUP DIRECTION ARG…
  local group=$1 name
  name=$(action AuthorizeSecurityGroup "$2")
  shift 2
  change "" ecs "$name" "--RegionId=$REGION" "--SecurityGroupId=$group" "$@"
}

remove_rule() { # GROUP DIRECTION ID
  local name
  name=$(action RevokeSecurityGroup "$2")
  change InvalidParam.SecurityGroupRuleId ecs "$name" "--RegionId=$REGION" "--SecurityGroupId=$1" "--SecurityGroupRuleId.1=$3"
}

remove_like() { # GROUP DIRECTION ARG…
  local group=$1 name
  name=$(action RevokeSecurityGroup "$2")
  shift 2
  change "" ecs "$name" "--RegionId=$REGION" "--SecurityGroupId=$group" "$@"
}

# replace_entries ACL DIRECTION FROM TO ARG… writes a whole list anew, if it still is FROM.
replace_entries() {
  local acl=$1 way=$2 from=$3 to=$4 flag=UpdateIngressAclEntries now tries
  if [ "$way" = egress ]; then flag=UpdateEgressAclEntries; fi
  shift 4
  lines=$(entries "$acl")
  now=$(list_of "$way")
  if [ "$now" = "$to" ]; then
    echo "  it is so already"
    return
  fi
  if [ "$now" != "$from" ]; then
    echo "  the $way list of $acl is another one than before; nothing is written:" >&2
    printf '%s\n' "$now" >&2
    return 1
  fi
  change "" vpc UpdateNetworkAclEntries "--RegionId=$REGION" "--NetworkAclId=$acl" "--$flag=true" "$@"
  if [ -n "$dry_run" ]; then return; fi
  for ((tries = 0; tries < 30; tries++)); do # it takes a moment
    lines=$(entries "$acl")
    if [ "$(list_of "$way")" = "$to" ]; then return; fi
    sleep 2
  done
  echo "  the $way list of $acl is still not as it was written" >&2
  return 1
}
`
