/* net/sockopt.c - layer: net. See sockopt.h. Owns nothing. One table of
 * options, and a reader and a writer for each kind of value. */
#include "net/sockopt.h"

#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "base/lualib.h"
#include "net/addr.h"

/* What the value is; some only to be read, TIMEOUT neither. */
enum kind {
  FLAG, INT, UINT, NAME, SECONDS, ADDRESS, GROUP4, GROUP6, TIMEOUT,
  FLAG_READ, INT_READ, FAMILY_READ, ERROR_READ, CRED_READ
};

struct option {
  const char *name; /* upper case, no prefix */
  int level;
  int number;
  enum kind kind;
};

/* --- the two system calls ------------------------------------------------ */

static int set_raw(lua_State *L, int fd, const struct option *o,
                   const void *value, size_t size) {
  if (setsockopt(fd, o->level, o->number, value, (socklen_t)size))
    return gev_fail(L, errno);
  lua_pushboolean(L, 1);
  return 1;
}

/* 0, or an errno. */
static int get_raw(int fd, const struct option *o, void *value,
                   socklen_t *size) {
  return getsockopt(fd, o->level, o->number, value, size) ? errno : 0;
}

static int get_int(int fd, const struct option *o, int *value) {
  socklen_t size = sizeof *value;
  *value = 0;
  return get_raw(fd, o, value, &size);
}

/* 0, or an errno. getsockname, as SO_DOMAIN is not everywhere. */
static int get_family(int fd, int *family) {
  struct gev_addr a = {.len = sizeof a.u};
  *family = AF_UNSPEC;
  if (getsockname(fd, &a.u.sa, &a.len)) return errno;
  *family = a.u.sa.sa_family;
  return 0;
}

/* --- flags and integers -------------------------------------------------- */

static int flag_set(lua_State *L, int fd, const struct option *o, int idx) {
  luaL_checktype(L, idx, LUA_TBOOLEAN);
  int value = lua_toboolean(L, idx);
  return set_raw(L, fd, o, &value, sizeof value);
}

static int flag_get(lua_State *L, int fd, const struct option *o) {
  int value, err = get_int(fd, o, &value);
  if (err) return gev_fail(L, err);
  lua_pushboolean(L, value != 0);
  return 1;
}

static int int_set(lua_State *L, int fd, const struct option *o, int idx) {
  lua_Integer n = luaL_checkinteger(L, idx);
  luaL_argcheck(L, n >= INT_MIN && n <= INT_MAX, idx, "out of range");
  int value = (int)n;
  return set_raw(L, fd, o, &value, sizeof value);
}

static int int_get(lua_State *L, int fd, const struct option *o) {
  int value, err = get_int(fd, o, &value);
  if (err) return gev_fail(L, err);
  lua_pushinteger(L, value);
  return 1;
}

/* 32 bits without a sign. */
static int uint_set(lua_State *L, int fd, const struct option *o, int idx) {
  lua_Integer n = luaL_checkinteger(L, idx);
  luaL_argcheck(L, n >= 0 && n <= UINT32_MAX, idx, "out of range");
  uint32_t value = (uint32_t)n;
  return set_raw(L, fd, o, &value, sizeof value);
}

static int uint_get(lua_State *L, int fd, const struct option *o) {
  int value, err = get_int(fd, o, &value);
  if (err) return gev_fail(L, err);
  lua_pushinteger(L, (uint32_t)value);
  return 1;
}

static int family_get(lua_State *L, int fd, const struct option *o) {
  (void)o;
  int family, err = get_family(fd, &family);
  if (err) return gev_fail(L, err);
  lua_pushinteger(L, family);
  return 1;
}

/* --- strings ------------------------------------------------------------- */

/* IFNAMSIZ and TCP_CA_NAME_MAX, with the NUL. The kernel would cut what is
 * longer, and take it for another name. */
#define NAME_SIZE 16

