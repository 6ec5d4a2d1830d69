/* net/addr.c - layer: net. See addr.h. Owns nothing. */
#include "net/addr.h"

#include <arpa/inet.h>
#include <lauxlib.h>
#include <net/if.h>
#include <stddef.h>
#include <string.h>

static const char *const names[] = {"inet", "inet6", "unix", NULL};
static const int families[] = {AF_INET, AF_INET6, AF_UNIX};

#define PATH_AT offsetof(struct sockaddr_un, sun_path)

/* --- text to address ----------------------------------------------------- */

/* An interface: its name, or else its number in decimal. */
static bool parse_scope(const char *s, uint32_t *scope) {
  *scope = if_nametoindex(s);
  if (*scope) return true;
  uint64_t n = 0;
  const char *p = s;
  for (; *p >= '0' && *p <= '9' && n <= UINT32_MAX; p++)
    n = n * 10 + (uint64_t)(*p - '0');
  *scope = (uint32_t)n;
  return p != s && !*p && n <= UINT32_MAX;
}

static bool parse_in6(struct sockaddr_in6 *in6, const char *host) {
  char buf[INET6_ADDRSTRLEN];
  size_t len = strcspn(host, "%");
  if (len >= sizeof buf) return false;
  memcpy(buf, host, len);
  buf[len] = '\0';
  if (inet_pton(AF_INET6, buf, &in6->sin6_addr) != 1) return false;
  return !host[len] || parse_scope(host + len + 1, &in6->sin6_scope_id);
}

static bool set_in4(struct gev_addr *a, struct in_addr addr, uint16_t port) {
  a->len = sizeof a->u.in4;
  a->u.in4.sin_family = AF_INET;
  a->u.in4.sin_port = htons(port);
  a->u.in4.sin_addr = addr;
  return true;
}

/* The address itself is in place. */
static bool set_in6(struct gev_addr *a, uint16_t port) {
  a->len = sizeof a->u.in6;
  a->u.in6.sin6_family = AF_INET6;
  a->u.in6.sin6_port = htons(port);
  return true;
}

static void map_in4(struct in6_addr *to, struct in_addr from) {
  memset(to->s6_addr + 10, 0xff, 2);
  memcpy(to->s6_addr + 12, &from, sizeof from);
}

bool gev_addr_numeric(struct gev_addr *a, int family, const char *host,
                      uint16_t port) {
  struct in_addr in4 = {.s_addr = htonl(INADDR_ANY)};
  bool any = !*host || !strcmp(host, "*");
  memset(a, 0, sizeof *a); /* which is IPv6's any address, too */
  if (family != AF_INET && family != AF_INET6 && family != AF_UNSPEC)
    return false;
  if (any && family == AF_INET6) return set_in6(a, port);
  if (any || inet_pton(AF_INET, host, &in4) == 1) {
    if (family != AF_INET6) return set_in4(a, in4, port);
    map_in4(&a->u.in6.sin6_addr, in4);
    return set_in6(a, port);
  }
  if (family == AF_INET || !parse_in6(&a->u.in6, host)) return false;
  return set_in6(a, port);
}

bool gev_addr_unix(struct gev_addr *a, const char *path, size_t len) {
  struct sockaddr_un *un = &a->u.un;
  memset(a, 0, sizeof *a);
  if (len == 0 || len > sizeof un->sun_path || memchr(path, '\0', len))
    return false;
  un->sun_family = AF_UNIX;
#ifdef __linux__
  if (path[0] == '@') { /* known by its length: neither end has a NUL */
    memcpy(un->sun_path + 1, path + 1, len - 1);
    a->len = (socklen_t)(PATH_AT + len);
    return true;
  }
#endif
  if (len == sizeof un->sun_path) return false;
  memcpy(un->sun_path, path, len);
  a->len = (socklen_t)(PATH_AT + len + 1);
  return true;
}

/* --- address to text ----------------------------------------------------- */

/* inet_ntop, which prints by a format, is most of an accept. */
static int push_in4(lua_State *L, const struct sockaddr_in *in4) {
  char host[INET_ADDRSTRLEN], *end = host;
  const unsigned char *byte = (const unsigned char *)&in4->sin_addr;
  for (int i = 0; i < 4; i++) {
    if (i > 0) *end++ = '.';
    if (byte[i] >= 100) *end++ = (char)('0' + byte[i] / 100);
    if (byte[i] >= 10) *end++ = (char)('0' + byte[i] / 10 % 10);
    *end++ = (char)('0' + byte[i] % 10);
  }
  lua_pushlstring(L, host, (size_t)(end - host));
  lua_pushinteger(L, ntohs(in4->sin_port));
  return 2;
}

static int push_in6(lua_State *L, const struct sockaddr_in6 *in6) {
  char host[INET6_ADDRSTRLEN], name[IF_NAMESIZE];
  uint32_t scope = in6->sin6_scope_id;
  inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
  if (!scope)
    lua_pushstring(L, host);
  else if (if_indextoname(scope, name))
    lua_pushfstring(L, "%s%%%s", host, name);
  else /* the interface has gone */
    lua_pushfstring(L, "%s%%%I", host, (LUAI_UACINT)scope);
  lua_pushinteger(L, ntohs(in6->sin6_port));
  return 2;
}

/* The kernel may return a path that fills sun_path, without a NUL, and a len
 * that counts one: the length is limited by that of the union. */
static int push_unix(lua_State *L, const struct gev_addr *a) {
  const char *path = (const char *)&a->u + PATH_AT;
  size_t len = a->len < sizeof a->u ? a->len : sizeof a->u;
  len = len > PATH_AT ? len - PATH_AT : 0;
#ifdef __linux__
  if (len > 0 && !path[0]) {
    lua_pushliteral(L, "@");
    lua_pushlstring(L, path + 1, len - 1);
    lua_concat(L, 2);
    return 1;
  }
#endif
  lua_pushlstring(L, path, strnlen(path, len));
  return 1;
}

int gev_addr_push(lua_State *L, const struct gev_addr *a) {
  luaL_checkstack(L, 3, NULL);
  if (a->len == 0) return lua_pushliteral(L, ""), 1;
  switch (a->u.sa.sa_family) {
    case AF_INET: return push_in4(L, &a->u.in4);
    case AF_INET6: return push_in6(L, &a->u.in6);
    case AF_UNIX: return push_unix(L, a);
    default: return lua_pushnil(L), 1;
  }
}

void gev_addr_text(lua_State *L, const struct gev_addr *a) {
  if (gev_addr_push(L, a) == 1) {
    if (lua_isnil(L, -1)) lua_pushliteral(L, ""), lua_replace(L, -2);
    return;
  }
  lua_pushfstring(L, a->u.sa.sa_family == AF_INET6 ? "[%s]:%I" : "%s:%I",
                  lua_tostring(L, -2), (LUAI_UACINT)lua_tointeger(L, -1));
  lua_replace(L, -3);
  lua_pop(L, 1);
}

/* --- families ------------------------------------------------------------ */

int gev_family(lua_State *L, int idx, int fallback) {
  if (fallback >= 0 && lua_isnoneornil(L, idx)) return fallback;
  return families[luaL_checkoption(L, idx, NULL, names)];
}

const char *gev_family_name(int family) {
  for (size_t i = 0; i < sizeof families / sizeof *families; i++)
    if (families[i] == family) return names[i];
  return NULL;
}
