/* io/stream.h - layer: io. A buffered byte stream over a transport: what
 * sockets, TLS sockets, pipes and files have in common.
 *
 * A userdata that is a stream begins with a gev_stream_object. Input that was
 * read but not asked for stays in `in`, in the order it came; a read that
 * fails leaves there what it had gathered. An idle stream holds no buffer.
 * Output is not buffered unless setvbuf asks for it. */
#ifndef GEV_IO_STREAM_H
#define GEV_IO_STREAM_H

#include "base/buf.h"
#include "io/transport.h"

/* How far a read by format has looked through the input: a read that has to
 * wait often must not begin anew each time. */
struct gev_scan {
  int items;    /* formats that are satisfied */
  size_t total; /* bytes that these use */
  size_t seen;  /* bytes after those without a delimiter */
};

struct gev_stream {
  const struct gev_transport *ops;
  struct gev_hub *hub;  /* cheaper to get at than a function's upvalue */
  struct gev_fd fd;
  double timeout;       /* of each call, seconds; -1: none */
  uint32_t asked;       /* bytes that the recv which waits has asked for */
  struct gev_bytes in, out;
  struct gev_scan scan; /* of the read that is under way */
  size_t vbuf;          /* collect so many bytes in out; 0: write at once */
  bool vbuf_line;       /* and flush at each newline */
  bool unsent; /* the transport has taken more than is out: write again, with
                * nothing if there is nothing, before a call is done */
  bool messages; /* what send gets is one, even if empty: a datagram */
};

struct gev_stream_object {
  const struct gev_class *cls;
  struct gev_stream s;
};

void gev_stream_init(struct gev_stream *s, struct gev_hub *h,
                     const struct gev_transport *ops, int fd);
/* Frees the buffers and closes the transport. Idempotent. */
void gev_stream_close(struct gev_hub *h, struct gev_stream *s);
/* The stream at 1 has lost its descriptor: frees the buffers, and gives it
 * the class of the closed (__closed of its own). */
void gev_stream_closed(lua_State *L, struct gev_hub *h,
                       struct gev_stream *s);
/* What kinds of stream there are: their classes stand side by side, so that
 * one comparison tells whether a userdata is any of them. */
enum gev_stream_kind {
  GEV_STREAM_SOCKET,
  GEV_STREAM_TLS,
  GEV_STREAM_FILE,
  GEV_STREAM_KINDS
};
extern const struct gev_class gev_stream_classes[GEV_STREAM_KINDS];

void gev_stream_typeerror(lua_State *L, int idx);
/* The stream at idx; raises for anything else. */
static inline struct gev_stream *gev_checkstream(lua_State *L, int idx) {
  struct gev_stream_object *o = lua_touserdata(L, idx);
  if (!o || lua_rawlen(L, idx) < sizeof *o ||
      (size_t)(o->cls - gev_stream_classes) >= GEV_STREAM_KINDS)
    gev_stream_typeerror(L, idx);
  return &o->s;
}
/* Deadline of a call: its own time-out at idx, else the stream's. With
 * *once set to true: try once, do not wait. */
static inline int64_t gev_stream_deadline(lua_State *L,
                                          const struct gev_stream *s,
                                          int idx, bool *once) {
  double timeout = lua_gettop(L) < idx || lua_isnil(L, idx)
                       ? s->timeout
                       : gev_checkseconds(L, idx);
  *once = timeout == 0;
  return timeout <= 0 ? GEV_NEVER : gev_deadline(timeout);
}

/* --- for C readers: HTTP and the like ------------------------------------ */

/* Memory of the hub's for one read, of GEV_SCRATCH bytes, or NULL: valid until
 * anything else reads. */
enum { GEV_SCRATCH = 65536 };
char *gev_scratch(struct gev_hub *h);
/* Input without copying: bytes that wait in the buffer, else those of one
 * read, in the hub's scratch memory: valid until anything else reads.
 * As transport read. Then say how much of it was used; the rest is kept. */
ssize_t gev_stream_input(struct gev_hub *h, struct gev_stream *s,
                         const char **data);
/* Returns false out of memory (the rest is lost: close the stream). */
bool gev_stream_used(struct gev_stream *s, const char *data, size_t len,
                     size_t used);
static inline size_t gev_stream_buffered(const struct gev_stream *s) {
  return s->in.len - s->in.off;
}
/* Parks, as reader or writer, until `want` (GEV_WANT_*) is there; k begins
 * with gev_fd_resume(L, h, &s->fd, role). */
int gev_stream_wait(lua_State *L, struct gev_hub *h, struct gev_stream *s,
                    enum gev_dir role, ssize_t want,
                    const struct gev_waitop *op, int64_t deadline,
                    lua_KContext ctx, lua_KFunction k);
static inline bool gev_stream_must_wait(ssize_t result) {
  return result == GEV_WANT_READ || result == GEV_WANT_WRITE;
}
/* nil, message, code for a negative result of a transport function. */
int gev_stream_fail(lua_State *L, struct gev_stream *s, ssize_t err);
/* The same for the verdict of a wait that did not end well. */
int gev_stream_verdict(lua_State *L, enum gev_verdict v);
int gev_failclosed(lua_State *L); /* nil, "closed", "closed" */

/* Adds the methods to the class on the top. */
void gev_stream_methods(lua_State *L, int hub);

#endif
