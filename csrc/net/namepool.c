/* net/namepool.c - layer: net. getaddrinfo(3) and getnameinfo(3) in a few
 * threads of their own, so that no file work keeps them waiting.
 *
 * Two objects for each look-up: the request is the hub's, the job the
 * threads', and only the lock joins them. A request that is not wanted any
 * more lets go of its job, and the job is freed by the thread that has it: so
 * nobody ever waits for a look-up under way, neither a kill, nor close, nor
 * lua_close. The pool itself is freed by the last of its owner and threads.
 * While requests are under way it has one handle in the loop, else none. */
#include "net/namepool.h"

#include <errno.h>
#include <lauxlib.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "net/lookup.h"
#include "net/resolve.h"

struct request;

struct pool {
  pthread_mutex_t lock; /* for the fields up to `async` */
  pthread_cond_t work;
  struct gev_link queue;   /* jobs that no thread has begun */
  struct gev_link answers; /* jobs that are done, for the hub */
  unsigned queued, threads, idle;
  bool closed;       /* the owner has gone; the threads end */
  uv_async_t *async; /* open while there are requests */

  unsigned size; /* threads at most */
  struct gev_hub *hub;
  struct gev_link requests; /* under way; the hub's */
};

struct job {
  struct gev_link link;    /* in the pool's queue or answers */
  struct request *request; /* for the hub only */
  bool running, orphan;    /* begun; its request has let go of it */
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
  struct pool *pool;
  struct job *job; /* NULL: cancelled */
};

/* --- the threads --------------------------------------------------------- */

static void free_job(struct job *job) {
  if (job->list) freeaddrinfo(job->list);
  free(job);
}

static void run_job(struct job *job) {
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

static void free_pool(struct pool *p) {
  pthread_cond_destroy(&p->work);
  pthread_mutex_destroy(&p->lock);
  free(p);
}

/* With the lock: a job, or NULL where the thread is to end. */
static struct job *next_job(struct pool *p) {
  while (!p->closed && gev_list_empty(&p->queue)) {
    p->idle++;
    pthread_cond_wait(&p->work, &p->lock);
    p->idle--;
  }
  if (p->closed) return NULL;
  struct job *job = gev_container(p->queue.next, struct job, link);
  gev_unlink(&job->link);
  p->queued--;
  job->running = true;
  return job;
}

static void *thread_main(void *arg) {
  struct pool *p = arg;
  pthread_mutex_lock(&p->lock);
  for (struct job *job; (job = next_job(p)) != NULL;) {
    pthread_mutex_unlock(&p->lock);
    run_job(job);
    pthread_mutex_lock(&p->lock);
    if (job->orphan) {
      free_job(job);
      continue;
    }
    gev_list_append(&p->answers, &job->link);
    uv_async_send(p->async); /* open: a request waits for this job */
  }
  bool last = --p->threads == 0;
  pthread_mutex_unlock(&p->lock);
  if (last) free_pool(p);
  return NULL;
}

/* With the lock. Signals are for the threads of the program. */
static int start_thread(struct pool *p) {
  pthread_t thread;
  pthread_attr_t attr;
  sigset_t all, former;
  int err = pthread_attr_init(&attr);
  if (err) return err;
  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &former);
  err = pthread_create(&thread, &attr, thread_main, p);
  pthread_sigmask(SIG_SETMASK, &former, NULL);
  pthread_attr_destroy(&attr);
  if (!err) p->threads++;
  return err;
}

/* Returns 0, or the errno where there is no thread to do it. */
static int submit(struct pool *p, struct job *job) {
  int err = 0;
  pthread_mutex_lock(&p->lock);
  if (p->queued >= p->idle && p->threads < p->size) err = start_thread(p);
  if (p->threads > 0) err = 0; /* it has to wait for its turn */
  if (!err) {
    gev_list_append(&p->queue, &job->link);
    p->queued++;
    pthread_cond_signal(&p->work);
  }
  pthread_mutex_unlock(&p->lock);
  return err;
}

