/* io/quiet.h - layer: io. Writing where the system knows no MSG_NOSIGNAL: a
 * reader that is gone is to be EPIPE, and no SIGPIPE. The signal is kept off
 * this thread for the time of one call, and what came is taken away again;
 * the disposition, which belongs to the host, stays as it is. */
#ifndef GEV_IO_QUIET_H
#define GEV_IO_QUIET_H

#include <signal.h>
#include <stdbool.h>

struct gev_quiet {
  sigset_t before;
  bool was_pending;
};

void gev_quiet_begin(struct gev_quiet *q);
/* Did the call fail with EPIPE? Leaves errno as it is. */
void gev_quiet_end(const struct gev_quiet *q, bool broken);

#endif
