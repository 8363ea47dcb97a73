package accounts

import (
	"context"
	"crypto/rand"
	"time"
)

// leaseFor is how long a replica that was killed keeps others from renewing an
// account. One that lives extends its lease while a slow provider thinks.
const leaseFor = 5 * time.Second

// lease makes this flight the one that renews an account, over all replicas; got is
// false while another one is. Release is never nil.
func (b *Book) lease(ctx context.Context, a account) (release func(), got bool, err error) {
	key, owner := b.leaseKey(a), []byte(rand.Text())
	got, err = b.cfg.Store.Add(ctx, key, owner, leaseFor)
	if err != nil || !got {
		return func() {}, false, err
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for pause(ctx, leaseFor/3) == nil {
			// A failure is no matter: what is written in the end is written by a swap.
			_, _ = b.cfg.Store.Swap(ctx, key, owner, owner, leaseFor)
		}
	}()
	return func() {
		stop()
		<-stopped
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		// A swap, since the lease could be another's by now. It is over at once.
		_, _ = b.cfg.Store.Swap(limited, key, owner, []byte("over"), time.Millisecond)
	}, true, nil
}
