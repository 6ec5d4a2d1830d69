/* net/tls_stream.c - layer: net. See tls.h. The transport: reading, writing,
 * the handshake and the end of a TLS stream, each as one try.
 *
 * A handshake may be carried on by whoever reads or writes first, and by both
 * at once: each waits in its role for what OpenSSL wants, and whoever brings
 * it to its end, good or bad, wakes the other. */
#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "io/reader.h"
#include "net/tls.h"

/* --- operations ---------------------------------------------------------- */

static void begin(struct gev_tls *t) {
  ERR_clear_error();
  t->bio_err = 0;
  t->dry = false;
  t->taken = 0;
}

/* The handshake is over, or all is: who waits for its end tries again. */
static void wake_all(struct gev_tls *t) {
  gev_fd_wake(t->s.hub, &t->s.fd, GEV_READ, GEV_WOKEN);
  gev_fd_wake(t->s.hub, &t->s.fd, GEV_WRITE, GEV_WOKEN);
}

/* Keeps what was read ahead, which is in shared memory. */
static bool keep_rest(struct gev_tls *t) {
  size_t n = t->left;
  t->left = 0;
  return n == 0 || gev_bytes_add(&t->raw, t->at, n);
}

/* An operation is over. Its result is that of the stream. */
static ssize_t end(struct gev_tls *t, ssize_t result) {
  if (!keep_rest(t)) { /* there is a hole in what was read */
    t->failed = true;
    result = -ENOMEM;
  }
  if (!t->established && SSL_is_init_finished(t->ssl)) {
    t->established = true;
    wake_all(t);
  }
  if (result == GEV_TLS_FAILED && !t->failed) {
    gev_tls_note(t);
    wake_all(t);
  }
  ERR_clear_error();
  return result;
}

/* What a call that returned r <= 0 means. 0: the peer has ended the stream. */
static ssize_t outcome(struct gev_tls *t, int r) {
  switch (SSL_get_error(t->ssl, r)) {
    case SSL_ERROR_ZERO_RETURN: return 0;
    case SSL_ERROR_WANT_READ: return t->bio_err ? t->bio_err : GEV_WANT_READ;
    case SSL_ERROR_WANT_WRITE: return GEV_WANT_WRITE;
    case SSL_ERROR_WANT_CLIENT_HELLO_CB: return GEV_TLS_SERVERNAME;
    case SSL_ERROR_SYSCALL:
      return t->bio_err && !ERR_peek_error() ? t->bio_err : GEV_TLS_FAILED;
    default: return GEV_TLS_FAILED;
  }
}

/* What has to be sent goes before a wait for an answer to it. */
static ssize_t flush_first(struct gev_tls *t, ssize_t result) {
  if (result != GEV_WANT_READ || !t->s.unsent) return result;
  ssize_t put = gev_tls_flush(t);
  return put < 0 ? put : result;
}

/* Sends what a step of the handshake has made, in one piece: an alert too. A
 * client that wants no tickets may have closed by now, and what it has sent
 * can still be read. */
static ssize_t flush_flight(struct gev_tls *t, ssize_t result) {
  ssize_t put = t->s.unsent ? gev_tls_flush(t) : 0;
  if (put == 0) return result;
  if (result == 0)
    return t->server && !gev_stream_must_wait(put) ? 0 : put;
  return result == GEV_WANT_READ ? put : result;
}

ssize_t gev_tls_handshake(struct gev_tls *t) {
  if (t->s.fd.fd < 0) return -EBADF;
  if (t->failed) return GEV_TLS_FAILED;
  begin(t);
  t->holding = true;
  int r = SSL_do_handshake(t->ssl);
  t->holding = false;
  ssize_t result = r == 1 ? 0 : outcome(t, r);
  if (r != 1 && result == 0) result = GEV_TLS_FAILED;
  return end(t, flush_flight(t, result));
}

/* --- read ---------------------------------------------------------------- */

