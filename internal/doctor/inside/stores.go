package inside

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/doctor"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/seal"
	"github.com/sallyport-dev/sallyport/internal/store"
	"github.com/sallyport-dev/sallyport/internal/store/sealed"
)

// stored is a Redis that state is kept in, and what says so.
type stored struct {
	name string
	at   manifest.Problem // of a manifest; the zero value for the process's flags
	cfg  store.RedisConfig
	ring *seal.Ring // that seals what is in it; nil where that is not known here
}

// stores looks at each Redis that state is kept in: that of the process, and those that
// authorization servers have of their own.
func (x *exam) stores(ctx context.Context, servers []*plan.AuthServer) {
	var all []stored
	if x.Redis != nil {
		all = append(all, stored{name: "--store", cfg: *x.Redis, ring: x.StoreKeys})
	}
	seen := map[string]bool{}
	for _, a := range servers {
		if a.Storage == nil || a.Storage.Redis == nil || seen[a.Storage.Key] {
			continue
		}
		seen[a.Storage.Key] = true
		all = append(all, stored{name: a.Name, at: a.Problem(a.Field+".storage.redis", ""), cfg: compile.RedisConfig(a.Storage.Redis)})
	}
	for _, s := range all {
		x.Say("asking the Redis of %s", s.name)
		x.store(ctx, s)
	}
}

func (x *exam) store(ctx context.Context, s stored) {
	const check = "store"
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	redis, err := store.NewRedis(s.cfg)
	if err != nil {
		x.Add(doctor.Finding{Level: doctor.Failure, Check: check, Place: s.at, Message: s.name + ": " + err.Error()})
		return
	}
	defer redis.Close()
	look, err := redis.Look(ctx)
	if err != nil {
		message := fmt.Sprintf("%s: what needs state fails, such as sign-ins: %v", s.name, err)
		x.Add(doctor.Finding{Level: doctor.Failure, Check: check, Place: s.at, Message: message, Change: s.change(err)})
		return
	}
	if s.cfg.TLS == nil && !x.nearby(ctx, s.cfg.Addresses) {
		x.Add(doctor.Finding{
			Level: doctor.Warning, Check: check, Place: s.at, Change: s.either("--store: rediss:// in place of redis://", "storage.redis.tls"),
			Message: s.name + ": Redis is reached over a public network without TLS: its password can be read on the way",
		})
	} else {
		x.OK(check, "%s: Redis %s does all that the gateway needs", s.name, look.Version)
	}
	if off := look.Clock.Sub(look.Asked).Round(time.Second); off.Abs() > farOff {
		x.Add(doctor.Finding{
			Level: doctor.Failure, Check: "clocks", Place: s.at, Change: "time synchronisation (chrony, systemd-timesyncd) of the machine whose clock is wrong",
			Message: fmt.Sprintf("%s: the clock of Redis is %v %s the one here: one of them is wrong, and replicas that disagree refuse each other's tokens", s.name, off.Abs(), way(off)),
		})
	}
	x.storeKeys(ctx, s, redis)
}

// farOff is by how much two clocks may differ.
const farOff = 30 * time.Second

func way(off time.Duration) string {
	if off < 0 {
		return "behind"
	}
	return "ahead of"
}

// storeKeys looks whether the keys here open what others have written.
func (x *exam) storeKeys(ctx context.Context, s stored, redis store.Store) {
	const check = "store keys"
	if s.ring == nil {
		return
	}
	foreign, looked, err := sealed.New(redis, s.ring).Foreign(ctx, store.LookPrefix, "rate/")
	switch {
	case err != nil:
		x.Skip(check, "what %s keeps cannot be listed: %v", s.name, err)
	case foreign > 0:
		x.Fail(check, "--store-key-file, the same for every replica; or another database (…:6379/1) for another gateway",
			"%s: of %d values that were looked at, %d were sealed with a key that is not in the file: another replica has another key, or a key was taken off the list too soon", s.name, looked, foreign)
	case looked > 0:
		x.OK(check, "%s: the keys open what is kept there", s.name)
	}
}

// either is what the flags are told, or the manifest.
func (s *stored) either(flags, manifest string) string {
	if s.at.Object == "" {
		return flags
	}
	return manifest
}

// rights are what a gateway's user of Redis may do; docs/how-to/state.md has the same.
const rights = "+@read +@write +@scripting +@connection +time"

// change is what there is to do about an error of a Redis.
func (s *stored) change(err error) string {
	trouble := store.Other
	if t, ok := errors.AsType[*store.TroubledError](err); ok {
		trouble = t.Trouble
	}
	switch trouble {
	case store.NoName, store.Unreachable:
		return s.either("--store: the address", "the address") + "; and whether Redis runs there, and can be reached from here"
	case store.Untrusted:
		return s.either("SSL_CERT_FILE", "storage.redis.tls.caCertSecretRef") + ", with the authority of its certificate; and that it is for the name in the address"
	case store.NoTLS:
		return s.either("--store: redis:// in place of rediss://", "storage.redis.tls, which goes") + "; or tls-port of Redis"
	case store.HungUp:
		return s.either("--store: rediss:// in place of redis://", "storage.redis.tls") + ", if that port speaks TLS"
	case store.WrongUser:
		return s.either("user and password in --store, or SALLYPORT_REDIS_PASSWORD", "storage.redis.aclUserConfig") + ", as Redis has them (ACL LIST)"
	case store.NoRight:
		return "the rights of the user at Redis: " + rights + " for the keys sallyport:*"
	case store.ReadOnly:
		return s.either("--store: the address of the master, or of Sentinels with ?master_set=NAME", "storage.redis.addr, of the master; or storage.redis.sentinelConfig")
	case store.InCluster:
		return s.either("--store: a Redis that is no part of a cluster; authorization servers may have one that is, with embeddedAuthServer.storage.redis.clusterMode", "storage.redis.clusterMode: true")
	case store.TooOld:
		return "Redis 6.2 or later"
	}
	return "what Redis says"
}

// nearby reports whether all addresses are on private networks.
func (x *exam) nearby(ctx context.Context, addresses []string) bool {
	for _, a := range addresses {
		host, _, err := net.SplitHostPort(a)
		if err != nil {
			host = a
		}
		if !private(ctx, strings.Trim(host, "[]")) {
			return false
		}
	}
	return true
}

// private reports whether a name leads to private addresses alone.
func private(ctx context.Context, host string) bool {
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	for _, a := range found {
		if a = a.Unmap(); !a.IsLoopback() && !a.IsPrivate() {
			return false
		}
	}
	return err == nil && len(found) > 0
}
