/* net/luasocket.c - layer: net. See luasocket.h. Owns the bare descriptors
 * that setfd has put into an object; streams own their own. Methods that
 * neither read nor write, and the tools that the Lua half makes classes of. */
#include "net/luasocket.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "net/addr.h"
#include "net/socket.h"

static const struct gev_class luasocket_class = {"LuaSocket object", NULL,
                                                 NULL};

static struct gev_luasocket *check_any(lua_State *L, int idx) {
  return gev_check(L, idx, &luasocket_class);
}

/* Is the value at idx an object whose metatable has that name as a key? */
static struct gev_luasocket *test(lua_State *L, int idx, int name) {
  struct gev_luasocket *ls = gev_test(L, idx, &luasocket_class);
  if (!ls || !lua_getmetatable(L, idx)) return NULL;
  lua_pushvalue(L, name);
  bool is = lua_rawget(L, -2) != LUA_TNIL;
  lua_pop(L, 2);
  return is ? ls : NULL;
}

struct gev_luasocket *gev_luasocket_check(lua_State *L) {
  struct gev_luasocket *ls = test(L, 1, lua_upvalueindex(2));
  if (!ls)
    luaL_argerror(L, 1, lua_pushfstring(L, "%s expected", lua_tostring(
                                            L, lua_upvalueindex(2))));
  return ls;
}

struct gev_stream *gev_luasocket_stream(lua_State *L, int idx) {
  if (lua_getiuservalue(L, idx, 1) == LUA_TNIL) return NULL;
  return gev_checkstream(L, -1);
}

int gev_luasocket_fd(lua_State *L, int idx) {
  struct gev_luasocket *ls = lua_touserdata(L, idx);
  struct gev_stream *s = gev_luasocket_stream(L, idx);
  lua_pop(L, 1);
  return s ? s->fd.fd : ls->fd;
}

const char *gev_luasocket_strerror(int err) {
  switch (err) {
    case EADDRINUSE: return "address already in use";
    case EISCONN: return "already connected";
    case EACCES: return "permission denied";
    case ECONNREFUSED: return "connection refused";
    case ECONNABORTED:
    case ECONNRESET: return "closed";
    case ETIMEDOUT: return "timeout";
    default: return strerror(err);
  }
}

static int fail(lua_State *L, int err) {
  lua_pushnil(L);
  lua_pushstring(L, gev_luasocket_strerror(err));
  return 2;
}

static int done(lua_State *L) { /* LuaSocket's 1 is a float */
  lua_pushnumber(L, 1);
  return 1;
}

static double wall_clock(void) {
  struct timeval now;
  gettimeofday(&now, NULL);
  return (double)now.tv_sec + (double)now.tv_usec / 1e6;
}

/* --- methods ------------------------------------------------------------- */

static int m_tostring(lua_State *L) {
  struct gev_luasocket *ls = check_any(L, 1);
  luaL_getmetafield(L, 1, "__name");
  lua_pushfstring(L, "%s: %p", lua_tostring(L, -1), (void *)ls);
  return 1;
}

static int m_gc(lua_State *L) {
  struct gev_luasocket *ls = check_any(L, 1);
  if (ls->fd >= 0) close(ls->fd);
  ls->fd = -1;
  return 0;
}

static int m_getfd(lua_State *L) {
  gev_luasocket_check(L);
  lua_pushnumber(L, gev_luasocket_fd(L, 1));
  return 1;
}

/* Has it input that nobody has asked for? */
static int m_dirty(lua_State *L) {
  gev_luasocket_check(L);
  struct gev_stream *s = gev_luasocket_stream(L, 1);
  lua_pushboolean(L, s && gev_stream_buffered(s) > 0);
  return 1;
}

static int m_getfamily(lua_State *L) {
  struct gev_luasocket *ls = gev_luasocket_check(L);
  lua_pushstring(L, ls->family == AF_INET6 ? "inet6" : "inet4");
  return 1;
}

/* As in LuaSocket the port is a string of one's own, a number of the peer. */
static int push_name(lua_State *L, bool astext,
                     int (*get)(int, struct sockaddr *, socklen_t *)) {
  struct gev_luasocket *ls = gev_luasocket_check(L);
  struct gev_addr a = {.len = sizeof a.u};
  if (get(gev_luasocket_fd(L, 1), &a.u.sa, &a.len) < 0)
    return fail(L, errno);
  if (gev_addr_push(L, &a) == 1) return 1;
  if (astext) lua_tostring(L, -1);
  const char *family = gev_family_name(ls->family);
  lua_pushstring(L, family ? family : "unspec");
  return 3;
}

static int m_getsockname(lua_State *L) {
  return push_name(L, true, getsockname);
}
static int m_getpeername(lua_State *L) {
  return push_name(L, false, getpeername);
}

