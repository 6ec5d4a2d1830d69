/* net/luasocket_opt.c - layer: net. See luasocket.h. LuaSocket's getoption and
 * setoption: its names, its ideas of what a value looks like. Owns nothing. */
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "net/luasocket.h"

/* --- the two system calls ------------------------------------------------ */

struct option;
static int set_raw(lua_State *L, int fd, const struct option *o,
                   const void *value, size_t size);
static int get_raw(lua_State *L, int fd, const struct option *o, void *value,
                   socklen_t *size);

/* --- kinds of value ------------------------------------------------------ */

static int type_error(lua_State *L, int idx, const char *expected) {
  return luaL_argerror(L, idx, lua_pushfstring(L, "%s expected, got %s",
                                               expected,
                                               luaL_typename(L, idx)));
}

static int flag_set(lua_State *L, int fd, const struct option *o) {
  if (!lua_isboolean(L, 3)) type_error(L, 3, "boolean");
  int value = lua_toboolean(L, 3);
  return set_raw(L, fd, o, &value, sizeof value);
}
static int flag_get(lua_State *L, int fd, const struct option *o) {
  int value = 0;
  socklen_t size = sizeof value;
  if (get_raw(L, fd, o, &value, &size)) return 2;
  lua_pushboolean(L, value);
  return 1;
}

static int int_set(lua_State *L, int fd, const struct option *o) {
  int value = (int)lua_tonumber(L, 3);
  return set_raw(L, fd, o, &value, sizeof value);
}
static int int_get(lua_State *L, int fd, const struct option *o) {
  int value = 0;
  socklen_t size = sizeof value;
  if (get_raw(L, fd, o, &value, &size)) return 2;
  lua_pushnumber(L, value);
  return 1;
}

static int name_set(lua_State *L, int fd, const struct option *o) {
  const char *name = luaL_checkstring(L, 3);
  return set_raw(L, fd, o, name, strlen(name) + 1);
}
static int name_get(lua_State *L, int fd, const struct option *o) {
  char name[IFNAMSIZ] = "";
  socklen_t size = sizeof name;
  if (get_raw(L, fd, o, name, &size)) return 2;
  lua_pushlstring(L, name, strnlen(name, size));
  return 1;
}

static int error_get(lua_State *L, int fd, const struct option *o) {
  int value = 0;
  socklen_t size = sizeof value;
  if (get_raw(L, fd, o, &value, &size)) return 2;
  lua_pushstring(L, value ? gev_luasocket_strerror(value) : NULL);
  return 1;
}

/* {on = boolean, timeout = seconds} */
static int linger_set(lua_State *L, int fd, const struct option *o) {
  struct linger value;
  if (!lua_istable(L, 3)) type_error(L, 3, "table");
  lua_getfield(L, 3, "on");
  luaL_argcheck(L, lua_isboolean(L, -1), 3, "boolean 'on' field expected");
  value.l_onoff = lua_toboolean(L, -1);
  lua_getfield(L, 3, "timeout");
  luaL_argcheck(L, lua_isnumber(L, -1), 3,
                "number 'timeout' field expected");
  value.l_linger = (int)lua_tonumber(L, -1);
  return set_raw(L, fd, o, &value, sizeof value);
}
static int linger_get(lua_State *L, int fd, const struct option *o) {
  struct linger value = {0};
  socklen_t size = sizeof value;
  if (get_raw(L, fd, o, &value, &size)) return 2;
  lua_createtable(L, 0, 2);
  lua_pushboolean(L, value.l_onoff);
  lua_setfield(L, -2, "on");
  lua_pushinteger(L, value.l_linger);
  lua_setfield(L, -2, "timeout");
  return 1;
}

/* An interface by its address, or "*". */
static bool parse_address(const char *text, struct in_addr *to) {
  to->s_addr = htonl(INADDR_ANY);
  return !strcmp(text, "*") || inet_aton(text, to);
}

static int address_set(lua_State *L, int fd, const struct option *o) {
  struct in_addr value;
  luaL_argcheck(L, parse_address(luaL_checkstring(L, 3), &value), 3,
                "ip expected");
  return set_raw(L, fd, o, &value, sizeof value);
}
static int address_get(lua_State *L, int fd, const struct option *o) {
  struct in_addr value = {0};
  socklen_t size = sizeof value;
  char text[INET_ADDRSTRLEN];
  if (get_raw(L, fd, o, &value, &size)) return 2;
  lua_pushstring(L, inet_ntop(AF_INET, &value, text, sizeof text));
  return 1;
}

