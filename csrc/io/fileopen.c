/* io/fileopen.c - layer: io. Opening a file by its path, in the thread pool,
 * for the disk or the server behind it may take its time. The request is
 * malloc'ed and belongs to libuv; a descriptor that comes when nobody wants
 * it any more is closed. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/park.h"
#include "io/file.h"

struct opening {
  struct gev_request request;
  uv_fs_t req;
  struct gev_file *owner; /* NULL: it is not wanted any more */
  struct gev_greenlet *waiter;
  int result; /* descriptor or -errno */
};

static void open_cb(uv_fs_t *req) {
  struct opening *o = gev_container(req, struct opening, req);
  struct gev_file *f = o->owner;
  int result = (int)req->result;
  uv_fs_req_cleanup(req);
  gev_request_done(&o->request);
  if (f) {
    f->opening = NULL;
    f->s.fd.fd = result; /* its own, whatever becomes of the greenlet */
    gev_wake(f->s.hub, o->waiter, f, GEV_WOKEN);
  } else if (result >= 0) {
    close(result);
  }
  free(o);
}

static void cancel(struct gev_hub *h, struct gev_greenlet *g, void *on) {
  struct gev_file *f = on;
  struct opening *o = f->opening;
  (void)h;
  (void)g;
  if (!o) return;
  f->opening = NULL;
  o->owner = NULL;
  uv_cancel((uv_req_t *)&o->req); /* it is called back */
}

static const struct gev_waitop open_op = {"open", true, cancel, NULL};

/* nil, "path: message", code */
static int fail(lua_State *L, int err) {
  gev_fail(L, err);
  lua_pushfstring(L, "%s: %s", lua_tostring(L, 1), lua_tostring(L, -2));
  lua_replace(L, -3);
  return 3;
}

static int open_k(lua_State *L, int status, lua_KContext ctx) {
  struct gev_file *f = (struct gev_file *)ctx; /* it is at index 3 */
  (void)status;
  gev_unpark(L, f->s.hub);
  int fd = f->s.fd.fd;
  if (fd < 0) {
    f->s.fd.fd = -1;
    return fail(L, -fd);
  }
  int err = gev_file_adopt(L, f, fd, false);
  if (err) {
    close(fd);
    return fail(L, err);
  }
  /* The end of a pipe without a writer is no end: wait for the first one. */
  struct stat st;
  if (fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode)) f->s.fd.drained = true;
  lua_settop(L, 3);
  return 1;
}

/* open(path, mode) -> file | nil, message, code */
static int lib_open(lua_State *L) {
  struct gev_hub *h = gev_hub(L);
  const char *path = luaL_checkstring(L, 1);
  int flags = gev_check_mode(L, 2) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  lua_settop(L, 2);
  struct gev_greenlet *g = gev_park_begin(L, h, &open_op);
  struct gev_file *f = gev_file_new(L);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, 3, 1);
  struct opening *o = calloc(1, sizeof *o);
  if (!o) return luaL_error(L, "not enough memory");
  int err = uv_fs_open(h->loop, &o->req, path, flags, 0666, open_cb);
  if (err) {
    free(o);
    return fail(L, -err);
  }
  f->opening = o;
  o->owner = f;
  o->waiter = g;
  gev_request_add(h, &o->request, (uv_req_t *)&o->req);
  return gev_park(L, h, g, &open_op, f, GEV_NEVER, (lua_KContext)f, open_k);
}

/* file_isfifo(path) -> boolean */
static int lib_isfifo(lua_State *L) {
  struct stat st;
  bool fifo = stat(luaL_checkstring(L, 1), &st) == 0 && S_ISFIFO(st.st_mode);
  lua_pushboolean(L, fifo);
  return 1;
}

static const luaL_Reg functions[] = {
    {"open", lib_open}, {"file_isfifo", lib_isfifo}, {NULL, NULL}};

void gev_open_fileopen(lua_State *L, int hub, int cls) {
  cls = lua_absindex(L, cls);
  lua_pushvalue(L, hub);
  lua_pushvalue(L, cls);
  luaL_setfuncs(L, functions, 2);
}
