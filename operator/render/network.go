package render

import (
	"cmp"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// networkPolicy admits connections of the pods to DNS, to the addresses of the
// manifests as far as a policy can say them, and to what is listed. A policy knows no
// host names: one of the internet is any address, at that port.
func (g *Gateway) networkPolicy(p *v1alpha1.NetworkPolicy) Object {
	rules := []networkingv1.NetworkPolicyEgressRule{dns()}
	for _, to := range destinations(g.Addresses) {
		rules = append(rules, networkingv1.NetworkPolicyEgressRule{To: to.peers(), Ports: []networkingv1.NetworkPolicyPort{portOf(corev1.ProtocolTCP, to.port)}})
	}
	if g.ClusterToken {
		rules = append(rules, networkingv1.NetworkPolicyEgressRule{To: everywhere(), Ports: g.clusterPorts()})
	}
	for _, r := range p.AllowedEgress {
		rules = append(rules, egressRule(r))
	}
	return egressPolicy(g.meta(), g.Selector(), rules)
}

// HasPolicy tells whether a NetworkPolicy is wanted.
func (g *Gateway) HasPolicy() bool {
	p := g.Cluster.NetworkPolicy
	return p != nil && p.Enabled
}

// clusterPorts are those of the API server: of its Service, and of what is behind it, which
// is what most networks judge by.
func (g *Gateway) clusterPorts() (all []networkingv1.NetworkPolicyPort) {
	behind := g.ClusterPorts
	if len(behind) == 0 {
		behind = []int32{6443} // as a rule
	}
	ports := append([]int32{443}, behind...)
	slices.Sort(ports)
	for _, n := range slices.Compact(ports) {
		all = append(all, portOf(corev1.ProtocolTCP, n))
	}
	return all
}

// Unsaid is what the policy of the pods cannot say, for people; "" where it says all that
// it should.
func (g *Gateway) Unsaid() string {
	var names, services []string
	for _, u := range g.Addresses {
		switch d := destinations([]*url.URL{u})[0]; {
		case d.address.IsValid():
		case d.cluster:
			services = append(services, fmt.Sprintf("%s:%d", u.Hostname(), d.port))
		default:
			names = append(names, fmt.Sprintf("%s:%d", u.Hostname(), d.port))
		}
	}
	var lines []string
	say := func(list []string, format string) {
		if len(list) > 0 {
			lines = append(lines, fmt.Sprintf(format, listed(list)))
		}
	}
	say(names, "a NetworkPolicy knows no host names, so that for %s any address is admitted at that port")
	say(slices.Clone(g.RedirectHosts), "redirects to %s are admitted at the ports of other addresses alone; list another port in allowedEgress")
	say(services, "%s is admitted at that port of every pod; where the Service's pods listen at another port, list that in allowedEgress")
	return strings.Join(lines, "; ")
}

// listed are some of many, in a fixed order and each once.
func listed(list []string) string {
	slices.Sort(list)
	list = slices.Compact(list)
	const some = 8
	if more := len(list) - some; more > 1 {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:some], ", "), more)
	}
	return strings.Join(list, ", ")
}

// egressPolicy lets pods connect to what rules admit. Who may connect to them is nobody's
// concern here, the operator's questions at the admin port included.
func egressPolicy(meta metav1.ObjectMeta, selector map[string]string, rules []networkingv1.NetworkPolicyEgressRule) Object {
	return &networkingv1.NetworkPolicy{
		TypeMeta: metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"}, ObjectMeta: meta,
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: selector},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress},
			Egress:      rules,
		},
	}
}

// dns admits questions for names. By port alone: OpenShift's DNS is at 5353, and a node's
// cache at an address of its own.
func dns() networkingv1.NetworkPolicyEgressRule {
	return networkingv1.NetworkPolicyEgressRule{To: everywhere(), Ports: []networkingv1.NetworkPolicyPort{
		portOf(corev1.ProtocolUDP, 53), portOf(corev1.ProtocolTCP, 53), portOf(corev1.ProtocolUDP, 5353), portOf(corev1.ProtocolTCP, 5353),
	}}
}

