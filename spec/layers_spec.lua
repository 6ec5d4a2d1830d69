-- The architecture, kept mechanically: includes point down, one file yields,
-- two resume, pure files stay pure, Lua files do not require the facade.

local helper = require "helper"
local it = helper.it
local slurp = helper.slurp

local ORDER = {base = 1, core = 2, sync = 3, io = 4, net = 5, proto = 6}

-- Who may say it; everybody else may not.
local RESERVED = {
  lua_yieldk = {["csrc/core/park.c"] = true},
  lua_yield = {},
  lua_resume = {
    ["csrc/core/hub.c"] = true, ["csrc/core/coroutine.c"] = true,
  },
}

-- Files that know bytes only: neither Lua nor libuv, not even by inclusion.
local PURE = {
  "^csrc/base/list%.h$", "^csrc/base/heap%.[ch]$", "^csrc/base/buf%.[ch]$",
  "^csrc/proto/http1[%w_]*%.[ch]$", "^csrc/proto/multipart%.[ch]$",
  "^csrc/proto/websocket[%w_]*%.[ch]$",
  "^csrc/proto/zstream%.[ch]$",
}

-- State that belongs to the process by its nature.
local PROCESS_STATE = {
  ["csrc/core/interrupt.c"] = "the handler of SIGINT",
  ["csrc/io/nudge.c"] = "the handler of SIGURG",
}

local FORBIDDEN = {
  ["lua.h"] = true, ["lauxlib.h"] = true, ["lualib.h"] = true, ["uv.h"] = true,
}

