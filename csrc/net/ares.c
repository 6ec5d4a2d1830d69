/* net/ares.c - layer: net. See ares.h. Owns the handles of a channel and the
 * queries; the Lua side is ares_lua.c. */
#include "net/ares.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/addr.h"

/* A socket holds some 250 small datagrams, and servers bound what they take
 * at a time (dnsmasq: 150 queries); what is more is lost, and asked again only
 * after a time-out. A look-up is up to two queries. So WINDOW of them are
 * given to c-ares at once, the others as answers come; but those for whom no
 * answer comes shall not keep all waiting: PACE more each millisecond. */
enum { WINDOW = 64, PACE = 2, RECEIVE = 1 << 20 };

struct sock {
  struct gev_link link; /* in the channel's sockets */
  struct gev_ares *ares;
  uv_poll_t *poll;
  ares_socket_t fd;
};

/* --- the timer ----------------------------------------------------------- */

static void hand_over(struct gev_ares *a, unsigned limit);
static void timer_cb(uv_timer_t *timer);

/* Rings in that many milliseconds, if not sooner. */
static void ring(struct gev_ares *a, uint64_t ms) {
  uint64_t due = uv_now(a->timer->loop) + ms;
  if (uv_is_active((uv_handle_t *)a->timer) && a->due <= due) return;
  a->due = due;
  uv_timer_start(a->timer, timer_cb, ms, 0);
}

/* After c-ares was called: what may have to be done now, and when next. */
static void settle(struct gev_ares *a) {
  hand_over(a, WINDOW);
  if (a->deaf) ares_cancel(a->channel); /* no answer would ever be read */
  a->deaf = false;
  if (!gev_list_empty(&a->waiting))
    ring(a, 1);
  else if (a->under_way)
    ring(a, (uint64_t)a->timeout);
  else
    gev_handle_close((uv_handle_t *)a->timer);
}

static void timer_cb(uv_timer_t *timer) {
  struct timeval tv;
  struct gev_ares *a = gev_container(timer->data, struct gev_ares, timer);
  ares_process_fd(a->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
  hand_over(a, a->under_way + PACE);
  if (a->under_way && ares_timeout(a->channel, NULL, &tv))
    ring(a, (uint64_t)tv.tv_sec * 1000 + (uint64_t)tv.tv_usec / 1000 + 1);
  settle(a);
}

static bool open_timer(struct gev_ares *a) {
  if (a->timer) return true;
  a->timer = malloc(sizeof *a->timer);
  if (!a->timer) return false;
  uv_timer_init(a->hub->loop, a->timer);
  uv_update_time(a->hub->loop);
  gev_handle_own(a->timer, &a->timer);
  return true;
}

/* --- sockets ------------------------------------------------------------- */

static void poll_cb(uv_poll_t *poll, int status, int events) {
  struct sock *s = gev_container(poll->data, struct sock, poll);
  struct gev_ares *a = s->ares;
  ares_socket_t fd = s->fd;
  if (status < 0) events = UV_READABLE | UV_WRITABLE; /* it will see why */
  ares_process_fd(a->channel,
                  events & UV_READABLE ? fd : ARES_SOCKET_BAD,
                  events & UV_WRITABLE ? fd : ARES_SOCKET_BAD);
  settle(a);
}

static struct sock *find_socket(struct gev_ares *a, ares_socket_t fd) {
  for (struct gev_link *at = a->sockets.next; at != &a->sockets;
       at = at->next) {
    struct sock *s = gev_container(at, struct sock, link);
    if (s->fd == fd) return s;
  }
  return NULL;
}

/* NULL: it cannot be polled. */
static struct sock *new_socket(struct gev_ares *a, ares_socket_t fd) {
  struct sock *s = calloc(1, sizeof *s);
  uv_poll_t *poll = malloc(sizeof *poll);
  if (!s || !poll || uv_poll_init(a->hub->loop, poll, fd) != 0) {
    free(s);
    free(poll);
    return NULL;
  }
  s->ares = a;
  s->fd = fd;
  s->poll = poll;
  gev_handle_own(poll, &s->poll);
  gev_list_append(&a->sockets, &s->link);
  return s;
}

static void socket_cb(void *arg, ares_socket_t fd, int readable,
                      int writable) {
  struct gev_ares *a = arg;
  struct sock *s = find_socket(a, fd);
  int events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);
  if (events) {
    if (!s) s = new_socket(a, fd);
    if (!s || !s->poll || uv_poll_start(s->poll, events, poll_cb) != 0)
      a->deaf = true;
  } else if (s) {
    if (s->poll) uv_poll_stop(s->poll);
    gev_handle_close((uv_handle_t *)s->poll);
    gev_unlink(&s->link);
    free(s);
  }
}

