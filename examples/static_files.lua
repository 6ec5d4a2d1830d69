-- usage: lua5.4 examples/static_files.lua . 8080
-- A server of files: ranges, conditional requests, compression, a log, and a
-- form that takes uploads. It runs until Ctrl-C. The arguments are the
-- directory and the port (8080).
-- spec: examples {port}
local http = require "gevent.http"

local root, port = arg[1] or ".", arg[2] or 8080

local FORM = [[<!doctype html><title>upload</title>
<form method="post" enctype="multipart/form-data">
<input type="file" name="file"><button>send</button></form>]]

local app = http.Router()

app:get("/upload", function()
  return 200, {["Content-Type"] = "text/html; charset=utf-8"}, FORM
end)

-- Large files wait on disk, not in memory; they are gone after the answer.
app:post("/upload", function(req)
  local form, message = req:form()
  if not form then return 400, nil, message .. "\n" end
  local file = form.file
  if type(file) ~= "table" then return 400, nil, "no file\n" end
  return ("%s: %d bytes, %s\n"):format(file.filename, file.size, file.type)
end)

app:mount("/", http.files(root, {max_age = 60}))

local server = http.Server("127.0.0.1:" .. port, app, {
  compress = true,
  log = true, -- to standard error
  max_body_bytes = 1 << 30,
})
assert(server:start())
print(("http://127.0.0.1:%d/ serves %s"):format(server.port, root))
io.stdout:flush()
server:serve_forever()
