package rueidis

import "time"

// Patient, before the first call, has calls that find the least number of lanes taken wait for one, however long that
// takes, and then go together.
func (b *Backend) Patient() { b.queue.Patience, b.queue.Calm, b.queue.Parts = time.Hour, 0, 1 }

// Waiting returns how many calls wait for a lane.
func (b *Backend) Waiting() int { return b.queue.Waiting() }
