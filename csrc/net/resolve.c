/* net/resolve.c - layer: net. See resolve.h. Owns nothing. The functions here
 * that Lua calls do not wait for any name server: numeric addresses, service
 * names, the name of this machine. */
#include "net/resolve.h"

#include <errno.h>
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "io/fdwait.h"

/* --- errors -------------------------------------------------------------- */

static const struct {
  int eai, uv;
} codes[] = {
    {EAI_AGAIN, UV_EAI_AGAIN},       {EAI_BADFLAGS, UV_EAI_BADFLAGS},
    {EAI_FAIL, UV_EAI_FAIL},         {EAI_FAMILY, UV_EAI_FAMILY},
    {EAI_MEMORY, UV_EAI_MEMORY},     {EAI_NONAME, UV_EAI_NONAME},
    {EAI_SERVICE, UV_EAI_SERVICE},   {EAI_SOCKTYPE, UV_EAI_SOCKTYPE},
    {EAI_OVERFLOW, UV_EAI_OVERFLOW},
#ifdef EAI_ADDRFAMILY
    {EAI_ADDRFAMILY, UV_EAI_ADDRFAMILY},
#endif
#ifdef EAI_NODATA
    {EAI_NODATA, UV_EAI_NODATA},
#endif
};

int gev_fail_eai(lua_State *L, int uv_code) {
  if (uv_code == UV_EAI_CANCELED)
    return gev_failmsg(L, "look-up was cancelled", "EAI_CANCELED");
  return gev_failmsg(L, uv_strerror(uv_code), uv_err_name(uv_code));
}

int gev_fail_gai(lua_State *L, int eai, int err) {
  char buf[128];
  if (eai == EAI_SYSTEM)
    return gev_failmsg(L, gev_errmsg(err, buf, sizeof buf), "EAI_SYSTEM");
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
    if (codes[i].eai == eai) return gev_fail_eai(L, codes[i].uv);
  return gev_failmsg(L, gai_strerror(eai), "EAI_FAIL");
}

/* --- options ------------------------------------------------------------- */

struct flag {
  const char *name;
  int value;
};
static const struct flag info_flags[] = {{"passive", AI_PASSIVE},
                                         {"canonname", AI_CANONNAME},
                                         {"numerichost", AI_NUMERICHOST},
                                         {"numericserv", AI_NUMERICSERV},
                                         {"addrconfig", AI_ADDRCONFIG},
                                         {NULL, 0}};
static const struct flag name_flags[] = {{"numerichost", NI_NUMERICHOST},
                                         {"numericserv", NI_NUMERICSERV},
                                         {"dgram", NI_DGRAM},
                                         {"namereqd", NI_NAMEREQD},
                                         {NULL, 0}};

static int read_flags(lua_State *L, int idx, const struct flag *known) {
  const char *names = luaL_optstring(L, idx, "");
  int flags = 0;
  for (; known->name; known++)
    if (strstr(names, known->name)) flags |= known->value;
  return flags;
}

void gev_read_hints(lua_State *L, int idx, struct addrinfo *hints) {
  static const char *const types[] = {"stream", "dgram", NULL};
  *hints = (struct addrinfo){.ai_flags = read_flags(L, idx + 2, info_flags)};
  hints->ai_family = gev_family(L, idx, AF_UNSPEC);
  hints->ai_socktype = luaL_checkoption(L, idx + 1, "stream", types) == 1
                           ? SOCK_DGRAM : SOCK_STREAM;
}

int gev_nameinfo_flags(lua_State *L, int idx) {
  return read_flags(L, idx, name_flags);
}

/* --- results ------------------------------------------------------------- */

void gev_push_address(lua_State *L, const struct sockaddr *sa,
                      socklen_t len) {
  struct gev_addr a = {.len = len};
  memcpy(&a.u, sa, len);
  lua_createtable(L, 0, 5);
  lua_pushstring(L, gev_family_name(sa->sa_family));
  lua_setfield(L, -2, "family");
  gev_addr_push(L, &a);
  lua_setfield(L, -3, "port");
  lua_setfield(L, -2, "host");
}

static void push_info(lua_State *L, const struct addrinfo *ai) {
  gev_push_address(L, ai->ai_addr, ai->ai_addrlen);
  lua_pushstring(L, ai->ai_socktype == SOCK_DGRAM ? "dgram" : "stream");
  lua_setfield(L, -2, "type");
  if (!ai->ai_canonname) return;
  lua_pushstring(L, ai->ai_canonname);
  lua_setfield(L, -2, "canonname");
}

int gev_push_addrinfo(lua_State *L, const struct addrinfo *ai) {
  luaL_checkstack(L, 6, NULL);
  lua_newtable(L);
  for (int i = 1; ai; ai = ai->ai_next) {
    if (ai->ai_family != AF_INET && ai->ai_family != AF_INET6) continue;
    push_info(L, ai);
    lua_rawseti(L, -2, i++);
  }
  return 1;
}

/* --- what needs no name server ------------------------------------------- */

/* Holds a list until it is copied: Lua may be out of memory. */
static int list_gc(lua_State *L) {
  struct addrinfo **list = lua_touserdata(L, 1);
  if (*list) freeaddrinfo(*list);
  *list = NULL;
  return 0;
}

static struct addrinfo **new_list(lua_State *L) {
  struct addrinfo **list = lua_newuserdatauv(L, sizeof *list, 0);
  *list = NULL;
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  return list;
}