/* --- requests ------------------------------------------------------------ */

static void answers_cb(uv_async_t *async);

static int open_async(lua_State *L, struct pool *p) {
  if (p->async) return 0;
  uv_loop_t *loop = gev_loop(L, p->hub);
  uv_async_t *async = malloc(sizeof *async);
  int err = async ? uv_async_init(loop, async, answers_cb) : UV_ENOMEM;
  if (err) {
    free(async);
    return err;
  }
  gev_handle_own(async, &p->async);
  pthread_mutex_lock(&p->lock);
  p->async = async;
  pthread_mutex_unlock(&p->lock);
  return 0;
}

/* Takes a request off the pool; the handle goes with the last one. */
static void leave(struct request *r) {
  struct pool *p = r->pool;
  gev_unlink(&r->link);
  if (!gev_list_empty(&p->requests) || !p->async) return;
  pthread_mutex_lock(&p->lock);
  gev_handle_close((uv_handle_t *)p->async);
  pthread_mutex_unlock(&p->lock);
}

/* Its job is freed: here, or by the thread that runs it. */
static void let_go(struct request *r) {
  struct job *job = r->job;
  r->job = NULL;
  pthread_mutex_lock(&r->pool->lock);
  bool done = !gev_list_empty(&job->link); /* queued or answered */
  if (done && !job->running) r->pool->queued--;
  gev_unlink(&job->link);
  job->orphan = true;
  pthread_mutex_unlock(&r->pool->lock);
  if (done) free_job(job);
}

static void request_free(struct gev_lookup *l) {
  struct request *r = (struct request *)l;
  if (r->job) free_job(r->job);
  free(r);
}

static void unwanted(struct gev_lookup *l) {
  struct request *r = (struct request *)l;
  let_go(r);
  leave(r);
  free(r);
}

static void answers_cb(uv_async_t *async) {
  struct pool *p = gev_container(async->data, struct pool, async);
  struct gev_hub *h = p->hub;
  struct gev_link done;
  gev_list_init(&done);
  pthread_mutex_lock(&p->lock);
  while (!gev_list_empty(&p->answers)) {
    struct gev_link *at = p->answers.next;
    gev_unlink(at);
    gev_list_append(&done, at);
  }
  pthread_mutex_unlock(&p->lock);
  while (!gev_list_empty(&done)) {
    struct job *job = gev_container(done.next, struct job, link);
    gev_unlink(&job->link);
    leave(job->request);
    gev_lookup_answered(h, &job->request->lookup);
  }
}

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

struct namepool {
  const struct gev_class *cls;
  struct pool *pool; /* NULL: closed */
};
static const struct gev_class namepool_class = {"name pool", NULL, NULL};

static struct pool *check(lua_State *L) {
  return ((struct namepool *)gev_check(L, 1, &namepool_class))->pool;
}

static struct job *new_job(lua_State *L, const char *host, const char *port) {
  size_t nhost = host ? strlen(host) + 1 : 0;
  size_t nport = port ? strlen(port) + 1 : 0;
  struct job *job = calloc(1, sizeof *job + nhost + nport);
  if (!job) luaL_error(L, "not enough memory");
  gev_list_init(&job->link);
  if (host) job->host = memcpy(job->text, host, nhost);
  if (port) job->port = memcpy(job->text + nhost, port, nport);
  return job;
}

static struct request *new_request(struct pool *p, struct job *job,
                                   const struct gev_lookup_ops *ops) {
  struct request *r = malloc(sizeof *r);
  if (!r) return NULL;
  gev_lookup_init(&r->lookup, ops);
  gev_list_init(&r->link);
  r->pool = p;
  r->job = job;
  job->request = r;
  return r;
}

