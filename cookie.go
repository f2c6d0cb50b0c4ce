package session

import (
	"fmt"
	"net/http"
	"net/textproto"
	"strings"
	"time"
)

// CookieOptions says how the token travels. The cookie is always HttpOnly. The zero value is a safe choice:
// __Host-sid, Secure, SameSite=Lax, Path=/, no Domain. It is kept until the browser closes or, in sessions of which
// Session.Remember was called, until the absolute timeout, at most 400 days.
type CookieOptions struct {
	// Name is the cookie's name. If empty, "__Host-sid"; "__Secure-sid" if a Domain, or a Path other than /, rules that
	// out; "sid" with InsecurePlainHTTP. Two Managers with stores of their own need two names on one host, or the
	// cookie of the one takes the place of the other's. Where another program has used the name, or Path or Domain
	// change, choose another: a browser may go on sending the old cookie beside the new one, and two of a name count as
	// none. See OWASP ASVS 5.0, 3.3.1 and 3.3.3.
	Name string

	// Path limits the cookie to a part of the site. If empty, "/".
	Path string

	// Domain lets the hosts below a domain see the cookie. If empty, only the host that set it does.
	Domain string

	// SameSite says which requests from other sites carry the cookie. If zero, http.SameSiteLaxMode.
	SameSite http.SameSite

	// Partitioned keeps a cookie of its own for each top-level site that embeds this one (CHIPS). There, browsers take
	// no cookie without SameSite: http.SameSiteNoneMode.
	Partitioned bool

	// InsecurePlainHTTP leaves out Secure: the cookie then also travels over plain HTTP, where anyone on
	// the network path can read it. For development and demos.
	InsecurePlainHTTP bool
}

// maxCookie is how long, in bytes, a cookie's name and value may be together for browsers to keep it
// (RFC 6265bis, section 5.7).
const maxCookie = 4096

// complete fills in the defaults and refuses what browsers would refuse.
func (c *CookieOptions) complete() error {
	if c.Path == "" {
		c.Path = "/"
	}
	if c.SameSite == 0 {
		c.SameSite = http.SameSiteLaxMode
	}
	if c.Name == "" {
		switch {
		case c.InsecurePlainHTTP:
			c.Name = "sid"
		case c.Domain != "" || c.Path != "/":
			c.Name = "__Secure-sid"
		default:
			c.Name = "__Host-sid"
		}
	}
	return c.check()
}

func badCookieOption(name, why string) error {
	return fmt.Errorf("session: Options.Cookie.%s: %s", name, why)
}

func (c *CookieOptions) check() error {
	name := strings.ToLower(c.Name) // browsers compare the prefixes without case
	host := strings.HasPrefix(name, "__host-")
	secure := host || strings.HasPrefix(name, "__secure-") || strings.HasPrefix(name, "__http-")
	switch {
	case len(c.Name)+tokenLen > maxCookie:
		return badCookieOption("Name", "name and value are over 4096 bytes")
	case c.SameSite < http.SameSiteLaxMode || c.SameSite > http.SameSiteNoneMode:
		return badCookieOption("SameSite", "must be Lax, Strict or None")
	case host && c.Domain != "":
		return badCookieOption("Domain", "a __Host- cookie has none")
	case host && c.Path != "/":
		return badCookieOption("Path", "a __Host- cookie's is /")
	case secure && c.InsecurePlainHTTP:
		return badCookieOption("InsecurePlainHTTP", "a cookie with a __Host- or __Secure- name is Secure")
	case c.SameSite == http.SameSiteNoneMode && c.InsecurePlainHTTP:
		return badCookieOption("InsecurePlainHTTP", "a cookie with SameSite=None is Secure")
	case c.Partitioned && c.SameSite != http.SameSiteNoneMode:
		return badCookieOption("Partitioned", "needs SameSite: http.SameSiteNoneMode")
	case strings.HasSuffix(c.Domain, "."):
		return badCookieOption("Domain", "ends with a dot")
	case !strings.HasPrefix(c.Path, "/"):
		return badCookieOption("Path", "does not begin with /")
	}
	for _, probe := range []struct {
		option string
		cookie http.Cookie
	}{
		{"Name", http.Cookie{Name: c.Name}},
		{"Path", http.Cookie{Name: "x", Path: c.Path}},
		{"Domain", http.Cookie{Name: "x", Domain: c.Domain}},
	} {
		if err := probe.cookie.Valid(); err != nil {
			return badCookieOption(probe.option, err.Error())
		}
	}
	return nil
}