/* Reads until buf is full, or what was read from below is used up. */
static ssize_t read_all(struct gev_tls *t, char *buf, size_t n) {
  size_t total = 0, got;
  while (total < n) {
    int r = SSL_read_ex(t->ssl, buf + total, n - total, &got);
    if (r != 1) {
      ssize_t result = outcome(t, r);
      if (total == 0) return result;
      if (result == GEV_TLS_FAILED) gev_tls_note(t); /* for the next one */
      if (!gev_stream_must_wait(result)) t->dry = false;
      break;
    }
    total += got;
    if (!gev_tls_has_raw(t)) break;
  }
  return (ssize_t)total;
}

static ssize_t tls_read(struct gev_stream *s, void *buf, size_t n) {
  struct gev_tls *t = gev_tls_of(s);
  if (s->fd.fd < 0) return -EBADF;
  if (t->failed) return GEV_TLS_FAILED;
  if (t->reads_ended) return 0;
  begin(t);
  ssize_t got = read_all(t, buf, n);
  if (!t->established)
    got = flush_first(t, got);
  else if (s->unsent)
    gev_tls_flush(t); /* of a write that was given up */
  got = end(t, got);
  if (got > 0 && t->dry && !t->raw.data && !SSL_pending(t->ssl))
    gev_fd_drained(&s->fd);
  return got;
}

static size_t tls_pending(const struct gev_stream *s) {
  const struct gev_tls *t = gev_container(s, const struct gev_tls, s);
  if (!t->ssl) return 0;
  return (size_t)SSL_pending(t->ssl) + (t->raw.len - t->raw.off);
}

/* --- write --------------------------------------------------------------- */

enum { WRITE_MOST = 16 * GEV_TLS_RECORD }; /* bytes of one operation */

/* The next bytes to make a record of, from `skip` on: a large piece as it is,
 * small ones put together. */
static size_t gather(struct gev_tls *t, const struct iovec *iov, int n,
                     size_t skip, const char **data) {
  size_t len = 0;
  while (n > 0 && skip >= iov->iov_len) {
    skip -= iov->iov_len;
    iov++, n--;
  }
  if (n == 0) return 0;
  *data = (const char *)iov->iov_base + skip;
  size_t first = iov->iov_len - skip;
  if (n == 1 || first >= GEV_TLS_RECORD)
    return first < GEV_TLS_RECORD ? first : GEV_TLS_RECORD;
  if (!t->shared->out) t->shared->out = malloc(GEV_TLS_RECORD);
  if (!t->shared->out) return first;
  for (; n > 0 && len < GEV_TLS_RECORD; iov++, n--, skip = 0) {
    size_t k = iov->iov_len - skip;
    if (k > GEV_TLS_RECORD - len) k = GEV_TLS_RECORD - len;
    memcpy(t->shared->out + len, (const char *)iov->iov_base + skip, k);
    len += k;
  }
  *data = t->shared->out;
  return len;
}

/* Not all at once: a peer may take it as fast as it is encrypted. */
static ssize_t write_some(struct gev_tls *t, const struct iovec *iov,
                          int n) {
  size_t total = 0, put, len;
  const char *data;
  while (total < WRITE_MOST && (len = gather(t, iov, n, total, &data)) > 0) {
    int r = SSL_write_ex(t->ssl, data, len, &put);
    if (r != 1) {
      ssize_t result = outcome(t, r);
      if (result == 0) result = -EPIPE;
      return total ? (ssize_t)total : result;
    }
    total += put;
    if (t->s.unsent) break;
  }
  return (ssize_t)total;
}

static ssize_t tls_write(struct gev_stream *s, const struct iovec *iov,
                         int n) {
  struct gev_tls *t = gev_tls_of(s);
  if (s->fd.fd < 0) return -EBADF;
  if (t->failed) return GEV_TLS_FAILED;
  if (t->s.unsent) {
    ssize_t put = gev_tls_flush(t);
    if (put < 0) return put;
  }
  if (n == 0) return 0;
  if (t->writes_ended) return -EPIPE;
  begin(t);
  return end(t, flush_first(t, write_some(t, iov, n)));
}

