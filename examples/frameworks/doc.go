// Package frameworks shows sessions with chi, gin and Echo, and tests that they keep their promises there: ginsession
// and echosession are the adapters, a file each, to be copied. chi's middleware is net/http's, and needs none:
//
//	r := chi.NewRouter()
//	r.Use(middleware.Logger, middleware.Recoverer, sessions.Handler)
//
// Do not wrap a router, as sessions.Handler(r) does: its recovery is inside then, and what a handler that panicked has
// changed is stored. A logger inside does not see the 503 of a store that failed.
package frameworks
