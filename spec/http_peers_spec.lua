-- The server and programs of others: curl, ab, wrk, nginx in front. Each runs
-- beside the server; a spec whose program is not installed is pending.

local helper = require "helper"
local gevent = require "gevent"
local http = require "gevent.http"
local process = require "helper_process"
local socket = require "gevent.socket"
local web = require "helper_http"
local it = helper.it

local quote = process.quote

local function has(program)
  return os.execute("command -v " .. program .. " >/dev/null 2>&1") == true
end

local function where(program) return has(program) and it or pending end

--- Runs a command of the shell's while the greenlets go on; its exit code and
-- what it printed.
local function run(command)
  local out = os.tmpname()
  local done = out .. ".done"
  local _ <close> = helper.defer(function() os.remove(out) os.remove(done) end)
  os.execute(("{ { %s ; } >%s 2>&1 </dev/null; echo $? >%s.new; mv %s.new %s; } &"):format(
    command, out, done, done, done))
  local code = helper.wait_until(function()
    gevent.sleep(0.002)
    return tonumber((helper.slurp(done)))
  end, 20)
  return math.tointeger(code), helper.slurp(out)
end

--- A directory of its own: `local dir <close> = scratch()`, then `dir.path`.
local function scratch()
  local path = os.tmpname()
  os.remove(path)
  os.execute("mkdir -p " .. quote(path))
  return setmetatable({path = path}, {__close = function()
    os.execute("rm -rf " .. quote(path))
  end})
end

local function put(path, text)
  local f <close> = assert(io.open(path, "wb"))
  assert(f:write(text))
end

local BIG = ("0123456789abcdef"):rep(20000)

local function app(root)
  local router = http.Router()
  router:any("/echo", function(req) return req:body() end)
  router:get("/hello", function() return "hello" end)
  router:get("/slow/:n", function(req)
    gevent.sleep(tonumber(req.params.n) / 1000)
    return "slow"
  end)
  router:get("/stream", function(_, res)
    for i = 1, 5 do
      res:write("part " .. i .. "\n")
      gevent.sleep(0)
    end
  end)
  router:post("/form", function(req)
    local form = assert(req:form())
    return form.field .. "|" .. form.file.filename .. "|" .. #form.file:read("a")
  end)
  router:get("/peer", function(req) return req.remote_host .. ":" .. req.remote_port end)
  router:mount("/files", http.files(root))
  return router
end

local function serve(root, opts)
  opts = opts or {}
  opts.max_body_bytes = 10 * #BIG
  return web.serve(app(root), opts)
end

