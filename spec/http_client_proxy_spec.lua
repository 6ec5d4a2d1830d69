-- Ways to a server: proxies, Unix sockets; and multipart forms.

local helper = require "helper"
local http = require "gevent.http"
local proxies = require "gevent.http.proxy"
local socket = require "gevent.socket"
local url = require "gevent.http.url"
local origin = require "helper_origin"
local it = helper.it

--- A proxy that answers by itself and says what it was asked.
local function proxy()
  return origin.replies(function(req)
    return origin.answer(("%s %s %s"):format(req.line, req.headers.host,
      req.headers["proxy-authorization"] or "-"))
  end)
end

describe("a proxy", function()
  it("is asked by the whole URL", function()
    local server <close> = proxy()
    for _, text in ipairs {server.url, server.url .. "/", server.host .. ":" .. server.port} do
      assert.equal("GET http://x.example:81/a?b HTTP/1.1 x.example:81 -",
        http.get("http://x.example:81/a?b", {proxy = text}).body)
    end
  end)

  it("gets the credentials that its URL has, and no others", function()
    local server <close> = proxy()
    local text = server.url:gsub("//", "//user:pass@")
    assert.equal("GET http://x.example/ HTTP/1.1 x.example Basic dXNlcjpwYXNz",
      http.get("http://x.example/", {proxy = text}).body)
    http.get("http://me:secret@x.example/", {proxy = text})
    assert.equal("GET http://x.example/ HTTP/1.1", server.requests[2].line)
    assert.equal("Basic bWU6c2VjcmV0", server.requests[2].headers.authorization)
  end)

  it("is used for all hosts over the same connections", function()
    local server <close> = proxy()
    local client <close> = http.Client {proxy = server.url}
    assert(client:get("http://x.example/"))
    assert(client:get("http://y.example/"))
    assert.equal(1, server.connections)
  end)

  it("may be switched off", function()
    local server <close> = origin.replies(function(req) return origin.answer(req.line) end)
    local client <close> = http.Client {proxy = "http://127.0.0.1:1"}
    assert.equal("GET /a HTTP/1.1", client:get(server.url .. "/a", {proxy = false}).body)
    local _, _, code = client:get(server.url .. "/a")
    assert.equal("ECONNREFUSED", code)
  end)

  it("leads on by redirections", function()
    local server <close> = origin.replies(function(req)
      if req.target == "http://x.example/" then
        return origin.answer("", "Location: http://y.example/z\r\n", "302 Found")
      end
      return origin.answer(req.target)
    end)
    assert.equal("http://y.example/z", http.get("http://x.example/", {proxy = server.url}).body)
  end)

  it("is found in the environment", function()
    local server <close> = proxy()
    local env
    local getenv = os.getenv
    local _restore <close> = helper.defer(function() os.getenv = getenv end) -- luacheck: ignore
    os.getenv = function(name) return env[name] end -- luacheck: ignore
    local function ask(text)
      local res, _, code = http.get(text)
      return res and res.body:match("^%S+ (%S+)") or code
    end
    env = {http_proxy = server.url, no_proxy = "127.0.0.1", HTTP_PROXY = "http://127.0.0.1:1"}
    assert.equal("http://x.example/", ask "http://x.example/")
    assert.equal("ECONNREFUSED", ask "http://127.0.0.1:1/")
    env.no_proxy = nil
    assert.equal("http://127.0.0.1:1/", ask "http://127.0.0.1:1/")
    local client <close> = http.Client()
    env = {HTTP_PROXY = server.url} -- may come from a client of a CGI program
    assert.equal("ECONNREFUSED", ask "http://127.0.0.1:1/")
    assert.equal("GET http://127.0.0.1:1/ HTTP/1.1", -- a client looks once
      client:get("http://127.0.0.1:1/").body:match("^%S+ %S+ %S+"))
    env = {all_proxy = server.url}
    assert.equal("http://127.0.0.1:1/", ask "http://127.0.0.1:1/")
  end)

  it("is not used for what no_proxy names", function()
    local function exempt(list, text) return proxies.isexempt(list, assert(url.parse(text))) end
    assert.is_true(exempt("*", "http://x.org/"))
    assert.is_true(exempt("x.org", "http://x.org/"))
    assert.is_true(exempt("X.org", "http://x.ORG/"))
    assert.is_true(exempt("a, x.org", "http://www.x.org/"))
    assert.is_true(exempt(".x.org", "http://www.x.org/"))
    assert.is_true(exempt("*.x.org", "http://www.x.org/"))
    assert.is_true(exempt("x.org:80", "http://x.org/"))
    assert.is_true(exempt("10.0.0.1", "http://10.0.0.1:8080/"))
    assert.is_true(exempt("::1", "http://[::1]/"))
    assert.is_true(exempt("[::1]", "http://[::1]/"))
    assert.is_true(exempt("[::1]:81", "http://[::1]:81/"))
    assert.is_false(exempt("[::1]:81", "http://[::1]/"))
    assert.is_false(exempt("x.org", "http://evilx.org/"))
    assert.is_false(exempt("www.x.org", "http://x.org/"))
    assert.is_false(exempt("x.org:81", "http://x.org/"))
    assert.is_false(exempt("0.0.1", "http://10.0.0.1/"))
    assert.is_false(exempt("", "http://x.org/"))
    assert.is_false(exempt(nil, "http://x.org/"))
  end)
end)

