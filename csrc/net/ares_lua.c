/* net/ares_lua.c - layer: net. c-ares channels for Lua, which adds the hosts
 * file, the cache and the checks: gevent.resolver. Owns the channel; close and
 * __gc are the same, and end what is under way with "EAI_CANCELED". */
#include <lauxlib.h>
#include <limits.h>
#include <string.h>

#include "net/addr.h"
#include "net/ares.h"
#include "net/resolve.h"

struct channel {
  const struct gev_class *cls;
  struct gev_ares ares;
};
static const struct gev_class channel_class = {"c-ares channel", NULL, NULL};

/* --- results ------------------------------------------------------------- */

static int code_of(int status) {
  switch (status) {
    case ARES_ENOTFOUND:
    case ARES_EBADNAME: return UV_EAI_NONAME;
    case ARES_ENODATA: return UV_EAI_NODATA;
    case ARES_ETIMEOUT:
    case ARES_ECONNREFUSED:
    case ARES_ESERVFAIL:
    case ARES_EREFUSED:
    case ARES_ENOTIMP:
    case ARES_EFILE:
    case ARES_EOF: return UV_EAI_AGAIN;
    case ARES_ENOMEM: return UV_EAI_MEMORY;
    case ARES_ECANCELLED:
    case ARES_EDESTRUCTION: return UV_EAI_CANCELED;
    default: return UV_EAI_FAIL; /* FORMERR, or no sense in it */
  }
}

static int fail(lua_State *L, int status) {
  return gev_fail_eai(L, code_of(status));
}

/* What all records of the answer are good for, seconds. */
static int ttl_of(const struct ares_addrinfo *info) {
  int ttl = INT_MAX;
  for (const struct ares_addrinfo_node *n = info->nodes; n; n = n->ai_next)
    if (n->ai_ttl < ttl) ttl = n->ai_ttl;
  for (const struct ares_addrinfo_cname *c = info->cnames; c; c = c->next)
    if (c->ttl < ttl) ttl = c->ttl;
  return ttl;
}

static const char *canonical_of(const struct gev_query *q) {
  const struct ares_addrinfo_cname *c = q->info->cnames;
  while (c && c->next) c = c->next;
  if (c && c->name) return c->name;
  return q->info->name ? q->info->name : q->text;
}

/* {{family=, host=, port=0}, ..., canonname=, ttl=} */
static int push_info(lua_State *L, const struct gev_lookup *l) {
  const struct gev_query *q = (const struct gev_query *)l;
  int i = 0;
  if (q->status != ARES_SUCCESS) return fail(L, q->status);
  luaL_checkstack(L, 6, NULL);
  lua_newtable(L);
  for (const struct ares_addrinfo_node *n = q->info->nodes; n;
       n = n->ai_next) {
    if (q->family != AF_UNSPEC && n->ai_family != q->family) continue;
    gev_push_address(L, n->ai_addr, (socklen_t)n->ai_addrlen);
    lua_rawseti(L, -2, ++i);
  }
  if (i == 0) return fail(L, ARES_ENODATA); /* none that was asked for */
  lua_pushstring(L, canonical_of(q));
  lua_setfield(L, -2, "canonname");
  lua_pushinteger(L, ttl_of(q->info));
  lua_setfield(L, -2, "ttl");
  return 1;
}

static int push_name(lua_State *L, const struct gev_lookup *l) {
  const struct gev_query *q = (const struct gev_query *)l;
  if (q->status != ARES_SUCCESS) return fail(L, q->status);
  lua_pushstring(L, q->name);
  return 1;
}

/* --- asking -------------------------------------------------------------- */

static const struct gev_waitop info_op = {"getaddrinfo", true,
                                          gev_ticket_cancel, NULL};
static const struct gev_waitop name_op = {"getnameinfo", true,
                                          gev_ticket_cancel, NULL};
static const struct gev_lookup_ops info_ops = {
    &info_op, push_info, gev_query_unwanted, gev_query_free};
static const struct gev_lookup_ops name_ops = {
    &name_op, push_name, gev_query_unwanted, gev_query_free};

static struct gev_ares *check(lua_State *L) {
  return &((struct channel *)gev_check(L, 1, &channel_class))->ares;
}

/* Joins one that is under way, or starts one. */
static int ask(lua_State *L, int family, bool reverse,
               const struct gev_lookup_ops *ops) {
  struct gev_ares *a = check(L);
  const char *text = luaL_checkstring(L, 2);
  if (!a->channel) return fail(L, ARES_ECANCELLED);
  struct gev_greenlet *g = gev_park_begin(L, a->hub, ops->wait);
  struct gev_ticket *t = gev_ticket_new(L);
  struct gev_query *q = gev_ares_find(a, text, family, reverse);
  if (!q) q = gev_ares_query(a, text, family, reverse, ops);
  if (!q) return fail(L, ARES_ENOMEM);
  gev_ares_ask(q, t);
  return gev_ticket_wait(L, a->hub, g, t);
}

