/*
** C tests of http1_fields: dates in their three forms, lists with qualities.
*/
#include "proto/http1_fields.h"

#include <string.h>

#include "check.h"
#include "proto/http1_write.h"

#define NO INT64_MIN

static int64_t date(const char *s)
{
  int64_t seconds;
  return gev_h1_parse_date(s, strlen(s), &seconds) ? seconds : NO;
}

static void test_dates(void)
{
  static const struct {
    const char *text;
    int64_t seconds;
  } dates[] = {
    {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
    {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
    {"Sun Nov  6 08:49:37 1994", 784111777},
    {"Wed Nov 16 08:49:37 1994", 784975777},
    {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
    {"Thu, 29 Feb 2024 23:59:60 GMT", 1709251200},
    {"Fri, 29 Feb 2023 00:00:00 GMT", NO},
    {"Mon, 29 Feb 2100 00:00:00 GMT", NO},
    {"Sat, 32 Jan 2000 00:00:00 GMT", NO},
    {"Sat, 01 Jan 2000 24:00:00 GMT", NO},
    {"Sat, 01 Foo 2000 00:00:00 GMT", NO},
    {"Sat, 01 Jan 2000 00:00:00 UTC", NO},
    {"Sat, 01 Jan 2000 00:00:00", NO},
    {"Saturday, 01-Jan-00 00:00:00 GMT", 946684800},
    {"Saturday, 01-Jan-2000 00:00:00 GMT", NO},
    {"0", NO},
    {"", NO},
  };
  size_t i;
  for (i = 0; i < sizeof dates / sizeof *dates; i++)
    check(date(dates[i].text) == dates[i].seconds, dates[i].text);
}

static void test_there_and_back(void)
{
  bool good = true;
  int64_t at;
  for (at = 0; at < 253402300799; at += 86400 * 29 + 12347) {
    char text[GEV_H1_DATE_LEN];
    int64_t back;
    gev_h1_date(text, at);
    good = good && gev_h1_parse_date(text, sizeof text, &back) && back == at;
  }
  check(good, "what gev_h1_date writes is read");
}

static void test_qualities(void)
{
  static const struct {
    const char *list, *what;
    int quality;
  } lists[] = {
    {"gzip", "gzip", 1000},
    {"gzip, deflate, br", "deflate", 1000},
    {"GZip;q=0.5", "gzip", 500},
    {"gzip ; Q=0.125 ,x", "gzip", 125},
    {"gzip;q=0", "gzip", 0},
    {"gzip;q=1.000", "gzip", 1000},
    {"gzip;q=2", "gzip", 0},
    {"gzip;q=1.5", "gzip", 0},
    {"gzip;q=", "gzip", 0},
    {"gzip;q=0.1234", "gzip", 0},
    {"gzip;x=y;q=0.1", "gzip", 100},
    {"x-gzip", "gzip", -1},
    {"gzipped", "gzip", -1},
    {"deflate;q=gzip", "gzip", -1},
    {"br, *;q=0.1", "*", 100},
    {",, gzip ,", "gzip", 1000},
    {"", "gzip", -1},
  };
  size_t i;
  for (i = 0; i < sizeof lists / sizeof *lists; i++)
    check(gev_h1_quality(lists[i].list, strlen(lists[i].list),
                         lists[i].what) == lists[i].quality, lists[i].list);
}

int main(void)
{
  test_dates();
  test_there_and_back();
  test_qualities();
  return report();
}
