-- Half-closed connections: the answer still arrives, the end is seen once and for all,
-- and an end that is readable keeps no processor busy.

local helper = require "helper"
local gevent = require "gevent"
local slope = require "helper_slope"
local tls = require "helper_tls"
local web = require "helper_http"
local it, closing = helper.it, helper.closing

local TIMED_OUT = {nil, "timed out", "timeout", n = 3}

describe("shutdown", function()
  it("of the writing half leaves the reading half", function()
    local client <close>, server = helper.tcp_pair()
    local _server <close> = server
    client:sendall("the request")
    assert.is_true(client:shutdown("w"))
    assert.equal("the request", server:read("a"))
    assert.equal("", server:recv(1))
    server:sendall("the reply")
    server:close()
    assert.equal("the reply", client:read("a"))
    assert.equal("EPIPE", select(3, client:send("x")))
  end)

  it("of both halves at once on both ends", function()
    local a <close>, b = helper.tcp_pair()
    local _b <close> = b
    local readers = {helper.spawn_blocked(a.read, a, "a"),
      helper.spawn_blocked(b.read, b, "a")}
    a:sendall("from a")
    b:sendall("from b")
    a:shutdown("w")
    b:shutdown("w")
    assert.equal("from b", readers[1]:get())
    assert.equal("from a", readers[2]:get())
  end)

  it("wakes a reader here, and one there", function()
    local a <close>, b = helper.tcp_pair()
    local _b <close> = b
    local here = helper.spawn_blocked(a.recv, a, 1)
    local there = helper.spawn_blocked(b.recv, b, 1)
    assert.is_true(a:shutdown())
    assert.equal("", here:get())
    assert.equal("", there:get())
  end)

  it("wakes a writer", function()
    local a <close>, b = helper.tcp_pair()
    local _b <close> = b
    local g = helper.spawn_blocked(a.sendall, a, ("x"):rep(100000000))
    assert.is_true(a:shutdown("w"))
    local ok, _, code, sent = g:get()
    assert.is_nil(ok)
    assert.equal("EPIPE", code)
    assert.equal("integer", math.type(sent))
    assert.is_truthy(b)
  end)

  it("of an end that is readable does not spin", function()
    local a <close>, b = helper.tcp_pair()
    local _b <close> = b
    local g = helper.spawn_blocked(a.recv, a, 1)
    b:shutdown("w")
    assert.equal("", g:get())
    local hub = gevent.get_hub()
    gevent.sleep(0.01)
    local before = hub:stats().polls
    gevent.sleep(0.05)
    assert.is_true(hub:stats().polls - before < 20)
  end)
end)