/* channel:addresses(name in lower case [, family]) */
static int m_addresses(lua_State *L) {
  return ask(L, gev_family(L, 3, AF_UNSPEC), false, &info_ops);
}

/* channel:nameof(address) -> name */
static int m_nameof(lua_State *L) {
  return ask(L, AF_UNSPEC, true, &name_ops);
}

/* channel:close() */
static int m_close(lua_State *L) {
  gev_ares_close(check(L));
  return 0;
}

/* --- making -------------------------------------------------------------- */

/* The servers at idx, {{host, port}, ...}, as an array of n nodes on the top
 * of the stack. */
static struct ares_addr_port_node *read_servers(lua_State *L, int idx) {
  lua_Integer n = luaL_len(L, idx);
  luaL_argcheck(L, n >= 1 && n <= 1000, idx, "no servers, or too many");
  struct ares_addr_port_node *nodes =
      lua_newuserdatauv(L, (size_t)n * sizeof *nodes, 0);
  for (lua_Integer i = 0; i < n; i++) {
    struct ares_addr_port_node *node = &nodes[i];
    struct gev_addr a;
    lua_rawgeti(L, idx, i + 1);
    lua_rawgeti(L, -1, 1);
    lua_rawgeti(L, -2, 2);
    if (!gev_addr_numeric(&a, AF_UNSPEC, luaL_checkstring(L, -2), 0))
      luaL_argerror(L, idx, "a server has no numeric address");
    *node = (struct ares_addr_port_node){.family = a.u.sa.sa_family};
    node->udp_port = node->tcp_port = (int)luaL_checkinteger(L, -1);
    if (node->family == AF_INET)
      node->addr.addr4 = a.u.in4.sin_addr;
    else
      memcpy(&node->addr.addr6, &a.u.in6.sin6_addr, 16);
    if (i > 0) nodes[i - 1].next = node;
    lua_pop(L, 3);
  }
  return nodes;
}

/* The strings at idx, as an array on the top of the stack. */
static char **read_domains(lua_State *L, int idx, int *n) {
  *n = (int)luaL_len(L, idx);
  char **domains = lua_newuserdatauv(L, ((size_t)*n + 1) * sizeof *domains, 0);
  for (int i = 0; i < *n; i++) {
    lua_rawgeti(L, idx, i + 1); /* copied before the table can change */
    domains[i] = (char *)(uintptr_t)luaL_checkstring(L, -1);
    lua_pop(L, 1);
  }
  return domains;
}

/* ares(servers|nil, timeout in ms, tries [, ndots [, domains [, resolvconf]]])
 * -> channel | nil, message, code */
static int lib_ares(lua_State *L) {
  int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES;
  struct ares_options o = {.timeout = (int)luaL_checkinteger(L, 2),
                           .tries = (int)luaL_checkinteger(L, 3),
                           .ndots = (int)luaL_optinteger(L, 4, 0)};
  const char *resolvconf = luaL_optstring(L, 6, NULL);
  struct ares_addr_port_node *servers = NULL;
  lua_settop(L, 6);
  if (!lua_isnil(L, 4)) mask |= ARES_OPT_NDOTS;
  if (resolvconf) mask |= ARES_OPT_RESOLVCONF;
  o.resolvconf_path = (char *)(uintptr_t)resolvconf;
  if (!lua_isnil(L, 1)) servers = read_servers(L, 1);
  if (!lua_isnil(L, 5)) {
    mask |= ARES_OPT_DOMAINS;
    o.domains = read_domains(L, 5, &o.ndomains);
  }
  struct channel *c = lua_newuserdatauv(L, sizeof *c, 0);
  c->cls = &channel_class;
  gev_ares_init(&c->ares, gev_hub(L));
  c->ares.timeout = o.timeout;
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  int status = gev_ares_open(&c->ares, &o, mask);
  if (status == ARES_SUCCESS && servers)
    status = ares_set_servers_ports(c->ares.channel, servers);
  return status == ARES_SUCCESS ? 1 : fail(L, status);
}

static const luaL_Reg methods[] = {{"addresses", m_addresses},
                                   {"nameof", m_nameof},
                                   {"close", m_close},
                                   {"__gc", m_close},
                                   {NULL, NULL}};
static const luaL_Reg functions[] = {{"ares", lib_ares}, {NULL, NULL}};

void gev_open_ares(lua_State *L, int hub) {
  ares_library_init(ARES_LIB_INIT_ALL);
  lua_pushvalue(L, hub);
  lua_pushvalue(L, hub);
  gev_open_lookup(L);
  gev_newclass(L, "c-ares channel", methods, 2);
  luaL_setfuncs(L, functions, 2);
}
