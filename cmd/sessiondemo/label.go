package main

import "strings"

// A mark is a part of a User-Agent, and what people call the program or the system that sends it.
type mark struct{ part, name string }

// The marks, the telling ones first: most browsers also name those that they are like.
var (
	browserMarks = []mark{
		{"Edg/", "Edge"}, {"EdgA/", "Edge"}, {"EdgiOS/", "Edge"}, {"OPR/", "Opera"}, {"SamsungBrowser/", "Samsung Internet"},
		{"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"}, {"CriOS/", "Chrome"}, {"HeadlessChrome/", "Chrome"},
		{"Chromium/", "Chromium"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"},
		{"curl/", "curl"}, {"Wget/", "Wget"}, {"Go-http-client/", "A Go program"}, {"python-", "A Python program"},
	}
	systemMarks = []mark{
		{"Android", "Android"}, {"iPhone", "iOS"}, {"iPad", "iPadOS"}, {"Windows", "Windows"}, {"CrOS", "ChromeOS"},
		{"Macintosh", "macOS"}, {"Linux", "Linux"},
	}
)

// browserLabel makes a User-Agent short, such as "Firefox on Linux". All that it returns is in this file's
// own words.
func browserLabel(userAgent string) string {
	browser, system := find(browserMarks, userAgent), find(systemMarks, userAgent)
	if browser == "" {
		browser = "An unknown browser"
	}
	if system == "" {
		return browser
	}
	return browser + " on " + system
}

// find returns the name of the first mark that text holds, or "".
func find(marks []mark, text string) string {
	for _, m := range marks {
		if strings.Contains(text, m.part) {
			return m.name
		}
	}
	return ""
}
