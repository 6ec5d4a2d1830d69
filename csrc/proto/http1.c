/*
** Pure protocol layer: the HTTP/1 parser, its states and its memory.
** See http1.h for the contract. http1_head.c says whether a head is good,
** http1_chunk.c reads chunked bodies.
*/
#include "proto/http1.h"

#include <stdlib.h>
#include <string.h>

#include "proto/http1_chars.h"
#include "proto/http1_int.h"

/*
** First size of the block: with the allocator's own word still one of the
** sizes that malloc keeps at hand (glibc: up to 1032), a multiple of a field.
*/
#define FIRST_CAP (63u * (uint32_t)sizeof(struct gev_h1_field))
#define MAX_TEXT (1u << 30) /* so that offsets cannot overflow */
#define MAX_BLANK 8u /* empty lines in front of a request */

const struct gev_h1_limits gev_h1_default_limits = {
  .max_line = GEV_H1_MAX_LINE,
  .max_head = GEV_H1_MAX_HEAD,
  .max_field = GEV_H1_MAX_FIELD,
  .max_fields = GEV_H1_MAX_FIELDS,
  .max_ext = GEV_H1_MAX_EXT,
  .max_trailers = GEV_H1_MAX_TRAILERS,
  .max_body = GEV_H1_NO_LIMIT,
};

enum gev_h1_event gev_h1_refuse(struct gev_h1 *p, unsigned status,
                                const char *why)
{
  p->state = GEV_H1_FAILED;
  p->status = (uint16_t)status;
  p->error = why;
  return GEV_H1_ERROR;
}

/* Makes `need` bytes of room between text and fields; else 503. */
static bool grow(struct gev_h1 *p, size_t need)
{
  size_t text = p->len;
  size_t tail = p->cap - p->len - p->room;
  size_t cap = p->cap == 0 ? FIRST_CAP : p->cap;
  char *buf;
  while (cap - text - tail < need) cap *= 2;
  if (cap > UINT32_MAX)
    buf = NULL;
  else
    buf = p->buf == NULL ? malloc(cap) : realloc(p->buf, cap);
  if (buf == NULL) {
    gev_h1_refuse(p, 503, "out of memory");
    return false;
  }
  if (tail > 0) memmove(buf + cap - tail, buf + p->cap - tail, tail);
  p->buf = buf;
  p->cap = (uint32_t)cap;
  p->room = (uint32_t)(cap - text - tail);
  return true;
}

static inline bool reserve(struct gev_h1 *p, size_t need)
{
  return need <= p->room || grow(p, need);
}

/*
** llhttp's callbacks. The text they point to is not in the block yet: it is
** copied in one go when llhttp returns, so an offset is what the block holds
** plus the distance from the start of this reading.
*/

static struct gev_h1 *owner(llhttp_t *ll)
{
  return (struct gev_h1 *)ll->data;
}

static uint32_t offset(const struct gev_h1 *p, const char *at)
{
  return p->len + (uint32_t)(at - p->from);
}

static int on_url(llhttp_t *ll, const char *at, size_t len)
{
  struct gev_h1 *p = owner(ll);
  if (p->state != GEV_H1_IN_HEAD) return 0; /* the line for trailers */
  if (p->target.len == 0) p->target.off = offset(p, at);
  p->target.len += (uint32_t)len;
  return 0;
}

/*
** A name, or the rest of one that was cut. Fields beyond the limit are only
** counted: when the count is refused must not depend on cuts in the input.
*/
static int on_field(llhttp_t *ll, const char *at, size_t len)
{
  struct gev_h1 *p = owner(ll);
  uint32_t off = offset(p, at);
  struct gev_h1_field *f;
  if (p->count > 0 && p->count <= p->limits->max_fields) {
    f = gev_h1_slot(p, p->count - 1);
    if (f->name.off + f->name.len == off) {
      f->name.len += (uint32_t)len;
      return 0;
    }
  }
  if (p->count < p->limits->max_fields) {
    if (!reserve(p, sizeof *f)) return HPE_USER;
    p->room -= (uint32_t)sizeof *f;
    f = gev_h1_slot(p, p->count);
    f->name.off = off;
    f->name.len = (uint32_t)len;
  }
  p->count++;
  return 0;
}

