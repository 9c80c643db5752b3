"""Lua scripts of the Redis queue: each call is one transaction, timed by the server's clock.

Keys, all with one prefix: `events` (a stream; the ids are `1-0`, `2-0`, ...), `known` (a hash: source and id ->
digest), `newest` (the last number), `readers` (a hash: group -> cursor), `letters` (a stream), and per group
`pending:<group>` (a sorted set: delivered or deferred, not acknowledged), `leases:<group>` (a hash: number ->
`<leased until, µs> <attempt> <subject>`) and `ahead:<group>` (a sorted set: acknowledged beyond the cursor). `holes` (a
sorted set) has the numbers of erased events, for as long as a cursor may still pass them.
The rules are those of `sql_statements`.
"""

#: KEYS[1] is the prefix; the groups are known to the server only.
_COMMON = """
local prefix = KEYS[1]
local function key(name) return prefix .. ':' .. name end
local function text(number) return string.format('%.0f', number) end
local function newest() return tonumber(redis.call('GET', key('newest')) or '0') end

local function now()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

local function oldest()
  local first = redis.call('XRANGE', key('events'), '-', '+', 'COUNT', 1)[1]
  return first and tonumber(first[1]:match('^%d+')) or newest() + 1
end

local function through(group)
  local found = redis.call('HGET', key('readers'), group)
  if found then return tonumber(found) end
  redis.call('HSET', key('readers'), group, text(oldest() - 1))
  return oldest() - 1
end

local function lease(group, number)
  local found = redis.call('HGET', key('leases:' .. group), text(number))
  if not found then return nil end
  local till, attempt, subject = found:match('^(%d+) (%d+) (.*)$')
  return tonumber(till), tonumber(attempt), subject
end

local function put(group, number, till, attempt, subject)
  redis.call('ZADD', key('pending:' .. group), number, text(number))
  redis.call('HSET', key('leases:' .. group), text(number), text(till) .. ' ' .. text(attempt) .. ' ' .. subject)
end

local function is_ahead(group, number)
  return redis.call('ZSCORE', key('ahead:' .. group), text(number))
end

local function is_hole(number)
  return redis.call('ZSCORE', key('holes'), text(number))
end

local function waiting(cursor)
  return newest() - cursor - redis.call('ZCOUNT', key('holes'), '(' .. text(cursor), '+inf')
end

local function settle(group, number, cursor)
  redis.call('ZREM', key('pending:' .. group), text(number))
  redis.call('HDEL', key('leases:' .. group), text(number))
  if number > cursor and number <= newest() and not is_hole(number) then
    redis.call('ZADD', key('ahead:' .. group), number, text(number))
  end
end

local function backlog(group, cursor)
  return waiting(cursor) - redis.call('ZCARD', key('ahead:' .. group))
    + redis.call('ZCOUNT', key('pending:' .. group), '-inf', cursor)
end

local function refuse(body, reason, number)
  redis.call('XADD', key('letters'), '*', 'body', body, 'reason', reason, 'number', number, 'at', text(now()))
end
"""

#: ARGV: max_backlog, then source, id, type, time, subject, data, digest, traceparent of each. Gives the number stored,
#: how many wait, and the positions of events whose source and id have another digest; -1 if there is no room.
PUBLISH = f"""{_COMMON}
local fresh, seen, conflicts = {{}}, {{}}, {{}}
for at = 2, #ARGV, 8 do
  local name = ARGV[at] .. '\\0' .. ARGV[at + 1]
  local digest = seen[name] or redis.call('HGET', key('known'), name)
  if not digest then
    seen[name] = ARGV[at + 6]
    fresh[#fresh + 1] = at
  elseif digest ~= ARGV[at + 6] then
    conflicts[#conflicts + 1] = (at - 2) / 8
  end
end
local readers, behind = redis.call('HGETALL', key('readers')), 0
if #readers == 0 then behind = waiting(oldest() - 1) end
for at = 1, #readers, 2 do behind = math.max(behind, backlog(readers[at], tonumber(readers[at + 1]))) end
if #fresh > 0 and behind + #fresh > tonumber(ARGV[1]) then return {{-1, behind, {{}}}} end
local number, published = newest(), text(now())
for _, at in ipairs(fresh) do
  number = number + 1
  redis.call('HSET', key('known'), ARGV[at] .. '\\0' .. ARGV[at + 1], ARGV[at + 6])
  redis.call('XADD', key('events'), text(number) .. '-0', 'source', ARGV[at], 'id', ARGV[at + 1], 'type', ARGV[at + 2],
    'time', ARGV[at + 3], 'subject', ARGV[at + 4], 'data', ARGV[at + 5], 'published', published,
    'traceparent', ARGV[at + 7])
end
if #fresh > 0 then redis.call('SET', key('newest'), text(number)) end
return {{#fresh, behind, conflicts}}
"""

