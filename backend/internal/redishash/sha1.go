package redishash

// The SHA-1 of the scripts, checked by TestSHA1.
const (
	createSHA1 = "0ecaaafa182b8cc78754acdb330f37aa8d7b0348"
	applySHA1  = "96dcd0991b361822296e02b1c17b4b16b0f3f293"
)
