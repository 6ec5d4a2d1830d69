-- The end of a state with a hundred greenlets in each kind of wait: no crash, no message,
-- the exit code, and all that was open is closed in order. Each in a fresh interpreter.

local helper = require "helper"
local socket = require "gevent.socket"
local tls = require "helper_tls"
local waits = require "helper_waits"
local it = helper.it

-- Its arguments: how it ends, a certificate and its key, names of kinds.
local PROGRAM = [==[
  local gevent = require "gevent"
  local waits = require "helper_waits"
  local ending, cert, key = arg[1], arg[2], arg[3]
  waits.certificate = cert ~= "" and {cert = cert, key = key} or nil
  local wanted = {}
  for i = 4, #arg do wanted[arg[i]] = true end
  local list, kept = {}, {}
  for _, kind in ipairs(waits.kinds(true)) do
    if wanted[kind.name] then
      for _ = 1, kind.slow and 10 or 100 do
        kept[#kept + 1] = kind.make()
        list[#list + 1] = gevent.spawn(kept[#kept].call)
      end
    end
  end
  assert(#list > 0)
  gevent.sleep(0.001)
  for _ = 1, 3 do gevent.sleep(0) end
  for i, g in ipairs(list) do assert(not g:ready(), i) end
  io.write "blocked"
  if ending == "exit" then
    gevent.spawn(os.exit, 7, true):join()
  elseif ending == "error" then
    error("trouble in main", 0)
  elseif ending == "destroy" then
    gevent.get_hub():destroy()
  end
]==]

local ENDINGS = {
  {"the end of the script", "end", 0, "^$"},
  {"os.exit(7, true) in a greenlet", "exit", 7, "^$"},
  {"an uncaught error", "error", 1, "trouble in main"},
  {"hub:destroy", "destroy", 0, "^$"},
}

-- So few at once that there are descriptors for all.
local function groups()
  local light, all = {}, {}
  for _, kind in ipairs(waits.kinds(tls.have "openssl")) do
    if kind.light then
      light[#light + 1] = kind.name
    else
      local last = all[#all]
      if not last or #last == 2 then
        last = {}
        all[#all + 1] = last
      end
      last[#last + 1] = kind.name
    end
  end
  table.insert(all, 1, light)
  return all
end

describe("a hundred greenlets in each of", function()
  for i, names in ipairs(groups()) do
    local title = i == 1 and "the primitives" or table.concat(names, ", ")
    -- Each ends in one of the ways; the primitives in all.
    for e = i == 1 and 1 or i % #ENDINGS + 1, i == 1 and #ENDINGS or i % #ENDINGS + 1 do
      local how, ending, expected, message = table.unpack(ENDINGS[e])
      it(title .. ": " .. how, function()
        local own = tls.have "openssl" and tls.certificate "localhost" or {cert = "", key = ""}
        local args = {ending, own.cert, own.key, table.unpack(names)}
        local code, out, err = helper.run_lua(PROGRAM, {args = args})
        assert.same({expected, "blocked"}, {code, out}, err)
        assert.matches(message, err)
      end, {deadline = 30})
    end
  end
end)

describe("the end of the process", function()
  it("with waiting sockets is clean, and their peers see it", function()
    local code, out, err = helper.run_lua [[
      local gevent = require "gevent"
      local socket = require "gevent.socket"
      for _ = 1, 20 do
        local a, b = socket.socketpair()
        gevent.spawn(a.recv, a, 1)
        gevent.spawn(b.read, b, "l")
        local full = socket.socketpair()
        gevent.spawn(full.sendall, full, ("x"):rep(1e7))
        local l = socket.create_server("127.0.0.1:0")
        gevent.spawn(l.accept, l)
        gevent.spawn(socket.wait_read, a:fileno())
      end
      gevent.sleep(0.01)
      io.write("done")
    ]]
    assert.same({0, "done", ""}, {code, out, err})
  end)

  for _, ending in ipairs {"", "gevent.spawn(os.exit, 0, true):join()",
    "gevent.get_hub():destroy() os.exit(0, true)"} do
    it("is the end of the stream to its peers: " .. ending, function()
      local listener <close> = assert(socket.create_server("127.0.0.1:0"))
      local code, _, err = helper.run_lua([[
        local gevent = require "gevent"
        local socket = require "gevent.socket"
        for _ = 1, 10 do
          local sock = assert(socket.create_connection("127.0.0.1", tonumber(arg[1])))
          sock:sendall("last words")
          gevent.spawn(sock.recv, sock, 1)
        end
        gevent.sleep(0.001)
      ]] .. ending, {args = {(select(2, listener:getsockname()))}})
      assert.same({0, ""}, {code, err})
      for _ = 1, 10 do
        local sock <close> = assert(listener:accept(5 * helper.scale))
        sock:settimeout(5 * helper.scale)
        assert.equal("last words", sock:read("a"))
      end
    end)
  end
end)
