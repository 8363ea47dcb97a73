package doctor_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/doctor"
	"github.com/sallyport-dev/sallyport/internal/manifest"
)

// TestReport reads as a line for each finding, and below it what to change; what a stranger
// answered stays in its line.
func TestReport(t *testing.T) {
	t.Parallel()
	var told strings.Builder
	r := &doctor.Report{Told: func(f doctor.Finding) { told.WriteString(f.String()) }}
	if got := r.Summary(); got != "nothing is wrong" {
		t.Error(got)
	}
	r.OK("name", "%s is there", "gw")
	r.Skip("token", "there is none")
	r.Warn("issuer", "", "it says %s", "\x1b[31mred\r\nok  all is well")
	at := manifest.Problem{Position: manifest.Position{File: "a.yaml", Line: 3, Column: 5}, Object: "MCPRemoteProxy/docs", Field: "spec.oidcConfig", Message: "not said"}
	r.Add(doctor.Finding{Level: doctor.Failure, Check: "resource", Message: "it is another", Change: "--public-url", Place: at})
	want := `ok         name            gw is there
not tried  token           because there is none
warning    issuer          it says  [31mred  ok  all is well
failure    resource        it is another
                           change: a.yaml:3:5: MCPRemoteProxy/docs: spec.oidcConfig
                           change: --public-url
`
	if diff := cmp.Diff(want, told.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := r.Summary(); got != "1 failure, 1 warning" {
		t.Error(got)
	}
	var b strings.Builder
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	for _, w := range []string{`"failures": 1`, `"level": "not tried"`, `"file": "a.yaml"`, `"line": 3`, `"column": 5`, `"field": "spec.oidcConfig"`, `"change": "--public-url"`} {
		if !strings.Contains(b.String(), w) {
			t.Errorf("no %s in\n%s", w, b.String())
		}
	}
}
