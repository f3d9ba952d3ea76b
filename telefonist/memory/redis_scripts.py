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
