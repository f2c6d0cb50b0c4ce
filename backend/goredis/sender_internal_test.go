package goredis

import (
	"strconv"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
)

// Calls to the same node go together, and nodes that have gone are forgotten.
func TestQueueOfEachNode(t *testing.T) {
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}})
	defer client.Close()
	n := newSender(client).(*byNode)
	first := n.queue("first:6379")
	if n.queue("first:6379") != first || n.queue("second:6379") == first {
		t.Error("not one queue for each address")
	}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range maxNodes {
				n.queue(strconv.Itoa(w) + "." + strconv.Itoa(i) + ":6379")
			}
		})
	}
	wg.Wait()
	if held := len(n.queues); held > maxNodes {
		t.Errorf("%d addresses are remembered after %d, want %d at most", held, 4*maxNodes+2, maxNodes)
	}
}
