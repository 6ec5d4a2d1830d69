/*
** Tests of the HTTP/1 request parser: each limit to the byte, every value of
** a byte in every kind of place, and what happens when memory runs out.
*/
#include "proto/http1.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

static struct gev_h1_limits limits;

/*
** The status that an input comes to, in pieces of `size`: 0 if all is taken,
** as a complete message, 1 if it is not complete yet.
*/
static unsigned run(const char *s, size_t len, size_t size)
{
  struct gev_h1 p;
  size_t at = 0, used;
  unsigned status;
  enum gev_h1_event ev = GEV_H1_MORE;
  gev_h1_init(&p, &limits);
  do {
    size_t n = len - at < size ? len - at : size;
    ev = gev_h1_feed(&p, s + at, n, &used);
    at += used;
  } while (ev != GEV_H1_ERROR && ev != GEV_H1_DONE &&
           (ev != GEV_H1_MORE || at < len));
  status = ev == GEV_H1_ERROR ? p.status : ev != GEV_H1_DONE;
  gev_h1_free(&p);
  return status;
}

static bool comes_to(const char *s, size_t len, unsigned status)
{
  return run(s, len, len) == status && run(s, len, 1) == status &&
         run(s, len, 1000) == status;
}

/* Text under construction. */
static char text[200000];
static size_t text_len;

static void start(const char *s)
{
  text_len = strlen(s);
  memcpy(text, s, text_len + 1);
}

static void add(const char *s)
{
  size_t len = strlen(s);
  memcpy(text + text_len, s, len + 1);
  text_len += len;
}

static void fill(char c, size_t len)
{
  memset(text + text_len, c, len);
  text_len += len;
  text[text_len] = 0;
}