describe("a half-close", function()
  it("after the request leaves the way back open", function()
    local client, sock = helper.tcp_pair()
    local _ <close> = closing(client, sock)
    local server = gevent.spawn(function()
      local request = sock:read("a")
      assert.equal("", sock:recv(1)) -- and again
      sock:sendall(request:upper():rep(100000))
      return sock:shutdown("w")
    end)
    client:sendall("request")
    assert.is_true(client:shutdown("w"))
    assert.equal("EPIPE", (select(3, client:sendall("more"))))
    assert.equal(700000, #client:read("a"))
    assert.same({"", nil}, {client:read("a"), (client:read("l"))})
    assert.is_true(server:get())
  end)

  it("from the server leaves its own reads pending", function()
    local client, sock = helper.tcp_pair()
    local _ <close> = closing(client, sock)
    local reader = helper.spawn_blocked(sock.read, sock, "a")
    assert.is_true(sock:shutdown("w"))
    assert.equal("", client:recv(10))
    client:sendall("still going")
    client:shutdown("w")
    assert.equal("still going", reader:get())
  end)

  it("from both sides at once loses nothing that was under way", function()
    local client, sock = helper.tcp_pair()
    local readers = {}
    for i, s in ipairs {client, sock} do
      readers[i] = gevent.spawn(s.read, s, "a")
      gevent.spawn(function()
        s:sendall(("x"):rep(1000000))
        s:shutdown("w")
      end)
    end
    assert.same({1000000, 1000000}, {#readers[1]:get(), #readers[2]:get()})
    client:close()
    sock:close()
  end)

  it("writes first what setvbuf has collected", function()
    for _, how in ipairs {"w", "rw"} do
      local a, b = helper.pair()
      local _ <close> = closing(a, b)
      a:setvbuf("full", 1 << 20)
      a:write("some", " ", "text")
      assert.is_true(a:shutdown(how))
      assert.equal("some text", b:read("a"))
    end
  end)

  it("of the reading half does not write anything", function()
    local a, b = helper.pair()
    local _ <close> = closing(a, b)
    a:setvbuf("full", 100)
    a:write("later")
    assert.is_true(a:shutdown("r"))
    assert.same(TIMED_OUT, table.pack(b:recv(10, 0)))
    a:flush()
    assert.equal("later", b:recv(10))
  end)

  it("waits until all is out, and obeys time-out and kill", function()
    local a, b = helper.pair()
    local _ <close> = closing(a, b)
    a:setvbuf("full", 1 << 22)
    a:write(("x"):rep(2000000))
    a:settimeout(0.01)
    assert.same(TIMED_OUT, table.pack(a:shutdown("w")))
    a:settimeout(nil)
    helper.spawn_blocked(a.shutdown, a, "w"):kill()
    local closer = helper.spawn_blocked(a.shutdown, a, "w")
    assert.equal(2000000, #b:read("a"))
    assert.is_true(closer:get())
    assert.equal("EPIPE", (select(3, a:sendall("x"))))
  end)

  it("does not wait where another greenlet is writing", function()
    local a, _b = helper.pair()
    local _ <close> = closing(a, _b)
    a:setvbuf("full", 1 << 22)
    a:write(("x"):rep(2000000))
    local writer = helper.spawn_blocked(a.flush, a)
    assert.is_true(a:shutdown("rw"))
    assert.equal("EPIPE", (select(3, writer:get())))
  end)
end)

describe("an HTTP client", function()
  local function echo(req)
    local body = req:body()
    return body and req.method .. " " .. req.path .. " " .. body
  end

  it("that closes its side still gets its answer", function()
    local server <close> = web.serve(function(req)
      gevent.sleep(0.01)
      return echo(req)
    end)
    local sock <close> = web.connect(server)
    assert(sock:sendall(web.request("POST", "/", nil, "abc")))
    assert(sock:shutdown("w"))
    assert.equal("POST / abc", web.response(sock).body)
    assert.is_true(web.is_closed(sock))
  end)

  it("that closes its side after several requests gets all answers", function()
    local server <close> = web.serve(function(req)
      gevent.sleep(0)
      return echo(req)
    end)
    local sock <close> = web.connect(server)
    for i = 1, 20 do assert(sock:sendall(web.request("POST", "/" .. i, nil, "abc"))) end
    assert(sock:shutdown("w"))
    for i = 1, 20 do assert.equal("POST /" .. i .. " abc", web.response(sock).body) end
    assert.is_true(web.is_closed(sock))
  end)

  it("that stops inside a head gets 400", function()
    local server <close> = web.serve(echo)
    local sock <close> = web.connect(server)
    assert(sock:sendall("GET / HTTP/1.1\r\nHo"))
    assert(sock:shutdown("w"))
    assert.equal(400, web.response(sock).status)
  end)

  it("that closes its side inside a body gets no good answer", function()
    local server <close> = web.serve(echo)
    local sock <close> = web.connect(server)
    assert(sock:sendall(web.request("POST", "/", "Content-Length: 10\r\n") .. "abc"))
    assert(sock:shutdown("w"))
    local res = web.response(sock)
    assert.is_true(res == nil or res.status == 400)
    assert.is_true(web.is_closed(sock))
  end)

  it("that closes its side and goes on reading stops no download", function()
    local server <close> = web.serve(function() return ("x"):rep(3000000) end)
    local sock <close> = web.connect(server)
    assert(sock:sendall(web.request("GET", "/")))
    assert(sock:shutdown("w"))
    assert.equal(3000000, #web.response(sock).body)
    assert.is_true(web.is_closed(sock))
  end)
end)

describe("TLS", function()
  if not tls.have "openssl" then return pending("needs openssl") end

  it("that ends in one direction leaves the other", function()
    local client, server = tls.pair {tcp = true}
    local _ <close> = closing(client, server)
    assert.is_true(client:sendall("request"))
    assert.is_true(client:shutdown("w"))
    assert.equal("request", server:read("a"))
    assert.equal("", server:recv(1)) -- and again
    assert.is_true(server:sendall("answer"))
    assert.is_true(server:shutdown("w"))
    assert.equal("answer", client:read("a"))
    assert.equal("", client:recv(1))
  end)
end)

slope.it("a half-close", function()
  return function()
    local client, sock = helper.tcp_pair()
    client:sendall("request")
    client:shutdown("w")
    assert(sock:read("a") == "request")
    sock:sendall("answer")
    sock:close()
    assert(client:read("a") == "answer" and client:recv(1) == "")
    client:close()
  end
end)
