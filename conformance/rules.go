package conformance

import (
	"strconv"
	"time"

	"github.com/faeeb396/session/backend"
)

// The rules that more than one case checks, in the words of package backend's documentation. A test compares
// every rule with that text.
const (
	ruleAtomic     = "Every call is atomic and linearizable per ID: calls on one ID, from however many processes, behave as if they had run one after the other."
	ruleOnlyCreate = "Only Create creates a record, and it never overwrites one."
	ruleNoRevival  = "Apply never brings a record back that has expired or been deleted, not even when it runs at the same time as the Delete."
	ruleChecks     = "All checks of an Apply come before its first write: after any of its errors named below, the record is as it was, and so is its remaining time to live."
	ruleExpiry     = "A record whose time to live has passed is gone for every method at once, not when a sweep finds it."
	ruleOwnership  = "Neither side keeps or changes the other's maps and slices: a backend copies what it is given, and what it returns belongs to the caller."
	ruleBytes      = "Field names and values are arbitrary bytes, empty values included."
	ruleSize       = "A record may have 10 000 fields, and each part of a patch may name as many"
	ruleIDs        = "IDs are compared byte by byte."
	ruleForEver    = "No write leaves a record without a time to live."
	ruleContext    = "A context that has ended before the call makes the call fail with the context's error, and nothing is written."
	ruleExists     = "If one is there already, it fails with ErrExists and leaves that one, and its remaining time to live, as they were."
	ruleLoad       = "Load returns the record under id, or ErrNotFound."
	ruleAcked      = "It sees every write that was acknowledged, by whatever process, before Load was called, unless the backend's documentation states for how long it may not, as a local cache does."
	rulePrecedence = "It fails, in this order of precedence, with ErrNotFound, ErrConflict or ErrCounter."
	ruleIf         = "If holds conditions: every field named must hold this value; an absent field counts as \"\"."
	ruleHas        = "Has names fields that must be there, with whatever value, an empty one too."
	ruleAdd        = "A field that does not hold an integer in canonical decimal form (\"0\", \"-7\", \"42\"; no sign plus, no leading zero, no space), a field or a delta outside ±MaxCounter, and a sum outside it, fail the whole Apply with ErrCounter."
	ruleReplyLoad  = "With p.Load it returns the record as it then stands; with p.Load and p.Remove, as it last stood."
	ruleReplyBare  = "Without p.Load it returns only the fields named in p.Add, with their new values, and no TTL."
	ruleNoTouch    = "An Apply that neither sets a TTL nor touches leaves the remaining time to live alone."
	ruleTTLField   = "TTL is the record's time to live as it was last set, counted from the last touch. It is not the time that is left."
	ruleTTL        = "TTL, if positive, is the record's new time to live, counted from now."
	ruleTouch      = "Touch counts the time to live from now again. A TTL touches too."
	ruleRemove     = "Remove deletes the record, if the conditions hold."
	ruleFresh      = "Fresh returns a backend on the same records that reads past the cache, or nil if this one has none."
	ruleScans      = "Any number of scans may run at the same time, one of them in the loop of another, too."
	ruleScan       = "Scan yields the ID of every live record, in no order, without its being touched."
)

// hour is the time to live of records that are not meant to expire within a case.
const hour = time.Hour

// fields is short for what records are made of.
type fields = map[string]string

// record returns a record that lives for an hour.
func record(f fields) backend.Record { return backend.Record{Fields: f, TTL: hour} }

func itoa(i int) string { return strconv.Itoa(i) }
