/* net/resolve.c - layer: net. See resolve.h.
 *
 * A look-up is malloc'ed and belongs to libuv until its callback has come.
 * The greenlet that waits for it may go first (killed, timed out): then the
 * late answer is dropped. */
#include "net/resolve.h"

#include <lauxlib.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/park.h"
#include "net/addr.h"

struct lookup {
  struct gev_request request;
  union {
    uv_getaddrinfo_t info;
    uv_getnameinfo_t name;
  } req;
  struct gev_hub *hub;
  struct gev_greenlet *waiter; /* NULL: nobody wants the answer any more */
  int status;
  struct addrinfo *answer;
  char host[NI_MAXHOST], service[NI_MAXSERV];
};

/* --- errors -------------------------------------------------------------- */

/* libuv's EAI codes as the names that C programs know them by. */
static int fail(lua_State *L, int status) {
  if (status == UV_EAI_CANCELED || status == UV_ECANCELED)
    return gev_failmsg(L, "look-up was cancelled", "EAI_CANCELED");
  return gev_failmsg(L, uv_strerror(status), uv_err_name(status));
}

/* --- the request --------------------------------------------------------- */

static void free_lookup(struct lookup *l) {
  if (l->answer) uv_freeaddrinfo(l->answer);
  free(l);
}

/* The answer is here: for the waiter, or for nobody. */
static void answered(struct lookup *l, int status) {
  gev_request_done(&l->request);
  l->status = status;
  if (l->waiter)
    gev_wake(l->hub, l->waiter, l, GEV_WOKEN);
  else
    free_lookup(l);
}

static void info_cb(uv_getaddrinfo_t *req, int status,
                    struct addrinfo *answer) {
  struct lookup *l = gev_container(req, struct lookup, req.info);
  l->answer = answer;
  answered(l, status);
}

static void name_cb(uv_getnameinfo_t *req, int status, const char *host,
                    const char *service) {
  struct lookup *l = gev_container(req, struct lookup, req.name);
  if (status == 0) {
    snprintf(l->host, sizeof l->host, "%s", host);
    snprintf(l->service, sizeof l->service, "%s", service);
  }
  answered(l, status);
}

static void cancel(struct gev_hub *h, struct gev_greenlet *g, void *on) {
  struct lookup *l = on;
  (void)h;
  (void)g;
  l->waiter = NULL;
  uv_cancel((uv_req_t *)&l->req); /* its callback comes in any case */
}

static const struct gev_waitop info_op = {"getaddrinfo", true, cancel, NULL};
static const struct gev_waitop name_op = {"getnameinfo", true, cancel, NULL};

static struct lookup *new_lookup(lua_State *L, struct gev_hub *h) {
  struct lookup *l = calloc(1, sizeof *l);
  if (!l) luaL_error(L, "not enough memory");
  l->hub = h;
  return l;
}

static int wait_for(lua_State *L, struct lookup *l, struct gev_greenlet *g,
                    const struct gev_waitop *op, lua_KFunction k) {
  l->waiter = g;
  gev_request_add(l->hub, &l->request, (uv_req_t *)&l->req);
  return gev_park(L, l->hub, g, op, l, GEV_NEVER, (lua_KContext)l, k);
}

/* --- getaddrinfo --------------------------------------------------------- */

static const char *type_name(int type) {
  return type == SOCK_STREAM ? "stream" : type == SOCK_DGRAM ? "dgram" : "raw";
}

/* Pushes {family=, type=, host=, port=, canonname=}. */
static void push_info(lua_State *L, const struct addrinfo *ai) {
  struct gev_addr a = {.len = ai->ai_addrlen};
  memcpy(&a.u, ai->ai_addr, ai->ai_addrlen);
  lua_createtable(L, 0, 5);
  lua_pushstring(L, gev_family_name(ai->ai_family));
  lua_setfield(L, -2, "family");
  lua_pushstring(L, type_name(ai->ai_socktype));
  lua_setfield(L, -2, "type");
  gev_addr_push(L, &a);
  lua_setfield(L, -3, "port");
  lua_setfield(L, -2, "host");
  if (ai->ai_canonname) {
    lua_pushstring(L, ai->ai_canonname);
    lua_setfield(L, -2, "canonname");
  }
}

static int push_list(lua_State *L) {
  const struct addrinfo *ai = lua_touserdata(L, 1);
  lua_newtable(L);
  for (int i = 1; ai; ai = ai->ai_next) {
    if (ai->ai_family != AF_INET && ai->ai_family != AF_INET6) continue;
    push_info(L, ai);
    lua_rawseti(L, -2, i++);
  }
  return 1;
}

static int info_k(lua_State *L, int status, lua_KContext ctx) {
  struct lookup *l = (struct lookup *)ctx;
  gev_unpark(L, gev_hub(L));
  if (l->status) {
    status = l->status;
    free_lookup(l);
    return fail(L, status);
  }
  lua_pushcfunction(L, push_list);
  lua_pushlightuserdata(L, l->answer);
  status = lua_pcall(L, 1, 1, 0);
  free_lookup(l);
  return status == LUA_OK ? 1 : lua_error(L);
}

/* Field `name` of the options, a string; NULL: there is none. */
static const char *hint(lua_State *L, const char *name) {
  int type = lua_getfield(L, 3, name);
  if (type != LUA_TNIL && type != LUA_TSTRING)
    luaL_argerror(L, 3, lua_pushfstring(L, "field '%s' must be a string",
                                        name));
  return lua_tostring(L, -1);
}