describe("a tunnel", function()
  -- What is behind CONNECT needs no TLS to be tested: the context is ours.
  local function context(wrap)
    return {wrap_socket = function(_, sock, opts) return wrap(sock, opts) end,
      set_alpn_protocols = function() end}
  end

  local function tunnel(answer)
    return origin.serve(function(sock, _, self)
      self.requests[#self.requests + 1] = origin.request(sock)
      sock:sendall(answer)
      while true do
        local req = origin.request(sock)
        if not req then return end
        sock:sendall(origin.answer(req.line))
      end
    end)
  end

  it("is asked for, and used", function()
    local server <close> = tunnel("HTTP/1.1 200 Connection established\r\n\r\n")
    local name
    local ctx = context(function(sock, opts)
      name = opts.server_hostname
      return sock
    end)
    local client <close> = http.Client {ssl_context = ctx,
      proxy = server.url:gsub("//", "//u:p@")}
    assert.equal("GET /a HTTP/1.1", assert(client:get("https://x.example/a")).body)
    assert.equal("GET /b HTTP/1.1", assert(client:get("https://x.example/b")).body)
    assert.equal(1, server.connections)
    assert.equal("x.example", name)
    assert.equal("CONNECT x.example:443 HTTP/1.1", server.requests[1].line)
    assert.equal("x.example:443", server.requests[1].headers.host)
    assert.equal("Basic dTpw", server.requests[1].headers["proxy-authorization"])
  end)

  it("that is refused is an error", function()
    local never = context(function() error("not to be reached") end)
    local cases = {
      {"HTTP/1.1 407 Who are you\r\nContent-Length: 1\r\n\r\nx", "proxy",
        "the proxy refused: 407 Who are you"},
      {"HTTP/1.1 302 Found\r\nLocation: http://evil/\r\n\r\n", "proxy"},
      {"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "malformed"},
      {"nonsense", "malformed"},
      {("HTTP/1.1 100 C\r\n\r\n"):rep(100), "toolarge"},
    }
    for _, case in ipairs(cases) do
      local server <close> = tunnel(case[1])
      local client <close> = http.Client {ssl_context = never, proxy = server.url}
      local res, message, code = client:get("https://x.example/")
      assert.is_nil(res)
      assert.equal(case[2], code)
      if case[3] then assert.equal(case[3], message) end
      assert.is_truthy(tostring(client):find("0 connections busy, 0 idle", 1, true))
    end
  end)

  it("that does not come in time leaves nothing", function()
    local server <close> = origin.serve(function(sock) sock:recv(1000) sock:recv(1) end)
    local client <close> = http.Client {ssl_context = context(error), proxy = server.url}
    for _, opts in ipairs {{timeout = 0.02}, {connect_timeout = 0.02}} do
      local res, message, code = client:get("https://x.example/", opts)
      assert.same({nil, "timed out", "timeout"}, {res, message, code})
    end
    local g = helper.spawn_blocked(client.get, client, "https://x.example/")
    g:kill()
    assert.is_truthy(tostring(client):find("0 connections busy, 0 idle", 1, true))
  end)

  it("in which TLS fails is closed", function()
    local server <close> = tunnel("HTTP/1.1 200 OK\r\n\r\n")
    local client <close> = http.Client {proxy = server.url,
      ssl_context = context(function() return nil, "bad certificate", "ESSL" end)}
    local res, message, code = client:get("https://x.example/")
    assert.same({nil, "bad certificate", "ESSL"}, {res, message, code})
    origin.wait_closed(server)
  end)
end)

describe("a redirection from https", function()
  -- As above: TLS is played by a proxy.
  local ctx = {wrap_socket = function(_, sock) return sock end}

  local function serve(location)
    return origin.replies(function(req)
      if req.method == "CONNECT" then return "HTTP/1.1 200 OK\r\n\r\n" end
      if req.target == "/" then
        return origin.answer("", "Location: " .. location .. "\r\n", "302 Found")
      end
      return origin.answer(req.target .. " " .. (req.headers.authorization or "-"))
    end)
  end

  local function ask(server, opts)
    local all = {proxy = server.url, ssl_context = ctx}
    for name, value in pairs(opts or {}) do all[name] = value end
    local res, message, code = http.get("https://u:p@x.example/", all)
    return res and res.body or code .. ": " .. message
  end

  it("does not lead to http, unless it may", function()
    local server <close> = serve("http://x.example/plain")
    assert.equal("redirect: redirection from https to http", ask(server))
    assert.equal("http://x.example/plain -", ask(server, {allow_downgrade = true}))
  end)

  it("may stay there, with what is secret", function()
    local server <close> = serve("/same")
    assert.equal("/same Basic dTpw", ask(server))
    local port <close> = serve("https://x.example:444/other")
    assert.equal("/other -", ask(port))
  end)
end)

describe("a Unix socket", function()
  it("is reached by its path, or a URL", function()
    local path = os.tmpname()
    os.remove(path)
    local server <close> = http.Server("unix:" .. path, function(req)
      return req.host .. " " .. req.target
    end)
    assert(server:start())
    assert.equal("docker /v1/info", http.get("http://docker/v1/info", {unix = path}).body)
    local text = "http+unix://" .. path:gsub("/", "%%2F")
    assert.equal("localhost /v1/info?a", http.get(text .. "/v1/info?a").body)
    assert.equal("localhost /", http.get(text).body)
    local client <close> = http.Client()
    assert.equal("localhost /", client:get(text).body)
    assert.equal("x /", client:get("http://x/", {unix = path}).body)
    assert.is_truthy(tostring(client):find("1 idle", 1, true))
  end)

  it("stays where redirections lead to", function()
    local path = os.tmpname()
    os.remove(path)
    local server <close> = http.Server("unix:" .. path, function(req, res)
      if req.path == "/a" then return res:redirect("http://x/b") end
      return req.target
    end)
    assert(server:start())
    assert.equal("/b", http.get("http://x/a", {unix = path}).body)
  end)

  it("that is not there is an error", function()
    local _, _, code = http.get("http://x/", {unix = "/no/such/socket"})
    assert.equal("ENOENT", code)
    assert.has_error(function() http.get("http+unix:///path") end)
  end)

  it("may have a name without a place", function()
    local name = "@gevent-spec-" .. tostring({}):match("0x%x+")
    local listener <close> = assert(socket.socket("unix"))
    assert(listener:bind(name))
    assert(listener:listen())
    local server <close> = http.Server(listener, function() return "abstract" end)
    assert(server:start())
    assert.equal("abstract", http.get("http://x/", {unix = name}).body)
  end)
end)

describe("a multipart form", function()
  local function post(parts)
    local server <close> = origin.replies(function() return origin.answer("x") end)
    assert(http.request {url = server.url, multipart = parts})
    local req = server.requests[1]
    local boundary = req.headers["content-type"]:match("^multipart/form%-data; boundary=(.+)$")
    return (req.body:gsub(boundary:gsub("%p", "%%%0"), "B")), req
  end

  it("has fields", function()
    local body, req = post {a = "1", b = 2}
    assert.equal('--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
      .. '--B\r\nContent-Disposition: form-data; name="b"\r\n\r\n2\r\n--B--\r\n', body)
    assert.equal("POST", req.method)
    assert.equal(tostring(#req.body), req.headers["content-length"])
  end)

  it("has parts in their order, with file names and types", function()
    local body = post {
      {name = "z", value = "1"},
      {name = "a", value = "<p>", filename = "x.html", type = "text/html"},
      {name = "b", value = "\0", filename = "y"},
    }
    assert.equal('--B\r\nContent-Disposition: form-data; name="z"\r\n\r\n1\r\n'
      .. '--B\r\nContent-Disposition: form-data; name="a"; filename="x.html"\r\n'
      .. 'Content-Type: text/html\r\n\r\n<p>\r\n'
      .. '--B\r\nContent-Disposition: form-data; name="b"; filename="y"\r\n'
      .. 'Content-Type: application/octet-stream\r\n\r\n\0\r\n--B--\r\n', body)
  end)

  it("has files, which are read as they are sent", function()
    local path = os.tmpname()
    local _remove <close> = helper.defer(function() os.remove(path) end)
    local file = assert(io.open(path, "wb"))
    file:write(("0123456789"):rep(20000))
    file:close()
    local body, req = post {{name = "f", path = path}, {name = "n", value = "v"}}
    assert.is_truthy(body:find('filename="' .. path:match("[^/]*$") .. '"', 1, true))
    assert.is_truthy(body:find(("0123456789"):rep(20000) .. "\r\n--B\r\n", 1, true))
    assert.equal(tostring(#req.body), req.headers["content-length"])
  end)

  it("fails where a file becomes shorter", function()
    local path = os.tmpname()
    local _remove <close> = helper.defer(function() os.remove(path) end)
    assert(io.open(path, "wb")):write(("x"):rep(1000)):close()
    local server <close> = origin.replies(function() return origin.answer("x") end)
    local function shorten()
      assert(io.open(path, "wb")):close()
    end
    local res, message, code = http.request {url = server.url, multipart = {
      {name = "first", value = shorten, length = 0}, {name = "f", path = path},
    }}
    assert.same({nil, "the file has become shorter", "truncated"}, {res, message, code})
  end)

  it("has iterators", function()
    local function pieces()
      local n = 0
      return function()
        n = n + 1
        return n <= 2 and "ab" or nil
      end
    end
    local body, req = post {{name = "i", value = pieces()}}
    assert.is_truthy(body:find("\r\n\r\nabab\r\n", 1, true))
    assert.equal("chunked", req.headers["transfer-encoding"])
    local _, counted = post {{name = "i", value = pieces(), length = 4}}
    assert.equal(tostring(#counted.body), counted.headers["content-length"])
  end)

  it("has no names that break out", function()
    local body = post {{name = 'a"\r\nX: y', value = "1", filename = '"\n'}}
    assert.is_truthy(body:find('name="a%22%0D%0AX: y"; filename="%22%0A"\r\n', 1, true))
    assert.has_error(function()
      http.request {url = "http://x/", multipart = {{name = "a", value = "", type = "a\r\nb"}}}
    end)
  end)
end)
