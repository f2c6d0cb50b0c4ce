package goredis

import (
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/faeeb396/session/backend/internal/batch"
)

// Patient, before the first call, has calls that find the least number of lanes taken wait for one, however long that
// takes, and then go together; on a cluster, those to the nodes with these addresses.
func (b *Backend) Patient(nodes ...string) {
	patient := func(queue *batch.Queue[redis.Cmder]) *batch.Queue[redis.Cmder] {
		queue.Patience, queue.Calm, queue.Parts = time.Hour, 0, 1
		return queue
	}
	switch to := b.to.(type) {
	case together:
		patient(to.Queue)
	case *byNode:
		to.queues = make(map[string]*batch.Queue[redis.Cmder])
		for _, addr := range nodes {
			to.queues[addr] = patient(newQueue(to.cluster))
		}
	}
}

// Waiting returns how many calls wait for a lane.
func (b *Backend) Waiting() int { return b.to.(together).Waiting() }