/* The string field of the table at 3; stays on the stack. */
static const char *group_field(lua_State *L, const char *name) {
  if (!lua_istable(L, 3)) type_error(L, 3, "table");
  lua_getfield(L, 3, name);
  if (!lua_isstring(L, -1))
    luaL_argerror(L, 3, lua_pushfstring(L, "string '%s' field expected",
                                        name));
  return lua_tostring(L, -1);
}

static int group4_set(lua_State *L, int fd, const struct option *o) {
  struct ip_mreq value;
  luaL_argcheck(L, inet_aton(group_field(L, "multiaddr"),
                             &value.imr_multiaddr),
                3, "invalid 'multiaddr' ip address");
  luaL_argcheck(L, parse_address(group_field(L, "interface"),
                                 &value.imr_interface),
                3, "invalid 'interface' ip address");
  return set_raw(L, fd, o, &value, sizeof value);
}

static int group6_set(lua_State *L, int fd, const struct option *o) {
  struct ipv6_mreq value = {.ipv6mr_interface = 0};
  luaL_argcheck(L, inet_pton(AF_INET6, group_field(L, "multiaddr"),
                             &value.ipv6mr_multiaddr) == 1,
                3, "invalid 'multiaddr' ip address");
  lua_getfield(L, 3, "interface");
  if (!lua_isnil(L, -1)) {
    luaL_argcheck(L, lua_isnumber(L, -1), 3,
                  "number 'interface' field expected");
    value.ipv6mr_interface = (unsigned)lua_tonumber(L, -1);
  }
  return set_raw(L, fd, o, &value, sizeof value);
}

/* --- the table ----------------------------------------------------------- */

enum kind { FLAG, INT, NAME, LINGER, ADDRESS, GROUP4, GROUP6, ERROR };
typedef int (*access_fn)(lua_State *L, int fd, const struct option *o);
static const struct {
  access_fn set, get;
} kinds[] = {
    [FLAG] = {flag_set, flag_get},          [INT] = {int_set, int_get},
    [NAME] = {name_set, name_get},          [LINGER] = {linger_set, linger_get},
    [ADDRESS] = {address_set, address_get}, [GROUP4] = {group4_set, NULL},
    [GROUP6] = {group6_set, NULL},          [ERROR] = {NULL, error_get},
};

/* Which objects have it to set, and to get. */
enum {
  TCP_SET = 1, TCP_GET = 2, UDP_SET = 4, UDP_GET = 8,
  STREAM_SET = 16, DGRAM_SET = 32,
  TCP_BOTH = TCP_SET | TCP_GET, UDP_BOTH = UDP_SET | UDP_GET,
  INET_BOTH = TCP_BOTH | UDP_BOTH
};

struct option {
  const char *name;
  int level, number;
  enum kind kind;
  int where;
};

