package main

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
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

// readIndex returns the page itself, which names the store. That is not part of the API's answers.
func readIndex(store string) (*asset, error) {
	t, err := template.ParseFS(page, "page/index.html")
	if err != nil {
		return nil, err
	}
	var body bytes.Buffer
	data := struct {
		Store string
		Redis bool
	}{Store: storeLabels[store], Redis: store != "memory"}
	if err := t.Execute(&body, data); err != nil {
		return nil, err
	}
	return newAsset("index.html", body.Bytes()), nil
}
