-- Tries each command that the backends send, directly or in a script, on a key that holds nothing and in a way
-- that writes nothing, to find what the server does not let this user do.
--
-- KEYS[1]  a key under which nothing is stored
--
-- Replies with the commands that failed and their errors, in turn: nothing, if all is well.

local failed = {}
local function try(command, ...)
  local reply = redis.pcall(command, KEYS[1], ...)
  return type(reply) == 'table' and reply.err
end
local function check(command, err)
  if err then
    failed[#failed + 1] = command
    failed[#failed + 1] = err
  end
end

-- What would write is given arguments that it refuses once it is allowed to run.
local function checkRefused(command, refusal, err)
  if not err or not string.find(err, refusal, 1, true) then
    check(command, err or 'not refused')
  end
end

-- These come first: once a command that writes has run, Redis no longer tells a script that memory is full.
checkRefused('HSET', 'wrong number of arguments', try('HSET', 'field', 'value', 'field'))
checkRefused('HINCRBY', 'not an integer', try('HINCRBY', 'field', 'x'))
check('HGETALL', try('HGETALL'))
check('HMGET', try('HMGET', 'field'))
check('EXISTS', try('EXISTS'))
check('PTTL', try('PTTL'))
check('EXPIRE', try('EXPIRE', '1'))
check('HDEL', try('HDEL', 'field'))
check('DEL', try('DEL'))
return failed
