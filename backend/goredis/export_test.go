package goredis

import "time"

// Patient has calls that find all lanes taken wait for one, however long that takes.
func (b *Backend) Patient() { b.to.(together).Patience = time.Hour }
