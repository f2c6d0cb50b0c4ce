package session

import "strings"

// Names of the reserved fields. The first three, with the backend's session_ttl, are those of the layout that
// Redis's session guide uses; everything else of the library's own begins with session_.
const (
	fieldCreated  = "created_at"
	fieldAccessed = "last_accessed_at"

	reservedPrefix     = "session_"
	fieldToken         = "session_token"            // base64url SHA-256 of the token
	fieldEpoch         = "session_epoch"            // raised by login and by rotation by hand; absent before
	fieldOwner         = "session_owner"            // whose session it is, since the login
	fieldAuthenticated = "session_authenticated_at" // when the owner logged in
	fieldRemembered    = "session_remembered"       // "1" if the longer timeouts hold
	fieldLabel         = "session_label"            // what the application calls it in a list
	fieldRotated       = "session_rotated_at"       // when the token was last given out by a rotation
	fieldPrevious      = "session_previous"         // the hash of the token before the last timed rotation
	fieldSeen          = "session_seen_at"          // when the token after that one was first presented
	fieldVersion       = "session_version"          // absent in every record that this version can read
)

// reserved reports whether the application may not write the field.
func reserved(name string) bool {
	return name == "" || name == fieldCreated || name == fieldAccessed || strings.HasPrefix(name, reservedPrefix)
}