static const struct option options[] = {
    {"keepalive", SOL_SOCKET, SO_KEEPALIVE, FLAG, TCP_BOTH | STREAM_SET},
    {"reuseaddr", SOL_SOCKET, SO_REUSEADDR, FLAG,
     INET_BOTH | STREAM_SET | DGRAM_SET},
    {"reuseport", SOL_SOCKET, SO_REUSEPORT, FLAG, INET_BOTH},
    {"linger", SOL_SOCKET, SO_LINGER, LINGER, TCP_BOTH | STREAM_SET},
    {"error", SOL_SOCKET, SO_ERROR, ERROR, TCP_GET | UDP_GET},
    {"recv-buffer-size", SOL_SOCKET, SO_RCVBUF, INT, INET_BOTH},
    {"send-buffer-size", SOL_SOCKET, SO_SNDBUF, INT, INET_BOTH},
    {"dontroute", SOL_SOCKET, SO_DONTROUTE, FLAG, UDP_BOTH},
    {"broadcast", SOL_SOCKET, SO_BROADCAST, FLAG, UDP_BOTH},
#ifdef SO_BINDTODEVICE
    {"bindtodevice", SOL_SOCKET, SO_BINDTODEVICE, NAME, TCP_BOTH},
#endif
    {"tcp-nodelay", IPPROTO_TCP, TCP_NODELAY, FLAG, TCP_BOTH},
#ifdef TCP_KEEPIDLE
    {"tcp-keepidle", IPPROTO_TCP, TCP_KEEPIDLE, INT, TCP_BOTH},
#endif
#ifdef TCP_KEEPCNT
    {"tcp-keepcnt", IPPROTO_TCP, TCP_KEEPCNT, INT, TCP_BOTH},
    {"tcp-keepintvl", IPPROTO_TCP, TCP_KEEPINTVL, INT, TCP_BOTH},
#endif
#ifdef TCP_DEFER_ACCEPT
    {"tcp-defer-accept", IPPROTO_TCP, TCP_DEFER_ACCEPT, INT, TCP_SET},
#endif
#ifdef TCP_FASTOPEN
    {"tcp-fastopen", IPPROTO_TCP, TCP_FASTOPEN, INT, TCP_SET},
#endif
#ifdef TCP_FASTOPEN_CONNECT
    {"tcp-fastopen-connect", IPPROTO_TCP, TCP_FASTOPEN_CONNECT, INT,
     TCP_SET},
#endif
    {"ipv6-v6only", IPPROTO_IPV6, IPV6_V6ONLY, FLAG, TCP_SET | UDP_BOTH},
    {"ipv6-unicast-hops", IPPROTO_IPV6, IPV6_UNICAST_HOPS, INT, UDP_BOTH},
    {"ipv6-multicast-hops", IPPROTO_IPV6, IPV6_MULTICAST_HOPS, INT, UDP_BOTH},
    {"ipv6-multicast-loop", IPPROTO_IPV6, IPV6_MULTICAST_LOOP, FLAG,
     UDP_BOTH},
    {"ipv6-add-membership", IPPROTO_IPV6, IPV6_JOIN_GROUP, GROUP6, UDP_SET},
    {"ipv6-drop-membership", IPPROTO_IPV6, IPV6_LEAVE_GROUP, GROUP6, UDP_SET},
    {"ip-multicast-if", IPPROTO_IP, IP_MULTICAST_IF, ADDRESS, UDP_BOTH},
    {"ip-multicast-ttl", IPPROTO_IP, IP_MULTICAST_TTL, INT, UDP_SET},
    {"ip-multicast-loop", IPPROTO_IP, IP_MULTICAST_LOOP, FLAG, UDP_BOTH},
    {"ip-add-membership", IPPROTO_IP, IP_ADD_MEMBERSHIP, GROUP4, UDP_SET},
    {"ip-drop-membership", IPPROTO_IP, IP_DROP_MEMBERSHIP, GROUP4, UDP_SET},
};

static int set_raw(lua_State *L, int fd, const struct option *o,
                   const void *value, size_t size) {
  if (!setsockopt(fd, o->level, o->number, value, (socklen_t)size)) {
    lua_pushnumber(L, 1);
    return 1;
  }
  lua_pushnil(L);
  lua_pushliteral(L, "setsockopt failed");
  return 2;
}

/* 0, or 2 with nil, message pushed. */
static int get_raw(lua_State *L, int fd, const struct option *o, void *value,
                   socklen_t *size) {
  if (!getsockopt(fd, o->level, o->number, value, size)) return 0;
  lua_pushnil(L);
  lua_pushliteral(L, "getsockopt failed");
  return 2;
}

/* --- the methods --------------------------------------------------------- */

/* The bit for setting of the group that upvalue 2 names; UDP and TCP have
 * that for getting next to it. */
static int group_bit(lua_State *L) {
  const char *group = lua_tostring(L, lua_upvalueindex(2));
  if (*group == 't') return TCP_SET;
  if (!strncmp(group, "udp", 3)) return UDP_SET;
  return !strncmp(group, "unixs", 5) ? STREAM_SET : DGRAM_SET;
}

static const struct option *check_option(lua_State *L, int where) {
  const char *name = luaL_checkstring(L, 2);
  for (size_t i = 0; i < sizeof options / sizeof *options; i++)
    if ((options[i].where & where) && !strcmp(options[i].name, name))
      return &options[i];
  lua_pushlstring(L, name, strnlen(name, 35)); /* as LuaSocket cuts it */
  luaL_argerror(L, 2, lua_pushfstring(L, "unsupported option `%s'",
                                      lua_tostring(L, -1)));
  return NULL;
}

static int m_setoption(lua_State *L) {
  gev_luasocket_check(L);
  const struct option *o = check_option(L, group_bit(L));
  return kinds[o->kind].set(L, gev_luasocket_fd(L, 1), o);
}

static int m_getoption(lua_State *L) {
  gev_luasocket_check(L);
  const struct option *o = check_option(L, group_bit(L) << 1);
  return kinds[o->kind].get(L, gev_luasocket_fd(L, 1), o);
}

const luaL_Reg gev_luasocket_options[] = {{"setoption", m_setoption},
                                          {"getoption", m_getoption},
                                          {NULL, NULL}};
