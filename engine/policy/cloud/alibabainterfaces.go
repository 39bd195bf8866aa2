package cloud

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/engine/policy"
)

// alibabaInterface is an element of DescribeNetworkInterfaces.
type alibabaInterface struct {
	NetworkInterfaceID   string `json:"NetworkInterfaceId"`
	NetworkInterfaceName alibabaText
	Description          alibabaText
	Type                 alibabaText
	InstanceID           alibabaText `json:"InstanceId"`
	VpcID                alibabaText `json:"VpcId"`
	VSwitchID            alibabaText `json:"VSwitchId"`
	OwnerID              alibabaText `json:"OwnerId"`
	CreationTime         alibabaText
	ServiceManaged       alibabaText
	SourceDestCheck      alibabaText
	SecurityGroupIDs     alibabaList[string] `json:"SecurityGroupIds"`
	Attachment           struct {
		InstanceID alibabaText `json:"InstanceId"`
	}
	alibabaAddresses
}

// alibabaAddresses are the private addresses of an interface.
type alibabaAddresses struct {
	PrivateIPAddress alibabaText `json:"PrivateIpAddress"`
	PrimaryIPAddress alibabaText `json:"PrimaryIpAddress"` // as DescribeInstances has it
	PrivateIPSets    alibabaList[struct {
		PrivateIPAddress alibabaText `json:"PrivateIpAddress"`
		Primary          alibabaText
	}] `json:"PrivateIpSets"`
	Ipv6Sets       alibabaList[struct{ Ipv6Address alibabaText }]
	Ipv4PrefixSets alibabaList[struct{ Ipv4Prefix alibabaText }]
	Ipv6PrefixSets alibabaList[struct{ Ipv6Prefix alibabaText }]
}

// alibabaInstance is an element of DescribeInstances.
type alibabaInstance struct {
	InstanceID       string `json:"InstanceId"`
	InstanceName     alibabaText
	SecurityGroupIDs alibabaList[string] `json:"SecurityGroupIds"` // of the primary interface
	VpcAttributes    struct {
		VpcID     alibabaText `json:"VpcId"`
		VSwitchID alibabaText `json:"VSwitchId"`
	}
	NetworkInterfaces alibabaList[struct {
		NetworkInterfaceID string `json:"NetworkInterfaceId"`
		Type               alibabaText
		alibabaAddresses
	}]
}

// alibabaOwner is what an interface of a service does otherwise than one of an instance.
type alibabaOwner struct {
	prefix, kind string
	role         policy.Role
	open         bool // groups admit what no rule matches, and do not filter what leaves
	noACL        bool // network ACLs do not filter it
}

// alibabaOwners are told by the ids of the services' own resources.
var alibabaOwners = []alibabaOwner{
	{"alb", "alb", policy.Host, true, false},
	{"nlb", "nlb", policy.NetworkBalancer, true, false},
	{"lb", "clb", policy.NetworkBalancer, false, true},
	{"rm", "rds", policy.Host, false, true},
	{"pgm", "rds", policy.Host, false, true},
	{"ngw", "nat-gateway", policy.NAT, false, false},
	{"ep", "endpoint", policy.ServiceEndpoint, false, false},
}

// alibabaOwnerID finds the id of a service's resource in the words of a managed
// interface.
var alibabaOwnerID = regexp.MustCompile(`(?:^|[^0-9A-Za-z])((alb|nlb|lb|rm|pgm|ngw|ep)-[0-9a-z]{6,})`)

// owner returns the service that keeps the interface, and the id of the resource it is
// for; ok is false for interfaces of instances.
func (raw *alibabaInterface) owner() (alibabaOwner, string, bool) {
	of := func(prefix string) alibabaOwner {
		i := slices.IndexFunc(alibabaOwners, func(o alibabaOwner) bool { return o.prefix == prefix })
		if i < 0 {
			return alibabaOwner{}
		}
		return alibabaOwners[i]
	}
	id := cmp.Or(string(raw.InstanceID), string(raw.Attachment.InstanceID))
	prefix, _, _ := strings.Cut(id, "-")
	if o := of(prefix); o.kind != "" {
		return o, id, true
	}
	if !raw.ServiceManaged.yes() || prefix == "i" {
		return alibabaOwner{}, id, false
	}
	// People name their own interfaces as they like; services write what they are for.
	for _, words := range []alibabaText{raw.NetworkInterfaceName, raw.Description} {
		if m := alibabaOwnerID.FindStringSubmatch(string(words)); m != nil {
			return of(m[2]), m[1], true
		}
	}
	return alibabaOwner{}, id, false
}