// base returns the cookie without value and age: what the browser identifies it by, and the attributes that a
// deletion must repeat.
func (c *CookieOptions) base() *http.Cookie {
	return &http.Cookie{
		Name:        c.Name,
		Path:        c.Path,
		Domain:      c.Domain,
		SameSite:    c.SameSite,
		Partitioned: c.Partitioned,
		Secure:      !c.InsecurePlainHTTP,
		HttpOnly:    true,
	}
}

// maxCookieAge is how long browsers keep a cookie at most (RFC 6265bis, section 5.5).
const maxCookieAge = 400 * 24 * time.Hour

// write adds a Set-Cookie with the token to h, and keeps shared caches from storing the response with it. The browser
// keeps the cookie for age, or until it is closed if age is zero.
func (c *CookieOptions) write(h http.Header, token string, age time.Duration) {
	cookie := c.base()
	cookie.Value = token
	cookie.MaxAge = int(min(age, maxCookieAge) / time.Second)
	addCookie(h, cookie)
}

// clear adds a Set-Cookie that deletes the cookie to h.
func (c *CookieOptions) clear(h http.Header) {
	cookie := c.base()
	cookie.MaxAge = -1
	cookie.Expires = time.Unix(1, 0)
	addCookie(h, cookie)
}

// addCookie replaces an earlier Set-Cookie of the same cookie: a response that sets one twice leaves it to the
// browser which of them counts. One with another Path or Domain is another cookie.
func addCookie(h http.Header, cookie *http.Cookie) {
	lines := h["Set-Cookie"]
	kept := lines[:0:0]
	for _, line := range lines {
		if !strings.HasPrefix(line, cookie.Name+"=") || !sameCookie(line, cookie) {
			kept = append(kept, line)
		}
	}
	h["Set-Cookie"] = append(kept, cookie.String())
	forbidCaching(h)
}

// sameCookie reports whether a line sets the cookie, or none that a browser takes.
func sameCookie(line string, cookie *http.Cookie) bool {
	c, err := http.ParseSetCookie(line)
	domain := func(c *http.Cookie) string { return strings.TrimPrefix(c.Domain, ".") }
	return err != nil || c.Name == cookie.Name && strings.EqualFold(domain(c), domain(cookie)) &&
		(c.Path == cookie.Path || !strings.HasPrefix(c.Path, "/")) // without one, it is that of the request
}

// forbidCaching keeps shared caches from giving one visitor's cookie to another (RFC 9111, section 7.3). What a handler
// says to content delivery networks alone counts more for them (RFC 9213), and has to say so, too.
func forbidCaching(h http.Header) {
	if control := h["Cache-Control"]; len(control) == 0 {
		h.Set("Cache-Control", "no-store")
	} else if !private(control) {
		h.Add("Cache-Control", "private")
	}
	if control := h["Cdn-Cache-Control"]; len(control) > 0 && !private(control) {
		h.Set("CDN-Cache-Control", "no-store")
	}
}

// private reports whether the lines of a Cache-Control keep a response out of shared caches.
func private(control []string) bool {
	for d := range strings.SplitSeq(strings.ToLower(strings.Join(control, ",")), ",") {
		if d = strings.TrimSpace(d); d == "no-store" || d == "private" { // private="Field" is about that field alone
			return true
		}
	}
	return false
}

// addVary says that the response depends on the cookie. room is memory for the line.
func addVary(h http.Header, room *[1]string) {
	lines := h["Vary"]
	for _, line := range lines {
		for field := range strings.SplitSeq(line, ",") {
			if field = strings.TrimSpace(field); field == "*" || strings.EqualFold(field, "Cookie") {
				return
			}
		}
	}
	if len(lines) == 0 {
		lines = room[:0:1] // who appends to it gets a new one
	}
	h["Vary"] = append(lines, "Cookie")
}

// presented is what a request says of the session cookie.
type presented int

const (
	noCookie presented = iota
	badCookie
	goodCookie
)

// find returns the token that the request's one session cookie holds. Two cookies of the name are as good as
// none: a neighbour below the same domain may have planted one of them, and nothing says which.
//
// It reads the header itself: http.Request.Cookie returns the first of several, takes quotes off and accepts
// space round the name, so that one token would have many spellings.
func (c *CookieOptions) find(h http.Header) (token string, p presented) {
	for _, line := range h["Cookie"] {
		for line != "" {
			var pair string
			pair, line, _ = strings.Cut(line, ";")
			name, value, _ := strings.Cut(textproto.TrimString(pair), "=")
			if name != c.Name {
				continue
			}
			if p != noCookie {
				return "", badCookie
			}
			if p = goodCookie; !validToken(value) {
				p = badCookie
			}
			token = value
		}
	}
	if p != goodCookie {
		return "", p
	}
	return token, p
}
