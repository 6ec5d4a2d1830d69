-- The client and servers that others wrote: python3's http.server, nginx; and
-- h11 as a strict referee of what the client sends. Each is pending where it is
-- not installed.

local helper = require "helper"
local gevent = require "gevent"
local http = require "gevent.http"
local socket = require "gevent.socket"
local it = helper.it

local function free_port()
  local listener <close> = assert(socket.create_server("127.0.0.1:0"))
  return select(2, listener:getsockname())
end

local function has(command)
  return os.execute(command .. " >/dev/null 2>&1") == true
end

--- Runs a shell command until the scope is left (its standard input ends);
-- waits until something listens on the port.
local function running(command, port)
  local pipe = assert(io.popen(command, "w"))
  helper.wait_until(function()
    local sock <close> = socket.create_connection("127.0.0.1", port)
    return sock ~= nil
  end, 15)
  return helper.defer(function() pipe:close() end)
end

local function scratch()
  local path = os.tmpname()
  os.remove(path)
  assert(os.execute("mkdir " .. path))
  return path, helper.defer(function() os.execute("rm -rf " .. path) end)
end

local function write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  file:write(text)
end

local UNTIL_END = "import sys, threading; "
  .. "threading.Thread(target=lambda: (sys.stdin.read(), __import__('os')._exit(0)),"
  .. " daemon=True).start(); "

