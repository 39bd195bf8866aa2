package remedy

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// fakeAWS is as much of the EC2 API as the scripts call, over the JSON of the exports.
type fakeAWS struct {
	Next               int // number of the next rule
	Groups             []string
	SecurityGroupRules []fakeAWSRule
	NetworkAcls        []fakeAWSACL
}

type fakeAWSRule struct {
	SecurityGroupRuleID string `json:"SecurityGroupRuleId"`
	GroupID             string `json:"GroupId"`
	GroupOwnerID        string `json:"GroupOwnerId"`
	IsEgress            bool
	IPProtocol          string `json:"IpProtocol"`
	FromPort, ToPort    int
	CidrIpv4            string       `json:",omitempty"`
	CidrIpv6            string       `json:",omitempty"`
	PrefixListID        string       `json:"PrefixListId,omitempty"`
	ReferencedGroupInfo *fakeAWSPair `json:",omitempty"`
	Description         string       `json:",omitempty"`
}

type fakeAWSPair struct {
	GroupID string `json:"GroupId"`
	UserID  string `json:"UserId,omitempty"`
}

// substance is what makes two rules the same.
func (r fakeAWSRule) substance() string {
	group := ""
	if r.ReferencedGroupInfo != nil {
		group = r.ReferencedGroupInfo.GroupID
	}
	return fmt.Sprint(r.GroupID, r.IsEgress, r.IPProtocol, r.FromPort, r.ToPort, r.CidrIpv4, r.CidrIpv6, r.PrefixListID, group)
}

type fakeAWSACL struct {
	NetworkACLID string `json:"NetworkAclId"`
	Associations []struct {
		SubnetID string `json:"SubnetId"`
	}
	Entries []fakeAWSEntry
}

type fakeAWSEntry struct {
	RuleNumber    int
	Egress        bool
	Protocol      string
	RuleAction    string
	CidrBlock     string `json:",omitempty"`
	Ipv6CidrBlock string `json:",omitempty"`
	PortRange     *struct{ From, To int }
	IcmpTypeCode  *struct{ Type, Code int }
}

// awsError is an error as the command line words it.
func awsError(code string) error {
	return fmt.Errorf("An error occurred (%s) when calling the operation: it is so", code)
}

// options reads "--name value…" into a map.
func awsOptions(args []string) map[string][]string {
	out := make(map[string][]string)
	name := ""
	for _, a := range args {
		if strings.HasPrefix(a, "--") {
			name = a
			out[name] = nil
			continue
		}
		out[name] = append(out[name], a)
	}
	return out
}

var awsFixedQueries = map[string]string{
	"describe-security-groups":      "SecurityGroups[].GroupId",
	"describe-security-group-rules": "SecurityGroupRules[].[SecurityGroupRuleId,IsEgress,IpProtocol,FromPort,ToPort,CidrIpv4,CidrIpv6,PrefixListId,ReferencedGroupInfo.GroupId]",
	"describe-network-acls": "NetworkAcls[].Entries[].[Egress,RuleNumber,Protocol,RuleAction,CidrBlock,Ipv6CidrBlock," +
		"PortRange.From,PortRange.To,IcmpTypeCode.Type,IcmpTypeCode.Code]",
}

