-- Bad certificates: whether we refuse one, and why, is what `openssl verify`
-- says of it. All are made at once, by the openssl program.

local helper = require "helper"
local tls = require "helper_tls"
local ssl = require "gevent.ssl"
local it = helper.it

if not tls.have "openssl" then
  pending "verdicts are those of openssl verify (no openssl)"
  return
end

-- What is made ---------------------------------------------------------------------

local CA = "basicConstraints=critical,CA:TRUE"
local PLAIN = "subjectAltName=DNS:good.example"

-- By name: `ext` (extensions), `by` (the issuer: root), `key` (leaf), `dates` (both),
-- `md`; `signed` with its own key.
local CERTIFICATES = {
  {"good", ext = PLAIN},
  {"expired", ext = PLAIN, dates = {"20200101000000Z", "20200201000000Z"}},
  {"early", ext = PLAIN, dates = {"20980101000000Z", "20990101000000Z"}},
  {"alone", ext = PLAIN, signed = true},
  {"strange", ext = PLAIN, by = "stranger"},
  -- names
  {"wild", ext = "subjectAltName=DNS:*.wild.example"},
  {"partial", ext = "subjectAltName=DNS:w*.part.example"},
  {"inner", ext = "subjectAltName=DNS:sub.*.wild.example"},
  {"top", ext = "subjectAltName=DNS:*.example"},
  {"bare", ext = "subjectAltName=DNS:*"},
  {"idn", ext = "subjectAltName=DNS:xn--bcher-kva.example,DNS:*.xn--bcher-kva.example"},
  {"idnpart", ext = "subjectAltName=DNS:xn--*.example"},
  {"several", ext = "subjectAltName=DNS:one.example,DNS:two.example,IP:192.0.2.7"},
  {"addresses", ext = "subjectAltName=IP:192.0.2.1,IP:2001:db8::1"},
  {"written", ext = "subjectAltName=DNS:192.0.2.1"},
  {"cn", ext = "basicConstraints=CA:FALSE", subject = "/CN=good.example"},
  {"cnaddress", ext = "basicConstraints=CA:FALSE", subject = "/CN=192.0.2.1"},
  {"cnother", ext = "subjectAltName=DNS:other.example", subject = "/CN=good.example"},
  {"cnmail", ext = "subjectAltName=email:me@good.example", subject = "/CN=good.example"},
  {"nul", ext = "subjectAltName=DER:30:1A:82:18:67:6F:6F:64:2E:65:78:61:6D:70:6C:65:00:"
    .. "2E:65:76:69:6C:2E:65:78:61:6D:70"}, -- good.example, NUL, .evil.examp
  -- purposes
  {"forclient", ext = PLAIN .. "\nextendedKeyUsage=clientAuth"},
  {"forserver", ext = PLAIN .. "\nextendedKeyUsage=serverAuth"},
  {"forboth", ext = PLAIN .. "\nextendedKeyUsage=serverAuth,clientAuth"},
  {"formail", ext = PLAIN .. "\nextendedKeyUsage=emailProtection"},
  {"forcrl", ext = PLAIN .. "\nkeyUsage=critical,cRLSign"},
  {"isca", ext = PLAIN .. "\n" .. CA},
  {"critical", ext = PLAIN .. "\n1.2.3.4=critical,DER:05:00"},
  -- chains
  {"middle", ext = CA, key = "middle"},
  {"bymiddle", ext = PLAIN, by = "middle"},
  {"noca", ext = "basicConstraints=critical,CA:FALSE", key = "noca"},
  {"bynoca", ext = PLAIN, by = "noca"},
  {"unsaid", ext = "subjectKeyIdentifier=hash", key = "unsaid"},
  {"byunsaid", ext = PLAIN, by = "unsaid"},
  {"nosign", ext = CA .. "\nkeyUsage=critical,digitalSignature", key = "nosign"},
  {"bynosign", ext = PLAIN, by = "nosign"},
  {"short", ext = CA .. ",pathlen:0", key = "short"},
  {"byshort", ext = PLAIN, by = "short"},
  {"deep", ext = CA, key = "deep", by = "short"},
  {"bydeep", ext = PLAIN, by = "deep"},
  {"old", ext = CA, key = "old", dates = {"20200101000000Z", "20200201000000Z"}},
  {"byold", ext = PLAIN, by = "old"},
  {"named", ext = CA .. "\nnameConstraints=critical,permitted;DNS:inside.example,"
    .. "excluded;DNS:not.inside.example", key = "named"},
  {"inside", ext = "subjectAltName=DNS:a.inside.example", by = "named"},
  {"outside", ext = PLAIN, by = "named"},
  {"excluded", ext = "subjectAltName=DNS:not.inside.example", by = "named"},
  {"notcn", ext = "basicConstraints=CA:FALSE", subject = "/CN=good.example", by = "named"},
  {"clientca", ext = CA .. "\nextendedKeyUsage=clientAuth", key = "clientca"},
  {"byclientca", ext = PLAIN, by = "clientca"},
  -- strength
  {"rsa1024", ext = PLAIN, key = "rsa1024"},
  {"rsa2048", ext = PLAIN, key = "rsa2048"},
  {"sha1", ext = PLAIN, md = "sha1"},
  {"weakca", ext = CA, key = "weakca"},
  {"byweakca", ext = PLAIN, by = "weakca"},
  -- revocation
  {"revoked", ext = PLAIN},
  {"badmiddle", ext = CA, key = "badmiddle"},
  {"bybadmiddle", ext = PLAIN, by = "badmiddle"},
}