#: ARGV: group, lease in µs, limit. Gives the newest number, then number, attempt and fields of each event.
READ = f"""{_COMMON}
local group, limit = ARGV[1], tonumber(ARGV[3])
local cursor, last, at_once = through(group), newest(), now()
local till, taken, held = at_once + tonumber(ARGV[2]), {{}}, {{}}

local function take(number, attempt, subject, fields)
  put(group, number, till, attempt, subject)
  taken[#taken + 1] = {{number, attempt, fields}}
end

local at = 0
while #taken < limit do
  local page = redis.call('ZRANGE', key('pending:' .. group), at, at + 199)
  if #page == 0 then break end
  for _, name in ipairs(page) do
    local number = tonumber(name)
    local leased, attempt, subject = lease(group, number)
    if leased > at_once then
      held[subject] = held[subject] or number
    elseif not held[subject] and #taken < limit then
      take(number, attempt + 1, subject, redis.call('XRANGE', key('events'), name, name)[1][2])
    end
  end
  at = at + #page
end

while #taken < limit and cursor < last do
  local wanted = limit - #taken
  local entries = redis.call('XRANGE', key('events'), text(cursor + 1), text(last), 'COUNT', wanted)
  for _, entry in ipairs(entries) do
    local number, fields = tonumber(entry[1]:match('^%d+')), entry[2]
    local subject = fields[10]
    cursor = number
    if not lease(group, number) and not is_ahead(group, number) then
      if (held[subject] or number) < number then
        put(group, number, 0, 0, subject)
      else
        take(number, 1, subject, fields)
      end
    end
  end
  if #entries < wanted then cursor = last end
end
redis.call('HSET', key('readers'), group, text(cursor))
redis.call('ZREMRANGEBYSCORE', key('ahead:' .. group), '-inf', cursor)
table.sort(taken, function(a, b) return a[1] < b[1] end)
return {{last, taken}}
"""

#: ARGV: group, numbers.
SETTLE = f"""{_COMMON}
local cursor = through(ARGV[1])
for at = 2, #ARGV do settle(ARGV[1], tonumber(ARGV[at]), cursor) end
"""

#: ARGV: group, numbers.
RELEASE = f"""{_COMMON}
for at = 2, #ARGV do
  local number = tonumber(ARGV[at])
  local leased, attempt, subject = lease(ARGV[1], number)
  if leased then put(ARGV[1], number, 0, attempt, subject) end
end
"""

#: ARGV: group. Gives the number of events given back.
TAKE_OVER = f"""{_COMMON}
local given = 0
for _, name in ipairs(redis.call('ZRANGE', key('pending:' .. ARGV[1]), 0, -1)) do
  local leased, attempt, subject = lease(ARGV[1], tonumber(name))
  if leased > 0 then
    put(ARGV[1], tonumber(name), 0, attempt, subject)
    given = given + 1
  end
end
return given
"""

#: ARGV: group, number, body, reason.
REFUSE = f"""{_COMMON}
local group, number = ARGV[1], tonumber(ARGV[2])
local cursor = through(group)
if lease(group, number) or (number > cursor and not is_ahead(group, number) and not is_hole(number)) then
  refuse(ARGV[3], ARGV[4], ARGV[2])
  settle(group, number, cursor)
end
"""

#: ARGV: body, reason.
REFUSE_BODY = f"{_COMMON}\nrefuse(ARGV[1], ARGV[2], '')\n"