static int m_settimeout(lua_State *L) {
  struct gev_luasocket *ls = gev_luasocket_check(L);
  double seconds = luaL_optnumber(L, 2, -1);
  switch (*luaL_optstring(L, 3, "b")) {
    case 'b': ls->block = seconds; break;
    case 'r': case 't': ls->total = seconds; break;
    default: luaL_argerror(L, 3, "invalid timeout mode");
  }
  return done(L);
}

static int m_gettimeout(lua_State *L) {
  struct gev_luasocket *ls = gev_luasocket_check(L);
  lua_pushnumber(L, ls->block);
  lua_pushnumber(L, ls->total);
  return 2;
}

static int m_getstats(lua_State *L) {
  struct gev_luasocket *ls = gev_luasocket_check(L);
  lua_pushnumber(L, ls->received);
  lua_pushnumber(L, ls->sent);
  lua_pushnumber(L, wall_clock() - ls->birthday);
  return 3;
}

static int m_setstats(lua_State *L) {
  struct gev_luasocket *ls = gev_luasocket_check(L);
  ls->received = luaL_optnumber(L, 2, ls->received);
  ls->sent = luaL_optnumber(L, 3, ls->sent);
  if (lua_isnumber(L, 4)) ls->birthday = wall_clock() - lua_tonumber(L, 4);
  return done(L);
}

static int m_shutdown(lua_State *L) {
  static const char *const modes[] = {"receive", "send", "both", NULL};
  gev_luasocket_check(L);
  int how = luaL_checkoption(L, 2, "both", modes); /* SHUT_RD is 0, ... */
  shutdown(gev_luasocket_fd(L, 1), how);
  return done(L);
}

/* A connected datagram socket takes from everybody again. */
static int m_disconnect(lua_State *L) {
  struct sockaddr_in6 a = {.sin6_family = AF_UNSPEC};
  gev_luasocket_check(L);
  (void)connect(gev_luasocket_fd(L, 1), (struct sockaddr *)&a, sizeof a);
  return done(L);
}

static const luaL_Reg methods[] = {{"__tostring", m_tostring},
                                   {"__gc", m_gc},
                                   {"getfd", m_getfd},
                                   {"dirty", m_dirty},
                                   {"getfamily", m_getfamily},
                                   {"getsockname", m_getsockname},
                                   {"getpeername", m_getpeername},
                                   {"settimeout", m_settimeout},
                                   {"gettimeout", m_gettimeout},
                                   {"getstats", m_getstats},
                                   {"setstats", m_setstats},
                                   {"shutdown", m_shutdown},
                                   {"disconnect", m_disconnect},
                                   {NULL, NULL}};

/* --- for the Lua half ---------------------------------------------------- */

/* new(metatable) -> object */
static int lib_new(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  struct gev_luasocket *ls = lua_newuserdatauv(L, sizeof *ls, 1);
  *ls = (struct gev_luasocket){.cls = &luasocket_class,
                               .block = -1,
                               .total = -1,
                               .birthday = wall_clock(),
                               .fd = -1,
                               .family = AF_UNSPEC};
  lua_pushvalue(L, 1);
  lua_setmetatable(L, -2);
  return 1;
}

