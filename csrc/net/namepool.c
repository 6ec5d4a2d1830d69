/* net/namepool.c - layer: net. getaddrinfo(3) and getnameinfo(3) in a few
 * threads of their own, so that no file work keeps them waiting.
 *
 * Two objects for each look-up: the request is the hub's, the job the
 * threads' (io/workers.h). A request that is not wanted any more forgets its
 * job: so nobody ever waits for a look-up under way, neither a kill, nor
 * close, nor lua_close. */
#include "net/namepool.h"

#include <errno.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "io/workers.h"
#include "net/lookup.h"
#include "net/resolve.h"

enum { IDLE = 5 }; /* seconds that a thread waits for more look-ups */

struct request;

struct namepool {
  const struct gev_class *cls;
  struct gev_hub *hub;
  struct gev_workers *workers; /* NULL: closed */
  struct gev_link requests;    /* under way */
};
static const struct gev_class namepool_class = {"name pool", NULL, NULL};

struct job {
  struct gev_work work;    /* first */
  struct request *request; /* for the hub only */
  struct addrinfo hints;   /* getaddrinfo */
  struct gev_addr address; /* getnameinfo; len is 0 for the other */
  int flags;
  int status, err; /* the answer: an EAI code, errno */
  struct addrinfo *list;
  char name[NI_MAXHOST], service[NI_MAXSERV];
  const char *host, *port; /* in text, or NULL */
  char text[];
};

struct request {
  struct gev_lookup lookup; /* first */
  struct gev_link link;     /* in the pool's requests */
  struct job *job;          /* NULL: cancelled */
};

/* --- in the threads ------------------------------------------------------ */

static void free_job(struct gev_work *w) {
  struct job *job = (struct job *)w;
  if (job->list) freeaddrinfo(job->list);
  free(job);
}

static void run_job(struct gev_work *w, void *local) {
  struct job *job = (struct job *)w;
  (void)local;
  errno = 0;
  if (job->address.len)
    job->status = getnameinfo(&job->address.u.sa, job->address.len, job->name,
                              sizeof job->name, job->service,
                              sizeof job->service, job->flags);
  else
    job->status = getaddrinfo(job->host, job->port, &job->hints, &job->list);
  job->err = errno;
  if (job->status) job->list = NULL;
}

/* --- requests ------------------------------------------------------------ */

static void request_free(struct gev_lookup *l) {
  struct request *r = (struct request *)l;
  if (r->job) free_job(&r->job->work);
  free(r);
}

/* Its job is freed: here, or by the thread that runs it. */
static void let_go(struct request *r) {
  gev_workers_forget(&r->job->work);
  r->job = NULL;
  gev_unlink(&r->link);
}

static void unwanted(struct gev_lookup *l) {
  let_go((struct request *)l);
  free(l);
}

static void answered(struct gev_hub *h, struct gev_work *w) {
  struct request *r = ((struct job *)w)->request;
  gev_unlink(&r->link);
  gev_lookup_answered(h, &r->lookup);
}

static const struct gev_workers_ops worker_ops = {run_job, answered, free_job,
                                                  NULL, NULL,
                                                  NULL};

static int push(lua_State *L, const struct gev_lookup *l) {
  const struct job *job = ((const struct request *)l)->job;
  if (!job) return gev_fail_eai(L, UV_EAI_CANCELED);
  if (job->status) return gev_fail_gai(L, job->status, job->err);
  if (!job->address.len) return gev_push_addrinfo(L, job->list);
  lua_pushstring(L, job->name);
  lua_pushstring(L, job->service);
  return 2;
}

static const struct gev_waitop info_op = {"getaddrinfo", true,
                                          gev_ticket_cancel, NULL};
static const struct gev_waitop name_op = {"getnameinfo", true,
                                          gev_ticket_cancel, NULL};
static const struct gev_lookup_ops info_ops = {&info_op, push, unwanted,
                                               request_free};
static const struct gev_lookup_ops name_ops = {&name_op, push, unwanted,
                                               request_free};

/* --- Lua ----------------------------------------------------------------- */

static struct namepool *check(lua_State *L) {
  return gev_check(L, 1, &namepool_class);
}

static struct job *new_job(lua_State *L, const char *host, const char *port) {
  size_t nhost = host ? strlen(host) + 1 : 0;
  size_t nport = port ? strlen(port) + 1 : 0;
  struct job *job = calloc(1, sizeof *job + nhost + nport);
  if (!job) luaL_error(L, "not enough memory");
  if (host) job->host = memcpy(job->text, host, nhost);
  if (port) job->port = memcpy(job->text + nhost, port, nport);
  return job;
}

