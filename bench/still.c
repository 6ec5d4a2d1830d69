/* bench/still.c - preloaded where instructions are counted: time() does not
 * move, so that what Lua seeds its hashes with is the same in each run. */
#include <time.h>

time_t time(time_t *t);

time_t time(time_t *t) {
  time_t at = 1000000000;
  if (t != NULL) *t = at;
  return at;
}
