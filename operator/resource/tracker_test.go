package resource_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/operator/resource"
)

func TestTracker(t *testing.T) {
	t.Parallel()
	docs, search := resource.Key{Kind: "MCPRemoteProxy", Namespace: "team", Name: "docs"}, resource.Key{Kind: "MCPRemoteProxy", Namespace: "team", Name: "search"}
	secret := manifest.Use{Kind: "Secret", Namespace: "team", Name: "api"}
	tracker := resource.NewTracker()
	if !tracker.Note(search, secret) || !tracker.Note(docs, secret) || tracker.Note(docs, secret) || !tracker.Note(docs, docs.Use()) {
		t.Error("what is news is not told from what is known")
	}
	if diff := cmp.Diff([]resource.Key{docs, search}, tracker.UsersOf(secret)); diff != "" {
		t.Errorf("users of a Secret (-want +got):\n%s", diff)
	}
	if users := tracker.UsersOf(docs.Use()); users != nil {
		t.Errorf("a resource rests on itself: %v", users)
	}
	if diff := cmp.Diff([]manifest.Use{secret}, tracker.Keep(docs, map[manifest.Use]bool{docs.Use(): true})); diff != "" {
		t.Errorf("dropped (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]resource.Key{search}, tracker.UsersOf(secret)); diff != "" {
		t.Errorf("users afterwards (-want +got):\n%s", diff)
	}
	tracker.Keep(docs, nil)
	tracker.Keep(search, nil)
	if tracker.Len() != 0 || tracker.UsersOf(secret) != nil {
		t.Errorf("%d are left", tracker.Len())
	}
}