/* numericinfo(host|nil, service|nil, family, type, flags): getaddrinfo where
 * the host is numeric or none; else it is "EAI_NONAME" */
static int lib_numericinfo(lua_State *L) {
  struct addrinfo hints;
  const char *host = luaL_optstring(L, 1, NULL);
  const char *service = luaL_optstring(L, 2, NULL);
  gev_read_hints(L, 3, &hints);
  hints.ai_flags |= AI_NUMERICHOST;
  struct addrinfo **list = new_list(L);
  int err = getaddrinfo(host, service, &hints, list);
  if (err) return gev_fail_gai(L, err, errno);
  gev_push_addrinfo(L, *list);
  freeaddrinfo(*list);
  *list = NULL;
  return 1;
}

/* numericname(host, port, flags) -> host as it is written best, service */
static int lib_numericname(lua_State *L) {
  struct gev_addr a;
  char host[NI_MAXHOST], service[NI_MAXSERV];
  const char *text = luaL_checkstring(L, 1);
  lua_Integer port = luaL_checkinteger(L, 2);
  int flags = gev_nameinfo_flags(L, 3) | NI_NUMERICHOST;
  if (!*text || !gev_addr_numeric(&a, AF_UNSPEC, text, (uint16_t)port))
    return gev_fail_eai(L, UV_EAI_NONAME);
  int err = getnameinfo(&a.u.sa, a.len, host, sizeof host, service,
                        sizeof service, flags);
  if (err) return gev_fail_gai(L, err, errno);
  lua_pushstring(L, host);
  lua_pushstring(L, service);
  return 2;
}

/* isnumeric(host) -> "inet" | "inet6" | nil */
static int lib_isnumeric(lua_State *L) {
  struct gev_addr a;
  size_t len;
  const char *host = luaL_checklstring(L, 1, &len);
  if (len > 0 && strlen(host) == len &&
      gev_addr_numeric(&a, AF_UNSPEC, host, 0))
    lua_pushstring(L, gev_family_name(a.u.sa.sa_family));
  else
    lua_pushnil(L);
  return 1;
}

/* gethostname() -> the name of this machine | nil, message, code */
static int lib_gethostname(lua_State *L) {
  char name[UV_MAXHOSTNAMESIZE];
  size_t len = sizeof name;
  int err = uv_os_gethostname(name, &len);
  if (err) return gev_fail(L, -err);
  lua_pushlstring(L, name, len);
  return 1;
}

static bool is_loopback(const struct sockaddr *sa) {
  const struct sockaddr_in *in4 = (const void *)sa;
  const struct sockaddr_in6 *in6 = (const void *)sa;
  return sa->sa_family == AF_INET
             ? ntohl(in4->sin_addr.s_addr) == INADDR_LOOPBACK
             : IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

/* configured() -> does any interface have an address of IPv4, of IPv6? As
 * "addrconfig" means it: loopback does not count. */
static int lib_configured(lua_State *L) {
  uv_interface_address_t *list;
  int n;
  bool found[2] = {false, false};
  if (uv_interface_addresses(&list, &n) != 0) n = 0, list = NULL;
  for (int i = 0; i < n; i++) {
    const struct sockaddr *sa = (const void *)&list[i].address;
    if (!is_loopback(sa)) found[sa->sa_family == AF_INET6] = true;
  }
  if (list) uv_free_interface_addresses(list, n);
  lua_pushboolean(L, found[0]);
  lua_pushboolean(L, found[1]);
  return 2;
}

/* filestamp(path) -> a string that changes when the file does, or nil */
static int lib_filestamp(lua_State *L) {
  uv_fs_t req;
  char text[96];
  int err = uv_fs_stat(NULL, &req, luaL_checkstring(L, 1), NULL);
  const uv_stat_t *s = &req.statbuf;
  if (!err)
    snprintf(text, sizeof text, "%ld.%09ld %llu %llu", s->st_mtim.tv_sec,
             s->st_mtim.tv_nsec, (unsigned long long)s->st_size,
             (unsigned long long)s->st_ino);
  uv_fs_req_cleanup(&req);
  if (err) return 0;
  lua_pushstring(L, text);
  return 1;
}

/* --- fairness ------------------------------------------------------------ */

static const struct gev_waitop turn_op = {"look-up", false, NULL, NULL};

static int turn_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  gev_unpark(L, gev_hub(L));
  return 0;
}

/* giveway(): for look-ups that did not have to wait. Lets the others run
 * where this greenlet has had its slice. */
static int lib_giveway(lua_State *L) {
  struct gev_hub *h = gev_hub(L);
  if (!gev_must_yield(L, h)) return 0;
  struct gev_greenlet *g = gev_park_begin(L, h, &turn_op);
  return gev_park_ready(L, h, g, &turn_op, NULL, 0, turn_k);
}

static const luaL_Reg functions[] = {{"gethostname", lib_gethostname},
                                     {"isnumeric", lib_isnumeric},
                                     {"numericinfo", lib_numericinfo},
                                     {"numericname", lib_numericname},
                                     {"configured", lib_configured},
                                     {"filestamp", lib_filestamp},
                                     {"giveway", lib_giveway},
                                     {NULL, NULL}};

static const luaL_Reg list_methods[] = {{"__gc", list_gc}, {NULL, NULL}};

void gev_open_resolve(lua_State *L, int hub) {
  lua_pushvalue(L, hub);
  gev_newclass(L, "addresses", list_methods, 0);
  luaL_setfuncs(L, functions, 2);
}