// destination is where connections go: a single address, the cluster, or anywhere.
type destination struct {
	address netip.Addr // of an address that is none of a name
	cluster bool       // the name of a Service
	port    int32
}

// destinations are those of addresses, each once and in a fixed order.
func destinations(addresses []*url.URL) []destination {
	var all []destination
	for _, u := range addresses {
		d := destination{port: 443}
		if u.Scheme == "http" {
			d.port = 80
		}
		if n, err := strconv.ParseUint(u.Port(), 10, 16); err == nil {
			d.port = int32(n)
		}
		host := strings.TrimSuffix(u.Hostname(), ".")
		d.address, _ = netip.ParseAddr(host)
		d.cluster = strings.HasSuffix(host, ".svc") || strings.HasSuffix(host, ".svc.cluster.local")
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b destination) int {
		return cmp.Or(a.address.Compare(b.address), cmp.Compare(strconv.FormatBool(a.cluster), strconv.FormatBool(b.cluster)), cmp.Compare(a.port, b.port))
	})
	return slices.Compact(all)
}

func (d destination) peers() []networkingv1.NetworkPolicyPeer {
	switch {
	case d.address.IsValid():
		return []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: netip.PrefixFrom(d.address.Unmap(), d.address.Unmap().BitLen()).String()}}}
	case d.cluster:
		return []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{}}}
	}
	return everywhere()
}

// everywhere is every address but those of cloud metadata, and every pod.
func everywhere() []networkingv1.NetworkPolicyPeer {
	return []networkingv1.NetworkPolicyPeer{
		{IPBlock: &networkingv1.IPBlock{CIDR: "0.0.0.0/0", Except: []string{"169.254.169.254/32"}}},
		{IPBlock: &networkingv1.IPBlock{CIDR: "::/0", Except: []string{"fd00:ec2::254/128"}}},
		{NamespaceSelector: &metav1.LabelSelector{}},
	}
}

func portOf(protocol corev1.Protocol, number int32) networkingv1.NetworkPolicyPort {
	port := intstr.FromInt32(number)
	return networkingv1.NetworkPolicyPort{Protocol: &protocol, Port: &port}
}

// egressRule is a rule of a manifest as Kubernetes has it.
func egressRule(r v1alpha1.EgressRule) (out networkingv1.NetworkPolicyEgressRule) {
	for _, p := range r.Ports {
		protocol := corev1.Protocol(cmp.Or(p.Protocol, "TCP"))
		out.Ports = append(out.Ports, networkingv1.NetworkPolicyPort{Protocol: &protocol, Port: p.Port, EndPort: p.EndPort})
	}
	for _, p := range r.To {
		peer := networkingv1.NetworkPolicyPeer{PodSelector: selector(p.PodSelector), NamespaceSelector: selector(p.NamespaceSelector)}
		if p.IPBlock != nil {
			peer.IPBlock = &networkingv1.IPBlock{CIDR: p.IPBlock.CIDR, Except: p.IPBlock.Except}
		}
		out.To = append(out.To, peer)
	}
	return out
}

func selector(s *v1alpha1.Selector) *metav1.LabelSelector {
	if s == nil {
		return nil
	}
	out := &metav1.LabelSelector{}
	for k, v := range s.MatchLabels {
		if out.MatchLabels == nil {
			out.MatchLabels = map[string]string{}
		}
		out.MatchLabels[k] = string(v)
	}
	for _, e := range s.MatchExpressions {
		r := metav1.LabelSelectorRequirement{Key: e.Key, Operator: e.Operator}
		for _, v := range e.Values {
			r.Values = append(r.Values, string(v))
		}
		out.MatchExpressions = append(out.MatchExpressions, r)
	}
	return out
}
