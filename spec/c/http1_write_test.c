/*
** Tests of csrc/proto/http1_write.c.
*/
#include "proto/http1_write.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check.h"

static void test_reasons(void)
{
  static const struct {
    unsigned status;
    const char *phrase;
  } known[] = {
    {100, "Continue"},
    {104, "Upload Resumption Supported"},
    {200, "OK"},
    {208, "Already Reported"},
    {226, "IM Used"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {413, "Content Too Large"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {501, "Not Implemented"},
    {505, "HTTP Version Not Supported"},
    {508, "Loop Detected"},
    {511, "Network Authentication Required"},
  };
  static const unsigned unknown[] = {0,   1,   99,  105, 199, 209, 225, 227,
                                     309, 399, 419, 420, 427, 430, 432, 450,
                                     452, 499, 509, 512, 599, 600, 999, ~0u};
  size_t i;
  unsigned status, count = 0;
  bool good = true;
  for (i = 0; i < sizeof known / sizeof *known; i++) {
    const char *phrase = gev_h1_reason(known[i].status);
    good = good && phrase != NULL && strcmp(phrase, known[i].phrase) == 0;
  }
  check(good, "phrases of registered statuses");
  good = true;
  for (i = 0; i < sizeof unknown / sizeof *unknown; i++)
    good = good && gev_h1_reason(unknown[i]) == NULL;
  check(good, "no phrases of others");
  for (status = 0; status < 1000; status++)
    count += gev_h1_reason(status) != NULL;
  check(count == 5 + 10 + 9 + 29 + 11, "as many phrases as registered");
}

static bool date_is(int64_t at, const char *want)
{
  char out[GEV_H1_DATE_LEN + 1];
  out[GEV_H1_DATE_LEN] = '!';
  gev_h1_date(out, at);
  return memcmp(out, want, GEV_H1_DATE_LEN) == 0 &&
         out[GEV_H1_DATE_LEN] == '!';
}

/* The C library's calendar, in the C locale, which a program starts with. */
static bool date_agrees(int64_t at)
{
  char want[64];
  time_t t = (time_t)at;
  struct tm tm;
  if (gmtime_r(&t, &tm) == NULL) return false;
  strftime(want, sizeof want, "%a, %d %b %Y %H:%M:%S GMT", &tm);
  return date_is(at, want);
}

static void test_dates(void)
{
  int64_t at, day = 86400;
  bool good = true;
  check(date_is(784111777, "Sun, 06 Nov 1994 08:49:37 GMT"), "RFC's date");
  check(date_is(0, "Thu, 01 Jan 1970 00:00:00 GMT"), "first date");
  check(date_is(-1, "Thu, 01 Jan 1970 00:00:00 GMT"), "no date before it");
  check(date_is(951827696, "Tue, 29 Feb 2000 12:34:56 GMT"), "leap day");
  check(date_is(4107542399, "Sun, 28 Feb 2100 23:59:59 GMT"), "no leap day");
  check(date_is(253402300799, "Fri, 31 Dec 9999 23:59:59 GMT"), "last date");
  check(date_is(INT64_MAX, "Fri, 31 Dec 9999 23:59:59 GMT"), "none after it");
  for (at = 0; at < 200000 * day && good; at += day - 1)
    good = date_agrees(at);
  check(good, "the calendar of five centuries");
}

static void test_names_and_values(void)
{
  int c;
  bool names = true, values = true;
  for (c = 0; c < 256; c++) {
    char s[3] = {'a', (char)c, 'z'};
    bool letter = (c | 32) >= 'a' && (c | 32) <= 'z' && c < 128;
    bool digit = c >= '0' && c <= '9';
    bool mark = c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL;
    bool control = (c < 32 && c != '\t') || c == 127;
    names = names && gev_h1_is_token(s, 3) == (letter || digit || mark);
    values = values && gev_h1_is_value(s, 3) == !control;
  }
  check(names, "bytes of names");
  check(values, "bytes of values");
  check(!gev_h1_is_token("", 0), "no empty name");
  check(gev_h1_is_value("", 0), "an empty value");
  check(!gev_h1_is_value("a\r\nSet-Cookie: b", 16), "no header injection");
}

static void test_chunk_lines(void)
{
  static const struct {
    uint64_t n;
    const char *line;
  } cases[] = {
    {0, "0\r\n"},       {9, "9\r\n"},
    {10, "a\r\n"},      {16, "10\r\n"},
    {65536, "10000\r\n"}, {0xdeadbeef, "deadbeef\r\n"},
    {UINT64_MAX, "ffffffffffffffff\r\n"},
  };
  char out[GEV_H1_CHUNK_LINE_MAX];
  size_t i, len;
  bool good = true;
  for (i = 0; i < sizeof cases / sizeof *cases; i++) {
    len = gev_h1_chunk_line(out, cases[i].n);
    good = good && len == strlen(cases[i].line) &&
           memcmp(out, cases[i].line, len) == 0;
  }
  check(good, "lines of chunk sizes");
}

/* In place, in a block of exactly the length: nothing around is touched. */
static bool unescapes(const char *s, const char *want)
{
  size_t len = strlen(s), out_len = 0;
  char *copy = malloc(len > 0 ? len : 1);
  bool good = copy != NULL;
  if (good) {
    memcpy(copy, s, len);
    good = gev_h1_unescape(copy, len, copy, &out_len);
    good = want == NULL ? !good
                        : good && out_len == strlen(want) &&
                            memcmp(copy, want, out_len) == 0;
  }
  free(copy);
  return good;
}

static void test_unescape(void)
{
  check(unescapes("", ""), "nothing to unescape");
  check(unescapes("/plain+path", "/plain+path"), "no escapes, + stays");
  check(unescapes("%2fa%20b%C3%a9%25", "/a b\xc3\xa9%"), "escapes");
  check(unescapes("%252e", "%2e"), "once only");
  check(unescapes("%", NULL), "lone %");
  check(unescapes("abc%4", NULL), "half an escape");
  check(unescapes("%4g", NULL), "bad second digit");
  check(unescapes("%+4", NULL), "bad first digit");
  check(unescapes("a%00b", NULL), "no zero byte");
}

int main(void)
{
  test_reasons();
  test_dates();
  test_names_and_values();
  test_chunk_lines();
  test_unescape();
  return report();
}