local function sources()
  local list = helper.files("csrc", ".c")
  for _, path in ipairs(helper.files("csrc", ".h")) do list[#list + 1] = path end
  return list
end

--- The code of a C file: comments and strings taken out, line breaks kept.
local function code_of(path)
  local text = slurp(path)
  local function blank(comment) return (comment:gsub("[^\n]", "")) end
  text = text:gsub("/%*.-%*/", blank)
  return (text:gsub('"[^"\n]*"', function(s)
    return s:find("%.h\"$") and s or '""'
  end))
end

--- Iterates over what a file includes: name, is it one of ours.
local function includes(path)
  local list = {}
  for line in code_of(path):gmatch("[^\n]+") do
    local quote, name = line:match('^%s*#%s*include%s*(["<])([^">]+)[">]')
    if name then list[#list + 1] = {name = name, own = quote == '"'} end
  end
  return list
end

local function layer_of(path)
  return path:match("^csrc/([^/]+)/")
end

--- Every header that a file sees, through our own headers too.
local function seen_from(path, seen)
  for _, include in ipairs(includes(path)) do
    if not seen[include.name] then
      seen[include.name] = path
      local own = "csrc/" .. include.name
      if include.own and slurp(own) then seen_from(own, seen) end
    end
  end
  return seen
end

describe("the layers", function()
  it("have files to look at", function()
    assert.is_true(#helper.files("csrc", ".c") > 5)
    assert.is_truthy(slurp("csrc/core/park.c"))
    assert.is_truthy(slurp("lua/gevent/init.lua"))
  end)

  it("are the known ones", function()
    local unknown = {}
    for _, path in ipairs(sources()) do
      local layer = layer_of(path)
      if layer and not ORDER[layer] then unknown[#unknown + 1] = path end
    end
    assert.same({}, unknown)
  end)

  it("include downwards only", function()
    local wrong = {}
    for _, path in ipairs(sources()) do
      local own = ORDER[layer_of(path)] or math.huge
      for _, include in ipairs(includes(path)) do
        local other = ORDER[include.name:match("^([^/]+)/") or ""]
        if include.own and other and other > own then
          wrong[#wrong + 1] = path .. " includes " .. include.name
        end
      end
    end
    assert.same({}, wrong)
  end)

  it("name the layer of what they include, and it exists", function()
    local wrong = {}
    for _, path in ipairs(sources()) do
      for _, include in ipairs(includes(path)) do
        if include.own and not slurp("csrc/" .. include.name) then
          wrong[#wrong + 1] = path .. " includes " .. include.name
        end
      end
    end
    assert.same({}, wrong)
  end)

  it("base knows no loop", function()
    local wrong = {}
    for _, path in ipairs(sources()) do
      if layer_of(path) == "base" then
        for word in code_of(path):gmatch("%f[%w_]uv_[%w_]+") do
          if word:find("loop") or word:find("_init$") or word == "uv_run" then
            wrong[#wrong + 1] = path .. " uses " .. word
          end
        end
      end
    end
    assert.same({}, wrong)
  end)

  it("leave pure files pure", function()
    local wrong, checked = {}, 0
    for _, path in ipairs(sources()) do
      for _, pattern in ipairs(PURE) do
        if path:find(pattern) then
          checked = checked + 1
          for name, through in pairs(seen_from(path, {})) do
            if FORBIDDEN[name] then
              wrong[#wrong + 1] = ("%s sees %s by %s"):format(
                path, name, through)
            end
          end
        end
      end
    end
    assert.same({}, wrong)
    assert.is_true(checked > 1)
  end)

  it("yield and resume in their places only", function()
    local wrong, found = {}, {}
    for _, path in ipairs(sources()) do
      local code = code_of(path)
      for name, allowed in pairs(RESERVED) do
        if code:find("%f[%w_]" .. name .. "%f[^%w_]") then
          found[name] = true
          if not allowed[path] then
            wrong[#wrong + 1] = path .. " uses " .. name
          end
        end
      end
    end
    assert.same({}, wrong)
    assert.is_true(found.lua_yieldk)
    assert.is_true(found.lua_resume)
  end)

  it("hold no mutable state of the process", function()
    local wrong = {}
    for _, path in ipairs(sources()) do
      for line in code_of(path):gmatch("[^\n]+") do
        local static = line:match("^static%s+(.*)")
        if static and not PROCESS_STATE[path]
          and not static:find("%f[%w]const%f[%W]")
          and not static:find("^inline%f[%W]") and not static:find("%(")
          and static:find("[=;]%s*$") then
          wrong[#wrong + 1] = path .. ": " .. line
        end
      end
    end
    assert.same({}, wrong)
  end)
end)

describe("C files", function()
  it("open with a comment", function()
    local wrong = {}
    for _, path in ipairs(sources()) do
      if not slurp(path):find("^/%*") then wrong[#wrong + 1] = path end
    end
    assert.same({}, wrong)
  end)

  it("are shorter than 500 lines, no line wider than 80", function()
    local wrong = {}
    for _, path in ipairs(sources()) do
      local number = 0
      for line in slurp(path):gmatch("([^\n]*)\n") do
        number = number + 1
        if utf8.len(line) and utf8.len(line) > 80 then
          wrong[#wrong + 1] = ("%s:%d is wider than 80"):format(path, number)
        end
      end
      if number >= 500 then
        wrong[#wrong + 1] = ("%s has %d lines"):format(path, number)
      end
    end
    assert.same({}, wrong)
  end)

  it("call no function that writes without a bound", function()
    local wrong = {}
    for _, path in ipairs(sources()) do
      for _, name in ipairs {"strcpy", "strcat", "sprintf", "vsprintf", "gets"}
      do
        if code_of(path):find("%f[%w_]" .. name .. "%s*%(") then
          wrong[#wrong + 1] = path .. " calls " .. name
        end
      end
    end
    assert.same({}, wrong)
  end)
end)

describe("Lua files", function()
  local files = helper.files("lua", ".lua")

  it("do not require the facade, but for the command: that is a program", function()
    local wrong = {}
    for _, path in ipairs(files) do
      if not path:find("^lua/gevent/_cli/")
        and slurp(path):find("require%s*%(?%s*[\"']gevent[\"']") then
        wrong[#wrong + 1] = path
      end
    end
    assert.same({}, wrong)
  end)

  it("require what exists", function()
    local wrong = {}
    for _, path in ipairs(files) do
      for name in slurp(path):gmatch("require%s*%(?%s*[\"'](gevent[%w_.]*)")
      do
        if name ~= "gevent._core" and not package.searchpath(name, package.path)
        then
          wrong[#wrong + 1] = path .. " requires " .. name
        end
      end
    end
    assert.same({}, wrong)
  end)

  it("open with a comment", function()
    local wrong = {}
    for _, path in ipairs(files) do
      if not slurp(path):find("^%-%-") then wrong[#wrong + 1] = path end
    end
    assert.same({}, wrong)
  end)
end)
