"""The Lua scripts that keep the records. They run on Redis 6.2 and later, and on Valkey.

A record is one string: a line of fields, the recovery points, the response.

    1 STATE EPOCH LEASE_UNTIL_MS SENT FINGERPRINT TOKEN POINTS_SIZE CREATED_MS REQUEST OPERATION KEY

STATE is P in progress, D in doubt, C completed, T tombstone (completed, response not kept) or
F free. SENT is N not yet, Y yes, U unknown: whether the operation has begun to act. KEY is sent
upstream. The lease is a field: what expires the Redis key is the retention, in every state.

To claim a key within a script of one's own, together with other decisions, put `CLAIM_FUNCTIONS`
before it and call

    local claim = idempotency_look(record_key, quota_key, first, now_us)
    if claim.proceeds then … decide the rest, which may refuse … end
    return idempotency_commit(record_key, quota_key, claim)

`first` is the index in ARGV of the first of CLAIM_ARGUMENTS arguments (`Prepared.arguments`), and
`now_us` is redis.call('TIME') in microseconds. Both keys have one hash tag. Looking writes nothing.
`claim.proceeds` is true when an operation will run; else the key has its answer: a replay, a
mismatch, a running request. Committing writes what the claim decided and returns the reply that
`IdempotencyStore.interpret` reads. A script that refuses for another reason does not commit.
"""

from __future__ import annotations

from portico.redis.script import Script

CLAIM_ARGUMENTS = 6
# Keys of one caller are counted in this many slices of the retention.
QUOTA_SLICES = 16

_RECORD = """
local function idempotency_read(key)
  local raw = redis.pcall('GET', key)
  if not raw then return nil end
  if type(raw) ~= 'string' then return {broken = true, raw = ''} end
  local state, epoch, lease, sent, fingerprint, token, size, facts, rest = string.match(
    raw, '^1 ([PDCTF]) (%d+) (%d+) ([NYU]) (%S+) (%S+) (%d+) ([^\\n]*)\\n()')
  if not state then return {broken = true, raw = raw} end
  return {raw = raw, state = state, epoch = epoch, lease = tonumber(lease), sent = sent,
    fingerprint = fingerprint, token = token, size = tonumber(size), facts = facts, rest = rest}
end
local function idempotency_write(key, r, content, retention)
  redis.call('SET', key, string.format('1 %s %s %.0f %s %s %s %d %s\\n', r.state, r.epoch, r.lease,
    r.sent, r.fingerprint, r.token, r.size, r.facts) .. content, 'PX', retention)
end
local function idempotency_content(r) return string.sub(r.raw, r.rest) end
local function idempotency_next(epoch, now_us)
  return string.format('%.0f', math.max(tonumber(epoch) + 1, now_us))
end
"""

_NOW = """
local function idempotency_now()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end
"""

