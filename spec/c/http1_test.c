/*
** Tests of the HTTP/1 request parser. Each case is bytes and the story they
** must tell; it is told whole, cut at every offset, byte by byte, and (when
** the connection may go on) three times in a row. Every piece lies right in
** front of a page that may not be read.
**
** A story: for each message METHOD target minor-version and letters (k keep
** alive, u upgrade, c CONNECT, h chunked, e expects 100), then [name:value]
** of the fields, {body} and <name:value> of the trailers; at last "." for a
** clean end, "..." for one within a message, "!status" for an error.
*/
#include "proto/http1.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

#define HOST "Host: h\r\n"
#define CHUNKED "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
#define CHUNKED_STORY "POST / 1 kh [Host:h][Transfer-Encoding:chunked]"
#define CASE(what, bytes, story) {what, bytes, sizeof bytes - 1, story}
#define LINE(what, line) CASE(what, line "\r\n" HOST "\r\n", "!400")
#define FIELD(what, field, story) \
  CASE(what, "GET / HTTP/1.1\r\n" HOST field "\r\n\r\n", story)
#define BODY(what, body, story) CASE(what, CHUNKED body, story)

struct test {
  const char *what;
  const char *bytes;
  size_t len;
  const char *story;
};

static const struct test cases[] = {
  /* Heads that are good. */
  CASE("smallest 1.1", "GET / HTTP/1.1\r\n" HOST "\r\n",
       "GET / 1 k [Host:h]{}."),
  CASE("smallest 1.0", "GET / HTTP/1.0\r\n\r\n", "GET / 0  {}."),
  CASE("kept 1.0", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
       "GET / 0 k [Connection:Keep-Alive]{}."),
  CASE("nothing", "", "."),
  CASE("empty lines first", "\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n",
       "GET / 1 k [Host:h]{}."),
  CASE("empty line behind", "GET / HTTP/1.1\r\n" HOST "\r\n\r\n",
       "GET / 1 k [Host:h]{}."),
  CASE("half an empty line", "\r", "..."),
  FIELD("blanks around values", "A: \t b c\t \r\nB:\r\nC:d",
        "GET / 1 k [Host:h][A:b c][B:][C:d]{}."),
  FIELD("blanks only", "A:  \t ", "GET / 1 k [Host:h][A:]{}."),
  FIELD("8-bit value", "A: \xc3\xa9", "GET / 1 k [Host:h][A:\xc3\xa9]{}."),
  FIELD("odd name", "a1!#$%&'*+-.^_`|~: b",
        "GET / 1 k [Host:h][a1!#$%&'*+-.^_`|~:b]{}."),
  FIELD("colons in a value", "A: b: c:", "GET / 1 k [Host:h][A:b: c:]{}."),
  FIELD("twice the same name", "A: 1\r\na: 2",
        "GET / 1 k [Host:h][A:1][a:2]{}."),
  CASE("empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n",
       "GET / 1 k [Host:]{}."),
  CASE("literal host", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
       "GET / 1 k [Host:[::1]:80]{}."),
  CASE("cut in the line", "GET / HT", "..."),
  CASE("cut in the fields", "GET / HTTP/1.1\r\n" HOST, "..."),

  /* Connection. */
  FIELD("close", "Connection: close",
        "GET / 1  [Host:h][Connection:close]{}."),
  FIELD("close in a list", "Connection: x,\t CLOSE\t ,, y",
        "GET / 1  [Host:h][Connection:x,\t CLOSE\t ,, y]{}."),
  FIELD("close in another field", "Connection: x\r\nConnection: close",
        "GET / 1  [Host:h][Connection:x][Connection:close]{}."),
  FIELD("not close", "Connection: closed, not close, close;x",
        "GET / 1 k [Host:h][Connection:closed, not close, close;x]{}."),
  CASE("close wins in 1.0",
       "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n",
       "GET / 0  [Connection:keep-alive, close]{}."),
  FIELD("upgrade", "Connection: Upgrade\r\nUpgrade: websocket",
        "GET / 1 ku [Host:h][Connection:Upgrade][Upgrade:websocket]{}."),
  FIELD("upgrade not meant", "Upgrade: websocket",
        "GET / 1 k [Host:h][Upgrade:websocket]{}."),
  CASE("no upgrade of 1.0",
       "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
       "GET / 0  [Connection:upgrade][Upgrade:x]{}."),
  CASE("upgrade with a body",
       "POST / HTTP/1.1\r\n" HOST "Connection: upgrade\r\nUpgrade: x\r\n"
       "Content-Length: 2\r\n\r\nok",
       "POST / 1 ku [Host:h][Connection:upgrade][Upgrade:x]"
       "[Content-Length:2]{ok}."),

  /* Targets. */
  CASE("absolute form", "GET http://a:b@h:80?q HTTP/1.1\r\n" HOST "\r\n",
       "GET http://a:b@h:80?q (h:80,?q) 1 k [Host:h]{}."),
  CASE("absolute form, no path", "GET HTTPS://[::1] HTTP/1.1\r\n" HOST "\r\n",
       "GET HTTPS://[::1] ([::1],) 1 k [Host:h]{}."),
  CASE("authority form", "CONNECT h:443 HTTP/1.1\r\n" HOST "\r\n",
       "CONNECT h:443 (h:443,) 1 kc [Host:h]{}."),
  CASE("asterisk form", "OPTIONS * HTTP/1.1\r\n" HOST "\r\n",
       "OPTIONS * 1 k [Host:h]{}."),
  CASE("odd but usual path", "GET //a\"b|?c=\\d?#e HTTP/1.1\r\n" HOST "\r\n",
       "GET //a\"b|?c=\\d?#e 1 k [Host:h]{}."),
  LINE("asterisk of GET", "GET * HTTP/1.1"),
  LINE("relative path", "GET a/b HTTP/1.1"),
  LINE("authority of GET", "GET h:80 HTTP/1.1"),
  LINE("CONNECT to a path", "CONNECT /a HTTP/1.1"),
  LINE("CONNECT without port", "CONNECT h HTTP/1.1"),
  LINE("CONNECT with a user", "CONNECT u@h:1 HTTP/1.1"),
  LINE("port is no number", "GET http://h:8o/ HTTP/1.1"),
  LINE("no host", "GET http:///a HTTP/1.1"),
  LINE("other scheme", "GET ftp://h/a HTTP/1.1"),
  LINE("bad host", "GET http://]h/ HTTP/1.1"),
  LINE("two at signs", "GET http://a@b@h/ HTTP/1.1"),
  LINE("8-bit target", "GET /\xc3\xa9 HTTP/1.1"),

  /* Request lines that are bad. */
  LINE("no target", "GET HTTP/1.1"),
  LINE("two spaces in front of the target", "GET  / HTTP/1.1"),
  LINE("two spaces behind it", "GET /  HTTP/1.1"),
  LINE("tab in front of the target", "GET\t/ HTTP/1.1"),
  LINE("space in the target", "GET /a b HTTP/1.1"),
  LINE("space at the end", "GET / HTTP/1.1 "),
  LINE("space at the start", " GET / HTTP/1.1"),
  LINE("no version", "GET /"),
  LINE("long version", "GET / HTTP/1.10"),
  LINE("small letters in the version", "GET / http/1.1"),
  LINE("other protocol", "GET / RTSP/1.0"),
  LINE("LF in the line", "GET\n/ HTTP/1.1"),
  CASE("bare LF behind the line", "GET / HTTP/1.1\n" HOST "\r\n", "!400"),
  CASE("bare CR behind the line", "GET / HTTP/1.1\r" HOST "\r\n", "!400"),
  CASE("bare LF in front", "\nGET / HTTP/1.1\r\n" HOST "\r\n", "!400"),
  CASE("bare CR in front", "\rGET / HTTP/1.1\r\n" HOST "\r\n", "!400"),
  CASE("too many empty lines",
       "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n", "!400"),
  CASE("old version", "GET / HTTP/0.9\r\n\r\n", "!505"),
  CASE("next version", "GET / HTTP/2.0\r\n\r\n", "!505"),
  CASE("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "!505"),
  CASE("unknown method", "FLY / HTTP/1.1\r\n" HOST "\r\n", "!501"),
  CASE("longer method", "GETS / HTTP/1.1\r\n" HOST "\r\n", "!501"),
  CASE("a method too new for llhttp", "QUERY /a HTTP/1.1\r\n" HOST "\r\n",
       "QUERY /a 1 k [Host:h]{}."),
  CASE("not quite that method", "QUERIES / HTTP/1.1\r\n" HOST "\r\n",
       "!501"),
  CASE("less than that method", "Q / HTTP/1.1\r\n" HOST "\r\n", "!501"),
  CASE("zero in that method", "QU\0RY / HTTP/1.1\r\n" HOST "\r\n", "!400"),
  CASE("small letters in the method", "get / HTTP/1.1\r\n", "!501"),
  CASE("HEAD with a body",
       "HEAD / HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nx", "!400"),
  CASE("HEAD in chunks", "HEAD / HTTP/1.1\r\n" HOST
       "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "!400"),
  CASE("HEAD without one", "HEAD / HTTP/1.1\r\n" HOST
       "Content-Length: 0\r\n\r\n", "HEAD / 1 k [Host:h][Content-Length:0]{}."),
  CASE("a word", "GARBAGE\r\n\r\n", "!400"),
  CASE("text", "NOT HTTP AT ALL\r\n\r\n", "!400"),
  CASE("unknown method, no target", "FLY  HTTP/1.1\r\n", "!400"),
  CASE("unknown method, no version", "FLY /\r\n" HOST "\r\n", "!400"),
  CASE("unknown method, bare LF", "FLY / HTTP/1.1\n" HOST "\r\n", "!400"),
  CASE("query of other words", "Queen of hearts\r\n", "!400"),
  CASE("TLS", "\x16\x03\x01\x02", "!400"),
  CASE("zero in the method", "GE\0T / HTTP/1.1\r\n" HOST "\r\n", "!400"),

  /* Fields that are bad. */
  CASE("no Host", "GET / HTTP/1.1\r\n\r\n", "!400"),
  FIELD("two Hosts", HOST "A: b", "!400"),
  CASE("two Hosts in 1.0", "GET / HTTP/1.0\r\n" HOST HOST "\r\n", "!400"),
  CASE("bad Host", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "!400"),
  CASE("Host with blanks", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "!400"),
  CASE("Host with a user", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", "!400"),
  CASE("Host with bad port", "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", "!400"),
  CASE("space in front of a field",
       "GET / HTTP/1.1\r\n " HOST "\r\n", "!400"),
  FIELD("folded value", "A: b\r\n c", "!400"),
  FIELD("folded empty value", "A:\r\n\tc", "!400"),
  FIELD("space in front of the colon", "A : b", "!400"),
  FIELD("no colon", "A b", "!400"),
  FIELD("no name", ": b", "!400"),
  FIELD("8-bit name", "\xc3\xa9: b", "!400"),
  FIELD("bare LF", "A: b\nC: d", "!400"),
  FIELD("bare CR", "A: b\rC: d", "!400"),
  FIELD("bare LF in an empty value", "A:\nC: d", "!400"),
  FIELD("CR CR LF", "A: b\r", "!400"),
  FIELD("zero", "A: b\0c", "!400"),
  FIELD("two Content-Types", "Content-Type: a/b\r\nContent-Type: c/d",
        "!400"),
  CASE("bare LF as empty line", "GET / HTTP/1.1\r\n" HOST "\n", "!400"),
  CASE("bare CR as empty line", "GET / HTTP/1.1\r\n" HOST "\rG", "!400"),

  /* Bodies of a length. */
  CASE("length", "POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc",
       "POST / 1 k [Host:h][Content-Length:3]{abc}."),
  CASE("length with zeros",
       "POST / HTTP/1.1\r\n" HOST "content-length:  003 \r\n\r\nabc",
       "POST / 1 k [Host:h][content-length:003]{abc}."),
  CASE("length of a GET in 1.0",
       "GET / HTTP/1.0\r\nContent-Length: 2\r\n\r\n\r\n",
       "GET / 0  [Content-Length:2]{\r\n}."),
  FIELD("length 0", "Content-Length: 0",
        "GET / 1 k [Host:h][Content-Length:0]{}."),
  CASE("cut in the body",
       "POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nab",
       "POST / 1 k [Host:h][Content-Length:3]{ab}..."),
  CASE("expecting 100",
       "POST / HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\n"
       "Content-Length: 1\r\n\r\na",
       "POST / 1 ke [Host:h][Expect:100-Continue][Content-Length:1]{a}."),
  FIELD("expecting without a body", "Expect: 100-continue",
        "GET / 1 k [Host:h][Expect:100-continue]{}."),
  FIELD("no length", "Content-Length:", "!400"),
  FIELD("negative length", "Content-Length: -1", "!400"),
  FIELD("length with plus", "Content-Length: +1", "!400"),
  FIELD("hexadecimal length", "Content-Length: 0x1", "!400"),
  FIELD("two numbers", "Content-Length: 1 1", "!400"),
  FIELD("list of lengths", "Content-Length: 1, 1", "!400"),
  FIELD("two lengths", "Content-Length: 1\r\nContent-Length: 1", "!400"),
  FIELD("length of 2^64", "Content-Length: 18446744073709551616", "!400"),

  /* Transfer-Encoding. */
  FIELD("length and chunks",
        "Content-Length: 1\r\nTransfer-Encoding: chunked", "!400"),
  FIELD("chunks and length",
        "Transfer-Encoding: chunked\r\nContent-Length: 1", "!400"),
  CASE("chunks in 1.0",
       "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       "!400"),
  FIELD("other coding", "Transfer-Encoding: gzip", "!501"),
  CASE("codings", "POST / HTTP/1.1\r\n" HOST
       "Transfer-Encoding: gzip , Chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
       "POST / 1 kh [Host:h][Transfer-Encoding:gzip , Chunked]{a}."),
  CASE("codings in two fields", "POST / HTTP/1.1\r\n" HOST
       "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n"
       "1\r\na\r\n0\r\n\r\n",
       "POST / 1 kh [Host:h][Transfer-Encoding:identity]"
       "[Transfer-Encoding:chunked]{a}."),
  FIELD("unknown coding", "Transfer-Encoding: br, chunked", "!501"),
  FIELD("no last coding", "Transfer-Encoding: identity", "!501"),
  FIELD("empty coding", "Transfer-Encoding: , chunked", "!501"),
  FIELD("codings and length",
        "Transfer-Encoding: identity\r\nContent-Length: 1", "!400"),
  FIELD("chunked not last", "Transfer-Encoding: chunked, gzip", "!400"),
  FIELD("not quite chunked", "Transfer-Encoding: xchunked", "!501"),
  FIELD("no coding", "Transfer-Encoding:", "!501"),
  FIELD("chunked twice",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "!400"),
  FIELD("vertical tab", "Transfer-Encoding: \x0b" "chunked", "!400"),

  /* Chunks. */
  BODY("chunks", "3\r\nabc\r\n002\r\nde\r\n0\r\n\r\n",
       CHUNKED_STORY "{abcde}."),
  BODY("no chunks", "0\r\n\r\n", CHUNKED_STORY "{}."),
  BODY("many zeros", "000\r\n\r\n", CHUNKED_STORY "{}."),
  BODY("hexadecimal sizes", "A\r\n0123456789\r\nb\r\n0123456789a\r\n0\r\n\r\n",
       CHUNKED_STORY "{01234567890123456789a}."),
  BODY("extensions",
       "1;a;b=c; d = \"e;\\\"\r\" ;f\r\n"
       "x\r\n0;g\r\n\r\n",
       CHUNKED_STORY "!400"),
  BODY("good extensions",
       "1;a;b=c; d = \"e; \\\"f\" ;g;h=\"\"\r\nx\r\n0;g\r\n\r\n",
       CHUNKED_STORY "{x}."),
  BODY("line ends as data", "2\r\n\r\n\r\n0\r\n\r\n", CHUNKED_STORY "{\r\n}."),
  BODY("cut in a size", "3", CHUNKED_STORY "..."),
  BODY("cut in front of trailers", "0\r\n", CHUNKED_STORY "..."),
  BODY("cut in the last line end", "0\r\n\r", CHUNKED_STORY "..."),
  BODY("no size", "\r\nabc", CHUNKED_STORY "!400"),
  BODY("extension without size", ";a\r\n", CHUNKED_STORY "!400"),
  BODY("prefix of size", "0x1\r\nx\r\n", CHUNKED_STORY "!400"),
  BODY("sign of size", "+1\r\nx\r\n", CHUNKED_STORY "!400"),
  BODY("underscore in size", "1_0\r\nx\r\n", CHUNKED_STORY "!400"),
  BODY("space in front of size", " 1\r\nx\r\n", CHUNKED_STORY "!400"),
  BODY("space behind size", "1 \r\nx\r\n", CHUNKED_STORY "!400"),
  BODY("bare LF behind size", "1\nx\r\n", CHUNKED_STORY "!400"),
  BODY("bare CR behind size", "1\rx\r\n", CHUNKED_STORY "!400"),
  BODY("size of 17 digits", "00000000000000001\r\nx", CHUNKED_STORY "!400"),
  BODY("no line end behind data", "1\r\nxy\r\n", CHUNKED_STORY "{x}!400"),
  BODY("bare LF behind data", "1\r\nx\n0\r\n", CHUNKED_STORY "{x}!400"),
  BODY("bare CR behind data", "1\r\nx\r0\r\n", CHUNKED_STORY "{x}!400"),
  BODY("extension without name", "1;\r\nx", CHUNKED_STORY "!400"),
  BODY("extension without value", "1;a=\r\nx", CHUNKED_STORY "!400"),
  BODY("open quotes", "1;a=\"b\r\nx", CHUNKED_STORY "!400"),
  BODY("LF in an extension", "1;a\n\r\nx", CHUNKED_STORY "!400"),
  BODY("blank behind an extension", "1;a \r\nx", CHUNKED_STORY "!400"),

  /* Trailers. */
  BODY("trailers", "0\r\nA: b\r\nC:\t d \r\n\r\n",
       CHUNKED_STORY "{}<A:b><C:d>."),
  BODY("trailer Connection is none of ours", "0\r\nConnection: close\r\n\r\n",
       CHUNKED_STORY "{}<Connection:close>."),
  BODY("cut in a trailer", "0\r\nA: b", CHUNKED_STORY "..."),
  BODY("trailer Host", "0\r\nhost: a\r\n\r\n", CHUNKED_STORY "!400"),
  BODY("trailer Content-Length", "0\r\nContent-Length: 1\r\n\r\n",
       CHUNKED_STORY "!400"),
  BODY("trailer Transfer-Encoding", "0\r\nTransfer-Encoding: x\r\n\r\n",
       CHUNKED_STORY "!400"),
  BODY("folded trailer", "0\r\nA: b\r\n c\r\n\r\n", CHUNKED_STORY "!400"),
  BODY("blank trailer", "0\r\n A: b\r\n\r\n", CHUNKED_STORY "!400"),
  BODY("bare LF trailer", "0\r\nA: b\n\r\n", CHUNKED_STORY "!400"),
  BODY("bare LF for trailers", "0\r\n\n", CHUNKED_STORY "!400"),
  BODY("request as trailer", "0\r\nGET / HTTP/1.1\r\n" HOST "\r\n",
       CHUNKED_STORY "!400"),

  /* Several requests. */
  CASE("two requests",
       "POST /a HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nx"
       "GET /b HTTP/1.1\r\n" HOST "\r\n",
       "POST /a 1 k [Host:h][Content-Length:1]{x}GET /b 1 k [Host:h]{}."),
  CASE("bad second one",
       "GET /a HTTP/1.1\r\n" HOST "\r\nGET /b HTTP/1.1\r\n\r\n",
       "GET /a 1 k [Host:h]{}!400"),
};

/* The story as it is told. */
struct tale {
  char text[4096];
  size_t len;
  bool in_body;
  bool over;
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
  size_t len;
  const char *s = gev_h1_method(p, &len);
  tell(t, s, len);
  say(t, " ");
  s = gev_h1_target(p, &len);
  tell(t, s, len);
  s = gev_h1_authority(p, &len);
  if (len > 0) {
    say(t, " (");
    tell(t, s, len);
    s = gev_h1_path(p, &len);
    say(t, ",");
    tell(t, s, len);
    say(t, ")");
  }
  say(t, p->minor == 1 ? " 1 " : " 0 ");
  if (p->keep_alive) say(t, "k");
  if (p->upgrade) say(t, "u");
  if (p->connect) say(t, "c");
  if (p->chunked) say(t, "h");
  if (p->expect_continue) say(t, "e");
  say(t, " ");
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

static void tell_error(struct tale *t, const struct gev_h1 *p)
{
  char status[8];
  close_body(t);
  snprintf(status, sizeof status, "!%d", p->status);
  say(t, status);
  t->over = true;
}

static void tell_event(struct tale *t, struct gev_h1 *p, enum gev_h1_event ev)
{
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
    case GEV_H1_ERROR: tell_error(t, p); break;
    case GEV_H1_MORE: break;
  }
}

/* The byte behind the pieces: the first of a page that may not be read. */
static char *guard;

static void find_guard(void)
{
  size_t page = (size_t)sysconf(_SC_PAGESIZE), room = 16 * page;
  char *map = mmap(NULL, room + page, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED) abort();
  guard = map + room;
  if (mprotect(guard, page, PROT_NONE) != 0) abort();
}

static void feed(struct tale *t, struct gev_h1 *p, const char *s, size_t len)
{
  size_t at = 0, used;
  enum gev_h1_event ev;
  memcpy(guard - len, s, len);
  do {
    ev = gev_h1_feed(p, guard - len + at, len - at, &used);
    if (used > len - at) say(t, "(too much used)");
    if (ev == GEV_H1_MORE && used < len - at) say(t, "(not all used)");
    tell_event(t, p, ev);
    at += used;
  } while (!t->over && (ev != GEV_H1_MORE || at < len));
}

/* In pieces of `size`, the first of `first`. */
static void parse(struct tale *t, const struct gev_h1_limits *limits,
                  const char *s, size_t len, size_t first, size_t size)
{
  struct gev_h1 p;
  size_t at = 0, n = first;
  memset(t, 0, sizeof *t);
  gev_h1_init(&p, limits);
  while (at < len && !t->over) {
    if (n > len - at) n = len - at;
    feed(t, &p, s + at, n);
    at += n;
    n = size;
  }
  if (!t->over) {
    close_body(t);
    say(t, gev_h1_idle(&p) ? "." : "...");
  }
  gev_h1_free(&p);
  gev_h1_free(&p);
}

static bool told(struct tale *t, const char *want, const char *what,
                 const char *how)
{
  if (strcmp(t->text, want) == 0) return true;
  printf("# %s, %s\n# wanted %s\n# got    %s\n", what, how, want, t->text);
  return false;
}

static bool told_in_a_row(const struct test *c)
{
  static struct tale t;
  char bytes[2048], want[2048] = "";
  size_t n = strlen(c->story), i;
  bool kept = n > 1 && c->story[n - 1] == '.' && c->story[n - 2] != '.' &&
              strstr(c->story, " 0  ") == NULL;
  if (!kept) return true;
  for (i = 0; i < 3; i++) {
    memcpy(bytes + i * c->len, c->bytes, c->len);
    strncat(want, c->story, n - 1);
  }
  strcat(want, ".");
  parse(&t, NULL, bytes, 3 * c->len, 3 * c->len, 1);
  if (!told(&t, want, c->what, "three in a row")) return false;
  parse(&t, NULL, bytes, 3 * c->len, 7, 7);
  return told(&t, want, c->what, "three in a row, in pieces of 7");
}

static void test_case(const struct test *c)
{
  static struct tale t;
  size_t cut;
  bool good;
  parse(&t, NULL, c->bytes, c->len, c->len, 1);
  good = told(&t, c->story, c->what, "whole");
  for (cut = 1; cut < c->len && good; cut++) {
    parse(&t, NULL, c->bytes, c->len, cut, c->len);
    good = told(&t, c->story, c->what, "cut in two");
  }
  if (good) {
    parse(&t, NULL, c->bytes, c->len, 1, 1);
    good = told(&t, c->story, c->what, "byte by byte");
  }
  check(good && told_in_a_row(c), c->what);
}

int main(void)
{
  size_t i;
  find_guard();
  for (i = 0; i < sizeof cases / sizeof *cases; i++) test_case(cases + i);
  return report();
}
