-- The service of the soak (see soak.lua), and the jobs that its clients do.
--   local service = dofile "spec/soak/service.lua" (try, complain)
-- `try(result, message, code)` passes results on, and raises for a failure that
-- may be; `complain(text)` is for what may not.
local gevent = require "gevent"
local fileobject = require "gevent.fileobject"
local http = require "gevent.http"
local queue = require "gevent.queue"
local resolver = require "gevent.resolver"
local server = require "gevent.server"
local socket = require "gevent.socket"
local ssl = require "gevent.ssl"
local subprocess = require "gevent.subprocess"
local threadpool = require "gevent.threadpool"
local websocket = require "gevent.websocket"

local CERT, KEY = os.getenv "SOAK_CERT", os.getenv "SOAK_KEY"
local CA = os.getenv "SOAK_CA" or CERT
local MAX_CHILDREN = 3 -- at a time

local random = math.random
local silent = {write = function() end}

return function(try, complain)
  -- Servers -----------------------------------------------------------------------

  local function chat(req, res)
    local ws <close> = websocket.upgrade(req, res, {deflate = random(2) == 1, timeout = 1})
    if not ws then return end
    for data, kind in ws:messages() do
      if not ws:send(data, kind) then return end
    end
  end

  local function answer(req, res)
    local path = req.path
    if path == "/ws" then return chat(req, res) end
    if path == "/slow" then gevent.sleep(0.005) end
    if path == "/chunks" then
      for i = 1, 5 do try(res:write(("%d"):format(i):rep(random(2000)))) end
      return res:finish()
    elseif path == "/redirect" then
      return res:redirect("/there")
    elseif path == "/file" then
      return res:sendfile("spec/soak/service.lua")
    end
    local body = req:body()
    return (body or "") .. path
  end

  local function echo(sock)
    while true do
      local data = sock:recv(8192)
      if not data or data == "" then return end
      if not sock:sendall(data) then return end
    end
  end

  -- A name server that knows one address, and does not always answer.
  local function answernames(sock)
    while true do
      local query, host, port = sock:recvfrom(600)
      if port == "EBADF" then return end
      if query and #query > 16 and random(20) > 1 then
        local kind = string.unpack(">I2", query, query:find("\0", 13, true) + 1)
        local question = query:sub(13, query:find("\0", 13, true) + 4)
        local count = kind == 1 and 1 or 0
        sock:sendto(query:sub(1, 2) .. string.pack(">I2I2I2I2I2", 0x8180, 1, count, 0, 0)
          .. question .. (count == 1 and "\xc0\x0c\0\1\0\1\0\0\0\60\0\4\10\0\0\1" or ""),
          host, port)
      end
    end
  end

  local function startnames(self)
    self.nameserver = assert(socket.socket("inet", "dgram"))
    assert(self.nameserver:bind("127.0.0.1", 0))
    local _, port = self.nameserver:getsockname()
    self.naming = gevent.spawn(answernames, self.nameserver)
    self.names = resolver.Ares{servers = {"127.0.0.1:" .. port}, timeout = 0.1, tries = 2,
      hosts = false, domains = {}}
  end

  local service = {open = {}} -- open: sockets of clients, for whoever closes others'

  function service.start()
    local self = {children = 0}
    self.http = http.Server("127.0.0.1:0", answer, {log = silent, error_log = silent,
      compress = true, header_timeout = 1, body_timeout = 1, keepalive_timeout = 1,
      write_timeout = 1})
    assert(self.http:start())
    self.url = "http://127.0.0.1:" .. self.http.port
    self.client = http.Client{timeout = 1, max_per_host = 8, cookies = true}
    self.echo = server.StreamServer("127.0.0.1:0", echo, {error_log = silent})
    assert(self.echo:start())
    if CERT then
      self.context = assert(ssl.create_default_context{cafile = CA})
      self.tls = server.StreamServer("127.0.0.1:0", echo, {error_log = silent,
        ssl_context = assert(ssl.create_default_context{role = "server", cert = CERT,
          key = KEY})})
      assert(self.tls:start())
    end
    self.items = queue.Queue(10)
    self.threads = threadpool.ThreadPool(2)
    startnames(self)
    return self
  end

  function service.stop(self)
    self.client:close()
    self.http:stop(0.1)
    self.echo:stop(0.1)
    if self.tls then self.tls:stop(0.1) end
    self.items:close()
    self.threads:kill()
    self.names:close()
    self.nameserver:close()
    self.naming:kill()
  end

  -- Jobs --------------------------------------------------------------------------

  local open = service.open
  local guard = {__close = function(self)
    open[self[1]] = nil
    self[1]:close()
  end}

  local function connect(port, opts)
    local sock = try(socket.create_connection("127.0.0.1", port, opts))
    open[sock] = true
    sock:settimeout(1)
    return sock
  end

  local function talk(sock)
    for _ = 1, random(4) do
      local text = ("y"):rep(random(20000))
      try(sock:sendall(text))
      if try(sock:readexactly(#text)) ~= text then complain("an echo is wrong") end
    end
  end

  local jobs = {}

  function jobs.request(self)
    local sock = connect(self.http.port)
    local _ <close> = setmetatable({sock}, guard)
    for _ = 1, random(5) do
      local kind = ({"/", "/slow", "/chunks"})[random(3)]
      local body = ("x"):rep(random(0, 3000))
      try(sock:sendall(("POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s")
        :format(kind, #body, body)))
      local status = try(sock:read("l"))
      if not status:find("^HTTP/1.1 200") and not status:find("^HTTP/1.1 408") then
        complain("an answer: " .. status)
      end
      local length
      repeat
        local line = try(sock:read("l"))
        length = tonumber(line:lower():match("^content%-length: (%d+)")) or length
      until line == "" or line == "\r"
      if not length then return end -- chunks: leaves them unread
      if length > 0 then try(sock:readexactly(length)) end
    end
  end

  function jobs.client(self)
    local client = self.client
    for _ = 1, random(4) do
      local body = ("z"):rep(random(0, 5000))
      local path = ({"/", "/slow", "/chunks", "/redirect"})[random(4)]
      local res = try(client:post(self.url .. path, body))
      if path == "/" and res.status == 200 and res.body ~= body .. "/" then
        complain("a body is wrong")
      elseif res.status ~= 200 and res.status ~= 408 and res.status ~= 500 then
        complain("the client's status: " .. res.status)
      end
    end
    local res <close> = try(client:get(self.url .. "/file", {stream = true}))
    if random(2) == 1 then try(res:read("a")) end
  end

  function jobs.websocket(self)
    local ws <close> = try(websocket.connect("ws" .. self.url:sub(5) .. "/ws",
      {deflate = random(2) == 1, timeout = 1}))
    for _ = 1, random(4) do
      local text = ("w"):rep(random(0, 20000))
      try(ws:send(text, "binary"))
      if try(ws:receive(1)) ~= text then complain("a message is wrong") end
      if random(3) == 1 then try(ws:ping()) end
    end
    if random(3) == 1 then ws:close(4000, "enough") end
  end

  function jobs.echo(self)
    local sock = connect(self.echo.port)
    local _ <close> = setmetatable({sock}, guard)
    talk(sock)
    if random(3) == 1 then sock:setsockopt("linger", 0) end -- closed by a RST
  end

  if CERT then
    function jobs.tls(self)
      local sock = connect(self.tls.port, {ssl = self.context, server_hostname = "localhost"})
      local _ <close> = setmetatable({sock}, guard)
      talk(sock)
    end
  end

  function jobs.half(self) -- a request that never ends
    local sock = connect(self.http.port)
    local _ <close> = setmetatable({sock}, guard)
    try(sock:sendall("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc"))
    gevent.sleep(random() * 0.02)
  end

  function jobs.put(self) self.items:put(random(100), 0.01) end
  function jobs.get(self) self.items:get(0.01) end

  function jobs.timers()
    for _ = 1, 20 do gevent.with_timeout(random() * 0.002, gevent.sleep, random() * 0.002) end
  end

  function jobs.name() try(socket.getaddrinfo("localhost", 80)) end

  function jobs.dns(self)
    local list = try(self.names:getaddrinfo(("n%d.soak.test"):format(random(50)), 80,
      {family = "inet"}))
    if list[1].host ~= "10.0.0.1" then complain("an address is wrong") end
  end

  function jobs.compute(self)
    local n = self.threads:apply(function(n)
      local sum = 0
      for i = 1, n do sum = sum + i end
      return sum
    end, 1000)
    if n ~= 500500 then complain("a thread's result is wrong") end
  end

  function jobs.file()
    local file <close> = try(fileobject.open("/dev/zero"))
    local copy <close> = try(fileobject.open("/dev/null", "w"))
    local data = try(file:read(random(50000)))
    try(copy:write(data))
    try(copy:flush())
    local source <close> = try(fileobject.open("spec/soak/service.lua"))
    for line in source:lines() do
      if #line > 100 then complain("a line is wrong") end
    end
  end

  function jobs.process(self)
    if self.children >= MAX_CHILDREN then return end
    self.children = self.children + 1
    local _ <close> = setmetatable({}, {__close = function()
      self.children = self.children - 1
    end})
    local text = ("p"):rep(random(100000))
    local command = random(4) == 1 and {"sleep", "1"} or {"cat"}
    local result = try(subprocess.run(command, {input = text, timeout = 0.1}))
    if result.returncode ~= 0 or result.stdout ~= text then
      complain("a child's output is wrong")
    end
  end

  service.jobs = jobs
  return service
end
