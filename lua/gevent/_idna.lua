-- gevent._idna: host names in ASCII (private; see gevent.resolver). Labels in
-- other scripts are written in Punycode (RFC 3492), as they are: letters are
-- not folded, except those of ASCII.

local BASE, TMIN, TMAX, SKEW, DAMP = 36, 1, 26, 38, 700
local MAX_NAME, MAX_LABEL = 254, 63 -- bytes; a name may end in a dot
local STOPS = {"\u{3002}", "\u{ff0e}", "\u{ff61}"} -- that count as dots

local function adapt(delta, points, first)
  delta = first and delta // DAMP or delta // 2
  delta = delta + delta // points
  local k = 0
  while delta > (BASE - TMIN) * TMAX // 2 do
    delta = delta // (BASE - TMIN)
    k = k + BASE
  end
  return k + (BASE - TMIN + 1) * delta // (delta + SKEW)
end

local function digit(d) return string.char(d < 26 and d + 97 or d + 22) end

-- A delta as digits of a variable base, the last below its threshold.
local function append(out, delta, bias)
  local k = BASE
  while true do
    local t = math.max(TMIN, math.min(TMAX, k - bias))
    if delta < t then break end
    out[#out + 1] = digit(t + (delta - t) % (BASE - t))
    delta = (delta - t) // (BASE - t)
    k = k + BASE
  end
  out[#out + 1] = digit(delta)
end

local function punycode(points)
  local out = {}
  for _, point in ipairs(points) do
    if point < 128 then out[#out + 1] = string.char(point) end
  end
  local basic = #out
  local handled, delta, bias, n = basic, 0, 72, 128
  if basic > 0 then out[#out + 1] = "-" end
  while handled < #points do
    local smallest = math.huge
    for _, point in ipairs(points) do
      if point >= n and point < smallest then smallest = point end
    end
    delta = delta + (smallest - n) * (handled + 1)
    n = smallest
    for _, point in ipairs(points) do
      if point < n then delta = delta + 1 end
      if point == n then
        append(out, delta, bias)
        bias = adapt(delta, handled + 1, handled == basic)
        delta, handled = 0, handled + 1
      end
    end
    delta, n = delta + 1, n + 1
  end
  return "xn--" .. table.concat(out)
end

local function tolabel(label)
  if not label:find("[\128-\255]") then return label end
  return punycode({utf8.codepoint(label, 1, -1)})
end

--- The name in ASCII; nil where no name server could know it.
local function toascii(name)
  if name == "" or name:find("\0", 1, true) then return nil end
  if name:find("[\128-\255]") then
    if not utf8.len(name) then return nil end
    for _, stop in ipairs(STOPS) do name = name:gsub(stop, ".") end
    name = name:gsub("[^.]+", tolabel)
  end
  if #name > MAX_NAME then return nil end
  for label in name:gmatch("[^.]+") do
    if #label > MAX_LABEL then return nil end
  end
  return name
end

return {toascii = toascii}
