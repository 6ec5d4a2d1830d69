/*
** C tests of the multipart parser: what it makes of whole bodies, and that it
** makes the same of them cut anywhere.
*/
#include "proto/multipart.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

static char story[65536];
static size_t story_len;

static void tell(const char *s, size_t len)
{
  if (story_len + len >= sizeof story) abort();
  memcpy(story + story_len, s, len);
  story_len += len;
  story[story_len] = '\0';
}

static void say(const char *s)
{
  tell(s, strlen(s));
}

static void say_text(const struct gev_mp_text *text)
{
  say("<");
  if (text->s) tell(text->s, text->len);
  say(text->s ? ">" : "nil>");
}

static bool say_event(const struct gev_mp *p, enum gev_mp_event event)
{
  switch (event) {
    case GEV_MP_PART:
      say("part ");
      say_text(&p->name);
      say_text(&p->filename);
      say_text(&p->type);
      say(" [");
      return true;
    case GEV_MP_DATA: tell(p->chunk, p->chunk_len); return true;
    case GEV_MP_END: say("] "); return true;
    case GEV_MP_DONE: say("done"); return true;
    case GEV_MP_ERROR:
      say("error: ");
      say(p->error);
      return false;
    default: return false;
  }
}

/* Feeds the text in pieces of `step` bytes; the pieces are copies of their
** own, so that a sanitizer sees a read beyond them. */
static const char *parse(const char *boundary, const char *text, size_t step)
{
  static struct gev_mp p;
  size_t len = strlen(text), at = 0;
  story_len = 0;
  story[0] = '\0';
  if (!gev_mp_init(&p, boundary, strlen(boundary))) return "no boundary";
  while (at < len) {
    size_t n = len - at < step ? len - at : step, from = 0, used;
    char *piece = malloc(n);
    enum gev_mp_event event;
    if (!piece) abort();
    memcpy(piece, text + at, n);
    do {
      event = gev_mp_feed(&p, piece + from, n - from, &used);
      from += used;
    } while (say_event(&p, event));
    free(piece);
    if (event == GEV_MP_ERROR) break;
    at += n;
  }
  return story;
}

#define FIELD "Content-Disposition: form-data; name="

static const struct {
  const char *what, *boundary, *text, *story;
} cases[] = {
  {"two fields", "b",
   "--b\r\n" FIELD "\"a\"\r\n\r\n1\r\n--b\r\n" FIELD "c\r\n\r\n2\r\n--b--\r\n",
   "part <a><nil><nil> [1] part <c><nil><nil> [2] done"},
  {"a file", "b",
   "--b\r\n" FIELD "\"f\"; filename=\"x.txt\"\r\nContent-Type: text/plain\r\n"
   "\r\nab\r\n\r\ncd\r\n--b--",
   "part <f><x.txt><text/plain> [ab\r\n\r\ncd] done"},
  {"parts that are empty", "b",
   "--b\r\n" FIELD "a\r\n\r\n\r\n--b\r\n" FIELD "a\r\n\r\n--b--",
   "part <a><nil><nil> [] part <a><nil><nil> [] done"},
  {"content that is nearly a boundary", "bb",
   "--bb\r\n" FIELD "a\r\n\r\n\r\n--b\r\r\n--bx\r\n-\r\n--c--bb\r\n--bb--",
   "part <a><nil><nil> [\r\n--b\r\r\n--bx\r\n-\r\n--c--bb] done"},
  {"content that begins like a boundary", "bb",
   "--bb\r\n" FIELD "a\r\n\r\n--bc\r\n--bb--",
   "part <a><nil><nil> [--bc] done"},
  {"preamble, epilogue, padding", "b",
   "pre\r\n-\r\n--b \t\r\n" FIELD "a\r\n\r\n1\r\n--b--\r\npost\r\n--b\r\n",
   "part <a><nil><nil> [1] done"},
  {"no part", "b", "--b--\r\n", "done"},
  {"escapes", "b",
   "--b\r\n" FIELD "\"a\\\"b\\\\c\\d\"; filename=\"C:\\x\\y.txt\"\r\n"
   "\r\n\r\n--b--",
   "part <a\"b\\c\\d><C:\\x\\y.txt><nil> [] done"},
  {"names in any case, other fields", "b",
   "--b\r\nX-Y: z\r\ncontent-DISPOSITION:Form-Data;NAME=a ; x=y\r\n"
   "\r\n\r\n--b--",
   "part <a><nil><nil> [] done"},
  {"semicolons in quotes", "b",
   "--b\r\n" FIELD "\"a; filename=no\"\r\n\r\n\r\n--b--",
   "part <a; filename=no><nil><nil> [] done"},
  {"a part without fields", "b", "--b\r\n\r\n1\r\n--b--",
   "error: a part without Content-Disposition: form-data"},
  {"a part without a name", "b",
   "--b\r\nContent-Disposition: form-data\r\n\r\n\r\n--b--",
   "error: a part without a name"},
  {"another disposition", "b",
   "--b\r\nContent-Disposition: attachment; name=a\r\n\r\n\r\n--b--",
   "error: a part without Content-Disposition: form-data"},
  {"two dispositions", "b",
   "--b\r\n" FIELD "a\r\n" FIELD "b\r\n\r\n\r\n--b--",
   "error: a part with two Content-Disposition fields"},
  {"a folded field", "b", "--b\r\n" FIELD "a\r\n x\r\n\r\n\r\n--b--",
   "error: bad field of a part"},
  {"a bare LF in a field", "b", "--b\r\n" FIELD "a\nX: y\r\n\r\n\r\n--b--",
   "error: bad field of a part"},
  {"an open quote", "b", "--b\r\n" FIELD "\"a\r\n\r\n\r\n--b--",
   "error: a part without a name"},
  {"a boundary with a tail", "b", "--bc\r\n" FIELD "a\r\n\r\n1\r\n--b--",
   "error: bad boundary line"},
  {"one dash", "b", "--b-\r\n", "error: bad boundary line"},
  {"a CR alone", "b", "--b\rx", "error: bad boundary line"},
  {"no end", "b", "--b\r\n" FIELD "a\r\n\r\n1\r\n--", "part <a><nil><nil> [1"},
  {"no boundary at all", "b", "hello", ""},
};

