"""The scripts around `limits.lua`, whose head says how another script takes it in."""

from __future__ import annotations

from importlib.resources import files

from portico.redis.script import Script

LIMIT_FUNCTIONS = (files("portico.limits") / "limits.lua").read_text(encoding="utf-8")
NUMBERS_OF_BUCKET = 5
NUMBERS_OF_HEAD = 2

CHECK = Script(
    "limits-check",
    LIMIT_FUNCTIONS
    + """
local limits = limits_look(1, ARGV[1], limits_now())
if limits.refused == 0 then limits_commit(limits) end
return limits_tell(limits)
""",
)

PEEK = Script(
    "limits-peek",
    LIMIT_FUNCTIONS
    + """
return limits_tell(limits_look(1, ARGV[1], limits_now()))
""",
)

# Consumes whatever the state is. KEYS: bucket, marker. ARGV: 1, the words of the bucket, the use
# that is known at least, and an id by which the script recognises its own repetition.
CHARGE = Script(
    "limits-charge",
    LIMIT_FUNCTIONS
    + """
if ARGV[3] ~= '' then
  if not redis.call('SET', KEYS[2], '', 'NX', 'PX', 3600000) then return 0 end
end
local limits = limits_look(1, ARGV[1], limits_now())
limits[1].kind.floor(limits[1], tonumber(ARGV[2]))
limits_commit(limits)
return 1
""",
)

# KEYS: bucket. ARGV: lease µs, then the ids of all leases that are still held.
RENEW = Script(
    "limits-renew",
    LIMIT_FUNCTIONS
    + """
local now, lease = limits_now(), tonumber(ARGV[1])
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], string.format('%.0f', now + lease), ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], math.ceil(lease / 1000) + 1)
return 1
""",
)

# KEYS: bucket. ARGV: ids of leases.
RELEASE = Script("limits-release", "return redis.call('ZREM', KEYS[1], unpack(ARGV))\n")

# The counter of limits' own fixed windows. KEYS: counter. ARGV: seconds, amount.
INCREMENT = Script(
    "limits-increment",
    """
local count = redis.call('INCRBY', KEYS[1], ARGV[2])
if count == tonumber(ARGV[2]) then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
return count
""",
)

# When a counter ends, in seconds of the server's clock; now, where there is none.
ENDS = Script(
    "limits-ends",
    LIMIT_FUNCTIONS
    + """
local left = redis.call('PTTL', KEYS[1])
return math.ceil((limits_now() / 1000 + math.max(0, left)) / 1000)
""",
)
