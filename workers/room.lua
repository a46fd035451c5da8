-- Room for calls. One script, so that every decision sees one state; ARGV[1] says which.
--
-- KEYS: epoch, leases, then for each caller number its leases, its granted but undialled calls, and its pace.
-- ARGV: operation, now (ms; 0: this server's clock), lease ttl (ms), then what the operation takes.
-- epoch: a hash, since when the leases are known and until when they are trusted. leases: sorted sets of call uuids by
-- when they expire. pace: when the next call may leave (ms).
-- No epoch, or one that is over: what stands here is not to be trusted (wiped, not renewed), and nothing is granted.

local EPOCH, LEASES, FIRST_CALLER = KEYS[1], KEYS[2], 3
local operation, now, ttl = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local MOST_ARGUMENTS = 2000 -- of one command: Lua's stack holds some 8,000; even, for pairs

local function keys_of(caller)
  local first = FIRST_CALLER + (caller - 1) * 3
  return KEYS[first], KEYS[first + 1], KEYS[first + 2]
end

local function holders(key)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
  return redis.call('ZCARD', key)
end

-- Some uuids at once: a command costs more than a member.
local function lease(key, uuids)
  if #uuids == 0 then return end
  local members = {}
  for _, uuid in ipairs(uuids) do
    members[#members + 1] = now + ttl
    members[#members + 1] = uuid
  end
  for first = 1, #members, MOST_ARGUMENTS do
    redis.call('ZADD', key, unpack(members, first, math.min(first + MOST_ARGUMENTS - 1, #members)))
  end
  redis.call('PEXPIRE', key, ttl * 2)
end

-- How many more calls of this caller may be granted: below its concurrency, and no more than its pace lets leave
-- within the horizon, those granted before and still undialled included. Also returns how many those are.
local function room_of(caller, concurrency, interval, horizon)
  local held, undialled, pace = keys_of(caller)
  local behind = math.max(0, tonumber(redis.call('GET', pace) or 0) - now)
  local soon, waiting = math.floor((horizon - behind) / interval) + 1, holders(undialled)
  return math.max(0, math.min(concurrency - holders(held), soon - waiting)), waiting
end

local operations = {}

-- limit, how many may be undialled at once, horizon, spread (1: calls nobody wants from a certain number go to the
-- emptiest), callers, then for each caller: concurrency, interval between calls (ms), how many are wanted of it, how
-- many it may be given at most; then the uuids.
-- Returns uuid, index of caller, uuid, index, ...
function operations.take()
  local limit, pipeline, horizon = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
  local spread, callers = ARGV[7] == '1', tonumber(ARGV[8])
  local rooms, granted, next_uuid, free = {}, {}, 9 + callers * 4, 0
  local all, of_caller = {}, {}
  local function grant(caller)
    local uuid = ARGV[next_uuid]
    all[#all + 1] = uuid
    table.insert(of_caller[caller], uuid)
    granted[#granted + 1] = uuid
    granted[#granted + 1] = caller
    rooms[caller] = rooms[caller] - 1
    free = free - 1
    next_uuid = next_uuid + 1
  end
  for caller = 1, callers do
    local first = 9 + (caller - 1) * 4
    local room, undialled = room_of(caller, tonumber(ARGV[first]), tonumber(ARGV[first + 1]), horizon)
    rooms[caller], of_caller[caller] = math.min(room, tonumber(ARGV[first + 3])), {}
    pipeline = pipeline - undialled
  end
  free = math.min(limit - holders(LEASES), pipeline)
  for caller = 1, callers do
    local wanted = tonumber(ARGV[9 + (caller - 1) * 4 + 2])
    while wanted > 0 and free > 0 and rooms[caller] > 0 and ARGV[next_uuid] do
      grant(caller)
      wanted = wanted - 1
    end
  end
  while spread and free > 0 and ARGV[next_uuid] do
    local emptiest = 1
    for caller = 2, callers do
      if rooms[caller] > rooms[emptiest] then emptiest = caller end
    end
    if rooms[emptiest] < 1 then break end
    grant(emptiest)
  end
  lease(LEASES, all)
  for caller = 1, callers do
    local held, undialled = keys_of(caller)
    lease(held, of_caller[caller])
    lease(undialled, of_caller[caller])
  end
  return granted
end

-- interval, longest wait, uuid. One caller. Returns how long to wait before dialling (ms, as text) and how many of its
-- calls are undialled still, or why not.
function operations.pace()
  local interval, longest, uuid = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
  local held, undialled, pace = keys_of(1)
  if tonumber(redis.call('ZSCORE', LEASES, uuid) or 0) <= now then return 'no lease' end
  local slot = math.max(now, tonumber(redis.call('GET', pace) or 0))
  if slot - now > longest then return 'too long' end
  redis.call('SET', pace, string.format('%.3f', slot + interval), 'PX', math.ceil(slot - now + interval) + 1000)
  redis.call('ZREM', undialled, uuid)
  lease(LEASES, {uuid})
  lease(held, {uuid})
  return {string.format('%.3f', slot - now), redis.call('ZCARD', undialled)}
end

-- how long the epoch holds, whether it may be set anew (1: a rebuild), callers, then uuid, caller, whether to add it if
-- it is not there (1), uuid, caller, ... Returns 1.
function operations.renew()
  local epoch_ttl, add_always = tonumber(ARGV[4]), ARGV[5] == '1'
  local all, of_caller = {}, {}
  for first = 6, #ARGV, 3 do
    local uuid, caller = ARGV[first], tonumber(ARGV[first + 1])
    if add_always or ARGV[first + 2] == '1' or redis.call('ZSCORE', LEASES, uuid) then
      all[#all + 1] = uuid
      of_caller[caller] = of_caller[caller] or {}
      table.insert(of_caller[caller], uuid)
    end
  end
  lease(LEASES, all)
  for caller, uuids in pairs(of_caller) do
    lease((keys_of(caller)), uuids)
  end
  if add_always then redis.call('HSET', EPOCH, 'since', now) end
  redis.call('HSET', EPOCH, 'until', now + epoch_ttl)
  redis.call('PEXPIRE', EPOCH, epoch_ttl * 2)
  return 1
end

-- callers, then the uuids. Returns how many leases there were.
function operations.release()
  local released = 0
  for first = 5, #ARGV do
    released = released + redis.call('ZREM', LEASES, ARGV[first])
    for caller = 1, tonumber(ARGV[4]) do
      local held, undialled = keys_of(caller)
      redis.call('ZREM', held, ARGV[first])
      redis.call('ZREM', undialled, ARGV[first])
    end
  end
  return released
end

-- Returns the age of the epoch (ms), then all leases that have not expired.
function operations.held()
  holders(LEASES)
  local answer = redis.call('ZRANGE', LEASES, 0, -1)
  table.insert(answer, 1, tostring(now - tonumber(redis.call('HGET', EPOCH, 'since'))))
  return answer
end

local needs_epoch = operation ~= 'release' and not (operation == 'renew' and ARGV[5] == '1')
if needs_epoch and tonumber(redis.call('HGET', EPOCH, 'until') or 0) <= now then return 'shut' end
return operations[operation]()