static void start_chunks(void)
{
  start("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
}

/* A request line of so many bytes, CRLF included. */
static unsigned try_line(size_t len)
{
  start("GET /");
  fill('a', len - 16);
  add(" HTTP/1.1\r\nHost: h\r\n\r\n");
  return comes_to(text, text_len, 0) ? 0 : run(text, text_len, text_len);
}

/* A head of so many bytes, in fields of 1,000. */
static bool head_comes_to(size_t len, unsigned status)
{
  start("GET / HTTP/1.1\r\nHost: h\r\n");
  while (len - text_len > 1100) {
    add("A:");
    fill('a', 996);
    add("\r\n");
  }
  add("A:");
  fill('a', len - text_len - 4);
  add("\r\n\r\n");
  return text_len == len && comes_to(text, len, status);
}

static bool fields_come_to(unsigned count, unsigned status)
{
  start("GET / HTTP/1.1\r\nHost: h\r\n");
  while (--count > 0) add("A: b\r\n");
  add("\r\n");
  return comes_to(text, text_len, status);
}

static bool field_comes_to(size_t len, unsigned status)
{
  start("GET / HTTP/1.1\r\nHost: h\r\nA:");
  fill('a', len - 4);
  add("\r\n\r\n");
  return comes_to(text, text_len, status);
}

static void test_head_limits(void)
{
  check(try_line(GEV_H1_MAX_LINE) == 0, "longest line");
  check(try_line(GEV_H1_MAX_LINE + 1) == 414, "longer line");
  start("GET /");
  fill('a', GEV_H1_MAX_HEAD);
  check(comes_to(text, text_len, 414), "line without end");
  check(head_comes_to(GEV_H1_MAX_HEAD, 0), "longest head");
  check(head_comes_to(GEV_H1_MAX_HEAD + 1, 431), "longer head");
  start("GET / HTTP/1.1\r\nA: ");
  fill('a', GEV_H1_MAX_HEAD);
  check(comes_to(text, text_len, 431), "field without end");
  check(fields_come_to(GEV_H1_MAX_FIELDS, 0), "most fields");
  check(fields_come_to(GEV_H1_MAX_FIELDS + 1, 431), "more fields");
  check(fields_come_to(5000, 431), "far more fields");
  check(field_comes_to(GEV_H1_MAX_FIELD, 0), "longest field");
  check(field_comes_to(GEV_H1_MAX_FIELD + 1, 431), "longer field");
}

static bool length_comes_to(const char *length, unsigned status)
{
  start("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: ");
  add(length);
  add("\r\n\r\n");
  return comes_to(text, text_len, status);
}

static bool chunks_come_to(const char *chunks, unsigned status)
{
  start_chunks();
  add(chunks);
  return comes_to(text, text_len, status);
}

static void test_body_limits(void)
{
  check(length_comes_to("18446744073709551615", 1), "no limit of lengths");
  check(chunks_come_to("ffffffffffffffff\r\na", 1), "no limit of chunks");
  check(chunks_come_to("1\r\na\r\nffffffffffffffff\r\na", 413),
        "sum of chunks overflows");
  limits.max_body = 5;
  check(length_comes_to("5", 1), "longest body");
  check(length_comes_to("6", 413), "longer body");
  check(chunks_come_to("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", 0),
        "longest body in chunks");
  check(chunks_come_to("3\r\nabc\r\n3\r\n", 413), "longer body in chunks");
  check(chunks_come_to("ffffffffffffffff\r\n", 413), "huge chunk");
  limits.max_body = 0;
  check(chunks_come_to("0\r\n\r\n", 0), "empty body");
  check(length_comes_to("1", 413), "no body allowed");
  limits.max_body = GEV_H1_NO_LIMIT;
}

/* Chunks of one byte, each with so many bytes of extension. */
static bool extensions_come_to(size_t each, size_t times, unsigned status)
{
  start_chunks();
  while (times-- > 0) {
    add("1;");
    fill('a', each - 1); /* the CR counts too */
    add("\r\nx\r\n");
  }
  add("0\r\n\r\n");
  return comes_to(text, text_len, status);
}

static bool trailers_come_to(size_t len, unsigned status)
{
  start_chunks();
  add("0\r\n");
  while (len > 5000) {
    add("A:");
    fill('a', 4996);
    add("\r\n");
    len -= 5000;
  }
  add("A:");
  fill('a', len - 6);
  add("\r\n\r\n");
  return comes_to(text, text_len, status);
}

static void test_chunk_limits(void)
{
  check(extensions_come_to(GEV_H1_MAX_EXT, 1, 0), "longest extension");
  check(extensions_come_to(GEV_H1_MAX_EXT + 1, 1, 413), "longer one");
  check(extensions_come_to(GEV_H1_MAX_EXT / 1024, 1024, 0), "all together");
  check(extensions_come_to(GEV_H1_MAX_EXT / 1024, 1025, 413), "one more");
  check(trailers_come_to(GEV_H1_MAX_TRAILERS, 0), "longest trailers");
  check(trailers_come_to(GEV_H1_MAX_TRAILERS + 1, 431), "longer trailers");
  limits.max_fields = 4;
  check(chunks_come_to("0\r\nA: b\r\nC: d\r\n\r\n", 0), "most trailers");
  check(chunks_come_to("0\r\nA: b\r\nC: d\r\nE: f\r\n\r\n", 431),
        "more trailers");
  limits.max_fields = GEV_H1_MAX_FIELDS;
}

/* Every byte between `before` and `after`: accepted where `good` says so. */
static void test_bytes(const char *what, const char *before,
                       const char *after, bool (*good)(int))
{
  int c;
  bool all = true;
  for (c = 0; c < 256; c++) {
    unsigned status;
    start(before);
    fill((char)c, 1);
    add(after);
    status = run(text, text_len, text_len);
    if (status != run(text, text_len, 1) || (status == 0) != good(c)) {
      printf("# byte %d: %u\n", c, status);
      all = false;
    }
  }
  check(all, what);
}

static bool in_value(int c)
{
  return c == '\t' || (c >= ' ' && c != 127);
}

static bool in_name(int c)
{
  if (c < 128 && (c | 32) >= 'a' && (c | 32) <= 'z') return true;
  return c != 0 && strchr("0123456789!#$%&'*+-.^_`|~", c) != NULL;
}

/* A colon makes "Ab" out of "A:b", which is a good field, too. */
static bool in_name_or_colon(int c)
{
  return c == ':' || in_name(c);
}

static bool in_target(int c)
{
  return c > ' ' && c < 127;
}

static bool is_blank(int c)
{
  return c == ' ' || c == '\t';
}

static bool is_digit(int c)
{
  return c >= '0' && c <= '9';
}

static bool is_digit_or_blank(int c)
{
  return is_blank(c) || is_digit(c);
}

static bool is_space(int c)
{
  return c == ' ';
}

static bool is_lf(int c)
{
  return c == '\n';
}

static bool is_zero(int c)
{
  return c == '0';
}

static bool is_slash(int c)
{
  return c == '/';
}

#define HEAD "GET / HTTP/1.1\r\nHost: h\r\n"
#define CHUNKS \
  "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"

static void test_all_bytes(void)
{
  test_bytes("first byte of a value", HEAD "A:", "b\r\n\r\n", in_value);
  test_bytes("middle of a value", HEAD "A: b", "c\r\n\r\n", in_value);
  test_bytes("last byte of a value", HEAD "A: b", "\r\n\r\n", in_value);
  test_bytes("middle of a long value", HEAD "A: 0123456789abcdef0123456789",
             "0123456789abcdef0123456789\r\n\r\n", in_value);
  test_bytes("Connection", HEAD "Connection: clo", "e\r\n\r\n", in_value);
  test_bytes("behind close", HEAD "Connection: close", "\r\n\r\n", in_value);
  test_bytes("Upgrade", HEAD "Upgrade: a", "b\r\n\r\n", in_value);
  test_bytes("Expect", HEAD "Expect: 100", "continue\r\n\r\n", in_value);
  test_bytes("first byte of a name", HEAD, "a: b\r\n\r\n", in_name);
  test_bytes("middle of a name", HEAD "A", "a: b\r\n\r\n", in_name_or_colon);
  test_bytes("middle of a known name", HEAD "Connect", "on: b\r\n\r\n",
             in_name_or_colon);
  test_bytes("middle of a long name", HEAD "A123456789abcdef0123456789",
             "0123456789abcdef0123456789: b\r\n\r\n", in_name_or_colon);
  test_bytes("path", "GET /a", "b HTTP/1.1\r\nHost: h\r\n\r\n", in_target);
  test_bytes("query", "GET /?a", "b HTTP/1.1\r\nHost: h\r\n\r\n", in_target);
  test_bytes("first byte of a target", "GET ",
             "a HTTP/1.1\r\nHost: h\r\n\r\n", is_slash);
  test_bytes("behind the method", "GET", "/ HTTP/1.1\r\nHost: h\r\n\r\n",
             is_space);
  test_bytes("LF of the request line", "GET / HTTP/1.1\r",
             "Host: h\r\n\r\n", is_lf);
  test_bytes("LF of a field", HEAD "A: b\r", "C: d\r\n\r\n", is_lf);
  test_bytes("LF of the head", HEAD "\r", "", is_lf);
  test_bytes("length", HEAD "Content-Length: 0", "0\r\n\r\n000000000",
             is_zero);
  test_bytes("behind the coding", "POST / HTTP/1.1\r\nHost: h\r\n"
             "Transfer-Encoding: chunked", "\r\n\r\n0\r\n\r\n", is_blank);
  test_bytes("in front of the coding", "POST / HTTP/1.1\r\nHost: h\r\n"
             "Transfer-Encoding:", "chunked\r\n\r\n0\r\n\r\n", is_blank);
  test_bytes("port", "GET / HTTP/1.1\r\nHost: h:8", "\r\n\r\n",
             is_digit_or_blank);
  test_bytes("chunk size", CHUNKS, "\r\n\r\n", is_zero);
  test_bytes("LF of a chunk size", CHUNKS "1\r", "x\r\n0\r\n\r\n", is_lf);
  test_bytes("LF of a chunk", CHUNKS "1\r\nx\r", "0\r\n\r\n", is_lf);
  test_bytes("LF of the last chunk", CHUNKS "0\r\n\r", "", is_lf);
  test_bytes("quoted in an extension", CHUNKS "0;a=\"\\", "\"\r\n\r\n",
             in_value);
  test_bytes("trailer", CHUNKS "0\r\nA: b", "c\r\n\r\n", in_value);
}

/*
** The allocator, which the program can let fail; not under a sanitizer, for
** that has brought its own.
*/
#if defined(__has_feature)
#define SANITIZED __has_feature(address_sanitizer)
#elif defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

#if defined(__GLIBC__) && !SANITIZED
extern void *__libc_malloc(size_t size);
extern void *__libc_realloc(void *old, size_t size);
static unsigned fail_at; /* which call from now on fails; 0 for none */
static unsigned calls;

static bool fails(void)
{
  calls++;
  if (fail_at == 0 || --fail_at > 0) return false;
  errno = ENOMEM;
  return true;
}

void *malloc(size_t size)
{
  return fails() ? NULL : __libc_malloc(size);
}

void *realloc(void *old, size_t size)
{
  return fails() ? NULL : __libc_realloc(old, size);
}

static void test_no_memory(void)
{
  unsigned total, n;
  bool good = true;
  start_chunks();
  add("0\r\n");
  for (n = 0; n < 60; n++) {
    add("A:");
    fill('a', 100);
    add("\r\n");
  }
  add("\r\n");
  calls = 0;
  good = run(text, text_len, 100) == 0;
  total = calls;
  if (total == 0) return; /* valgrind has brought its own, too */
  for (n = 1; n <= total; n++) {
    fail_at = n;
    good = good && run(text, text_len, 100) == 503;
  }
  fail_at = 0;
  check(good && total > 3, "each allocation that fails is a 503");
}
#else
static void test_no_memory(void)
{
}
#endif

static void test_empty_struct(void)
{
  struct gev_h1 p;
  size_t used = 1;
  memset(&p, 0, sizeof p);
  gev_h1_free(&p);
  gev_h1_free(&p);
  gev_h1_init(&p, NULL);
  check(gev_h1_idle(&p) && gev_h1_feed(&p, NULL, 0, &used) == GEV_H1_MORE &&
          used == 0 && p.buf == NULL,
        "a parser without input owns nothing");
  check(gev_h1_feed(&p, "\n", 1, &used) == GEV_H1_ERROR &&
          gev_h1_feed(&p, "GET", 3, &used) == GEV_H1_ERROR && used == 0,
        "an error stays");
  gev_h1_next(&p);
  check(gev_h1_feed(&p, "GET", 3, &used) == GEV_H1_MORE && !gev_h1_idle(&p),
        "until the next message");
  gev_h1_free(&p);
}

int main(void)
{
  limits = gev_h1_default_limits;
  test_head_limits();
  test_body_limits();
  test_chunk_limits();
  test_all_bytes();
  test_no_memory();
  test_empty_struct();
  return report();
}
