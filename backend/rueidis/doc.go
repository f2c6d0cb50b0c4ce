// Package rueidis keeps records in Redis through [rueidis]: a single server, Sentinel or Cluster. Since the client's
// package has the same name, import it under another one.
//
//	client, err := rueidisclient.NewClient(rueidisclient.ClientOption{
//		InitAddress:      []string{"localhost:6379"},
//		AlwaysPipelining: true, // see below
//	})
//	…
//	sessions, err := session.New(rueidis.New(client, nil), nil)
//
// Package goredis does the same through another client. Both keep the same data in the same way, so that programs
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
//	Scan    SCAN; on a cluster CLUSTER SLOTS and CLUSTER MYID before it
//
// If the server does not have a script, it says so without running anything, and EVAL follows.
//
// Nothing that may have run is sent again, neither by this package nor, with its default settings, by rueidis: a
// write whose reply is lost is an error, and whether it was done is not known. Only Load asks again, four times
// at most, if the connection ends under it; through the local cache, rueidis asks again before that, until the
// deadline or, without one, for five seconds.
//
// # Batching
//
// Reads are given to the client one by one while few are under way: at most twice GOMAXPROCS of them at a time
// or, if that is more, as many as a rate of 30 000 reads a second keeps under way, which grows with the round-trip
// time. While there are more, those that arrive wait for the next of them to come back, and are given to it together
// in one DoMulti: up to 64, and up to half of all that wait or are under way, so that the server works on one half
// while this process works on the other. rueidis pipelines all it is given, but fewer at a time: together, reads
// cost up to a fifth less. A read that waits ends with its context. A wrapper of the client, for traces and metrics,
// sees a DoMulti with the values of the context of the first read in it.
//
// Writes are given to the client one by one, and so are the reads of a cluster, which has several servers, those
// through the local cache, and all if [Options.DisableBatching] is set.
//
// # Server
//
// Redis 5.0 or later, or one that is compatible with it: HSET with several fields came with 4.0, scripts that
// write after HGETALL with 5.0. Before 6.0, rueidis needs AlwaysRESP2 and DisableCache. It is tested with Redis
// 7.0. From Redis 6 on, a user needs no more than this:
//
//	ACL SETUSER app on >password ~session:* +hgetall +evalsha +eval +del +exists +hset +expire +hmget +hincrby +hdel +pttl +ping
//
// and +scan for Scan, which reads the names of all keys. The client also needs +client|tracking unless DisableCache
// is set; on a cluster +cluster|slots (from Redis or Valkey 8 on, +cluster|shards too), and +cluster|myid for Scan;
// with Sentinel +role. [Backend.Ping] names what is missing for the backend.
//
// A server that is out of memory, with the policy noeviction, refuses what sets anything, as an error;
// loading, deleting and removing go on. Any other policy for evicting keys ends sessions before their time.
//
// # Client
//
//   - Deadlines hold while a reply is awaited, cancelled contexts do where calls are pipelined. Without a deadline, a
//     call to a server that has fallen silent ends after ConnWriteTimeout, 10 seconds, and a little more.
//   - AlwaysPipelining: true makes the client see at once that a connection has ended. Otherwise a connection that is
//     seldom used by two calls at a time finds out with the next call: after a restart of the server, the first
//     write on each of up to four connections fails.
//   - ConnLifetime: leave it at zero. If a command takes longer than a second just when the time of its connection
//     is up, rueidis sends it again, and a counter counts twice.
//   - SendToReplicas may be set to a function that sends what is marked as only reading (IsReadOnly): no command is
//     marked so here, and all go to the primary, those of the local cache too. One that goes by a command's name, or
//     sends them all, and ReplicaOnly must not be set: a replica does not know yet of a session that has ended.
//   - Retries and the client-side cache may stay as they are: without [Options.LocalCache], what this package sends is
//     neither sent again nor answered from there.
//
// # Cluster, Sentinel, replicas
//
// Keys have no hash tag, so that a cluster spreads the records over its slots. While
// slots move, MOVED and ASK are followed. While a master is down, calls on its slots fail, and others do not.
//
// Replication is asynchronous: a master that fails may take the last writes with it, an acknowledged Delete too,
// unless [Options.WaitReplicas] is set. Then Create, Delete and every durable Apply are followed by WAIT on the same
// connection, and backend.ErrNotReplicated says that a change was made which too few replicas have. Without a deadline,
// they end five seconds after [Options.WaitTimeout] at the latest. The user needs +wait.
//
// # Local cache
//
// With [Options.LocalCache], Load answers from the client's cache of the process, 128 MiB a connection by default
// (CacheSizeEachConn), and the server tells of each change to what is cached:
//
//   - A process sees its own writes at once, if all are made through one Backend: for the time of LocalCache after a
//     write, it reads that record past the cache, and now and then another one with it. What remembers the writes
//     takes a megabyte.
//   - It sees another process's write when the server's word of it arrives, some tens of microseconds after the
//     writer's acknowledgement as a rule, and in any case within LocalCache, also where a connection has died
//     without a sign. So LocalCache is how long a session that was ended elsewhere may live on here: keep it
//     short, a few seconds. rueidis counts by the wall clock: if that is set back while a connection is dead without
//     a sign, a record may be read for that much longer.
//   - When a connection ends, what was cached through it is gone.
//   - Up to 8192 records of up to 16 fields and a KiB, read more than once, are held as a session.Manager reads them,
//     beside what the client holds: 10 to 15 MB for small ones, 40 at most. What holds one that has ended elsewhere is
//     emptied as others are read.
//   - Absent records are not cached. session.Manager reads past the cache (see [Backend.Fresh]) before it turns
//     anybody away, and for logins, rotations, revocations and lists.
//
// Each touch of a session has it read anew: a cache pays with a TouchInterval that is much longer than LocalCache, as
// the default is, and not at all with a negative one, which reads by a write. The user needs +client|caching, +multi
// and +exec: without the first the server tells of no change, without the others each read asks twice, and the client
// says nothing of either, but [Backend.Ping] does. NOLOOP in ClientTrackingOptions breaks the first point and must not
// be set; BCAST is not needed.
//
// [rueidis]: https://pkg.go.dev/github.com/redis/rueidis
package rueidis
