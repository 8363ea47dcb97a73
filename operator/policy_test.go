package operator

import (
	"slices"
	"strings"
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// asksKeys makes a proxy one whose pods ask the API server for keys.
func asksKeys(s *v1alpha1.MCPRemoteProxySpec) {
	s.OIDCConfigRef = &v1alpha1.OIDCConfigRef{Name: "accounts", Audience: "docs"}
}

func withPolicy(s *v1alpha1.MCPRemoteProxySpec) {
	s.NetworkPolicy = &v1alpha1.NetworkPolicy{Enabled: true}
}

// ports are those that a NetworkPolicy admits.
func (c *cluster) ports(policy string) (all []int32) {
	c.Helper()
	for _, rule := range read(c, policy, &networkingv1.NetworkPolicy{}).Spec.Egress {
		for _, p := range rule.Ports {
			all = append(all, p.Port.IntVal)
		}
	}
	return all
}

// A policy of pods that ask for keys admits the ports that API servers listen at, as far as the operator may read them;
// what a policy cannot say is told where the policy is made: at a gateway of many, and not at those who share it.
//
// REQ B-10, B-14
func TestPolicies(t *testing.T) {
	t.Parallel()
	port := int32(16443)
	servers := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: "kubernetes"}, AddressType: discoveryv1.AddressTypeIPv4,
		Ports: []discoveryv1.EndpointPort{{Port: &port}},
	}
	accounts := &v1alpha1.MCPOIDCConfig{ObjectMeta: objectMeta("accounts")}
	accounts.Spec.Type, accounts.Spec.KubernetesServiceAccount = "kubernetesServiceAccount", &v1alpha1.ServiceAccountIssuer{}
	for _, row := range []struct {
		name       string
		objects    []client.Object
		namespaces []string
		want       int32
	}{
		{"all namespaces", []client.Object{servers}, nil, 16443},
		{"this one and that of the API servers", []client.Object{servers}, []string{namespace, "default"}, 16443},
		{"this one alone", []client.Object{servers}, []string{namespace}, 6443},
		{"nobody says", nil, nil, 6443},
	} {
		shared := gateway("all")
		shared.Spec.NetworkPolicy = &v1alpha1.NetworkPolicy{Enabled: true}
		c := newCluster(t, append([]client.Object{
			accounts.DeepCopy(), proxy("docs", withPolicy, asksKeys), proxy("other", withPolicy), proxy("guest", withPolicy, asksKeys, at("all")), shared,
		}, row.objects...)...)
		c.options.Namespaces = row.namespaces
		for _, name := range []string{"docs", "other", "guest"} {
			c.mustLook("MCPRemoteProxy", name)
		}
		c.mustLook("MCPGateway", "all")
		for _, policy := range []string{"docs-proxy", "all-shared"} {
			if got := c.ports(policy); !slices.Contains(got, 443) || !slices.Contains(got, row.want) {
				t.Errorf("%s: %s admits %v, want %d", row.name, policy, got, row.want)
			}
		}
		if got := c.ports("other-proxy"); slices.Contains(got, row.want) {
			t.Errorf("%s: the policy of pods that ask for nothing admits %v", row.name, got)
		}
		for _, of := range []func() (string, string){
			func() (string, string) { return c.condition("docs", conditionPolicy) },
			func() (string, string) { return c.gatewayCondition("all", conditionPolicy) },
		} {
			if got, message := of(); got != "False AnyAddress" || !strings.Contains(message, "mcp.example.com:443") {
				t.Errorf("%s: %s: %s", row.name, got, message)
			}
		}
		if got, message := c.condition("guest", conditionPolicy); got != "" {
			t.Errorf("%s: one that has no policy of its own says %s: %s", row.name, got, message)
		}
	}
}

// What the condition says follows the policy.
func TestPolicySaysAll(t *testing.T) {
	t.Parallel()
	c := newCluster(t, proxy("docs", withPolicy, func(s *v1alpha1.MCPRemoteProxySpec) {
		s.RemoteURL, s.AllowPrivateEndpoint = "https://10.1.2.3:8443/mcp", true
	}))
	c.mustLook("MCPRemoteProxy", "docs")
	if got, message := c.condition("docs", conditionPolicy); got != "True Exact" {
		t.Errorf("of an address: %s: %s", got, message)
	}
	p := read(c, "docs", &v1alpha1.MCPRemoteProxy{})
	p.Spec.Redirects = &v1alpha1.Redirects{AllowedHosts: []v1alpha1.RedirectHost{"files.example.com"}}
	if err := c.store().Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	c.mustLook("MCPRemoteProxy", "docs")
	if got, message := c.condition("docs", conditionPolicy); got != "False AnyAddress" || !strings.Contains(message, "redirects to files.example.com") {
		t.Errorf("of a redirect: %s: %s", got, message)
	}
	for len(c.events.Events) > 0 {
		if event := <-c.events.Events; strings.Contains(event, "AnyAddress") {
			t.Errorf("somebody is woken up for what is as it must be: %s", event)
		}
	}
	p = read(c, "docs", p)
	p.Spec.NetworkPolicy = nil
	if err := c.store().Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	c.mustLook("MCPRemoteProxy", "docs")
	if got, _ := c.condition("docs", conditionPolicy); got != "" {
		t.Errorf("without a policy: %s", got)
	}
}
