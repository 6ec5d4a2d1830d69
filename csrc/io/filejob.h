/* io/filejob.h - layer: io. The transport of files that cannot be polled: one
 * request at a time in libuv's thread pool.
 *
 * A read that finds nothing starts a request and asks to be called again;
 * its completion wakes whoever waits, as readiness would. The data belong to
 * the stream, not to who asked: if he is gone by then the next one has them.
 * A write takes a copy of the data; the stream is `unsent` until they are
 * out, and a write of nothing tells what went wrong. So a write that is
 * killed or times out never writes anything twice.
 *
 * The position is the descriptor's own, which other processes may share. The
 * request owns the descriptor: closing a file waits for nobody, and the
 * number is not free before the thread is done with it. Where there is no
 * loop, in a state that is being closed, requests are done at once. */
#ifndef GEV_IO_FILEJOB_H
#define GEV_IO_FILEJOB_H

#include "io/file.h"

/* Makes it the transport of a file that has its descriptor; false: out of
 * memory. */
bool gev_filejob_init(struct gev_file *f);
bool gev_filejob_busy(const struct gev_file *f);
/* How far the descriptor's position is ahead of what was asked for. */
size_t gev_filejob_ahead(const struct gev_file *f);
/* Drops that input; the position is the caller's business. */
void gev_filejob_forget(struct gev_file *f);

#endif