/* --- the end ------------------------------------------------------------- */

/* Says that nothing more will come. */
static void close_notify(struct gev_tls *t) {
  if (!t->established || t->failed || t->writes_ended) return;
  begin(t);
  SSL_shutdown(t->ssl);
  t->writes_ended = true;
  ERR_clear_error();
}

static int below_shutdown(struct gev_tls *t, int how) {
  if (t->lower) {
    struct gev_stream *lower = gev_tls_lend(t);
    return (int)gev_tls_lent(t, lower->ops->shutdown(lower, how));
  }
  return shutdown(t->s.fd.fd, how) == 0 ? 0 : -errno;
}

static void end_reading(struct gev_tls *t) {
  t->reads_ended = true;
  t->s.fd.drained = false;
  gev_fd_wake(t->s.hub, &t->s.fd, GEV_READ, GEV_WOKEN);
}

static int tls_shutdown(struct gev_stream *s, int how) {
  struct gev_tls *t = gev_tls_of(s);
  if (s->fd.fd < 0) return -EBADF;
  if (how != SHUT_WR) end_reading(t);
  if (how == SHUT_RD) return 0;
  close_notify(t);
  ssize_t put = gev_tls_flush(t);
  return put < 0 ? (int)put : below_shutdown(t, how);
}

ssize_t gev_tls_unwrap(struct gev_tls *t) {
  char buf[1024];
  size_t got;
  if (t->failed) return GEV_TLS_FAILED;
  close_notify(t);
  ssize_t put = gev_tls_flush(t);
  if (put < 0) return put;
  begin(t);
  int r = SSL_read_ex(t->ssl, buf, sizeof buf, &got);
  if (r != 1) return end(t, outcome(t, r));
  if (!gev_bytes_add(&t->s.in, buf, got)) return end(t, -ENOMEM);
  return end(t, (ssize_t)got);
}

void gev_tls_set_lent(struct gev_stream *lower, bool lent) {
  if (lower->ops == &gev_tls_transport) gev_tls_of(lower)->lent = lent;
}

static void forget(struct gev_tls *t) {
  free(t->raw.data);
  free(t->tail.data);
  free(t->why);
  free(t->host);
  free(t->sni);
  t->raw = t->tail = (struct gev_bytes){0};
  t->why = t->host = t->sni = NULL;
  t->left = 0;
}

static void tls_close(struct gev_hub *h, struct gev_stream *s) {
  struct gev_tls *t = gev_tls_of(s);
  SSL *ssl = t->ssl;
  struct gev_stream *lower = t->lower;
  if (t->lent) return;
  if (ssl && s->fd.fd >= 0 && gev_tls_flush(t) == 0) close_notify(t);
  t->lower = NULL;
  if (lower) {
    lower->fd.fd = s->fd.fd < 0 ? -1 : gev_fd_release(h, &s->fd);
    gev_tls_set_lent(lower, false);
    gev_stream_close(h, lower);
  }
  gev_fd_close(h, &s->fd);
  t->ssl = NULL;
  SSL_free(ssl);
  BIO_free(t->kernel);
  t->kernel = NULL;
  ERR_clear_error();
  forget(t);
}

static int tls_fail(lua_State *L, struct gev_stream *s, ssize_t err) {
  struct gev_tls *t = gev_tls_of(s);
  switch (err) {
    case GEV_TLS_FAILED:
      return gev_failmsg(L, t->why ? t->why : "the connection has failed",
                         "ESSL");
    case GEV_TLS_LOWER: return gev_stream_fail(L, t->lower, t->lower_err);
    case GEV_TLS_SERVERNAME:
      return gev_failmsg(L, t->choice == GEV_CHOICE_TOLD
                                ? "the servername callback has not answered"
                                : "the handshake needs do_handshake, for "
                                  "the servername callback", "ESSL");
    default: return gev_fail(L, (int)-err);
  }
}

const struct gev_transport gev_tls_transport = {
    tls_read, tls_write, tls_shutdown, tls_close, tls_fail, tls_pending};
