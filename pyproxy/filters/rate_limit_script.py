"""What Redis does for the filter `rate_limit`: the arithmetic of csrc/route/budget.c in Lua.

KEYS are the names of the limits of one request, ARGV six numbers for each: the algorithm's letter,
requests, period (microseconds), and of a token bucket its interval, burst and queue (nanoseconds).
All of them are taken from, or none. The answer is integers: which limit has refused (0: none), for
how long to wait, and of each limit up to that one what is left and the time until all is. Times are
nanoseconds.

Numbers of Lua are doubles, exact up to 2^53: times are microseconds since 1970, and nanoseconds
only where they are within the longest period. A word is `TIME:DEBT` of a bucket (it would be full
DEBT after TIME), and `PIECE:PREVIOUS:CURRENT` of a window.
"""

from __future__ import annotations

import hashlib

__all__ = ["SCRIPT", "SCRIPT_SHA"]

SCRIPT = """\
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local floor, ceil, max, min = math.floor, math.ceil, math.max, math.min

local function number(n) return string.format('%.0f', n) end

-- Each returns: whether it is granted, wait, left, reset; and if it is, the word and its lifetime.
local function bucket(word, interval, burst, queue)
  local last, owed = string.match(word, '^(%d+):(%d+)$')
  local debt, room = 0, burst + queue
  if last then debt = max(0, owed - max(0, now - last) * 1000) end
  local wanted = debt + interval
  if wanted > room then return false, wanted - room, 0, debt end
  return true, max(0, wanted - burst), floor((room - wanted) / interval), wanted,
    number(now) .. ':' .. number(wanted), ceil(wanted / 1000000)
end

-- How long until <previous> has lost so much weight that there is room for one beside <current>.
local function lighter(count, period, previous, current, rest, unit)
  local may = floor((count - 1 - current) * (period / previous)) - 2 * unit
  return max(1, rest - max(0, may))
end

local function window(word, fixed, count, period)
  local piece = floor(now / period)
  local rest = period - now % period
  local at, previous, current = string.match(word, '^(%d+):(%d+):(%d+)$')
  local ahead = at and piece - at
  if ahead == -1 then piece, ahead, rest = piece + 1, 0, period end
  if ahead == 0 then
    previous, current = tonumber(previous), tonumber(current)
  else
    previous, current = ahead == 1 and tonumber(current) or 0, 0
  end
  if fixed then previous = 0 end
  -- What still counts of the previous piece, rounded up; products stay below 2^53.
  local unit = max(1, ceil(period / 16777215))
  local whole = floor(period / unit)
  local used = ceil(previous * min(ceil(rest / unit), whole) / whole) + current
  if used < count then
    return true, 0, count - used - 1, rest * 1000,
      number(piece) .. ':' .. number(previous) .. ':' .. number(current + 1),
      ceil((rest + period) / 1000)
  end
  local wait = rest
  if not fixed and current < count then
    wait = lighter(count, period, previous, current, rest, unit)
  elseif not fixed then
    wait = rest + lighter(count, period, current, 0, period, unit)
  end
  return false, wait * 1000, 0, rest * 1000
end

local answer, words = {0, 0}, {}
for i, key in ipairs(KEYS) do
  local o = (i - 1) * 6
  local word, kind = redis.call('GET', key) or '', ARGV[o + 1]
  local n = {}
  for j = 2, 6 do n[j] = tonumber(ARGV[o + j]) end
  local granted, wait, left, reset, next, life
  if kind == 'b' then
    granted, wait, left, reset, next, life = bucket(word, n[4], n[5], n[6])
  else
    granted, wait, left, reset, next, life = window(word, kind == 'f', n[2], n[3])
  end
  answer[#answer + 1] = left
  answer[#answer + 1] = reset
  if not granted then
    answer[1], answer[2] = i, wait
    return answer
  end
  answer[2] = max(answer[2], wait)
  words[i] = {key, next, number(life)}
end
for _, word in ipairs(words) do redis.call('SET', word[1], word[2], 'PX', word[3]) end
return answer
"""

SCRIPT_SHA = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()
