/* io/transport.h - layer: io. What a byte stream is, to whoever reads and
 * writes it: a few functions. A socket, a pipe, TLS and a test double each
 * implement them; buffering, HTTP and WebSocket see nothing else.
 *
 * Each tries once and never blocks. A caller that is told to wait parks on
 * `fd` in that direction, under its own deadline, and tries again. */
#ifndef GEV_IO_TRANSPORT_H
#define GEV_IO_TRANSPORT_H

#include <sys/types.h>
#include <sys/uio.h>

#include "io/fdwait.h"

struct gev_stream;

/* Results of read and write besides a count of bytes (0 from read: the end of
 * the stream). Other negative values are -errno, or the transport's own,
 * which its `fail` understands. */
enum { GEV_WANT_READ = -100001, GEV_WANT_WRITE = -100002 };

struct gev_transport {
  /* Calls gev_fd_drained where it has seen that nothing is left to read
   * before the descriptor's next event. */
  ssize_t (*read)(struct gev_stream *s, void *buf, size_t n);
  /* Bytes that are taken will go out, whatever the caller does next. Sets
   * s->unsent where they are not all out yet; write with n = 0 goes on with
   * these, and returns 0 when it is done. */
  ssize_t (*write)(struct gev_stream *s, const struct iovec *iov, int n);
  /* 0, GEV_WANT_*, or a failure; how is SHUT_RD, SHUT_WR, SHUT_RDWR. */
  int (*shutdown)(struct gev_stream *s, int how);
  /* Gives everything up, without blocking, and what is left in s->out too if
   * there is a way. Idempotent. */
  void (*close)(struct gev_hub *h, struct gev_stream *s);
  /* Pushes nil, message, code for a negative result; NULL: it is -errno. */
  int (*fail)(lua_State *L, struct gev_stream *s, ssize_t err);
  /* Bytes that may be read without an event of the descriptor; NULL: none. */
  size_t (*pending)(const struct gev_stream *s);
};

#endif
