package conformance

// The promises of a session.Manager that more than one case checks, in the words of package session's
// documentation. A test compares every one with that text.
const (
	promiseApart        = "Only fields that were set or deleted are written, so requests that change different fields never lose each other's changes."
	promiseNeverBack    = "ErrNotFound says that the session has ended meanwhile, ErrConflict that a login or rotation was faster: nothing was stored, and what has ended never comes back."
	promiseLogin        = "Login makes the session owner's with the next commit: a new token is given out and the old one dies at once, so that nobody who knew or planted it before the login (session fixation) has the session after it."
	promiseShutOut      = "Requests that began before the login cannot write after it: they fail with ErrConflict."
	promiseNewOne       = "The session has ended, or another login was faster: it makes a new session that holds only what this request has set."
	promiseNotInherited = "If the session is another owner's, nothing of it is kept: its fields are gone at once, and the commit ends it and makes a new session that holds only what this request has set."
	promiseGrace        = "RotateGrace is for how long a token that a timed rotation has replaced is still good after its successor was first presented, for requests that were under way; until then it is good in any case, because the response with the new one may have been lost."
	promiseListed       = "Sessions returns owner's live sessions, the oldest login first."
	promiseRevokeAll    = "A login that completes while it runs either fails or is ended too."
	promiseAtMost       = "The owner has Options.MaxSessions already: the oldest are ended, or with Options.RefuseLogin it fails with ErrTooManySessions."
	promiseNotHidden    = "The index may name dead sessions and never misses a live one."
	promiseLeft         = "ErrUnreadable says that what the store holds under the ID is no record of this library or of this version of it. It is left as it is."
)
