/* net/constants.c - layer: net. See constants.h. Owns nothing. Families, types
 * and codes are words in Lua ("inet", "ECONNREFUSED"), so that the constants
 * are these words: sock.family == AF_INET, code == ECONNREFUSED. */
#include "net/constants.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

#include "net/sockopt.h"

static const char *const words[][2] = {
    {"AF_INET", "inet"},
    {"AF_INET6", "inet6"},
    {"AF_UNIX", "unix"},
    {"SOCK_STREAM", "stream"},
    {"SOCK_DGRAM", "dgram"},
    {"SHUT_RD", "r"},
    {"SHUT_WR", "w"},
    {"SHUT_RDWR", "rw"},
    {"AI_PASSIVE", "passive"},
    {"AI_CANONNAME", "canonname"},
    {"AI_NUMERICHOST", "numerichost"},
    {"AI_NUMERICSERV", "numericserv"},
    {"AI_ADDRCONFIG", "addrconfig"},
    {"NI_NUMERICHOST", "numerichost"},
    {"NI_NUMERICSERV", "numericserv"},
    {"NI_DGRAM", "dgram"},
    {"NI_NAMEREQD", "namereqd"},
    {"EWOULDBLOCK", "EAGAIN"}, /* two names of one number, on Linux */
    {"EOPNOTSUPP", "ENOTSUP"},
    {"INADDR_ANY", "0.0.0.0"},
    {"INADDR_LOOPBACK", "127.0.0.1"},
    {"INADDR_BROADCAST", "255.255.255.255"},
    {"IN6ADDR_ANY", "::"},
    {"IN6ADDR_LOOPBACK", "::1"},
};

#define NAME(name, text) #name,
static const char *const codes[] = {UV_ERRNO_MAP(NAME)};

/* The table on the top gets name = word. */
static void add(lua_State *L, const char *name, const char *word) {
  lua_pushstring(L, word);
  lua_setfield(L, -2, name);
}

/* libuv has codes of its own besides errno's and EAI_*. */
static bool is_errno(const char *name) {
  return name[0] == 'E' && strcmp(name, "EOF") && strcmp(name, "ECHARSET");
}

static void add_options(lua_State *L) {
  gev_sockopt_names(L);
  for (lua_Integer i = 1; lua_rawgeti(L, -1, i) == LUA_TSTRING; i++) {
    lua_pushvalue(L, -1);
    lua_settable(L, -4);
  }
  lua_pop(L, 2);
}

void gev_open_constants(lua_State *L, int hub) {
  (void)hub;
  lua_newtable(L);
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    add(L, words[i][0], words[i][1]);
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
    if (is_errno(codes[i])) add(L, codes[i], codes[i]);
  add_options(L);
  lua_pushinteger(L, SOMAXCONN);
  lua_setfield(L, -2, "SOMAXCONN");
  lua_setfield(L, -2, "socket_constants");
}