describe("python3's http.server", function()
  local python = has "/usr/bin/python3 -c 'import http.server'"
  if not python then return pending("needs python3") end

  it("serves the client", function()
    local dir, _dir <close> = scratch()
    write(dir .. "/file", ("0123456789"):rep(100000))
    local port = free_port()
    local _server <close> = running(("cd %s && exec /usr/bin/python3 -c \"%simport http.server; "
      .. "http.server.ThreadingHTTPServer(('127.0.0.1', %d), "
      .. "http.server.SimpleHTTPRequestHandler).serve_forever()\" 2>/dev/null"):format(
      dir, UNTIL_END, port), port)
    local url = ("http://127.0.0.1:%d"):format(port)
    local client <close> = http.Client {timeout = 5 * helper.scale}
    local res = assert(client:get(url .. "/file"))
    assert.equal("1.0", res.version)
    assert.equal(1000000, #res.body)
    assert.equal(404, client:get(url .. "/no such file").status)
    assert.equal(501, client:post(url .. "/file", "x").status)
    res = assert(client:request {url = url .. "/file", method = "HEAD"})
    assert.equal("1000000", res.headers["content-length"])
    local streamed <close> = assert(client:get(url .. "/file", {stream = true}))
    local n = 0
    for piece in streamed:chunks() do n = n + #piece end
    assert.equal(1000000, n)
  end, {deadline = 20})
end)

local NGINX = [[
worker_processes 1; daemon off; master_process off;
pid @DIR@/pid; error_log @DIR@/error.log;
events { worker_connections 64; }
http {
  access_log off; client_body_temp_path @DIR@/b; proxy_temp_path @DIR@/p;
  fastcgi_temp_path @DIR@/f; uwsgi_temp_path @DIR@/u; scgi_temp_path @DIR@/s;
  default_type text/plain; gzip on; gzip_types *; gzip_min_length 1; keepalive_requests 50;
  server {
    listen 127.0.0.1:@PORT@; root @DIR@/www;
    location = /moved { return 301 /file; }
    location = /put { client_max_body_size 0; return 200 "$request_method"; }
  }
}
]]

describe("nginx", function()
  if not has "nginx -v" then return pending("needs nginx") end

  it("serves the client", function()
    local dir, _dir <close> = scratch()
    assert(os.execute("mkdir " .. dir .. "/www"))
    local text = ("0123456789"):rep(100000)
    write(dir .. "/www/file", text)
    local port = free_port()
    write(dir .. "/conf", (NGINX:gsub("@(%u+)@", {DIR = dir, PORT = port})))
    local _server <close> = running(("nginx -p %s -c %s/conf 2>/dev/null & pid=$!; cat; "
      .. "kill $pid; wait $pid 2>/dev/null"):format(dir, dir), port)
    local url = ("http://127.0.0.1:%d"):format(port)
    local client <close> = http.Client {timeout = 5 * helper.scale}
    local res = assert(client:get(url .. "/file"))
    assert.equal("gzip", res.encoding) -- and in chunks
    assert.equal(text, res.body)
    assert.equal(text, client:get(url .. "/file", {decompress = false,
      headers = {["Accept-Encoding"] = "identity"}}).body)
    assert.equal(url .. "/file", client:get(url .. "/moved").url)
    assert.equal(405, client:post(url .. "/file", ("x"):rep(200000)).status)
    local part = assert(client:get(url .. "/file", {headers = {Range = "bytes=0-9"}}))
    assert.equal(206, part.status)
    assert.equal("", client:request({url = url .. "/file", method = "HEAD"}).body)
    local greenlets = {}
    for i = 1, 200 do -- beyond the requests that one connection may carry
      greenlets[i] = gevent.spawn(function() return #assert(client:get(url .. "/file")).body end)
    end
    for _, g in ipairs(gevent.joinall(greenlets, nil, {raise_error = true})) do
      assert.equal(#text, g:get())
    end
  end, {deadline = 30})
end)

local REFEREE = [[
import h11, socket, sys
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(('127.0.0.1', @PORT@)); s.listen(5)
def serve(c):
    conn = h11.Connection(h11.SERVER)
    while True:
        said, body = '', b''
        while True:
            event = conn.next_event()
            if event is h11.NEED_DATA:
                data = c.recv(65536)
                conn.receive_data(data)
            elif isinstance(event, h11.Request):
                said = event.method.decode() + ' ' + event.target.decode()
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, (h11.EndOfMessage, h11.ConnectionClosed)):
                break
        if isinstance(event, h11.ConnectionClosed): return
        out = (said + ' ' + str(len(body))).encode()
        c.sendall(conn.send(h11.Response(status_code=200,
            headers=[('Content-Length', str(len(out)))])))
        c.sendall(conn.send(h11.Data(data=out)) + conn.send(h11.EndOfMessage()))
        if conn.our_state is h11.MUST_CLOSE: return
        conn.start_next_cycle()
def run(c):
    try: serve(c)
    except h11.RemoteProtocolError as e: c.sendall(b'HTTP/1.1 400 ' + str(e).encode()
        + b'\r\n\r\n')
    c.close()
while True:
    threading.Thread(target=run, args=(s.accept()[0],), daemon=True).start()
]]

describe("h11", function()
  if not has "/usr/bin/python3 -c 'import h11'" then return pending("needs python3-h11") end

  it("accepts what the client sends", function()
    local dir, _dir <close> = scratch()
    local port = free_port()
    write(dir .. "/referee.py", UNTIL_END .. "\n" .. REFEREE:gsub("@PORT@", port))
    local _server <close> = running("exec /usr/bin/python3 " .. dir .. "/referee.py", port)
    local url = ("http://127.0.0.1:%d"):format(port)
    local client <close> = http.Client {timeout = 5 * helper.scale}
    local function parts()
      local n = 0
      return function()
        n = n + 1
        return n < 4 and ("x"):rep(n * 1000) or nil
      end
    end
    local function ask(opts)
      opts.url = url .. (opts.path or "/")
      local res = assert(client:request(opts))
      return res.status == 200 and res.body or res.status .. " " .. res.reason
    end
    assert.equal("GET / 0", ask {})
    assert.equal("GET /a%20b?c 0", ask {path = "/a b?c"})
    assert.equal("POST / 3", ask {body = "abc"})
    assert.equal("POST / 6000", ask {body = parts()})
    assert.equal("PUT / 6000", ask {method = "PUT", body = parts(),
      headers = {["Content-Length"] = 6000}})
    assert.equal("POST / 200000", ask {body = ("x"):rep(200000)})
    assert.equal("POST / 0", ask {method = "POST"})
    assert.equal("POST / 7", ask {form = {a = "b", c = "d"}})
    assert.matches("^POST / %d+$", ask {multipart = {a = "b"}})
    assert.equal("DELETE /x 0", ask {path = "/x", method = "DELETE",
      headers = {["X-A"] = {"1", ""}}})
    assert.equal("GET / 0", http.get(url).body)
  end, {deadline = 20})
end)
