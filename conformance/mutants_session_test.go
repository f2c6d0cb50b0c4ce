package conformance_test

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/conformance"
)

// sessionMutants break what only a Manager notices so plainly.
var sessionMutants = []mutant{
	{
		name:   "Apply takes no field away",
		kills:  []string{"ApplyDeletes", "SessionChangesApart", "SessionTakeOnce", "SessionOwnerDropsDead"},
		target: patching(func(p *backend.Patch) { p.Delete = nil }),
	},
	{
		name:   "a check without a change is answered from what was written last",
		kills:  []string{"Model"},
		target: checkingOwnCopy,
	},
	{
		name:  "a deletion is put off",
		kills: []string{"DeleteRemoves", "SessionEnds", "SessionLogoutStays", "SessionLogoutRaces"},
		target: alter(func(c *complete) altered {
			return altered{del: func(ctx context.Context, id string) error {
				time.AfterFunc(time.Second, func() { _ = c.Delete(context.Background(), id) })
				return ctx.Err()
			}}
		}),
	},
	{
		name:  "Remove leaves a tombstone that Create runs into",
		kills: []string{"RemoveDeletes", "SessionOwnerRevokeAll"},
		target: alter(func(c *complete) altered {
			var dead sync.Map
			return altered{
				create: func(ctx context.Context, id string, rec backend.Record) error {
					if _, ok := dead.Load(id); ok {
						return backend.ErrExists
					}
					return c.Create(ctx, id, rec)
				},
				apply: func(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
					rec, err := c.Apply(ctx, id, p)
					if err == nil && p.Remove {
						dead.Store(id, true)
					}
					return rec, err
				},
			}
		}),
	},
	{
		name:  "Set drops what makes more than 30 fields",
		kills: []string{"SessionOwnerRevokeAll"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			rec, _ := c.Load(ctx, id)
			p = copyOfPatch(p)
			maps.DeleteFunc(p.Set, func(name, _ string) bool {
				_, there := rec.Fields[name]
				return !there && len(rec.Fields) >= 30
			})
			return c.Apply(ctx, id, p)
		}),
	},
}

