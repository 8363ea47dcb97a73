package accounts

import (
	"context"
	"errors"
	"time"

	"github.com/sallyport-dev/sallyport/internal/store"
)

// blameless is how long after a new sign-in an account is not to blame.
const blameless = 5 * time.Minute

// Doubt notes that what is made of an account is refused although its token was
// renewed (REQ D-9). It counts as ended for who signs the person in, until it is linked
// again; its tokens go on for everybody whom they serve. again means that it was
// linked just now because of such a doubt, so that linking it once more cannot help.
func (b *Book) Doubt(ctx context.Context, person, provider string) (again bool, err error) {
	a := account{person, provider}
	for {
		rec, raw, err := b.load(ctx, a)
		if errors.Is(err, store.ErrNotFound) {
			return false, nil
		}
		if err != nil {
			return false, b.unavailable(a, err)
		}
		now := b.cfg.Now()
		again = !rec.Mended.IsZero() && now.Sub(rec.Linked) < blameless
		if rec.spent(now) {
			return again, nil
		}
		next := *rec
		next.Doubted = now
		done, err := b.cfg.Store.Swap(ctx, b.key(a), raw, b.sealed(a, &next), next.keep(now))
		if err != nil {
			return again, b.unavailable(a, err)
		}
		if done {
			b.cfg.Log.Info("what is made of an account is refused; the person's next sign-in visits its provider", "provider", provider)
			return again, nil
		}
	}
}
