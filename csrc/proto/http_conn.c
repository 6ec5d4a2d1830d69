/* proto/http_conn.c - layer: proto. See http_conn.h. Settings and connections
 * as Lua objects. A connection owns its parser's block and its buffers, which
 * are freed when it is closed or collected; the stream belongs to whoever
 * made it. */
#include "proto/http_conn.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "proto/http_server.h"

const struct gev_class gev_http_conn_class = {"http connection", NULL, NULL};
const struct gev_class gev_http_settings_class = {"http settings", NULL,
                                                  NULL};

/* --- the clock ----------------------------------------------------------- */

static void renew_date(struct gev_http_settings *set, int64_t now) {
  struct timespec wall;
  clock_gettime(CLOCK_REALTIME, &wall);
  memcpy(set->date, "Date: ", 6);
  gev_h1_date(set->date + 6, wall.tv_sec);
  memcpy(set->date + 6 + GEV_H1_DATE_LEN, "\r\n", 2);
  set->date_until = now + 1000000000 - wall.tv_nsec;
}

void gev_http_tick(struct gev_http_conn *c) {
  c->now = gev_now();
  if (c->now >= c->set->date_until) renew_date(c->set, c->now);
}

/* --- settings ------------------------------------------------------------ */

static int64_t get_seconds(lua_State *L, int idx, const char *name) {
  int64_t ns = GEV_NEVER;
  if (lua_getfield(L, idx, name) != LUA_TNIL && lua_toboolean(L, -1)) {
    double s = lua_tonumber(L, -1);
    if (!lua_isnumber(L, -1) || !(s > 0))
      luaL_error(L, "bad option '%s' (seconds expected)", name);
    if (s < 1e9) ns = (int64_t)(s * 1e9);
  }
  lua_pop(L, 1);
  return ns;
}

static uint64_t get_count(lua_State *L, int idx, const char *name,
                          uint64_t none, uint64_t most) {
  uint64_t n = none;
  if (lua_getfield(L, idx, name) != LUA_TNIL && lua_toboolean(L, -1)) {
    int whole;
    lua_Integer i = lua_tointegerx(L, -1, &whole);
    if (!whole || i <= 0)
      luaL_error(L, "bad option '%s' (positive integer expected)", name);
    n = (uint64_t)i < most ? (uint64_t)i : most;
  }
  lua_pop(L, 1);
  return n;
}

static void read_limits(lua_State *L, struct gev_h1_limits *limits) {
  enum { MOST = 1 << 28 };
  *limits = gev_h1_default_limits;
  limits->max_line = (uint32_t)get_count(L, 1, "max_request_line",
                                         GEV_H1_MAX_LINE, MOST);
  limits->max_head = (uint32_t)get_count(L, 1, "max_header_bytes",
                                         GEV_H1_MAX_HEAD, MOST);
  limits->max_fields = (uint32_t)get_count(L, 1, "max_headers",
                                           GEV_H1_MAX_FIELDS, 1 << 20);
  if (limits->max_head > GEV_H1_MAX_HEAD) { /* who asks for more gets it */
    limits->max_field = limits->max_head;
    limits->max_trailers = limits->max_head;
  }
  limits->max_body = get_count(L, 1, "max_body_bytes", GEV_H1_NO_LIMIT,
                               GEV_H1_NO_LIMIT - 1);
}

/* http_settings(options, write_parts) -> settings */
static int lib_settings(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  struct gev_http_settings *set = lua_newuserdatauv(L, sizeof *set, 1);
  memset(set, 0, sizeof *set);
  set->cls = &gev_http_settings_class;
  set->date_until = INT64_MIN;
  read_limits(L, &set->limits);
  set->header_timeout = get_seconds(L, 1, "header_timeout");
  set->body_timeout = get_seconds(L, 1, "body_timeout");
  set->keepalive_timeout = get_seconds(L, 1, "keepalive_timeout");
  set->write_timeout = get_seconds(L, 1, "write_timeout");
  set->max_requests = get_count(L, 1, "max_requests", UINT64_MAX, UINT64_MAX);
  set->compress_level = (int)get_count(L, 1, "compress_level", 0, 9);
  set->compress = set->compress_level > 0;
  set->compress_min = (int64_t)get_count(L, 1, "compress_min", 0, INT32_MAX);
  lua_getfield(L, 1, "log");
  set->log = lua_toboolean(L, -1);
  lua_pop(L, 1);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, -2, 1);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  return 1;
}

/* settings:stop(): each answer from now on is the last of its connection. */
static int settings_stop(lua_State *L) {
  struct gev_http_settings *set = gev_check(L, 1, &gev_http_settings_class);
  set->stopping = true;
  return 0;
}

static const luaL_Reg settings_methods[] = {{"stop", settings_stop},
                                            {NULL, NULL}};

