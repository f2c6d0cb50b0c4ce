package main

import (
	"net"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/session"
	"github.com/gofiber/storage/redis/v3"
	"github.com/valyala/fasthttp"
)

// fiberOnRedis returns fiber's session middleware with its storage in Redis.
func fiberOnRedis(addr string) (*contender, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	storage := redis.New(redis.Config{Host: host, Port: n})
	return fiberContender(nameFiber, session.Config{Storage: storage}, func() { _ = storage.Close() }), nil
}

// fiberInMemory returns fiber's session middleware with its storage in memory, which is the default.
func fiberInMemory() *contender {
	return fiberContender(nameFiberMemory, session.Config{}, func() {})
}

func fiberContender(name string, cfg session.Config, closer func()) *contender {
	cfg.IdleTimeout = idleTimeout
	cfg.CookieHTTPOnly, cfg.CookieSessionOnly = true, true
	g := new(gates)
	app := fiber.New()
	app.Use(session.New(cfg))
	for r, h := range fiberRoutes(g) {
		app.Get("/"+string(r), h)
	}
	handler := app.Handler()
	return &contender{name: name, kind: peer, gate: g, close: closer, agent: func() agent { return newFastAgent(handler) }}
}

func fiberRoutes(g *gates) map[route]fiber.Handler {
	value := func(c fiber.Ctx) string { return strings.Clone(c.Get(valueHeader)) } // fiber reuses its buffers
	return map[route]fiber.Handler{
		routeRead: func(c fiber.Ctx) error {
			name, _ := session.FromContext(c).Get("username").(string)
			return c.SendString(name)
		},
		routeChange: func(c fiber.Ctx) error {
			session.FromContext(c).Set("username", value(c))
			return nil
		},
		routeCount: func(c fiber.Ctx) error {
			s := session.FromContext(c)
			views, _ := s.Get("page_views").(int)
			s.Set("page_views", views+1)
			return c.SendString(strconv.Itoa(views + 1))
		},
		routeLogin: func(c fiber.Ctx) error {
			s := session.FromContext(c)
			if err := s.Regenerate(); err != nil {
				return err
			}
			s.Set("username", value(c))
			return nil
		},
		routeLogout: func(c fiber.Ctx) error { return session.FromContext(c).Destroy() },
		routeIgnore: func(fiber.Ctx) error { return nil },
		routeSeed: func(c fiber.Ctx) error {
			s := session.FromContext(c)
			s.Set("username", "andrew")
			s.Set("page_views", 3)
			return nil
		},
		routeShow: func(c fiber.Ctx) error {
			value, _ := session.FromContext(c).Get(c.Get(fieldHeader)).(string)
			return c.SendString(value)
		},
		routeField: func(c fiber.Ctx) error {
			s := session.FromContext(c)
			g.pass()
			s.Set(strings.Clone(c.Get(fieldHeader)), value(c))
			return nil
		},
	}
}

// fastAgent is an agent of a fasthttp handler.
type fastAgent struct {
	handler fasthttp.RequestHandler
	ctx     *fasthttp.RequestCtx
	uris    map[route]string
}

func newFastAgent(h fasthttp.RequestHandler) *fastAgent {
	a := &fastAgent{handler: h, ctx: new(fasthttp.RequestCtx), uris: make(map[route]string)}
	a.ctx.Init(new(fasthttp.Request), nil, nil)
	for _, r := range append([]route{routeSeed, routeShow, routeField}, measured...) {
		a.uris[r] = "/" + string(r)
	}
	return a
}

func (a *fastAgent) do(r route, cookie, field, value string) response {
	req := &a.ctx.Request
	req.Reset()
	req.SetRequestURI(a.uris[r])
	if cookie != "" {
		req.Header.Set(fasthttp.HeaderCookie, cookie)
	}
	if field != "" {
		req.Header.Set(fieldHeader, field)
	}
	if value != "" {
		req.Header.Set(valueHeader, value)
	}
	a.ctx.ResetUserValues()
	a.ctx.Response.Reset()
	a.handler(a.ctx)
	resp := response{status: a.ctx.Response.StatusCode(), body: a.ctx.Response.Body()}
	if r == routeSeed || r == routeLogin {
		for _, c := range a.ctx.Response.Header.Cookies() {
			resp.cookie, _, _ = strings.Cut(string(c), ";")
		}
	}
	return resp
}
