package main

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"time"
)

//go:embed page
var page embed.FS

// asset is a file that the server sends as it is.
type asset struct {
	name string
	body []byte
	etag string
}

func newAsset(name string, body []byte) *asset {
	sum := sha256.Sum256(body)
	return &asset{name: name, body: body, etag: `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
}

// ServeHTTP sends the file. Browsers keep it, and ask each time whether it is still the same: another version
// of the program may listen on this port by then.
func (a *asset) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("ETag", a.etag)
	h.Set("Cache-Control", "no-cache")
	http.ServeContent(w, r, a.name, time.Time{}, bytes.NewReader(a.body))
}

// readAsset returns a file of the page.
func readAsset(name string) (*asset, error) {
	body, err := page.ReadFile("page/" + name)
	if err != nil {
		return nil, err
	}
	return newAsset(name, body), nil
}

// readIndex returns the page itself, which says how the demo is set up. That is not part of the API's answers.
func readIndex(set settings) (*asset, error) {
	t, err := template.ParseFS(page, "page/index.html")
	if err != nil {
		return nil, err
	}
	var body bytes.Buffer
	data := struct {
		Store  string
		Redis  bool
		Rotate string // "" for never
	}{Store: storeLabels[set.store], Redis: set.store != "memory"}
	if set.rotate != 0 {
		data.Rotate = words(set.rotate)
	}
	if err := t.Execute(&body, data); err != nil {
		return nil, err
	}
	return newAsset("index.html", body.Bytes()), nil
}

// words returns a duration as people say it.
func words(d time.Duration) string {
	for _, unit := range []struct {
		is   time.Duration
		name string
	}{{time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		switch {
		case d == unit.is:
			return "one " + unit.name
		case d > unit.is && d%unit.is == 0:
			return fmt.Sprintf("%d %ss", d/unit.is, unit.name)
		}
	}
	return d.String()
}