static int on_complete(llhttp_t *ll)
{
  (void)ll;
  return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
  .on_url = on_url,
  .on_header_field = on_field,
  .on_headers_complete = on_complete,
};

static uint32_t least(size_t a, uint32_t b)
{
  return a < b ? (uint32_t)a : b;
}

static void begin_fields(struct gev_h1 *p, uint32_t limit, uint8_t state)
{
  bool answer = p->kind != GEV_H1_REQUEST && state == GEV_H1_IN_HEAD;
  llhttp_init(&p->ll, answer ? HTTP_RESPONSE : HTTP_REQUEST, &settings);
  p->ll.data = p;
  p->stop = p->len + least(limit, MAX_TEXT);
  p->state = state;
}

void gev_h1_begin_trailers(struct gev_h1 *p)
{
  static const char line[] = "GET / HTTP/1.1\r\n";
  begin_fields(p, p->limits->max_trailers, GEV_H1_IN_TRAILERS);
  p->mark = p->len;
  p->from = line;
  (void)llhttp_execute(&p->ll, line, sizeof line - 1);
}

/* Turns llhttp's refusal of the bytes at .. end into ours. */
static enum gev_h1_event explain(struct gev_h1 *p, llhttp_errno_t err,
                                 const char **at, const char *end)
{
  switch (err) {
    case HPE_USER:
      return GEV_H1_ERROR; /* refused by the callback */
    case HPE_INVALID_METHOD:
      return gev_h1_strange_method(p, at, end);
    case HPE_PAUSED_H2_UPGRADE:
      return gev_h1_refuse(p, 505, "HTTP/2 preface");
    case HPE_INVALID_VERSION:
      return p->ll.http_major == 1 && p->ll.http_minor <= 1
               ? gev_h1_refuse(p, 400, p->kind == GEV_H1_REQUEST
                                         ? "bad request line"
                                         : "bad status line")
               : gev_h1_refuse(p, 505, "unknown HTTP version");
    default:
      return gev_h1_refuse(p, 400, p->ll.reason);
  }
}

static enum gev_h1_event too_long(struct gev_h1 *p)
{
  if (p->state == GEV_H1_IN_TRAILERS)
    return gev_h1_refuse(p, 431, "trailers too large");
  if (p->count > 0) return gev_h1_refuse(p, 431, "header fields too large");
  return gev_h1_refuse(p, 414, p->kind == GEV_H1_REQUEST
                                 ? "request line too long"
                                 : "status line too long");
}

/* The head is complete: what follows it? */
static enum gev_h1_event end_head(struct gev_h1 *p)
{
  if (!gev_h1_check_head(p)) return GEV_H1_ERROR;
  p->left = p->content_length;
  if (!p->has_body)
    p->state = GEV_H1_AT_END;
  else if (p->until_close)
    p->state = GEV_H1_IN_REST;
  else
    p->state = p->chunked ? GEV_H1_IN_SIZE : GEV_H1_IN_FIXED;
  return GEV_H1_HEAD;
}

static enum gev_h1_event end_fields(struct gev_h1 *p)
{
  if (p->state == GEV_H1_IN_HEAD) return end_head(p);
  if (!gev_h1_check_trailers(p)) return GEV_H1_ERROR;
  p->state = GEV_H1_AT_END;
  return GEV_H1_DONE;
}

/* Head or trailers: llhttp reads, the block gets what it took. */
static enum gev_h1_event read_fields(struct gev_h1 *p, const char **at,
                                     const char *end)
{
  const char *from = *at;
  uint32_t len = least((size_t)(end - from), p->stop - p->len);
  llhttp_errno_t err;
  p->from = from;
  err = llhttp_execute(&p->ll, from, len);
  if (err == HPE_PAUSED) {
    len = (uint32_t)(p->ll.error_pos - from);
  } else if (err != HPE_OK) {
    return explain(p, err, at, end);
  }
  if (len > 0) {
    if (!reserve(p, len)) return GEV_H1_ERROR;
    memcpy(p->buf + p->len, from, len);
    p->len += len;
    p->room -= len;
  }
  *at = from + len;
  if (err == HPE_PAUSED) return end_fields(p);
  return p->len == p->stop ? too_long(p) : GEV_H1_MORE;
}

