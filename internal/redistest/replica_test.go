package redistest_test

import (
	"testing"

	"github.com/faeeb396/session/internal/redistest"
)

func TestReplicaFollowsItsMasterUntilItIsPromoted(t *testing.T) {
	master := redistest.Start(t, nil)
	replica := redistest.StartReplica(t, master, nil)
	master.Do(t, "SET", "k", "v", "EX", "100")
	master.AwaitReplicas(t)
	if got := replica.Do(t, "GET", "k").String(); got != "v" {
		t.Errorf("GET = %q on the replica", got)
	}
	if _, err := replica.Try("SET", "k", "w"); err == nil {
		t.Error("the replica takes writes")
	}
	master.Kill()
	replica.Promote(t)
	replica.Do(t, "SET", "k", "w", "EX", "100")
}
