-- What else a server may do to the client: redirections in circles and to where secrets must
-- not go, connections that are closed under it; and what a caller's line ends must not do.
-- The answers themselves are in 37_hostile_http_servers.

local helper = require "helper"
local http = require "gevent.http"
local httpd = require "helper_http"
local gevent = require "gevent"
local origin = require "helper_origin"
local socket = require "gevent.socket"
local tls = require "helper_tls"
local it = helper.it

-- Redirections ---------------------------------------------------------------------------

--- An answer that sends the client elsewhere.
local function to(location)
  return origin.answer("moved", "Location: " .. location .. "\r\n", "302 Moved")
end

local function ask(url, opts)
  local all = {url = url}
  for name, value in pairs(opts or {}) do all[name] = value end
  local res, message, code = http.request(all)
  if not res then return code .. ": " .. message end
  return res.status == 200 and res.body or res.status
end

describe("a redirection", function()
  it("is bounded", function()
    local server <close> = origin.replies(function(req)
      local n = tonumber(req.target:sub(2))
      return n == 0 and origin.answer("end") or to("/" .. n - 1)
    end)
    assert.equal("end", ask(server.url .. "/5"))
    assert.equal("redirect: more than 5 redirections", ask(server.url .. "/6"))
    assert.equal("end", ask(server.url .. "/6", {redirects = 6}))
    assert.equal("redirect: more than 1 redirections", ask(server.url .. "/2", {redirects = 1}))
    assert.equal("end", ask(server.url .. "/5", {redirects = true}))
  end)

  it("in a circle ends", function()
    local server <close> = origin.replies(function(req) return to(req.target) end)
    assert.equal("redirect: more than 5 redirections", ask(server.url .. "/a"))
    assert.equal(6, #server.requests)
  end)

  it("between two servers, for ever, ends", function()
    local second
    local first <close> = origin.replies(function() return to(second.url .. "/") end)
    second = origin.replies(function() return to(first.url .. "/") end)
    local _second <close> = second
    assert.equal("redirect: more than 5 redirections", ask(first.url .. "/"))
    assert.equal(6, #first.requests + #second.requests)
  end)

  it("to what is no place, or holds line ends, is an error, and is not asked for", function()
    local location
    local server <close> = origin.replies(function(req)
      return req.target == "/" and to(location) or origin.answer("lost")
    end)
    for _, bad in ipairs {"ftp://h/", "file:///etc/passwd", "http://", "http:///x",
      "http://h:99999/", "//", "javascript:x", "http://a b/", "http://[::1/",
      "/a\rX: y", "/a\0b", "/\127"} do
      location = bad
      local res = ask(server.url .. "/")
      assert.is_true(type(res) == "string" and res:find("^%a+: ") ~= nil, tostring(res))
    end
    for _, req in ipairs(server.requests) do assert.equal("/", req.target) end
  end)

  if tls.have "openssl" then
    it("from https to http is refused", function()
      local plain <close> = origin.replies(function() return origin.answer("x") end)
      local secure <close> = httpd.serve(function(_, res)
        res:redirect(plain.url .. "/", 302)
      end, {ssl_context = tls.server()})
      local res, message, code = http.get("https://localhost:" .. secure.port .. "/", {
        ssl_context = tls.client(), headers = {Authorization = "Bearer x"},
      })
      assert.same({nil, "redirection from https to http", "redirect"}, {res, message, code})
      assert.equal(0, #plain.requests)
    end)

    it("of the stream's end in the middle of a body without a length is seen", function()
      -- Whoever cuts the wire cannot make it look like the end.
      local listener <close> = assert(socket.create_server("127.0.0.1:0"))
      local _, port = listener:getsockname()
      local server = gevent.spawn(function()
        local sock = assert(listener:accept())
        local secure = assert(tls.server():wrap_socket(sock, {server_side = true}))
        secure:readuntil("\r\n\r\n")
        secure:sendall("HTTP/1.1 200 OK\r\n\r\nhalf of")
        assert(socket.fromfd(secure:detach())):close() -- no close_notify
      end)
      local res, message, code = http.get("https://localhost:" .. port,
        {ssl_context = tls.client()})
      assert.is_nil(res)
      assert.is_string(message)
      assert.is_true(code == "ESSL" or code == "truncated", code)
      server:get()
    end)
  end
end)

-- Connections -------------------------------------------------------------------------------

describe("a connection that was closed under us", function()
  --- Closes each connection when the second request came, and has not answered
  -- it; or `late`, before it comes.
  local function dropping()
    return origin.serve(function(sock, number, self)
      self.requests[#self.requests + 1] = origin.request(sock)
      sock:sendall(origin.answer(tostring(number)))
      self.requests[#self.requests + 1] = origin.request(sock)
    end)
  end

  for _, method in ipairs {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"} do
    it("is replaced once for " .. method, function()
      local server <close> = dropping()
      local client <close> = http.Client()
      assert.equal("1", client:get(server.url).body)
      local res = assert(client:request {url = server.url, method = method})
      assert.equal(200, res.status)
      assert.equal(3, #server.requests)
      assert.equal(2, server.connections)
    end)
  end

  for _, method in ipairs {"POST", "PATCH", "LOCK"} do
    it("is an error of " .. method, function()
      local server <close> = dropping()
      local client <close> = http.Client()
      assert.equal("1", client:get(server.url).body)
      local res, message, code = client:request {url = server.url, method = method}
      assert.is_nil(res)
      assert.is_string(message)
      assert.is_true(code == "closed" or code == "ECONNRESET", code)
      assert.equal(2, #server.requests)
    end)
  end

  it("is an error where the body cannot be had again", function()
    local server <close> = dropping()
    local client <close> = http.Client()
    assert.equal("1", client:get(server.url).body)
    local n = 0
    local res, _, code = client:request {url = server.url, method = "PUT", body = function()
      n = n + 1
      return n == 1 and "x" or nil
    end}
    assert.is_nil(res)
    assert.is_true(code == "closed" or code == "ECONNRESET" or code == "EPIPE", code)
  end)

  it("is not tried twice again", function()
    local server <close> = origin.serve(function(sock, number)
      origin.request(sock)
      if number == 1 then
        sock:sendall(origin.answer("1"))
        origin.request(sock)
      end
    end)
    local client <close> = http.Client()
    assert.equal("1", client:get(server.url).body)
    local res, _, code = client:get(server.url)
    assert.is_nil(res)
    assert.is_true(code == "closed" or code == "ECONNRESET", code)
    assert.equal(2, server.connections)
  end)

  it("is not tried again when it is the first of its connection", function()
    local server <close> = origin.serve(function(sock) origin.request(sock) end)
    local client <close> = http.Client()
    local res, message, code = client:get(server.url)
    assert.same({nil, "closed before an answer came", "closed"}, {res, message, code})
    assert.equal(1, server.connections)
  end)

  it("is not tried again when an answer had begun", function()
    local server <close> = origin.serve(function(sock)
      origin.request(sock)
      sock:sendall(origin.answer("1"))
      origin.request(sock)
      sock:sendall("HTTP/1.1 20")
    end)
    local client <close> = http.Client()
    assert.equal("1", client:get(server.url).body)
    local res, _, code = client:get(server.url)
    assert.is_nil(res)
    assert.equal("truncated", code)
    assert.equal(1, server.connections)
  end)

  it("is noticed before a request goes out", function()
    local server <close> = origin.serve(function(sock, number)
      origin.request(sock)
      sock:sendall(origin.answer(tostring(number)))
    end)
    local client <close> = http.Client()
    assert.equal("1", client:get(server.url).body)
    origin.wait_closed(server)
    assert.equal("2", client:post(server.url, "not idempotent").body)
    assert.equal("3", (function()
      origin.wait_closed(server)
      return client:post(server.url, "not idempotent").body
    end)())
  end)
end)

-- What the caller gives ------------------------------------------------------------------------

describe("line ends in what the caller gives", function()
  it("never get into a request", function()
    local server <close> = origin.replies(function() return origin.answer("x") end)
    local evil = {"a\r\nX-Evil: b", "a\nX-Evil: b", "a\rX-Evil: b", "a\0b",
      "\r\n\r\nGET /evil HTTP/1.1\r\nHost: x\r\n\r\n"}
    for _, text in ipairs(evil) do
      for _, opts in ipairs {
        {url = server.url .. "/", headers = {["X-Good"] = text}},
        {url = server.url .. "/", headers = {[text] = "x"}},
        {url = server.url .. "/", headers = {Cookie = text}},
        {url = server.url .. "/", headers = {Host = text}},
        {url = server.url .. "/", method = text},
        {url = server.url .. "/" .. text},
        {url = server.url .. "/?" .. text},
        {url = (server.url:gsub("//", "//" .. text .. "@"))},
      } do
        local ok, res = pcall(http.request, opts)
        assert.is_true(not ok or not res, text)
      end
    end
    assert.equal(0, #server.requests)
  end)
end)
