package goredis_test

import (
	"context"
	"crypto/tls"
	"log"
	"os"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/faeeb396/session/backend/goredis"
)

func ExampleNew() {
	client := redis.NewClient(&redis.Options{
		Addr:                  "localhost:6379",
		ContextTimeoutEnabled: true, // so that deadlines hold while a reply is awaited
	})
	defer client.Close() // the backend never does

	store := goredis.New(client, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := store.Ping(ctx); err != nil { // no server, or a permission that is missing
		log.Fatal(err)
	}
}

func ExampleNew_cluster() {
	client := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs:                      []string{"node-1:6379", "node-2:6379", "node-3:6379"},
		ContextTimeoutEnabled:      true,
		ClusterStateReloadInterval: time.Second, // go-redis takes 60 to find the new master after a failover
	})
	defer client.Close()

	_ = goredis.New(client, &goredis.Options{Prefix: "shop:session:"})
}

func ExampleNew_sentinel() {
	client := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName:            "main",
		SentinelAddrs:         []string{"sentinel-1:26379", "sentinel-2:26379", "sentinel-3:26379"},
		ContextTimeoutEnabled: true,
	})
	defer client.Close()

	_ = goredis.New(client, nil)
}

func ExampleNew_tls() {
	client := redis.NewClient(&redis.Options{
		Addr:                  "redis.example.com:6380",
		Username:              "app",
		Password:              os.Getenv("REDIS_PASSWORD"),
		TLSConfig:             &tls.Config{MinVersion: tls.VersionTLS12}, // RootCAs for an authority of one's own
		ContextTimeoutEnabled: true,
	})
	defer client.Close()

	_ = goredis.New(client, nil)
}
