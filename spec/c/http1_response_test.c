/*
** Tests of the HTTP/1 parser on responses. As in http1_test.c each case is
** bytes and the story they must tell, told whole, cut at every offset and byte
** by byte, each piece right in front of a page that may not be read.
**
** A story: for each message code, minor version, letters (k keep alive, u
** upgrade, h chunked, c until the connection closes) and (reason); then
** [name:value] of the fields, {body}, <name:value> of the trailers; at last
** "." for a good end, "!status" for an error.
*/
#include "proto/http1.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

#define CHUNKED "Transfer-Encoding: chunked\r\n\r\n"
#define CASE(what, kind, bytes, story) \
  {what, GEV_H1_##kind, bytes, sizeof bytes - 1, story}
#define OK(what, bytes, story) \
  CASE(what, RESPONSE, "HTTP/1.1 200 OK\r\n" bytes, story)

struct test {
  const char *what;
  enum gev_h1_kind kind;
  const char *bytes;
  size_t len;
  const char *story;
};

static const struct test cases[] = {
  OK("a length", "Content-Length: 2\r\n\r\nok",
     "200 1 k(OK)[Content-Length:2]{ok}."),
  OK("no length", "\r\nall of it", "200 1 c(OK){all of it}."),
  OK("no length, nothing", "\r\n", "200 1 c(OK){}."),
  OK("chunks",
     CHUNKED "2;a=b\r\nok\r\n0\r\nT: 1\r\n\r\n",
     "200 1 kh(OK)[Transfer-Encoding:chunked]{ok}<T:1>."),
  OK("two messages", "Content-Length: 0\r\n\r\nHTTP/1.1 404 No\r\n\r\nx",
     "200 1 k(OK)[Content-Length:0]{}404 1 c(No){x}."),
  OK("close", "Connection: close\r\nContent-Length: 0\r\n\r\n",
     "200 1 (OK)[Connection:close][Content-Length:0]{}."),
  OK("fields that servers may repeat",
     "Host: a\r\nHost: b\r\nContent-Type: c\r\nContent-Type: d\r\n"
     "Content-Length: 0\r\n\r\n",
     "200 1 k(OK)[Host:a][Host:b][Content-Type:c][Content-Type:d]"
     "[Content-Length:0]{}."),
  CASE("1.0", RESPONSE, "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
       "200 0 (OK)[Content-Length:0]{}."),
  CASE("1.0 that stays", RESPONSE,
       "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\n",
       "200 0 k(OK)[Connection:Keep-Alive][Content-Length:0]{}."),
  CASE("1.0 that cannot stay", RESPONSE,
       "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nx",
       "200 0 c(OK)[Connection:keep-alive]{x}."),
  CASE("no reason", RESPONSE, "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
       "200 1 k()[Content-Length:0]{}."),
  CASE("empty reason", RESPONSE, "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
       "200 1 k()[Content-Length:0]{}."),
  CASE("odd reason", RESPONSE,
       "HTTP/1.1 599 a:\t\xff \r\nContent-Length: 0\r\n\r\n",
       "599 1 k(a:\t\xff )[Content-Length:0]{}."),
  CASE("interim", RESPONSE,
       "HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n"
       "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
       "103 1 k(Hints)[Link:x]{}200 1 k(OK)[Content-Length:1]{x}."),
  CASE("switching", RESPONSE, "HTTP/1.1 101 S\r\nUpgrade: x\r\n\r\n",
       "101 1 ku(S)[Upgrade:x]{}."),
  CASE("no content", RESPONSE, "HTTP/1.1 204 N\r\n\r\n", "204 1 k(N){}."),
  CASE("no content of some length", RESPONSE,
       "HTTP/1.1 204 N\r\nContent-Length: 1\r\n\r\n",
       "204 1 (N)[Content-Length:1]{}."),
  CASE("not modified", RESPONSE,
       "HTTP/1.1 304 N\r\nContent-Length: 9\r\n\r\n",
       "304 1 k(N)[Content-Length:9]{}."),
  CASE("to HEAD", TO_HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
       "200 1 k(OK)[Content-Length:9]{}."),
  CASE("to HEAD, in chunks", TO_HEAD,
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
       "200 1 k(OK)[Transfer-Encoding:chunked]{}."),
  CASE("to CONNECT", TO_CONNECT,
       "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
       "200 1 k(OK)[Content-Length:9]{}."),
  CASE("to CONNECT, refused", TO_CONNECT,
       "HTTP/1.1 407 No\r\nContent-Length: 1\r\n\r\nx",
       "407 1 k(No)[Content-Length:1]{x}."),

  /* What is refused. */
  CASE("nothing", RESPONSE, "", "!400"),
  CASE("a request", RESPONSE, "GET / HTTP/1.1\r\n\r\n", "!400"),
  CASE("blank line first", RESPONSE, "\r\nHTTP/1.1 200 OK\r\n\r\n", "!400"),
  CASE("other version", RESPONSE, "HTTP/2.0 200 OK\r\n\r\n", "!505"),
  CASE("code of two digits", RESPONSE, "HTTP/1.1 20 OK\r\n\r\n", "!400"),
  CASE("code below 100", RESPONSE, "HTTP/1.1 020 OK\r\n\r\n", "!400"),
  CASE("cut line", RESPONSE, "HTTP/1.1 200 O", "!400"),
  OK("cut fields", "A: b\r\n", "!400"),
  OK("cut body", "Content-Length: 2\r\n\r\no",
     "200 1 k(OK)[Content-Length:2]{o}!400"),
  OK("cut chunk", "Transfer-Encoding: chunked\r\n\r\n2\r\no",
     "200 1 kh(OK)[Transfer-Encoding:chunked]{o}!400"),
  OK("cut end of chunks", "Transfer-Encoding: chunked\r\n\r\n0\r\n",
     "200 1 kh(OK)[Transfer-Encoding:chunked]!400"),
  OK("both lengths", "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
     "!400"),
  OK("two lengths", "Content-Length: 0\r\nContent-Length: 0\r\n\r\n", "!400"),
  OK("other coding", "Transfer-Encoding: gzip\r\n\r\n", "!501"),
  OK("folding", "A: b\r\n c\r\n\r\n", "!400"),
  CASE("interim with a body", RESPONSE,
       "HTTP/1.1 100 C\r\nContent-Length: 1\r\n\r\nx", "!400"),
  CASE("chunks in 1.0", RESPONSE,
       "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       "!400"),
};

struct tale {
  char text[1024];
  size_t len;
  bool in_body, over;
};

static void tell(struct tale *t, const char *s, size_t len)
{
  if (t->len + len >= sizeof t->text) abort();
  memcpy(t->text + t->len, s, len);
  t->len += len;
  t->text[t->len] = 0;
}

static void say(struct tale *t, const char *s)
{
  tell(t, s, strlen(s));
}

static void tell_fields(struct tale *t, const struct gev_h1 *p, uint32_t i,
                        uint32_t to, const char *marks)
{
  for (; i < to; i++) {
    size_t len;
    const char *s = gev_h1_name(p, i, &len);
    tell(t, marks, 1);
    tell(t, s, len);
    s = gev_h1_value(p, i, &len);
    say(t, ":");
    tell(t, s, len);
    tell(t, marks + 1, 1);
  }
}

static void tell_head(struct tale *t, const struct gev_h1 *p)
{
  char line[32];
  size_t len;
  const char *s = gev_h1_phrase(p, &len);
  snprintf(line, sizeof line, "%d %d %s%s%s%s(", p->code, p->minor,
           p->keep_alive ? "k" : "", p->upgrade ? "u" : "",
           p->chunked ? "h" : "", p->until_close ? "c" : "");
  say(t, line);
  tell(t, s, len);
  say(t, ")");
  tell_fields(t, p, 0, p->nfields, "[]");
}

static void tell_body(struct tale *t, const char *s, size_t len)
{
  if (!t->in_body) say(t, "{");
  t->in_body = true;
  tell(t, s, len);
}

static void close_body(struct tale *t)
{
  if (t->in_body) say(t, "}");
  t->in_body = false;
}

static void tell_event(struct tale *t, struct gev_h1 *p, enum gev_h1_event ev)
{
  char status[8];
  switch (ev) {
    case GEV_H1_HEAD: tell_head(t, p); break;
    case GEV_H1_BODY: tell_body(t, p->chunk, p->chunk_len); break;
    case GEV_H1_DONE:
      tell_body(t, "", 0);
      close_body(t);
      tell_fields(t, p, p->nfields, p->nfields + p->ntrailers, "<>");
      gev_h1_next(p);
      if (p->buf != NULL) say(t, "(memory kept)");
      break;
    case GEV_H1_ERROR:
      close_body(t);
      snprintf(status, sizeof status, "!%d", p->status);
      say(t, status);
      t->over = true;
      break;
    case GEV_H1_MORE: break;
  }
}

static char *guard;

static void find_guard(void)
{
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  char *map = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED) abort();
  guard = map + page;
  if (mprotect(guard, page, PROT_NONE) != 0) abort();
}

static void feed(struct tale *t, struct gev_h1 *p, const char *s, size_t len)
{
  size_t at = 0, used;
  enum gev_h1_event ev;
  memcpy(guard - len, s, len);
  do {
    ev = gev_h1_feed(p, guard - len + at, len - at, &used);
    tell_event(t, p, ev);
    at += used;
  } while (!t->over && (ev != GEV_H1_MORE || at < len));
}

/* The end of the input, where it is not a clean one between messages. */
static void finish(struct tale *t, struct gev_h1 *p)
{
  if (t->over) return;
  if (!gev_h1_idle(p) || t->len == 0) tell_event(t, p, gev_h1_end(p));
  if (!t->over) say(t, ".");
}

/* In pieces of `size`, the first of `first`. */
static bool tells(const struct test *test, size_t first, size_t size)
{
  struct gev_h1 p;
  struct tale t = {0};
  size_t at = 0, n = first;
  gev_h1_init_response(&p, test->kind, NULL);
  while (at < test->len && !t.over) {
    if (n > test->len - at) n = test->len - at;
    feed(&t, &p, test->bytes + at, n);
    at += n;
    n = size;
  }
  finish(&t, &p);
  gev_h1_free(&p);
  if (strcmp(t.text, test->story) == 0) return true;
  printf("# %s (%zu, %zu)\n#   told:  %s\n#   story: %s\n", test->what, first,
         size, t.text, test->story);
  return false;
}

static void test_limits(void)
{
  struct gev_h1_limits limits = gev_h1_default_limits;
  static const char bytes[] = "HTTP/1.1 200 OK\r\n\r\n12345";
  const size_t len = sizeof bytes - 1;
  struct gev_h1 p;
  size_t at, used;
  limits.max_body = 4;
  gev_h1_init_response(&p, GEV_H1_RESPONSE, &limits);
  check(gev_h1_feed(&p, bytes, len, &at) == GEV_H1_HEAD, "a head");
  check(gev_h1_feed(&p, bytes + at, len - at, &used) == GEV_H1_BODY &&
          used == 4,
        "as much of a body as is allowed");
  check(gev_h1_feed(&p, bytes + len - 1, 1, &used) == GEV_H1_ERROR &&
          p.status == 413,
        "and no more");
  gev_h1_free(&p);
}

int main(void)
{
  size_t i, cut;
  find_guard();
  for (i = 0; i < sizeof cases / sizeof *cases; i++) {
    const struct test *test = &cases[i];
    bool good = tells(test, test->len, test->len) && tells(test, 1, 1);
    for (cut = 1; good && cut < test->len; cut++)
      good = tells(test, cut, test->len);
    check(good, test->what);
  }
  test_limits();
  return report();
}
