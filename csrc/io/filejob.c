/* io/filejob.c - layer: io. See filejob.h. A job is malloc'ed; it belongs to
 * its file, or, when that is closed while a request is under way, to the
 * request, which then closes the descriptor. */
#include "io/filejob.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/reader.h"

enum { READ_SIZE = GEV_SCRATCH, WRITE_SIZE = 1 << 20 };
enum doing { NOTHING, READING, WRITING };

struct gev_filejob {
  struct gev_request request;
  uv_fs_t req;
  struct gev_hub *hub;
  struct gev_file *owner; /* NULL: closed */
  int fd;
  enum doing doing;
  struct gev_bytes in;  /* input under way, or that waits */
  struct gev_bytes out; /* output under way */
  struct gev_bytes rest; /* to be written by a job without an owner */
  bool eof;      /* the end was found, and somebody is to hear of it */
  int failed[2]; /* -errno to be reported, by direction */
};

static struct gev_filejob *job_of(struct gev_stream *s) {
  return gev_stream_file(s)->job;
}

static size_t left(const struct gev_bytes *b) { return b->len - b->off; }

static void drop(struct gev_bytes *b) { gev_bytes_drop(b, left(b)); }

static bool reserve(struct gev_bytes *b, size_t n) {
  b->data = malloc(n);
  if (b->data) b->len = b->cap = n;
  return b->data != NULL;
}

/* --- the end ------------------------------------------------------------- */

/* What is left when nobody can wait any more. */
static void write_now(int fd, const struct gev_bytes *b) {
  size_t off = b->off;
  while (off < b->len) {
    ssize_t put = write(fd, b->data + off, b->len - off);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) break;
    off += (size_t)put;
  }
}

static void dispose(struct gev_filejob *j) {
  write_now(j->fd, &j->rest);
  close(j->fd);
  drop(&j->rest);
  drop(&j->in);
  drop(&j->out);
  free(j);
}

/* --- requests ------------------------------------------------------------ */

/* May end at once, and j with it. */
static void submit(struct gev_filejob *j, enum doing doing);

static void read_done(struct gev_filejob *j, ssize_t result) {
  j->in.len = result > 0 ? (size_t)result : 0;
  gev_bytes_trim(&j->in);
  if (result < 0 && result != UV_ECANCELED)
    j->failed[GEV_READ] = (int)result;
  /* An end that nobody waits for may not be the end for the next one. */
  j->eof = result == 0 && j->owner && j->owner->s.fd.user[GEV_READ];
}

static void write_done(struct gev_filejob *j, ssize_t result) {
  if (result > 0) gev_bytes_drop(&j->out, (size_t)result);
  if (result <= 0) {
    j->failed[GEV_WRITE] = result < 0 ? (int)result : -EIO;
    drop(&j->out);
  }
}

static void finished(struct gev_filejob *j, ssize_t result) {
  enum doing done = j->doing;
  j->doing = NOTHING;
  if (done == READING)
    read_done(j, result);
  else
    write_done(j, result);
  if (left(&j->out)) {
    submit(j, WRITING);
    return;
  }
  if (!j->owner) {
    dispose(j);
    return;
  }
  gev_fd_wake(j->hub, &j->owner->s.fd, GEV_READ, GEV_WOKEN);
  gev_fd_wake(j->hub, &j->owner->s.fd, GEV_WRITE, GEV_WOKEN);
}

static void request_cb(uv_fs_t *req) {
  struct gev_filejob *j = gev_container(req, struct gev_filejob, req);
  ssize_t result = req->result;
  uv_fs_req_cleanup(req);
  gev_request_done(&j->request);
  if (result == UV_ECANCELED && j->doing == WRITING) {
    result = (ssize_t)left(&j->out);
    if (j->hub->forking) /* the parent does it */
      drop(&j->rest);
    else /* lua_close */
      write_now(j->fd, &j->out);
  }
  finished(j, result);
}

static int call(struct gev_filejob *j, uv_loop_t *loop, uv_fs_cb cb) {
  struct gev_bytes *b = j->doing == READING ? &j->in : &j->out;
  uv_buf_t buf = uv_buf_init(b->data + b->off, (unsigned)left(b));
  return j->doing == READING
             ? uv_fs_read(loop, &j->req, j->fd, &buf, 1, -1, cb)
             : uv_fs_write(loop, &j->req, j->fd, &buf, 1, -1, cb);
}

static void submit(struct gev_filejob *j, enum doing doing) {
  uv_loop_t *loop = j->hub->closing ? NULL : j->hub->loop;
  j->doing = doing;
  if (loop && call(j, loop, request_cb) == 0) {
    gev_request_add(j->hub, &j->request, (uv_req_t *)&j->req);
    return;
  }
  int result = call(j, loop, NULL);
  uv_fs_req_cleanup(&j->req);
  finished(j, result);
}

