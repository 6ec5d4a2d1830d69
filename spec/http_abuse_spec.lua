-- What clients and handlers must not be able to do to a server.

local helper = require "helper"
local gevent = require "gevent"
local web = require "helper_http"
local it = helper.it

local function echo(req)
  local body = req:body()
  return body and req.method .. " " .. req.path .. " " .. body
end

describe("a client", function()
  it("that stops inside a head gets 400", function()
    local server <close> = web.serve(echo)
    local sock <close> = web.connect(server)
    assert(sock:sendall("GET / HTTP/1.1\r\nHo"))
    assert(sock:shutdown("w"))
    assert.equal(400, web.response(sock).status)
  end)

  it("that comes and goes disturbs nobody", function()
    local printed <close> = helper.capture_errors()
    local server <close> = web.serve(echo)
    local texts = {"", "GET", "GET / HTTP/1.1\r\n", web.request("GET", "/"),
      web.request("POST", "/", "Content-Length: 10\r\n") .. "abc", "\r\n", "\0"}
    for i = 1, 50 do
      local sock = web.connect(server)
      sock:sendall(texts[i % #texts + 1])
      if i % 3 == 0 then sock:setsockopt("linger", 0) end
      if i % 2 == 0 then gevent.sleep(0) end
      sock:close()
    end
    assert.equal("GET /x ", web.ask(server, "GET", "/x").body)
    helper.wait_until(function() return server._count == 0 end)
    assert.equal("", printed:text())
  end)

  it("that sends CRLF without end is refused", function()
    local server <close> = web.serve(echo)
    assert.same({400}, web.statuses(web.raw(server, ("\r\n"):rep(1000))))
  end)
end)

describe("many connections", function()
  it("may stay idle while others are served", function()
    local server <close> = web.serve(echo)
    local idle = {}
    for i = 1, 200 do idle[i] = web.connect(server) end
    for _ = 1, 20 do
      assert.equal("GET / ", web.ask(server, "GET", "/").body)
    end
    for i, sock in ipairs(idle) do
      assert(sock:sendall(web.request("GET", "/" .. i)))
    end
    for i, sock in ipairs(idle) do
      assert.equal("GET /" .. i .. " ", web.response(sock).body)
      sock:close()
    end
  end)
end)
