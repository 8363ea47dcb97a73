package revoked

import (
	"context"
	"slices"
	"time"
)

// watcher is somebody who wants to hear of the end of one of several ids.
type watcher struct {
	ids []string
	end func()
}

// Watch calls end once, when one of the ids has ended, at once if it has already. As
// long as somebody watches, the list is kept young by itself: a stream that is open
// sends no requests that would. stop ends the watch.
func (l *List) Watch(ids []string, end func()) (stop func()) {
	if len(ids) == 0 {
		return func() {}
	}
	w := &watcher{ids: ids, end: end}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		if _, over := l.ended[id]; over {
			end()
			return func() {}
		}
	}
	if l.watchers == nil {
		l.watchers = map[*watcher]struct{}{}
	}
	l.watchers[w] = struct{}{}
	if l.unpoll == nil {
		var ctx context.Context
		ctx, l.unpoll = context.WithCancel(context.Background())
		go l.poll(ctx)
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.leave(w)
	}
}

// leave takes a watcher out; mu is held.
func (l *List) leave(w *watcher) {
	delete(l.watchers, w)
	if len(l.watchers) == 0 && l.unpoll != nil {
		l.unpoll()
		l.unpoll = nil
	}
}

// tell ends the watch of those who wait for an id; mu is held.
func (l *List) tell(id string) {
	for w := range l.watchers {
		if slices.Contains(w.ids, id) {
			l.leave(w)
			w.end()
		}
	}
}

func (l *List) poll(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if l.age() >= lookEvery && l.looking.TryLock() {
				l.look()
				l.looking.Unlock()
			}
		}
	}
}