/* --- queries ------------------------------------------------------------- */

static struct gev_link *bucket(struct gev_ares *a, const char *text) {
  uint32_t hash = 2166136261u; /* FNV-1a */
  for (; *text; text++) hash = (hash ^ (unsigned char)*text) * 16777619u;
  return &a->shared[hash % (sizeof a->shared / sizeof *a->shared)];
}

struct gev_query *gev_ares_find(struct gev_ares *a, const char *text,
                                int family, bool reverse) {
  struct gev_link *list = bucket(a, text);
  for (struct gev_link *at = list->next; at != list; at = at->next) {
    struct gev_query *q = gev_container(at, struct gev_query, link);
    if (q->family == family && q->reverse == reverse &&
        !strcmp(q->text, text))
      return q;
  }
  return NULL;
}

struct gev_query *gev_ares_query(struct gev_ares *a, const char *text,
                                 int family, bool reverse,
                                 const struct gev_lookup_ops *ops) {
  size_t size = strlen(text) + 1;
  struct gev_query *q = calloc(1, sizeof *q + size);
  if (!q) return NULL;
  gev_lookup_init(&q->lookup, ops);
  gev_list_init(&q->waiting);
  q->family = family;
  q->reverse = reverse;
  q->ares = a;
  memcpy(q->text, text, size);
  gev_list_append(bucket(a, text), &q->link);
  return q;
}

/* The answer is noted: for those who wait, or for nobody. */
static void finish(struct gev_query *q, int status) {
  struct gev_ares *a = q->ares;
  q->status = status == ARES_ECANCELLED && a->deaf ? ARES_ENOMEM : status;
  q->ares = NULL;
  gev_unlink(&q->link);
  if (gev_list_empty(&q->waiting)) a->under_way--;
  gev_unlink(&q->waiting);
  if (gev_lookup_wanted(&q->lookup)) a->wanted--;
  gev_lookup_answered(a->hub, &q->lookup);
}

static void info_cb(void *arg, int status, int timeouts,
                    struct ares_addrinfo *info) {
  struct gev_query *q = arg;
  (void)timeouts;
  q->info = info;
  finish(q, status);
}

/* The first name of a PTR answer. */
static int parse_name(struct gev_query *q, const unsigned char *bytes,
                      int len) {
  struct hostent *host = NULL;
  int status = ares_parse_ptr_reply(bytes, len, NULL, 0, AF_INET, &host);
  if (status == ARES_SUCCESS && host->h_name) q->name = strdup(host->h_name);
  if (host) ares_free_hostent(host);
  return status == ARES_SUCCESS && !q->name ? ARES_ENODATA : status;
}

static void ptr_cb(void *arg, int status, int timeouts, unsigned char *bytes,
                   int len) {
  struct gev_query *q = arg;
  (void)timeouts;
  if (status == ARES_SUCCESS) status = parse_name(q, bytes, len);
  finish(q, status);
}

/* 1.2.3.4 as 4.3.2.1.in-addr.arpa; IPv6 by its 32 digits. */
static void write_ptr(char *to, size_t size, const uint8_t *bytes, bool v6) {
  size_t len = 0;
  for (int i = v6 ? 15 : 3; i >= 0; i--)
    len += (size_t)(v6 ? snprintf(to + len, size - len, "%x.%x.",
                                  bytes[i] & 15u, bytes[i] >> 4)
                       : snprintf(to + len, size - len, "%u.", bytes[i]));
  snprintf(to + len, size - len, "%s.arpa", v6 ? "ip6" : "in-addr");
}

/* Not ares_gethostbyaddr: to it a server that is dead and an address without
 * a name are the same. */
