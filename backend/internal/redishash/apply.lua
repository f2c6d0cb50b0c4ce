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

local key, argv, call = KEYS[1], ARGV, redis.call
local nif, nhas, nadd, nset, ndel = argv[1] + 0, argv[2] + 0, argv[3] + 0, argv[4] + 0, argv[5] + 0
local ttl, action, load = argv[6], argv[7], argv[8] == 'load'

-- Where each part of ARGV begins, less one.
local has = 8 + nif
local counters = has + nhas
local values = counters + nadd
local deltas = values + nif
local sets = deltas + nadd
local deletes = sets + 2 * nset

-- unpack fills Lua's stack, which holds about 8000 values: what is longer goes in pieces. An even number keeps names
-- and values together.
local chunk = 4000

-- Read what the checks need.
local held = call('HMGET', key, 'session_ttl', unpack(argv, 9, values <= chunk and values or chunk))
for i = chunk + 1, values, chunk do
  for _, v in ipairs(call('HMGET', key, unpack(argv, i, math.min(i + chunk - 1, values)))) do
    held[#held + 1] = v
  end
end

local lives = held[1]
if not lives then
  return redis.error_reply('SESSION_NOT_FOUND no such record')
end
-- The most is what a time.Duration holds.
if #lives > 10 or not string.find(lives, '^[1-9]%d*$') or lives + 0 > 9223372036 then
  return redis.error_reply('SESSION_UNREADABLE session_ttl is no number of seconds')
end
for i = 1, nif do
  if (held[1 + i] or '') ~= argv[values + i] then
    return redis.error_reply('SESSION_CONFLICT a field holds another value')
  end
end
for i = nif + 2, nif + nhas + 1 do
  if not held[i] then
    return redis.error_reply('SESSION_CONFLICT a field is missing')
  end
end
-- Integers up to 2^53 are exact in Lua's numbers, and so is a sum of two of them, or it is rounded to an even
-- number that is too large all the same.
for i = 1, nadd do
  local most = 9007199254740991
  local cur = held[1 + nif + nhas + i] or '0'
  if #cur > 17 or not (cur == '0' or string.find(cur, '^%-?[1-9]%d*$')) then
    return redis.error_reply('SESSION_COUNTER not a counter')
  end
  local n, delta = cur + 0, argv[deltas + i] + 0
  if math.abs(n) > most or math.abs(delta) > most or math.abs(n + delta) > most then
    return redis.error_reply('SESSION_COUNTER out of range')
  end
end

if action == 'remove' then
  local last = load and call('HGETALL', key) or {}
  call('DEL', key)
  return last
end

local sums = {}
for i = 1, nadd do
  sums[i] = call('HINCRBY', key, argv[counters + i], argv[deltas + i])
end
for i = sets + 1, deletes, chunk do
  call('HSET', key, unpack(argv, i, math.min(i + chunk - 1, deletes)))
end
for i = deletes + 1, deletes + ndel, chunk do
  call('HDEL', key, unpack(argv, i, math.min(i + chunk - 1, deletes + ndel)))
end
if ttl ~= '0' then
  call('EXPIRE', key, ttl)
elseif action == 'touch' then
  call('EXPIRE', key, lives)
elseif nadd + nset + ndel > 0 and call('PTTL', key) == -1 then
  -- Another program took the key's expiry away: no write leaves a key without one.
  call('EXPIRE', key, lives)
end

if load then
  return call('HGETALL', key)
end
return sums
