"""The newest-wins script: many rows of one feature view in one atomic call.

Redis runs a script alone, so reading the version that is online and replacing it cannot be cut in two.
In a cluster all keys of one call must share a slot: there it is one row per call.

    KEYS    entity keys
    ARGV 1  _ts field    2  _c field    3  _g field
         4  generation, or empty
         5  "1": replace whatever is online
         6  seconds after which the whole key expires, or 0
         7  number of features n
         8  … 7+n  the features' fields
    then for each key 4 + n values:
         guard event, guard created (decimal microseconds), payload's _ts bytes, payload's _c text, n ValueProtos
         an empty _c text means that nothing is left: the view's fields are removed

A row is skipped if what is online, (event, created), is greater than its guard; equal goes to the later write.
The event timestamp online is Feast's own ``_ts``; a row without a ``_c`` for that very event timestamp was
written by Feast itself and counts as created before everything. The answer is {written, skipped, deleted}.

Numbers are compared as doubles: exact to the microsecond from 1684 to 2255.
"""

from __future__ import annotations

import hashlib

NEWEST_WINS = """
local byte, find, sub = string.byte, string.find, string.sub

local function varint(text, at)
  local first, value, inverse, factor = at, 0, 0, 1
  while true do
    local b = byte(text, at)
    local low = b % 128
    value = value + low * factor
    inverse = inverse + (127 - low) * factor
    factor = factor * 128
    at = at + 1
    if b < 128 then break end
    if at - first == 9 then
      return -inverse - 1, at + 1
    end
  end
  return value, at
end

local function micros(text)
  local at, seconds, nanos = 1, 0, 0
  while at <= #text do
    local tag, value = byte(text, at), 0
    value, at = varint(text, at + 1)
    if tag == 8 then seconds = value else nanos = value end
  end
  return seconds * 1000000 + nanos / 1000
end

local function created(text, event)
  if text then
    local gap = find(text, ' ', 1, true)
    if gap and tonumber(sub(text, gap + 1)) == event then
      return tonumber(sub(text, 1, gap - 1))
    end
  end
  return -math.huge
end

local ts_field, c_field, g_field, generation = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local force, expiry, n = ARGV[5] == '1', tonumber(ARGV[6]), tonumber(ARGV[7])
local put = {'HSET', '', ts_field, '', c_field, ''}
local remove = {'HDEL', '', ts_field, c_field, g_field}
for i = 1, n do
  put[5 + 2 * i] = ARGV[7 + i]
  remove[5 + i] = ARGV[7 + i]
end
if generation ~= '' then
  put[7 + 2 * n] = g_field
  put[8 + 2 * n] = generation
end

local written, skipped, deleted = 0, 0, 0
local at = 8 + n
for k = 1, #KEYS do
  local key = KEYS[k]
  local newer = false
  if not force then
    local old = redis.call('HMGET', key, ts_field, c_field)
    if old[1] then
      local event, guard = micros(old[1]), tonumber(ARGV[at])
      if event ~= guard then
        newer = event > guard
      else
        newer = created(old[2], event) > tonumber(ARGV[at + 1])
      end
    end
  end
  if newer then
    skipped = skipped + 1
    if generation ~= '' then redis.call('HSET', key, g_field, generation) end
  elseif ARGV[at + 3] == '' then
    remove[2] = key
    if redis.call(unpack(remove)) > 0 then deleted = deleted + 1 else skipped = skipped + 1 end
  else
    put[2], put[4], put[6] = key, ARGV[at + 2], ARGV[at + 3]
    for i = 1, n do put[6 + 2 * i] = ARGV[at + 3 + i] end
    redis.call(unpack(put))
    if expiry > 0 then redis.call('EXPIRE', key, expiry) end
    written = written + 1
  end
  at = at + 4 + n
end
return {written, skipped, deleted}
"""

SWEEP = """
local g_field, generation = ARGV[1], ARGV[2]
local remove = {'HDEL', ''}
for i = 3, #ARGV do remove[i] = ARGV[i] end
local deleted = 0
for k = 1, #KEYS do
  if redis.call('HGET', KEYS[k], g_field) ~= generation then
    remove[2] = KEYS[k]
    if redis.call(unpack(remove)) > 0 then deleted = deleted + 1 end
  end
end
return deleted
"""
"""KEYS: entity keys. ARGV: _g field, generation, then all of the view's fields. Removes the view's fields from
keys that the generation did not write or confirm; answers how many keys lost something."""

REMOVE = """
local counts = {}
for i = 1, #ARGV + 1 do counts[i] = 0 end
for k = 1, #KEYS do
  local held = redis.call('HMGET', KEYS[k], unpack(ARGV))
  local found = {'HDEL', KEYS[k]}
  for i = 1, #ARGV do
    if held[i] then
      counts[i] = counts[i] + 1
      found[#found + 1] = ARGV[i]
    end
  end
  if #found > 2 then
    redis.call(unpack(found))
    counts[#ARGV + 1] = counts[#ARGV + 1] + 1
  end
end
return counts
"""
"""KEYS: entity keys. ARGV: hash fields to remove. Answers for each field how many keys lost it, and last how many keys
lost any."""


def digest(script: str) -> str:
    """What EVALSHA calls the script by."""
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
