/* proto/http_hold.c - layer: proto. See http_conn.h. Pipelining: where a client
 * has sent the next request already, an answer is held back for the one that
 * follows it, and both go out by one write. It waits no longer than until the
 * hub polls: a handler that blocks holds up no answer but its own.
 *
 * Owns c->held. Whoever writes to the stream sends that first. */
#include <string.h>

#include "proto/http_conn.h"

/* Bytes held of a connection at most, and what they get room for at first. */
enum { HOLD_MAX = 16384, HOLD_MIN = 4096 };

bool gev_http_hold(lua_State *L, struct gev_http_head *o, int text) {
  struct gev_http_conn *c = o->c;
  size_t head = (size_t)(o->at - o->base);
  size_t len = text ? lua_rawlen(L, text) : 0;
  if (!c->body_done || c->close || c->s->unsent || c->s->out.data ||
      gev_bytes_count(&c->held) + head + len > HOLD_MAX)
    return false;
  size_t least = c->held.data || head + len > HOLD_MIN ? head + len : HOLD_MIN;
  char *room = gev_bytes_room(&c->held, least);
  if (!room) return false;
  memcpy(room, o->base, head);
  if (text) memcpy(room + head, lua_tostring(L, text), len);
  c->held.len += head + len;
  c->text_off = c->text_len = c->tail_len = 0;
  if (gev_list_empty(&c->flusher.link))
    gev_list_append(&c->s->hub->flushers, &c->flusher.link);
  return true;
}

ssize_t gev_http_send_held(struct gev_http_conn *c) {
  while (c->held.data || c->s->unsent) {
    struct iovec iov = {(void *)(uintptr_t)gev_bytes_front(&c->held),
                        gev_bytes_count(&c->held)};
    ssize_t put = c->s->ops->write(c->s, &iov, c->held.data != NULL);
    if (put < 0) return put;
    if (c->held.data) gev_bytes_drop(&c->held, (size_t)put);
  }
  return 0;
}

/* The hub is about to poll. Where the stream takes no more, the loop is to
 * turn when it does; a failure is for whoever writes next. */
static void flush(struct gev_hub *h, struct gev_flusher *f) {
  struct gev_http_conn *c = gev_container(f, struct gev_http_conn, flusher);
  if (!c->held.data || c->s->fd.fd < 0 || c->s->fd.user[GEV_WRITE]) return;
  ssize_t put = gev_http_send_held(c);
  if (!gev_stream_must_wait(put)) return;
  gev_list_append(&h->flushers, &f->link);
  gev_fd_expect(&c->s->fd, put == GEV_WANT_READ ? GEV_READ : GEV_WRITE);
}

void gev_http_hold_init(struct gev_http_conn *c) {
  gev_list_init(&c->flusher.link);
  c->flusher.flush = flush;
}

void gev_http_hold_end(struct gev_http_conn *c) {
  gev_unlink(&c->flusher.link);
  gev_bytes_free(&c->held);
}