// sessionKills says which of the other mutants each case about a Manager must find.
var sessionKills = map[string][]string{
	"SessionStored": {
		"names are made valid UTF-8", "empty values are dropped", "each client keeps records of its own",
	},
	"SessionChangesApart":         {"Set replaces the whole record", "the second client caches what it has read"},
	"SessionViewsApart":           {"Load returns the map that is stored", "Create keeps the caller's map", "two Loads return one map"},
	"SessionCounts":               {"Apply is sent twice", "an absent counter is an error", "adding 0 writes nothing"},
	"SessionCounterRefused":       {"ErrCounter comes after a partial write", "a sum may be out of range"},
	"SessionEnds":                 {"Delete does nothing", "Delete fails on what is not there", "Remove is ignored"},
	"SessionLogoutStays":          {"Apply creates", "Apply writes back what a cache still holds"},
	"SessionCommitOutlivesClient": {"a record lives as long as the context it was created with"},
	"SessionOtherSecret":          {"If is ignored", "Remove ignores conditions", "ErrConflict comes after a partial write"},
	"SessionHoldsNoToken":         {"If is ignored", "Remove ignores conditions"},
	"SessionPartialRecord":        {"Has is ignored", "only the first of Has counts"},
	"SessionNewerVersion":         {"an empty If value is no condition"},
	"SessionUnreadable":           {"what cannot be read is not found", "Apply deletes what it cannot read"},
	"SessionIDs":                  {"Scan keeps the only connection while it yields"},
	"SessionLoginKillsOldToken": {
		"Load reads from a lagging replica", "the second client caches what it has read", "If is ignored",
	},
	"SessionLoginKeepsID":        {"If needs the field to be there"},
	"SessionLoginShutsOutOlder":  {"an empty If value is no condition", "If is ignored"},
	"SessionLoginAfterTheEnd":    {"Apply writes back what a cache still holds", "an empty If value is no condition"},
	"SessionLoginOfAnotherOwner": {"Delete does nothing", "Apply creates"},
	"SessionLoginRacesWrites":    {"conditions are checked, then it is written", "a record is read, changed and written as a whole"},
	"SessionLoginsRace":          {"an empty If value is no condition", "a record is read, changed and written as a whole"},
	"SessionRotationOneWinner":   {"conditions are checked, then it is written", "If is ignored"},
	"SessionRotationGrace":       {"If is judged after Set", "the second client caches what it has read"},
	"SessionReuseEnds":           {"Remove is ignored"},
	"SessionReuseLosesToLogin":   {"Remove ignores conditions"},
	"SessionParallelFields":      {"a record is read, changed and written as a whole"},
	"SessionParallelCounts":      {"a counter is read, added and written"},
	"SessionParallelUpdates":     {"conditions are checked, then it is written", "If is ignored"},
	"SessionTakeOnce":            {"conditions are checked, then it is written"},
	"SessionLogoutRaces":         {"a record is read, changed and written as a whole", "Apply creates"},
	"SessionOwnerListed":         {"Set replaces the whole record", "Load reads from a lagging replica"},
	"SessionOwnerRevoke":         {"Remove ignores conditions", "If is ignored"},
	"SessionOwnerRevokeOthers":   {"Remove is ignored"},
	"SessionOwnerRevokeAll":      {"Remove is ignored"},
	"SessionOwnerMax":            {"Remove is ignored"},
	"SessionOwnerFirstLogins":    {"Create checks, then writes"},
	"SessionOwnerLoginMeetsRevokeAll": {
		"If is ignored", "If is ignored for absent fields", "Has is ignored",
	},
	"SessionOwnerLoginsRaceRevokeAll":    {"Remove is ignored", "Apply takes no field away"},
	"SessionOwnerMaxRaces":               {"conditions are checked, then it is written"},
	"SessionOwnerPruneLosesToLogin":      {"If is ignored"},
	"SessionOwnerEmptyLosesToLogin":      {"Remove ignores conditions"},
	"SessionAbsoluteTimeout":             {"Remove is ignored"},
	"SessionAbsoluteTimeoutLosesToLogin": {"Remove ignores conditions", "an empty If value is no condition"},
	"SessionIdleTimeout":                 {"expiry is enforced by a sweep", "Touch does nothing", "Touch is forgotten beside other changes"},
	"SessionPeekDoesNotTouch":            {"Load touches", "every Apply touches"},
	"SessionSetTTL":                      {"a new TTL only ever prolongs", "a client remembers the TTL"},
	"SessionExpiryIsFinal":               {"Touch revives what has expired", "Apply creates"},
	"SessionOwnerOfShortAndLong":         {"a new TTL counts only from the next touch", "Touch shortens"},
}

// checkingOwnCopy makes a target each of whose clients keeps what it has written, and judges by that a patch
// that has conditions and nothing else.
func checkingOwnCopy(c *complete) conformance.Target {
	client := func() altered {
		var mu sync.Mutex
		known := map[string]map[string]string{}
		return altered{
			Backend: c,
			create: func(ctx context.Context, id string, rec backend.Record) error {
				pause() // so that others get in between
				return c.Create(ctx, id, rec)
			},
			apply: func(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
				mu.Lock()
				defer mu.Unlock()
				changes := len(p.Set)+len(p.Delete)+len(p.Add) > 0 || p.TTL > 0 || p.Touch || p.Load || p.Remove
				if copied, ok := known[id]; ok && !changes && ctx.Err() == nil {
					if !holds(copied, p) {
						return none, backend.ErrConflict
					}
					return none, nil
				}
				rec, err := c.Apply(ctx, id, p)
				if err == nil {
					c.edit(id, func(e *entry) { known[id] = copyOf(e.Record).Fields })
				}
				return rec, err
			},
		}
	}
	target := c.target()
	target.Backend, target.Second = client(), client()
	return target
}
