package main

import (
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/operator"
)

// The webhook has one certificate: the operator's own, or one in files.
func TestWebhookOptions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		options operator.WebhookOptions
		secret  string
		want    string // a part of the error
	}{
		"off":              {operator.WebhookOptions{}, "", ""},
		"kept":             {operator.WebhookOptions{Listen: ":9443", Configuration: "c"}, "gateway/hook", ""},
		"files":            {operator.WebhookOptions{Listen: ":9443", CertFile: "c", KeyFile: "k"}, "", ""},
		"nobody listens":   {operator.WebhookOptions{Configuration: "c"}, "gateway/hook", "--webhook-listen"},
		"no certificate":   {operator.WebhookOptions{Listen: ":9443"}, "", "needs a certificate"},
		"half kept":        {operator.WebhookOptions{Listen: ":9443"}, "gateway/hook", "needs a certificate"},
		"half a pair":      {operator.WebhookOptions{Listen: ":9443", KeyFile: "k"}, "", "go together"},
		"both":             {operator.WebhookOptions{Listen: ":9443", Configuration: "c", CertFile: "c", KeyFile: "k"}, "", "one of the two"},
		"no namespace":     {operator.WebhookOptions{Listen: ":9443", Configuration: "c"}, "hook", "NAMESPACE/NAME"},
		"a path":           {operator.WebhookOptions{Listen: ":9443", Configuration: "c"}, "a/b/c", "NAMESPACE/NAME"},
		"an empty name":    {operator.WebhookOptions{Listen: ":9443", Configuration: "c"}, "gateway/", "NAMESPACE/NAME"},
		"configuration of": {operator.WebhookOptions{Listen: ":9443", Configuration: "c"}, "", "needs a certificate"},
	} {
		err := webhookOptions(&c.options, c.secret)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if name == "kept" && (c.options.Secret.Namespace != "gateway" || c.options.Secret.Name != "hook") {
			t.Errorf("the Secret is %v", c.options.Secret)
		}
	}
}