static int name_set(lua_State *L, int fd, const struct option *o, int idx) {
  size_t len;
  const char *name = luaL_checklstring(L, idx, &len);
  if (len >= NAME_SIZE || memchr(name, '\0', len)) return gev_fail(L, EINVAL);
  return set_raw(L, fd, o, name, len);
}

static int name_get(lua_State *L, int fd, const struct option *o) {
  char name[NAME_SIZE];
  socklen_t size = sizeof name;
  int err = get_raw(fd, o, name, &size);
  if (err) return gev_fail(L, err);
  lua_pushlstring(L, name, strnlen(name, size));
  return 1;
}

/* --- SOL_SOCKET's own ---------------------------------------------------- */

static int linger_set(lua_State *L, int fd, const struct option *o, int idx) {
  struct linger value = {.l_onoff = 0};
  if (!lua_isboolean(L, idx) || lua_toboolean(L, idx)) {
    double s = gev_checkseconds(L, idx);
    luaL_argcheck(L, s <= INT_MAX, idx, "out of range");
    value.l_onoff = 1;
    value.l_linger = (int)s; /* rounded up: 0 has a meaning of its own */
    if (value.l_linger < s) value.l_linger++;
  }
  return set_raw(L, fd, o, &value, sizeof value);
}

static int linger_get(lua_State *L, int fd, const struct option *o) {
  struct linger value = {.l_onoff = 0};
  socklen_t size = sizeof value;
  int err = get_raw(fd, o, &value, &size);
  if (err) return gev_fail(L, err);
  if (value.l_onoff)
    lua_pushinteger(L, value.l_linger);
  else
    lua_pushboolean(L, 0);
  return 1;
}

static int error_get(lua_State *L, int fd, const struct option *o) {
  int value, err = get_int(fd, o, &value);
  if (err) return gev_fail(L, err);
  if (value)
    lua_pushstring(L, gev_errname(value));
  else
    lua_pushboolean(L, 0);
  return 1;
}

#if defined SO_PEERCRED && defined __linux__
#define HAVE_PEERCRED
static void set_field(lua_State *L, const char *name, lua_Integer n) {
  lua_pushinteger(L, n);
  lua_setfield(L, -2, name);
}

/* Where there is no peer, the kernel succeeds with an owner of -1. */
static int peercred_get(lua_State *L, int fd, const struct option *o) {
  struct ucred value = {.uid = (uid_t)-1};
  socklen_t size = sizeof value;
  int family, err = get_raw(fd, o, &value, &size);
  if (!err) err = get_family(fd, &family);
  if (!err && family != AF_UNIX) err = ENOPROTOOPT;
  if (!err && value.uid == (uid_t)-1) err = ENOTCONN;
  if (err) return gev_fail(L, err);
  lua_createtable(L, 0, 3);
  set_field(L, "pid", value.pid);
  set_field(L, "uid", value.uid);
  set_field(L, "gid", value.gid);
  return 1;
}
#endif

/* --- multicast ----------------------------------------------------------- */

static bool parse_in4(const char *host, struct in_addr *to) {
  struct gev_addr a;
  if (!gev_addr_numeric(&a, AF_INET, host, 0)) return false;
  *to = a.u.in4.sin_addr;
  return true;
}

static int in4_set(lua_State *L, int fd, const struct option *o, int idx) {
  struct in_addr value;
  if (!parse_in4(luaL_checkstring(L, idx), &value)) return gev_fail(L, EINVAL);
  return set_raw(L, fd, o, &value, sizeof value);
}

static int in4_get(lua_State *L, int fd, const struct option *o) {
  struct gev_addr a = {.len = sizeof a.u.in4};
  socklen_t size = sizeof a.u.in4.sin_addr;
  int err = get_raw(fd, o, &a.u.in4.sin_addr, &size);
  if (err) return gev_fail(L, err);
  a.u.in4.sin_family = AF_INET;
  lua_pop(L, gev_addr_push(L, &a) - 1); /* the port */
  return 1;
}

/* "group" or {group=, interface=}: returns the group, leaves the interface on
 * the top. */
