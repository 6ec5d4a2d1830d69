/*
** Fuzzing of the readers of field values (libFuzzer): they stay inside their
** input, and what they return is in its bounds. A date that is read must come
** back from the day it stands for.
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/http1_fields.h"
#include "proto/http1_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(c) ((c) ? (void)0 : fail(#c, __LINE__))

static void fail(const char *what, int line)
{
  fprintf(stderr, "line %d: %s does not hold\n", line, what);
  abort();
}

static void check_date(const char *s, size_t len)
{
  int64_t seconds, back;
  char text[GEV_H1_DATE_LEN];
  if (!gev_h1_parse_date(s, len, &seconds)) return;
  CHECK(len >= 24 && len <= 33);
  if (seconds < 0 || seconds > 253402300799) return;
  gev_h1_date(text, seconds);
  CHECK(gev_h1_parse_date(text, sizeof text, &back) && back == seconds);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static const char *const names[] = {"gzip", "*", "a"};
  char *copy = malloc(size ? size : 1); /* of that size, for the sanitizer */
  size_t i;
  if (!copy) return 0;
  if (size) memcpy(copy, data, size);
  check_date(copy, size);
  for (i = 0; i < 3; i++) {
    int q = gev_h1_quality(copy, size, names[i]);
    CHECK(q >= -1 && q <= 1000);
  }
  free(copy);
  return 0;
}
