package rueidis

import "time"

// Patient, before the first call, has reads that find the least number of lanes taken wait for one, however long that
// takes, and then go together.
func (b *Backend) Patient() { b.reads.Patience, b.reads.Calm = time.Hour, 0 }
