package plan

import (
	"cmp"
	"maps"
	"slices"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/toollock"
)

// ToolLock is what the tools of an upstream are held to.
type ToolLock struct {
	Tools toollock.Server
	Drift string // allow, quarantine or deny
	Name  string // of the ConfigMap
	Key   string // in it
}

// lock plans what the tools of upstreams are held to.
func (c one) lock(l *v1alpha1.ToolLock, ups []*Upstream) {
	if l == nil {
		return
	}
	const field = "spec.toolLock.configMapRef"
	ref := l.ConfigMapRef
	key := string(cmp.Or(ref.Key, "tools.lock"))
	var lock toollock.Lock
	if !c.process.Locking { // what there is may be old, or not there yet
		var ok bool
		if lock, ok = c.readLock(field, string(ref.Name), key); !ok {
			return
		}
	}
	for _, up := range ups {
		up.Lock = &ToolLock{Tools: lock[up.Name], Drift: cmp.Or(l.Drift, "quarantine"), Name: string(ref.Name), Key: key}
		if _, locked := lock[up.Name]; !locked && !c.process.Locking {
			c.warn(field+".name", "ConfigMap %q has no tools of %s, so all of them count as changed; run sallyport lock to add them", ref.Name, up.Name)
		}
	}
}

// readLock reads a lock, whose servers all have to be there.
func (c one) readLock(field, name, key string) (toollock.Lock, bool) {
	text, object, ok := c.text(field, name, key)
	if !ok {
		return nil, false
	}
	bad := func(line int, what string) {
		p := c.of(object).Problem("data."+key, "%s; run sallyport lock to write the lock anew", what)
		p.Line += line // of the text, which begins below its key
		c.plan.Problems = append(c.plan.Problems, p)
	}
	lock, lines, mistake := toollock.Parse(text)
	if mistake != nil {
		bad(mistake.Line, mistake.Error())
		return nil, false
	}
	for _, server := range slices.Sorted(maps.Keys(lock)) {
		there := false
		for _, kind := range []string{"MCPRemoteProxy", "MCPServer", "MCPServerEntry"} {
			_, found := c.set.Find(kind, c.Namespace, server)
			there = there || found
		}
		if !there {
			bad(lines[server], "names server "+server+", which is in no manifest")
		}
	}
	return lock, true
}
