package remedy

import (
	"fmt"
	"strconv"

	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine/policy"
)

// awsDialect is the AWS command line.
var awsDialect = &dialect{
	tool:   "aws",
	common: awsCommon,
	needs: "`aws` (the AWS command line) with credentials for the account and the region of the groups. " +
		"The calls are ec2:DescribeSecurityGroups, DescribeSecurityGroupRules, DescribeNetworkAcls, AuthorizeSecurityGroupIngress and Egress, " +
		"RevokeSecurityGroupIngress and Egress, ModifySecurityGroupRules, CreateNetworkAclEntry, ReplaceNetworkAclEntry and DeleteNetworkAclEntry.",
	dry:      "sends each change with the dry-run switch of the API, which checks permissions and changes nothing",
	quota:    60,
	id:       plainID,
	unfit:    awsUnfit,
	line:     awsLine,
	args:     func(r *policy.Rule) []string { return []string{awsPermissions(r, r.Description)} },
	like:     func(r *policy.Rule) []string { return []string{awsPermissions(r, "")} },
	swap:     awsSwap,
	aclUnfit: awsACLUnfit,
	acl:      awsACL,
}

// awsACLUnfit says why e cannot be made by calls that name a line by its number.
func awsACLUnfit(j *job, acl *policy.ACL, e *plan.Edit) string {
	old := j.rule(e.Rule)
	if old == nil {
		return "a new line would need a number that nobody chose"
	}
	if why := awsEntryUnfit(old); why != "" {
		return "it could not be put back: " + why
	}
	if !numbersOnce(acl, old) {
		return fmt.Sprintf("two lines have the number %d", old.Rank)
	}
	switch {
	case len(e.With) > 1:
		return "a line can be replaced by one line of its number, not by several"
	case len(e.With) == 0:
		return ""
	}
	n := &e.With[0]
	if n.Rank != old.Rank || n.Direction != old.Direction {
		return "its replacement has another number"
	}
	return awsEntryUnfit(n)
}

func awsACL(j *job, q *sequence, acl *policy.ACL, edits []plan.Edit) {
	w := q.watch(acl.ID, true)
	goes := make(map[policy.Ref]bool)
	for _, action := range []policy.Action{policy.Allow, policy.Deny} {
		for i := range edits {
			e := &edits[i]
			old := j.rule(e.Rule)
			if old.Action != action {
				continue
			}
			goes[old.Ref] = true
			number := strconv.Itoa(int(old.Rank))
			slot := []string{old.Direction.String(), number, awsEntryLine(old)}
			w.removed = append(w.removed, awsEntryLine(old))
			j.removed++
			named := []string{acl.ID, "--" + old.Direction.String(), number}
			back := call("add_line", append(named, awsEntryArgs(old)...)...)
			if len(e.With) == 0 {
				q.removes = append(q.removes, step{say: "remove " + old.Ref.String() + ": " + words(old),
					do: call("remove_line", named...), undo: back})
			} else {
				n := &e.With[0]
				j.added++
				w.swapped = append(w.swapped, awsEntryLine(n))
				slot = append(slot, awsEntryLine(n))
				q.swaps = append(q.swaps, step{say: "replace " + old.Ref.String() + ": " + words(old) + ", by " + words(n),
					do:   call("replace_line", append(named, awsEntryArgs(n)...)...),
					undo: call("replace_line", append(named, awsEntryArgs(old)...)...)})
			}
			w.fixed = append(w.fixed, call("slot", slot...))
		}
	}
	for i := range acl.Rules {
		r := &acl.Rules[i]
		if !goes[r.Ref] && !r.Implicit && awsEntryUnfit(r) == "" {
			w.kept = append(w.kept, awsEntryLine(r))
		}
	}
}

