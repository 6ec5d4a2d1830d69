-- Requests whose end one server sees here and another there, and what goes with them:
-- refused, whole or byte by byte, and the connection is closed; what was smuggled never
-- reaches a handler.

local gevent = require "gevent"
local helper = require "helper"
local slope = require "helper_slope"
local web = require "helper_http"
local it = helper.it

local function echo(req)
  local body = req:body()
  return body and req.method .. " " .. req.path .. " " .. body
end

local GET = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"

--- Bytes -> the status of the one answer; every connection must be closed.
--- Bytes -> the status of the one answer; every connection must be closed.
local refused = {
  {"both lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"
    .. "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" .. GET, 400},
  {"both lengths, the other way", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
    .. "chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" .. GET, 400},
  {"two lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: "
    .. "5\r\n\r\nabcde" .. GET, 400},
  {"two equal lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"
    .. "Content-Length: 4\r\n\r\nabcd" .. GET, 400},
  {"a list of lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4, 4\r\n\r\nabcd"
    .. GET, 400},
  {"a signed length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +4\r\n\r\nabcd"
    .. GET, 400},
  {"a negative length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -4\r\n\r\n"
    .. GET, 400},
  {"a hexadecimal length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x4\r\n\r\nabcd"
    .. GET, 400},
  {"an empty length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n" .. GET, 400},
  {"a length that overflows", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: "
    .. "18446744073709551620\r\n\r\nabcd" .. GET, 400},
  {"another coding", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n"
    .. GET, 501},
  {"two codings", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: br, chunked\r\n\r\n"
    .. "0\r\n\r\n" .. GET, 501},
  {"a coding with a tail", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
    .. "chunked;q=1\r\n\r\n0\r\n\r\n" .. GET, 501},
  {"a coding twice", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    .. "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" .. GET, 400},
  {"chunks in HTTP/1.0", "POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    .. "0\r\n\r\n" .. GET, 400},
  {"a space before the colon", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length : 4\r\n\r\n"
    .. "abcd" .. GET, 400},
  {"a folded field", "GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n" .. GET, 400},
  {"a bare LF", "GET / HTTP/1.1\r\nHost: x\nX: y\r\n\r\n" .. GET, 400},
  {"a bare CR", "GET / HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n" .. GET, 400},
  {"a NUL in a value", "GET / HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n" .. GET, 400},
  {"no Host", "GET / HTTP/1.1\r\n\r\n" .. GET, 400},
  {"two Hosts", "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n" .. GET, 400},
  {"a bad Host", "GET / HTTP/1.1\r\nHost: x/y\r\n\r\n" .. GET, 400},
  {"two spaces", "GET  / HTTP/1.1\r\nHost: x\r\n\r\n" .. GET, 400},
  {"no version", "GET /\r\nHost: x\r\n\r\n" .. GET, 400},
  {"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
  {"HTTP/1.2", "GET / HTTP/1.2\r\nHost: x\r\n\r\n" .. GET, 505},
  {"an unknown method", "BREW / HTTP/1.1\r\nHost: x\r\n\r\n" .. GET, 501},
  {"TLS", "\22\3\1\2\0\1\0\1\252\3\3", 400},
  {"a chunk size with 0x", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    .. "0x1\r\na\r\n0\r\n\r\n" .. GET, 400},
  {"a signed chunk size", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    .. "-1\r\na\r\n0\r\n\r\n" .. GET, 400},
  {"a chunk size that overflows", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked"
    .. "\r\n\r\n10000000000000001\r\na\r\n0\r\n\r\n" .. GET, 400},
  {"a chunk with too much", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    .. "1\r\nab\r\n0\r\n\r\n" .. GET, 400},
  {"a chunk line with a bare LF", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked"
    .. "\r\n\r\n1\na\r\n0\r\n\r\n" .. GET, 400},
  {"a length in the trailers", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    .. "\r\n0\r\nContent-Length: 5\r\n\r\n" .. GET, 400},
  {"a coding in the trailers", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    .. "\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n" .. GET, 400},
}

--- More tricks, by where they are: each is refused, and the connection is closed.
local POST = "POST / HTTP/1.1\r\nHost: x\r\n"
local CHUNKS = "0\r\n\r\n"
local tricks = {
  fields = { -- stand in a head with a chunked body behind it
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding: ,chunked",
    "Transfer-Encoding: chunked,",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunkedx",
    "Transfer-Encoding: \"chunked\"",
    "Transfer-Encoding: chunked\0",
    "Transfer-Encoding: \11chunked",
    "Transfer-Encoding: \127chunked",
    "Transfer-Encoding: chunked\r",
    "Transfer-Encoding:\r\n chunked",
    "Transfer-Encoding:\n chunked",
    "Transfer-Encoding",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding\t: chunked",
    " Transfer-Encoding: chunked",
    "\tTransfer-Encoding: chunked",
    "X: y\nTransfer-Encoding: chunked",
    "X: y\rTransfer-Encoding: chunked",
    "X: y\0\r\nTransfer-Encoding: chunked",
    "Transfer\0-Encoding: chunked",
    "Transfer-Encoding\255: chunked",
    ": chunked\r\nTransfer-Encoding: chunked",
    "Content-Length: 5\r\nTransfer-Encoding: chunked",
    "Content-Length:\r\nTransfer-Encoding: chunked",
    "Content-Length: 5\r\ntransfer-encoding: CHUNKED",
    "Content-Length: 5\r\nContent-Length: 05",
    "Content-Length: 5, 6",
    "Content-Length: 5;q=1",
    "Content-Length: 5 6",
    "Content-Length: 5.0",
    "Content-Length: 5e0",
    "Content-Length: 0b101",
    "Content-Length: \"5\"",
    "Content-Length: \0005",
    "Content-Length: 5\0",
    "Content-Length:\r\n 5",
    "Content-Length\11: 5",
    "Content-Length: -0",
    "Content-Length: 1_0",
    "Content-Length: 99999999999999999999999999999999",
    "Content-Length: 9223372036854775808",
    "Content-Length: ５",
    "Host: x\r\nContent-Length: 5",
    "Host : x\r\nContent-Length: 5",
  },
  chunks = { -- stand behind a good head
    "+1\r\na\r\n0\r\n\r\n",
    "0x\r\n\r\n",
    "\r\n0\r\n\r\n",
    " 1\r\na\r\n0\r\n\r\n",
    "1 \ra\r\n0\r\n\r\n",
    "1_0\r\n0123456789abcdef\r\n0\r\n\r\n",
    "g\r\n\r\n",
    ";x\r\n\r\n",
    "1\0\r\na\r\n0\r\n\r\n",
    "1;a\nb\r\na\r\n0\r\n\r\n",
    "1;a\rb\r\na\r\n0\r\n\r\n",
    "1;a\0\r\na\r\n0\r\n\r\n",
    "1\r\na0\r\n\r\n",
    "1\r\na\n0\r\n\r\n",
    "1\r\na\r0\r\n\r\n",
    "1\r\na\r\n0\n\n",
    "1\ra\r\n0\r\n\r\n",
    "2\r\na\r\n0\r\n\r\n" .. ("x"):rep(10),
    "ffffffffffffffff1\r\na\r\n0\r\n\r\n",
    "8000000000000000\r\na\r\n0\r\n\r\n",
    "0\r\nHost: y\r\n\r\n",
    "0\r\nTrailer : y\r\n\r\n",
    "0\r\n folded\r\n\r\n",
    "0\r\nX: a\nY: b\r\n\r\n",
    "0\r\nX: a\0\r\n\r\n",
  },
  lines = { -- are a whole head, but for a Host and the end
    "GET /\tx HTTP/1.1", "GET\t/ HTTP/1.1", "GET / HTTP/1.1 ", "GET / HTTP/1.1\t",
    "GET / HTTP/1.10", "GET / HTTP/01.1", "GET / http/1.1", "GET / HTTP/1,1",
    "GET / HTTP /1.1", "GET /\0 HTTP/1.1", "GET /\127 HTTP/1.1", "GET / x HTTP/1.1",
    " GET / HTTP/1.1", "G\0ET / HTTP/1.1", "get / HTTP/1.1", "GET", "GET /", "GET / ",
    "GET / HTTP/1.1\rX: y", "GET / HTTP/1.1\nX: y", "\0GET / HTTP/1.1",
  },
}

local function expect_refused(server, bytes)
  local statuses = web.statuses(web.raw(server, bytes))
  assert.equal(1, #statuses, ("%q"):format(bytes))
  assert.is_true(statuses[1] == 400 or statuses[1] == 413 or statuses[1] == 501
    or statuses[1] == 505,
    ("%q: %d"):format(bytes, statuses[1]))
end

describe("no trick passes", function()
  local seen
  local function counting(req)
    if req.path ~= "/" then seen = req.path end
    return echo(req)
  end

  local function try(all, frame)
    seen = nil
    local server <close> = web.serve(counting)
    for _, trick in ipairs(all) do expect_refused(server, frame(trick)) end
    assert.is_nil(seen)
    assert.equal("GET /ok ", web.ask(server, "GET", "/ok").body)
  end

  it("in the fields of a head", function()
    try(tricks.fields, function(field)
      return POST .. field .. "\r\n\r\n" .. CHUNKS .. GET
    end)
  end)

  it("in the chunks of a body", function()
    try(tricks.chunks, function(chunks)
      return POST .. "Transfer-Encoding: chunked\r\n\r\n" .. chunks .. GET
    end)
  end)

  it("in the first line", function()
    try(tricks.lines, function(line)
      return line .. "\r\nHost: x\r\n\r\n" .. GET
    end)
  end)
end)

describe("the server refuses", function()
  for _, case in ipairs(refused) do
    local name, bytes, status = table.unpack(case)

    it(name .. ", whole or byte by byte", function()
      local paths = {}
      local server <close> = web.serve(function(req)
        paths[#paths + 1] = req.path
        return echo(req)
      end)
      local text = web.raw(server, bytes)
      assert.same({status}, web.statuses(text))
      assert.matches("Connection: close\r\n", text)
      local sock <close> = web.connect(server)
      for i = 1, #bytes do
        if not sock:sendall(bytes:sub(i, i)) then break end
        gevent.sleep(0)
      end
      local again = sock:read("a")
      assert.same({status}, web.statuses(again or text))
      for _, path in ipairs(paths) do assert.equal("/", path) end
    end)
  end
end)

slope.it("a request that is refused", function()
  local server = web.serve(echo)
  return function()
    assert(#web.statuses(web.raw(server, refused[1][2])) == 1)
  end, function() server:stop(0) end
end)
