// Package goredis keeps records in Redis through [go-redis]: a single server, Sentinel, Cluster or Ring, plain or
// auto-pipelined.
//
//	client := redis.NewClient(&redis.Options{Addr: "localhost:6379", ContextTimeoutEnabled: true})
//	sessions, err := session.New(goredis.New(client, nil), nil)
//
// Package rueidis does the same through another client. Both keep the same data in the same way, so that programs
// that use one and the other share their sessions.
//
// # Data
//
// A record is one hash. Its key is [Options.Prefix] and the ID; its fields are the record's, and session_ttl, the
// time to live in decimal seconds. The key expires when that time has passed since the last touch.
//
//	session:3q2-7wAAAAAAAAAB
//	  username    = andrew
//	  page_views  = 3
//	  session_ttl = 1800
//
// Other programs may read and change it: the next Load sees what they wrote. A hash without session_ttl is no
// record: Load and Apply find none, and Create returns [backend.ErrExists] rather than overwrite it. One whose
// session_ttl is no whole number of seconds from 1 to 9223372036, and a key that holds no hash, are
// [backend.ErrUnreadable]. Where another program took the expiry away, the next write restores it.
//
// Values and names of at most 64 bytes keep a hash in its compact form. One that is longer makes it take two to
// three times the memory, unless hash-max-listpack-value (hash-max-ziplist-value before Redis 7) is raised.
//
// # Commands
//
// Each call is one command on one key:
//
//	Load    HGETALL
//	Create  EVALSHA: EXISTS, HSET, EXPIRE
//	Apply   EVALSHA: HMGET, HINCRBY, HSET, HDEL, EXPIRE, PTTL, HGETALL, DEL
//	Delete  DEL
//	Ping    PING, EVALSHA, EVAL
//	Scan    SCAN
//
// If the server does not have a script, it says so without running anything, and EVAL follows.
//
// Nothing that may have run is sent again, neither by this package nor, whatever its settings, by go-redis: a
// write whose reply is lost is an error, and whether it was done is not known. Only Load asks again, four times
// at most, if the connection ends under it.
//
// # Batching
//
// Calls go out one by one while few are under way: at most twice GOMAXPROCS of them at a time or, if that is more,
// as many as a rate of 30 000 calls a second keeps under way, which grows with the round-trip time. While there are
// more, those that arrive wait for the next of them to come back, and go together in one pipeline: up to 64, and up to
// half of all that wait or are under way, so that the server works on one half while this process works on the other.
// So a read costs both about half the time. What differs:
//
//   - A hook of the client, for traces and metrics, sees such a pipeline in place of its commands, with the values of
//     the context of the first call in it. What it logs of a reply is the session's data.
//   - A call that waits ends with its context, also where that is cancelled, and is not sent then. So does one that goes
//     together with others, and may be run all the same.
//   - If the connection ends under a pipeline, all calls in it fail. None of its writes is sent again, as ever.
//   - go-redis has a pool of its own for pipelines, of 10 connections (PipelinePoolSize).
//
// On a cluster, calls to the same node go together, so that none waits for another node; one whose slot is just moving
// takes some milliseconds longer than it would by itself. Calls go by themselves through a Ring and through clients of
// other types, an auto-pipelined one for example, which gathers commands itself. So do writes that wait for replicas,
// and all calls if [Options.DisableBatching] is set.
//
// # Server
//
// Redis 5.0 or later, or one that is compatible with it: HSET with several fields came with 4.0, scripts that
// write after HGETALL with 5.0. It is tested with Redis 7.0. From Redis 6 on, a user needs no more than this:
//
//	ACL SETUSER app on >password ~session:* +hgetall +evalsha +eval +del +exists +hset +expire +hmget +hincrby +hdel +pttl +ping
//
// and +scan for Scan, which reads the names of all keys. Clients of a cluster also need +cluster|slots.
// [Backend.Ping] names what is missing.
//
// A server that is out of memory, with the policy noeviction, refuses what sets anything, as an error;
// loading, deleting and removing go on. Any other policy for evicting keys ends sessions before their time.
//
// # Client
//
//   - ContextTimeoutEnabled: true. Without it, go-redis does not look at a context while it waits for a reply,
//     and each call may take as long as ReadTimeout, 5 seconds. With it, deadlines hold; a context that is
//     cancelled still ends a call that goes by itself only before it is sent.
//   - ClusterStateReloadInterval: time.Second. It is how soon a ClusterClient finds the new master after a
//     failover; by default it looks once a minute.
//   - ReadOnly, RouteByLatency, RouteRandomly: never. A replica does not know yet of a session that has ended.
//     On a ClusterClient every method fails, and says why; other clients hide what they do. ReplicaOnly of a
//     failover client makes writes fail.
//   - Retries may stay as they are, and so may a client-side cache: what this package sends is neither sent again
//     nor answered from there.
//
// # Cluster, Sentinel, Ring, replicas
//
// Keys have no hash tag, so that a cluster spreads the records over its slots. While
// slots move, MOVED and ASK are followed. While a master is down, calls on its slots fail, and others do not.
//
// Replication is asynchronous: a master that fails may take the last writes with it, an acknowledged Delete too,
// unless [Options.WaitReplicas] is set. Then Create, Delete and every durable Apply are followed by WAIT on the same
// connection, and backend.ErrNotReplicated says that a change was made which too few replicas have. The user
// needs +wait.
//
// A Ring does not wait for a shard that is down: it looks for that shard's keys on the others, so that its
// sessions are not found, and are back, also those that were deleted meanwhile, when the shard is. Prefer a
// cluster.
//
// [go-redis]: https://pkg.go.dev/github.com/redis/go-redis/v9
package goredis