// awsCommon is the part of common.sh for AWS. What is read is brought into the form in
// which the plan writes rules: the name of a peer whatever its kind, -1 for no ports.
const awsCommon = `
export AWS_PAGER=""

# look GROUP reads the rules of a group, and fails if there is no such group.
look() {
  if pretended; then return; fi
  owner=$1
  aws ec2 describe-security-groups --group-ids "$1" --query 'SecurityGroups[].GroupId' --output text >/dev/null
  state=$(rules "$1")
  lines=$(cut -d ' ' -f 2- <<<"$state")
}

rules() {
  aws ec2 describe-security-group-rules --filters "Name=group-id,Values=$1" --output text \
    --query 'SecurityGroupRules[].[SecurityGroupRuleId,IsEgress,IpProtocol,FromPort,ToPort,CidrIpv4,CidrIpv6,PrefixListId,ReferencedGroupInfo.GroupId]' |
    awk -F '\t' '{
      peer = "none"
      for (i = 6; i <= 9; i++) if ($i != "None" && $i != "") peer = $i
      from = $4; to = $5
      if ($3 == "tcp" || $3 == "udp") { if (from == "-1" || from == "None") { from = 0; to = 65535 } }
      else if ($3 != "icmp" && $3 != "icmpv6") { from = -1; to = -1 }
      print $1, ($2 == "True" ? "egress" : "ingress"), $3, from, to, peer
    }'
}

# look_acl ACL reads the lines of a network ACL, and fails if there is none.
look_acl() {
  if pretended; then return; fi
  owner=$1
  lines=$(entries "$1")
  state=$lines
}

entries() {
  aws ec2 describe-network-acls --network-acl-ids "$1" --output text \
    --query 'NetworkAcls[].Entries[].[Egress,RuleNumber,Protocol,RuleAction,CidrBlock,Ipv6CidrBlock,PortRange.From,PortRange.To,IcmpTypeCode.Type,IcmpTypeCode.Code]' |
    awk -F '\t' '{
      peer = $5 == "None" ? $6 : $5
      from = -1; to = -1
      if ($3 == "6" || $3 == "17") {
        if ($7 == "None") { from = 0; to = 65535 } else { from = $7; to = $8 }
      } else if (($3 == "1" || $3 == "58") && $9 != "None") { from = $9; to = $10 }
      print ($1 == "True" ? "egress" : "ingress"), $2, $3, $4, peer, from, to
    }'
}

# slot DIRECTION NUMBER LINE…: the line of that number, if there is one, is one of these.
slot() {
  local place="$1 $2 " now line
  shift 2
  now=$(grep -e "^$place" <<<"$lines" || true)
  if [ -z "$now" ]; then return; fi
  for line in "$@"; do
    if [ "$now" = "$line" ]; then return; fi
  done
  echo "  $owner has another line: $now" >&2
  wrong=$((wrong + 1))
}

# change SAME ARG… makes a change. The error SAME says that it was made before.
change() {
  local same=$1 out
  shift
  if [ -n "$dry_run" ]; then
    if out=$(aws ec2 "$@" --dry-run 2>&1) || [[ $out == *"(DryRunOperation)"* ]]; then return; fi
  elif out=$(aws ec2 "$@" 2>&1); then
    return
  fi
  if [ -n "$same" ] && [[ $out == *"($same)"* ]]; then
    echo "  it is so already"
    return
  fi
  printf '%s\n' "$out" >&2
  return 1
}

add_rule() { # GROUP DIRECTION PERMISSIONS
  change InvalidPermission.Duplicate "authorize-security-group-$2" --group-id "$1" --ip-permissions "$3"
}

remove_rule() { # GROUP DIRECTION ID
  change InvalidSecurityGroupRuleId.NotFound "revoke-security-group-$2" --group-id "$1" --security-group-rule-ids "$3"
}

remove_like() { # GROUP DIRECTION PERMISSIONS
  change InvalidPermission.NotFound "revoke-security-group-$2" --group-id "$1" --ip-permissions "$3"
}

change_rule() { # GROUP RULES
  change InvalidPermission.Duplicate modify-security-group-rules --group-id "$1" --security-group-rules "$2"
}

add_line() { # ACL --DIRECTION NUMBER ARG…
  local acl=$1 side=$2 number=$3
  shift 3
  change NetworkAclEntryAlreadyExists create-network-acl-entry --network-acl-id "$acl" "$side" --rule-number "$number" "$@"
}

remove_line() { # ACL --DIRECTION NUMBER
  change InvalidNetworkAclEntry.NotFound delete-network-acl-entry --network-acl-id "$1" "$2" --rule-number "$3"
}

replace_line() { # ACL --DIRECTION NUMBER ARG…
  local acl=$1 side=$2 number=$3
  shift 3
  change "" replace-network-acl-entry --network-acl-id "$acl" "$side" --rule-number "$number" "$@"
}
`
