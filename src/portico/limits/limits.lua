-- Buckets of several kinds, looked at together and consumed together.
--
-- A script of one's own puts this text before its own and calls
--
--     local limits = limits_look(first_key, text, now_us)
--     if limits.refused == 0 and <whatever else it decides> then limits_commit(limits) end
--     return {..., limits_tell(limits)}
--
-- `text` is the one argument that says what is asked (`Demand.argument`); the keys of the buckets
-- are KEYS[first_key] and on (`Demand.keys`). `now_us` is redis.call('TIME') in microseconds, read
-- once. Looking writes nothing, but that a bucket which is further in debt than it can be, because
-- the clock was set back or the limit was changed, is put right. `limits.refused` is 0 when all
-- buckets allow the request, 1 when some are exhausted, 2 when one can never allow it.
-- `limits_tell` returns the list of integers that `LimitEngine.read` reads, of the state after the
-- commit or, without one, as it is: refused, now_us, then for each bucket state (0, 1, 2),
-- remaining, and microseconds to wait for this request, until there is more, and until all is back.
-- Only commands of Redis 6.2; all numbers are integers below 2^53, so that doubles are exact.
--
-- The text has six words for each bucket, the last of which is the cost:
--     g full cap interval rate      GCRA in ticks: one unit is `interval`, a microsecond `rate`
--     w amount window_us slot_us 0  a log of the window, by `slot_us` (0: every request)
--     m amount 0 0 0                a calendar month, UTC
--     c at_once lease_us id 0       leases

-- What makes the functions of each kind; a script pays for those it needs.
local limits_kinds = {}

-- GCRA. The value is `TAT` or `TAT:PART`, the theoretical arrival time in microseconds and ticks.
limits_kinds.g = function()
  local function keep(b, now)
    local ahead = math.floor(b.level / b.fourth)
    local part = b.level - ahead * b.fourth
    local tat = part == 0 and string.format('%.0f', now + ahead)
      or string.format('%.0f:%.0f', now + ahead, part)
    redis.call('SET', b.key, tat, 'PX', math.ceil(ahead / 1000) + 1)
  end
  return {
  look = function(b, now)
    local raw, level = redis.call('GET', b.key), 0
    if raw then
      local at, part = tonumber(raw), 0
      if not at then at, part = string.match(raw, '^(%d+):(%d+)$') end
      if at then
        level = math.max(0, (at - now) * b.fourth + part)
      end
    end
    b.level = math.min(level, b.second)
    if level > b.second then keep(b, now) end
    local need = b.cost * b.third
    b.never = need > b.first
    local excess = b.level + need - b.first
    if excess > 0 then b.wait = math.ceil(excess / b.fourth) end
  end,
  commit = function(b, now)
    b.level = math.min(b.second, b.level + b.cost * b.third)
    if b.level > 0 then keep(b, now) end
  end,
  tell = function(b)
    local remaining = math.max(0, math.floor((b.first - b.level) / b.third))
    if b.level == 0 then return remaining, 0, 0 end
    return remaining, math.ceil((b.level - b.first + (remaining + 1) * b.third) / b.fourth),
      math.ceil(b.level / b.fourth)
  end,
  floor = function(b, ticks) b.level = math.max(b.level, math.min(ticks, b.second)) end,
  } end

-- A window. The list is BASE, then time and running total of each entry: what was consumed up to an
-- entry is its total, so that the use of any span is one subtraction and entries expire unread.
limits_kinds.w = function()
  local function entry(b, index)
    return tonumber(redis.call('LINDEX', b.key, 2 * index - 1))
  end
  local function total(b, index)
    return tonumber(redis.call('LINDEX', b.key, 2 * index))
  end
  -- The first entry from `low` to `high` of which `holds` is true, `high + 1` if there is none.
  local function search(low, high, holds)
    while low <= high do
      local middle = math.floor((low + high) / 2)
      if holds(middle) then high = middle - 1 else low = middle + 1 end
    end
    return low
  end
  return {
  look = function(b, now)
    b.count = math.floor(redis.call('LLEN', b.key) / 2)
    b.live, b.used, b.total, b.last, b.oldest = 1, 0, 0, 0, 0
    if b.count > 0 then
      b.total, b.last = total(b, b.count), entry(b, b.count)
      b.oldest = entry(b, 1)
      if b.oldest + b.second <= now then
        b.live = search(2, b.count, function(i) return entry(b, i) + b.second > now end)
        b.oldest = b.live <= b.count and entry(b, b.live) or 0
      end
      b.used = b.total - total(b, b.live - 1)
      if b.last - now > b.second then
        redis.call('DEL', b.key)
        redis.call('RPUSH', b.key, 0, now, b.used)
        redis.call('PEXPIRE', b.key, math.ceil(b.second / 1000) + 1)
        b.live, b.count, b.total, b.last, b.oldest = 1, 1, b.used, now, now
      end
    end
    b.never = b.cost > b.first
    local excess = b.used + b.cost - b.first
    if excess > 0 and not b.never then
      local base = b.total - b.used
      local gone = search(b.live, b.count, function(i)
        return total(b, i) - base >= excess
      end)
      b.wait = entry(b, gone) + b.second - now
    end
  end,
  commit = function(b, now)
    if b.cost == 0 then return end
    -- A clock that was set back must not disorder the log.
    local at, merges = math.max(now, b.last), false
    b.used, b.total = b.used + b.cost, b.total + b.cost
    if b.live > b.count or b.total > 4503599627370496 then
      redis.call('DEL', b.key)
      redis.call('RPUSH', b.key, 0, at, b.used)
      b.oldest = at
    else
      if b.live > 1 then redis.call('LTRIM', b.key, 2 * (b.live - 1), -1) end
      -- Within a slot the entry moves to its latest request: it expires late, never early.
      merges = b.third > 0 and math.floor(b.last / b.third) == math.floor(at / b.third)
      if merges then
        redis.call('LSET', b.key, -2, at)
        redis.call('LSET', b.key, -1, b.total)
        if b.live == b.count then b.oldest = at end
      else
        redis.call('RPUSH', b.key, at, b.total)
      end
    end
    b.last = at
    redis.call('PEXPIRE', b.key, math.ceil((at - now + b.second) / 1000) + 1)
  end,
  tell = function(b, now)
    local remaining = math.max(0, b.first - b.used)
    if b.used == 0 then return remaining, 0, 0 end
    return remaining, b.oldest + b.second - now, b.last + b.second - now
  end,
  -- Only where what was counted is gone: the log knows better what has expired since.
  floor = function(b, used) if b.count == 0 then b.cost = b.cost + used end end,
  } end

