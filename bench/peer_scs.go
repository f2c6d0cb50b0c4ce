package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/alexedwards/scs/goredisstore"
	"github.com/alexedwards/scs/v2"
)

// scsOnRedis returns scs with goredisstore: with its default codec, and with one in JSON, which is faster.
func scsOnRedis(addr string) []*contender {
	client := goClient(addr)
	manager := func(prefix string) *scs.SessionManager {
		m := scs.New()
		m.Store = goredisstore.NewWithPrefix(client, prefix)
		return m
	}
	withJSON := manager("scs:json:")
	withJSON.Codec = jsonCodec{}
	return []*contender{
		scsContender(nameSCS, manager("scs:session:"), func() { _ = client.Close() }),
		scsContender(nameSCSJSON, withJSON, func() {}),
	}
}

// scsInMemory returns scs with its own store in memory, which is the default.
func scsInMemory() []*contender {
	withJSON := scs.New()
	withJSON.Codec = jsonCodec{}
	return []*contender{
		scsContender(nameSCSMemory, scs.New(), func() {}),
		scsContender(nameSCSMemJSON, withJSON, func() {}),
	}
}

func scsContender(name string, m *scs.SessionManager, closer func()) *contender {
	m.IdleTimeout = idleTimeout
	m.Lifetime = 12 * time.Hour
	g := new(gates)
	on := func(f http.HandlerFunc) http.Handler { return m.LoadAndSave(f) }
	routes := map[route]http.Handler{
		routeRead: on(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, m.GetString(r.Context(), "username"))
		}),
		routeChange: on(func(w http.ResponseWriter, r *http.Request) {
			m.Put(r.Context(), "username", r.Header.Get(valueHeader))
			w.WriteHeader(http.StatusOK)
		}),
		routeCount: on(func(w http.ResponseWriter, r *http.Request) {
			n := m.GetInt(r.Context(), "page_views") + 1
			m.Put(r.Context(), "page_views", n)
			_, _ = io.WriteString(w, strconv.Itoa(n))
		}),
		routeLogin: on(func(w http.ResponseWriter, r *http.Request) {
			if err := m.RenewToken(r.Context()); err != nil {
				fail(w, err)
				return
			}
			m.Put(r.Context(), "username", r.Header.Get(valueHeader))
			w.WriteHeader(http.StatusOK)
		}),
		routeLogout: on(func(w http.ResponseWriter, r *http.Request) {
			if err := m.Destroy(r.Context()); err != nil {
				fail(w, err)
				return
			}
			w.WriteHeader(http.StatusOK)
		}),
		routeIgnore: on(ignore),
		routeSeed: on(func(w http.ResponseWriter, r *http.Request) {
			m.Put(r.Context(), "username", "andrew")
			m.Put(r.Context(), "page_views", 3)
			w.WriteHeader(http.StatusOK)
		}),
		routeShow: on(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, m.GetString(r.Context(), r.Header.Get(fieldHeader)))
		}),
		routeField: on(func(w http.ResponseWriter, r *http.Request) {
			g.pass()
			m.Put(r.Context(), r.Header.Get(fieldHeader), r.Header.Get(valueHeader))
			w.WriteHeader(http.StatusOK)
		}),
	}
	return httpContender(name, peer, routes, g, closer)
}

// jsonCodec is a codec for scs that writes JSON. Whole numbers come back as int.
type jsonCodec struct{}

type jsonSession struct {
	Deadline time.Time
	Values   map[string]any
}

// Encode implements scs.Codec.
func (jsonCodec) Encode(deadline time.Time, values map[string]any) ([]byte, error) {
	return json.Marshal(jsonSession{deadline, values})
}

// Decode implements scs.Codec.
func (jsonCodec) Decode(b []byte) (time.Time, map[string]any, error) {
	var s jsonSession
	if err := json.Unmarshal(b, &s); err != nil {
		return time.Time{}, nil, err
	}
	wholeNumbers(s.Values)
	return s.Deadline, s.Values, nil
}

func wholeNumbers(values map[string]any) {
	for name, v := range values {
		if f, ok := v.(float64); ok && f == float64(int(f)) {
			values[name] = int(f)
		}
	}
}
