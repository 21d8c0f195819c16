"""The Lua scripts of families. They run on Redis 6.2 and later, and on Valkey.

A record is one string, three lines: stage, generation, the time of the last rotation in
milliseconds, its token and the key that refresh tokens are bound to; the access tokens that may be
alive, as pairs of id and expiry; and what the family is about, which no script reads. Each script
recognises its own repetition by the access token it is run for.
"""

from __future__ import annotations

from portico.redis.script import Script

# One family refreshes about once in the life of a token; a client that asks more often than this
# loses sight of its oldest ones, which end by themselves.
MAX_LIVE_TOKENS = 32

_FUNCTIONS = """
local time = redis.call('TIME')
local now_s, now_ms = tonumber(time[1]), time[1] * 1000 + math.floor(time[2] / 1000)
local function read()
  local raw = redis.call('GET', KEYS[1])
  if not raw then return nil end
  local stage, generation, rotated, by, bound, tokens, about = string.match(
    raw, '^(%u) (%d+) (%d+) (%S+) (%S+)\\n([^\\n]*)\\n(.*)$')
  return {stage = stage, generation = tonumber(generation), rotated = tonumber(rotated), by = by,
    bound = bound, tokens = tokens, about = about}
end
local function write(f, ...)
  redis.call('SET', KEYS[1], string.format('%s %d %.0f %s %s\\n%s\\n%s', f.stage, f.generation,
    f.rotated, f.by, f.bound, f.tokens, f.about), ...)
end
local function note(f, id, expires)
  local kept = {}
  for known, ends in string.gmatch(f.tokens, '(%S+) (%d+)') do
    if tonumber(ends) > now_s and known ~= id then kept[#kept + 1] = known .. ' ' .. ends end
  end
  kept[#kept + 1] = id .. ' ' .. expires
  while #kept > MAX_LIVE do table.remove(kept, 1) end
  f.tokens = table.concat(kept, ' ')
end
local function finish(f, word)
  if f.stage ~= 'E' then
    f.stage = 'E'
    write(f, 'KEEPTTL')
  end
  return {word, f.tokens}
end
""".replace("MAX_LIVE", str(MAX_LIVE_TOKENS))

# ARGV: id and expiry of the access token, life of the family in ms, what to bind it to.
REDEEM = Script(
    "family-redeem",
    _FUNCTIONS
    + """
local f = read()
if not f then return {'GONE', ''} end
if f.stage == 'A' and f.generation == 0 and f.by == ARGV[1] then return {'USED', ''} end
if f.stage ~= 'C' then return finish(f, 'REUSED') end
f.stage, f.rotated, f.by, f.bound = 'A', now_ms, ARGV[1], ARGV[4]
note(f, ARGV[1], ARGV[2])
write(f, 'PX', ARGV[3])
return {'USED', ''}
""",
)

# ARGV: id and expiry of the access token, generation presented, grace in ms.
ROTATE = Script(
    "family-rotate",
    _FUNCTIONS
    + """
local f = read()
if not f or f.stage == 'C' then return {'GONE', ''} end
if f.stage == 'E' then return finish(f, 'GONE') end
local generation = tonumber(ARGV[3])
if generation == f.generation then
  f.generation, f.rotated, f.by = f.generation + 1, now_ms, ARGV[1]
elseif f.by ~= ARGV[1] and (generation ~= f.generation - 1
    or now_ms - f.rotated > tonumber(ARGV[4])) then
  return finish(f, 'REUSED')
end
note(f, ARGV[1], ARGV[2])
write(f, 'KEEPTTL')
return {'USED', ''}
""",
)

END = Script(
    "family-end",
    _FUNCTIONS
    + """
local f = read()
if not f then return {'GONE', ''} end
return finish(f, 'USED')
""",
)
