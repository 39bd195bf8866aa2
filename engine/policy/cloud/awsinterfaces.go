package cloud

import (
	"slices"
	"strings"

	"github.com/sgadvise/sgadvise/engine/policy"
)

// awsInterface is an element of describe-network-interfaces, or of the
// NetworkInterfaces of an instance.
type awsInterface struct {
	NetworkInterfaceID string `json:"NetworkInterfaceId"`
	Description        string
	VpcID              string `json:"VpcId"`
	SubnetID           string `json:"SubnetId"`
	OwnerID            string `json:"OwnerId"`
	InterfaceType      string
	RequesterManaged   bool
	SourceDestCheck    *bool
	Groups             []struct {
		GroupID string `json:"GroupId"`
	}
	PrivateIPAddress   string       `json:"PrivateIpAddress"`
	PrivateIPAddresses []awsAddress `json:"PrivateIpAddresses"`
	Ipv6Addresses      []struct{ Ipv6Address string }
	Ipv4Prefixes       []struct{ Ipv4Prefix string }
	Ipv6Prefixes       []struct{ Ipv6Prefix string }
	Attachment         *struct {
		AttachTime awsTime
		InstanceID string `json:"InstanceId"`
	}
	TagSet []awsTag
}

type awsAddress struct {
	PrivateIPAddress string `json:"PrivateIpAddress"`
	Primary          bool
}

// roles says what interfaces of a kind do with traffic, where they are not hosts.
var roles = map[string]policy.Role{
	"natGateway":                     policy.NAT,
	"network_load_balancer":          policy.NetworkBalancer,
	"gateway_load_balancer":          policy.GatewayBalancer,
	"gateway_load_balancer_endpoint": policy.GatewayEndpoint,
	"vpc_endpoint":                   policy.ServiceEndpoint,
	"ec2_instance_connect_endpoint":  policy.ConnectEndpoint,
	"transit_gateway":                policy.TransitGateway,
	"efa":                            policy.Fabric,
	"efa-only":                       policy.Fabric,
}

// awsInstance is an element of the Instances of a reservation.
type awsInstance struct {
	InstanceID        string `json:"InstanceId"`
	NetworkInterfaces []awsInterface
	Tags              []awsTag
}

func (r *awsReader) readInterface(_ *awsPage, e element) error {
	var raw awsInterface
	if err := e.decode("network interface", &raw); err != nil {
		return err
	}
	f, err := raw.build(e.pos)
	if err != nil {
		return err
	}
	r.votes[f.Account]++
	r.interfaces = append(r.interfaces, located[policy.Interface]{f, e.pos})
	return nil
}

func (r *awsReader) readReservation(page *awsPage, e element) error {
	members, err := e.members()
	if err != nil {
		return err
	}
	for _, m := range members {
		if m.name != "instances" {
			continue
		}
		instances, ok, err := m.objects()
		if err != nil {
			return err
		}
		if !ok {
			return m.pos.errorf("%s: not an array of instances", m.key)
		}
		for _, i := range instances {
			if err := r.readInstance(page, i); err != nil {
				return err
			}
		}
		return nil
	}
	return e.pos.errorf("reservation without Instances: not of describe-instances")
}

// readInstance takes the interfaces of an instance. The groups are those of each
// interface; the list at the instance is only the first one's.
func (r *awsReader) readInstance(_ *awsPage, e element) error {
	var raw awsInstance
	if err := e.decode("instance", &raw); err != nil {
		return err
	}
	if raw.InstanceID == "" {
		return e.pos.errorf("instance without InstanceId: not of describe-instances")
	}
	for i := range raw.NetworkInterfaces {
		f, err := raw.NetworkInterfaces[i].build(e.pos)
		if err != nil {
			return err
		}
		f.Instance = raw.InstanceID
		if name := tagValue(raw.Tags, "Name"); name != "" {
			f.Name = name
		}
		r.votes[f.Account]++
		r.ofInstance = append(r.ofInstance, located[policy.Interface]{f, e.pos})
	}
	return nil
}