/*
** Skips the few empty lines that clients may send in front of a request:
** llhttp would, but also half ones, and for ever. False: not at a request.
*/
static bool skip_blank(struct gev_h1 *p, const char **at, const char *end)
{
  for (; *at != end; ++*at) {
    bool cr = (p->blank & 1u) != 0;
    if (cr != (**at == '\n') || (p->blank >> 1) > MAX_BLANK) {
      gev_h1_refuse(p, 400, "stray line end");
      return false;
    }
    if (!cr && **at != '\r') return true;
    p->blank++;
  }
  return false;
}

/*
** QUERY is too new for some versions of llhttp: they are told of another
** method that says as little about the rest.
*/
static enum gev_h1_event read_query(struct gev_h1 *p, const char **at,
                                    const char *end)
{
  static const char method[] = "QUERY ", other[] = "GET ";
  if (!reserve(p, sizeof method)) return GEV_H1_ERROR;
  while (*at != end && p->len < sizeof method - 1) {
    if (**at != method[p->len]) return gev_h1_strange_method(p, at, end);
    if (p->len == p->stop) return too_long(p);
    p->buf[p->len++] = *(*at)++;
    p->room--;
  }
  if (p->len < sizeof method - 1) return GEV_H1_MORE;
  (void)llhttp_execute(&p->ll, other, sizeof other - 1);
  p->state = GEV_H1_IN_HEAD;
  return read_fields(p, at, end);
}

static enum gev_h1_event read_start(struct gev_h1 *p, const char **at,
                                    const char *end)
{
  if (*at == end) return GEV_H1_MORE;
  if (p->kind == GEV_H1_REQUEST && !skip_blank(p, at, end))
    return p->state == GEV_H1_FAILED ? GEV_H1_ERROR : GEV_H1_MORE;
  begin_fields(p, p->limits->max_head, GEV_H1_IN_HEAD);
  if (p->kind != GEV_H1_REQUEST || **at != 'Q')
    return read_fields(p, at, end);
  p->state = GEV_H1_IN_QUERY;
  return read_query(p, at, end);
}

static enum gev_h1_event read_fixed(struct gev_h1 *p, const char **at,
                                    const char *end)
{
  size_t len = (size_t)(end - *at);
  if (len == 0) return GEV_H1_MORE;
  if (len > p->left) len = (size_t)p->left;
  p->chunk = *at;
  p->chunk_len = len;
  *at += len;
  p->left -= len;
  if (p->left == 0) p->state = GEV_H1_AT_END;
  return GEV_H1_BODY;
}

/* Up to the limit, and then the refusal: whatever the input's cuts. */
static enum gev_h1_event read_rest(struct gev_h1 *p, const char **at,
                                   const char *end)
{
  size_t len = (size_t)(end - *at);
  uint64_t most = p->limits->max_body - p->total;
  if (len == 0) return GEV_H1_MORE;
  if (most == 0) return gev_h1_refuse(p, 413, "body too large");
  if (len > most) len = (size_t)most;
  p->total += len;
  p->chunk = *at;
  p->chunk_len = len;
  *at += len;
  return GEV_H1_BODY;
}

static enum gev_h1_event read_chunked(struct gev_h1 *p, const char **at,
                                      const char *end)
{
  enum gev_h1_event ev = gev_h1_dechunk(p, at, end);
  if (p->state != GEV_H1_IN_TRAILERS) return ev;
  return read_fields(p, at, end);
}