local RSA = {rsa1024 = 1024, rsa2048 = 2048, weakca = 1024}

local DATED = [[
[ca]
default_ca=d
[d]
dir=m
database=m/index.txt
new_certs_dir=m
rand_serial=yes
unique_subject=no
default_md=sha256
default_days=30
default_crl_days=30
policy=any
[any]
commonName=optional
]]

local function key_command(key)
  local bits = RSA[key]
  return ("openssl genpkey -out m/%s.key -algorithm "):format(key)
    .. (bits and "rsa -pkeyopt rsa_keygen_bits:" .. bits
      or "ec -pkeyopt ec_paramgen_curve:P-256")
end

local function cert_command(c)
  local name, by, key = c[1], c.by or "root", c.key or "leaf"
  local issuer = by == "root" and "-CA m/root.pem -CAkey m/root.key"
    or ("-CA m/%s.pem -CAkey m/%s.key"):format(by, by)
  local ext = ("-extfile m/%s.ext"):format(name)
  local request = ("openssl req -new -key m/%s.key -subj '%s' -config m/empty.cnf")
    :format(key, c.subject or "/CN=" .. name)
  if c.dates then
    return ("%s -out m/%s.csr && openssl ca -batch -notext -config m/ca.cnf -in m/%s.csr "
      .. "-cert m/root.pem -keyfile m/root.key -startdate %s -enddate %s %s -out m/%s.pem")
      :format(request, name, name, c.dates[1], c.dates[2], ext, name)
  elseif c.signed then
    issuer = "-signkey m/leaf.key"
  end
  return ("%s | openssl x509 -req %s -set_serial %d -days 30 -%s %s -out m/%s.pem")
    :format(request, issuer, c.serial, c.md or "sha256", ext, name)
end

