-- Changes a record: all of a patch or nothing. Lua does not roll back, so every check comes before the first
-- write. What the server may refuse for reasons of its own (no memory, a replica), it refuses at the first write.
--
-- KEYS[1]  the record's key
-- ARGV[1]  seven characters. Five are numbers, a character each, counted from "0" to "v", which is 70: of conditions
--          "field holds value", of conditions "field is there", of counters, of fields to set and of fields to delete.
--          Then what to do: "-" change, "t" change and count the time to live from now, "n" change and count a new
--          time to live, the value of the first field to set, from now, "x" delete the record. Then what to reply:
--          "-" the counters, "l" the record. If a number is over 70, the last two characters only, and five
--          arguments follow, the numbers.
-- ARGV[…]  the names of the conditions and counters, in that order; the values of the conditions; the deltas of
--          the counters; names and values to set; names to delete
--
-- Replies with the counters' new values, in their order, or with the record as names and values, after the
-- change or before it is removed; or with an error that begins with SESSION_NOT_FOUND, SESSION_UNREADABLE,
-- SESSION_CONFLICT or SESSION_COUNTER, looked for in this order.

local key, argv, call = KEYS[1], ARGV, redis.call
local nif, nhas, nadd, nset, ndel, action, reply = string.byte(argv[1], 1, 7)
local first = 1 -- of the names, less one
if reply then
  nif, nhas, nadd, nset, ndel = nif - 48, nhas - 48, nadd - 48, nset - 48, ndel - 48
else
  action, reply = nif, nhas
  nif, nhas, nadd, nset, ndel = argv[2] + 0, argv[3] + 0, argv[4] + 0, argv[5] + 0, argv[6] + 0
  first = 6
end
local load = reply == 108 -- l

-- Where each further part of ARGV begins, less one.
local counters = first + nif + nhas
local values = counters + nadd
local deltas = values + nif
local sets = deltas + nadd
local deletes = sets + 2 * nset

-- unpack fills Lua's stack, which holds about 8000 values: what is longer goes in pieces. An even number keeps names
-- and values together.
local chunk = 4000

-- Read what the checks need: session_ttl, what the conditions name, the counters. If the record is asked for, read all
-- of it, once: HGETALL is the dearest command here. at says where in record the value of each field is.
local held, record, at
if load then
  record, at = call('HGETALL', key), {}
  for i = 2, #record, 2 do
    at[record[i - 1]] = i
  end
  held = {record[at.session_ttl], nil, nil, nil, nil, nil, nil, nil} -- with room, which is cheaper than to grow
  for i = first + 1, values do
    held[i - first + 1] = record[at[argv[i]]]
  end
else
  local last = first + chunk
  held = call('HMGET', key, 'session_ttl', unpack(argv, first + 1, values <= last and values or last))
  for i = last + 1, values, chunk do
    for _, v in ipairs(call('HMGET', key, unpack(argv, i, math.min(i + chunk - 1, values)))) do
      held[#held + 1] = v
    end
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

if action == 120 then -- x
  call('DEL', key)
  return record or {}
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
if action == 110 then -- n
  call('EXPIRE', key, argv[sets + 2])
elseif action == 116 then -- t
  call('EXPIRE', key, lives)
elseif nadd + nset + ndel > 0 and call('PTTL', key) == -1 then
  -- Another program took the key's expiry away: no write leaves a key without one.
  call('EXPIRE', key, lives)
end

if not load then
  return sums
end
if ndel > 0 then
  return call('HGETALL', key)
end
local function put(name, value)
  local i = at[name]
  if not i then
    i = #record + 2
    record[i - 1] = name
  end
  record[i] = value
end
for i = 1, nadd do
  put(argv[counters + i], string.format('%.0f', sums[i]))
end
for i = sets + 1, deletes, 2 do
  put(argv[i], argv[i + 1])
end
return record
