-- gevent._pmdeflate: the negotiation of permessage-deflate, RFC 7692 section 7
-- (private; see gevent.websocket). What was agreed is the table that
-- core.websocket takes as `deflate`.
local misuse = require "gevent._misuse"

local NAME = "permessage-deflate"
local TOKEN = "[%w!#$%%&'*+%-.^_`|~]+"
local MAX_BITS = 15

-- The extensions in a header: a list of {name=, params=}, where params is name ->
-- value, or true; nil if it cannot be read. A parameter given twice spoils its
-- extension.
local function parse(text)
  local list, at = {}, 1
  local function skip(pattern)
    local _, stop, found = text:find("^[ \t]*" .. pattern, at)
    if stop then at = stop + 1 end
    return stop and (found or true)
  end
  repeat
    if not skip(",") then
      local name = skip("(" .. TOKEN .. ")")
      if not name then return nil end
      local extension = {name = name, params = {}}
      while skip(";") do
        local param = skip("(" .. TOKEN .. ")")
        if not param then return nil end
        local value = true
        if skip("=") then value = skip("(" .. TOKEN .. ")") or skip('"([^"\\]*)"') end
        if not value then return nil end
        if extension.params[param] ~= nil then extension.twice = true end
        extension.params[param] = value
      end
      list[#list + 1] = extension
      if not skip("$") and not skip(",") then return nil end
    end
  until at > #text
  return list
end

local function isbits(value)
  return type(value) == "string" and (value:find("^[89]$") or value:find("^1[0-5]$"))
end

-- Are these parameters that the RFC knows, with values that it allows? A client's
-- offer may leave the value of client_max_window_bits open.
local function isvalid(extension, isoffer)
  if extension.twice then return false end
  for name, value in pairs(extension.params) do
    if name == "server_no_context_takeover" or name == "client_no_context_takeover" then
      if value ~= true then return false end
    elseif name == "server_max_window_bits" or name == "client_max_window_bits" then
      local open = isoffer and name == "client_max_window_bits" and value == true
      if not open and not isbits(value) then return false end
    else
      return false
    end
  end
  return true
end

local function bitsof(value)
  return math.tointeger(tonumber(value)) or MAX_BITS
end

-- The server's answer to one offer: the header, and what was agreed.
local function answer(params, opts)
  local reply = {NAME}
  local own_bits = math.min(bitsof(params.server_max_window_bits),
    opts.server_max_window_bits or MAX_BITS)
  if own_bits < MAX_BITS then reply[#reply + 1] = "server_max_window_bits=" .. own_bits end
  local peer_bits = MAX_BITS
  if params.client_max_window_bits then
    peer_bits = math.min(bitsof(params.client_max_window_bits),
      opts.client_max_window_bits or MAX_BITS)
    if peer_bits < MAX_BITS then
      reply[#reply + 1] = "client_max_window_bits=" .. peer_bits
    end
  end
  local own_reset = params.server_no_context_takeover or opts.server_no_context_takeover
  local peer_reset = params.client_no_context_takeover or opts.client_no_context_takeover
  if own_reset then reply[#reply + 1] = "server_no_context_takeover" end
  if peer_reset then reply[#reply + 1] = "client_no_context_takeover" end
  return table.concat(reply, "; "), {
    own_bits = own_bits, peer_bits = peer_bits, own_reset = own_reset and true,
    peer_reset = peer_reset and true, level = opts.level or -1,
  }
end

local pmdeflate = {}

--- What a server answers to the offers of a client.
-- @treturn[1] string the header's value
-- @treturn[1] table what was agreed
-- @return[2] nil: no offer will do
function pmdeflate.accept(offers, opts)
  for _, extension in ipairs(parse(offers) or {}) do
    if extension.name:lower() == NAME and isvalid(extension, true) then
      return answer(extension.params, opts)
    end
  end
  return nil
end

--- What a client offers.
function pmdeflate.offer(opts)
  local text = NAME .. "; client_max_window_bits"
  if opts.client_max_window_bits then text = text .. "=" .. opts.client_max_window_bits end
  if opts.server_max_window_bits then
    text = text .. "; server_max_window_bits=" .. opts.server_max_window_bits
  end
  for _, name in ipairs {"server_no_context_takeover", "client_no_context_takeover"} do
    if opts[name] then text = text .. "; " .. name end
  end
  return text
end

--- What a server's answer to that means; false: it is none that it may give.
-- @treturn ?table what was agreed; nil: no compression
function pmdeflate.agree(text, opts)
  if text == nil then return nil end
  local list = parse(text)
  if not list or #list ~= 1 or not opts then return false end
  local params = list[1].params
  if list[1].name:lower() ~= NAME or not isvalid(list[1], false) then return false end
  local server_bits = bitsof(params.server_max_window_bits)
  if server_bits > (opts.server_max_window_bits or MAX_BITS) then return false end
  if opts.server_no_context_takeover and not params.server_no_context_takeover then
    return false
  end
  return {
    own_bits = math.min(bitsof(params.client_max_window_bits),
      opts.client_max_window_bits or MAX_BITS),
    peer_bits = server_bits,
    own_reset = (params.client_no_context_takeover or opts.client_no_context_takeover)
      and true,
    peer_reset = params.server_no_context_takeover and true,
    level = opts.level or -1,
  }
end

local FLAGS = {server_no_context_takeover = true, client_no_context_takeover = true}
local NUMBERS = {
  server_max_window_bits = {8, 15}, client_max_window_bits = {8, 15}, level = {0, 9},
}

--- The options as a table, or nil: not wanted. Raises on what is none.
function pmdeflate.options(deflate)
  if not deflate then return nil end
  if deflate == true then return {} end
  if type(deflate) ~= "table" then
    misuse.raise("bad option 'deflate' (boolean or table expected, got " .. type(deflate)
      .. ")")
  end
  for name, value in pairs(deflate) do
    local range = NUMBERS[name]
    if range and (math.type(value) ~= "integer" or value < range[1] or value > range[2]) then
      misuse.raise(("bad option 'deflate.%s' (integer from %d to %d expected)"):format(
        name, range[1], range[2]))
    elseif not range and not FLAGS[name] then
      misuse.raise(("unknown option 'deflate.%s'"):format(tostring(name)))
    end
  end
  return deflate
end

return pmdeflate