-- A month. The value is `YYYYMM:USED`. Days are counted in a calendar that begins on 1 March 0000,
-- where the leap day comes last.
limits_kinds.m = function()
  local function month_of(now)
    local days = math.floor(now / 86400000000)
    local z = days + 719468
    local era = math.floor(z / 146097)
    local of_era = z - era * 146097
    local year = math.floor((of_era - math.floor(of_era / 1460) + math.floor(of_era / 36524)
      - math.floor(of_era / 146096)) / 365)
    local of_year = of_era - (365 * year + math.floor(year / 4) - math.floor(year / 100))
    local march = math.floor((5 * of_year + 2) / 153)
    local month = march < 10 and march + 3 or march - 9
    year = year + era * 400 + (month <= 2 and 1 or 0)
    local begins = math.floor((153 * march + 2) / 5)
    local length = math.floor((153 * (march + 1) + 2) / 5) - begins
    if month == 2 then
      local leap = year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
      length = leap and 29 or 28
    end
    return year * 100 + month, (days - (of_year - begins) + length) * 86400000000
  end
  return {
  look = function(b, now)
    local raw = redis.call('GET', b.key)
    b.month, b.ends = month_of(now)
    b.used = 0
    local month, used = string.match(raw or '', '^(%d+):(%d+)$')
    -- A clock that was set back does not begin a new month with nothing used.
    if month and tonumber(month) >= b.month then b.used = tonumber(used) end
    b.never = b.cost > b.first
    if b.used + b.cost > b.first then b.wait = b.ends - now end
  end,
  commit = function(b, now)
    b.used = b.used + b.cost
    if b.used == 0 then return end
    redis.call('SET', b.key, string.format('%d:%.0f', b.month, b.used), 'PX',
      math.ceil((b.ends - now) / 1000) + 1)
  end,
  tell = function(b, now)
    local until_end = b.used > 0 and b.ends - now or 0
    return math.max(0, b.first - b.used), until_end, until_end
  end,
  floor = function(b, used) b.used = math.max(b.used, used) end,
  } end

-- Leases. A sorted set of them by the time they end.
limits_kinds.c = function() return {
  look = function(b, now)
    b.used = redis.call('ZCOUNT', b.key, string.format('(%.0f', now), '+inf')
    local own = redis.call('ZSCORE', b.key, b.third)
    if own and tonumber(own) > now then b.used = b.used - 1 end
    -- Nobody knows when a request will end.
    if b.used >= b.first then b.wait = 1000000 end
  end,
  commit = function(b, now)
    redis.call('ZREMRANGEBYSCORE', b.key, '-inf', string.format('%.0f', now))
    redis.call('ZADD', b.key, string.format('%.0f', now + b.second), b.third)
    redis.call('PEXPIRE', b.key, math.ceil(b.second / 1000) + 1)
    b.used = b.used + 1
  end,
  tell = function(b) return math.max(0, b.first - b.used), 0, 0 end,
  floor = function() end,
} end

local limits_made = {}
local limits_words = '(%l) (%d+) (%d+) (%S+) (%d+) (%d+)'
local function limits_look(first_key, text, now)
  local limits = {now = now, refused = 0}
  local i = 0
  for letter, first, second, third, fourth, cost in string.gmatch(text, limits_words) do
    local kind = limits_made[letter]
    if not kind then
      kind = limits_kinds[letter]()
      limits_made[letter] = kind
    end
    local b = {kind = kind, key = KEYS[first_key + i], first = tonumber(first),
      second = tonumber(second), third = tonumber(third) or third, fourth = tonumber(fourth),
      cost = tonumber(cost), state = 0, wait = 0, never = false}
    kind.look(b, now)
    if b.never then b.state, b.wait = 2, 0 elseif b.wait > 0 then b.state = 1 end
    if b.state > limits.refused then limits.refused = b.state end
    i = i + 1
    limits[i] = b
  end
  return limits
end
local function limits_commit(limits)
  for i = 1, #limits do limits[i].kind.commit(limits[i], limits.now) end
end
local function limits_tell(limits)
  local told = {limits.refused, limits.now}
  for i = 1, #limits do
    local b = limits[i]
    local remaining, more, all = b.kind.tell(b, limits.now)
    local at = 5 * i - 2
    told[at], told[at + 1], told[at + 2] = b.state, remaining, b.wait
    told[at + 3], told[at + 4] = more, all
  end
  return told
end
local function limits_now()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end
