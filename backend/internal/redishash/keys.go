package redishash

import "strings"

// maxID is the most characters that an ID has.
const maxID = 64

// ID returns the ID that a key stands for, and false if it is no record's.
func ID(prefix, key string) (string, bool) {
	id, ok := strings.CutPrefix(key, prefix)
	if !ok || id == "" || len(id) > maxID {
		return "", false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		case c == '_', c == '.', c == ':', c == '-':
		default:
			return "", false
		}
	}
	return id, true
}

// Pattern returns the pattern by which SCAN finds the keys that begin with prefix.
func Pattern(prefix string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(prefix) + "*"
}
