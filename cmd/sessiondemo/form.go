package main

import (
	"errors"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	maxForm     = 4 << 10 // bytes of a form's body
	maxUsername = 64      // characters
)

// What is wrong with a field, for people.
const (
	badTTL      = "TTL must be a whole number greater than 0."
	longTTL     = "TTL must be at most 31536000 seconds, a year."
	badUsername = "Username must be text of at most 64 characters."
	badRemember = "Remember must be on or off."
	badID       = "ID must name the session to end."
)

// readForm reads a form of bounded size into r.PostForm, or answers what is wrong with it. A request without a
// body is an empty form.
func readForm(w http.ResponseWriter, r *http.Request) bool {
	kind := r.Header.Get("Content-Type")
	if kind != "" || r.ContentLength != 0 {
		if kind, _, _ = mime.ParseMediaType(kind); kind != "application/x-www-form-urlencoded" {
			fail(w, http.StatusUnsupportedMediaType, "The form must be application/x-www-form-urlencoded")
			return false
		}
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	err := r.ParseForm()
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		fail(w, http.StatusRequestEntityTooLarge, "The form is too large")
		return false
	}
	if err != nil {
		fail(w, http.StatusBadRequest, "The form is malformed")
		return false
	}
	return true
}

// formUsername returns the form's username, without space around it, or "Guest". If problem is not empty, it
// says what is wrong with it.
func formUsername(r *http.Request) (name, problem string) {
	name = strings.TrimSpace(r.PostForm.Get("username"))
	if name == "" {
		return "Guest", ""
	}
	if !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxUsername {
		return "", badUsername
	}
	return name, ""
}

// formTTL returns the form's time to live, which is written in seconds: decimal digits, with or without space
// around them. byDefault, if it is not zero, stands for one that is not given. If problem is not
// empty, it says what is wrong with it.
func formTTL(r *http.Request, byDefault time.Duration) (ttl time.Duration, problem string) {
	if byDefault != 0 && !r.PostForm.Has("ttl") {
		return byDefault, ""
	}
	n, err := strconv.ParseUint(strings.TrimSpace(r.PostForm.Get("ttl")), 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange), err == nil && n > uint64(maxTTL/time.Second):
		return 0, longTTL
	case err != nil || n == 0:
		return 0, badTTL
	}
	return time.Duration(n) * time.Second, ""
}

// formRemember reports whether the form asks for a session that outlives the browser: a checkbox that is ticked
// is sent as on. If problem is not empty, it says what is wrong with it.
func formRemember(r *http.Request) (remember bool, problem string) {
	switch r.PostForm.Get("remember") {
	case "on", "true", "1":
		return true, ""
	case "", "off", "false", "0":
		return false, ""
	}
	return false, badRemember
}