// exec runs one command: what follows "aws". It reports whether anything changed.
func (f *fakeAWS) exec(args []string) (out string, changed bool, err error) {
	if len(args) < 2 || args[0] != "ec2" {
		return "", false, fmt.Errorf("not of ec2: %q", args)
	}
	call, opt := args[1], awsOptions(args[2:])
	one := func(name string) string {
		if len(opt[name]) != 1 {
			err = errors.Join(err, fmt.Errorf("%s: %d values of %s", call, len(opt[name]), name))
			return ""
		}
		return opt[name][0]
	}
	if want, reads := awsFixedQueries[call]; reads {
		if one("--output") != "text" || one("--query") != want {
			return "", false, fmt.Errorf("%s: another query: %q", call, opt["--query"])
		}
		return f.read(call, opt)
	}
	before := *f
	before.SecurityGroupRules = slices.Clone(f.SecurityGroupRules)
	_, dry := opt["--dry-run"]
	switch call {
	case "authorize-security-group-ingress", "authorize-security-group-egress":
		err = errors.Join(err, f.authorize(one("--group-id"), strings.HasSuffix(call, "egress"), one("--ip-permissions")))
	case "revoke-security-group-ingress", "revoke-security-group-egress":
		if ids := opt["--security-group-rule-ids"]; ids != nil {
			err = f.revoke(one("--group-id"), strings.HasSuffix(call, "egress"), ids)
			break
		}
		err = errors.Join(err, f.revokeLike(one("--group-id"), strings.HasSuffix(call, "egress"), one("--ip-permissions")))
	case "modify-security-group-rules":
		err = errors.Join(err, f.modify(one("--group-id"), one("--security-group-rules")))
	case "create-network-acl-entry", "replace-network-acl-entry", "delete-network-acl-entry":
		number, e := strconv.Atoi(one("--rule-number"))
		err = errors.Join(err, e)
		_, egress := opt["--egress"]
		if _, ingress := opt["--ingress"]; ingress == egress {
			err = errors.Join(err, errors.New("neither --ingress nor --egress alone"))
		}
		if err == nil {
			err = f.entry(call, one("--network-acl-id"), number, egress, opt)
		}
	default:
		return "", false, fmt.Errorf("no such call: %s", call)
	}
	switch {
	case err != nil:
		*f = before
		return "", false, err
	case dry:
		*f = before
		return "", false, awsError("DryRunOperation")
	}
	return "", true, nil
}

func orNone(s string) string {
	if s == "" {
		return "None"
	}
	return s
}

func truth(b bool) string {
	if b {
		return "True"
	}
	return "False"
}

func (f *fakeAWS) read(call string, opt map[string][]string) (string, bool, error) {
	var b strings.Builder
	switch call {
	case "describe-security-groups":
		for _, id := range opt["--group-ids"] {
			if !slices.Contains(f.Groups, id) {
				return "", false, awsError("InvalidGroup.NotFound")
			}
			b.WriteString(id + "\n")
		}
	case "describe-security-group-rules":
		id := strings.TrimPrefix(opt["--filters"][0], "Name=group-id,Values=")
		for _, r := range f.SecurityGroupRules {
			if r.GroupID == id {
				group := ""
				if r.ReferencedGroupInfo != nil {
					group = r.ReferencedGroupInfo.GroupID
				}
				fmt.Fprintln(&b, strings.Join([]string{r.SecurityGroupRuleID, truth(r.IsEgress), r.IPProtocol, strconv.Itoa(r.FromPort), strconv.Itoa(r.ToPort),
					orNone(r.CidrIpv4), orNone(r.CidrIpv6), orNone(r.PrefixListID), orNone(group)}, "\t"))
			}
		}
	default:
		i := slices.IndexFunc(f.NetworkAcls, func(a fakeAWSACL) bool { return a.NetworkACLID == opt["--network-acl-ids"][0] })
		if i < 0 {
			return "", false, awsError("InvalidNetworkAclID.NotFound")
		}
		for _, e := range f.NetworkAcls[i].Entries {
			from, to, typ, code := "None", "None", "None", "None"
			if e.PortRange != nil {
				from, to = strconv.Itoa(e.PortRange.From), strconv.Itoa(e.PortRange.To)
			}
			if e.IcmpTypeCode != nil {
				typ, code = strconv.Itoa(e.IcmpTypeCode.Type), strconv.Itoa(e.IcmpTypeCode.Code)
			}
			fmt.Fprintln(&b, strings.Join([]string{truth(e.Egress), strconv.Itoa(e.RuleNumber), e.Protocol, e.RuleAction,
				orNone(e.CidrBlock), orNone(e.Ipv6CidrBlock), from, to, typ, code}, "\t"))
		}
	}
	return b.String(), false, nil
}

