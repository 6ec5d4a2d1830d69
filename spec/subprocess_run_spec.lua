-- Talking to child processes: communicate, run and its like.

local helper = require "helper"
local gos = require "gevent.os"
local subprocess = require "gevent.subprocess"
local it = helper.it

local pack = table.pack
local Popen, PIPE, STDOUT = subprocess.Popen, subprocess.PIPE, subprocess.STDOUT
local MIB = 1 << 20

describe("communicate", function()
  it("never deadlocks: a MiB both ways, on all pipes", function()
    local text = ("0123456789abcdef"):rep(MIB // 16)
    local p <close> = assert(Popen("tee /dev/stderr", {stdin = PIPE, stdout = PIPE,
      stderr = PIPE}))
    local out, err = p:communicate(text)
    assert.is_true(out == text)
    assert.is_true(err == text)
    assert.equal(0, p.returncode)
    assert.is_true(p.stdout.closed and p.stderr.closed and p.stdin.closed)
  end)

  it("does not mind a child that does not read", function()
    local p <close> = assert(Popen("exec <&-; echo done", {stdin = PIPE, stdout = PIPE}))
    assert.equal("done\n", (p:communicate(("x"):rep(MIB))))
    assert.equal(0, p.returncode)
  end)

  it("gives nil for what is no pipe, and the same again", function()
    local p <close> = assert(Popen("echo err >&2; exit 3", {stderr = PIPE}))
    assert.same({n = 2, nil, "err\n"}, pack(p:communicate()))
    assert.same({n = 2, nil, "err\n"}, pack(p:communicate()))
    assert.equal(3, p.returncode)
  end)

  it("keeps what it has when its time is over", function()
    local p <close> = assert(Popen("echo one; read x; echo $x; echo end",
      {stdin = PIPE, stdout = PIPE}))
    local stdin = p.stdin
    p.stdin = nil -- written by hand
    local results
    repeat
      results = pack(p:communicate(nil, 0.02))
      assert.same({nil, "timed out", "timeout"}, {table.unpack(results, 1, 3)})
    until results[4].stdout == "one\n"
    stdin:write("two\n")
    assert.equal("one\ntwo\nend\n", (p:communicate()))
    stdin:close()
  end)

  it("goes on where it was interrupted", function()
    local text = ("x"):rep(MIB)
    local r, w = assert(gos.pipe())
    local q <close> = assert(Popen("read go </dev/fd/" .. r .. "; cat",
      {stdin = PIPE, stdout = PIPE, pass_fds = {r}}))
    local g = helper.spawn_blocked(function() q:communicate(text) end)
    g:kill()
    local again = helper.spawn_blocked(function() return q:communicate() end)
    gos.nb_write(w, "go\n")
    assert.is_true(again:get() == text)
    gos.close(r)
    gos.close(w)
  end)
end)

describe("run", function()
  it("gives returncode, stdout and stderr", function()
    local result = subprocess.run("echo out; echo err >&2; exit 3")
    assert.equal(3, result.returncode)
    assert.equal("out\n", result.stdout)
    assert.equal("err\n", result.stderr)
    result = subprocess.run({"cat"}, {input = "fed"})
    assert.equal("fed", result.stdout)
    assert.equal(-9, subprocess.run("kill -9 $$").returncode)
    result = subprocess.run("echo out; echo err >&2", {stderr = STDOUT})
    assert.equal("out\nerr\n", result.stdout)
    assert.is_nil(result.stderr)
  end)

  it("kills it when its time is over, and keeps the output", function()
    local start = helper.now()
    local result, message, code, partial = subprocess.run("echo so far; exec sleep 60",
      {timeout = 0.3 * helper.scale})
    assert.same({nil, "timed out", "timeout"}, {result, message, code})
    assert.equal("so far\n", partial.stdout)
    assert.equal(-9, partial.returncode)
    assert.is_true(helper.now() - start < 30)
    assert.equal(0, helper.zombies())
  end)

  it("kills it when the greenlet is killed, or leaves by an error", function()
    local g = helper.spawn_blocked(function() subprocess.run {"sleep", "60"} end)
    g:kill()
    local p
    pcall(function()
      local scoped <close> = assert(Popen {"sleep", "60"})
      p = scoped
      error "out"
    end)
    assert.equal(-9, p.returncode)
    assert.equal(0, helper.zombies())
  end)

  it("as check_output, check_call and call", function()
    assert.equal("text", subprocess.check_output {"printf", "text"})
    assert.equal(0, subprocess.check_call {"true"})
    assert.equal(0, subprocess.call {"true"})
    assert.equal(5, subprocess.call "exit 5")
    local result, message, code, all = subprocess.check_output "echo half; exit 2"
    assert.is_nil(result)
    assert.matches("exit status 2", message)
    assert.equal("exit", code)
    assert.equal("half\n", all.stdout)
    assert.equal(2, all.returncode)
    result, message, code, all = subprocess.check_call "kill $$"
    assert.is_nil(result)
    assert.matches("signal 15", message)
    assert.equal("signal", code)
    assert.equal(-15, all.returncode)
    result, message, code, all = subprocess.check_output("echo x; exec sleep 60",
      {timeout = 0.3 * helper.scale})
    assert.same({nil, "timed out", "timeout"}, {result, message, code})
    assert.equal("x\n", all.stdout)
    assert.equal("timeout", (select(3, subprocess.call({"sleep", "60"}, {timeout = 0}))))
  end)
end)
