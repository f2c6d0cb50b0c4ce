-- Changes a record: all of a patch or nothing. Lua does not roll back, so every check comes before the first
-- write. What the server may refuse for reasons of its own (no memory, a replica), it refuses at the first write.
--
-- KEYS[1]  the record's key
-- ARGV[1]  number of conditions "field holds value"
-- ARGV[2]  number of conditions "field is there"
-- ARGV[3]  number of counters
-- ARGV[4]  number of fields to set
-- ARGV[5]  number of fields to delete
-- ARGV[6]  new time to live in seconds; 0 keeps the old one
-- ARGV[7]  what to do: "" change, "touch" change and count the time to live from now, "remove" delete the record
-- ARGV[8]  what to reply: "" the counters, "load" the record
-- ARGV[9…] the names of the conditions and counters, in that order; the values of the conditions; the deltas of
--          the counters; names and values to set, session_ttl among them if it is new; names to delete
--
-- Replies with the counters' new values, in their order, or with the record as names and values, after the
-- change or before it is removed; or with an error that begins with SESSION_NOT_FOUND, SESSION_UNREADABLE,
-- SESSION_CONFLICT or SESSION_COUNTER, looked for in this order.

local key = KEYS[1]
local nif, nhas, nadd = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local nset, ndel = tonumber(ARGV[4]), tonumber(ARGV[5])
local ttl, action, load = ARGV[6], ARGV[7], ARGV[8] == 'load'

-- Where each part of ARGV begins, less one.
local names = 8
local values = names + nif + nhas + nadd
local deltas = values + nif
local sets = deltas + nadd
local deletes = sets + 2 * nset

-- unpack fills Lua's stack, which holds about 8000 values. An even number keeps names and values together.
local chunk = 4000
local function call(command, from, n)
  for i = from + 1, from + n, chunk do
    redis.call(command, key, unpack(ARGV, i, math.min(i + chunk - 1, from + n)))
  end
end

-- Read what the checks need, in one call unless it is a lot.
local held = redis.call('HMGET', key, 'session_ttl', unpack(ARGV, names + 1, math.min(values, names + chunk)))
for i = names + chunk + 1, values, chunk do
  for _, v in ipairs(redis.call('HMGET', key, unpack(ARGV, i, math.min(i + chunk - 1, values)))) do
    held[#held + 1] = v
  end
end

local lives = held[1]
if not lives then
  return redis.error_reply('SESSION_NOT_FOUND no such record')
end
-- The most is what a time.Duration holds.
if #lives > 10 or not string.find(lives, '^[1-9]%d*$') or tonumber(lives) > 9223372036 then
  return redis.error_reply('SESSION_UNREADABLE session_ttl is no number of seconds')
end
for i = 1, nif do
  if (held[1 + i] or '') ~= ARGV[values + i] then
    return redis.error_reply('SESSION_CONFLICT a field holds another value')
  end
end
for i = nif + 1, nif + nhas do
  if not held[1 + i] then
    return redis.error_reply('SESSION_CONFLICT a field is missing')
  end
end
-- Integers up to 2^53 are exact in Lua's numbers, and so is a sum of two of them, or it is rounded to an even
-- number that is too large all the same.
local most = 9007199254740991
for i = 1, nadd do
  local cur = held[1 + nif + nhas + i] or '0'
  if #cur > 17 or not (cur == '0' or string.find(cur, '^%-?[1-9]%d*$')) then
    return redis.error_reply('SESSION_COUNTER not a counter')
  end
  local n, delta = tonumber(cur), tonumber(ARGV[deltas + i])
  if math.abs(n) > most or math.abs(delta) > most or math.abs(n + delta) > most then
    return redis.error_reply('SESSION_COUNTER out of range')
  end
end

if action == 'remove' then
  local last = load and redis.call('HGETALL', key) or {}
  redis.call('DEL', key)
  return last
end

local sums = {}
for i = 1, nadd do
  sums[i] = redis.call('HINCRBY', key, ARGV[names + nif + nhas + i], ARGV[deltas + i])
end
call('HSET', sets, 2 * nset)
call('HDEL', deletes, ndel)
if ttl ~= '0' then
  redis.call('EXPIRE', key, ttl)
elseif action == 'touch' then
  redis.call('EXPIRE', key, lives)
elseif nadd + nset + ndel > 0 and redis.call('PTTL', key) == -1 then
  -- Another program took the key's expiry away: no write leaves a key without one.
  redis.call('EXPIRE', key, lives)
end

if load then
  return redis.call('HGETALL', key)
end
return sums