// permissions reads --ip-permissions into rules without ids.
func (f *fakeAWS) permissions(group string, egress bool, text string) ([]fakeAWSRule, error) {
	var perms []struct {
		IPProtocol       string `json:"IpProtocol"`
		FromPort, ToPort *int
		IPRanges         []struct{ CidrIP, Description string } `json:"IpRanges"`
		Ipv6Ranges       []struct{ CidrIpv6, Description string }
		PrefixListIDs    []struct{ PrefixListID, Description string } `json:"PrefixListIds"`
		UserIDGroupPairs []struct{ GroupID, UserID, Description string }
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&perms); err != nil {
		return nil, err
	}
	if !slices.Contains(f.Groups, group) {
		return nil, awsError("InvalidGroup.NotFound")
	}
	var out []fakeAWSRule
	for _, p := range perms {
		base := fakeAWSRule{GroupID: group, GroupOwnerID: "123456789012", IsEgress: egress, IPProtocol: p.IPProtocol, FromPort: -1, ToPort: -1}
		ported := slices.Contains([]string{"tcp", "udp", "icmp", "icmpv6"}, p.IPProtocol)
		switch {
		case ported && (p.FromPort == nil || p.ToPort == nil):
			return nil, awsError("InvalidParameterValue")
		case ported:
			base.FromPort, base.ToPort = *p.FromPort, *p.ToPort
		}
		for _, r := range p.IPRanges {
			x := base
			x.CidrIpv4, x.Description = r.CidrIP, r.Description
			out = append(out, x)
		}
		for _, r := range p.Ipv6Ranges {
			x := base
			x.CidrIpv6, x.Description = r.CidrIpv6, r.Description
			out = append(out, x)
		}
		for _, r := range p.PrefixListIDs {
			x := base
			x.PrefixListID, x.Description = r.PrefixListID, r.Description
			out = append(out, x)
		}
		for _, r := range p.UserIDGroupPairs {
			x := base
			x.ReferencedGroupInfo, x.Description = &fakeAWSPair{r.GroupID, r.UserID}, r.Description
			out = append(out, x)
		}
	}
	if len(out) == 0 {
		return nil, awsError("InvalidParameterValue")
	}
	return out, nil
}

func (f *fakeAWS) find(r fakeAWSRule) int {
	return slices.IndexFunc(f.SecurityGroupRules, func(x fakeAWSRule) bool { return x.substance() == r.substance() })
}

func (f *fakeAWS) authorize(group string, egress bool, text string) error {
	rules, err := f.permissions(group, egress, text)
	if err != nil {
		return err
	}
	for _, r := range rules {
		if f.find(r) >= 0 {
			return awsError("InvalidPermission.Duplicate")
		}
		f.Next++
		r.SecurityGroupRuleID = fmt.Sprintf("sgr-made%d", f.Next)
		f.SecurityGroupRules = append(f.SecurityGroupRules, r)
	}
	return nil
}

func (f *fakeAWS) revoke(group string, egress bool, ids []string) error {
	for _, id := range ids {
		i := slices.IndexFunc(f.SecurityGroupRules, func(x fakeAWSRule) bool {
			return x.SecurityGroupRuleID == id && x.GroupID == group && x.IsEgress == egress
		})
		if i < 0 {
			return awsError("InvalidSecurityGroupRuleId.NotFound")
		}
		f.SecurityGroupRules = slices.Delete(slices.Clone(f.SecurityGroupRules), i, i+1)
	}
	return nil
}

func (f *fakeAWS) revokeLike(group string, egress bool, text string) error {
	rules, err := f.permissions(group, egress, text)
	if err != nil {
		return err
	}
	for _, r := range rules {
		i := f.find(r)
		if i < 0 {
			return awsError("InvalidPermission.NotFound")
		}
		f.SecurityGroupRules = slices.Delete(slices.Clone(f.SecurityGroupRules), i, i+1)
	}
	return nil
}

