package main

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	rueidisclient "github.com/redis/rueidis"
)

// commands are what the floor and the guide need of a client. A transaction is MULTI, the commands and EXEC, sent
// together. refresh is one of HSET of the time of access, EXPIRE and HGETALL, count one of HINCRBY, that HSET and EXPIRE.
type commands struct {
	hgetall func(ctx context.Context, key string) (map[string]string, error)
	hset    func(ctx context.Context, key, field, value string) error
	hincrby func(ctx context.Context, key, field string) (int64, error)
	del     func(ctx context.Context, key string) error
	set     func(ctx context.Context, key string, ttl int64, fields ...string) error // HSET and EXPIRE in a transaction
	refresh func(ctx context.Context, key string, ttl int64, now string) (map[string]string, error)
	count   func(ctx context.Context, key string, ttl int64, field, now string) (int64, error)
}

const idleSeconds = int64(idleTimeout / time.Second)

func goCommands(c *redis.Client) commands {
	seconds := func(ttl int64) time.Duration { return time.Duration(ttl) * time.Second }
	return commands{
		hgetall: func(ctx context.Context, key string) (map[string]string, error) { return c.HGetAll(ctx, key).Result() },
		hset:    func(ctx context.Context, key, field, value string) error { return c.HSet(ctx, key, field, value).Err() },
		hincrby: func(ctx context.Context, key, field string) (int64, error) {
			return c.HIncrBy(ctx, key, field, 1).Result()
		},
		del: func(ctx context.Context, key string) error { return c.Del(ctx, key).Err() },
		set: func(ctx context.Context, key string, ttl int64, fields ...string) error {
			p := c.TxPipeline()
			p.HSet(ctx, key, fields)
			p.Expire(ctx, key, seconds(ttl))
			_, err := p.Exec(ctx)
			return err
		},
		refresh: func(ctx context.Context, key string, ttl int64, now string) (map[string]string, error) {
			p := c.TxPipeline()
			p.HSet(ctx, key, fieldAccessed, now)
			p.Expire(ctx, key, seconds(ttl))
			hash := p.HGetAll(ctx, key)
			_, err := p.Exec(ctx)
			return hash.Val(), err
		},
		count: func(ctx context.Context, key string, ttl int64, field, now string) (int64, error) {
			p := c.TxPipeline()
			n := p.HIncrBy(ctx, key, field, 1)
			p.HSet(ctx, key, fieldAccessed, now)
			p.Expire(ctx, key, seconds(ttl))
			_, err := p.Exec(ctx)
			return n.Val(), err
		},
	}
}

func ruCommands(c rueidisclient.Client) commands {
	// exec sends the commands as a transaction, and returns the replies to them.
	exec := func(ctx context.Context, all ...rueidisclient.Completed) ([]rueidisclient.RedisMessage, error) {
		results := c.DoMulti(ctx, append(append([]rueidisclient.Completed{c.B().Multi().Build()}, all...), c.B().Exec().Build())...)
		return results[len(results)-1].ToArray()
	}
	touch := func(key, now string) rueidisclient.Completed {
		return c.B().Hset().Key(key).FieldValue().FieldValue(fieldAccessed, now).Build()
	}
	expire := func(key string, ttl int64) rueidisclient.Completed {
		return c.B().Expire().Key(key).Seconds(ttl).Build()
	}
	return commands{
		hgetall: func(ctx context.Context, key string) (map[string]string, error) {
			return c.Do(ctx, c.B().Hgetall().Key(key).Build()).AsStrMap()
		},
		hset: func(ctx context.Context, key, field, value string) error {
			return c.Do(ctx, c.B().Hset().Key(key).FieldValue().FieldValue(field, value).Build()).Error()
		},
		hincrby: func(ctx context.Context, key, field string) (int64, error) {
			return c.Do(ctx, c.B().Hincrby().Key(key).Field(field).Increment(1).Build()).AsInt64()
		},
		del: func(ctx context.Context, key string) error { return c.Do(ctx, c.B().Del().Key(key).Build()).Error() },
		set: func(ctx context.Context, key string, ttl int64, fields ...string) error {
			hset := c.B().Hset().Key(key).FieldValue()
			for i := 0; i < len(fields); i += 2 {
				hset = hset.FieldValue(fields[i], fields[i+1])
			}
			_, err := exec(ctx, hset.Build(), expire(key, ttl))
			return err
		},
		refresh: func(ctx context.Context, key string, ttl int64, now string) (map[string]string, error) {
			replies, err := exec(ctx, touch(key, now), expire(key, ttl), c.B().Hgetall().Key(key).Build())
			if err != nil {
				return nil, err
			}
			return replies[2].AsStrMap()
		},
		count: func(ctx context.Context, key string, ttl int64, field, now string) (int64, error) {
			replies, err := exec(ctx, c.B().Hincrby().Key(key).Field(field).Increment(1).Build(), touch(key, now), expire(key, ttl))
			if err != nil {
				return 0, err
			}
			return replies[0].AsInt64()
		},
	}
}

// floorContender sends the plain commands, and does nothing that a session needs: the cookie is the key.
func floorContender(name string, c commands) *contender {
	key := func(r *http.Request) string { return r.Header["Cookie"][0] }
	routes := map[route]http.Handler{
		routeSeed: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			key := "plain:" + newID()
			if err := c.set(r.Context(), key, idleSeconds, guideFields("andrew")...); err != nil {
				fail(w, err)
				return
			}
			w.Header().Set("Set-Cookie", key)
		}),
		routeRead: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			hash, err := c.hgetall(r.Context(), key(r))
			if err != nil {
				fail(w, err)
				return
			}
			_, _ = io.WriteString(w, hash["username"])
		}),
		routeChange: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := c.hset(r.Context(), key(r), "username", r.Header.Get(valueHeader)); err != nil {
				fail(w, err)
			}
		}),
		routeCount: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n, err := c.hincrby(r.Context(), key(r), "page_views")
			if err != nil {
				fail(w, err)
				return
			}
			_, _ = io.WriteString(w, strconv.FormatInt(n, 10))
		}),
	}
	f := httpContender(name, floor, routes, nil, func() {})
	f.routes = []route{routeRead, routeChange, routeCount}
	return f
}
