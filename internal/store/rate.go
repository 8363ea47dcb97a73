package store

import (
	"context"
	"strconv"
	"time"

	"github.com/redis/rueidis"
)

// TakeRate takes a token of the bucket under key, by the generic cell rate
// algorithm: one token comes every so often, most is the time to fill the bucket.
// Redis's own clock counts, so replicas whose clocks differ share one bucket. When
// there is no token it says how long until there is one.
func (r *Redis) TakeRate(ctx context.Context, key string, every, most time.Duration) (wait time.Duration, ok bool, err error) {
	var over int64
	err = r.do(ctx, func(ctx context.Context, c rueidis.Client) error {
		over, err = takeScript.Exec(ctx, c, []string{r.key(key)}, rateArgs(every, most)).AsInt64()
		return err
	})
	return time.Duration(over) * time.Microsecond, err == nil && over <= 0, err
}

// GiveRate gives back a token that TakeRate took.
func (r *Redis) GiveRate(ctx context.Context, key string, every time.Duration) error {
	return r.do(ctx, func(ctx context.Context, c rueidis.Client) error {
		return giveScript.Exec(ctx, c, []string{r.key(key)}, rateArgs(every, 0)).Error()
	})
}

func rateArgs(every, most time.Duration) []string {
	return []string{strconv.FormatInt(every.Microseconds(), 10), strconv.FormatInt(most.Microseconds(), 10)}
}

// What is kept is when the bucket will be full again, in microseconds. The numbers
// stay below 2^53, up to which Lua's are exact.
var (
	takeScript = rueidis.NewLuaScript(`
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local full = math.max(now, tonumber(redis.call('GET', KEYS[1]) or '0')) + tonumber(ARGV[1])
local over = full - now - tonumber(ARGV[2])
if over > 0 then return over end
redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.max(1, math.ceil((full - now) / 1000)))
return 0`)
	giveScript = rueidis.NewLuaScript(`
local full = redis.call('GET', KEYS[1])
if full then redis.call('SET', KEYS[1], string.format('%.0f', tonumber(full) - tonumber(ARGV[1])), 'KEEPTTL') end
return 0`)
)
