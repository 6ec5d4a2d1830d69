-- Ctrl-C, in fresh interpreters that are sent a real SIGINT.

local helper = require "helper"
local it = helper.it

local PRELUDE = [[
local gevent = require "gevent"
local gco = require "gevent.coroutine"
local function say(...) print(...) io.stdout:flush() end
local function defer(fn) return setmetatable({}, {__close = fn}) end
]]

--- Runs code after the prelude; returns code, stdout, stderr.
local function run(code, opts)
  return helper.run_lua(PRELUDE .. code, opts)
end

-- Ctrl-C: the greenlet that says "ready" runs only when main is blocked.
local READY = [[
gevent.spawn(function() say "ready" end)
]]

local function interrupted(program, signals)
  return run(READY .. program,
    {signals = signals or {{after = "ready", name = "INT"}}})
end

describe("Ctrl-C", function()
  it("raises interrupted! in main while it is blocked", function()
    local code, out, err = interrupted [[
      local ok, err = pcall(gevent.sleep, 60)
      say(ok, type(err), err)
    ]]
    assert.equal(0, code, err)
    assert.matches("ready\nfalse\tstring\t.*interrupted!\n", out)
  end)

  it("does so while main joins, with only blocked greenlets left", function()
    local code, out, err = interrupted [[
      local g = gevent.spawn(gevent.sleep, 60)
      local ok, err = pcall(g.join, g)
      say(ok, err, g.dead)
    ]]
    assert.equal(0, code, err)
    assert.matches("ready\nfalse\t.*interrupted!\tfalse\n", out)
  end)

  it("does so though it came while a greenlet computed", function()
    local code, out, err = run([[
      gevent.spawn(function()
        say "computing"
        local clock = os.clock
        local stop = clock() + tonumber(arg[1])
        while clock() < stop do end
      end)
      local ok, err = pcall(gevent.sleep, 60)
      say(ok, err)
    ]], {
      signals = {{after = "computing", name = "INT"}},
      args = {0.3 * helper.scale},
    })
    assert.equal(0, code, err)
    assert.matches("false\t.*interrupted!", out)
  end)

  it("uncaught ends the script with code 1, cleanly", function()
    local code, out, err = interrupted [[
      gevent.spawn(function()
        local _ <close> = defer(function() say "closed" end)
        gevent.sleep(60)
      end)
      gevent.sleep(60)
    ]]
    assert.equal(1, code)
    assert.equal("ready\nclosed\n", out)
    assert.matches("interrupted!", err)
  end)

  it("is caught by gevent.pcall", function()
    local code, out = interrupted [[
      say(gevent.pcall(gevent.sleep, 60))
    ]]
    assert.equal(0, code)
    assert.matches("false\t.*interrupted!", out)
  end)

  it("works a second time", function()
    local code, out, err = interrupted([[
      say(pcall(gevent.sleep, 60))
      gevent.spawn(function() say "again" end)
      say(pcall(gevent.sleep, 60))
    ]], {{after = "ready", name = "INT"}, {after = "again", name = "INT"}})
    assert.equal(0, code, err)
    local _, count = out:gsub("interrupted!", "")
    assert.equal(2, count)
  end)

  it("goes through a generator in main", function()
    local code, out, err = interrupted [[
      say(pcall(gco.wrap(function() gevent.sleep(60) end)))
    ]]
    assert.equal(0, code, err)
    assert.matches("false\t.*interrupted!", out)
  end)

  it("is the interpreter's again while main computes", function()
    local code, out, err = run([[
      gevent.sleep(0.001)
      local ok, err = pcall(function()
        say "computing"
        while true do end
      end)
      say(ok, err)
    ]], {signals = {{after = "computing", name = "INT"}}})
    assert.equal(0, code, err)
    assert.matches("false\t.*interrupted!", out)
  end)

  it("leaves blocking usable afterwards", function()
    local code, out, err = interrupted [[
      pcall(gevent.sleep, 60)
      gevent.sleep(0.001)
      say(gevent.spawn(function() gevent.sleep(0.001) return "fine" end):get())
    ]]
    assert.equal(0, code, err)
    assert.matches("fine\n$", out)
  end)

  it("other signals keep their meaning", function()
    local code = interrupted("gevent.sleep(60)",
      {{after = "ready", name = "TERM"}})
    assert.equal("signal 15", code)
  end)
end)