# ARGV from `first`: token, fingerprint, settings of the policy, key quota, facts, first sent ms (0
# unknown). Settings are F fail, R reconcile or X reexecute, then N or U for SENT, lease ms and
# retention ms. The key quota is a number of keys (0 none) and the length of a slice in ms.
CLAIM_FUNCTIONS = (
    _RECORD
    + """
local function idempotency_quota(quota_key, limit, slice_ms, now_ms)
  local slice, used, oldest = math.floor(now_ms / slice_ms), 0, nil
  local counts = redis.call('HGETALL', quota_key)
  for i = 1, #counts, 2 do
    local of = tonumber(counts[i])
    if of >= slice - SLICES then
      used = used + counts[i + 1]
      if not oldest or of < oldest then oldest = of end
    end
  end
  if used < limit then return nil, slice, counts end
  return (oldest + SLICES + 1) * slice_ms - now_ms
end
local function idempotency_take(claim, state, token, lease_ms, now_us)
  local r = claim.record
  r.state, r.token, r.lease = state, token, lease_ms
  r.epoch = idempotency_next(r.epoch, now_us)
  claim.write, claim.content = true, idempotency_content(r)
end
local function idempotency_fresh(claim, a, now_us, epoch)
  local now_ms = math.floor(now_us / 1000)
  claim.answer, claim.proceeds, claim.write, claim.content = 'CLAIMED', true, true, ''
  claim.record = {state = 'P', epoch = epoch, lease = now_ms + a.lease, sent = a.sent,
    fingerprint = a.fingerprint, token = a.token, size = 0,
    facts = string.format('%.0f %s', now_ms, a.facts)}
  return claim
end
local function idempotency_absent(claim, a, quota_key, now_us)
  local now_ms = math.floor(now_us / 1000)
  if a.first_sent > 0 and now_ms - a.first_sent > tonumber(a.retention) then
    claim.answer = 'EXPIRED'
    return claim
  end
  if a.limit > 0 then
    local wait_ms, slice, counts = idempotency_quota(quota_key, a.limit, a.slice_ms, now_ms)
    if wait_ms then
      claim.answer, claim.left = 'QUOTA', wait_ms
      return claim
    end
    claim.slice, claim.counts, claim.slice_ms = slice, counts, a.slice_ms
  end
  return idempotency_fresh(claim, a, now_us, idempotency_next('0', now_us))
end
local function idempotency_overdue(claim, a, now_us)
  local r, lease = claim.record, math.floor(now_us / 1000) + a.lease
  if a.policy == 'X' then
    claim.answer, claim.proceeds = 'RESUMED', true
    idempotency_take(claim, 'P', a.token, lease, now_us)
  elseif a.policy == 'R' then
    claim.answer, claim.proceeds = 'RECONCILE', true
    idempotency_take(claim, 'D', a.token, lease, now_us)
  else
    claim.answer = 'IN_DOUBT'
    if r.state == 'P' then idempotency_take(claim, 'D', '-', 0, now_us) end
  end
  return claim
end
local function idempotency_look(key, quota_key, first, now_us)
  local a = {token = ARGV[first], fingerprint = ARGV[first + 1], facts = ARGV[first + 4],
    first_sent = tonumber(ARGV[first + 5])}
  local lease, limit, slice
  a.policy, a.sent, lease, a.retention = string.match(
    ARGV[first + 2], '^(%u) (%u) (%d+) (%d+)$')
  limit, slice = string.match(ARGV[first + 3], '^(%d+) (%d+)$')
  a.lease, a.limit, a.slice_ms = tonumber(lease), tonumber(limit), tonumber(slice)
  local claim = {left = 0, retention = a.retention}
  local r = idempotency_read(key)
  if not r then return idempotency_absent(claim, a, quota_key, now_us) end
  claim.record = r
  if r.broken then claim.answer = 'BROKEN' return claim end
  if r.state == 'F' then
    -- The caller gave this very claim up before it arrived here.
    if r.token == a.token then claim.answer = 'ABANDONED' return claim end
    return idempotency_fresh(claim, a, now_us, idempotency_next(r.epoch, now_us))
  end
  -- Lua keeps one copy of equal strings: comparing them compares addresses, in constant time.
  -- Fingerprints of different algorithms cannot be compared and pass.
  local version = string.match(a.fingerprint, '^[^:]*:')
  if r.fingerprint ~= a.fingerprint and string.sub(r.fingerprint, 1, #version) == version then
    return {answer = 'MISMATCH', left = 0}
  end
  if r.state == 'C' then claim.answer = 'REPLAY' return claim end
  if r.state == 'T' then claim.answer = 'TOMBSTONE' return claim end
  local now_ms = math.floor(now_us / 1000)
  if r.lease > now_ms then
    claim.left = r.lease - now_ms
    if r.token ~= a.token then claim.answer = 'BUSY' return claim end
    -- The reply to this claim was lost and it is repeated.
    claim.answer, claim.proceeds = r.state == 'D' and 'RECONCILE' or 'CLAIMED', true
    return claim
  end
  if r.state == 'P' and r.sent == 'N' then
    return idempotency_fresh(claim, a, now_us, idempotency_next(r.epoch, now_us))
  end
  return idempotency_overdue(claim, a, now_us)
end
local function idempotency_commit(key, quota_key, claim)
  local r = claim.record or {epoch = '0', raw = ''}
  if claim.slice then
    for i = 1, #claim.counts, 2 do
      if tonumber(claim.counts[i]) < claim.slice - SLICES then
        redis.call('HDEL', quota_key, claim.counts[i])
      end
    end
    redis.call('HINCRBY', quota_key, string.format('%.0f', claim.slice), 1)
    redis.call('PEXPIRE', quota_key, claim.slice_ms * (SLICES + 2))
  end
  if claim.write then idempotency_write(key, r, claim.content, claim.retention) end
  return {claim.answer, r.epoch or '0', claim.left, claim.answer ~= 'BUSY' and r.raw or ''}
end
""".replace("SLICES", str(QUOTA_SLICES))
)

CLAIM = Script(
    "idempotency-claim",
    CLAIM_FUNCTIONS
    + _NOW
    + """
local claim = idempotency_look(KEYS[1], KEYS[2], 1, idempotency_now())
return idempotency_commit(KEYS[1], KEYS[2], claim)
""",
)

# What an owner may do. KEYS: record. ARGV: token, epoch, retention ms, then what the script names.
_OWNED = (
    _RECORD
    + """
local r = idempotency_read(KEYS[1])
local owned = r and not r.broken and r.token == ARGV[1] and r.epoch == ARGV[2]
"""
)

# ARGV[4] Y when the operation has begun to act, ARGV[5] the recovery points.
MARK = Script(
    "idempotency-mark",
    _OWNED
    + """
if not owned or r.state ~= 'P' then return 0 end
if ARGV[4] == 'Y' then r.sent = 'Y' end
r.size = #ARGV[5]
idempotency_write(KEYS[1], r, ARGV[5], ARGV[3])
return 1
""",
)

