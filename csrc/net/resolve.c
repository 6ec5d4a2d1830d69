/* net/resolve.c - layer: net. See resolve.h.
 *
 * A look-up is malloc'ed and belongs to libuv until its callback has come,
 * then to its ticket, a userdata on the stack of the greenlet that asked. The
 * greenlet may go first (killed, timed out): then the late answer is
 * dropped. */
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
  struct ticket *ticket;       /* NULL: nobody wants the answer any more */
  struct gev_greenlet *waiter; /* parked for it, or NULL */
  bool answered;
  int status;
  struct addrinfo *answer;
  char host[NI_MAXHOST], service[NI_MAXSERV];
};

/* --- errors -------------------------------------------------------------- */

/* libuv's EAI codes as the names that C programs know them by. */
static int fail(lua_State *L, int status) {
  if (status == UV_EAI_CANCELED || status == UV_ECANCELED)
    return gev_failmsg(L, "look-up was cancelled", "EAI_CANCELED");
  if (status == UV_EINVAL || status == UV_E2BIG) /* as IDNA sees it */
    return gev_failmsg(L, "not a valid host name", "EAI_NONAME");
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
  l->answered = true;
  l->status = status;
  if (!l->ticket)
    free_lookup(l);
  else if (l->waiter)
    gev_wake(l->hub, l->waiter, l->ticket, GEV_WOKEN);
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

struct ticket {
  const struct gev_class *cls;
  struct lookup *lookup;
};

/* Waits are on the ticket: its memory outlives its finalizer. */
static void cancel(struct gev_hub *h, struct gev_greenlet *g, void *on) {
  struct lookup *l = ((struct ticket *)on)->lookup;
  (void)h;
  (void)g;
  if (!l) return;
  l->waiter = NULL;
  if (!l->answered) uv_cancel((uv_req_t *)&l->req); /* it is called back */
}

static const struct gev_waitop info_op = {"getaddrinfo", true, cancel, NULL};
static const struct gev_waitop name_op = {"getnameinfo", true, cancel, NULL};

static const struct gev_class ticket_class = {"look-up", NULL, NULL};

static void drop(struct ticket *t) {
  struct lookup *l = t->lookup;
  t->lookup = NULL;
  if (l && l->answered)
    free_lookup(l);
  else if (l)
    l->ticket = NULL; /* its callback frees it */
}

static int ticket_gc(lua_State *L) {
  drop(gev_check(L, 1, &ticket_class));
  return 0;
}

/* Pushes the ticket of a new look-up. Its metatable is upvalue 2. */
static struct ticket *new_ticket(lua_State *L, struct gev_hub *h) {
  struct ticket *t = lua_newuserdatauv(L, sizeof *t, 0);
  t->cls = &ticket_class;
  t->lookup = NULL;
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  t->lookup = calloc(1, sizeof *t->lookup);
  if (!t->lookup) luaL_error(L, "not enough memory");
  t->lookup->hub = h;
  t->lookup->ticket = t;
  return t;
}

/* libuv did not take it. */
static int not_taken(lua_State *L, struct ticket *t, int err) {
  t->lookup->answered = true;
  drop(t);
  return fail(L, err);
}

static int wait_for(lua_State *L, struct ticket *t, struct gev_greenlet *g,
                    const struct gev_waitop *op, lua_KFunction k) {
  struct lookup *l = t->lookup;
  l->waiter = g;
  gev_request_add(l->hub, &l->request, (uv_req_t *)&l->req);
  return gev_park(L, l->hub, g, op, t, GEV_NEVER, (lua_KContext)t, k);
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

static void push_list(lua_State *L, const struct addrinfo *ai) {
  lua_newtable(L);
  for (int i = 1; ai; ai = ai->ai_next) {
    if (ai->ai_family != AF_INET && ai->ai_family != AF_INET6) continue;
    push_info(L, ai);
    lua_rawseti(L, -2, i++);
  }
}

static int info_k(lua_State *L, int status, lua_KContext ctx) {
  struct ticket *t = (struct ticket *)ctx;
  gev_unpark(L, gev_hub(L));
  status = t->lookup->status;
  if (status == 0) push_list(L, t->lookup->answer);
  drop(t);
  return status == 0 ? 1 : fail(L, status);
}

/* The string under `name` in the options at 3, or NULL; left on the stack. */
static const char *hint(lua_State *L, const char *name) {
  int type = lua_getfield(L, 3, name);
  if (type != LUA_TNIL && type != LUA_TSTRING) {
    lua_pushfstring(L, "option '%s' must be a string", name);
    luaL_argerror(L, 3, lua_tostring(L, -1));
  }
  return lua_tostring(L, -1);
}

static void read_kind(lua_State *L, struct addrinfo *hints) {
  if (hint(L, "family"))
    hints->ai_family = gev_family(L, lua_gettop(L), AF_UNSPEC);
  const char *type = hint(L, "type");
  if (!type || !strcmp(type, "stream")) return;
  luaL_argcheck(L, !strcmp(type, "dgram"), 3,
                "option 'type' must be \"stream\" or \"dgram\"");
  hints->ai_socktype = SOCK_DGRAM;
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
  struct ticket *t = new_ticket(L, h);
  int err = uv_getaddrinfo(gev_loop(L, h), &t->lookup->req.info, info_cb,
                           host, service, &hints);
  if (err) return not_taken(L, t, err);
  return wait_for(L, t, g, &info_op, info_k);
}

/* --- getnameinfo --------------------------------------------------------- */

static int name_k(lua_State *L, int status, lua_KContext ctx) {
  struct ticket *t = (struct ticket *)ctx;
  gev_unpark(L, gev_hub(L));
  status = t->lookup->status;
  if (status == 0) {
    lua_pushstring(L, t->lookup->host);
    lua_pushstring(L, t->lookup->service);
  }
  drop(t);
  return status == 0 ? 2 : fail(L, status);
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
  struct ticket *t = new_ticket(L, h);
  int err = uv_getnameinfo(gev_loop(L, h), &t->lookup->req.name, name_cb,
                           &a.u.sa, flags);
  if (err) return not_taken(L, t, err);
  return wait_for(L, t, g, &name_op, name_k);
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

/* gethostname() -> the name of this machine | nil, message, code */
static int lib_gethostname(lua_State *L) {
  char name[UV_MAXHOSTNAMESIZE];
  size_t len = sizeof name;
  int err = uv_os_gethostname(name, &len);
  if (err) return gev_fail(L, -err);
  lua_pushlstring(L, name, len);
  return 1;
}

static const luaL_Reg functions[] = {{"gethostname", lib_gethostname},
                                     {"getaddrinfo", lib_getaddrinfo},
                                     {"getnameinfo", lib_getnameinfo},
                                     {"isnumeric", lib_isnumeric},
                                     {NULL, NULL}};

static const luaL_Reg ticket_methods[] = {{"__gc", ticket_gc}, {NULL, NULL}};

void gev_open_resolve(lua_State *L, int hub) {
  lua_pushvalue(L, hub);
  lua_pushvalue(L, hub);
  gev_newclass(L, "look-up", ticket_methods, 1);
  luaL_setfuncs(L, functions, 2);
}
