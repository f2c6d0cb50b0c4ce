-- Deletes a record, and writes something also where there is none, for WAIT to count the replicas that have all that
-- came before: since Redis 7.2 it counts those that have the connection's last write, whatever others have written.
--
-- KEYS[1]  the record's key
--
-- Replies with nothing.

if redis.call('DEL', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'gone', '')
  redis.call('DEL', KEYS[1])
end
return {}