#: ARGV: group, first. Gives the number of events delivered again.
REPLAY = f"""{_COMMON}
local group, first, at_once = ARGV[1], math.max(tonumber(ARGV[2]), oldest()), now()
local cursor = through(group)
for _, name in ipairs(redis.call('ZRANGEBYSCORE', key('pending:' .. group), first, '+inf')) do
  if lease(group, tonumber(name)) <= at_once then
    redis.call('ZREM', key('pending:' .. group), name)
    redis.call('HDEL', key('leases:' .. group), name)
  end
end
redis.call('ZREMRANGEBYSCORE', key('ahead:' .. group), first, '+inf')
redis.call('HSET', key('readers'), group, text(math.min(cursor, first - 1)))
return math.max(waiting(first - 1), 0)
"""

#: ARGV: group. Gives when its oldest event that is not acknowledged was published, in µs; empty if there is none.
WAITING_SINCE = f"""{_COMMON}
local group = ARGV[1]
local found = redis.call('HGET', key('readers'), group)
if not found then return '' end
local function published(number)
  local entry = redis.call('XRANGE', key('events'), text(number) .. '-0', text(number) .. '-0')[1]
  if not entry then return '' end
  for at = 1, #entry[2], 2 do if entry[2][at] == 'published' then return entry[2][at + 1] end end
end
local first = tonumber(redis.call('ZRANGE', key('pending:' .. group), 0, 0)[1])
local at = tonumber(found)
while true do
  local page = redis.call('XRANGE', key('events'), '(' .. text(at) .. '-0', '+', 'COUNT', 100)
  if #page == 0 then break end
  for _, entry in ipairs(page) do
    at = tonumber(entry[1]:match('^%d+'))
    if first and at >= first then return published(first) end
    if not is_ahead(group, at) then return published(at) end
  end
end
return first and published(first) or ''
"""

#: ARGV: group. Gives how many events wait for it.
BACKLOG = f"""{_COMMON}
local found = redis.call('HGET', key('readers'), ARGV[1])
return backlog(ARGV[1], found and tonumber(found) or oldest() - 1)
"""

#: ARGV: moment in µs, number of events at most. Gives the number removed.
PRUNE = f"""{_COMMON}
local readers, bound = redis.call('HGETALL', key('readers')), nil
for at = 1, #readers, 2 do
  local cursor = tonumber(readers[at + 1])
  local first = redis.call('ZRANGE', key('pending:' .. readers[at]), 0, 0)[1]
  if first then cursor = math.min(cursor, tonumber(first) - 1) end
  bound = math.min(bound or cursor, cursor)
end
if not bound or bound < 1 then return 0 end
local removed = 0
for _, entry in ipairs(redis.call('XRANGE', key('events'), '-', text(bound), 'COUNT', ARGV[2])) do
  local fields = entry[2]
  if tonumber(fields[14]) >= tonumber(ARGV[1]) then break end
  redis.call('HDEL', key('known'), fields[2] .. '\\0' .. fields[4])
  redis.call('XDEL', key('events'), entry[1])
  removed = removed + 1
end
redis.call('ZREMRANGEBYSCORE', key('holes'), '-inf', math.min(bound, oldest() - 1))
return removed
"""

#: ARGV: numbers of events that are forgotten. Gives the number removed.
FORGET = f"""{_COMMON}
local removed, readers = 0, redis.call('HKEYS', key('readers'))
for _, name in ipairs(ARGV) do
  local entry = redis.call('XRANGE', key('events'), name, name)[1]
  if entry then
    redis.call('HDEL', key('known'), entry[2][2] .. '\\0' .. entry[2][4])
    redis.call('XDEL', key('events'), entry[1])
    redis.call('ZADD', key('holes'), name, name)
    removed = removed + 1
    for _, group in ipairs(readers) do
      redis.call('ZREM', key('pending:' .. group), name)
      redis.call('HDEL', key('leases:' .. group), name)
      redis.call('ZREM', key('ahead:' .. group), name)
    end
  end
end
return removed
"""

#: ARGV: group.
DROP = f"""{_COMMON}
redis.call('HDEL', key('readers'), ARGV[1])
redis.call('DEL', key('pending:' .. ARGV[1]), key('leases:' .. ARGV[1]), key('ahead:' .. ARGV[1]))
"""