describe("curl", function()
  --- Runs curl with arguments in which @ is the server's address, AT is @.
  local function curl(server, arguments)
    local command = "curl -sS -m 10 " .. arguments:gsub("@", "http://127.0.0.1:" .. server.port)
      :gsub("AT", "@")
    local code, out = run(command)
    assert.equal(0, code, out)
    return out
  end

  where "curl"("gets, keeps connections, posts and streams", function()
    local dir <close> = scratch()
    local server <close> = serve(dir.path)
    assert.equal("hello", curl(server, "@/hello"))
    assert.equal("hello1hello0", curl(server, "-w '%{num_connects}' @/hello @/hello"))
    assert.equal("part 1\npart 2\npart 3\npart 4\npart 5\n", curl(server, "-N @/stream"))
    assert.equal("abc", curl(server, "-d abc @/echo"))
    assert.matches("^HTTP/1.1 200 OK\r\n", curl(server, "-I @/hello"))
    assert.equal("hello", curl(server, "--http1.0 @/hello"))
  end)

  where "curl"("uploads: with Expect, in chunks, as a form", function()
    local dir <close> = scratch()
    local server <close> = serve(dir.path)
    put(dir.path .. "/up", BIG)
    local up = dir.path .. "/up"
    local function same(text) assert.is_true(text == BIG, text:sub(1, 200)) end
    same(curl(server, "-H 'Expect: 100-continue' --data-binary AT" .. up .. " @/echo"))
    same(curl(server, "-X POST -H 'Transfer-Encoding: chunked' --data-binary AT" .. up
      .. " @/echo"))
    same(curl(server, "-X PUT -T " .. up .. " @/echo"))
    assert.equal("a b|up|" .. #BIG, curl(server, "-F 'field=a b' -F file=AT" .. up .. " @/form"))
  end)

  where "curl"("resumes, asks for parts, and for what has changed", function()
    local dir <close> = scratch()
    local server <close> = serve(dir.path, {compress = true})
    put(dir.path .. "/big.txt", BIG)
    local got = dir.path .. "/got"
    put(got, BIG:sub(1, 1000))
    curl(server, "-C - -o " .. got .. " @/files/big.txt")
    assert.is_true(helper.slurp(got) == BIG)
    assert.equal("12", curl(server, "-r 1-2 @/files/big.txt"))
    assert.matches("multipart/byteranges", curl(server, "-r 0-0,2-2 -i @/files/big.txt"))
    assert.is_true(curl(server, "--compressed @/files/big.txt") == BIG)
    local tag = dir.path .. "/tag"
    assert.equal("200", curl(server, ("--etag-save %s -o %s -w '%%{http_code}' @/files/big.txt")
      :format(tag, got)))
    assert.equal("304", curl(server, ("--etag-compare %s -o %s -w '%%{http_code}' "
      .. "@/files/big.txt"):format(tag, got)))
    assert.equal("304", curl(server, ("-z %s -o /dev/null -w '%%{http_code}' @/files/big.txt")
      :format(got)))
  end)
end)

describe("a load generator", function()
  where "ab"("ab finds no failure", function()
    local dir <close> = scratch()
    local server <close> = serve(dir.path)
    for _, options in ipairs {"-k", "", "-k -i"} do
      local code, out = run(("ab -q -n 300 -c 10 %s http://127.0.0.1:%d/hello"):format(options,
        server.port))
      assert.equal(0, code, out)
      assert.matches("Complete requests: +300\n", out)
      assert.matches("Failed requests: +0\n", out)
      assert.not_matches("Non%-2xx", out)
      assert.is_true(not options:find("-k") or out:find("Keep%-Alive requests: +300\n") ~= nil)
    end
  end)

  where "wrk"("wrk finds no failure", function()
    local dir <close> = scratch()
    local server <close> = serve(dir.path)
    local code, out = run(("wrk -t 1 -c 16 -d 1 http://127.0.0.1:%d/hello"):format(server.port))
    assert.equal(0, code, out)
    assert.matches("requests in", out)
    assert.not_matches("Socket errors", out)
    assert.not_matches("Non%-2xx", out)
  end)
end)

describe("nginx in front", function()
  local CONF = [[
daemon off; master_process off; pid %s/pid; error_log stderr warn;
events { worker_connections 64; }
http {
  access_log off;
  client_body_temp_path %s/body; proxy_temp_path %s/proxy;
  fastcgi_temp_path %s/fastcgi; uwsgi_temp_path %s/uwsgi; scgi_temp_path %s/scgi;
  upstream app { server 127.0.0.1:%d; keepalive 4; }
  server {
    listen 127.0.0.1:%d;
    location / {
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }
  }
}
]]

  local function free_port()
    local listener <close> = assert(socket.create_server("127.0.0.1:0"))
    local _, port = listener:getsockname()
    return port
  end

  --- Starts nginx for a server: an object with its port, closed with it.
  local function proxy(server, dir)
    local port = free_port()
    put(dir .. "/conf", CONF:format(dir, dir, dir, dir, dir, dir, server.port, port))
    os.execute(("nginx -p %s -e stderr -c %s/conf >%s/log 2>&1 </dev/null & "
      .. "echo $! >%s/own"):format(dir, dir, dir, dir))
    local pid = assert(tonumber((helper.slurp(dir .. "/own"))))
    local self = setmetatable({port = port}, {__close = function()
      os.execute(("kill %d 2>/dev/null"):format(pid))
      helper.wait_until(function()
        local stat = helper.slurp(("/proc/%d/stat"):format(pid))
        return not stat or stat:find(") Z ", 1, true)
      end)
    end})
    local started = pcall(helper.wait_until, function()
      local sock <close> = socket.create_connection("127.0.0.1", port)
      return sock
    end)
    assert(started, helper.slurp(dir .. "/log"))
    return self
  end

  where "nginx"("keeps its connections, and gets all right", function()
    local dir <close> = scratch()
    put(dir.path .. "/big.txt", BIG)
    local server <close> = serve(dir.path)
    local front <close> = proxy(server, dir.path)
    local peers = {}
    for _ = 1, 10 do peers[web.ask(front, "GET", "/peer").body] = true end
    local first = next(peers)
    assert.is_nil(next(peers, first)) -- one connection for all
    local sock <close> = web.connect(front)
    for i = 1, 20 do
      local body = BIG:sub(1, i * 1000)
      assert(sock:sendall(web.request("POST", "/echo", nil, body)))
      assert.is_true(web.response(sock).body == body)
      assert(sock:sendall(web.request("POST", "/echo", "Transfer-Encoding: chunked\r\n")
        .. "3\r\nabc\r\n0\r\n\r\n"))
      assert.equal("abc", web.response(sock).body)
    end
    assert.equal("part 1\npart 2\npart 3\npart 4\npart 5\n", web.ask(front, "GET", "/stream").body)
    assert.is_true(web.ask(front, "GET", "/files/big.txt").body == BIG)
    assert.equal("12", web.ask(front, "GET", "/files/big.txt", "Range: bytes=1-2\r\n").body)
    assert.equal("5", web.ask(front, "HEAD", "/hello").headers["content-length"])
    assert.equal(404, web.ask(front, "GET", "/nothing").status)
    local greenlets = {}
    for i = 1, 20 do
      greenlets[i] = gevent.spawn(function() return web.ask(front, "GET", "/slow/" .. i).body end)
    end
    gevent.joinall(greenlets)
    for i = 1, 20 do assert.equal("slow", greenlets[i]:get()) end
  end, {deadline = 30})
end)