/* The job is the request's from here on. */
static int run(lua_State *L, struct pool *p, struct gev_greenlet *g,
               struct gev_ticket *t, struct job *job,
               const struct gev_lookup_ops *ops) {
  int err = open_async(L, p);
  if (err) {
    free_job(job);
    return gev_failmsg(L, uv_strerror(err), "EAI_SYSTEM");
  }
  struct request *r = new_request(p, job, ops);
  if (!r) {
    free_job(job);
    return gev_fail_eai(L, UV_EAI_MEMORY);
  }
  gev_list_append(&p->requests, &r->link);
  err = submit(p, job);
  if (err) {
    leave(r);
    request_free(&r->lookup);
    return gev_fail_gai(L, EAI_SYSTEM, err);
  }
  gev_ticket_join(t, &r->lookup);
  return gev_ticket_wait(L, p->hub, g, t);
}

/* pool:getaddrinfo(host|nil, service|nil, family|nil, type|nil, flags|nil) */
static int m_getaddrinfo(lua_State *L) {
  struct addrinfo hints;
  struct pool *p = check(L);
  const char *host = luaL_optstring(L, 2, NULL);
  const char *service = luaL_optstring(L, 3, NULL);
  gev_read_hints(L, 4, &hints);
  if (!p) return gev_fail_eai(L, UV_EAI_CANCELED);
  struct gev_greenlet *g = gev_park_begin(L, p->hub, &info_op);
  struct gev_ticket *t = gev_ticket_new(L);
  struct job *job = new_job(L, host, service);
  job->hints = hints;
  return run(L, p, g, t, job, &info_ops);
}

/* pool:getnameinfo(address, port, flags|nil) */
static int m_getnameinfo(lua_State *L) {
  struct gev_addr a;
  struct pool *p = check(L);
  const char *host = luaL_checkstring(L, 2);
  lua_Integer port = luaL_checkinteger(L, 3);
  int flags = gev_nameinfo_flags(L, 4);
  if (!p) return gev_fail_eai(L, UV_EAI_CANCELED);
  if (!gev_addr_numeric(&a, AF_UNSPEC, host, (uint16_t)port))
    return gev_fail_eai(L, UV_EAI_NONAME);
  struct gev_greenlet *g = gev_park_begin(L, p->hub, &name_op);
  struct gev_ticket *t = gev_ticket_new(L);
  struct job *job = new_job(L, NULL, NULL);
  job->address = a;
  job->flags = flags;
  return run(L, p, g, t, job, &name_ops);
}

/* pool:close(): look-ups under way end with "EAI_CANCELED" */
static int m_close(lua_State *L) {
  struct namepool *np = gev_check(L, 1, &namepool_class);
  struct pool *p = np->pool;
  if (!p) return 0;
  np->pool = NULL;
  while (!gev_list_empty(&p->requests)) {
    struct request *r = gev_container(p->requests.next, struct request, link);
    let_go(r);
    leave(r);
    gev_lookup_answered(p->hub, &r->lookup);
  }
  pthread_mutex_lock(&p->lock);
  p->closed = true;
  pthread_cond_broadcast(&p->work);
  bool last = p->threads == 0;
  pthread_mutex_unlock(&p->lock);
  if (last) free_pool(p);
  return 0;
}

static struct pool *new_pool(struct gev_hub *h, unsigned size) {
  struct pool *p = calloc(1, sizeof *p);
  if (!p) return NULL;
  pthread_mutex_init(&p->lock, NULL);
  pthread_cond_init(&p->work, NULL);
  gev_list_init(&p->queue);
  gev_list_init(&p->answers);
  gev_list_init(&p->requests);
  p->size = size;
  p->hub = h;
  return p;
}

/* namepool(size) -> pool; upvalue 2 is the metatable of pools. */
static int lib_namepool(lua_State *L) {
  lua_Integer size = luaL_checkinteger(L, 1);
  luaL_argcheck(L, size >= 1 && size <= 1024, 1, "1 to 1024 threads");
  struct namepool *np = lua_newuserdatauv(L, sizeof *np, 0);
  *np = (struct namepool){.cls = &namepool_class};
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  np->pool = new_pool(gev_hub(L), (unsigned)size);
  if (!np->pool) return luaL_error(L, "not enough memory");
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
