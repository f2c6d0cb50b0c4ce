package goredis

import "time"

// Patient has calls that find the least number of lanes taken wait for one, however long that takes.
func (b *Backend) Patient() {
	queue := b.to.(together)
	queue.Patience, queue.Calm = time.Hour, 0
}
