-- What `make install` and `make deb` put somewhere is complete: it runs from there, with
-- nothing of this directory.

local helper = require "helper"
local cli = require "helper_cli"
local process = require "helper_process"
local subprocess = require "gevent.subprocess"
local it = helper.it

local LONG = {deadline = 60}
local quote = process.quote

--- The directory that has been built, and is being tested.
local function build()
  return (package.searchpath("gevent._core", package.cpath):gsub("/?gevent/_core%.so$", ""))
end

-- Not to be built again, and not as this make was told to.
local function make(words)
  local result = assert(subprocess.run(("env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u SPEC "
    .. "make -o all -o build/gevent/_core.so BUILD=%s %s"):format(quote(build()), words),
    {stderr = subprocess.STDOUT, timeout = 50 * helper.scale}))
  assert.equal(0, result.returncode, result.stdout)
  return result.stdout
end

--- Runs the command that is there; its exit code, stdout, stderr.
local function run(root, lib, words)
  local env = ("LUA_PATH_5_4=%s LUA_CPATH_5_4=%s"):format(
    quote(root .. "/share/lua/5.4/?.lua;" .. root .. "/share/lua/5.4/?/init.lua"),
    quote(lib .. "/lua/5.4/?.so"))
  local result = assert(subprocess.run(("cd / && env %s %s %s"):format(env,
    os.getenv "GEVENT_SPEC_LUA" or "lua5.4", quote(root .. "/bin/gevent") .. " " .. words),
    {stderr = subprocess.PIPE, timeout = 30 * helper.scale}))
  return result.returncode, result.stdout, result.stderr
end

local VERSION = "gevent " .. require "gevent".version .. ", Lua 5.4\n"

describe("make install", function()
  it("puts all that the command and every module need where it was told", function()
    local dir <close> = cli.directory {["all.lua"] = [[
      for name in io.lines(arg[1]) do require(name) end
      print "all"
    ]]}
    make("install DESTDIR=" .. quote(dir.path) .. " PREFIX=/p")
    local root = dir.path .. "/p"
    assert.same({0, VERSION, ""}, {run(root, root .. "/lib", "--version")})
    assert.matches("^#!/usr/bin/env lua", helper.slurp(root .. "/bin/gevent"))
    assert.is_true(os.execute("test -x " .. quote(root .. "/bin/gevent")))
    local names = {}
    for _, path in ipairs(helper.files("lua/gevent", ".lua")) do
      names[#names + 1] = path:gsub("^lua/", ""):gsub("/init%.lua$", ""):gsub("%.lua$", "")
        :gsub("/", ".")
    end
    dir.write("names", table.concat(names, "\n"))
    local code, out, err = run(root, root .. "/lib", "run --no-patch "
      .. quote(dir.path .. "/all.lua") .. " " .. quote(dir.path .. "/names"))
    assert.same({0, "all\n", ""}, {code, out, err})
  end, LONG)
end)

describe("make deb", function()
  it("makes a package that has it all", function()
    if not os.execute "command -v dpkg-deb objdump >/dev/null 2>&1" then
      return pending "dpkg-deb or objdump is missing"
    elseif build() ~= "build" then
      return pending "it is made of the plain build"
    end
    local dir <close> = cli.directory()
    local package_ = make("deb"):match("(%S+%.deb)\n")
    assert(os.execute(("dpkg-deb -x %s %s"):format(quote(package_), quote(dir.path))))
    local info = assert(subprocess.check_output({"dpkg-deb", "-f", package_}))
    assert.matches("Package: lua%-gevent\n", info)
    for _, name in ipairs {"lua5%.4", "libuv1", "libssl3", "libc6"} do
      assert.matches("Depends: [^\n]*" .. name, info)
    end
    local root = dir.path .. "/usr"
    local found = assert(subprocess.check_output({"find", root .. "/lib", "-name", "_core.so"}))
    local lib = found:match("^(.*)/lua/5%.4/gevent/_core%.so\n$")
    assert.same({0, VERSION, ""}, {run(root, lib, "--version")})
  end, LONG)
end)

-- The rockspec and the Makefile say the same of the libraries.
describe("the rockspec", function()
  it("is complete", function()
    local env = {}
    assert(loadfile("gevent-scm-1.rockspec", "t", env))()
    local makefile = helper.slurp "Makefile"
    for rock in makefile:match("\nROCKS := ([^\n]*)"):gmatch("%S+") do
      assert.is_table(env.external_dependencies[rock], rock)
      assert.equal("$(" .. rock .. "_LIBDIR)", env.build.variables[rock .. "_LIBDIR"])
    end
    for _, name in ipairs {"INST_BINDIR", "INST_LIBDIR", "INST_LUADIR"} do
      assert.is_truthy(makefile:find("$(" .. name .. ")", 1, true))
      assert.is_string(env.build.variables[name])
    end
  end)
end)