static struct request *new_request(struct job *job,
                                   const struct gev_lookup_ops *ops) {
  struct request *r = malloc(sizeof *r);
  if (!r) return NULL;
  gev_lookup_init(&r->lookup, ops);
  gev_list_init(&r->link);
  r->job = job;
  job->request = r;
  return r;
}

/* The job is the request's from here on. */
static int run(lua_State *L, struct namepool *p, struct gev_greenlet *g,
               struct gev_ticket *t, struct job *job,
               const struct gev_lookup_ops *ops) {
  struct request *r = new_request(job, ops);
  if (!r) {
    free_job(&job->work);
    return gev_fail_eai(L, UV_EAI_MEMORY);
  }
  int err = gev_workers_submit(p->workers, &job->work);
  if (err) {
    request_free(&r->lookup);
    return gev_fail_gai(L, EAI_SYSTEM, err);
  }
  gev_list_append(&p->requests, &r->link);
  gev_ticket_join(t, &r->lookup);
  return gev_ticket_wait(L, p->hub, g, t);
}

/* pool:getaddrinfo(host|nil, service|nil, family|nil, type|nil, flags|nil) */
static int m_getaddrinfo(lua_State *L) {
  struct addrinfo hints;
  struct namepool *p = check(L);
  const char *host = luaL_optstring(L, 2, NULL);
  const char *service = luaL_optstring(L, 3, NULL);
  gev_read_hints(L, 4, &hints);
  if (!p->workers) return gev_fail_eai(L, UV_EAI_CANCELED);
  struct gev_greenlet *g = gev_park_begin(L, p->hub, &info_op);
  struct gev_ticket *t = gev_ticket_new(L);
  int err = gev_workers_prepare(L, p->workers);
  if (err) return gev_failmsg(L, uv_strerror(err), "EAI_SYSTEM");
  struct job *job = new_job(L, host, service);
  job->hints = hints;
  return run(L, p, g, t, job, &info_ops);
}

/* pool:getnameinfo(address, port, flags|nil) */
static int m_getnameinfo(lua_State *L) {
  struct gev_addr a;
  struct namepool *p = check(L);
  const char *host = luaL_checkstring(L, 2);
  lua_Integer port = luaL_checkinteger(L, 3);
  int flags = gev_nameinfo_flags(L, 4);
  if (!p->workers) return gev_fail_eai(L, UV_EAI_CANCELED);
  if (!gev_addr_numeric(&a, AF_UNSPEC, host, (uint16_t)port))
    return gev_fail_eai(L, UV_EAI_NONAME);
  struct gev_greenlet *g = gev_park_begin(L, p->hub, &name_op);
  struct gev_ticket *t = gev_ticket_new(L);
  int err = gev_workers_prepare(L, p->workers);
  if (err) return gev_failmsg(L, uv_strerror(err), "EAI_SYSTEM");
  struct job *job = new_job(L, NULL, NULL);
  job->address = a;
  job->flags = flags;
  return run(L, p, g, t, job, &name_ops);
}

/* pool:close(): look-ups under way end with "EAI_CANCELED" */
static int m_close(lua_State *L) {
  struct namepool *p = check(L);
  if (!p->workers) return 0;
  while (!gev_list_empty(&p->requests)) {
    struct request *r = gev_container(p->requests.next, struct request, link);
    let_go(r);
    gev_lookup_answered(p->hub, &r->lookup);
  }
  gev_workers_close(p->workers);
  p->workers = NULL;
  return 0;
}

/* namepool(size) -> pool; upvalue 2 is the metatable of pools. */
static int lib_namepool(lua_State *L) {
  lua_Integer size = luaL_checkinteger(L, 1);
  luaL_argcheck(L, size >= 1 && size <= 1024, 1, "1 to 1024 threads");
  struct namepool *p = lua_newuserdatauv(L, sizeof *p, 0);
  *p = (struct namepool){.cls = &namepool_class, .hub = gev_hub(L)};
  gev_list_init(&p->requests);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  p->workers = gev_workers_new(p->hub, (unsigned)size, IDLE, &worker_ops,
                               NULL);
  if (!p->workers) return luaL_error(L, "not enough memory");
  return 1;
}

static const luaL_Reg methods[] = {{"getaddrinfo", m_getaddrinfo},
                                   {"getnameinfo", m_getnameinfo},
                                   {"close", m_close},
                                   {"__gc", m_close},
                                   {NULL, NULL}};
static const luaL_Reg functions[] = {{"namepool", lib_namepool},
                                     {NULL, NULL}};

void gev_open_namepool(lua_State *L, int hub) {
  lua_pushvalue(L, hub);
  lua_pushvalue(L, hub);
  gev_open_lookup(L);
  gev_newclass(L, "name pool", methods, 2);
  luaL_setfuncs(L, functions, 2);
}
