"""What a Redis server does for us as one step, in Lua."""

from hashlib import sha1


class Script:
    """A script, by its text and by the digest under which the server keeps it."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.digest = sha1(source.encode(), usedforsecurity=False).hexdigest()


HIT = Script("""
local key, amount, window, now = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
if not now then
    local clock = redis.call('TIME')
    now = clock[1] * 1000000 + clock[2]
end
local function leaves(position)
    return tonumber(redis.call('LINDEX', key, position))
end
if (leaves(0) or 0) > now + window then
    redis.call('DEL', key)
end
local held, past = 0, redis.call('LLEN', key)
while held < past do
    local middle = math.floor((held + past) / 2)
    if leaves(middle) > now then held = middle + 1 else past = middle end
end
local allowed = held < amount
if allowed then
    redis.call('LPUSH', key, string.format('%.0f', now + window))
    redis.call('LTRIM', key, 0, held)
    redis.call('PEXPIRE', key, math.ceil(window / 1000))
    held = held + 1
end
local reset = 0
if held >= amount then
    reset = (leaves(held - 1) or now + window) - now
end
return {allowed and 1 or 0, amount - held, reset}
""")
"""Counts a hit: KEYS hits; ARGV amount, window, now (or nothing). Gives if it fits, what remains, when the next fits.

The hits are a list of the times at which each leaves the window, the newest first, at most ``amount`` of them. Times
are microseconds by the server's clock, since those of the processes differ; set back, it starts the windows anew.
"""

POUR = Script("""
local key, now, capacity = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local tokens, needed = tonumber(ARGV[3]), tonumber(ARGV[4])
if not now then
    local clock = redis.call('TIME')
    now = clock[1] * 1000000 + clock[2]
end
local debt, at = unpack(redis.call('HMGET', key, 'debt', 'at'))
debt = math.max(0, (tonumber(debt) or 0) - math.max(0, now - (tonumber(at) or now)) * capacity)
local most = needed and (capacity - needed) * 60000000
local allowed = not most or debt <= most
if allowed then
    debt = math.max(0, debt + tokens * 60000000)
end
if debt > 0 then
    redis.call('HSET', key, 'debt', string.format('%.0f', debt), 'at', string.format('%.0f', now))
    redis.call('PEXPIRE', key, math.ceil(debt / capacity / 1000))
else
    redis.call('DEL', key)
end
local remaining = math.max(0, math.floor(capacity - debt / 60000000))
return {allowed and 1 or 0, remaining, math.ceil(math.max(0, debt - (most or debt)) / capacity)}
""")
"""Takes tokens: KEYS bucket; ARGV now (or nothing), capacity, tokens, how many must be in it (or nothing: any).

Gives if they were there, how many are left, and the microseconds until as many are there again. The bucket is what is
missing in it, in sixty-millionths of a token, so that ``capacity`` of them come back each microsecond and whole numbers
stay whole. ``now`` is in microseconds by the server's clock; set back, the bucket refills from the new time on.
"""

ENTER = Script("""
local key, now, limit, ticket, lifetime = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
if not now then
    local clock = redis.call('TIME')
    now = clock[1] * 1000000 + clock[2]
end
redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('%.0f', now))
redis.call('ZREMRANGEBYSCORE', key, string.format('(%.0f', now + lifetime), '+inf')
if redis.call('ZCARD', key) >= limit then
    return 0
end
redis.call('ZADD', key, string.format('%.0f', now + lifetime), ticket)
redis.call('PEXPIRE', key, math.ceil(lifetime / 1000))
return 1
""")
"""Enters if there is room: KEYS tickets; ARGV now (or nothing), limit, ticket, lifetime. Gives 1, or 0 for no room.

The tickets are sorted by the time at which each expires, in microseconds by the server's clock; those that expire later
than they can were made before it was set back, and go.
"""

STAY = Script("""
local now, lifetime = tonumber(ARGV[1]), tonumber(ARGV[2])
if not now then
    local clock = redis.call('TIME')
    now = clock[1] * 1000000 + clock[2]
end
for number, key in ipairs(KEYS) do
    redis.call('ZADD', key, string.format('%.0f', now + lifetime), ARGV[number + 2])
    redis.call('PEXPIRE', key, math.ceil(lifetime / 1000))
end
""")
"""Lets tickets live on, also forgotten ones: KEYS tickets, one for each; ARGV now (or nothing), lifetime, tickets."""

TAKE = Script("""
local value, ends = unpack(redis.call('HMGET', KEYS[1], 'value', 'ends'))
if value and tonumber(ends) > tonumber(ARGV[1]) then
    return {value, ends}
end
if redis.call('SET', KEYS[2], ARGV[2], 'NX', 'PX', ARGV[3]) then
    return 'fetch'
end
return 'wait'
""")
"""Gives a token, or says who fetches it: KEYS token, lock; ARGV the earliest end that will do, holder, time to live.

The time to live is the lock's. Times are milliseconds.
"""

KEEP = Script("""
redis.call('HSET', KEYS[1], 'value', ARGV[1], 'ends', ARGV[2])
redis.call('PEXPIREAT', KEYS[1], ARGV[2])
""")
"""Keeps a token: KEYS token; ARGV value, end in milliseconds."""

INVALIDATE = Script("if redis.call('HGET', KEYS[1], 'value') == ARGV[1] then redis.call('DEL', KEYS[1]) end")
"""Forgets a token that still has this value: KEYS token; ARGV value."""

RELEASE = Script("if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end")
"""Gives a lock back unless it is somebody else's by now: KEYS lock; ARGV holder."""