func (f *fakeAWS) modify(group, text string) error {
	var all []struct {
		SecurityGroupRuleID string `json:"SecurityGroupRuleId"`
		SecurityGroupRule   struct {
			IPProtocol                                   string `json:"IpProtocol"`
			FromPort, ToPort                             *int
			CidrIpv4, CidrIpv6                           string
			PrefixListID, ReferencedGroupID, Description string
		}
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&all); err != nil {
		return err
	}
	for _, m := range all {
		i := slices.IndexFunc(f.SecurityGroupRules, func(x fakeAWSRule) bool { return x.SecurityGroupRuleID == m.SecurityGroupRuleID && x.GroupID == group })
		if i < 0 {
			return awsError("InvalidSecurityGroupRuleId.NotFound")
		}
		was, now := f.SecurityGroupRules[i], m.SecurityGroupRule
		r := fakeAWSRule{SecurityGroupRuleID: was.SecurityGroupRuleID, GroupID: was.GroupID, GroupOwnerID: was.GroupOwnerID, IsEgress: was.IsEgress,
			IPProtocol: now.IPProtocol, FromPort: -1, ToPort: -1, CidrIpv4: now.CidrIpv4, CidrIpv6: now.CidrIpv6, PrefixListID: now.PrefixListID, Description: now.Description}
		if now.FromPort != nil {
			r.FromPort, r.ToPort = *now.FromPort, *now.ToPort
		}
		if now.ReferencedGroupID != "" {
			r.ReferencedGroupInfo = &fakeAWSPair{GroupID: now.ReferencedGroupID}
		}
		if (r.CidrIpv4 == "") != (was.CidrIpv4 == "") || (r.CidrIpv6 == "") != (was.CidrIpv6 == "") || (r.PrefixListID == "") != (was.PrefixListID == "") {
			return awsError("InvalidParameterCombination") // another kind of source
		}
		if j := f.find(r); j >= 0 && j != i {
			return awsError("InvalidPermission.Duplicate")
		}
		f.SecurityGroupRules = slices.Clone(f.SecurityGroupRules)
		f.SecurityGroupRules[i] = r
	}
	return nil
}

func (f *fakeAWS) entry(call, id string, number int, egress bool, opt map[string][]string) error {
	i := slices.IndexFunc(f.NetworkAcls, func(a fakeAWSACL) bool { return a.NetworkACLID == id })
	if i < 0 {
		return awsError("InvalidNetworkAclID.NotFound")
	}
	f.NetworkAcls = slices.Clone(f.NetworkAcls)
	entries := slices.Clone(f.NetworkAcls[i].Entries)
	at := slices.IndexFunc(entries, func(e fakeAWSEntry) bool { return e.RuleNumber == number && e.Egress == egress })
	if at >= 0 {
		if call == "create-network-acl-entry" {
			return awsError("NetworkAclEntryAlreadyExists")
		}
		entries = slices.Delete(entries, at, at+1)
	} else if call != "create-network-acl-entry" {
		return awsError("InvalidNetworkAclEntry.NotFound")
	}
	if call != "delete-network-acl-entry" {
		e := fakeAWSEntry{RuleNumber: number, Egress: egress}
		for name, to := range map[string]*string{"--protocol": &e.Protocol, "--rule-action": &e.RuleAction, "--cidr-block": &e.CidrBlock, "--ipv6-cidr-block": &e.Ipv6CidrBlock} {
			if v := opt[name]; len(v) == 1 {
				*to = v[0]
			}
		}
		if (e.CidrBlock == "") == (e.Ipv6CidrBlock == "") || e.Protocol == "" || e.RuleAction == "" {
			return awsError("MissingParameter")
		}
		var a, b int
		if v := opt["--port-range"]; len(v) == 1 {
			if _, err := fmt.Sscanf(v[0], "From=%d,To=%d", &a, &b); err != nil {
				return err
			}
			e.PortRange = &struct{ From, To int }{a, b}
		}
		if v := opt["--icmp-type-code"]; len(v) == 1 {
			if _, err := fmt.Sscanf(v[0], "Type=%d,Code=%d", &a, &b); err != nil {
				return err
			}
			e.IcmpTypeCode = &struct{ Type, Code int }{a, b}
		}
		if (e.Protocol == "6" || e.Protocol == "17") && e.PortRange == nil {
			return awsError("MissingParameter")
		}
		entries = append(entries, e)
	}
	f.NetworkAcls[i].Entries = entries
	return nil
}
