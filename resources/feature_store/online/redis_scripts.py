"""Lua scripts that write, read and erase rows of a feature view: each call is atomic for its entities."""

#: Stores the rows that are not older than what is stored, and whose key was not forgotten; gives their number.
#:
#: KEYS: the set of forgotten keys, then one hash per row. ARGV: the field of the event time, the field of the created
#: time, seconds until a key expires (0: never), the number of features, their fields; then columns with one value per
#: row: event time, created time, features. Times are serialized `Timestamp` protobufs; a created time may be missing
#: (empty). The stored created time counts only beside the event time it was stored with: Feast's own store may have
#: written since, and knows nothing of ours.
WRITE_ROWS = """
local seconds_of, nanos_of = {}, {}

local function moment(timestamp)
  if not seconds_of[timestamp] then
    local parts, at = {[8] = 0, [16] = 0}, 1
    while at <= #timestamp do
      local tag, value, factor, byte = timestamp:byte(at), 0, 1, nil
      repeat
        at = at + 1
        byte = timestamp:byte(at)
        if factor < 2^49 then value = value + byte % 128 * factor end
        factor = factor * 128
      until byte < 128
      -- Ten bytes are a negative number; its low 49 bits are more than a year number needs, and exact in a double.
      if factor == 2^70 then value = value - 2^49 end
      parts[tag], at = value, at + 1
    end
    seconds_of[timestamp], nanos_of[timestamp] = parts[8], parts[16]
  end
  return seconds_of[timestamp], nanos_of[timestamp]
end

local function older(a, b)
  if a == b then return false end
  local a_seconds, a_nanos = moment(a)
  local b_seconds, b_nanos = moment(b)
  return a_seconds < b_seconds or a_seconds == b_seconds and a_nanos < b_nanos
end

local function stored_created(stored, timestamp)
  local head = string.char(#timestamp) .. timestamp
  if stored and stored:sub(1, #head) == head then return stored:sub(#head + 1) end
  return ''
end

local function outdated(stored, timestamp, created)
  if not stored[1] then return false end
  if stored[1] ~= timestamp then return older(timestamp, stored[1]) end
  local before = stored_created(stored[2], timestamp)
  return before ~= '' and (created == '' or older(created, before))
end

local function write(key, fields, count)
  for from = 1, count, 4000 do
    redis.call('HSET', key, unpack(fields, from, math.min(from + 3999, count)))
  end
end

local expires, features, rows = tonumber(ARGV[3]), tonumber(ARGV[4]), #KEYS - 1
local column = 4 + features
local forgetting = redis.call('EXISTS', KEYS[1]) == 1
local fields, count, written = {}, 2 * features + 2, 0
for feature = 1, features do fields[2 * feature - 1] = ARGV[4 + feature] end
fields[count - 1], fields[count + 1] = ARGV[1], ARGV[2]
for row = 1, rows do
  local key, timestamp, created = KEYS[row + 1], ARGV[column + row], ARGV[column + rows + row]
  local stored = redis.call('HMGET', key, ARGV[1], ARGV[2])
  local forgotten = forgetting and redis.call('SISMEMBER', KEYS[1], redis.sha1hex(key)) == 1
  if not forgotten and not outdated(stored, timestamp, created) then
    for feature = 1, features do fields[2 * feature] = ARGV[column + (feature + 1) * rows + row] end
    fields[count], fields[count + 2] = timestamp, string.char(#timestamp) .. timestamp .. created
    write(key, fields, created == '' and count or count + 2)
    if created == '' and stored[2] then redis.call('HDEL', key, ARGV[2]) end
    if expires > 0 then redis.call('EXPIRE', key, expires) end
    written = written + 1
  end
end
return written
"""

#: Removes rows of feature views; gives their number. Nothing remains of a key that no view has a row in any more.
#:
#: KEYS: the set of forgotten keys, then hashes. ARGV: '1' if the keys are to be remembered as forgotten, the number of
#: views, the fields of their event times; then all other fields of these views.
REMOVE_ROWS = """
local views = tonumber(ARGV[2])
local removed = 0
for row = 2, #KEYS do
  local key = KEYS[row]
  if ARGV[1] == '1' then redis.call('SADD', KEYS[1], redis.sha1hex(key)) end
  for view = 1, views do removed = removed + redis.call('HDEL', key, ARGV[2 + view]) end
  local others = false
  for _, field in ipairs(redis.call('HKEYS', key)) do others = others or field:sub(1, 4) == '_ts:' end
  if not others then
    redis.call('DEL', key)
  else
    for from = 3 + views, #ARGV, 4000 do
      redis.call('HDEL', key, unpack(ARGV, from, math.min(from + 3999, #ARGV)))
    end
  end
end
return removed
"""
