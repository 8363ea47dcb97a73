package compile

import (
	"crypto/rand"
	"net/http"
	"time"

	"github.com/sallyport-dev/sallyport/internal/audit"
	"github.com/sallyport-dev/sallyport/internal/console"
	"github.com/sallyport-dev/sallyport/internal/pipeline"
)

// Holders are those who keep something that an operator can end: the authorization servers,
// of people, and the gateway's own accounts.
func (p *Parts) Holders() (issuers []console.Issuer, own []console.Account) {
	for _, a := range p.AuthServers {
		issuers = append(issuers, console.Issuer{Name: a.Name.Name, Server: a.Server})
	}
	for name, client := range p.Accounts {
		own = append(own, console.Account{Server: name, State: client.State, End: func(r *http.Request) error { return p.forget(r, name) }})
	}
	return issuers, own
}

// forget forgets an account of the gateway's own, for the operator who asks for it, and has
// the audit say so, where anything of the configuration is audited: an account may be that
// of a server behind several endpoints.
func (p *Parts) forget(r *http.Request, server string) error {
	var sink audit.Sink = audit.Discard{}
	for _, e := range p.Endpoints {
		if e.Audit != nil {
			sink = e.Audit
		}
	}
	if err := sink.Reserve(r.Context()); err != nil {
		return err
	}
	err := p.Accounts[server].Forget(r.Context())
	ev := audit.Event{
		Time: time.Now(), ID: rand.Text(), Server: server, Method: "account/disconnect", Subject: "operator", Source: "operator",
		Client: pipeline.PeerAddress(r), Via: pipeline.ViaConsole, Outcome: audit.Success, Status: http.StatusOK,
	}
	if err != nil {
		ev.Outcome, ev.Status, ev.Reason = audit.Error, http.StatusServiceUnavailable, "store"
	}
	sink.Record(&ev)
	return err
}
