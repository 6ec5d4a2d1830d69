-- Redirections and cookies.

local helper = require "helper"
local http = require "gevent.http"
local origin = require "helper_origin"
local it = helper.it

--- An answer that sends the client elsewhere.
local function to(location, status, head)
  return origin.answer("moved", ("Location: %s\r\n%s"):format(location, head or ""),
    (status or 302) .. " Moved")
end

--- A server that redirects "/<status>..." to "/end", and tells there what came.
local function redirecting()
  return origin.replies(function(req)
    local status = req.target:match("^/(3%d%d)")
    if status then return to("/end", status) end
    return origin.answer(("%s %s %s %s"):format(req.method, req.target,
      req.headers["content-type"] or "-", req.body))
  end)
end

local function ask(url, opts)
  local all = {url = url}
  for name, value in pairs(opts or {}) do all[name] = value end
  local res, message, code = http.request(all)
  if not res then return code .. ": " .. message end
  return res.status == 200 and res.body or res.status
end

describe("a redirection", function()
  it("changes the method as RFC 9110 says", function()
    local server <close> = redirecting()
    local after = {
      GET = {[301] = "GET", [302] = "GET", [303] = "GET", [307] = "GET", [308] = "GET"},
      POST = {[301] = "GET", [302] = "GET", [303] = "GET", [307] = "POST", [308] = "POST"},
      PUT = {[301] = "PUT", [302] = "PUT", [303] = "GET", [307] = "PUT", [308] = "PUT"},
      DELETE = {[301] = "DELETE", [303] = "GET", [307] = "DELETE"},
    }
    for method, statuses in pairs(after) do
      for status, expected in pairs(statuses) do
        local body = method ~= "GET" and "data" or nil
        local kept = expected ~= "GET" and "text/x data" or method == "GET" and "text/x "
          or "- "
        assert.equal(("%s /end %s"):format(expected, kept), ask(server.url .. "/" .. status,
          {method = method, body = body, headers = {["Content-Type"] = "text/x"}}))
      end
    end
    local res = assert(http.request {url = server.url .. "/303", method = "HEAD"})
    assert.equal("HEAD", server.requests[#server.requests].method)
    assert.equal(server.url .. "/end", res.url)
  end)

  it("is followed only where it says where to", function()
    local server <close> = origin.replies(function(req)
      return origin.answer("x", req.target == "/with" and "Location: /a\r\n" or "",
        "302 Found")
    end)
    assert.equal(302, ask(server.url .. "/without"))
    local others <close> = origin.replies(function(req)
      return to("/end", req.target:sub(2))
    end)
    for _, status in ipairs {201, 300, 304, 305, 306, 399} do
      assert.equal(status, ask(others.url .. "/" .. status))
    end
  end)

  it("comes back where none is to be followed", function()
    local server <close> = redirecting()
    local res = assert(http.get(server.url .. "/302", {redirects = 0}))
    assert.equal(302, res.status)
    assert.equal("/end", res.headers.location)
    assert.equal("moved", res.body)
    assert.equal(302, http.get(server.url .. "/302", {redirects = false}).status)
    assert.equal(302, http.get(server.url .. "/302", {redirects = 0, stream = true}).status)
  end)

  it("leads where RFC 3986 says", function()
    local location
    local server <close> = origin.replies(function(req)
      if req.target == "/a/b/c?q" then return to(location) end
      return origin.answer(req.target)
    end)
    local cases = {
      ["d"] = "/a/b/d", ["./d"] = "/a/b/d", ["../d"] = "/a/d", ["../../d"] = "/d",
      ["../../../d"] = "/d", ["/d"] = "/d", ["?x"] = "/a/b/c?x", ["d?x#f"] = "/a/b/d?x",
      ["d/"] = "/a/b/d/", ["."] = "/a/b/", [".."] = "/a/", ["../.."] = "/",
      ["/d/./e/../f"] = "/d/f", ["/d?../e"] = "/d?../e", ["//" .. server.host .. ":"
        .. server.port .. "/d"] = "/d", [server.url .. "/d"] = "/d", [server.url] = "/",
      ["/%41 \u{e9}"] = "/%41%20%C3%A9", ["a:b/c"] = "bad", ["./a:b"] = "/a/b/a:b",
      ["#f"] = "/a/b/c?q",
    }
    for reference, expected in pairs(cases) do
      location = reference
      local got = ask(server.url .. "/a/b/c?q")
      if expected == "bad" then
        assert.equal("redirect: bad redirection: no scheme and host", got)
      elseif reference == "#f" then
        assert.equal("redirect: more than 5 redirections", got)
      else
        assert.equal(expected, got, reference)
      end
    end
  end)

  it("to what is no place for us is an error", function()
    local location
    local server <close> = origin.replies(function() return to(location) end)
    for _, where in ipairs {"ftp://h/", "file:///etc/passwd", "javascript:alert(1)", "http://",
      "http://a b/", "http://h:99999/", "http+unix://%2Ftmp%2Fx/", "http://a\\@b/"} do
      location = where
      assert.is_truthy(ask(server.url):find("^redirect: bad redirection"), where)
    end
  end)

  it("sends a body again only if it can", function()
    local server <close> = redirecting()
    assert.equal("POST /end - again", ask(server.url .. "/307", {body = "again"}))
    local function once()
      local n = 0
      return function()
        n = n + 1
        return n == 1 and "once" or nil
      end
    end
    assert.equal("redirect: redirection of a body that cannot be sent again",
      ask(server.url .. "/307", {body = once()}))
    assert.equal("GET /end - ", ask(server.url .. "/303", {body = once()}))
    assert.equal(("POST /end - "):len() + 100000,
      #ask(server.url .. "/308", {body = ("x"):rep(100000)}))
  end)

  it("goes over the same connection, if it can", function()
    local server <close> = redirecting()
    local client <close> = http.Client()
    assert.equal("GET /end - ", client:get(server.url .. "/302").body)
    assert.equal(1, server.connections)
    local big <close> = origin.replies(function(req)
      if req.target == "/end" then return origin.answer("end") end
      return to("/end"):gsub("Content%-Length: 5", "Content-Length: 1000000")
    end)
    assert.equal("end", client:get(big.url .. "/x").body)
    assert.equal(2, big.connections)
  end)

  it("is followed for streamed answers too", function()
    local server <close> = redirecting()
    local res <close> = assert(http.get(server.url .. "/302", {stream = true}))
    assert.equal("GET /end - ", res:read("a"))
  end)

  it("counts into the time-out", function()
    local server <close> = origin.replies(function(req)
      require "gevent".sleep(0.02)
      return to(req.target)
    end)
    local res, _, code = http.get(server.url, {timeout = 0.05, redirects = 100})
    assert.is_nil(res)
    assert.equal("timeout", code)
  end)
end)

describe("what is secret", function()
  local secrets = {headers = {Authorization = "Bearer x", Cookie = "a=b",
    ["Proxy-Authorization"] = "y", Host = "mine", ["X-Other"] = "z"}}

  --- Two servers; the first redirects to `location(second)`. What the second
  -- was sent.
  local function seen(location, prefix)
    local second <close> = origin.replies(function() return origin.answer("x") end)
    local first <close> = origin.replies(function() return to(location(second)) end)
    local url = first.url:gsub("//", "//" .. (prefix or ""))
    assert(http.get(url, secrets.now or secrets))
    return second.requests[1].headers, second
  end

  it("does not go to another server", function()
    local headers, second = seen(function(second) return second.url end)
    assert.is_nil(headers.authorization)
    assert.is_nil(headers.cookie)
    assert.is_nil(headers["proxy-authorization"])
    assert.equal("z", headers["x-other"])
    assert.equal(second.host .. ":" .. second.port, headers.host)
  end)

  it("does not go to another name of the same", function()
    local headers = seen(function(second) return "http://localhost:" .. second.port end)
    assert.is_nil(headers.authorization)
    assert.is_nil(headers.cookie)
  end)

  it("goes back to the same server", function()
    local server <close> = origin.replies(function(req)
      return req.target == "/" and to("/again") or origin.answer("x")
    end)
    assert(http.get(server.url .. "/", secrets))
    local headers = server.requests[2].headers
    assert.equal("Bearer x", headers.authorization)
    assert.equal("a=b", headers.cookie)
    assert.equal("mine", headers.host)
  end)

  it("does not come back after a detour", function()
    local second
    local first <close> = origin.replies(function(req)
      return req.target == "/" and to(second.url) or origin.answer("x")
    end)
    second = origin.replies(function() return to(first.url .. "/back") end)
    local _close <close> = second
    assert(http.get(first.url .. "/", secrets))
    assert.is_nil(first.requests[2].headers.authorization)
  end)

  it("of the URL stays with its server, and the next may have its own", function()
    local second <close> = origin.replies(function() return origin.answer("x") end)
    local location = second.url
    local first <close> = origin.replies(function(req)
      if req.target == "/" then return to("/same") end
      if req.target == "/same" then return to("http://" .. req.headers.host .. "/whole") end
      return to(location)
    end)
    local url = first.url:gsub("//", "//user:secret@") .. "/"
    assert(http.get(url))
    assert.is_string(first.requests[1].headers.authorization)
    for i = 2, 3 do
      assert.equal(first.requests[1].headers.authorization,
        first.requests[i].headers.authorization)
    end
    assert.is_nil(second.requests[1].headers.authorization)
    location = second.url:gsub("//", "//other:word@")
    assert(http.get(url))
    assert.equal("Basic b3RoZXI6d29yZA==", second.requests[2].headers.authorization)
  end)
end)

describe("cookies", function()
  local cookies = require "gevent.http.cookies"
  local url = require "gevent.http.url"

  --- What a jar sends to `to` after `from` has set these.
  local function sent(from, values, target)
    local jar = cookies.CookieJar()
    jar:_take(assert(url.parse(from)), type(values) == "table" and values or {values})
    return (jar:_field(assert(url.parse(target or from))):gsub("^Cookie: (.*)\r\n$", "%1"))
  end

  it("are kept by a client that is told to", function()
    local server <close> = origin.replies(function(req)
      return origin.answer(req.headers.cookie or "none",
        req.target == "/set" and "Set-Cookie: a=1\r\nSet-Cookie: b=2; Path=/x\r\n" or "")
    end)
    local client <close> = http.Client {cookies = true}
    assert.equal("none", client:get(server.url .. "/set").body)
    assert.equal("a=1", client:get(server.url .. "/").body)
    assert.equal("b=2; a=1", client:get(server.url .. "/x/y").body)
    assert.equal("c=3", client:get(server.url, {headers = {Cookie = "c=3"}}).body)
    assert.equal("none", client:get(server.url, {cookies = false}).body)
    assert.equal(2, #client.cookies)
    local without <close> = http.Client()
    without:get(server.url .. "/set")
    assert.equal("none", without:get(server.url).body)
    local jar = http.CookieJar()
    http.get(server.url .. "/set", {cookies = jar})
    assert.equal("a=1", http.get(server.url, {cookies = jar}).body)
  end)

  it("are taken from redirections", function()
    local server <close> = origin.replies(function(req)
      if req.target == "/login" then return to("/home", 303, "Set-Cookie: session=1\r\n") end
      return origin.answer(req.headers.cookie or "none")
    end)
    assert.equal("session=1", http.get(server.url .. "/login",
      {cookies = http.CookieJar()}).body)
  end)

  it("go back to the host that set them, or its domain", function()
    assert.equal("a=1", sent("http://www.x.org/", "a=1"))
    assert.equal("", sent("http://www.x.org/", "a=1", "http://x.org/"))
    assert.equal("", sent("http://x.org/", "a=1", "http://www.x.org/"))
    assert.equal("a=1", sent("http://www.x.org/", "a=1; Domain=x.org", "http://ftp.x.org/"))
    assert.equal("a=1", sent("http://www.x.org/", "a=1; domain=.X.ORG", "http://x.org/"))
    assert.equal("", sent("http://www.x.org/", "a=1; Domain=x.org", "http://evilx.org/"))
    assert.equal("", sent("http://www.x.org/", "a=1; Domain=y.org", "http://y.org/"))
    assert.equal("", sent("http://x.org/", "a=1; Domain=www.x.org", "http://www.x.org/"))
    assert.equal("", sent("http://x.org/", "a=1; Domain=org", "http://y.org/"))
    assert.equal("", sent("http://10.0.0.1/", "a=1; Domain=0.0.1", "http://10.0.0.1/"))
    assert.equal("a=1", sent("http://x.org/", "a=1", "http://x.org:8080/"))
  end)

  it("go to the paths they are for", function()
    assert.equal("a=1", sent("http://x.org/p/q", "a=1", "http://x.org/p/r"))
    assert.equal("", sent("http://x.org/p/q", "a=1", "http://x.org/"))
    assert.equal("", sent("http://x.org/p", "a=1; Path=/p", "http://x.org/pq"))
    assert.equal("a=1", sent("http://x.org/p", "a=1; Path=/p", "http://x.org/p?q"))
    assert.equal("a=1", sent("http://x.org/p", "a=1; Path=p", "http://x.org/"))
    assert.equal("b=2; a=1", sent("http://x.org/p/", {"a=1; Path=/", "b=2; Path=/p"}))
  end)

  it("that are secure go over TLS only, and come over it only", function()
    assert.equal("a=1", sent("https://x.org/", "a=1; Secure"))
    assert.equal("", sent("https://x.org/", "a=1; Secure", "http://x.org/"))
    assert.equal("", sent("http://x.org/", "a=1; Secure", "https://x.org/"))
    assert.equal("", sent("http://x.org/", "__Secure-a=1"))
    assert.equal("__Host-a=1", sent("https://x.org/", "__Host-a=1; Secure; Path=/"))
    assert.equal("", sent("https://x.org/", "__Host-a=1; Secure; Path=/; Domain=x.org"))
  end)

  it("end when their time is over", function()
    assert.equal("a=1", sent("http://x.org/", "a=1; Max-Age=60"))
    assert.equal("", sent("http://x.org/", "a=1; Max-Age=0"))
    assert.equal("", sent("http://x.org/", "a=1; Max-Age=-1"))
    assert.equal("", sent("http://x.org/", {"a=1", "a=; Max-Age=0"}))
    assert.equal("a=1", sent("http://x.org/", "a=1; Expires=Fri, 31 Dec 2100 23:59:59 GMT"))
    assert.equal("", sent("http://x.org/", "a=1; Expires=Thu, 01 Jan 1970 00:00:01 GMT"))
    assert.equal("", sent("http://x.org/", "a=1; Expires=Sunday, 06-Nov-94 08:49:37 GMT"))
    assert.equal("", sent("http://x.org/", "a=1; Expires=Sun Nov  6 08:49:37 1994"))
    assert.equal("a=1", sent("http://x.org/", "a=1; Expires=whenever"))
    assert.equal("a=1", sent("http://x.org/",
      "a=1; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:01 GMT"))
  end)

  it("are computed in days that are right", function()
    local jar = cookies.CookieJar()
    jar:_take(url.parse("http://x.org/"),
      {"a=1; Expires=Mon, 29 Feb 2096 12:34:56 GMT", "b=1; Expires=Fri, 01 Jan 2100 00:00:00 GMT"})
    local found = {}
    for cookie in jar:each() do found[cookie.name] = cookie.expires end
    assert.same({a = 3981357296, b = 4102444800}, found)
  end)

  it("replace those of the same name, and are odd at times", function()
    assert.equal("a=2", sent("http://x.org/", {"a=1", "a=2"}))
    assert.equal("a=b=c", sent("http://x.org/", " a = b=c "))
    assert.equal("a=", sent("http://x.org/", "a="))
    assert.equal("", sent("http://x.org/", "a"))
    assert.equal("", sent("http://x.org/", "=1"))
    assert.equal("", sent("http://x.org/", ""))
    assert.equal("a=1", sent("http://x.org/", "a=1;;; ; Foo=bar;HttpOnly"))
  end)

  it("are bounded", function()
    assert.equal("", sent("http://x.org/", "a=" .. ("x"):rep(4096)))
    local jar = cookies.CookieJar()
    for i = 1, 60 do jar:_take(url.parse("http://x.org/"), {("c%d=1"):format(i)}) end
    assert.equal(50, #jar)
    assert.is_truthy(jar:_field(url.parse("http://x.org/")):find("c60=1", 1, true))
    assert.is_nil(jar:_field(url.parse("http://x.org/")):find("c10=1", 1, true))
    jar:clear("y.org")
    assert.equal(50, #jar)
    jar:clear()
    assert.equal(0, #jar)
    assert.is_truthy(tostring(jar):find("0 cookies", 1, true))
  end)
end)
