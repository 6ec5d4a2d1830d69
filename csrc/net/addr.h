/* net/addr.h - layer: net. Socket addresses and how Lua writes them: host and
 * port for inet and inet6, a path for unix.
 *
 * Plain data that its holder owns; nothing here is to be closed. No look-up of
 * names and no blocking, so whatever has an address as text may ask here first
 * and go to the resolver only after a false. */
#ifndef GEV_NET_ADDR_H
#define GEV_NET_ADDR_H

#include <lua.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct gev_addr {
  socklen_t len; /* of what is in u; 0: there is no address */
  union {
    struct sockaddr sa;
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
    struct sockaddr_storage any;
  } u;
};

/* A numeric address; false: host is none of this family, which is AF_INET,
 * AF_INET6 or AF_UNSPEC (either). "" and "*" are any address: that of IPv6
 * for AF_INET6, else that of IPv4. An IPv4 host becomes v4-mapped for
 * AF_INET6. An IPv6 host may have a scope: "fe80::1%eth0", "fe80::1%2". */
bool gev_addr_numeric(struct gev_addr *a, int family, const char *host,
                      uint16_t port);
/* A path; false: it is empty, too long or has a NUL inside. On Linux "@name"
 * is in the abstract namespace; "./@name" is the file of that name. */
bool gev_addr_unix(struct gev_addr *a, const char *path, size_t len);
/* Pushes host, port (inet, inet6) or the path (unix: "@name" for an abstract
 * one, "" for none); returns how many values. A len of 0, which recvfrom
 * gives for a sender without a name, is "" too; another family is nil. */
int gev_addr_push(lua_State *L, const struct gev_addr *a);
/* Pushes it as one text for people: "host:port", "[ipv6]:port", the path. */
void gev_addr_text(lua_State *L, const struct gev_addr *a);

/* The family named "inet", "inet6" or "unix" at idx; fallback for nil or none,
 * unless that is negative. Raises on everything else. */
int gev_family(lua_State *L, int idx, int fallback);
/* The name of it, or NULL. */
const char *gev_family_name(int family);

#endif
