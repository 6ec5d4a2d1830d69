-- Looking up, without a network.
local t = ...
local dns = require("socket").dns

print(dns.toip("localhost"))
print((select(2, dns.toip("localhost"))).ip[1], (select(2, dns.toip("localhost"))).name)
print(dns.toip("127.0.0.1"))
print(dns.tohostname("127.0.0.1"))
local resolved = select(2, dns.tohostname("127.0.0.1"))
t.names("resolved", resolved)
print(resolved.ip[1], #resolved.ip)
print(dns.toip("nosuchhost.invalid"))
print(dns.tohostname("nosuchhost.invalid"))
print(dns.getaddrinfo("nosuchhost.invalid"))
for i, address in ipairs(dns.getaddrinfo("127.0.0.1")) do
  print(i, address.family, address.addr)
  t.names("address", address)
end
for i, address in ipairs(dns.getaddrinfo("::1")) do print(i, address.family, address.addr) end
print(dns.getnameinfo("127.0.0.1")[1], #dns.getnameinfo("127.0.0.1"))
print(select(2, dns.getnameinfo("127.0.0.1", "80")), select(2, dns.getnameinfo(nil, "http")))
print(dns.getnameinfo("nosuchhost.invalid"))
t.try(dns.getnameinfo)
t.try(dns.toip)
t.try(dns.getaddrinfo, {})
