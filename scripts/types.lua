-- Writes annotations for the Lua language server (LuaCATS) from the comments that LDoc
-- reads, and the fields that modules have: types/<module>.lua for each public one.
-- `make types` runs it. With an argument it writes into that directory. What C hides
-- from the comments is in types/http-messages.lua, which is written by hand.

local OUT = arg[1] or "types"
local PLAIN = {string = true, number = true, integer = true, boolean = true, table = true,
  ["function"] = true, thread = true, userdata = true, any = true, ["nil"] = true}
local KNOWN = { -- what the comments call otherwise than a class is called
  request = "gevent.http.Request", response = "gevent.http.Answer",
  Headers = "gevent.http.Headers",
}

-- Reading ---------------------------------------------------------------------------------

local function lines_of(command)
  local pipe <close> = assert(io.popen(command))
  local list = {}
  for line in pipe:lines() do list[#list + 1] = line end
  return list
end

local function excluded()
  local env = {}
  assert(loadfile("config.ld", "t", env))()
  local set = {}
  for _, path in ipairs(env.file.exclude) do set[path] = true end
  return set
end

--- The comments that begin with three dashes: {lines, code = the line after}.
local function comments_of(path)
  local list, block = {}, nil
  for line in io.lines(path) do
    if line:find("^%s*%-%-%-") then
      block = {(line:gsub("^%s*%-%-%-%s?", ""))}
    elseif block and line:find("^%s*%-%-") then
      block[#block + 1] = line:gsub("^%s*%-%-%s?", "")
    elseif block then
      block.code = line
      list[#list + 1] = block
      block = nil
    end
  end
  return list
end

--- Text, and tags with what follows each, lines joined.
local function parse(block)
  local text, tags = {}, {}
  for _, line in ipairs(block) do
    local name, modifier, rest = line:match("^@(%a+)(%[?[^%]%s]*%]?)%s*(.*)$")
    if name then
      tags[#tags + 1] = {name = name, modifier = modifier, text = rest}
    elseif tags[1] then
      tags[#tags].text = tags[#tags].text .. " " .. line
    else
      text[#text + 1] = line
    end
  end
  return text, tags
end

-- Types -----------------------------------------------------------------------------------

local classes = {} -- name -> {full names}

local function classname(name, module)
  local own = module .. "." .. name
  for _, full in ipairs(classes[name] or {}) do
    if full == own then return own end
  end
  return classes[name] and classes[name][1] or KNOWN[name] or "any"
end

local function typename(text, module)
  local optional = text:match("^%?(.+)$")
  if optional then return typename(optional:gsub("^|", ""), module) .. "?" end
  local item = text:match("^{(.-),%.%.%.}$")
  if item then return typename(item, module) .. "[]" end
  if text:find("|") then
    local parts = {}
    for part in text:gmatch("[^|]+") do parts[#parts + 1] = typename(part, module) end
    return table.concat(parts, "|")
  end
  if PLAIN[text] then return text end
  return classname(text:match("[%w_]+$") or "", module)
end

-- Writing ---------------------------------------------------------------------------------

local Writer = {}
Writer.__index = Writer

function Writer:put(text, ...)
  self[#self + 1] = select("#", ...) > 0 and text:format(...) or text
end

function Writer:comment(text)
  for _, line in ipairs(text) do self:put("%s", "---" .. line) end
end

-- "timeout seconds" of a @tparam or @param; the name, and whether it may be left out.
local function param(self, tag, module)
  local optional = tag.modifier:find("^%[opt")
  local kind, name, text = "any", tag.text:match("^(%S+)%s*(.*)$")
  if tag.name == "tparam" then
    kind, name, text = tag.text:match("^(%S+)%s+(%S+)%s*(.*)$")
    kind = typename(kind, module)
  end
  if kind:find("%?$") then kind, optional = kind:sub(1, -2), true end
  self:put("---@param %s%s %s %s", name, optional and name ~= "..." and "?" or "", kind, text)
  return name
end

-- What can be returned: the values of the first way; the rest is the failure.
local function results(self, tags, module)
  local first, fails = {}, false
  for _, tag in ipairs(tags) do
    if tag.name == "treturn" or tag.name == "return" then
      local which = tonumber(tag.modifier:match("%d+")) or 1
      fails = fails or tag.text:find("nil, message", 1, true) ~= nil
      if which == 1 and tag.name == "treturn" then
        local kind, text = tag.text:match("^(%S+)%s*(.*)$")
        first[#first + 1] = {typename(kind, module), text}
      elseif which == 1 then
        first[#first + 1] = {tag.text:find("^true") and "boolean" or "any", tag.text}
      end
    end
  end
  for _, result in ipairs(first) do
    local optional = fails and not result[1]:find("%?$") and result[1] ~= "any" and "?" or ""
    local comment = result[2] ~= "" and " # " .. result[2] or ""
    self:put("---@return %s%s%s", result[1], optional, comment)
  end
  if fails and #first <= 1 then
    self:put("---@return string? message # for people")
    self:put("---@return string? code # for programs: see docs/errors.md")
  end
end

-- The name of what a comment is about, and the parameters that the code shows.
local function subject(tags, code)
  for _, tag in ipairs(tags) do
    if tag.name == "function" then return tag.text:match("%S+") end
    if tag.name == "module" or tag.name == "table" or tag.name == "classmod" then return nil end
  end
  return code and code:match("function ([%w_.:]+)")
end

-- name -> "Class:method", "Class.function", or "M.function".
local function place(name, class, locals)
  local owner, dot, field = name:match("^([%w_]+)([.:])([%w_]+)$")
  if not owner then return "M." .. name end
  if locals[owner] then return owner .. dot .. field end
  if class and dot == ":" then return class .. ":" .. field end
  return "M." .. field
end

local RESERVED = {["end"] = true, ["function"] = true, ["local"] = true, ["repeat"] = true}

local function writefunction(self, name, text, tags, module)
  self:comment(text)
  local names = {}
  for _, tag in ipairs(tags) do
    if tag.name == "tparam" or tag.name == "param" then
      names[#names + 1] = param(self, tag, module)
    end
  end
  results(self, tags, module)
  local field = name:match("[%w_]+$")
  if RESERVED[field] then return self:put("M[%q] = function() end\n", field) end
  self:put("function %s(%s) end\n", name, table.concat(names, ", "))
end

-- What a module has besides functions that were commented: classes, constants.
local function writefields(self, name, done)
  local ok, module = pcall(require, name)
  if not ok or type(module) ~= "table" then return end
  local fields = {}
  for field in pairs(module) do
    if type(field) == "string" and not field:find("^_") and not done["M." .. field] then
      fields[#fields + 1] = field
    end
  end
  table.sort(fields)
  for _, field in ipairs(fields) do
    local full = classname(field, name)
    local kind = type(module[field])
    if full ~= "any" and (kind == "table" or kind == "function") then
      self:put("---@type %s|fun(...): %s", full, full)
    elseif kind == "table" or kind == "userdata" then
      self:put("---@type any")
    else
      self:put("---@type %s", kind)
    end
    self:put("M.%s = nil\n", field)
  end
end

local function typeof_(tags)
  for _, tag in ipairs(tags) do
    if tag.name == "type" then return tag.text:match("%S+") end
    if tag.name == "classmod" then return tag.text:match("[%w_]+$") end
  end
end

local function write(module, path)
  local self = setmetatable({}, Writer)
  self:put("---@meta %s", module)
  self:put("-- Made by `make types` from %s: change that.\n", path)
  local comments, locals, done, class = comments_of(path), {}, {}, nil
  self:comment(parse(comments[1] or {}))
  self:put("---@class %s", module)
  if module == "gevent.config" then self:put("---@field [string] any") end
  self:put("local M = {}\n")
  for _, block in ipairs(comments) do
    local text, tags = parse(block)
    local type_ = typeof_(tags)
    if type_ then
      class = type_
      locals[class] = true
      self:comment(text)
      self:put("---@class %s.%s", module, class)
      self:put("local %s = {}\n", class)
    else
      local name = subject(tags, block.code)
      local where = name and place(name, class, locals)
      if where and not done[where] then
        done[where] = true
        writefunction(self, where, text, tags, module)
      end
    end
  end
  writefields(self, module, done)
  self:put("return M")
  local f <close> = assert(io.open(("%s/%s.lua"):format(OUT, module), "w"))
  f:write((table.concat(self, "\n"):gsub("[ \t]+\n", "\n")), "\n")
end

local private, modules = excluded(), {}
for _, path in ipairs(lines_of "find lua/gevent -name '*.lua' | sort") do
  if not private[path] then
    local name = path:gsub("^lua/", ""):gsub("/init%.lua$", ""):gsub("%.lua$", "")
      :gsub("/", ".")
    modules[#modules + 1] = {name, path}
    for _, block in ipairs(comments_of(path)) do
      local type_ = typeof_(select(2, parse(block)))
      if type_ then
        classes[type_] = classes[type_] or {}
        table.insert(classes[type_], name .. "." .. type_)
      end
    end
  end
end
for _, pair in ipairs(modules) do write(pair[1], pair[2]) end
