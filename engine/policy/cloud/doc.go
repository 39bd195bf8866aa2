// Package cloud reads policy exports into [policy.Snapshot] values.
//
// [Read] takes files, folders, globs and "-", recognises each file by its content
// against the table [Clouds] and returns one sealed snapshot, with what was read
// from where as [Input] values. Known are the JSON that "aws ec2
// describe-…" and "aliyun ecs Describe…" print, what "terraform show -json" prints,
// and the policy language below. An export may be plain,
// one level down in another tool's wrapper, in pages, several documents in a file,
// gzipped; its keys are found whatever their case ("SecurityGroups",
// "securityGroups", "security_groups"). What is absent is named in
// Snapshot.Missing with what follows from that.
//
// # Exports of Alibaba Cloud
//
// Read are the replies of DescribeSecurityGroups (the types of groups),
// DescribeSecurityGroupAttribute (their rules, a document for each group),
// DescribeNetworkInterfaces, DescribePrefixListAttributes, DescribePrefixLists,
// DescribePortRangeListEntries (whose list the reply does not say: in a file named
// after it, or wrapped as {"prl-1": …}), DescribeNetworkAcls,
// DescribeNetworkAclAttributes, DescribeVSwitches and DescribeFlowLogs, with the lists
// in their wrappers ({"Permissions": {"Permission": […]}}) or bare. DescribeInstances
// knows the groups of primary interfaces only, so it stands in where
// DescribeNetworkInterfaces is absent. Pages that are counted, or that leave a token,
// must all be there.
//
//   - A rule's priority is its rank; Accept is allow, Drop is deny.
//   - PortRange is the service's port in both directions, SourcePortRange the other
//     side's. All ports of TCP or UDP are 1-65535, also where -1/-1 is written: port 0
//     is matched by rules for all protocols alone. Any source port is no restriction.
//   - DestCidrIp of an ingress rule, SourceCidrIp of an egress rule, restrict the
//     interface's own addresses.
//   - A rule with a list of ports has a box for each range. Where the list is absent
//     the rule may match wherever its peer and protocol do: it is written "at unknown".
//   - A basic group lets out what no rule matches, and its members talk to one another
//     unless InnerAccessPolicy is Drop; an advanced group does neither. Where the type
//     is absent implicit rules say that it may. A group whose rules are absent may
//     allow or deny anything.
//   - A group of another VPC is a dead reference.
//   - Interfaces of services are told by the resource they are for: those of ALB and
//     NLB let in what no rule matches, those of CLB and RDS pass no network ACL.
//   - An ACL's line is named by its place in its list, apart for each address family.
//
// # The policy language
//
// [ParseText] reads, and [Format] writes, a policy as people argue about it. A line
// is a statement; the rules of a group or ACL are indented under it; # starts a
// comment. Words with blanks or quotes are written as Go strings; a quoted word is
// never a keyword.
//
//	interface ID ADDRESS… GROUP… [prefix=CIDR]… [subnet=ID vpc=ID account=ID
//	          instance=ID kind=WORD role=WORD platform=ID name=WORD attached=TIME
//	          requester-managed transit ingress-open no-acl]
//	  stage NAME DENY|ALLOW/DENY|ALLOW [first] GROUP[,GROUP]…|none …
//	group ID [name=WORD vpc=ID account=ID description=WORD kind=WORD default managed
//	          unnamed egress-open intra]
//	  RULE ingress|egress [deny|allow|next|allow-all] BOX [or BOX]… [priority=N]
//	       [created=TIME address=WORD ports-of=LIST readonly implicit] ["description"]
//	acl ID [subnets=ID,ID…] [subnet=ID]… [vpc=ID default]
//	  N ingress|egress allow|deny BOX [options as above]
//	subnet ID CIDR… [vpc=ID]
//	list ID CIDR… [max=N name=WORD provider unknown]
//	flowlog ID RESOURCE ALL|ACCEPT|REJECT [format=WORD created=TIME failed=WORD
//	          paths=WORD[,WORD]… interval=DURATION ipv4-only inactive]
//	missing WHAT "effect"
//	platform CIDR…|none [acl-exempt=CIDR]… [admitted=CIDR]… [quota=N ranks=N-M open-untracked
//	          groups-deny acl-optional no-self-peer id=ID]
//	taken TIME
//
// A BOX is one set of connections:
//
//	all | PROTOCOL[+PROTOCOL]… [PORTS] [type N [code M]]  from|to PEER…  [at PEER…]  [peer-ports=PORTS]
//
// A protocol is a name (tcp, udp, icmp, icmpv6) or a number; PORTS is N, N-M or all
// and names the service: local ports of an ingress rule, remote ports of an egress
// rule. Ingress rules say "from", egress rules "to". A PEER is a CIDR, an address,
// "any" (both families), "none", "unknown" (some addresses that nobody knows), a
// group (sg-…, or group=ID), or a prefix list (pl-…, or list=ID). After a group or
// list, foreign=ACCOUNT, peer-vpc=ID and dead="why" belong to it. "at" restricts
// the local side.
//
// An ACL line is named by its number: the line 100 of the ingress list is rule
// ingress-100, or ingress-100-ipv6 if its peers are IPv6; its rank is the number.
// Any other word in its place is the rule's id, and priority=N gives the rank.
//
// Interfaces list their primary address first. An interface whose groups do not simply
// join spells out its stages: a stage has the defaults of ingress and egress and its
// tiers, the strongest first, each the groups that join in it; a new connection passes
// the stages of ingress in order, those of egress in reverse; a stage marked "first" is
// before the others in both. Its groups outside of the stages filter nothing: they only
// make it a member.
//
// A text without a platform has the one of AWS; "platform none" does nothing beside the
// rules. A platform's CIDRs are filtered by no stage, its acl-exempt ones by no network
// ACL, and groups admit its admitted ones unless a rule denies; quota is how many rules a
// group may have in one direction, ranks are the priorities that one can give them. A text
// names nothing missing but what it declares and the groups and lists that it refers to
// and does not hold.
//
// # Terraform
//
// What "terraform show -json" (or tofu) prints of a plan or a state, and a stored state
// of version 4 (the kind "tfstate"), declare a policy: security groups with their rules
// in every style, network ACLs, and the interfaces, subnets and prefix lists that go
// with them, of both clouds and in modules. Every rule has the address of its resource.
// A plan is read as what will be.
//
// What is not there yet has its address for an id, and others find it by the references
// of the configuration, through variables and outputs. What is unknown until apply is
// unknown here: a rule with an unknown peer may match anyone, one with unknown ports any
// port, and a rule whose group cannot be told may be in each new one. Terraform prints
// neither local values nor dynamic blocks, so some of what it knows is unknown.
//
// The lists at a group or ACL that are not written there are copies of what the cloud
// had: what the plan removes by resources of their own is taken out of them. Of groups
// that Terraform does not keep only the declared rules are here; the rules named
// "undeclared-…" stand for the others, and "removed-…" for what the plan takes away.
//
// Read together with a cloud's own exports, Terraform only declares: the exports' rules
// are in force and get the addresses of the resources that declare the same, and
// "terraform drift" in Missing counts what differs. [Overlay] shows what a proposed
// policy makes of the one in force.
//
// # The past
//
// [ReadHistory] also takes earlier snapshots, and files that record changes: CloudTrail
// events (trail files with Records, what "aws cloudtrail lookup-events" prints, one event
// a line), AWS Config items, and ActionTrail events as they are, looked up, or out of a
// log service. Of CloudTrail the content of each change is read; of ActionTrail no more
// than that something changed the object, so what it was before comes from an earlier
// snapshot or is not known.
//
// # What the package does not do
//
// It judges nothing and resolves no reference. It never calls a cloud.
package cloud