/* --- connections --------------------------------------------------------- */

static struct gev_http_conn *check(lua_State *L) {
  return gev_check(L, 1, &gev_http_conn_class);
}

/* http_conn(stream, settings, host, port, scheme) -> connection */
static int lib_conn(lua_State *L) {
  struct gev_stream *s = gev_checkstream(L, 1);
  struct gev_http_settings *set = gev_check(L, 2, &gev_http_settings_class);
  lua_settop(L, 5);
  struct gev_http_conn *c = lua_newuserdatauv(L, sizeof *c, 7);
  memset(c, 0, sizeof *c);
  c->cls = &gev_http_conn_class;
  c->s = s;
  c->set = set;
  c->serial = 1;
  c->state = GEV_HTTP_READING;
  c->due = set->header_timeout == GEV_NEVER
               ? GEV_NEVER : gev_now() + set->header_timeout;
  gev_http_hold_init(c);
  gev_h1_init(&c->h1, &set->limits);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, 6);
  for (int i = 1; i <= 4; i++) {
    lua_pushvalue(L, i);
    lua_setiuservalue(L, 6, i);
  }
  lua_pushvalue(L, 5);
  lua_setiuservalue(L, 6, 6);
  return 1;
}

void gev_http_set_failure(lua_State *L, struct gev_http_conn *c, int self) {
  (void)c;
  lua_getiuservalue(L, self, GEV_HTTP_UV_CONN);
  if (gev_test(L, -1, &gev_http_req_class)) {
    lua_getiuservalue(L, -1, GEV_HTTP_UV_CONN);
    lua_remove(L, -2);
  }
  lua_insert(L, -2);
  lua_setiuservalue(L, -2, 5);
  lua_pop(L, 1);
}

/* conn:failure() -> status or nil, message of the last failed read or write */
static int conn_failure(lua_State *L) {
  struct gev_http_conn *c = check(L);
  if (c->fail && !c->begun)
    lua_pushinteger(L, c->fail);
  else
    lua_pushnil(L);
  lua_getiuservalue(L, 1, 5);
  return 2;
}

/* Is there something to read of which the loop has not told yet? */
static bool has_input(const struct gev_stream *s) {
  char byte;
  return recv(s->fd.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* conn:idle() -> does it wait for a request of which nothing has come?, has it
 * had none before? */
static int conn_idle(lua_State *L) {
  struct gev_http_conn *c = check(L);
  const struct gev_greenlet *g = c->s->fd.user[GEV_READ];
  lua_pushboolean(L, c->idle && g && g->state == GEV_PARKED &&
                         !has_input(c->s));
  lua_pushboolean(L, c->serial == 1);
  return 2;
}

/* conn:stream() -> what it was made of */
static int conn_stream(lua_State *L) {
  check(L);
  lua_getiuservalue(L, 1, 1);
  return 1;
}

/* ishttpconn(value) -> is it one? */
static int lib_isconn(lua_State *L) {
  lua_pushboolean(L, gev_test(L, 1, &gev_http_conn_class) != NULL);
  return 1;
}

/* conn:close(): gives up its buffers, not the stream. Idempotent. */
static int conn_close(lua_State *L) {
  struct gev_http_conn *c = check(L);
  c->state = GEV_HTTP_OVER;
  c->serial++;
  gev_h1_free(&c->h1);
  gev_http_encode_end(c);
  gev_http_hold_end(c);
  free(c->in.data);
  free(c->out.data);
  c->in = c->out = (struct gev_bytes){0};
  return 0;
}

static const luaL_Reg conn_methods[] = {
    {"serve", gev_http_serve}, {"idle", conn_idle},
    {"failure", conn_failure}, {"stream", conn_stream},
    {"close", conn_close},
    {"__close", conn_close},   {"__gc", conn_close},
    {NULL, NULL}};

/* Adds function(hub, class) to the table on the top. */
static void add_maker(lua_State *L, int hub, const char *name,
                      lua_CFunction make, const char *class_name,
                      const luaL_Reg *methods) {
  lua_pushvalue(L, hub);
  lua_pushvalue(L, hub);
  gev_newclass(L, class_name, methods, 1);
  lua_pushcclosure(L, make, 2);
  lua_setfield(L, -2, name);
}

void gev_open_http_server(lua_State *L, int hub) {
  add_maker(L, hub, "http_settings", lib_settings, "http settings",
            settings_methods);
  add_maker(L, hub, "http_conn", lib_conn, "http connection", conn_methods);
  lua_pushcfunction(L, lib_isconn);
  lua_setfield(L, -2, "ishttpconn");
  gev_open_http_headers(L, hub);
  gev_open_http_request(L, hub);
  gev_open_http_response(L, hub);
  gev_open_http_file(L, hub);
  gev_open_http_form(L, hub);
}
