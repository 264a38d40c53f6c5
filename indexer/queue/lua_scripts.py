"""Lua scripts, which Redis runs atomically: each changes a job only in its present state.

A job has a `round`, which is counted up whenever source and collection are compared again. A report from an earlier
round, or for a job that has ended, changes nothing.
"""

# seconds since 1970, by the clock that all machines share
_NOW = """
local time = redis.call('TIME')
local now = time[1] .. string.sub(string.format('%.3f', time[2] / 1000000), 2)
"""

_CURRENT = (
    _NOW
    + """
local job = redis.call('HMGET', KEYS[1], 'state', 'round')
local active = job[1] == 'queued' or job[1] == 'running'
if not active or job[2] ~= ARGV[1] then return 0 end
"""
)

# KEYS job, done. ARGV round. -> the new round, or 0
BEGIN = (
    _CURRENT
    + """
local round = redis.call('HINCRBY', KEYS[1], 'round', 1)
redis.call('HSET', KEYS[1], 'state', 'running', 'planned', 0, 'sent', redis.call('HLEN', KEYS[2]), 'touched', now)
redis.call('HSETNX', KEYS[1], 'started', now)
return round
"""
)

# KEYS job. ARGV round, field, value, ... -> whether the job is still in that round
SET = (
    _CURRENT
    + """
redis.call('HSET', KEYS[1], 'touched', now, unpack(ARGV, 2))
return 1
"""
)

# KEYS job. ARGV round, chunks. -> whether the job is still in that round
SENDING = (
    _CURRENT
    + """
redis.call('HINCRBY', KEYS[1], 'sent', ARGV[2])
redis.call('HSET', KEYS[1], 'touched', now)
return 1
"""
)

_COMPLETE = """
if redis.call('HGET', KEYS[1], 'planned') ~= ARGV[1] then return 1 end
if redis.call('HLEN', KEYS[2]) < tonumber(redis.call('HGET', KEYS[1], 'sent')) then return 1 end
return 2
"""

# KEYS job, done. ARGV round. -> 0 not of this round, 1 chunks are under way, 2 all chunks are done
PLANNED = (
    _CURRENT
    + """
redis.call('HSET', KEYS[1], 'planned', ARGV[1], 'touched', now)
"""
    + _COMPLETE
)

# KEYS job, done, failures. ARGV round, chunk, counts, failures or '', further chunks. -> as PLANNED
# The first report of a chunk stays, because a chunk that is indexed twice finds nothing to do the second time.
RECORD = (
    _CURRENT
    + """
if redis.call('HSETNX', KEYS[2], ARGV[2], ARGV[3]) == 1 then
  if ARGV[4] ~= '' then redis.call('HSET', KEYS[3], ARGV[2], ARGV[4]) end
  redis.call('HINCRBY', KEYS[1], 'sent', ARGV[5])
end
redis.call('HSET', KEYS[1], 'touched', now)
redis.call('HDEL', KEYS[1], 'waits')
"""
    + _COMPLETE
)

# KEYS job, active, done, failures. ARGV round, id, seconds to keep, field, value, ... -> whether this ended it
# The counts of chunks are removed if the fields have the counts of the job.
END = (
    _CURRENT
    + """
redis.call('HSET', KEYS[1], 'ended', now, unpack(ARGV, 4))
redis.call('HDEL', KEYS[1], 'waits')
redis.call('SREM', KEYS[2], ARGV[2])
if redis.call('HEXISTS', KEYS[1], 'indexed') == 1 then redis.call('DEL', KEYS[3]) end
for _, key in ipairs({KEYS[1], KEYS[3], KEYS[4]}) do redis.call('EXPIRE', key, ARGV[3]) end
return 1
"""
)

# KEYS job, active, done, failures. ARGV id, seconds to keep. -> whether the job had not ended yet
CANCEL = (
    _NOW
    + """
local state = redis.call('HGET', KEYS[1], 'state')
if state ~= 'queued' and state ~= 'running' then return 0 end
redis.call('HSET', KEYS[1], 'state', 'cancelled', 'ended', now)
redis.call('HDEL', KEYS[1], 'waits')
redis.call('SREM', KEYS[2], ARGV[1])
for _, key in ipairs({KEYS[1], KEYS[3], KEYS[4]}) do redis.call('EXPIRE', key, ARGV[2]) end
return 1
"""
)

# KEYS job, active, done, failures. ARGV id, field, value, ... -> the round that the plan follows, or -1
# The fields are those of a newly started job, for a Redis that has lost it. The clock is part of the round because a
# worker may still index a chunk of the lost rounds, which must not count for the new ones.
AGAIN = (
    _NOW
    + """
local job = redis.call('HMGET', KEYS[1], 'state', 'round')
if job[1] == 'queued' or job[1] == 'running' then return -1 end
redis.call('DEL', KEYS[1], KEYS[3], KEYS[4])
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
local round = math.max(tonumber(job[2] or '0'), math.floor(tonumber(now))) + 1
redis.call('HSET', KEYS[1], 'state', 'queued', 'round', round, 'touched', now)
redis.call('SADD', KEYS[2], ARGV[1])
return round
"""
)