static const char *check_group(lua_State *L, int idx) {
  if (lua_type(L, idx) != LUA_TTABLE) {
    luaL_argexpected(L, lua_isstring(L, idx), idx, "string or table");
    lua_pushnil(L);
    return lua_tostring(L, idx);
  }
  lua_getfield(L, idx, "group");
  luaL_argcheck(L, lua_type(L, -1) == LUA_TSTRING, idx,
                "field 'group' must be a string");
  lua_getfield(L, idx, "interface");
  return lua_tostring(L, -2);
}

static int group4_set(lua_State *L, int fd, const struct option *o, int idx) {
  struct ip_mreq value = {.imr_interface = {.s_addr = htonl(INADDR_ANY)}};
  const char *group = check_group(L, idx);
  luaL_argcheck(L, lua_isnil(L, -1) || lua_type(L, -1) == LUA_TSTRING, idx,
                "field 'interface' must be a string");
  const char *interface = lua_tostring(L, -1);
  if (!parse_in4(group, &value.imr_multiaddr) ||
      (interface && !parse_in4(interface, &value.imr_interface)))
    return gev_fail(L, EINVAL);
  return set_raw(L, fd, o, &value, sizeof value);
}

/* The index of the interface on the top, by name or by itself; 0: none. */
static unsigned check_interface(lua_State *L, int idx) {
  if (lua_type(L, -1) == LUA_TSTRING)
    return if_nametoindex(lua_tostring(L, -1));
  int isint;
  lua_Integer n = lua_tointegerx(L, -1, &isint);
  luaL_argcheck(L, isint && n >= 0 && n <= INT_MAX, idx,
                "field 'interface' must be a name or an index");
  return (unsigned)n;
}

/* A group may name the interface as its scope; otherwise the kernel chooses,
 * as it does for the index 0. */
static int group6_set(lua_State *L, int fd, const struct option *o, int idx) {
  struct ipv6_mreq value;
  struct gev_addr a;
  const char *group = check_group(L, idx);
  if (!gev_addr_numeric(&a, AF_INET6, group, 0)) return gev_fail(L, EINVAL);
  value.ipv6mr_multiaddr = a.u.in6.sin6_addr;
  value.ipv6mr_interface = a.u.in6.sin6_scope_id;
  if (!lua_isnil(L, -1)) {
    value.ipv6mr_interface = check_interface(L, idx);
    if (!value.ipv6mr_interface && lua_type(L, -1) == LUA_TSTRING)
      return gev_fail(L, ENODEV);
  }
  return set_raw(L, fd, o, &value, sizeof value);
}

/* --- the table ----------------------------------------------------------- */

/* NULL: not to be set, or not to be read. */
static const struct {
  int (*set)(lua_State *L, int fd, const struct option *o, int idx);
  int (*get)(lua_State *L, int fd, const struct option *o);
} kinds[] = {
    [FLAG] = {flag_set, flag_get},      [INT] = {int_set, int_get},
    [UINT] = {uint_set, uint_get},      [NAME] = {name_set, name_get},
    [SECONDS] = {linger_set, linger_get}, [ADDRESS] = {in4_set, in4_get},
    [GROUP4] = {group4_set, NULL},      [GROUP6] = {group6_set, NULL},
    [TIMEOUT] = {NULL, NULL},           [FLAG_READ] = {NULL, flag_get},
    [INT_READ] = {NULL, int_get},       [FAMILY_READ] = {NULL, family_get},
    [ERROR_READ] = {NULL, error_get},
#ifdef HAVE_PEERCRED
    [CRED_READ] = {NULL, peercred_get},
#endif
};

#define SO(name, kind) {#name, SOL_SOCKET, SO_##name, kind}
#define TCP(name, kind) {#name, IPPROTO_TCP, TCP_##name, kind}
#define IP(name, kind) {#name, IPPROTO_IP, IP_##name, kind}
#define IPV6(name, kind) {#name, IPPROTO_IPV6, IPV6_##name, kind}