func (r *alibabaReader) readInterface(_ *alibabaPage, e element) error {
	var raw alibabaInterface
	if err := e.decode("network interface", &raw); err != nil {
		return err
	}
	if raw.NetworkInterfaceID == "" {
		return e.pos.errorf("network interface without NetworkInterfaceId: not of DescribeNetworkInterfaces")
	}
	f := policy.Interface{ID: raw.NetworkInterfaceID, Name: cmp.Or(string(raw.NetworkInterfaceName), string(raw.Description)),
		VPC: string(raw.VpcID), Subnet: string(raw.VSwitchID), Account: string(raw.OwnerID), Kind: strings.ToLower(string(raw.Type)),
		Platform: alibabaPlatform.ID, RequesterManaged: raw.ServiceManaged.yes(), Transit: raw.SourceDestCheck.no()}
	owner, id, owned := raw.owner()
	f.Instance = id
	if owned {
		f.Kind, f.Role, f.IngressOpen, f.NoACL = owner.kind, owner.role, owner.open, owner.noACL
	}
	var err error
	// When it was attached is not said; before it was made it was not.
	if f.Attached, err = alibabaTime("CreationTime", raw.CreationTime); err != nil {
		return e.pos.errorf("%s: %w", f.ID, err)
	}
	for _, g := range raw.SecurityGroupIDs.all {
		if g == "" {
			return e.pos.errorf("%s: SecurityGroupIds: an empty id", f.ID)
		}
		f.Groups = append(f.Groups, g)
	}
	f.Groups = sortStrings(f.Groups)
	if err := raw.addTo(&f); err != nil {
		return e.pos.errorf("%s: %w", f.ID, err)
	}
	r.interfaces = append(r.interfaces, located[policy.Interface]{f, e.pos})
	return nil
}

// addTo adds the addresses to f, the primary one first.
func (a *alibabaAddresses) addTo(f *policy.Interface) error {
	primary := cmp.Or(string(a.PrivateIPAddress), string(a.PrimaryIPAddress))
	var rest []string
	for _, p := range a.PrivateIPSets.all {
		if primary == "" && p.Primary.yes() {
			primary = string(p.PrivateIPAddress)
		}
		rest = append(rest, string(p.PrivateIPAddress))
	}
	slices.Sort(rest) // the same primary one for any order, if none is marked
	for _, p := range a.Ipv6Sets.all {
		rest = append(rest, string(p.Ipv6Address))
	}
	if primary != "" {
		rest = slices.Insert(rest, 0, primary)
	}
	for _, s := range rest {
		addr, err := parseAddr(s)
		if err != nil {
			return err
		}
		f.Addresses = append(f.Addresses, addr)
	}
	f.Addresses = sortAddresses(f.Addresses)
	var prefixes []string
	for _, p := range a.Ipv4PrefixSets.all {
		prefixes = append(prefixes, string(p.Ipv4Prefix))
	}
	for _, p := range a.Ipv6PrefixSets.all {
		prefixes = append(prefixes, string(p.Ipv6Prefix))
	}
	for _, s := range prefixes {
		p, err := parsePrefix(s)
		if err != nil {
			return err
		}
		f.Prefixes = append(f.Prefixes, p)
	}
	f.Prefixes = sortPrefixes(f.Prefixes)
	return nil
}

func (r *alibabaReader) readInstance(_ *alibabaPage, e element) error {
	var raw alibabaInstance
	if err := e.decode("instance", &raw); err != nil {
		return err
	}
	if raw.InstanceID == "" {
		return e.pos.errorf("instance without InstanceId: not of DescribeInstances")
	}
	r.instances = append(r.instances, located[alibabaInstance]{raw, e.pos})
	return nil
}

// buildInterfaces returns the interfaces. DescribeInstances says which groups the
// primary interface of an instance has and nothing of the others, so its interfaces
// count only where DescribeNetworkInterfaces is not here.
func (r *alibabaReader) buildInterfaces() ([]policy.Interface, error) {
	names := make(map[string]string)
	for i := range r.instances {
		in := &r.instances[i]
		names[in.v.InstanceID] = string(in.v.InstanceName)
		if r.seen["network-interfaces"] {
			continue
		}
		if err := r.primary(&in.v, in.pos); err != nil {
			return nil, err
		}
	}
	out, err := onlyOnce("network interface", r.interfaces, func(f *policy.Interface) string { return f.ID }, formatInterface)
	for i := range out {
		out[i].Name = cmp.Or(out[i].Name, names[out[i].Instance])
	}
	return out, err
}

// primary adds the primary interface of an instance and counts the others.
func (r *alibabaReader) primary(in *alibabaInstance, pos position) error {
	for i := range in.NetworkInterfaces.all {
		n := &in.NetworkInterfaces.all[i]
		if !strings.EqualFold(string(n.Type), "Primary") && len(in.NetworkInterfaces.all) > 1 {
			r.secondary++
			continue
		}
		if n.NetworkInterfaceID == "" {
			return pos.errorf("%s: NetworkInterfaces: no NetworkInterfaceId", in.InstanceID)
		}
		f := policy.Interface{ID: n.NetworkInterfaceID, VPC: string(in.VpcAttributes.VpcID), Subnet: string(in.VpcAttributes.VSwitchID),
			Instance: in.InstanceID, Kind: "primary", Platform: alibabaPlatform.ID, Groups: sortStrings(slices.Clone(in.SecurityGroupIDs.all))}
		if err := n.addTo(&f); err != nil {
			return pos.errorf("%s: %w", f.ID, err)
		}
		r.interfaces = append(r.interfaces, located[policy.Interface]{f, pos})
	}
	return nil
}
