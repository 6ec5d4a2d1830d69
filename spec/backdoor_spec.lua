-- gevent.backdoor: a prompt in the running process.
local helper = require "helper"
local it = helper.it
local gevent = require "gevent"
local socket = require "gevent.socket"
local backdoor = require "gevent.backdoor"

-- Sends the lines, returns all that comes back after the banner.
local function talk(srv, lines)
  local sock <close> = assert(socket.create_connection(srv.host, srv.port))
  assert(sock:sendall(table.concat(lines, "\r\n") .. "\r\n"))
  assert(sock:shutdown("w"))
  local all = sock:read("a")
  return (all:gsub("^[^\n]*\n", ""))
end

local function with(env, fn)
  local srv <close> = backdoor.BackdoorServer("127.0.0.1:0", env)
  assert(srv:start())
  return fn(srv)
end

describe("BackdoorServer", function()
  it("prints expressions, runs statements, keeps globals of the session", function()
    with(nil, function(srv)
      assert.equal("> 3\n> > 5\ttrue\n> 5\n> ", talk(srv, {"1 + 2", "x = 5", "x, true", "=x"}))
      assert.equal("> nil\n> ", talk(srv, {"x"}))
      assert.is_nil(rawget(_G, "x"))
    end)
  end)

  it("asks on for what is not complete", function()
    with(nil, function(srv)
      assert.equal("> >> >> > 7\n> ", talk(srv, {"function f(a)", "return a + 1", "end", "f(6)"}))
    end)
  end)

  it("survives errors, and says where", function()
    with(nil, function(srv)
      local text = talk(srv, {"error('no')", "x =", "y = = 1", "1"})
      assert.matches("backdoor:1: no\nstack traceback:", text)
      assert.matches(">> ", text)
      assert.matches("> 1\n> $", talk(srv, {"y = = 1", "1"}))
      assert.matches("unexpected symbol", talk(srv, {"y = = 1"}))
    end)
  end)

  it("shares the table it was given", function()
    local env = {answer = 42}
    with(env, function(srv)
      assert.equal("> 42\n> > ", talk(srv, {"answer", "answer = 43"}))
      assert.equal(43, env.answer)
    end)
  end)

  it("may block, sees the greenlets, prints to its own connection", function()
    with({gevent = gevent}, function(srv)
      local text = talk(srv, {"gevent.sleep(0.001) print('a', 1)", "greenlets()", "stats()"})
      assert.matches("^> a\t1\n> ", text)
      assert.matches("main> *\n?", text)
      assert.matches("greenlets\t%d+\n", text)
    end)
  end)

  it("quit() ends the connection, not the server", function()
    with(nil, function(srv)
      assert.equal("> ", talk(srv, {"quit()", "1"}))
      assert.equal("> 1\n> ", talk(srv, {"1"}))
    end)
  end)

  it("two sessions do not see each other", function()
    with(nil, function(srv)
      local first <close> = assert(socket.create_connection(srv.host, srv.port))
      first:readuntil("> ")
      first:sendall("mine = 1\n")
      first:readuntil("> ")
      assert.equal("> nil\n> ", talk(srv, {"mine"}))
      first:sendall("mine\n")
      assert.equal("1\n", first:read("L"))
    end)
  end)

  it("a line without an end is not kept for ever", function()
    with(nil, function(srv)
      local sock <close> = assert(socket.create_connection(srv.host, srv.port))
      sock:sendall(("x"):rep(100000))
      sock:read("a")
    end)
  end)

  it("listens where others cannot come, unless told", function()
    local srv <close> = backdoor.BackdoorServer(0)
    assert(srv:start())
    assert.equal("127.0.0.1", srv.host)
    for _, listener in ipairs {"0.0.0.0:0", "[::]:0", "10.1.2.3:80", "example.org:80"} do
      assert.error_matches(function() backdoor.BackdoorServer(listener) end, "remote=true")
    end
    local open <close> = backdoor.BackdoorServer("0.0.0.0:0", nil, {remote = true})
    assert(open:start())
    local path = os.tmpname()
    os.remove(path)
    local unix <close> = backdoor.BackdoorServer("unix:" .. path)
    assert(unix:start())
    os.remove(path)
    assert.error_matches(function() backdoor.BackdoorServer(0, 5) end, "table expected, got number")
  end)
end)
