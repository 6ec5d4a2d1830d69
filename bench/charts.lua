-- bench/charts.lua - draws what bench/run.sh -o wrote: a bar chart of ratios for
-- each group of figures, beside that file; and puts its text into a page.
-- usage: lua5.4 bench/charts.lua RUN [PAGE]   from the repository's root, with
--   docs/benchmarks/run.txt docs/benchmarks.md
-- In PAGE, the block of text after the line "<!-- run -->" is replaced.

local GROUPS = {
  {file = "greenlets", title = "Greenlets: CPU time of an operation, or bytes",
    "switch", "switch1", "spawn", "memory", "sleepers", "pingpong", "event", "semaphore",
    "timeout", "poolmap"},
  {file = "sockets", title = "Sockets: CPU time of an operation, or bytes",
    "echo", "echo64k", "churn", "idle", "recv", "luasocket"},
  {file = "http", title = "HTTP and WebSocket: CPU time of an operation, or bytes",
    "http_hello", "http_pipelined", "http_close", "http_json", "http_static", "http_idle",
    "http_client", "ws_echo"},
  {file = "tls", title = "TLS: CPU time of an operation",
    "tls_full", "tls_resumed", "tls_echo", "tls_bulk"},
}

local WIDTH, LEFT, RIGHT = 720, 130, 660 -- where bars begin, and end at most
local LARGEST = 4                        -- ratio: bars of larger ones are broken
local UNIT = (RIGHT - LEFT) / LARGEST    -- pixels of the ratio 1
local BAR, STEP, HEAD = 14, 19, 34       -- pixels: a bar, its row, a figure's heading

local STYLE = [[
  <style>
    text { font: 12px system-ui, sans-serif; fill: #1f2328 }
    .title { font-size: 15px; font-weight: bold }
    .figure { font-weight: bold }
    .ratio { paint-order: stroke; stroke: #ffffff; stroke-width: 4 }
    .name { text-anchor: end }
    .page { fill: #ffffff }
    .peer { fill: #afb8c1 }
    .base { fill: #6e7781 }
    .ours { fill: #0969da }
    .one { stroke: #6e7781; stroke-dasharray: 3 3 }
    .break { stroke: #ffffff; stroke-width: 3 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 }
      .ratio { stroke: #0d1117 }
      .page { fill: #0d1117 }
      .peer { fill: #484f58 }
      .base { fill: #8b949e }
      .ours { fill: #4493f8 }
      .one { stroke: #8b949e }
      .break { stroke: #0d1117 }
    }
  </style>]]

--- The rows of the table of a run, by figure: {name =, per =, unit =, ratio =}.
local function parse(text)
  local figures, inside = {}, false
  for line in text:gmatch("[^\n]+") do
    local words = {}
    for word in line:gmatch("%S+") do words[#words + 1] = word end
    local ratio = inside and tonumber(words[7])
    if words[1] == "figure" and words[2] == "program" then
      inside = true
    elseif ratio then
      local rows = figures[words[1]] or {}
      figures[words[1]] = rows
      rows[#rows + 1] = {name = words[2], per = tonumber(words[3]), unit = words[4],
        ratio = ratio}
    end
  end
  return figures
end

local function amount(row)
  if row.unit == "bytes" then return ("%.0f bytes"):format(row.per) end
  if row.per >= 1000 then return ("%.1f µs"):format(row.per / 1000) end
  return ("%.1f ns"):format(row.per)
end

local function bar(add, row, first, y)
  local class = row.name:find("^gevent") and "ours" or row == first and "base" or "peer"
  local long = row.ratio > LARGEST
  local width = UNIT * (long and LARGEST or row.ratio)
  add('<text class="name" x="%d" y="%d">%s</text>', LEFT - 8, y + BAR - 3, row.name)
  add('<rect class="%s" x="%d" y="%d" width="%.1f" height="%d"/>', class, LEFT, y,
    math.max(width, 1), BAR)
  if long then
    add('<path class="break" d="M%d %dl6 -%d"/>', RIGHT - 24, y + BAR + 1, BAR + 2)
  end
  add('<text class="ratio" x="%.1f" y="%d">%.2f</text>', LEFT + width + 6, y + BAR - 3, row.ratio)
end

local function draw_figure(add, figure, rows, y)
  add('<text class="figure" x="10" y="%d">%s</text>', y + HEAD - 12, figure)
  add('<text x="%d" y="%d">%s: %s</text>', LEFT, y + HEAD - 12, rows[1].name,
    amount(rows[1]))
  y = y + HEAD - 6
  add('<path class="one" d="M%.1f %dV%d"/>', LEFT + UNIT, y - 2, y + #rows * STEP - 2)
  for _, row in ipairs(rows) do
    bar(add, row, rows[1], y)
    y = y + STEP
  end
  return y
end

--- A chart of those figures of the group that were measured; nil if none was.
local function draw(group, figures)
  local lines = {}
  local function add(form, ...) lines[#lines + 1] = "  " .. form:format(...) end
  local y = 34
  for _, figure in ipairs(group) do
    if figures[figure] then y = draw_figure(add, figure, figures[figure], y) end
  end
  if #lines == 0 then return nil end
  local height = y + 12
  return ([[
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d"
  role="img" aria-label="%s">
]]):format(WIDTH, height, WIDTH, height, group.title) .. STYLE .. "\n"
    .. ('  <rect class="page" width="%d" height="%d"/>\n'):format(WIDTH, height)
    .. ('  <text class="title" x="10" y="24">%s, as a ratio</text>\n'):format(group.title)
    .. table.concat(lines, "\n") .. "\n</svg>\n"
end

local function read(name)
  local file <close> = assert(io.open(name))
  return file:read("a")
end

local function write(name, text)
  local file <close> = assert(io.open(name, "w"))
  assert(file:write(text))
end

local run, page = arg[1], arg[2]
assert(run, "usage: lua5.4 bench/charts.lua RUN [PAGE]")
local text = read(run)
local figures = parse(text)
assert(next(figures), "no table in that file")
for _, group in ipairs(GROUPS) do
  local chart = draw(group, figures)
  if chart then write(run:gsub("[^/]*$", "") .. group.file .. ".svg", chart) end
end
if page then
  local old = read(page)
  local mark = "<!-- run -->\n```text\n"
  local head = assert(old:find(mark, 1, true), "no <!-- run --> in that page") + #mark
  local tail = assert(old:find("\n```", head - 1, true))
  write(page, old:sub(1, head - 1) .. text:gsub("\n$", "") .. old:sub(tail))
end