static void test_cases(void)
{
  size_t i, step;
  for (i = 0; i < sizeof cases / sizeof *cases; i++) {
    bool same = true;
    check(strcmp(parse(cases[i].boundary, cases[i].text, 65536),
                 cases[i].story) == 0, cases[i].what);
    for (step = 1; step < 40; step++)
      same = same && strcmp(parse(cases[i].boundary, cases[i].text, step),
                            cases[i].story) == 0;
    check(same, "the same in pieces");
  }
}

static void test_boundaries(void)
{
  struct gev_mp p;
  char longest[GEV_MP_MAX_BOUNDARY + 1];
  memset(longest, 'b', sizeof longest);
  check(gev_mp_init(&p, longest, sizeof longest - 1), "70 characters");
  check(!gev_mp_init(&p, longest, sizeof longest), "71 characters");
  check(!gev_mp_init(&p, "", 0), "none");
  check(!gev_mp_init(&p, "a\r", 2), "a control character");
  check(!gev_mp_init(&p, "a ", 2), "a blank at the end");
  check(!gev_mp_init(&p, "a\0b", 3), "a NUL");
  check(gev_mp_init(&p, "a'()+_,-./:=? b", 15), "all that may be in it");
}

static void test_limit(void)
{
  static char text[GEV_MP_MAX_FIELDS + 100];
  struct gev_mp p;
  size_t used;
  memset(text, 'x', sizeof text);
  memcpy(text, "--b\r\n", 5);
  gev_mp_init(&p, "b", 1);
  check(gev_mp_feed(&p, text, sizeof text, &used) == GEV_MP_ERROR &&
          p.too_large, "fields that are too large");
  check(gev_mp_feed(&p, "x", 1, &used) == GEV_MP_ERROR, "and there it stays");
}

static void test_param(void)
{
  char out[64];
  size_t len;
  const char *v = "multipart/form-data; boundary=\"a b\"";
  check(gev_mp_param(v, strlen(v), "boundary", out, &len) && len == 3 &&
          memcmp(out, "a b", 3) == 0, "a quoted boundary");
  v = "multipart/form-data;boundary=ab; x=y";
  check(gev_mp_param(v, strlen(v), "boundary", out, &len) && len == 2,
        "a plain one");
  check(!gev_mp_param("a/b", 3, "boundary", out, &len), "no parameter");
  check(!gev_mp_param("a;", 2, "boundary", out, &len), "an empty one");
}

int main(void)
{
  test_cases();
  test_boundaries();
  test_limit();
  test_param();
  return report();
}
