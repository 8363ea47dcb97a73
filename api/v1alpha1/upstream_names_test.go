package v1alpha1_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

func providers(names ...string) (list v1alpha1.UpstreamProviders) {
	for _, n := range names {
		list = append(list, v1alpha1.UpstreamProvider{Name: n})
	}
	return list
}

// REQ D-1 and D-2: names are checked again when a configuration is loaded, and the
// errors differ.
func TestUpstreamNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 63)
	for _, test := range []struct {
		names []string
		want  []string
		err   string
	}{
		{names: []string{""}, want: []string{"default"}},
		{names: []string{"default"}, want: []string{"default"}},
		{names: []string{"okta", "a-b", long}, want: []string{"okta", "a-b", long}},
		{names: []string{"okta", ""}, err: "no name"},
		{names: []string{"", ""}, err: "no name"},
		{names: []string{"okta", "default"}, err: "reserved"},
		{names: []string{"okta", "hub", "okta"}, err: "duplicate"},
		{names: []string{"Okta"}, err: "DNS label"},
		{names: []string{"a_b"}, err: "DNS label"},
		{names: []string{"a/b"}, err: "DNS label"},
		{names: []string{"-a"}, err: "DNS label"},
		{names: []string{"a-"}, err: "DNS label"},
		{names: []string{"a\n"}, err: "DNS label"},
		{names: []string{long + "a"}, err: "DNS label"},
	} {
		got, err := providers(test.names...).Names()
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%q: %s", test.names, diff)
		}
		if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%q: error %v, want one with %q", test.names, err, test.err)
		}
	}
}

// REQ D-3: the name of the variable says which provider it is of, wherever that
// stands in the list.
func TestUpstreamSecretEnv(t *testing.T) {
	t.Parallel()
	if got := v1alpha1.UpstreamSecretEnv("okta-staff"); got != "SALLYPORT_UPSTREAM_CLIENT_SECRET_OKTA_STAFF" {
		t.Errorf("got %s", got)
	}
	const letters = "ab0-"
	seen := map[string]string{}
	var each func(name string)
	each = func(name string) {
		if _, err := providers(name).Names(); err == nil && name != "" {
			env := v1alpha1.UpstreamSecretEnv(name)
			if other, taken := seen[env]; taken {
				t.Errorf("%s and %s share %s", name, other, env)
			}
			seen[env] = name
		}
		if len(name) < 5 {
			for _, l := range letters {
				each(name + string(l))
			}
		}
	}
	each("")
	if len(seen) < 500 {
		t.Errorf("only %d names were compared", len(seen))
	}
}