# ARGV[4] lease ms.
RENEW = Script(
    "idempotency-renew",
    _OWNED
    + _NOW
    + """
if not owned or (r.state ~= 'P' and r.state ~= 'D') then return 0 end
r.lease = math.floor(idempotency_now() / 1000) + ARGV[4]
idempotency_write(KEYS[1], r, idempotency_content(r), ARGV[3])
return 1
""",
)

# ARGV[4] C or T, ARGV[5] the response. Completing twice is completing once.
COMPLETE = Script(
    "idempotency-complete",
    _OWNED
    + """
if not owned or r.state == 'F' then return 0 end
if r.state == 'C' or r.state == 'T' then return 1 end
r.state, r.lease, r.size = ARGV[4], 0, 0
idempotency_write(KEYS[1], r, ARGV[5], ARGV[3])
return 1
""",
)

# ARGV[4] 1 when nothing had happened, or it may happen again. Otherwise an owner that has begun to
# act cannot release. One that has released can again: a free record keeps its token and epoch.
RELEASE = Script(
    "idempotency-release",
    _OWNED
    + """
if not owned or r.state == 'C' or r.state == 'T' then return 0 end
if r.state == 'F' then return 1 end
if ARGV[4] ~= '1' and (r.state == 'D' or r.sent == 'Y') then return 0 end
r.state, r.lease, r.size = 'F', 0, 0
idempotency_write(KEYS[1], r, '', ARGV[3])
return 1
""",
)

# Gives up a claim whose reply never came. ARGV: token, retention ms. Where it has not arrived yet,
# a free record with its token meets it, so that it claims nothing when it comes late.
ABANDON = Script(
    "idempotency-abandon",
    _RECORD
    + _NOW
    + """
local r = idempotency_read(KEYS[1])
if not r then
  r = {state = 'F', epoch = idempotency_next('0', idempotency_now()), lease = 0, sent = 'N',
    fingerprint = '-', token = ARGV[1], size = 0, facts = '0 - - -'}
elseif r.broken or r.token ~= ARGV[1] or r.state ~= 'P' or r.sent == 'Y' then
  return 0
else
  r.state, r.lease, r.size = 'F', 0, 0
end
idempotency_write(KEYS[1], r, '', ARGV[2])
return 1
""",
)

# The outcome is not known. The token stays: its owner may still learn the outcome and complete.
DOUBT = Script(
    "idempotency-doubt",
    _OWNED
    + """
if not owned or r.state == 'F' then return 0 end
if r.state == 'C' or r.state == 'T' then return 1 end
r.state, r.lease = 'D', 0
idempotency_write(KEYS[1], r, idempotency_content(r), ARGV[3])
return 1
""",
)

# A person settles a doubt. KEYS: record. ARGV: epoch that was looked at, retention ms, F or C or T,
# the response.
RESOLVE = Script(
    "idempotency-resolve",
    _RECORD
    + _NOW
    + """
local r = idempotency_read(KEYS[1])
if not r then return 'ABSENT' end
if r.broken then return 'BROKEN' end
local now_us = idempotency_now()
if r.epoch ~= ARGV[1] then return 'CHANGED' end
if r.state ~= 'P' and r.state ~= 'D' then return 'SETTLED' end
if r.lease > math.floor(now_us / 1000) then return 'RUNNING' end
r.state, r.lease, r.size, r.token = ARGV[3], 0, 0, '-'
r.epoch = idempotency_next(r.epoch, now_us)
idempotency_write(KEYS[1], r, ARGV[4], ARGV[2])
return 'OK'
""",
)

# Whether a claim would have to wait: the milliseconds left of a lease, 0 for none.
PEEK = Script(
    "idempotency-peek",
    _RECORD
    + _NOW
    + """
local r = idempotency_read(KEYS[1])
if not r or r.broken or (r.state ~= 'P' and r.state ~= 'D') then return 0 end
return math.max(0, r.lease - math.floor(idempotency_now() / 1000))
""",
)

# The record as it is, the milliseconds it will be kept, and the time of the server. ARGV[1] is D to
# see it only while it is in doubt: its owner has gone away, having said so or not.
SHOW = Script(
    "idempotency-show",
    _RECORD
    + _NOW
    + """
local now_ms = math.floor(idempotency_now() / 1000)
if ARGV[1] == 'D' then
  local state = redis.pcall('GETRANGE', KEYS[1], 2, 2)
  if state ~= 'P' and state ~= 'D' then return false end
end
local r = idempotency_read(KEYS[1])
if not r then return false end
if ARGV[1] == 'D' and not r.broken and (r.lease > now_ms or (r.state == 'P' and r.sent == 'N')) then
  return false
end
return {r.raw, redis.call('PTTL', KEYS[1]), now_ms}
""",
)
