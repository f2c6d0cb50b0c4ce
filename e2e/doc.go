// Package e2e drives the demo, cmd/sessiondemo, in a real browser: it is all tests.
//
// They need Chromium on PATH as chromium (Debian: apt-get install chromium), and redis-server for those on Redis.
// Without them, tests are skipped; with the environment variable SESSION_TEST_REQUIRE_SERVERS=1 they fail. With
// SESSION_TEST_SCREENSHOTS=folder, screenshots of the page are left there.
//
// It is a module of its own, so that what drives the browser is nobody else's dependency.
package e2e
