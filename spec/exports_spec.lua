-- Every public name is documented: what a module exports has a comment that LDoc finds,
-- and a line in types/ that editors find. What config.ld leaves out is private, or the
-- inside of another module, which exports and documents it.

local helper = require "helper"
local it = helper.it

local function excluded()
  local env = {}
  assert(loadfile("config.ld", "t", env))()
  local set = {}
  for _, path in ipairs(env.file.exclude) do set[path] = true end
  return set
end

--- path -> name of the module, of all public ones.
local function modules()
  local private, list = excluded(), {}
  for _, path in ipairs(helper.files("lua/gevent", ".lua")) do
    local name = path:gsub("^lua/", ""):gsub("/init%.lua$", ""):gsub("%.lua$", "")
      :gsub("/", ".")
    if not private[path] and not name:find("%.[_]") then list[path] = name end
  end
  return list
end

--- The names that the comments of a file speak of.
local function documented(text)
  local names, inside = {}, false
  for line in text:gmatch("[^\n]*") do
    if line:find("^%s*%-%-%-") then inside = true end
    if line:find("^%s*%-%-") then
      local tag, name = line:match("@(%a+) ([%w_]+)")
      if tag == "function" or tag == "field" or tag == "type" or tag == "table" then
        names[name] = true
      end
      if tag == "tfield" then names[line:match("@tfield%S* %S+ ([%w_]+)") or ""] = true end
      -- a list of fields, as in gevent.config
      local item = line:match("^%-%- %- `([%w_]+)`")
      if item then names[item] = true end
    elseif inside then
      local name = line:match("function ([%w_.:]+)") or line:match("^%s*local ([%w_]+)")
        or line:match("^%s*([%w_.]+) =")
      if name then names[name:match("[%w_]+$")] = true end
      inside = false
    end
  end
  return names
end

--- What somebody can use, by name: fields of a module, methods of its classes.
local function public(module)
  local names = {}
  for name, value in pairs(module) do
    -- what stands for a constant of C is told of in one line for all
    if type(name) == "string" and not name:find("^_") and not name:find("^%u[%u%d_]+$") then
      names[name] = value
    end
  end
  return names
end

describe("types", function()
  it("say what they were made of, and are Lua", function()
    for _, path in ipairs(helper.files("types", ".lua")) do
      assert.matches("^%-%-%-@meta", helper.slurp(path))
      assert(loadfile(path))
    end
  end)

  it("have every public name", function()
    for _, name in pairs(modules()) do
      local module = require(name)
      local text = helper.slurp("types/" .. name .. ".lua")
      assert(text, name .. ": run `make types`")
      if type(module) == "table" and not rawget(module, "__name") then
        for field in pairs(public(module)) do
          assert.is_truthy(text:find("[M%w]%." .. field .. "%f[^%w_]") or
            text:find('M["' .. field .. '"]', 1, true), name .. "." .. field
            .. ": run `make types`")
        end
      end
    end
  end)
end)

describe("types/", function()
  it("is what `make types` makes of the comments", function()
    local directory = os.tmpname()
    os.remove(directory)
    assert(os.execute("mkdir " .. directory))
    local code, _, err = helper.run_lua("scripts/types.lua", {args = {directory}})
    assert.equal(0, code, err)
    for _, path in ipairs(helper.files(directory, ".lua")) do
      local ours = "types/" .. path:match("[^/]+$")
      assert.equal(helper.slurp(path), helper.slurp(ours), ours .. ": run `make types`")
    end
    os.execute("rm -r " .. directory)
  end)
end)

-- An object of each class whose methods can be listed.
local function objects()
  local function nothing() end
  local event, queue = require "gevent.event", require "gevent.queue"
  local server = require "gevent.server"
  return {
    event.Event(), event.AsyncResult(), queue.JoinableQueue(), queue.Channel(),
    require "gevent.lock".Condition(), require "gevent.pool".Pool(1),
    require "gevent".nursery(), server.StreamServer("127.0.0.1:0", nothing),
    server.DatagramServer("127.0.0.1:0", nothing),
    require "gevent.http".Server("127.0.0.1:0", nothing), require "gevent.http".Router(),
    require "gevent.http".Client(), require "gevent.http".CookieJar(),
    require "gevent.resolver".Thread(), require "gevent.workers".Supervisor(nothing),
    require "gevent.socket".socket(), require "gevent.select".poll(),
    require "gevent.fileobject".open("/dev/null"),
  }
end

local function methods_of(object)
  local names, class = {}, debug.getmetatable(object).__index
  while type(class) == "table" do
    for name, value in pairs(class) do
      if type(name) == "string" and type(value) == "function" and not name:find("^_")
        and name ~= "new" then
        names[name] = true
      end
    end
    class = (getmetatable(class) or {}).__index
  end
  return names
end

describe("the reference", function()
  it("is made without a complaint", function()
    if not os.execute "command -v ldoc >/dev/null && ! ldoc --help 2>&1 | grep -q 'no suitable'"
    then
      return pending "no LDoc"
    end
    local directory = os.tmpname()
    os.remove(directory)
    local pipe <close> = io.popen(("ldoc -q -d %s . 2>&1"):format(directory))
    local text = pipe:read("a")
    os.execute("rm -rf " .. directory)
    text = text:gsub("reading configuration from config.ld\n", "")
    assert.equal("", text)
  end, {deadline = 60})

  it("has every method", function()
    local texts = {}
    for _, path in ipairs(helper.files("types", ".lua")) do
      texts[#texts + 1] = helper.slurp(path)
    end
    local all, missing = table.concat(texts, "\n"), {}
    for _, object in ipairs(objects()) do
      for name in pairs(methods_of(object)) do
        if not all:find("function [%w_]+[.:]" .. name .. "%(") then
          missing[#missing + 1] = tostring(object):match("^<(%S+)") .. ":" .. name
        end
      end
      if object.close then object:close() end
    end
    assert.same({}, missing)
  end)
end)

for path, name in pairs(modules()) do
  it(name .. " documents what it exports", function()
    local module = require(name)
    local text = helper.slurp(path)
    if type(module) ~= "table" or rawget(module, "__name") or text:find("@classmod") then
      return -- what it gives is a class
    end
    local known = documented(text)
    local missing = {}
    for field in pairs(public(module)) do
      if not known[field] then missing[#missing + 1] = field end
    end
    table.sort(missing)
    assert.same({}, missing)
  end)
end
