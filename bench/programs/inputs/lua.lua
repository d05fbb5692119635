-- The workload of lua.sh. The argument is the amount of work; 100 is a second or two.
-- Everything printed is independent of the order of pairs() and of addresses.
local amount = tonumber(arg[1])

-- A small generator of our own: math.random differs between versions.
local state = 12345
local function random(n)
  state = (state * 1103515245 + 12345) & 0x7fffffff
  return (state >> 8) % n
end

local function hash(text)
  local h = 2166136261
  for i = 1, #text do h = ((h ~ text:byte(i)) * 16777619) & 0xffffffff end
  return h
end

local function report(name, value) print(name, value) end

-- Trees: many small tables of one shape, some long-lived, most not.
local function tree(depth)
  if depth == 0 then return {} end
  return { tree(depth - 1), tree(depth - 1) }
end

local function count(node)
  if not node[1] then return 1 end
  return 1 + count(node[1]) + count(node[2])
end

local function trees(rounds)
  local depth = rounds >= 100 and 16 or 12
  local kept, nodes = tree(depth), 0
  for _ = 1, rounds do nodes = nodes + count(tree(10)) end
  for i = 1, rounds // 4 do nodes = nodes + count(tree(4 + i % 10)) end
  return nodes + count(kept)
end

-- Strings: building, splitting, substituting; short ones are interned, long ones are not.
local function strings(rounds)
  local words, sum = {}, 0
  for i = 1, 400 * rounds do
    local length = 3 + random(20)
    words[i] = ("%s-%d"):format(("abcdefghijklmnopqrstuvwxyz"):rep(2):sub(1 + random(26), length + 10), i)
  end
  for i = 1, rounds, 2 do
    local text = table.concat(words, " ", 1 + (i - 1) * 200, i * 200)
    local upper = text:gsub("[a-m]+", function(part) return part:upper() end)
    local parts = {}
    for word in upper:gmatch("%S+") do parts[#parts + 1] = word:reverse() end
    sum = (sum * 31 + hash(table.concat(parts, ","):sub(1, 2000))) & 0xffffffff
  end
  local line = ""
  for i = 1, 20 * rounds do line = line .. words[i]:sub(1, 6) end -- quadratic on purpose: growing copies
  table.sort(words)
  for i = 1, #words, 1 + #words // 50 do sum = (sum * 31 + hash(words[i])) & 0xffffffff end
  return (sum + hash(line:sub(-5000))) & 0xffffffff
end

-- Tables: growth of arrays and hashes, deletion and reuse of keys, records.
local function tables(rounds)
  local map, alive = {}, 0
  for i = 1, 4000 * rounds do
    local key = "key" .. random(1000 * rounds)
    if map[key] then
      map[key] = nil
      alive = alive - 1
    else
      map[key] = { id = i, name = key, tags = { i % 7, i % 11 } }
      alive = alive + 1
    end
  end
  local total, records = 0, {}
  for _, record in pairs(map) do
    total = total + record.id + record.tags[1] * record.tags[2]
    records[#records + 1] = record
  end
  table.sort(records, function(a, b) return a.id < b.id end)
  for i = 1, #records, 97 do total = (total * 31 + hash(records[i].name)) & 0xffffffff end
  return alive .. " " .. total
end

-- Closures and coroutines: queues of small objects with mixed life times.
local function producers(rounds)
  local sum, ring = 0, {}
  for p = 1, rounds do
    local produce = coroutine.wrap(function()
      for i = 1, 300 do coroutine.yield(function() return { value = i * p, text = tostring(i) } end) end
    end)
    for make in produce do
      local object = make()
      local slot = random(5000)
      if ring[slot] then sum = sum + ring[slot].value + #ring[slot].text end
      ring[slot] = object
    end
  end
  return sum
end

report("trees", trees(amount))
report("strings", strings(amount))
report("tables", tables(amount))
report("producers", producers(amount))
