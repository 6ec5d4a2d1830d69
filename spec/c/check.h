/*
** For the C tests: counts checks and reports each as a line of TAP, with a
** last line "N passed, N failed". Each test is one file and includes it once.
*/
#ifndef GEV_CHECK_H
#define GEV_CHECK_H

#include <stdbool.h>
#include <stdio.h>

static unsigned passed, failed;

static inline bool check(bool good, const char *what)
{
  printf("%s %u - %s\n", good ? "ok" : "not ok", passed + failed + 1, what);
  if (good)
    passed++;
  else
    failed++;
  return good;
}

/* What main() returns. */
static inline int report(void)
{
  printf("%u passed, %u failed\n", passed, failed);
  return failed > 0;
}

#endif
