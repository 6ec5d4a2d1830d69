-- gevent.http.types: content types by file name extension (private).
local text = "; charset=utf-8"

local types = {
  html = "text/html" .. text, htm = "text/html" .. text,
  css = "text/css" .. text, txt = "text/plain" .. text,
  csv = "text/csv" .. text, md = "text/markdown" .. text,
  js = "text/javascript" .. text, mjs = "text/javascript" .. text,
  json = "application/json", map = "application/json",
  xml = "application/xml", pdf = "application/pdf",
  wasm = "application/wasm", zip = "application/zip",
  gz = "application/gzip", tar = "application/x-tar",
  png = "image/png", jpg = "image/jpeg", jpeg = "image/jpeg",
  gif = "image/gif", svg = "image/svg+xml", webp = "image/webp",
  avif = "image/avif", ico = "image/vnd.microsoft.icon",
  mp3 = "audio/mpeg", ogg = "audio/ogg", wav = "audio/wav",
  mp4 = "video/mp4", webm = "video/webm",
  woff = "font/woff", woff2 = "font/woff2", ttf = "font/ttf", otf = "font/otf",
}

--- The type of a file, as far as its name tells.
return function(path)
  local extension = path:match("%.([^./]+)$")
  return extension and types[extension:lower()] or "application/octet-stream"
end
