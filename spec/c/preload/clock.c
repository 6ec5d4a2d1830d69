/* spec/c/preload/clock.c - for LD_PRELOAD: a wall clock that jumps back or on
 * by an hour at each look. The monotonic clock goes on as it is. */
#define _GNU_SOURCE
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long jump(void) {
  static long at;
  return (at++ % 3 - 1) * 3600;
}

int clock_gettime(clockid_t id, struct timespec *ts) {
  int err = (int)syscall(SYS_clock_gettime, id, ts);
  if (err == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
    ts->tv_sec += jump();
  return err;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone) {
  struct timespec ts;
  (void)zone;
  if (clock_gettime(CLOCK_REALTIME, &ts) != 0) return -1;
  tv->tv_sec = ts.tv_sec;
  tv->tv_usec = ts.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *to) {
  struct timespec ts;
  clock_gettime(CLOCK_REALTIME, &ts);
  if (to) *to = ts.tv_sec;
  return ts.tv_sec;
}