local function make()
  if helper.slurp(tls.dir() .. "/m/done") then return end
  tls.run("mkdir -p m")
  tls.write("m/empty.cnf", "[req]\ndistinguished_name=n\n[n]\n")
  tls.write("m/ca.cnf", DATED)
  tls.write("m/index.txt", "")
  local script = {"set -e"}
  local function add(line) script[#script + 1] = line end
  for _, name in ipairs {"root", "stranger", "weakroot"} do
    add(key_command(name))
    add(("openssl req -x509 -new -key m/%s.key -subj /CN=%s -days 30 -config m/empty.cnf "
      .. "-addext %s -out m/%s.pem"):format(name, name, CA, name))
  end
  local keys = {}
  for i, c in ipairs(CERTIFICATES) do
    local key = c.key or "leaf"
    c.serial = i
    if not keys[key] then add(key_command(key)) end
    keys[key] = true
    tls.write("m/" .. c[1] .. ".ext", c.ext .. "\n")
    add(cert_command(c))
  end
  local ca = "openssl ca -config m/ca.cnf -cert m/root.pem -keyfile m/root.key "
  add(ca .. "-gencrl -out m/none.crl")
  for _, name in ipairs {"revoked", "badmiddle"} do
    add(ca .. ("-revoke m/%s.pem"):format(name))
  end
  add(ca .. "-gencrl -out m/root.crl")
  add(ca .. "-gencrl -crl_lastupdate 20200101000000Z -crl_nextupdate 20200201000000Z "
    .. "-out m/old.crl")
  for _, name in ipairs {"middle", "badmiddle"} do
    add(("openssl ca -config m/ca.cnf -cert m/%s.pem -keyfile m/%s.key -gencrl -out m/%s.crl")
      :format(name, name, name))
  end
  add("touch m/done")
  tls.write("m/make.sh", table.concat(script, "\n") .. "\n")
  tls.run("sh m/make.sh")
end

local function pem(name) return assert(helper.slurp(("%s/m/%s"):format(tls.dir(), name))) end

-- The verdicts ------------------------------------------------------------------------

local OK = "OK"
local MISMATCH, IP_MISMATCH = "hostname mismatch", "IP address mismatch"

local LEVELS = {leaf = "-crl_check", chain = "-crl_check -crl_check_all"}

-- The command that asks openssl about a case as below.
local function question(case, purpose)
  local words = {"openssl verify -no-CAfile -no-CApath -no-CAstore -CAfile m/root.pem",
    "-purpose", purpose, "-auth_level", tostring(case.level or 1)}
  local function add(...) for _, word in ipairs {...} do words[#words + 1] = word end end
  if case.host then add("-verify_hostname", case.host) end
  if case.ip then add("-verify_ip", case.ip) end
  for _, name in ipairs(case.chain or {}) do add("-untrusted", ("m/%s.pem"):format(name)) end
  if case.crl_check then add(LEVELS[case.crl_check]) end
  for _, name in ipairs(case.crls or {}) do add("-CRLfile", ("m/%s.crl"):format(name)) end
  add(("m/%s.pem; echo ="):format(case[1]))
  return table.concat(words, " ")
end

-- openssl's verdicts on all of them.
local function their_verdicts(cases, purpose)
  local questions, verdicts = {}, {}
  for i, case in ipairs(cases) do questions[i] = question(case, purpose) end
  for out in tls.run(table.concat(questions, "\n")):gmatch "(.-)\n?=\n" do
    local first = out:match "error %d+ at %d+ depth lookup: ([^\n]+)"
    if not first and not out:find ": OK$" then error("openssl verify says:\n" .. out) end
    verdicts[#verdicts + 1] = first or OK
  end
  return verdicts
end

-- Level 0 for whoever shows a certificate: it is the other who judges it.
local function own(case, opts)
  local chain = {pem(case[1] .. ".pem")}
  for _, name in ipairs(case.chain or {}) do chain[#chain + 1] = pem(name .. ".pem") end
  for _, c in ipairs(CERTIFICATES) do
    if c[1] == case[1] then opts.key = pem((c.key or "leaf") .. ".key") end
  end
  opts.cert = table.concat(chain)
  opts.ciphers = "DEFAULT:@SECLEVEL=0"
  return assert(ssl.SSLContext(opts))
end

local function judge(case, opts)
  opts.cafile = tls.dir() .. "/m/root.pem"
  opts.ciphers = "DEFAULT:@SECLEVEL=" .. (case.level or 1)
  opts.crl_check = case.crl_check
  local context = assert(ssl.SSLContext(opts))
  for _, name in ipairs(case.crls or {}) do
    assert(context:load_verify_locations(("%s/m/%s.crl"):format(tls.dir(), name)))
  end
  return context
end

local function verdict(ok, message)
  if ok then return OK end
  return message:match "^certificate verify failed: (.*)$" or message
end

-- A client of ours, of a server that shows the certificate.
local function as_client(case)
  local ok, message = tls.connects(judge(case, {}), own(case, {role = "server"}),
    {server_hostname = case.host or case.ip})
  return verdict(ok, message)
end

-- A server of ours, of such a client.
local function as_server(case)
  local server = judge(case, {role = "server", verify_mode = "required",
    cert = pem "good.pem", key = pem "leaf.key"})
  local client = own(case, {verify_mode = "none"})
  local ok, _, message = tls.connects(client, server, {server_hostname = "good.example"})
  return verdict(ok, message)
end

local function each(cases)
  make()
  for _, case in ipairs(cases) do
    if not case.host and not case.ip then case.host = "good.example" end
  end
  local theirs = their_verdicts(cases, "sslserver")
  for i, case in ipairs(cases) do
    local name = ("%s for %s"):format(case[1], case.host or case.ip)
    assert.equal(case[2], theirs[i], "openssl verify: " .. name)
    assert.equal(case[2], as_client(case), name)
  end
end

describe("the verdict on a certificate is openssl verify's:", function()
  it("dates, and who has signed", function()
    each {
      {"good", OK},
      {"expired", "certificate has expired"},
      {"early", "certificate is not yet valid"},
      {"alone", "self-signed certificate"},
      {"strange", "unable to get local issuer certificate"},
      {"strange", "self-signed certificate in certificate chain", chain = {"stranger"}},
      {"expired", MISMATCH, host = "other.example"}, -- the first of two is told
    }
  end, {deadline = 60})

  it("names", function()
    each {
      {"good", OK, host = "GOOD.example"},
      {"good", MISMATCH, host = "bad.example"},
      {"good", MISMATCH, host = "good.example.evil"},
      {"good", MISMATCH, host = "a.good.example"},
      {"good", MISMATCH, host = "example"},
      {"several", OK, host = "one.example"},
      {"several", OK, host = "two.example"},
      {"several", OK, ip = "192.0.2.7"},
      {"several", MISMATCH, host = "three.example"},
      {"nul", MISMATCH},
      {"cn", OK},
      {"cn", MISMATCH, host = "other.example"},
      {"cnother", MISMATCH},
      {"cnmail", OK},
    }
  end, {deadline = 60})

  it("wildcards", function()
    each {
      {"wild", OK, host = "a.wild.example"},
      {"wild", OK, host = "A.WILD.example"},
      {"wild", OK, host = "xn--a-1ga.wild.example"},
      {"wild", MISMATCH, host = "a.b.wild.example"},
      {"wild", MISMATCH, host = "wild.example"},
      {"wild", MISMATCH, host = "awild.example"},
      {"partial", OK, host = "ww.part.example"},
      {"partial", MISMATCH, host = "a.part.example"},
      {"inner", MISMATCH, host = "sub.a.wild.example"},
      {"top", MISMATCH},
      {"bare", MISMATCH, host = "localhost"},
      {"idn", OK, host = "xn--bcher-kva.example"},
      {"idn", OK, host = "a.xn--bcher-kva.example"},
      {"idn", MISMATCH, host = "bücher.example"},
      {"idnpart", MISMATCH, host = "xn--bcher-kva.example"},
    }
  end, {deadline = 60})

  it("addresses", function()
    each {
      {"addresses", OK, ip = "192.0.2.1"},
      {"addresses", OK, ip = "2001:db8::1"},
      {"addresses", OK, ip = "2001:DB8:0:0:0:0:0:1"},
      {"addresses", IP_MISMATCH, ip = "192.0.2.2"},
      {"addresses", IP_MISMATCH, ip = "2001:db8::2"},
      {"addresses", IP_MISMATCH, ip = "::ffff:192.0.2.1"},
      {"addresses", MISMATCH, host = "good.example"},
      {"written", IP_MISMATCH, ip = "192.0.2.1"},
      {"cnaddress", IP_MISMATCH, ip = "192.0.2.1"},
      {"good", IP_MISMATCH, ip = "192.0.2.1"},
    }
  end, {deadline = 60})

  it("purposes", function()
    local UNFIT = "unsuitable certificate purpose"
    each {
      {"forclient", UNFIT},
      {"forserver", OK},
      {"forboth", OK},
      {"formail", UNFIT},
      {"forcrl", UNFIT},
      {"isca", OK},
      {"critical", "unhandled critical extension"},
      {"byclientca", UNFIT, chain = {"clientca"}},
    }
  end, {deadline = 60})

  it("chains", function()
    local NO_CA = "invalid CA certificate"
    each {
      {"bymiddle", OK, chain = {"middle"}},
      {"bymiddle", "unable to get local issuer certificate"},
      {"bymiddle", "unable to get local issuer certificate", chain = {"short"}},
      {"bynoca", NO_CA, chain = {"noca"}},
      {"byunsaid", NO_CA, chain = {"unsaid"}},
      {"bynosign", NO_CA, chain = {"nosign"}},
      {"byshort", OK, chain = {"short"}},
      {"bydeep", "path length constraint exceeded", chain = {"deep", "short"}},
      {"byold", "certificate has expired", chain = {"old"}},
    }
  end, {deadline = 60})

  it("name constraints", function()
    each {
      {"inside", OK, chain = {"named"}, host = "a.inside.example"},
      {"outside", "permitted subtree violation", chain = {"named"}},
      {"excluded", "excluded subtree violation", chain = {"named"},
        host = "not.inside.example"},
      {"notcn", "permitted subtree violation", chain = {"named"}},
    }
  end, {deadline = 60})

  it("strength, by the level", function()
    local WEAK = "EE certificate key too weak"
    each {
      {"rsa1024", OK, level = 0},
      {"rsa1024", OK, level = 1},
      {"rsa1024", WEAK, level = 2},
      {"rsa2048", OK, level = 2},
      {"rsa2048", WEAK, level = 3},
      {"good", OK, level = 3},
      {"sha1", OK, level = 0},
      {"sha1", "CA signature digest algorithm too weak", level = 2},
      {"byweakca", OK, level = 1, chain = {"weakca"}},
      {"byweakca", "CA certificate key too weak", level = 2, chain = {"weakca"}},
    }
  end, {deadline = 60})

  it("revocation", function()
    local NO_CRL = "unable to get certificate CRL"
    each {
      {"revoked", OK, crls = {"root"}}, -- nobody asks
      {"revoked", OK, crl_check = "leaf", crls = {"none"}},
      {"revoked", "certificate revoked", crl_check = "leaf", crls = {"root"}},
      {"good", OK, crl_check = "leaf", crls = {"root"}},
      {"good", OK, crl_check = "chain", crls = {"root"}},
      {"good", NO_CRL, crl_check = "leaf"},
      {"good", "CRL has expired", crl_check = "leaf", crls = {"old"}},
      {"bymiddle", OK, crl_check = "chain", crls = {"root", "middle"}, chain = {"middle"}},
      {"bymiddle", NO_CRL, crl_check = "chain", crls = {"root"}, chain = {"middle"}},
      {"bybadmiddle", OK, crl_check = "leaf", crls = {"root", "badmiddle"},
        chain = {"badmiddle"}},
      {"bybadmiddle", "certificate revoked", crl_check = "chain",
        crls = {"root", "badmiddle"}, chain = {"badmiddle"}},
    }
  end, {deadline = 60})

  it("a client's certificate", function()
    make()
    local UNFIT = "unsuitable certificate purpose"
    local cases = {
      {"good", OK}, {"expired", "certificate has expired"},
      {"early", "certificate is not yet valid"}, {"alone", "self-signed certificate"},
      {"strange", "unable to get local issuer certificate"}, {"forclient", OK},
      {"forserver", UNFIT}, {"forboth", OK}, {"formail", UNFIT},
      {"bymiddle", OK, chain = {"middle"}}, {"bymiddle", "unable to get local issuer certificate"},
      {"byclientca", OK, chain = {"clientca"}},
      {"bynoca", "invalid CA certificate", chain = {"noca"}},
      {"bydeep", "path length constraint exceeded", chain = {"deep", "short"}},
      {"outside", "permitted subtree violation", chain = {"named"}},
      {"rsa1024", OK, level = 1}, {"rsa1024", "EE certificate key too weak", level = 2},
      {"revoked", "certificate revoked", crl_check = "leaf", crls = {"root"}},
      {"wild", OK}, -- a client has no name to be checked
    }
    local theirs = their_verdicts(cases, "sslclient")
    for i, case in ipairs(cases) do
      assert.equal(case[2], theirs[i], "openssl verify: " .. case[1])
      assert.equal(case[2], as_server(case), case[1])
    end
  end, {deadline = 60})
end)