static enum gev_h1_event step(struct gev_h1 *p, const char **at,
                              const char *end)
{
  switch (p->state) {
    case GEV_H1_AT_START: return read_start(p, at, end);
    case GEV_H1_IN_QUERY: return read_query(p, at, end);
    case GEV_H1_IN_STRANGE: return gev_h1_strange_line(p, at, end);
    case GEV_H1_IN_HEAD:
    case GEV_H1_IN_TRAILERS: return read_fields(p, at, end);
    case GEV_H1_IN_FIXED: return read_fixed(p, at, end);
    case GEV_H1_IN_REST: return read_rest(p, at, end);
    case GEV_H1_AT_END: return GEV_H1_DONE;
    case GEV_H1_FAILED: return GEV_H1_ERROR;
    default: return read_chunked(p, at, end);
  }
}

enum gev_h1_event gev_h1_feed(struct gev_h1 *p, const char *data, size_t len,
                              size_t *used)
{
  const char *at = len > 0 ? data : "";
  const char *from = at;
  enum gev_h1_event ev;
  p->chunk = NULL;
  p->chunk_len = 0;
  ev = step(p, &at, from + len);
  *used = (size_t)(at - from);
  return ev;
}

enum gev_h1_event gev_h1_end(struct gev_h1 *p)
{
  p->chunk = NULL;
  p->chunk_len = 0;
  switch (p->state) {
    case GEV_H1_IN_REST: p->state = GEV_H1_AT_END; return GEV_H1_DONE;
    case GEV_H1_AT_END: return GEV_H1_DONE;
    case GEV_H1_FAILED: return GEV_H1_ERROR;
    default: return gev_h1_refuse(p, 400, "the message was cut off");
  }
}

void gev_h1_init(struct gev_h1 *p, const struct gev_h1_limits *limits)
{
  memset(p, 0, offsetof(struct gev_h1, ll)); /* that is set up when used */
  p->limits = limits != NULL ? limits : &gev_h1_default_limits;
}

void gev_h1_init_response(struct gev_h1 *p, enum gev_h1_kind kind,
                          const struct gev_h1_limits *limits)
{
  gev_h1_init(p, limits);
  p->kind = (uint8_t)kind;
}

void gev_h1_free(struct gev_h1 *p)
{
  free(p->buf);
  p->buf = NULL;
  p->cap = p->len = p->room = p->count = 0;
  p->nfields = p->ntrailers = 0;
}

void gev_h1_next(struct gev_h1 *p)
{
  free(p->buf);
  gev_h1_init_response(p, (enum gev_h1_kind)p->kind, p->limits);
}

bool gev_h1_idle(const struct gev_h1 *p)
{
  return p->state == GEV_H1_AT_START && (p->blank & 1u) == 0;
}

/* Access to the parts. */

static const char *text(const struct gev_h1 *p, struct gev_h1_span span,
                        size_t *len)
{
  *len = span.len;
  return span.len > 0 ? p->buf + span.off : "";
}

const char *gev_h1_method(const struct gev_h1 *p, size_t *len)
{
  struct gev_h1_span span = {0, p->method_len};
  return text(p, span, len);
}

const char *gev_h1_target(const struct gev_h1 *p, size_t *len)
{
  return text(p, p->target, len);
}

const char *gev_h1_path(const struct gev_h1 *p, size_t *len)
{
  return text(p, p->path, len);
}

const char *gev_h1_authority(const struct gev_h1 *p, size_t *len)
{
  return text(p, p->authority, len);
}

const char *gev_h1_phrase(const struct gev_h1 *p, size_t *len)
{
  return text(p, p->phrase, len);
}

const char *gev_h1_name(const struct gev_h1 *p, uint32_t i, size_t *len)
{
  return text(p, gev_h1_slot(p, i)->name, len);
}

const char *gev_h1_value(const struct gev_h1 *p, uint32_t i, size_t *len)
{
  return text(p, gev_h1_slot(p, i)->value, len);
}

int gev_h1_find(const struct gev_h1 *p, const char *lower, uint32_t from)
{
  size_t len = strlen(lower);
  for (; from < p->nfields; from++) {
    const struct gev_h1_field *f = gev_h1_slot(p, from);
    if (f->name.len == len && gev_h1_same(p->buf + f->name.off, lower, len))
      return (int)from;
  }
  return -1;
}
