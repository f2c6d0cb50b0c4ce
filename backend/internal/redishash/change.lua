-- Changes a session that was read before: what apply.lua does for the patches that byEpoch in sessions.go tells apart,
-- in five sixths of the time. It knows the names of the fields that the conditions are about.
--
-- KEYS[1]  the record's key
-- ARGV[1]  what created_at must hold; it is not empty
-- ARGV[2]  what session_epoch must hold; if empty, it may be absent
-- ARGV[3]  "-" change, "t" change and count the time to live from now, "c" and "b" the same and add to a counter
-- ARGV[…]  with "c" and "b", the name of the counter and what to add; then names and values to set
--
-- Replies as apply.lua does, with the counter's new value, if there is one.

local key, argv, call = KEYS[1], ARGV, redis.call
local how = argv[3]

local held, counter
local sets = 4 -- the first of the names and values
if how == '-' or how == 't' then
  held = call('HMGET', key, 'session_ttl', 'created_at', 'session_epoch', 'last_accessed_at', 'session_token')
else
  counter, sets = argv[4], 6
  held = call('HMGET', key, 'session_ttl', 'created_at', 'session_epoch', 'last_accessed_at', 'session_token', counter)
end

local lives = held[1]
if not lives then
  return redis.error_reply('SESSION_NOT_FOUND no such record')
end
if #lives > 10 or not string.find(lives, '^[1-9]%d*$') or lives + 0 > 9223372036 then
  return redis.error_reply('SESSION_UNREADABLE session_ttl is no number of seconds')
end
if held[2] ~= argv[1] or (held[3] or '') ~= argv[2] then
  return redis.error_reply('SESSION_CONFLICT a field holds another value')
end
if not held[4] or not held[5] then
  return redis.error_reply('SESSION_CONFLICT a field is missing')
end

local sums = {}
if counter then
  local most = 9007199254740991
  local cur = held[6] or '0'
  if #cur > 17 or not (cur == '0' or string.find(cur, '^%-?[1-9]%d*$')) then
    return redis.error_reply('SESSION_COUNTER not a counter')
  end
  local n, delta = cur + 0, argv[5] + 0
  if math.abs(n) > most or math.abs(delta) > most or math.abs(n + delta) > most then
    return redis.error_reply('SESSION_COUNTER out of range')
  end
  sums[1] = call('HINCRBY', key, counter, argv[5])
end
if argv[sets] then
  call('HSET', key, unpack(argv, sets))
end
if how == 't' or how == 'b' then
  call('EXPIRE', key, lives)
elseif call('PTTL', key) == -1 then
  -- Another program took the key's expiry away: no write leaves a key without one.
  call('EXPIRE', key, lives)
end
return sums
