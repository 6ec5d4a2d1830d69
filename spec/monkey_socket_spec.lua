-- gevent.monkey: LuaSocket's objects are cooperative, and can be interrupted.

local helper = require "helper"
local monkey = require "helper_monkey"
local it = helper.it

local CORE = [[
monkey.patch_socket()
local socket = require "socket.core"
local function listen()
  local listener = socket.tcp4()
  assert(listener:bind("127.0.0.1", 0))
  assert(listener:listen(100))
  return listener
end
local function pair()
  local listener = listen()
  local client = assert(socket.connect("127.0.0.1", port_of(listener)))
  return client, assert(listener:accept())
end
]]

local function lua(code, opts) return monkey.lua(CORE .. code, opts) end

describe("a patched socket", function()
  it("lets others run: accept, receive, send, connect, select, sleep", function()
    lua [[
      local big = ("x"):rep(10000000)
      tick(function()
        local listener = listen()
        listener:settimeout(0.1)
        assert(select(2, listener:accept()) == "timeout")
        local a, b = pair()
        b:settimeout(0.1)
        assert(select(2, b:receive()) == "timeout")
        b:settimeout(0)
        assert(select(2, a:settimeout(0.1)) == nil)
        assert(select(2, a:send(big)) == "timeout")
        socket.select({listener}, nil, 0.05)
        socket.sleep(0.05)
        local udp = socket.udp4()
        udp:settimeout(0.05)
        assert(udp:setsockname("127.0.0.1", 0))
        assert(select(2, udp:receive()) == "timeout")
      end)
    ]]
  end)

  it("serves many connections at once", function()
    lua [[
      local listener = listen()
      gevent.spawn_raw(function()
        while true do
          local client = listener:accept()
          gevent.spawn_raw(function()
            for i = 1, 5 do
              local line = client:receive()
              socket.sleep(0.01)
              client:send(line .. " back\n")
            end
            client:close()
          end)
        end
      end)
      tick(function()
        parallel(50, function(n)
          local client = assert(socket.connect("127.0.0.1", port_of(listener)))
          for i = 1, 5 do
            client:send(n .. " " .. i .. "\n")
            assert(client:receive() == n .. " " .. i .. " back")
          end
          assert(select(2, client:receive()) == "closed")
          client:close()
        end)
      end)
    ]]
  end)

  it("keeps what has come when a receive is killed or times out", function()
    lua [[
      local a, b = pair()
      local reader = gevent.spawn(function() return b:receive(100) end)
      a:send("half of ")
      gevent.sleep(0.01)
      reader:kill()
      assert(b:dirty())
      assert(gevent.with_timeout(0.01, b.receive, b, "*l") == nil)
      assert(b:getstats() == 0)
      a:send("it\r\n")
      assert(b:receive() == "half of it" and b:getstats() == 12)
    ]]
  end)

  it("is interrupted everywhere by a kill and by a Timeout", function()
    lua [[
      local listener = listen()
      local a, b = pair()
      local udp = socket.udp4()
      udp:setsockname("127.0.0.1", 0)
      local calls = {
        function() listener:accept() end,
        function() b:receive() end,
        function() b:receive("*a") end,
        function() b:receive(10, "x") end,
        function() a:send(("x"):rep(50000000)) end,
        function() udp:receive() end,
        function() udp:receivefrom() end,
        function() socket.select({listener}, nil) end,
        function() socket.sleep(60) end,
      }
      for i, call in ipairs(calls) do
        local victim = gevent.spawn(call)
        gevent.sleep(0.005)
        assert(not victim:ready(), i)
        victim:kill()
        assert(gevent.isinstance(victim:get(), gevent.GreenletExit), i)
        assert(select(3, gevent.with_timeout(0.005, call)) == "timeout", i)
        local protected = socket.protect(call)
        assert(select(3, gevent.with_timeout(0.005, protected)) == "timeout", i)
      end
    ]]
  end)

  it("wakes who waits on it when it is closed", function()
    lua [[
      local listener = listen()
      local a, b = pair()
      local results = {}
      local waiting = {
        gevent.spawn(function() results[1] = {listener:accept()} end),
        gevent.spawn(function() results[2] = {b:receive("*l", "pre")} end),
        gevent.spawn(function() results[3] = {a:send(("x"):rep(50000000))} end),
      }
      gevent.sleep(0.01)
      for _, object in ipairs {listener, b, a} do assert(object:close() == 1) end
      gevent.joinall(waiting, 5)
      assert(results[1][2] == "closed" and results[2][2] == "closed")
      assert(results[2][3]:sub(1, 3) == "pre" and results[3][2] == "closed")
      assert(results[3][3] > 0)
    ]]
  end)

  it("refuses a second reader by a name", function()
    lua [[
      local _, b = pair()
      gevent.spawn(b.receive, b)
      gevent.sleep(0)
      local ok, err = pcall(b.receive, b)
      assert(not ok and gevent.isinstance(err, gevent.ConcurrentObjectUseError))
      assert(tostring(err):find("receive", 1, true))
    ]]
  end)

  it("does not keep others waiting in a loop that never blocks", function()
    lua [[
      tick(function()
        local a, b = pair()
        gevent.spawn_later(0.1, a.send, a, "x\n")
        b:settimeout(0)
        local line
        repeat line = b:receive() until line
      end)
      tick(function()
        local a, b = pair()
        local writer = gevent.spawn(function()
          for _ = 1, 200 do a:send(("x"):rep(50000)) end
          a:close()
        end)
        assert(#b:receive("*a") == 10000000)
        writer:get()
      end)
      for _, timeout in ipairs {0, 1} do
        tick(function()
          local a = pair()
          local idle, over = {a}, false
          gevent.spawn_later(0.1, function() over = true end)
          repeat socket.select(timeout == 0 and idle or nil, {a}, timeout) until over
        end)
      end
    ]]
  end)

  it("selects among more than 1024 of them", function()
    lua [[
      local udps = {}
      for i = 1, 1500 do
        udps[i] = socket.udp4()
        if not udps[i] then os.exit(0) end -- not so many can be had here
        udps[i]:setsockname("127.0.0.1", 0)
      end
      local sender = socket.udp4()
      for _, i in ipairs {1, 1200, 1500} do
        sender:sendto("x", "127.0.0.1", port_of(udps[i]))
      end
      local ready = {}
      while #ready < 3 do ready = socket.select(udps, nil, 5) end
      for _, i in ipairs {1, 1200, 1500} do
        local udp = udps[i]
        assert(rawequal(ready[ ready[udp] ], udp))
      end
      assert(#select(2, socket.select(nil, udps)) == 1500)
    ]]
  end)

  it("looks names up without blocking", function()
    lua [[
      tick(function()
        parallel(5, function()
          assert(socket.dns.toip("localhost") == "127.0.0.1")
          assert(socket.dns.getaddrinfo("localhost")[1].addr)
          assert(socket.connect("localhost", 1) == nil)
        end)
      end)
    ]]
  end)

  it("asks the resolver that was chosen", function()
    lua [[
      local asked = {}
      gevent.get_hub().resolver = {
        getaddrinfo = function(_, host)
          asked[host] = true
          gevent.sleep(0.001)
          return {{family = "inet", type = "stream", host = "127.0.0.1", port = 0}}
        end,
      }
      assert(socket.dns.toip("some.host") == "127.0.0.1")
      assert(socket.dns.getaddrinfo("other.host")[1].addr == "127.0.0.1")
      assert(asked["some.host"] and asked["other.host"])
    ]]
  end)

  it("may block in a finalizer", function()
    lua [[
      local a, b = pair()
      local try = socket.newtry(function() b:receive() end)
      local fails = socket.protect(function() try(nil, "reason") end)
      gevent.spawn_later(0.01, a.send, a, "go on\n")
      local nothing, reason = gevent.spawn(fails):get()
      assert(nothing == nil and reason == "reason")
    ]]
  end)

  it("closes nothing twice, and gives descriptors back when collected", function()
    lua [[
      local function used()
        collectgarbage()
        collectgarbage()
        gevent.sleep(0)
        local probe = socket.udp4()
        local fd = probe:getfd()
        probe:close()
        return fd
      end
      local before = used()
      for _ = 1, 20 do
        local a, b = pair()
        a:close()
        a:close()
        local adopted = socket.tcp()
        adopted:setfd(b:getfd())
        b:setfd(-1)
        adopted, b = nil, nil
      end
      assert(used() == before)
    ]]
  end)

  it("may be a descriptor that is no socket", function()
    lua([[
      local input = socket.tcp()
      input:setfd(0)
      assert(input:getfd() == 0 and socket.select({input}, nil, 1)[1] == input)
      assert(io.read() == "line")
      input:setfd(-1)
    ]], {input = "line\n"})
  end)
end)

describe("LuaSocket's Lua half", function()
  if not monkey.has("socket.http", "socket.smtp", "ltn12") then
    pending "is cooperative (it is not installed)"
    return
  end

  it("downloads 20 URLs in the time of one", function()
    lua [[
      local http = require "socket.http"
      local server = require("gevent.http").Server("127.0.0.1:0", function(request)
        gevent.sleep(0.2)
        return "page " .. request.path .. ("x"):rep(100000)
      end)
      assert(server:start())
      local url = ("http://127.0.0.1:%d/"):format(server.port)
      tick(function()
        local start = socket.gettime()
        parallel(20, function(i)
          local body, code, headers = http.request(url .. i)
          assert(code == 200 and body == "page /" .. i .. ("x"):rep(100000))
          assert(headers["content-length"] == tostring(#body))
        end)
        assert(socket.gettime() - start < 2 * SCALE)
      end)
      -- a refused one, one by name, one with a sink
      assert(select(2, http.request "http://127.0.0.1:1/") == "connection refused")
      local parts = {}
      local ok, code = http.request {
        url = ("http://localhost:%d/form"):format(server.port), method = "POST",
        headers = {["content-length"] = 3},
        source = require("ltn12").source.string "a=b",
        sink = require("ltn12").sink.table(parts),
      }
      assert(ok == 1 and code == 200 and table.concat(parts):find("^page /form"))
      http.TIMEOUT = 0.05
      assert(select(2, http.request(url)) == "timeout")
      server:stop(0)
    ]]
  end)

  it("sends mail", function()
    lua [[
      local smtp = require "socket.smtp"
      local mails = {}
      local listener = listen()
      local function serve(client)
        local function say(text) client:send(text .. "\r\n") end
        say "220 sink"
        local mail
        for line in function() return client:receive() end do
          local verb = line:sub(1, 4):upper()
          if verb == "EHLO" or verb == "HELO" then
            say "250 sink"
          elseif verb == "MAIL" then
            mail = {from = line:match("<(.-)>"), to = {}}
            say "250 ok"
          elseif verb == "RCPT" then
            table.insert(mail.to, line:match("<(.-)>"))
            say "250 ok"
          elseif verb == "DATA" then
            say "354 go on"
            local lines = {}
            for text in function() return client:receive() end do
              if text == "." then break end
              lines[#lines + 1] = text:gsub("^%.", "")
            end
            mail.text = table.concat(lines, "\n")
            socket.sleep(0.05)
            mails[#mails + 1] = mail
            say "250 queued"
          elseif verb == "QUIT" then
            say "221 bye"
            break
          end
        end
        client:close()
      end
      gevent.spawn_raw(function()
        while true do gevent.spawn_raw(serve, (assert(listener:accept()))) end
      end)
      tick(function()
        mails = {}
        parallel(10, function(i)
          assert(smtp.send {
            from = "<me@example.org>", rcpt = {"<you@example.org>", "<them@example.org>"},
            server = "127.0.0.1", port = port_of(listener),
            source = smtp.message {
              headers = {subject = "mail " .. i}, body = "first\r\n.dot\r\nlast",
            },
          })
        end)
      end)
      assert(#mails == 10)
      for _, mail in ipairs(mails) do
        assert(mail.from == "me@example.org" and mail.to[2] == "them@example.org")
        assert(mail.text:find("first\n.dot\nlast", 1, true))
      end
    ]]
  end)
end)
