package kube

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// clusterDomain is what the names of Services end with.
const clusterDomain = ".svc.cluster.local."

// serveNames answers pods as the DNS of a cluster does, about Services with an address and nothing else. It ends with the test.
func (p *Plane) serveNames(t testing.TB) {
	t.Helper()
	conn, err := net.ListenPacket("udp", net.JoinHostPort(p.address, "53"))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { _ = conn.Close(); <-ended })
	go func() {
		defer close(ended)
		question := make([]byte, 1<<10)
		for {
			n, from, err := conn.ReadFrom(question)
			if err != nil {
				return
			}
			if answer := p.answerName(t.Context(), question[:n]); answer != nil {
				_, _ = conn.WriteTo(answer, from)
			}
		}
	}()
}

// answerName answers one question (RFC 1035 §4); nil for what is none.
func (p *Plane) answerName(ctx context.Context, question []byte) []byte {
	var parser dnsmessage.Parser
	header, err := parser.Start(question)
	if err != nil {
		return nil
	}
	q, err := parser.Question()
	if err != nil {
		return nil
	}
	address := p.addressOf(ctx, q.Name.String())
	reply := dnsmessage.Header{ID: header.ID, Response: true, Authoritative: true, RecursionDesired: header.RecursionDesired, RecursionAvailable: true}
	if !address.IsValid() {
		reply.RCode = dnsmessage.RCodeNameError
	}
	b := dnsmessage.NewBuilder(nil, reply)
	if b.StartQuestions() != nil || b.Question(q) != nil || b.StartAnswers() != nil {
		return nil
	}
	if address.IsValid() && q.Type == dnsmessage.TypeA {
		if err := b.AResource(dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1}, dnsmessage.AResource{A: address.As4()}); err != nil {
			return nil
		}
	}
	answer, err := b.Finish()
	if err != nil {
		return nil
	}
	return answer
}

// addressOf is that of a Service by its name; none for what is no Service.
func (p *Plane) addressOf(ctx context.Context, name string) (none netip.Addr) {
	service, found := strings.CutSuffix(strings.ToLower(name), clusterDomain)
	label, namespace, ok := strings.Cut(service, ".")
	if !found || !ok || strings.Contains(namespace, ".") {
		return none
	}
	text, err := p.ask(ctx, http.MethodGet, Ref{APIVersion: "v1", Kind: "Service", Namespace: namespace, Name: label}, nil, "", nil)
	var s struct {
		Spec struct{ ClusterIP string }
	}
	if err != nil || json.Unmarshal(text, &s) != nil {
		return none
	}
	address, err := netip.ParseAddr(s.Spec.ClusterIP)
	if err != nil {
		return none
	}
	return address
}
