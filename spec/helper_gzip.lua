-- Compressed data made by hand, so that specs need no compressor: stored
-- blocks, and one long run of zeros in a block of fixed Huffman codes.

local gzip = {}

local crcs = {}
for i = 0, 255 do
  local c = i
  for _ = 1, 8 do c = c & 1 == 1 and 0xedb88320 ~ c >> 1 or c >> 1 end
  crcs[i] = c
end

local function crc32(text)
  local c = 0xffffffff
  for i = 1, #text do c = crcs[(c ~ text:byte(i)) & 255] ~ c >> 8 end
  return c ~ 0xffffffff
end

local function adler32(text)
  local a, b = 1, 0
  for i = 1, #text do
    a = (a + text:byte(i)) % 65521
    b = (b + a) % 65521
  end
  return b << 16 | a
end

--- RFC 1951: one stored block, or an empty one of fixed codes.
function gzip.raw(text)
  if text == "" then return "\3\0" end
  return "\1" .. string.pack("<I2I2", #text, ~#text & 0xffff) .. text
end

--- RFC 1950.
function gzip.zlib(text)
  return "\x78\x9c" .. gzip.raw(text) .. string.pack(">I4", adler32(text))
end

local HEAD = "\31\139\8\0\0\0\0\0\0\3"

--- RFC 1952.
function gzip.gzip(text)
  return HEAD .. gzip.raw(text) .. string.pack("<I4I4", crc32(text), #text)
end

-- CRC of n zero bytes: that of half of them, applied twice, would be quicker;
-- a table of one step for all 32 bits, squared, is quick enough.
local function crczeros(n)
  local function apply(matrix, c)
    local sum = 0
    for i = 0, 31 do
      if c >> i & 1 == 1 then sum = sum ~ matrix[i] end
    end
    return sum
  end
  local matrix = {} -- what a zero byte does to each bit
  for i = 0, 31 do
    local c = 1 << i
    matrix[i] = crcs[c & 255] ~ c >> 8
  end
  local c = 0xffffffff
  while n > 0 do
    if n & 1 == 1 then c = apply(matrix, c) end
    local squared = {}
    for i = 0, 31 do squared[i] = apply(matrix, matrix[i]) end
    matrix, n = squared, n >> 1
  end
  return c ~ 0xffffffff
end

--- RFC 1952 of so many zero bytes: a literal, then matches of 258 bytes at
-- distance 1, 13 bits each (285: 11000101, distance 0: 00000), 8 of which are
-- 13 whole bytes.
function gzip.zeros(n)
  local bits, count, out = 0, 0, {}
  local function put(value, width) -- Huffman codes go most significant bit first
    for i = width - 1, 0, -1 do
      bits = bits | (value >> i & 1) << count
      count = count + 1
      if count == 8 then
        out[#out + 1] = string.char(bits)
        bits, count = 0, 0
      end
    end
  end
  put(1, 1) -- the last block,
  put(2, 2) -- of fixed codes: 01, least significant bit first
  local matches = (n - 1) // 258
  for _ = 1, n - matches * 258 do put(0x30, 8) end
  while count ~= 0 and matches > 0 do
    put(0xc5, 8)
    put(0, 5)
    matches = matches - 1
  end
  local from = #out
  for _ = 1, math.min(8, matches) do
    put(0xc5, 8)
    put(0, 5)
  end
  if matches >= 8 then
    local eight = table.concat(out, "", from + 1)
    out[#out + 1] = eight:rep(matches // 8 - 1)
    for _ = 1, matches % 8 do
      put(0xc5, 8)
      put(0, 5)
    end
  end
  put(0, 7) -- end of block
  if count > 0 then put(0, 8 - count) end
  return HEAD .. table.concat(out) .. string.pack("<I4I4", crczeros(n), n & 0xffffffff)
end

return gzip