/* Without an #ifdef: what POSIX or all of Linux, macOS and the BSDs have. */
static const struct option options[] = {
    SO(REUSEADDR, FLAG), SO(REUSEPORT, FLAG),
    SO(KEEPALIVE, FLAG), SO(BROADCAST, FLAG),
    SO(DONTROUTE, FLAG),
    SO(OOBINLINE, FLAG),
    SO(SNDBUF, INT),
    SO(RCVBUF, INT),
    SO(RCVLOWAT, INT),
    SO(RCVTIMEO, TIMEOUT),
    SO(SNDTIMEO, TIMEOUT),
    SO(ERROR, ERROR_READ),
    SO(TYPE, INT_READ),
    SO(ACCEPTCONN, FLAG_READ),
    {"DOMAIN", SOL_SOCKET, 0, FAMILY_READ},
    {"FAMILY", SOL_SOCKET, 0, FAMILY_READ},
#ifdef SO_LINGER_SEC /* macOS: its SO_LINGER counts clock ticks */
    {"LINGER", SOL_SOCKET, SO_LINGER_SEC, SECONDS},
#else
    SO(LINGER, SECONDS),
#endif
#ifdef SO_PROTOCOL
    SO(PROTOCOL, INT_READ),
#endif
#ifdef SO_PRIORITY /* Linux */
    SO(PRIORITY, INT),
    SO(MARK, UINT),
    SO(BINDTODEVICE, NAME),
    SO(PASSCRED, FLAG),
#endif
#ifdef SO_INCOMING_CPU
    SO(INCOMING_CPU, INT),
#endif
#ifdef SO_BUSY_POLL
    SO(BUSY_POLL, INT),
#endif
#ifdef HAVE_PEERCRED
    SO(PEERCRED, CRED_READ),
#endif

    TCP(NODELAY, FLAG),
    TCP(MAXSEG, INT),
#ifdef TCP_KEEPIDLE
    TCP(KEEPIDLE, INT),
#elif defined TCP_KEEPALIVE /* macOS: the same by another name */
    {"KEEPIDLE", IPPROTO_TCP, TCP_KEEPALIVE, INT},
#endif
#if defined TCP_KEEPINTVL && defined TCP_KEEPCNT
    TCP(KEEPINTVL, INT),
    TCP(KEEPCNT, INT),
#endif
#ifdef TCP_FASTOPEN
    TCP(FASTOPEN, INT),
#endif
#ifdef TCP_FASTOPEN_CONNECT
    TCP(FASTOPEN_CONNECT, FLAG),
#endif
#ifdef TCP_QUICKACK /* Linux */
    TCP(QUICKACK, FLAG),
    TCP(CORK, FLAG),
    TCP(DEFER_ACCEPT, INT),
    TCP(SYNCNT, INT),
#endif
#ifdef TCP_USER_TIMEOUT
    TCP(USER_TIMEOUT, INT),
#endif
#ifdef TCP_CONGESTION
    TCP(CONGESTION, NAME),
#endif
#ifdef TCP_NOTSENT_LOWAT
    TCP(NOTSENT_LOWAT, UINT),
#endif

    IP(TTL, INT),
    IP(TOS, INT),
    IP(MULTICAST_TTL, INT),
    IP(MULTICAST_LOOP, FLAG),
    IP(MULTICAST_IF, ADDRESS),
    IP(ADD_MEMBERSHIP, GROUP4),
    IP(DROP_MEMBERSHIP, GROUP4),
#ifdef IP_FREEBIND /* Linux */
    IP(FREEBIND, FLAG),
    IP(TRANSPARENT, FLAG),
#endif
#ifdef IP_PKTINFO
    IP(PKTINFO, FLAG),
#endif
#ifdef IP_RECVTTL
    IP(RECVTTL, FLAG),
#endif
#ifdef IP_MTU_DISCOVER
    IP(MTU_DISCOVER, INT),
#endif

    IPV6(V6ONLY, FLAG),
    IPV6(TCLASS, INT),
    IPV6(UNICAST_HOPS, INT),
    IPV6(MULTICAST_HOPS, INT),
    IPV6(MULTICAST_LOOP, FLAG),
    IPV6(MULTICAST_IF, INT),
    IPV6(JOIN_GROUP, GROUP6),
    IPV6(LEAVE_GROUP, GROUP6),
    {"ADD_MEMBERSHIP", IPPROTO_IPV6, IPV6_JOIN_GROUP, GROUP6},
    {"DROP_MEMBERSHIP", IPPROTO_IPV6, IPV6_LEAVE_GROUP, GROUP6},
#ifdef IPV6_FREEBIND /* Linux */
    IPV6(FREEBIND, FLAG),
    IPV6(TRANSPARENT, FLAG),
#endif
#ifdef IPV6_MTU_DISCOVER
    IPV6(MTU_DISCOVER, INT),
#endif
#ifdef IPV6_RECVPKTINFO
    IPV6(RECVPKTINFO, FLAG),
#endif
};

