-- The soak (spec/soak/soak.lua) in its shortest form; make soak MINUTES=30 is
-- the real one.
local helper = require "helper"
local it = helper.it
local tls = require "helper_tls"

describe("a mixed service under abuse", function()
  it("fails in expected ways only, and gives everything back", function()
    local env = {}
    if tls.have "openssl" then
      local own = tls.certificate("localhost")
      env.SOAK_CERT, env.SOAK_KEY, env.SOAK_CA = own.cert, own.key, tls.authority("ca").cert
    end
    local code, out, err = helper.run_lua("spec/soak/soak.lua", {args = {"2"}, env = env,
      timeout = 120, under = [[sh -c 'ulimit -n 300 && exec "$@"' sh]]})
    assert.same({0, ""}, {code, err}, out)
    assert.matches("\n%d+ passed, 0 failed\n$", out)
  end, {deadline = 150})
end)
