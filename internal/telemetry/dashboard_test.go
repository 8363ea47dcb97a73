package telemetry

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// described are the labels of every metric that a gateway can expose, also of those
// that have no series yet.
func described(t *testing.T, m *Metrics) map[string][]string {
	t.Helper()
	return describedBy(t, m.registry)
}

func describedBy(t *testing.T, c prometheus.Collector) map[string][]string {
	t.Helper()
	descriptions := make(chan *prometheus.Desc)
	go func() {
		c.Describe(descriptions)
		close(descriptions)
	}()
	form := regexp.MustCompile(`fqName: "([^"]+)".* variableLabels: \{([^}]*)\}`)
	names := map[string][]string{}
	for d := range descriptions {
		found := form.FindStringSubmatch(d.String())
		if found == nil {
			t.Fatalf("cannot read %s", d)
		}
		names[found[1]] = strings.Split(found[2], ",")
	}
	return names
}

// REQ B-15: what the dashboard asks for is there, and all that the gateway counts is on the dashboard.
func TestDashboard(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../deploy/grafana/sallyport.json")
	if err != nil {
		t.Fatal(err)
	}
	type target struct{ Expr, LegendFormat string }
	var board struct {
		UID           string
		SchemaVersion int
		Annotations   struct{ List []target }
		Templating    struct {
			List []struct{ Query json.RawMessage }
		}
		Panels []struct {
			ID                       int
			Type, Title, Description string
			Targets                  []target
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	if board.UID != "sallyport" || board.SchemaVersion == 0 {
		t.Errorf("uid %q, schema %d: links to a dashboard go by its uid", board.UID, board.SchemaVersion)
	}
	targets := slices.Clone(board.Annotations.List)
	for _, v := range board.Templating.List {
		targets = append(targets, target{Expr: string(v.Query)})
	}
	ids := map[int]bool{}
	for _, p := range board.Panels {
		if ids[p.ID] || p.Title == "" || p.Type != "row" && (p.Description == "" || len(p.Targets) == 0) {
			t.Errorf("panel %d %q: its id is taken, or it has no title, description or query", p.ID, p.Title)
		}
		ids[p.ID] = true
		targets = append(targets, p.Targets...)
	}
	known := described(t, NewMetrics("v1"))
	used := map[string]bool{}
	for _, q := range targets {
		for _, name := range checkQuery(t, known, q.Expr, q.LegendFormat) {
			used[name] = true
		}
	}
	for name := range known {
		if strings.HasPrefix(name, "sallyport_") && !used[name] {
			t.Errorf("no panel shows %s", name)
		}
	}
}

// REQ B-30, G-5: the alert rules ask for what is there.
func TestAlertRules(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../deploy/prometheus/sallyport.rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, alert := range []string{"KeySetChanged", "ExchangeFails", "BackendDown", "DenialsRise", "StoreUnreachable", "AuditLost", "RefreshTokenReused", "SignInsFail", "ResourceNotReady"} {
		if !strings.Contains(string(text), "- alert: Sallyport"+alert+"\n") {
			t.Errorf("there is no rule %s", alert)
		}
	}
	known := described(t, NewMetrics("v1"))
	maps.Copy(known, describedBy(t, NewResources(nil)))
	rules, names := 0, map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "- alert: "); ok && names[name] {
			t.Errorf("%s is there twice: who is paged is paged twice", name)
		} else if ok {
			names[name] = true
		}
		if expr, ok := strings.CutPrefix(strings.TrimSpace(line), "expr: "); ok {
			rules++
			if len(checkQuery(t, known, expr, "")) == 0 {
				t.Errorf("%s asks for no metric", expr)
			}
		}
	}
	// What operators were promised to be told of.
	for _, name := range []string{
		`jwks_events_total{event="changed"}`, `token_exchanges_total{result!="success"}`, "backend_up == 0",
		`policy_decisions_total{decision="deny"}`, "store_failures_total", "audit_events_lost_total", "audit_full",
	} {
		if !strings.Contains(string(text), "sallyport_"+name) {
			t.Errorf("no rule asks for %s", name)
		}
	}
	if rules < 10 || len(names) != rules {
		t.Errorf("%d alerts with %d expressions", len(names), rules)
	}
}

var (
	metricName  = regexp.MustCompile(`\b(?:sallyport|go|process)_[a-z0-9_]+`)
	usedLabel   = regexp.MustCompile(`([a-z_]+)(?:=~|!=|!~|=)\\?"`)
	groupLabels = regexp.MustCompile(`by \(([^)]*)\)`)
	legendLabel = regexp.MustCompile(`\{\{(\w+)\}\}`)
)

// checkQuery compares a query with the metrics that there are, and returns those
// it uses.
func checkQuery(t *testing.T, known map[string][]string, expr, legend string) (names []string) {
	t.Helper()
	labels := []string{"le", "instance"} // of histograms, and of every target that is scraped
	for _, name := range metricName.FindAllString(expr, -1) {
		if base, ok := strings.CutSuffix(name, "_bucket"); ok {
			name = base
		}
		has, ok := known[name]
		if !ok {
			t.Errorf("%s: there is no metric %s", expr, name)
		}
		labels, names = append(labels, has...), append(names, name)
	}
	asked := legendLabel.FindAllStringSubmatch(legend, -1)
	asked = append(asked, usedLabel.FindAllStringSubmatch(expr, -1)...)
	for _, group := range groupLabels.FindAllStringSubmatch(expr, -1) {
		for label := range strings.SplitSeq(group[1], ",") {
			asked = append(asked, []string{"", strings.TrimSpace(label)})
		}
	}
	for _, a := range asked {
		if !slices.Contains(labels, a[1]) && len(names) > 0 {
			t.Errorf("%s (%s): no metric of it has the label %s", expr, legend, a[1])
		}
	}
	for _, pair := range []string{"()", "{}", "[]"} {
		if strings.Count(expr, pair[:1]) != strings.Count(expr, pair[1:]) {
			t.Errorf("%s: %s do not match", expr, pair)
		}
	}
	return names
}