#define ANY_LEVEL (-1)
static const struct {
  const char *text;
  size_t len;
  int level;
} prefixes[] = {{"SO_", 3, SOL_SOCKET}, {"TCP_", 4, IPPROTO_TCP},
                {"IPV6_", 5, IPPROTO_IPV6}, {"IP_", 3, IPPROTO_IP}};

/* --- look-up ------------------------------------------------------------- */

/* Are these the same but for the case of s? ASCII, whatever the locale. */
static bool same(const char *upper, const char *s, size_t len) {
  for (size_t i = 0; i < len; i++) {
    char c = s[i];
    if (c >= 'a' && c <= 'z') c = (char)(c - 'a' + 'A');
    if (c != upper[i] || !c) return false;
  }
  return true;
}

/* The level that the name's prefix says; takes it off. */
static int take_prefix(const char **s, size_t *len) {
  for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
    size_t n = prefixes[i].len;
    if (*len < n || !same(prefixes[i].text, *s, n)) continue;
    *s += n;
    *len -= n;
    return prefixes[i].level;
  }
  return ANY_LEVEL;
}

static int ip_level(int fd) {
  int family;
  get_family(fd, &family);
  return family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
}

static const struct option *check_option(lua_State *L, int fd, int idx) {
  size_t len;
  const char *name = luaL_checklstring(L, idx, &len), *s = name;
  int level = take_prefix(&s, &len);
  const struct option *found = NULL;
  for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
    const struct option *o = &options[i];
    if (level != ANY_LEVEL && level != o->level) continue;
    if (!same(o->name, s, len) || o->name[len]) continue;
    if (!found || o->level == ip_level(fd)) found = o;
  }
  if (!found)
    luaL_argerror(L, idx, lua_pushfstring(L, "invalid option '%s'", name));
  return found;
}

static int refuse(lua_State *L, int idx, const struct option *o,
                  const char *action) {
  const char *format = o->kind == TIMEOUT
      ? "option '%s' is the library's: use %stimeout"
      : "option '%s' is not for %ssockopt";
  return luaL_argerror(L, idx, lua_pushfstring(L, format, o->name, action));
}

int gev_sockopt_set(lua_State *L, int fd, int idx) {
  idx = lua_absindex(L, idx);
  const struct option *o = check_option(L, fd, idx);
  if (!kinds[o->kind].set) return refuse(L, idx, o, "set");
  return kinds[o->kind].set(L, fd, o, idx + 1);
}

int gev_sockopt_get(lua_State *L, int fd, int idx) {
  idx = lua_absindex(L, idx);
  const struct option *o = check_option(L, fd, idx);
  if (!kinds[o->kind].get) return refuse(L, idx, o, "get");
  return kinds[o->kind].get(L, fd, o);
}

void gev_sockopt_names(lua_State *L) {
  lua_newtable(L);
  for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
    size_t p = 0;
    while (prefixes[p].level != options[i].level) p++;
    lua_pushfstring(L, "%s%s", prefixes[p].text, options[i].name);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}
