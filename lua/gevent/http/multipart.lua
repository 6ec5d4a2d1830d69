--- Forms with files: what `req:form` gives for each of them.
-- The parser is the core's; here is where the content goes: values to strings,
-- files to strings as long as they are small, else to temporary files, which
-- have no name and are gone when they are closed or collected.
-- @module gevent.http.multipart
local core = require "gevent._core"
local form = require "gevent.http.form"

local PIECE = 16384 -- bytes of the body, or of a file, at a time
local MAX_FIELDS = 1000 -- as others'
local MAX_MEMORY = 1048576 -- bytes of the values that are no files, together
local MAX_FILE_MEMORY = 65536 -- bytes of a file before it goes to disk

--- A file that came with a form.
-- @type Upload
-- @field filename its name as sent, without directories
-- @field type its content type as sent, or "application/octet-stream"
-- @field size bytes
local Upload = {__name = "Upload"}
Upload.__index = Upload

function Upload:__tostring()
  return ("<Upload %q %d bytes>"):format(self.filename, self.size)
end

local function isopen(self)
  return self._parts or self._file
end

--- Reads from where the last read ended, by the formats of `io`: a number, "a".
-- @return data; nil at the end ("" for "a"), or nil, message, code
function Upload:read(format)
  if not isopen(self) then return nil, "closed", "closed" end
  if self._file then return self._file:read(format or "a") end
  local at, text = self._at, self._text
  if format == nil or format == "a" or format == "*a" then
    self._at = #text + 1
    return text:sub(at)
  end
  if math.type(format) ~= "integer" or format < 0 then
    error("bad argument #1 to 'read' (bytes or \"a\" expected)", 2)
  end
  if at > #text and format > 0 then return nil end
  self._at = at + format
  return text:sub(at, at + format - 1)
end

--- Begins to read at its start again.
function Upload:rewind()
  self._at = 1
  if self._file then self._file:seek("set") end
end

--- Copies the content to a file, which is made or replaced.
-- @tparam string path
-- @return true; or nil, message, code
function Upload:save(path)
  if not isopen(self) then return nil, "closed", "closed" end
  local target <close>, message = io.open(path, "wb")
  if not target then return nil, message, "EIO" end
  self:rewind()
  for piece in function() return self:read(PIECE) end do
    local ok, why = target:write(piece)
    if not ok then return nil, why, "EIO" end
  end
  local ok, why = target:flush()
  if not ok then return nil, why, "EIO" end
  return true
end

--- Forgets the content.
function Upload:close()
  if self._file then self._file:close() end
  self._file, self._parts, self._text = nil, nil, nil
end

Upload.__close = Upload.close

-- Reading ---------------------------------------------------------------------------

-- Only the last name: some send whole paths.
local function basename(filename)
  return filename:gsub("%%22", '"'):match("[^/\\]*$")
end

local function newupload(name, filename, kind)
  return setmetatable({name = name, filename = basename(filename),
    type = kind or "application/octet-stream", size = 0, _parts = {}, _at = 1}, Upload)
end

local function spill(upload)
  local file, message = io.tmpfile()
  if not file then return nil, message end
  upload._file = file
  return file:write(table.concat(upload._parts))
end

-- Adds to the file; nil, message, code where there is no room.
local function append(upload, data, limits)
  upload.size = upload.size + #data
  if upload.size > limits.max_file_bytes then
    return nil, "the file is too large", "toolarge"
  end
  local ok, message = true, nil
  if upload._file then
    ok, message = upload._file:write(data)
  else
    table.insert(upload._parts, data)
    if upload.size > limits.max_file_memory then ok, message = spill(upload) end
  end
  if not ok then return nil, message, "EIO" end
  return true
end

local function finish(upload)
  if upload._file then
    upload._parts = nil
    upload:rewind()
  else
    upload._text = table.concat(upload._parts)
  end
end

local sink = {}
sink.__index = sink

-- What each event of the parser does; nil, message, code ends it all.
local events = {}

function events:part(name, filename, kind)
  self.count = self.count + 1
  if self.count > self.limits.max_fields then
    return nil, "the form has too many fields", "toolarge"
  end
  self.name = name:gsub("%%22", '"')
  self.upload = filename and newupload(self.name, filename, kind)
  self.value = {}
  if self.upload then table.insert(self.files, self.upload) end
  return true
end

function events:data(data)
  if self.upload then return append(self.upload, data, self.limits) end
  self.memory = self.memory + #data
  if self.memory > self.limits.max_memory then
    return nil, "the values of the form are too large", "toolarge"
  end
  table.insert(self.value, data)
  return true
end

events["end"] = function(self)
  local upload = self.upload
  if upload then
    finish(upload)
    if upload.filename == "" and upload.size == 0 then return true end -- none chosen
  end
  form.add(self.fields, self.name, upload or table.concat(self.value), true)
  return true
end

function events:done()
  self.complete = true
  return true
end

function events.error(_, message, toolarge)
  return nil, message, toolarge and "toolarge" or "malformed"
end

-- Gives the parser a piece of the body.
function sink:take(data)
  local at = 1
  while true do
    local nextat, event, a, b, c = self.parser:feed(data, at)
    if not event then return true end
    local ok, message, code = events[event](self, a, b, c)
    if not ok then return nil, message, code end
    at = nextat
  end
end

local function readall(self, req)
  while true do
    local data, message, code = req:read(PIECE)
    if data then
      data, message, code = self:take(data)
    elseif code == "closed" and self.complete then
      return self.fields
    elseif code == "closed" then
      return nil, "the form was cut off", "malformed"
    end
    if not data then return nil, message, code end
  end
end

--- Reads the form in the body of a request.
-- @param req
-- @tparam string kind the value of Content-Type
-- @tparam table opts
-- @tparam table files gets each file at once: the caller has to close them
-- @return name -> list of values; or nil, message, code
local function read(req, kind, opts, files)
  local boundary = core.http_param(kind, "boundary")
  local parser = boundary and core.http_form(boundary)
  if not parser then return nil, "a form without a boundary", "malformed" end
  local self = setmetatable({parser = parser, fields = {}, files = files,
    count = 0, memory = 0, limits = {
      max_fields = opts.max_fields or MAX_FIELDS,
      max_memory = opts.max_memory or MAX_MEMORY,
      max_file_memory = opts.max_file_memory or MAX_FILE_MEMORY,
      max_file_bytes = opts.max_file_bytes or math.huge,
    }}, sink)
  return readall(self, req)
end

return {read = read, Upload = Upload, MAX_FIELDS = MAX_FIELDS}
