// Package redistest starts the real Redis processes that the tests of this module run against.
//
// Everything listens on loopback only, on a port that was free, keeps its files in a temporary folder, and is
// stopped by its process id when the test ends, also when it fails or panics. On Linux the kernel ends a
// server together with the test binary that started it, however that one ends.
//
// Where the program redis-server is not on PATH, a test that needs it is skipped; with the environment
// variable SESSION_TEST_REQUIRE_SERVERS=1 it fails. SESSION_TEST_REDIS_SERVER names another program to run,
// to try another server or version by hand.
//
// # Which server
//
// [Shared] is one server for all the tests of a test binary, each under a key prefix of its own
// ([Server.Prefix]), and [SharedCluster] one cluster. They want this in the package:
//
//	func TestMain(m *testing.M) { os.Exit(redistest.Run(m)) }
//
// A test that stops the server, changes its configuration, scripts or clients, or counts what it was sent,
// starts its own with [Start], which takes a tenth of a second, with [StartSentinel], which takes half a second,
// or with [StartCluster], which takes two. A test binary that is killed leaves its temporary folders behind.
//
// # Faults
//
// [NewProxy] puts a [Proxy] before a server, which loses replies, cuts them, holds or refuses commands, and
// parts the network, at the very command that the test names:
//
//	p := redistest.NewProxy(t, s.Addr())
//	lost := p.Inject(redistest.Fault{Command: "EVALSHA", Do: redistest.DropReply})
//
// The package imports the standard library only. [Server.Do] sends a command without any client library.
package redistest
