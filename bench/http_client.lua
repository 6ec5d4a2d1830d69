-- bench/http_client.lua - the http_client figure: GETs by 16 greenlets over the
-- pool of one client.
-- usage: lua5.4 bench/http_client.lua REQUESTS PORT
local gevent = require "gevent"
local http = require "gevent.http"

local CLIENTS = 16

local n = assert(math.tointeger(tonumber(arg[1])), "usage: http_client.lua REQUESTS PORT")
local url = "http://127.0.0.1:" .. assert(arg[2]) .. "/"

local function run(client, count)
  for _ = 1, count do
    local res = assert(client:get(url))
    assert(res.status == 200 and res.body == "hello")
  end
end

local function runall(client, total)
  local greenlets = {}
  for i = 1, CLIENTS do greenlets[i] = gevent.spawn(run, client, total // CLIENTS) end
  gevent.joinall(greenlets, nil, {raise_error = true})
end

local client <close> = http.Client()
runall(client, n // 10)
local began = os.clock()
runall(client, n)
local took = os.clock() - began
n = n // CLIENTS * CLIENTS
print(("http_client gevent %.1f %d"):format(took / n * 1e9, n))
