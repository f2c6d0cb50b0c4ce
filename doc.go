// Package session keeps the sessions of web applications on the server. The browser holds one opaque cookie with the
// session's token; the data is kept by a [backend.Backend], in memory or in Redis or Valkey.
//
//	sessions, err := session.New(memory.New(nil), nil)
//	…
//	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
//		s, err := sessions.Get(r)
//		if err != nil {
//			return // the store did not answer: the visitor gets 503
//		}
//		…
//		s.Login(user.ID)
//		s.Set("name", user.Name)
//	})
//	handler := http.NewCrossOriginProtection().Handler(sessions.Handler(mux))
//
// [Manager.Handler] reads a session when it is first asked for, and stores what has changed in one round trip before
// the first byte of the response. A request that never asks costs no round trip, and a visitor who writes nothing gets
// neither record nor cookie. Without net/http, [Manager.Load], [Manager.Increment], [Manager.End] and their neighbours
// work on the session that a token names, one round trip each.
//
// # Tokens
//
// A token is 32 random bytes in 43 characters. The first 16 are the session's public ID, which names its record and is
// safe in a log or on a page; the other 27 are the secret. The store keeps the base64url SHA-256 of a token and never
// the token: whoever reads the store, a backup or a trace can forge no cookie. A token that a client brings is never
// adopted.
//
// # Records
//
// A record holds the application's fields, its time to live, and the fields that only the Manager writes: created_at,
// last_accessed_at, and what begins with session_, as session_token, the token's hash. Times are UTC and whole seconds,
// written as 2026-11-23T08:37:29+00:00, and read with Z, too. The record never moves: a login and a rotation replace
// the hash in it.
//
// Other programs may read and change the application's fields. A record without created_at, last_accessed_at or
// session_token is no session, and no write ever makes it one again.
//
// # Requests at the same time
//
// A change writes only the fields that were changed, and only if the record is still that of the very session that was
// read. So parallel requests lose none of each other's changes, counters add up in the store, and no request brings
// back what has ended. A login, and a rotation by hand, also shut out the changes of requests that began before; a
// rotation by the timer does not, and of parallel requests that find it due exactly one gives out a new token.
//
// # How a session ends
//
// By [Session.Destroy] or a revocation, which are done when they return; by the idle timeout, which the store keeps;
// and by the absolute timeout, which is judged whenever the session is read. A session that is found past its absolute
// timeout is removed, unless a login has started that over meanwhile. One whose replaced token comes back, see
// [Options.RotateInterval], is removed, unless a login or another rotation meanwhile has made that token worthless.
//
// # Owners
//
// A login enters the session into the index of its owner: a record of its own, named by a hash of the owner, with a
// field for each session. The index may name dead sessions and never misses a live one. Entries of sessions that have
// ended are dropped from the index as they are met.
//
// # Errors
//
// A store that fails is never taken for a session that is not there, nor the other way round: a session that is not
// there is [ErrNotFound] where a token is given, and an empty [Session] in a request. In what the methods return,
// errors.As finds an [*Error], except where it is the error of a function that Update was given. No error, and nothing
// that this package logs or prints, holds a token.
package session