// build reads the interface with all its private addresses, the primary one first.
func (raw *awsInterface) build(pos position) (policy.Interface, error) {
	f := policy.Interface{ID: raw.NetworkInterfaceID, Name: tagValue(raw.TagSet, "Name"), VPC: raw.VpcID, Subnet: raw.SubnetID,
		Account: raw.OwnerID, Kind: raw.InterfaceType, Role: roles[raw.InterfaceType], RequesterManaged: raw.RequesterManaged,
		Transit: raw.SourceDestCheck != nil && !*raw.SourceDestCheck}
	if f.ID == "" {
		return f, pos.errorf("network interface without NetworkInterfaceId")
	}
	if f.Name == "" {
		f.Name = raw.Description
	}
	if raw.Attachment != nil {
		f.Attached, f.Instance = raw.Attachment.AttachTime.Time, raw.Attachment.InstanceID
	}
	for _, g := range raw.Groups {
		if g.GroupID == "" {
			return f, pos.errorf("%s: Groups: no GroupId", f.ID)
		}
		f.Groups = append(f.Groups, g.GroupID)
	}
	f.Groups = sortStrings(f.Groups)

	var addresses []string
	if raw.PrivateIPAddress != "" {
		addresses = append(addresses, raw.PrivateIPAddress)
	}
	for _, a := range raw.PrivateIPAddresses {
		switch {
		case a.PrivateIPAddress == "":
			return f, pos.errorf("%s: PrivateIpAddresses: no PrivateIpAddress", f.ID)
		case a.Primary:
			addresses = slices.Insert(addresses, 0, a.PrivateIPAddress)
		default:
			addresses = append(addresses, a.PrivateIPAddress)
		}
	}
	for _, a := range raw.Ipv6Addresses {
		addresses = append(addresses, a.Ipv6Address)
	}
	if raw.PrivateIPAddress == "" && !slices.ContainsFunc(raw.PrivateIPAddresses, func(a awsAddress) bool { return a.Primary }) {
		slices.Sort(addresses) // none is marked primary: the same one for any order
	}
	for _, s := range addresses {
		a, err := parseAddr(s)
		if err != nil {
			return f, pos.errorf("%s: %w", f.ID, err)
		}
		f.Addresses = append(f.Addresses, a)
	}
	f.Addresses = sortAddresses(f.Addresses)

	var prefixes []string
	for _, p := range raw.Ipv4Prefixes {
		prefixes = append(prefixes, p.Ipv4Prefix)
	}
	for _, p := range raw.Ipv6Prefixes {
		prefixes = append(prefixes, p.Ipv6Prefix)
	}
	for _, s := range prefixes {
		p, err := parsePrefix(s)
		if err != nil {
			return f, pos.errorf("%s: %w", f.ID, err)
		}
		f.Prefixes = append(f.Prefixes, p)
	}
	f.Prefixes = sortPrefixes(f.Prefixes)
	return f, nil
}

// buildInterfaces joins both sources. describe-network-interfaces wins: it says more,
// and describe-instances has only interfaces that it has too.
func (r *awsReader) buildInterfaces() ([]policy.Interface, error) {
	id := func(f *policy.Interface) string { return f.ID }
	out, err := onlyOnce("network interface", r.interfaces, id, formatInterface)
	if err != nil {
		return nil, err
	}
	described := make(map[string]bool, len(out))
	for i := range out {
		described[out[i].ID] = true
	}
	r.dropAmbiguous(described)
	of, err := onlyOnce("network interface", r.ofInstance, id, formatInterface)
	if err != nil {
		return nil, err
	}
	return append(out, of...), nil
}

// dropAmbiguous leaves out interfaces that several instances claim with different
// addresses or groups, as masked exports do: nobody could say which one the log means.
// They are named missing, so their records end unscoped. Interfaces that are described
// for themselves are not in doubt.
func (r *awsReader) dropAmbiguous(described map[string]bool) {
	text := make(map[string]string)
	differ := make(map[string]bool)
	for i := range r.ofInstance {
		f := &r.ofInstance[i].v
		var b strings.Builder
		formatInterface(&b, f)
		if old, ok := text[f.ID]; ok && old != b.String() && !described[f.ID] {
			differ[f.ID] = true
		}
		text[f.ID] = b.String()
	}
	r.ofInstance = slices.DeleteFunc(r.ofInstance, func(l located[policy.Interface]) bool { return differ[l.v.ID] || described[l.v.ID] })
	for id := range differ {
		r.ambiguous = append(r.ambiguous, id)
	}
	slices.Sort(r.ambiguous)
}
