/* core/alarm.c - layer: core. See alarm.h. Owns a timer of libuv's, and, where
 * the system has such, a descriptor that becomes readable at a time.
 *
 * The timer is for what is near. As long as it runs, each poll has a time-out,
 * which the kernel sets up and takes down again. So what is far, as the
 * time-outs of connections are, has the descriptor, which is set once and then
 * costs nothing. Either is left alone where it rings sooner than it must: a
 * deadline that is met costs the loop nothing. */
#include "core/alarm.h"

#include <stdlib.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/timerfd.h>
#endif

enum { FAR = 100 }; /* milliseconds from now */

static void near_cb(uv_timer_t *near) {
  struct gev_hub *h = near->loop->data;
  h->near_due = GEV_NEVER;
  uv_stop(near->loop); /* UV_RUN_ONCE rings it before it polls: do not wait */
}

/* Whole milliseconds, rounded up on the loop's own clock, so that no timer is
 * early. */
static void set_near(struct gev_hub *h, int64_t due) {
  if (h->near_due <= due) return;
  uv_update_time(h->loop);
  uint64_t at = ((uint64_t)due + 999999) / 1000000;
  uint64_t now = uv_now(h->loop);
  uv_timer_start(h->near, near_cb, at > now ? at - now : 0, 0);
  h->near_due = due;
}

#ifdef __linux__
static void far_cb(uv_poll_t *far, int status, int events) {
  struct gev_hub *h = far->loop->data;
  uint64_t times;
  (void)status;
  (void)events;
  if (read(h->far_fd, &times, sizeof times) > 0) h->far_due = GEV_NEVER;
}

/* A system that refuses has near alarms only. */
static void open_far(struct gev_hub *h) {
  h->far_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  if (h->far_fd < 0) return;
  h->far = malloc(sizeof *h->far);
  if (!h->far || uv_poll_init(h->loop, h->far, h->far_fd) != 0) {
    free(h->far);
    h->far = NULL;
    return;
  }
  gev_handle_own(h->far, &h->far);
  uv_poll_start(h->far, UV_READABLE, far_cb);
}

static bool set_far(struct gev_hub *h, int64_t due) {
  struct itimerspec at = {.it_value = {due / 1000000000, due % 1000000000}};
  if (!h->far) return false;
  if (h->far_due <= due) return true;
  if (timerfd_settime(h->far_fd, TFD_TIMER_ABSTIME, &at, NULL) < 0)
    return false;
  h->far_due = due;
  return true;
}
#else
static void open_far(struct gev_hub *h) { h->far_fd = -1; }
static bool set_far(struct gev_hub *h, int64_t due) {
  (void)h;
  (void)due;
  return false;
}
#endif

void gev_alarms_open(struct gev_hub *h) {
  uv_timer_init(h->loop, h->near);
  gev_handle_own(h->near, &h->near);
  h->near_due = h->far_due = GEV_NEVER;
  open_far(h);
}

void gev_alarms_set(struct gev_hub *h) {
  const struct gev_heapnode *first = gev_heap_top(&h->timers);
  if (!first) return;
  bool is_far = first->key / 1000000 - (int64_t)uv_now(h->loop) > FAR;
  if (!is_far || !set_far(h, first->key)) set_near(h, first->key);
}

void gev_alarms_close(struct gev_hub *h) {
  if (h->far_fd >= 0) close(h->far_fd);
  h->far_fd = -1;
}
