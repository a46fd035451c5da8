-- The phone system's circuit breaker (shared/breaker.py says what stands in its hash). One script, so that of many
-- processes that ask at once exactly one tries.
--
-- KEYS: the hash. ARGV: operation, now (ms; 0: this server's clock), then what the operation takes.

local KEY, operation, now = KEYS[1], ARGV[1], tonumber(ARGV[2])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local FORGOTTEN = 24 * 3600 * 1000 -- ms; what nobody asked for in a day says nothing of today

local function number(field)
  return tonumber(redis.call('HGET', KEY, field) or 0)
end

local function rest(length, cause)
  redis.call('DEL', KEY)
  redis.call('HSET', KEY, 'until', now + length, 'cause', cause)
  redis.call('PEXPIRE', KEY, FORGOTTEN)
end

local function count(cause, failures, within, length)
  local streak = number('streak') + 1
  if streak == 1 or now - number('since') > within then
    streak = 1
    redis.call('HSET', KEY, 'since', now)
  end
  if streak >= failures then
    rest(length, cause)
    return 'opened'
  end
  redis.call('HSET', KEY, 'streak', streak)
  redis.call('PEXPIRE', KEY, FORGOTTEN)
  return 'counted'
end

local operations = {}

-- how long a try may take. Returns go (the count of failures is 0), watch (it is not), try, or wait.
function operations.admit()
  local opens = number('until')
  if opens == 0 then return number('streak') == 0 and 'go' or 'watch' end
  if opens > now or number('probe') > now then return 'wait' end
  redis.call('HSET', KEY, 'probe', now + tonumber(ARGV[3]))
  return 'try'
end

-- outcome (placed, failed, refused), whether the call was the try (1), failures, within, rest.
-- Returns opened, closed, counted, or nothing.
function operations.record()
  local outcome, try = ARGV[3], ARGV[4] == '1'
  local failures, within, length = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
  if number('until') > 0 then
    if not try then return 'nothing' end -- it left before the breaker opened, and says nothing of now
    local reached = outcome == 'refused' and redis.call('HGET', KEY, 'cause') == 'failed'
    if outcome ~= 'placed' and not reached then
      rest(length, outcome)
      return 'opened'
    end
    redis.call('DEL', KEY)
    if reached then count(outcome, failures, within, length) end
    return 'closed'
  end
  if outcome == 'placed' then
    redis.call('DEL', KEY)
    return 'nothing'
  end
  return count(outcome, failures, within, length)
end

-- The try was not made after all.
function operations.withdraw()
  redis.call('HDEL', KEY, 'probe')
  return 'nothing'
end

return operations[operation]()
