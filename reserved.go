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
	fieldVersion       = "session_version"          // absent in every record that this version can read
)

// reserved reports whether the application may not write the field.
func reserved(name string) bool {
	return name == "" || name == fieldCreated || name == fieldAccessed || strings.HasPrefix(name, reservedPrefix)
}