/* --- the transport ------------------------------------------------------- */

static int take_failure(struct gev_filejob *j, enum gev_dir dir) {
  int failed = j->failed[dir];
  j->failed[dir] = 0;
  return failed;
}

static ssize_t take_input(struct gev_filejob *j, void *buf, size_t n) {
  if (n > left(&j->in)) n = left(&j->in);
  memcpy(buf, j->in.data + j->in.off, n);
  gev_bytes_drop(&j->in, n);
  return (ssize_t)n;
}

/* What a request that is over has to say; GEV_WANT_READ: nothing. */
static ssize_t outcome(struct gev_filejob *j, void *buf, size_t n) {
  if (j->doing != NOTHING) return GEV_WANT_READ;
  if (j->in.data) return take_input(j, buf, n);
  if (j->failed[GEV_READ]) return take_failure(j, GEV_READ);
  if (!j->eof) return GEV_WANT_READ;
  j->eof = false;
  return 0;
}

static ssize_t job_read(struct gev_stream *s, void *buf, size_t n) {
  struct gev_filejob *j = job_of(s);
  ssize_t got = outcome(j, buf, n);
  if (got != GEV_WANT_READ || j->doing != NOTHING) return got;
  if (!reserve(&j->in, READ_SIZE)) return -ENOMEM;
  submit(j, READING);
  if (j->doing != NOTHING) return GEV_WANT_READ;
  got = outcome(j, buf, n); /* it was done at once */
  return got == GEV_WANT_READ ? 0 : got;
}

/* Output goes where the reader is, not where reading ahead has come to. */
static void rewind_input(struct gev_file *f) {
  size_t ahead = gev_filejob_ahead(f);
  if (ahead && lseek(f->job->fd, -(off_t)ahead, SEEK_CUR) >= 0)
    gev_filejob_forget(f);
}

/* Is what was taken out? */
static ssize_t settle(struct gev_stream *s, struct gev_filejob *j) {
  if (j->doing == WRITING) return GEV_WANT_WRITE;
  s->unsent = false;
  return take_failure(j, GEV_WRITE);
}

static ssize_t job_write(struct gev_stream *s, const struct iovec *iov,
                         int n) {
  struct gev_file *f = gev_stream_file(s);
  struct gev_filejob *j = f->job;
  size_t total = 0;
  if (n == 0) return settle(s, j);
  if (j->doing != NOTHING) return GEV_WANT_WRITE;
  if (j->failed[GEV_WRITE]) return take_failure(j, GEV_WRITE);
  rewind_input(f);
  for (int i = 0; i < n; i++) total += iov[i].iov_len;
  if (total > WRITE_SIZE) total = WRITE_SIZE;
  if (total == 0) return 0;
  if (!reserve(&j->out, total)) return -ENOMEM;
  for (size_t at = 0, len; at < total; at += len, iov++) {
    len = iov->iov_len < total - at ? iov->iov_len : total - at;
    memcpy(j->out.data + at, iov->iov_base, len);
  }
  submit(j, WRITING);
  s->unsent = true;
  return (ssize_t)total;
}

static int job_shutdown(struct gev_stream *s, int how) {
  (void)s;
  (void)how;
  return -ENOTSOCK;
}

static void job_close(struct gev_hub *h, struct gev_stream *s) {
  struct gev_file *f = gev_stream_file(s);
  struct gev_filejob *j = f->job;
  if (!j) return;
  gev_fd_release(h, &s->fd);
  if (j->doing == NOTHING) rewind_input(f);
  f->job = NULL;
  j->owner = NULL;
  if (!gev_file_inherited(f)) {
    j->rest = s->out;
    s->out = (struct gev_bytes){0};
  }
  if (j->doing == NOTHING) dispose(j);
}

static const struct gev_transport job_transport = {.read = job_read,
                                                   .write = job_write,
                                                   .shutdown = job_shutdown,
                                                   .close = job_close};

/* --- for file.c ---------------------------------------------------------- */

bool gev_filejob_init(struct gev_file *f) {
  struct gev_filejob *j = calloc(1, sizeof *j);
  if (!j) return false;
  j->hub = f->s.hub;
  j->owner = f;
  j->fd = f->s.fd.fd;
  f->job = j;
  f->s.fd.by_request = true;
  f->s.ops = &job_transport;
  return true;
}

bool gev_filejob_busy(const struct gev_file *f) {
  return f->job->doing != NOTHING;
}

size_t gev_filejob_ahead(const struct gev_file *f) {
  const struct gev_filejob *j = f->job;
  return gev_stream_buffered(&f->s) +
         (j->doing == READING ? 0 : left(&j->in));
}

void gev_filejob_forget(struct gev_file *f) {
  gev_bytes_drop(&f->s.in, gev_stream_buffered(&f->s));
  drop(&f->job->in);
  f->job->eof = false;
}
