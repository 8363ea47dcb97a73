package sharing_test

import (
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/operator/resource"
	"github.com/sallyport-dev/sallyport/operator/sharing"
)

var (
	gateway = resource.Key{Kind: "MCPGateway", Namespace: "team", Name: "all"}
	docs    = resource.Key{Kind: "MCPRemoteProxy", Namespace: "team", Name: "docs"}
	search  = resource.Key{Kind: "MCPRemoteProxy", Namespace: "team", Name: "search"}
)

// clocked has a clock that only the test moves.
func clocked() (s *sharing.Sharing, pass func(time.Duration)) {
	now := time.Unix(1_000_000, 0)
	return &sharing.Sharing{Now: func() time.Time { return now }}, func(d time.Duration) { now = now.Add(d) }
}

// A change waits until it has been quiet for a while, and not for ever.
func TestWait(t *testing.T) {
	t.Parallel()
	s, pass := clocked()
	if s.Wait(gateway) != 0 {
		t.Error("it waits though nothing has changed")
	}
	waited := time.Duration(0)
	for i := 0; ; i++ {
		s.Offer(gateway, docs, string(rune('a'+i)), "r", nil) // something new each time
		if s.Wait(gateway) == 0 {
			break
		}
		if waited > time.Minute {
			t.Fatal("it waits for ever")
		}
		pass(time.Second)
		waited += time.Second
	}
	if waited < 5*time.Second {
		t.Errorf("it did not wait for those who came later: %s", waited)
	}
	s.Made(gateway)
	s.Offer(gateway, search, "text", "r", nil)
	wait := s.Wait(gateway)
	if wait == 0 {
		t.Error("the next change waits for nobody")
	}
	if pass(wait); s.Wait(gateway) != 0 {
		t.Error("it waits though it has been quiet")
	}
}

// What was good last stays while something is wrong, and news are told once.
func TestOffer(t *testing.T) {
	t.Parallel()
	s, _ := clocked()
	for _, step := range []struct {
		what, text string
		news       bool
		kept       string
		broken     bool
	}{
		{"the first", "one", true, "one", false},
		{"the same", "one", false, "one", false},
		{"it breaks", "", true, "one", true},
		{"it is still broken", "", false, "one", true},
		{"it is good as before", "one", true, "one", false},
		{"it changes", "two", true, "two", false},
	} {
		news := s.Offer(gateway, docs, step.text, "r"+step.text, nil)
		got := s.Guests(gateway)[docs]
		if news != step.news || got.Text != step.kept || got.Broken != step.broken {
			t.Errorf("%s: news %t, %+v", step.what, news, got)
		}
	}
}

// Who is served elsewhere stays for a while; who comes back stays.
func TestLeave(t *testing.T) {
	t.Parallel()
	s, pass := clocked()
	s.Offer(gateway, docs, "one", "r", nil)
	if got := s.Leave(docs, sharing.Linger, gateway.Name); got != nil {
		t.Errorf("it leaves the gateway that serves it: %v", got)
	}
	if got := s.Leave(docs, sharing.Linger); len(got) != 1 || got[0] != gateway {
		t.Errorf("who should look: %v", got)
	}
	if got := s.Leave(docs, sharing.Linger); got != nil {
		t.Errorf("leaving twice is news: %v", got)
	}
	pass(sharing.Linger / 2)
	if _, there := s.Guests(gateway)[docs]; !there {
		t.Error("it is gone at once")
	}
	s.Offer(gateway, docs, "one", "r", nil)
	pass(sharing.Linger)
	if _, there := s.Guests(gateway)[docs]; !there {
		t.Error("it has come back, and is gone")
	}
	s.Leave(docs, sharing.Linger)
	pass(sharing.Linger + 1)
	if _, there := s.Guests(gateway)[docs]; there {
		t.Error("it stays for ever")
	}
}

// The pods of a gateway need what its texts name.
func TestNeeds(t *testing.T) {
	t.Parallel()
	s, _ := clocked()
	all := s.Needs(gateway, map[string]string{"docs.yaml": "apiVersion: sallyport.dev/v1alpha1\nkind: MCPRemoteProxy\nmetadata: {name: docs}\n" +
		"spec: {remoteUrl: https://mcp.example.com:8443/mcp, headerForward: {addHeadersFromSecret: [{headerName: X-Key, valueSecretRef: {name: api, key: token}}]}}\n"})
	if len(all) != 1 || len(all[0].Addresses) != 1 || all[0].Addresses[0].Host != "mcp.example.com:8443" || all[0].ClusterToken {
		t.Errorf("addresses: %+v", all[0].Needs)
	}
	if len(all) == 1 && (len(all[0].Secrets) != 1 || all[0].Secrets[0].Name != "api" || all[0].Secrets[0].Key != "token") {
		t.Errorf("Secrets: %+v", all[0].Secrets)
	}
}
