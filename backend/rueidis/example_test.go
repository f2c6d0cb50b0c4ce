package rueidis_test

import (
	"context"
	"crypto/tls"
	"log"
	"os"
	"time"

	rueidisclient "github.com/redis/rueidis"

	"github.com/faeeb396/session/backend/rueidis"
)

func ExampleNew() {
	client, err := rueidisclient.NewClient(rueidisclient.ClientOption{
		InitAddress:      []string{"localhost:6379"},
		AlwaysPipelining: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close() // the backend never does

	store := rueidis.New(client, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := store.Ping(ctx); err != nil { // a permission that is missing
		log.Fatal(err)
	}
}

func ExampleNew_cluster() {
	client, err := rueidisclient.NewClient(rueidisclient.ClientOption{
		InitAddress:      []string{"node-1:6379", "node-2:6379", "node-3:6379"}, // some of its nodes
		AlwaysPipelining: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	_ = rueidis.New(client, &rueidis.Options{LocalCache: 5 * time.Second})
}

func ExampleNew_sentinel() {
	client, err := rueidisclient.NewClient(rueidisclient.ClientOption{
		InitAddress:      []string{"sentinel-1:26379", "sentinel-2:26379", "sentinel-3:26379"},
		Sentinel:         rueidisclient.SentinelOption{MasterSet: "main"},
		AlwaysPipelining: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	_ = rueidis.New(client, &rueidis.Options{Prefix: "shop:session:"})
}

func ExampleNew_tls() {
	client, err := rueidisclient.NewClient(rueidisclient.ClientOption{
		InitAddress: []string{"redis.example.com:6380"},
		Username:    "app",
		Password:    os.Getenv("REDIS_PASSWORD"),
		TLSConfig:   &tls.Config{MinVersion: tls.VersionTLS12}, // RootCAs for an authority of one's own
	})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	_ = rueidis.New(client, nil)
}
