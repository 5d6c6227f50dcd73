-- SPDX-License-Identifier: GPL-2.0-or-later
-- LuaJIT: traces that are recorded, linked, left by side exits, flushed and recorded anew over the same memory.
local bit, ffi = require("bit"), require("ffi")
local bxor, band, rol, tobit = bit.bxor, bit.band, bit.rol, bit.tobit
local percent = tonumber(os.getenv("JIT_PERCENT") or 100)

local function times(n) return math.max(1, math.floor(n * percent / 100)) end

local function dice(seed)
  local s = seed
  return function(below)
    s = (s * 1103515245 + 12345) % 2147483648
    return math.floor(s / 2147483648 * below)
  end
end

local function summer()
  local h = 5381
  return function(v)
    if type(v) == "number" then
      v = ("%.17g"):format(v)
    end
    for i = 1, #v do
      h = tobit(bxor(rol(h, 5), v:byte(i)) + 0x9e3779b9)
    end
  end, function() return bit.tohex(h) end
end

local pieces = {}

-- Side exits: the loop's path changes while it runs, and so do the types in its slots.
function pieces.exits(sum)
  for round = 1, times(60) do
    local s, t = 0, { 1, 2.5, "3", 4 }
    for i = 1, 3000 do
      local v = t[i % 4 + 1]
      if i % 7 == round % 7 then s = s + v * 2 elseif i % 11 == 0 then s = s - i else s = s + v end
      if i == 1500 then t[2] = round end
      if s > 1e6 then s = s % 1000 end
    end
    sum(s)
  end
end

-- Functions made of text, hot at once, dropped by the next collection.
function pieces.generate(sum)
  local roll = dice(5)
  for f = 1, times(300) do
    local lines = { "local bit = require('bit') return function(x, n) local a, b = x, n for i = 1, n do" }
    for _ = 1, 3 + roll(8) do
      local op = ({ "bxor", "band", "bor", "lshift", "rshift", "ror" })[roll(6) + 1]
      lines[#lines + 1] = ("a = bit.%s(a, %s) b = bit.tobit(b + a * %d)"):format(op, op:find("sh") and roll(31) or "b + i", roll(9))
      if roll(3) == 0 then lines[#lines + 1] = ("if bit.band(a, %d) == 0 then a = a + i end"):format(roll(64)) end
    end
    lines[#lines + 1] = "end return bit.bxor(a, b) end"
    local made = assert(loadstring(table.concat(lines, "\n")))()
    for i = 1, 6 do sum(made(i * f, 200)) end
    if f % 10 == 0 then jit.flush() end
    if f % 25 == 0 then collectgarbage() end
  end
end

function pieces.objects(sum)
  local Vector = {}
  Vector.__index = Vector
  Vector.__add = function(a, b) return setmetatable({ x = a.x + b.x, y = a.y + b.y }, Vector) end
  Vector.__eq = function(a, b) return a.x == b.x and a.y == b.y end
  for round = 1, times(30) do
    local v = setmetatable({ x = 0, y = round }, Vector)
    for i = 1, 4000 do
      v = v + setmetatable({ x = i, y = 1 / i }, Vector)
      if i % 1000 == 0 then Vector["m" .. round] = function() return round end end
    end
    sum(v.x) sum(v.y)
    collectgarbage("step", 100)
  end
end

function pieces.coroutines(sum)
  for round = 1, times(100) do
    local function numbers(n) return coroutine.wrap(function() for i = 1, n do coroutine.yield(i * round) end end) end
    local s = 0
    for i in numbers(300) do s = s + i end
    local ok, message = pcall(function() for i in numbers(50) do if i > 20 * round then error("at " .. i, 0) end end end)
    sum(s) sum(tostring(ok) .. tostring(message))
  end
end

-- C called from traces, and C that calls back: machine code made for each callback.
function pieces.calls(sum)
  ffi.cdef [[
    void qsort(void *base, size_t count, size_t size, int (*compare)(const void *a, const void *b));
    size_t strlen(const char *s); int abs(int x); void *memmove(void *to, const void *from, size_t n);
    typedef struct { int32_t key; double weight; uint8_t tail[3]; } item;
  ]]
  local roll = dice(9)
  for round = 1, times(20) do
    local items = ffi.new("item[?]", 200)
    for i = 0, 199 do items[i].key, items[i].weight = roll(10000) - 5000, i / (round + 1) end
    local compare = ffi.cast("int (*)(const void *, const void *)", function(a, b)
      local x, y = ffi.cast("item *", a), ffi.cast("item *", b)
      if x.key ~= y.key then return x.key < y.key and -1 or 1 end
      return x.weight < y.weight and -1 or 1
    end)
    jit.off()
    ffi.C.qsort(items, 200, ffi.sizeof("item"), compare)
    jit.on()
    compare:free()
    local s = 0LL
    for i = 0, 199 do s = s * 31 + ffi.C.abs(items[i].key) + ffi.cast("int64_t", items[i].weight) end
    for i = 1, 500 do s = s + ffi.C.strlen(("x"):rep(i % 50)) end
    ffi.C.memmove(items, items + 1, 100 * ffi.sizeof("item"))
    sum(tostring(s)) sum(items[99].key)
  end
end

function pieces.text(sum)
  local roll, parts = dice(21), {}
  for round = 1, times(150) do
    for i = 1, 100 do parts[i] = string.char(97 + roll(26)) .. roll(1000) end
    local text = table.concat(parts, ",")
    sum(text:gsub("(%a)(%d+)", function(a, d) return d .. a:upper() end))
    for word in text:gmatch("[b-f]%d+") do sum(word:reverse()) end
    sum(text:find("z%d%d%d") or -1)
  end
end

local names = {}
for name in pairs(pieces) do names[#names + 1] = name end
table.sort(names)
for _, name in ipairs(names) do
  local sum, result = summer()
  pieces[name](sum)
  print(("traces %s %s"):format(name, result()))
end