static void bad_hint(lua_State *L, const char *name, const char *value) {
  luaL_argerror(L, 3, lua_pushfstring(L, "invalid %s '%s'", name, value));
}

static void read_kind(lua_State *L, struct addrinfo *hints) {
  const char *family = hint(L, "family"), *type = hint(L, "type");
  if (family && !strcmp(family, "inet"))
    hints->ai_family = AF_INET;
  else if (family && !strcmp(family, "inet6"))
    hints->ai_family = AF_INET6;
  else if (family)
    bad_hint(L, "family", family);
  if (type && !strcmp(type, "dgram"))
    hints->ai_socktype = SOCK_DGRAM;
  else if (type && strcmp(type, "stream"))
    bad_hint(L, "type", type);
}

/* Index 3: {family=, type=, flags="passive,canonname,..."} */
static void read_hints(lua_State *L, struct addrinfo *hints) {
  hints->ai_socktype = SOCK_STREAM;
  if (lua_isnoneornil(L, 3)) return;
  luaL_checktype(L, 3, LUA_TTABLE);
  read_kind(L, hints);
  const char *flags = hint(L, "flags");
  if (!flags) return;
  if (strstr(flags, "passive")) hints->ai_flags |= AI_PASSIVE;
  if (strstr(flags, "canonname")) hints->ai_flags |= AI_CANONNAME;
  if (strstr(flags, "numerichost")) hints->ai_flags |= AI_NUMERICHOST;
  if (strstr(flags, "numericserv")) hints->ai_flags |= AI_NUMERICSERV;
  if (strstr(flags, "addrconfig")) hints->ai_flags |= AI_ADDRCONFIG;
}

/* getaddrinfo(host|nil, port|service|nil [, options]) -> list */
static int lib_getaddrinfo(lua_State *L) {
  struct gev_hub *h = gev_hub(L);
  struct addrinfo hints = {0};
  const char *host = luaL_optstring(L, 1, NULL);
  const char *service = luaL_optstring(L, 2, NULL);
  lua_settop(L, 3);
  luaL_argcheck(L, host || service, 1, "neither a host nor a service");
  read_hints(L, &hints);
  struct gev_greenlet *g = gev_park_begin(L, h, &info_op);
  struct lookup *l = new_lookup(L, h);
  int err = uv_getaddrinfo(gev_loop(L, h), &l->req.info, info_cb, host,
                           service, &hints);
  if (err) {
    free(l);
    return fail(L, err);
  }
  return wait_for(L, l, g, &info_op, info_k);
}

/* --- getnameinfo --------------------------------------------------------- */

static int name_k(lua_State *L, int status, lua_KContext ctx) {
  struct lookup *l = (struct lookup *)ctx;
  gev_unpark(L, gev_hub(L));
  status = l->status;
  if (status == 0) {
    lua_settop(L, 0);
    luaL_checkstack(L, 4, NULL);
    char host[NI_MAXHOST], service[NI_MAXSERV];
    memcpy(host, l->host, sizeof host);
    memcpy(service, l->service, sizeof service);
    free_lookup(l);
    lua_pushstring(L, host);
    lua_pushstring(L, service);
    return 2;
  }
  free_lookup(l);
  return fail(L, status);
}

/* getnameinfo(host, port [, "numerichost,numericserv,dgram,namereqd"]) */
static int lib_getnameinfo(lua_State *L) {
  struct gev_hub *h = gev_hub(L);
  struct gev_addr a;
  const char *host = luaL_checkstring(L, 1);
  lua_Integer port = luaL_optinteger(L, 2, 0);
  const char *names = luaL_optstring(L, 3, "");
  luaL_argcheck(L, port >= 0 && port <= 65535, 2, "a port is 0 to 65535");
  if (!gev_addr_numeric(&a, AF_UNSPEC, host, (uint16_t)port))
    return gev_failmsg(L, "not a numeric address", "EAI_NONAME");
  int flags = (strstr(names, "numerichost") ? NI_NUMERICHOST : 0) |
              (strstr(names, "numericserv") ? NI_NUMERICSERV : 0) |
              (strstr(names, "dgram") ? NI_DGRAM : 0) |
              (strstr(names, "namereqd") ? NI_NAMEREQD : 0);
  struct gev_greenlet *g = gev_park_begin(L, h, &name_op);
  struct lookup *l = new_lookup(L, h);
  int err = uv_getnameinfo(gev_loop(L, h), &l->req.name, name_cb, &a.u.sa,
                           flags);
  if (err) {
    free(l);
    return fail(L, err);
  }
  return wait_for(L, l, g, &name_op, name_k);
}

/* isnumeric(host [, family]) -> "inet" | "inet6" | nil */
static int lib_isnumeric(lua_State *L) {
  struct gev_addr a;
  const char *host = luaL_checkstring(L, 1);
  if (*host && gev_addr_numeric(&a, AF_UNSPEC, host, 0))
    lua_pushstring(L, gev_family_name(a.u.sa.sa_family));
  else
    lua_pushnil(L);
  return 1;
}

static const luaL_Reg functions[] = {{"getaddrinfo", lib_getaddrinfo},
                                     {"getnameinfo", lib_getnameinfo},
                                     {"isnumeric", lib_isnumeric},
                                     {NULL, NULL}};

void gev_open_resolve(lua_State *L, int hub) {
  lua_pushvalue(L, hub);
  luaL_setfuncs(L, functions, 1);
}
