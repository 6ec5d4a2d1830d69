-- The documentation tells the truth: every block of Lua runs, every link and every
-- name leads somewhere.
--
-- A block is run by itself, in a fresh interpreter, and has to end with exit code 0. It
-- need not say again what `socket` and the like are, once its page has.
-- A comment in the line before its fence says where it is different:
--   <!-- lua: continues -->  together with the blocks before it, as one program
--   <!-- lua: server -->     it serves until Ctrl-C; port 8080 or 7000 is a free one here
--   <!-- lua: fragment -->   it cannot run alone: it only has to compile

local helper = require "helper"
local cli = require "helper_cli"
local http = require "gevent.http"
local process = require "helper_process"
local socket = require "gevent.socket"
local subprocess = require "gevent.subprocess"
local websocket = require "gevent.websocket"
local it = helper.it

local pages = helper.files("docs", ".md")
pages[#pages + 1] = "README.md"

-- Blocks ----------------------------------------------------------------------------------

--- {kind =, code =, line =} of each block of Lua in a page.
local function blocks_of(text)
  local blocks, block, former, n = {}, nil, "", 0
  for line in (text .. "\n"):gmatch("(.-)\n") do
    n = n + 1
    if block and line == "```" then
      block.code = table.concat(block, "\n") .. "\n"
      blocks[#blocks + 1] = block
      block = nil
    elseif block then
      block[#block + 1] = line
    elseif line == "```lua" then
      block = {kind = former:match("^<!%-%- lua: (%a+) %-%->$") or "alone", line = n + 1}
    end
    former = line
  end
  return blocks
end

--- The blocks that are one program, as one.
local function programs_of(text)
  local programs = {}
  for _, block in ipairs(blocks_of(text)) do
    if block.kind == "continues" then
      local last = programs[#programs]
      last.code = last.code .. block.code
    else
      programs[#programs + 1] = block
    end
  end
  return programs
end

-- Runs before a block, in its line 1.
local PRELUDE = [[setmetatable(_G, {__index = function(_, name)
  if name == "gevent" then return require "gevent" end
  local path = package.searchpath("gevent." .. name, package.path)
  return path and require("gevent." .. name)
end})]]
PRELUDE = PRELUDE:gsub("\n%s*", " ") .. " "

local function free_port()
  local listener <close> = assert(socket.create_server("127.0.0.1:0"))
  return (select(2, listener:getsockname()))
end

local function write(code)
  local path = os.tmpname() .. ".lua"
  local f <close> = assert(io.open(path, "w"))
  assert(f:write(PRELUDE, code))
  return path
end

--- Runs it until it listens, connects, and ends it by Ctrl-C.
local function serve(code)
  local port = free_port()
  local path = write((code:gsub("([:%D])8080%f[%D]", "%1" .. port)
    :gsub("([:%D])7000%f[%D]", "%1" .. port)))
  local child <close> = assert(subprocess.Popen(process.command(path),
    {stderr = subprocess.PIPE, stdout = subprocess.DEVNULL}))
  helper.wait_until(function()
    local sock = socket.create_connection("127.0.0.1", port)
    if sock then sock:close() end
    if not sock and child:poll() then
      error("it has ended: " .. child.stderr:read("a"))
    end
    return sock
  end, 10)
  child:send_signal("INT")
  local text = child.stderr:read("a")
  local code_ = child:wait()
  os.remove(path)
  if code_ ~= 0 then assert.matches("interrupted!", text) end
end

-- Redis ---------------------------------------------------------------------------------

local REDIS_PATH = "/usr/share/lua/5.1/?.lua" -- where Debian has redis-lua

local function has_redis()
  local code = helper.run_lua(("package.path = package.path .. ';%s' require 'redis'"):format(
    REDIS_PATH))
  return code == 0 and os.execute "command -v redis-server >/dev/null"
end

--- The module `room` of the tutorial in its application, in two processes.
local function chat(code)
  if not has_redis() then return pending "redis-server or redis-lua is missing" end
  local page = helper.slurp "docs/tutorial.md"
  local handler = page:match('\n(app:get%("/chat", function%(req, res%)\n  local room.-\nend%))\n')
  local app = page:match("\n(local gevent = require \"gevent\"\n[^`]-\nreturn app\n)")
  local from, to = app:find("app:get%(\"/chat\".-\nend%)")
  local port = free_port()
  local dir <close> = cli.directory {
    ["room.lua"] = code:gsub("6379", port),
    ["app.lua"] = app:sub(1, from - 1) .. handler .. app:sub(to + 1),
  }
  local redis <close> = assert(subprocess.Popen({"redis-server", "--port", tostring(port),
    "--bind", "127.0.0.1", "--save", "", "--dir", dir.path}, {stdout = subprocess.DEVNULL}))
  local _ <close> = helper.defer(function() redis:kill() end)
  helper.wait_until(function()
    local sock <close> = socket.create_connection("127.0.0.1", port)
    return sock
  end, 10)
  local server <close> = cli.serve({"--bind", "127.0.0.1:0", "--workers", "2", "--reuse-port",
    dir.path .. "/app.lua"}, {LUA_PATH_5_4 = (os.getenv "LUA_PATH" or "") .. ";" .. REDIS_PATH})
  assert.matches("<!doctype html>", select(2, cli.get(server, "/")))
  local people = {}
  for i = 1, 6 do
    people[i] = assert(websocket.connect(("ws://127.0.0.1:%d/chat"):format(server.port)))
  end
  -- Until all have subscribed, which none of them can tell.
  helper.wait_until(function()
    people[1]:send "hello"
    for i = 1, 6 do
      if people[i]:receive(0.2 * helper.scale) ~= "hello" then return false end
    end
    return true
  end, 10)
  for i = 1, 6 do people[i]:close() end
end

local checks = {redis = chat}

function checks.fragment(code, name) assert(load(code, name)) end

checks.server = serve

function checks.alone(code, name)
  local path = write(code)
  local status, _, err = helper.run_lua(path)
  os.remove(path)
  assert.equal(0, status, name .. ": " .. err)
end

for _, path in ipairs(pages) do
  local text = helper.slurp(path)
  local programs = programs_of(text)

  describe(path, function()
    for _, program in ipairs(programs) do
      local name = ("%s:%d"):format(path, program.line)
      it("runs: line " .. program.line, function()
        local check = assert(checks[program.kind], "unknown kind " .. program.kind)
        check(program.code, name)
      end, {deadline = 30})
    end

    it("has no Lua outside of fences", function()
      for line in text:gsub("```.-\n```", ""):gmatch("[^\n]+") do
        assert.not_matches("^    local [%w_, <>]+ = ", line)
        assert.not_matches("^    .*= ?require", line)
      end
    end)
  end)
end

-- Links -----------------------------------------------------------------------------------

--- The text without what is code.
local function prose(text)
  return (text:gsub("```.-\n```", ""):gsub("\n    [^\n]*", "\n"):gsub("`[^`\n]*`", "x"))
end

--- What a heading is called in links, as on the well-known sites.
local function anchor(heading)
  return (heading:lower():gsub("[^%w%s_-]", ""):gsub(" ", "-"))
end

local function has_anchor(path, name)
  for heading in ("\n" .. helper.slurp(path)):gmatch("\n#+ ([^\n]+)") do
    if anchor(heading) == name then return true end
  end
  return false
end

describe("links", function()
  for _, path in ipairs(pages) do
    it("of " .. path .. " lead somewhere", function()
      local here = path:match("^.*/") or ""
      for target in prose(helper.slurp(path)):gmatch("%]%(([^)%s]+)%)") do
        if not target:find("^https?://[%w.-]+/?") then
          local file, name = target:match("^([^#]*)#?(.*)$")
          local at = file == "" and path or here .. file
          at = at:gsub("[^/]+/%.%./", "")
          local found = io.open(at)
          assert.is_truthy(found, target)
          found:close()
          if name ~= "" then assert.is_true(has_anchor(at, name), target) end
        end
      end
    end)
  end

  it("of the README lead to every page, and every page is reachable", function()
    local readme = helper.slurp "README.md"
    for _, path in ipairs(pages) do
      if path ~= "README.md" then
        assert.is_truthy(readme:find("(" .. path .. ")", 1, true), path)
      end
    end
  end)
end)

-- Names -----------------------------------------------------------------------------------

-- What a page calls by a short name.
local MODULES = {
  gevent = "gevent", http = "gevent.http", ssl = "gevent.ssl",
  websocket = "gevent.websocket", wsapi = "gevent.wsapi",
  subprocess = "gevent.subprocess", fileobject = "gevent.fileobject",
  workers = "gevent.workers", systemd = "gevent.systemd", backdoor = "gevent.backdoor",
  resolver = "gevent.resolver", monkey = "gevent.monkey",
}

-- Modules of others, and names of Python's gevent.
local THEIRS = {
  ["ssl.https"] = true, ["ssl.core"] = true, ["ssl.context"] = true, ["ssl.wrap"] = true,
  ["ssl.newcontext"] = true, ["ssl.config"] = true, ["gevent.pywsgi"] = true,
  -- made when first asked for
  ["fileobject.stdin"] = true, ["fileobject.stdout"] = true, ["fileobject.stderr"] = true,
}

local function resolves(name)
  if package.loaded[name] or package.searchpath(name, package.path) then return true end
  local first, rest = name:match("^([%w_]+)%.(.+)$")
  local module = MODULES[first]
  local value = require(module)
  if first == "gevent" then
    local inner = rest:match("^[%w_]+")
    if package.searchpath("gevent." .. inner, package.path) and rest:find(".", 1, true) then
      value, rest = require("gevent." .. inner), rest:match("%.(.*)$")
    end
  end
  for field in rest:gmatch("[^.]+") do
    if type(value) ~= "table" and type(value) ~= "userdata" then return true end
    local ok, next_value = pcall(function() return value[field] end)
    if not ok or next_value == nil then return false end
    value = next_value
  end
  return true
end

describe("names", function()
  for _, path in ipairs(pages) do
    it("of " .. path .. " are there", function()
      local text = helper.slurp(path):gsub("<!%-%- theirs %-%->.-<!%-%- /theirs %-%->", "")
      for code in text:gsub("```.-\n```", ""):gmatch("`([^`\n]+)`") do
        for before, name in (" " .. code):gmatch("([^%w_.:/\"'-])([%a][%w_]*%.[%w_.]*[%w_])") do
          local first = name:match("^[%w_]+")
          if MODULES[first] and not THEIRS[name] and before ~= "@"
            and not name:find("%.md$") and not name:find("%.lua$") and not name:find("%.c$")
          then
            assert.is_true(resolves(name), name)
          end
        end
      end
    end)
  end
end)

-- Methods are called as they are called: `x:name(`, in prose, tables and programs.
describe("methods", function()
  local texts = {}
  for _, path in ipairs(helper.files("types", ".lua")) do
    texts[#texts + 1] = helper.slurp(path)
  end
  local all = table.concat(texts, "\n")
  -- Of strings, of `io`, of the programs in the pages, of a user's own class.
  local OTHERS = {match = true, gmatch = true, gsub = true, sub = true, rep = true,
    upper = true, find = true, format = true, _run = true, port = true, publish = true,
    pubsub = true}

  for _, path in ipairs(pages) do
    it("in " .. path .. " are there", function()
      local text = helper.slurp(path):gsub("<!%-%- theirs %-%->.-<!%-%- /theirs %-%->", "")
      for name in text:gmatch("[%w_)]:([%a_][%w_]*)[%({\"]") do
        if not OTHERS[name] and not text:find("function [%w_]+:" .. name) then
          assert.is_truthy(all:find("function [%w_]+[.:]" .. name .. "%("), name)
        end
      end
    end)
  end
end)

describe("files and targets", function()
  for _, path in ipairs(pages) do
    it("named in " .. path .. " are there", function()
      local text, makefile = helper.slurp(path), "\n" .. helper.slurp "Makefile"
      for name in text:gmatch("%f[%w](%l+/[%w_/.-]+%.%l+)") do
        local top = name:match("^%l+")
        if top == "examples" or top == "docs" or top == "spec" or top == "scripts"
          or top == "csrc" then
          local found <close> = io.open(name)
          assert.is_truthy(found, name)
        end
      end
      for target in text:gmatch("[`\n ]make (%l[%w-]*)[`\n ]") do
        if text:find("`make " .. target) or text:find("\n    make " .. target) then
          assert.is_truthy(makefile:find("\n[%w -]*%f[%w-]" .. target .. "%f[^%w-][%w -]*:"),
            "make " .. target)
        end
      end
    end)
  end
end)

-- The command's options are named in the documentation as it names them itself.
describe("options of the command", function()
  it("are those that it has", function()
    local known = {}
    for _, name in ipairs {"run", "serve", "repl", "backdoor"} do
      for _, option in ipairs(require("gevent._cli." .. name).options) do
        known[option[1]] = true
      end
    end
    for _, path in ipairs(pages) do
      for line in helper.slurp(path):gmatch("gevent [srb]%l+ [^\n`]*") do
        for option in line:gmatch("%f[%S](%-%-%a[%w-]*)") do
          assert.is_true(known[option], path .. ": " .. option)
        end
      end
    end
    assert.is_truthy(http.Server)
  end)
end)
