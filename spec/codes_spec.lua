-- docs/errors.md has every code that a call returns as its third value, and no other.

local helper = require "helper"
local it = helper.it

local page = helper.slurp "docs/errors.md" .. helper.slurp "docs/resolver.md"

--- What may be a code: one word, or the name of an errno.
local function words(text, found, path)
  for word in text:gmatch('"([%l]+)"') do found[word] = path end
  for word in text:gmatch('"(E%u[%u%d_]+)"') do found[word] = path end
end

--- In C: what is given to a function that fails, or set as a code. C's words for other
-- things there are not many.
local function fromc(path, found)
  local text = helper.slurp(path):gsub("/%*.-%*/", "")
  for statement in text:gmatch("[^;{}]+") do
    if statement:find("fail[%w_]*%(") or statement:find("code = ") then
      words(statement, found, path)
    end
  end
end

--- In Lua: the third value of a failure, or a third variable.
local function fromlua(path, found)
  local text = helper.slurp(path):gsub("%-%-[^\n]*", "")
  -- a statement goes on where a line ends in the middle of one
  text = text:gsub("([,(.][.]?)%s*\n%s*", "%1 "):gsub("\n%s*(%.%.)", " %1")
  for values in text:gmatch("nil, ([^\n]*)") do
    local code = values:match('^.*, "([%l]+)"') or values:match('^.*, "(E%u[%u%d_]+)"')
    if code then found[code] = path end
  end
end

-- What merely stands in such a statement.
local OTHERS = {numericserv = true}

local function codes()
  local found = {}
  for _, path in ipairs(helper.files("csrc", ".c")) do
    if not path:find("luasocket") then fromc(path, found) end
  end
  for _, path in ipairs(helper.files("lua", ".lua")) do
    if not path:find("/monkey/") then fromlua(path, found) end
  end
  return found
end

describe("codes", function()
  local found = codes()

  it("are found in the sources", function()
    for _, code in ipairs {"timeout", "closed", "empty", "full", "toolong", "toolarge",
      "malformed", "truncated", "unsupported", "redirect", "handshake", "worker", "ESSL",
      "EBADF", "EAI_NONAME"} do
      assert.is_truthy(found[code], code)
    end
  end)

  it("are all told of", function()
    local missing = {}
    for code, path in pairs(found) do
      if not OTHERS[code] and not page:find('`"' .. code .. '"`', 1, true)
        and not page:find("`" .. code .. "`", 1, true) then
        missing[#missing + 1] = path .. ": " .. code
      end
    end
    assert.same({}, missing)
  end)

  it("that are told of can be returned", function()
    local sources = {}
    for directory, suffix in pairs {csrc = ".c", lua = ".lua"} do
      for _, path in ipairs(helper.files(directory, suffix)) do
        sources[#sources + 1] = helper.slurp(path)
      end
    end
    local all = table.concat(sources, "\n")
    local section = page:match("\n## Codes\n(.-)\n## ")
    for row in section:gmatch("\n|([^|]*)|") do
      for code in row:gmatch('`"([%l]+)"`') do
        assert.is_truthy(all:find('"' .. code .. '"', 1, true), code)
      end
    end
  end)
end)
