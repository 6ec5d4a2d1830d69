-- gevent._cli.options: the options of a command, and its help, of one table.
--
-- A command: {usage =, about = (text), options = {{long, short, arguments, help, key =,
-- many =}, ...}, examples = {...}}. `arguments`: names, "" for a flag. A problem is
-- raised as {usage = message}.

local misuse = require "gevent._misuse"

local options = {}

local function complain(text, ...)
  error({usage = text:format(...)}, 0)
end

options.complain = complain

--- Complains of a name that is none of those known.
function options.unknown(what, name, known)
  local meant = misuse.nearest(name, known)
  complain("unknown %s '%s'%s", what, name, meant and (": is '%s' meant?"):format(meant) or "")
end

local function find(command, name)
  for _, option in ipairs(command.options) do
    if option[1] == name or option[2] == name then return option end
  end
  local known = {}
  for _, option in ipairs(command.options) do known[option[1]] = true end
  options.unknown("option", name, known)
end

local function keyof(option)
  return (option[1]:gsub("^%-%-", ""):gsub("%-", "_"))
end

-- The values of an option from words[i] on; the number of words used.
local function take(option, words, i, inline)
  local values = {}
  for name in option[3]:gmatch("%S+") do
    local value = inline or words[i]
    if not value then complain("%s needs %s", option[1], name) end
    if not inline then i = i + 1 end
    values[#values + 1], inline = value, nil
  end
  return values, i
end

local function set(result, option, values)
  local key = keyof(option)
  local value = option[3] == "" and true or #values == 1 and values[1] or values
  if option.many then
    result[key] = result[key] or {}
    table.insert(result[key], value)
  else
    result[key] = value
  end
end

--- Options come before the first other word; what follows that is left alone where
-- the command has `stop = true`, else options may stand anywhere. `--` ends them.
-- @return key -> value (key: the long name, with `_`); the other words
function options.parse(command, words)
  local result, rest, i = {}, {}, 1
  while i <= #words do
    local word = words[i]
    i = i + 1
    local name, inline = word:match("^(%-%-[%w-]+)=(.*)$")
    if word == "--" or command.stop and not word:find("^%-.") then
      table.move(words, word == "--" and i or i - 1, #words, #rest + 1, rest)
      break
    elseif word:find("^%-.") then
      local option = find(command, name or word)
      if inline and option[3] == "" then complain("%s takes no value", name) end
      local values
      values, i = take(option, words, i, inline)
      set(result, option, values)
    else
      rest[#rest + 1] = word
    end
  end
  return result, rest
end

--- A number among the values, or a complaint.
function options.number(result, key, least)
  local value = result[key]
  if value == nil then return nil end
  local n = tonumber(value)
  if not n or not (n >= least) then
    complain("--%s needs a number >= %g, not '%s'", key:gsub("_", "-"), least, value)
  end
  return math.tointeger(n) or n
end

local function line(option)
  local names = (option[2] and option[2] .. ", " or "    ") .. option[1]
  if option[3] ~= "" then names = names .. " " .. option[3] end
  local text = option[4]:gsub("\n", "\n" .. (" "):rep(28))
  if #names > 25 then return ("  %s\n%s%s"):format(names, (" "):rep(28), text) end
  return ("  %-26s%s"):format(names, text)
end

--- The help of a command.
function options.help(command)
  local lines = {"usage: " .. command.usage, "", command.about}
  if command.options[1] then lines[#lines + 1] = "\nOptions:" end
  for _, option in ipairs(command.options) do lines[#lines + 1] = line(option) end
  if command.examples then lines[#lines + 1] = "\nExamples:" end
  for _, example in ipairs(command.examples or {}) do
    lines[#lines + 1] = "  " .. example
  end
  return table.concat(lines, "\n") .. "\n"
end

return options
