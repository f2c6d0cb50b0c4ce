-- Creates a record.
--
-- KEYS[1]  the record's key
-- ARGV[1]  its time to live, in seconds
-- ARGV[2…] its fields, as name and value; session_ttl is among them
--
-- Replies 1, or an error that begins with SESSION_EXISTS if anything at all is stored under the key.

if redis.call('EXISTS', KEYS[1]) == 1 then
  return redis.error_reply('SESSION_EXISTS key holds something')
end

-- unpack fills Lua's stack, which holds about 8000 values.
for i = 2, #ARGV, 4000 do
  redis.call('HSET', KEYS[1], unpack(ARGV, i, math.min(i + 3999, #ARGV)))
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 1