/* setclass(object, metatable) */
static int lib_setclass(lua_State *L) {
  check_any(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  lua_setmetatable(L, 1);
  return 0;
}

/* stream(object) -> stream | nil */
static int lib_stream(lua_State *L) {
  check_any(L, 1);
  lua_getiuservalue(L, 1, 1);
  return 1;
}

/* setstream(object, stream | nil | descriptor): the object's from now on. The
 * former is not closed. */
static int lib_setstream(lua_State *L) {
  struct gev_luasocket *ls = check_any(L, 1);
  lua_settop(L, 2);
  ls->fd = -1;
  if (lua_type(L, 2) == LUA_TNUMBER) {
    ls->fd = (int)lua_tointeger(L, 2);
    lua_pushnil(L);
    lua_replace(L, 2);
  } else if (!lua_isnil(L, 2)) {
    gev_checkstream(L, 2);
    struct gev_socket *sock = gev_test(L, 2, &gev_socket_class);
    if (sock) ls->family = sock->family;
  }
  lua_setiuservalue(L, 1, 1);
  return 0;
}

/* family(object) -> "inet" | "inet6" | "unix" | nil */
static int lib_family(lua_State *L) {
  lua_pushstring(L, gev_family_name(check_any(L, 1)->family));
  return 1;
}

/* setfamily(object, family) */
static int lib_setfamily(lua_State *L) {
  check_any(L, 1)->family = gev_family(L, 2, AF_UNSPEC);
  return 0;
}

/* timeouts(object) -> block, total */
static int lib_timeouts(lua_State *L) {
  struct gev_luasocket *ls = check_any(L, 1);
  lua_pushnumber(L, ls->block);
  lua_pushnumber(L, ls->total);
  return 2;
}

/* --- functions of Lua that look like C's --------------------------------- */

static int call_k(lua_State *L, int status, lua_KContext base) {
  (void)status;
  return lua_gettop(L) - (int)base;
}

/* What a letter of the form asks of the argument at idx. */
static void check_argument(lua_State *L, char letter, int idx) {
  static const char *const families[] = {"unspec", "inet", "inet6", NULL};
  switch (letter) {
    case 's': luaL_checkstring(L, idx); break;
    case 'S': luaL_optstring(L, idx, NULL); break;
    case 'n': luaL_checknumber(L, idx); break;
    case 'N': luaL_optnumber(L, idx, 0); break;
    case 'p':
      if (strcmp(lua_tostring(L, idx - 1), "*")) luaL_checkstring(L, idx);
      break;
    case 't':
      if (!lua_isnoneornil(L, idx)) luaL_checktype(L, idx, LUA_TTABLE);
      break;
    case 'f': luaL_checkoption(L, idx, "unspec", families); break;
  }
}

/* Upvalues: hub, class or nil, form, function. */
static int checked_call(lua_State *L) {
  int idx = 1;
  if (!lua_isnil(L, lua_upvalueindex(2))) {
    gev_luasocket_check(L);
    idx = 2;
  }
  const char *form = lua_tostring(L, lua_upvalueindex(3));
  for (; *form; form++, idx++) check_argument(L, *form, idx);
  lua_pushvalue(L, lua_upvalueindex(4));
  lua_insert(L, 1);
  lua_callk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, call_k);
  return call_k(L, LUA_OK, 0);
}

/* checked(class|nil, form, fn) -> a C function that checks its arguments, so
 * that what it raises is what LuaSocket's would, and calls fn. A letter of
 * the form for each argument: s, S string (S: or none), n, N number, t a table
 * or none, f a family, p a port, that may be none after the host "*". */
static int lib_checked(lua_State *L) {
  luaL_checkstring(L, 2);
  gev_checkcallable(L, 3);
  lua_settop(L, 3);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_pushcclosure(L, checked_call, 4);
  return 1;
}

/* shutdown(fd): both directions, of a descriptor of others'. */
static int lib_shutdown(lua_State *L) {
  shutdown((int)luaL_checkinteger(L, 1), SHUT_RDWR);
  return 0;
}

/* loaded(): SIGPIPE is ignored from now on, as where LuaSocket is loaded.
 * LuaSec writes to its sockets by itself, and relies on that. A handler that
 * somebody has set stays. */
static int lib_loaded(lua_State *L) {
  struct sigaction now;
  (void)L;
  if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
    signal(SIGPIPE, SIG_IGN);
  return 0;
}

/* strerror(code) -> LuaSocket's words for an errno's name | nil */
static int lib_strerror(lua_State *L) {
  int err = gev_errno(luaL_checkstring(L, 1));
  lua_pushstring(L, err ? gev_luasocket_strerror(err) : NULL);
  return 1;
}

/* method(name, class) -> the C method of that name, for that class */
static int lib_method(lua_State *L) {
  const luaL_Reg *const tables[] = {methods, gev_luasocket_io,
                                    gev_luasocket_options};
  const char *name = luaL_checkstring(L, 1);
  luaL_checkstring(L, 2);
  for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
    for (const luaL_Reg *m = tables[i]; m->name; m++)
      if (!strcmp(m->name, name)) {
        lua_pushvalue(L, lua_upvalueindex(1));
        lua_pushvalue(L, 2);
        lua_pushcclosure(L, m->func, 2);
        return 1;
      }
  return luaL_argerror(L, 1, "no such method");
}

static const luaL_Reg functions[] = {{"new", lib_new},
                                     {"setclass", lib_setclass},
                                     {"stream", lib_stream},
                                     {"setstream", lib_setstream},
                                     {"family", lib_family},
                                     {"setfamily", lib_setfamily},
                                     {"timeouts", lib_timeouts},
                                     {"shutdown", lib_shutdown},
                                     {"loaded", lib_loaded},
                                     {"strerror", lib_strerror},
                                     {"checked", lib_checked},
                                     {"method", lib_method},
                                     {NULL, NULL}};

void gev_open_luasocket(lua_State *L, int hub) {
  lua_newtable(L);
  lua_pushvalue(L, hub);
  luaL_setfuncs(L, functions, 1);
  lua_setfield(L, -2, "luasocket");
}