static void send_reverse(struct gev_ares *a, struct gev_query *q) {
  struct gev_addr addr;
  char name[80];
  if (!gev_addr_numeric(&addr, AF_UNSPEC, q->text, 0)) {
    finish(q, ARES_EBADNAME);
    return;
  }
  bool v6 = addr.u.sa.sa_family == AF_INET6;
  const uint8_t *bytes = v6 ? addr.u.in6.sin6_addr.s6_addr
                            : (const uint8_t *)&addr.u.in4.sin_addr;
  if (v6 && IN6_IS_ADDR_V4MAPPED(&addr.u.in6.sin6_addr)) {
    bytes += 12;
    v6 = false;
  }
  write_ptr(name, sizeof name, bytes, v6);
  ares_query(a->channel, name, 1 /* IN */, 12 /* PTR */, ptr_cb, q);
}

static void send_query(struct gev_ares *a, struct gev_query *q) {
  struct ares_addrinfo_hints hints = {.ai_family = q->family,
                                      .ai_socktype = SOCK_STREAM,
                                      .ai_flags = ARES_AI_CANONNAME};
  a->under_way++;
  if (q->reverse)
    send_reverse(a, q);
  else
    ares_getaddrinfo(a->channel, q->text, NULL, &hints, info_cb, q);
}

/* Gives c-ares of those that wait, until it has `limit`. */
static void hand_over(struct gev_ares *a, unsigned limit) {
  while (a->under_way < limit && !gev_list_empty(&a->waiting)) {
    struct gev_query *q =
        gev_container(a->waiting.next, struct gev_query, waiting);
    gev_unlink(&q->waiting);
    send_query(a, q);
  }
}

void gev_ares_ask(struct gev_query *q, struct gev_ticket *t) {
  struct gev_ares *a = q->ares;
  bool first = !q->started;
  if (!gev_lookup_wanted(&q->lookup)) a->wanted++;
  gev_ticket_join(t, &q->lookup);
  if (!first) return;
  q->started = true;
  gev_list_append(&a->waiting, &q->waiting);
  if (open_timer(a))
    settle(a);
  else
    finish(q, ARES_ENOMEM);
}

void gev_query_free(struct gev_lookup *l) {
  struct gev_query *q = (struct gev_query *)l;
  if (q->info) ares_freeaddrinfo(q->info);
  free(q->name);
  free(q);
}

/* One query cannot be taken back from c-ares; its answer will be dropped. But
 * if nobody wants any, all are. */
void gev_query_unwanted(struct gev_lookup *l) {
  struct gev_query *q = (struct gev_query *)l;
  struct gev_ares *a = q->ares;
  a->wanted--;
  if (!gev_list_empty(&q->waiting)) {
    gev_unlink(&q->waiting);
    gev_unlink(&q->link);
    gev_query_free(l);
  }
  if (a->wanted > 0) return;
  ares_cancel(a->channel);
  settle(a);
}

/* --- life ---------------------------------------------------------------- */

void gev_ares_init(struct gev_ares *a, struct gev_hub *h) {
  *a = (struct gev_ares){.hub = h};
  gev_list_init(&a->sockets);
  gev_list_init(&a->waiting);
  for (size_t i = 0; i < sizeof a->shared / sizeof *a->shared; i++)
    gev_list_init(&a->shared[i]);
}

int gev_ares_open(struct gev_ares *a, struct ares_options *o, int mask) {
  char lookups[] = "b"; /* the hosts file is ours to read */
  o->lookups = lookups;
  o->sock_state_cb = socket_cb;
  o->sock_state_cb_data = a;
  o->socket_receive_buffer_size = RECEIVE; /* or what the system allows */
  mask |= ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB | ARES_OPT_SOCK_RCVBUF;
#ifdef ARES_OPT_QUERY_CACHE /* from 1.31: the cache is ours, too */
  o->qcache_max_ttl = 0;
  mask |= ARES_OPT_QUERY_CACHE;
#endif
  int status = ares_init_options(&a->channel, o, mask);
  if (status != ARES_SUCCESS) a->channel = NULL;
  return status;
}

void gev_ares_close(struct gev_ares *a) {
  if (!a->channel) return;
  while (!gev_list_empty(&a->waiting)) {
    struct gev_query *q =
        gev_container(a->waiting.next, struct gev_query, waiting);
    finish(q, ARES_ECANCELLED);
  }
  ares_destroy(a->channel);
  a->channel = NULL;
  gev_handle_close((uv_handle_t *)a->timer);
}
