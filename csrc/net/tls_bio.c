/* net/tls_bio.c - layer: net. See tls.h. How OpenSSL gets at the descriptor,
 * or at the stream below.
 *
 * Reading a descriptor goes ahead: as much as there is, into memory that all
 * streams share; what is left at the end of an operation is kept in `raw`.
 * A stream below has gone ahead itself. Writing
 * takes all, and keeps in `tail` what the socket did not take. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "io/reader.h"
#include "net/tls.h"

#ifndef MSG_NOSIGNAL /* macOS: SO_NOSIGPIPE is set on the socket */
#define MSG_NOSIGNAL 0
#endif

/* --- below --------------------------------------------------------------- */

static ssize_t result(ssize_t n, int want) {
  if (n >= 0) return n;
  return errno == EAGAIN || errno == EWOULDBLOCK ? want : -errno;
}

/* What a peer may make OpenSSL read and answer, before others have their turn
 * and we give up: new keys, tickets, requests to renegotiate. */
enum { TAKE_MOST = GEV_TLS_IN, TAIL_MOST = 1 << 18 };
enum { HELD_MOST = 1 << 14 }; /* bytes of a handshake to be sent together */

static ssize_t fd_read(struct gev_tls *t, char *buf, size_t n) {
  ssize_t got;
  if (t->dry || t->taken >= TAKE_MOST) return GEV_WANT_READ;
  do {
    got = recv(t->s.fd.fd, buf, n, 0);
  } while (got < 0 && errno == EINTR);
  t->dry = got > 0 && (size_t)got < n;
  if (got > 0) t->taken += (size_t)got;
  return result(got, GEV_WANT_READ);
}

static ssize_t fd_write(struct gev_tls *t, const char *buf, size_t n) {
  ssize_t put;
  do {
    put = send(t->s.fd.fd, buf, n, MSG_NOSIGNAL);
  } while (put < 0 && errno == EINTR);
  return result(put, GEV_WANT_WRITE);
}

static ssize_t lower_failed(struct gev_tls *t, ssize_t err) {
  if (err >= 0 || gev_stream_must_wait(err)) return err;
  t->lower_err = err;
  return GEV_TLS_LOWER;
}

static ssize_t lower_read(struct gev_tls *t, char *buf, size_t n) {
  struct gev_stream *lower = gev_tls_lend(t);
  ssize_t got = lower->ops->read(lower, buf, n);
  return lower_failed(t, gev_tls_lent(t, got));
}

static ssize_t below_write(struct gev_tls *t, const char *buf, size_t n) {
  struct iovec iov = {(void *)(uintptr_t)buf, n};
  if (!t->lower) return fd_write(t, buf, n);
  struct gev_stream *lower = gev_tls_lend(t);
  ssize_t put = lower->ops->write(lower, &iov, n > 0);
  return lower_failed(t, gev_tls_lent(t, put));
}

/* --- writing ------------------------------------------------------------- */

static void set_unsent(struct gev_tls *t) {
  t->s.unsent = t->tail.data || (t->lower && t->lower->unsent);
}

ssize_t gev_tls_flush(struct gev_tls *t) {
  ssize_t put = 0;
  while (t->tail.data && put >= 0) {
    put = below_write(t, t->tail.data + t->tail.off,
                      t->tail.len - t->tail.off);
    if (put > 0) gev_bytes_drop(&t->tail, (size_t)put);
  }
  if (put >= 0 && t->lower && t->lower->unsent) put = below_write(t, NULL, 0);
  set_unsent(t);
  return put < 0 ? put : 0;
}

/* A record that the kernel encrypts is sent whole, or has to wait. */
static int write_control(struct gev_tls *t, BIO *b, const char *buf,
                         int len) {
  ssize_t put = gev_tls_flush(t);
  if (put == 0) put = gev_tls_kernel_send(t, buf, (size_t)len);
  if (gev_stream_must_wait(put)) BIO_set_retry_write(b);
  if (put < 0) t->bio_err = put;
  return put < 0 ? -1 : len;
}

static int bio_write(BIO *b, const char *buf, int len) {
  struct gev_tls *t = BIO_get_data(b);
  BIO_clear_retry_flags(b);
  if (t->control) return write_control(t, b, buf, len);
  bool later = t->holding && t->tail.len + (size_t)len <= HELD_MOST;
  ssize_t put =
      t->tail.data || later ? 0 : below_write(t, buf, (size_t)len);
  if (put < 0 && !gev_stream_must_wait(put)) {
    t->bio_err = put;
    return -1;
  }
  if (put < 0) put = 0;
  if (t->tail.len - t->tail.off > TAIL_MOST) {
    t->bio_err = -ENOBUFS;
    return -1;
  }
  if (put < len && !gev_bytes_add(&t->tail, buf + put, (size_t)(len - put))) {
    t->bio_err = -ENOMEM;
    return -1;
  }
  set_unsent(t);
  return len;
}

/* --- reading ------------------------------------------------------------- */

/* One read of the descriptor, into the shared memory. */
static ssize_t refill(struct gev_tls *t) {
  struct gev_tls_shared *shared = t->shared;
  if (!shared->in) shared->in = malloc(GEV_TLS_IN);
  if (!shared->in) return -ENOMEM;
  ssize_t got = fd_read(t, shared->in, GEV_TLS_IN);
  if (got > 0) {
    t->at = shared->in;
    t->left = (size_t)got;
  }
  return got;
}

static int take(char *buf, size_t n, const char *from, size_t have) {
  if (n > have) n = have;
  memcpy(buf, from, n);
  return (int)n;
}

/* As the BIO has to tell it. */
static int read_result(struct gev_tls *t, BIO *b, ssize_t got) {
  if (got > 0) return (int)got;
  if (got == 0) {
    t->raw_eof = true;
    return 0;
  }
  if (gev_stream_must_wait(got)) BIO_set_retry_read(b);
  t->bio_err = got;
  return -1;
}

static int bio_read(BIO *b, char *buf, int len) {
  struct gev_tls *t = BIO_get_data(b);
  BIO_clear_retry_flags(b);
  if (t->raw.data) {
    int n = take(buf, (size_t)len, t->raw.data + t->raw.off,
                 t->raw.len - t->raw.off);
    gev_bytes_drop(&t->raw, (size_t)n);
    return n;
  }
  if (t->lower) /* which uses the shared memory itself */
    return read_result(t, b, lower_read(t, buf, (size_t)len));
  if (t->left == 0) {
    ssize_t got = refill(t);
    if (got <= 0) return read_result(t, b, got);
  }
  int n = take(buf, (size_t)len, t->at, t->left);
  t->at += n;
  t->left -= (size_t)n;
  return n;
}

/* --- the method ---------------------------------------------------------- */

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr) {
  struct gev_tls *t = BIO_get_data(b);
  switch (cmd) {
    case BIO_CTRL_FLUSH: return 1;
    case BIO_CTRL_EOF: return t->raw_eof;
    default: return t->kernel ? gev_tls_kernel_ctrl(t, cmd, num, ptr) : 0;
  }
}

static int bio_create(BIO *b) {
  BIO_set_init(b, 1);
  return 1;
}

BIO_METHOD *gev_tls_bio_method(void) {
  BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "gevent stream");
  if (!m) return NULL;
  BIO_meth_set_write(m, bio_write);
  BIO_meth_set_read(m, bio_read);
  BIO_meth_set_ctrl(m, bio_ctrl);
  BIO_meth_set_create(m, bio_create);
  return m;
}
