package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A changelog says what changed area by area, each change once, and counts what nobody sees.
func TestChanges(t *testing.T) {
	t.Parallel()
	r := &release{version: "v1.3.0", date: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)}
	got := string(r.changes("v1.2.0", []string{
		"aaa1 internal/store, cmd: keep more",
		"aaa2 e2e: prove it",
		"aaa3 operator: wait for pods",
		"aaa4 internal/oauthclient: ask anew",
		"aaa5 deploy/package: bring a unit",
		"aaa6 internal/unheard: be new",
		"aaa7 Bring back what a merge removed",
		"aaa8 internal/oauth: follow the document",
	}))
	want := `# v1.3.0, 2026-11-01

Changes since v1.2.0.

## Who is calling, and what they may do

- follow the document (internal/oauth, aaa8)

## What servers are shown

- ask anew (internal/oauthclient, aaa4)

## State, audit and monitoring

- keep more (internal/store, cmd, aaa1)

## Kubernetes

- wait for pods (operator, aaa3)

## Packages and images

- bring a unit (deploy/package, aaa5)

## Everything else

- be new (internal/unheard, aaa6)

Besides, 2 changes of tests, documentation and tools.
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if first := string(r.changes("", nil)); !strings.Contains(first, "The first release.") {
		t.Error(first)
	}
}

// Every package belongs to an area, so that a new one is given a place.
func TestAreas(t *testing.T) {
	t.Parallel()
	list, err := os.ReadDir("../../internal")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if name := "internal/" + e.Name(); e.IsDir() && areaOf(name+": x") == "Everything else" {
			t.Errorf("changes of %s are in no area of the changelog: give it one in changelog.go", name)
		}
	}
}
