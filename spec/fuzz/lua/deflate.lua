-- The negotiation of permessage-deflate: what either end makes of the other's
-- header.
local pmdeflate = require "gevent._pmdeflate"

local function check(agreed)
  assert(agreed.own_bits >= 8 and agreed.own_bits <= 15)
  assert(agreed.peer_bits >= 8 and agreed.peer_bits <= 15)
end

return function(bytes)
  local opts = {}
  if #bytes > 1 and bytes:byte() % 2 == 1 then
    opts.server_max_window_bits = 8 + bytes:byte() // 2 % 8
    opts.client_max_window_bits = 8 + bytes:byte() // 16 % 8
  end
  local text = bytes:sub(2)
  local reply, agreed = pmdeflate.accept(text, opts)
  if reply then
    check(agreed)
    assert(reply:find("^permessage%-deflate[%w_; =]*$"))
    local other = pmdeflate.agree(reply, {})
    assert(other, "our own answer is none")
    assert(other.peer_bits == agreed.own_bits)
    assert(other.own_bits <= agreed.peer_bits or agreed.peer_bits == 15)
  end
  agreed = pmdeflate.agree(text, opts)
  if agreed then check(agreed) end
end
