/* proto/http_encode.c - layer: proto. See http_conn.h. Compression of answers,
 * for servers that ask for it: whether one is worth it, and the bytes. The
 * stream of an answer that goes out in parts is the connection's: c->z. */
#include <string.h>

#include "proto/http1_fields.h"
#include "proto/http_conn.h"
#include "proto/zstream.h"

enum { CODING_NONE, CODING_GZIP, CODING_DEFLATE };

/* --- what the client takes ----------------------------------------------- */

static int quality(const struct gev_h1 *p, const char *coding) {
  int best = -1;
  for (int i = -1; (i = gev_h1_find(p, "accept-encoding",
                                    (uint32_t)(i + 1))) >= 0;) {
    size_t len;
    const char *value = gev_h1_value(p, (uint32_t)i, &len);
    int q = gev_h1_quality(value, len, coding);
    if (q > best) best = q;
  }
  return best;
}

void gev_http_accept(struct gev_http_conn *c) {
  int any = quality(&c->h1, "*");
  int gzip = quality(&c->h1, "gzip"), deflate = quality(&c->h1, "deflate");
  if (gzip < 0) gzip = any;
  c->accepts = CODING_NONE;
  if (gzip > 0 && gzip >= deflate)
    c->accepts = CODING_GZIP;
  else if (deflate > 0)
    c->accepts = CODING_DEFLATE;
}

/* --- what is worth it ---------------------------------------------------- */

static bool has(lua_State *L, const struct gev_http_answer *a,
                const char *name) {
  size_t len = strlen(name);
  return (a->headers && gev_http_headers_has(L, a->headers, name, len)) ||
         (a->own && gev_http_headers_has(L, a->own, name, len));
}

static const char *get(lua_State *L, const struct gev_http_answer *a,
                       const char *name, size_t *len) {
  const char *s = NULL;
  if (a->headers)
    s = gev_http_headers_get(L, a->headers, name, strlen(name), len);
  if (!s && a->own)
    s = gev_http_headers_get(L, a->own, name, strlen(name), len);
  return s;
}

static bool contains(const char *s, size_t len, const char *word) {
  size_t n = strlen(word);
  for (; len >= n; s++, len--)
    if (gev_http_same(s, word, n)) return true;
  return false;
}

/* Text, in the wider sense. */
static bool is_compressible(const char *s, size_t len) {
  static const char *const types[] = {
      "application/json", "application/javascript", "application/xml",
      "application/wasm", "application/x-ndjson",   "font/ttf",
      "font/otf",         "image/vnd.microsoft.icon"};
  const char *end = memchr(s, ';', len);
  if (end) len = (size_t)(end - s);
  while (len && s[len - 1] == ' ') len--;
  if (len >= 5 && gev_http_same(s, "text/", 5)) return true;
  if (len > 4 && gev_http_same(s + len - 4, "+xml", 4)) return true;
  if (len > 5 && gev_http_same(s + len - 5, "+json", 5)) return true;
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (len == strlen(types[i]) && gev_http_same(s, types[i], len))
      return true;
  return false;
}

/* Notes in the answer how its body goes out. `size` of the body; -1 if it is
 * not known. */
static void choose(lua_State *L, struct gev_http_conn *c,
                   struct gev_http_answer *a, int64_t size) {
  size_t len;
  luaL_checkstack(L, 8, NULL);
  const char *type = get(L, a, "content-type", &len);
  if (type && !is_compressible(type, len)) return;
  const char *control = get(L, a, "cache-control", &len);
  if (a->status < 200 || a->status == 204 ||
      has(L, a, "content-encoding") ||
      (control && contains(control, len, "no-transform")))
    return;
  a->vary = true;
  if (a->status == 304 || a->status == 206 || has(L, a, "content-range") ||
      (size >= 0 && size < c->set->compress_min))
    return;
  if (c->accepts) a->coding = c->accepts == CODING_GZIP ? "gzip" : "deflate";
}

/* --- doing it ------------------------------------------------------------ */

static void begin(lua_State *L, struct gev_http_conn *c) {
  gev_zstream_free(c->z);
  c->z = gev_deflate_new(c->accepts == CODING_GZIP ? GEV_Z_GZIP
                                                   : GEV_Z_DEFLATE,
                         c->set->compress_level);
  if (!c->z) luaL_error(L, "not enough memory");
}

void gev_http_encode_end(struct gev_http_conn *c) {
  gev_zstream_free(c->z);
  c->z = NULL;
}

void gev_http_encode(lua_State *L, struct gev_http_conn *c, int idx,
                     bool last) {
  enum { ROOM = 8192 };
  luaL_Buffer b;
  enum gev_z_result r;
  struct gev_z_io io;
  io.in = lua_tolstring(L, idx, &io.in_len);
  luaL_buffinit(L, &b);
  do {
    io.out = luaL_prepbuffsize(&b, ROOM);
    io.out_len = ROOM;
    r = gev_deflate(c->z, &io, last ? GEV_Z_FINISH : GEV_Z_SYNC);
    if (r == GEV_Z_NOMEM) luaL_error(L, "not enough memory");
    luaL_addsize(&b, ROOM - io.out_len);
  } while (r == GEV_Z_FULL);
  luaL_pushresult(&b);
  if (last) gev_http_encode_end(c);
}

int gev_http_encode_whole(lua_State *L, struct gev_http_conn *c,
                          struct gev_http_answer *a, int body) {
  if (!body && !c->head && a->status != 304) return 0;
  choose(L, c, a, body ? a->length : -1);
  if (!a->coding) return body;
  if (!body) { /* HEAD: how long it would be is not known */
    a->length = -1;
    return 0;
  }
  begin(L, c);
  gev_http_encode(L, c, body, true);
  a->length = (int64_t)lua_rawlen(L, -1);
  return lua_gettop(L);
}

void gev_http_encode_stream(lua_State *L, struct gev_http_conn *c,
                            struct gev_http_answer *a) {
  choose(L, c, a, -1);
  if (a->coding && !c->head) begin(L, c);
}
