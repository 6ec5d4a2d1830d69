-- What `make lint` asks of the Lua code.
std = "lua54"
max_line_length = 100
ignore = {
  "212/self", -- a method need not use its object
  "211/_.*", -- local _held <close> = ...: only its end matters
  "581", -- not (x >= 0): unlike x < 0, true of NaN
}

files["spec"] = {std = "+busted"}
files["config.ld"] = {std = "+ldoc"}
