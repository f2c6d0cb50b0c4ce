-- Creates a record.
--
-- KEYS[1]  the record's key
-- ARGV[1]  its time to live, in seconds
-- ARGV[2…] its fields, as name and value; session_ttl is among them
--
-- Replies with nothing, or with an error that begins with SESSION_EXISTS if anything at all is stored under the
-- key.

if redis.call('EXISTS', KEYS[1]) == 1 then
  return redis.error_reply('SESSION_EXISTS the key holds something')
end

-- unpack fills Lua's stack, which holds about 8000 values.
local chunk = 4000
for i = 2, #ARGV, chunk do
  redis.call('HSET', KEYS[1], unpack(ARGV, i, math.min(i + chunk - 1, #ARGV)))
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return {}
