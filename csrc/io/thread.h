/* io/thread.h - layer: io. OS threads of the library's, which take no part in
 * the program's signals. Owns nothing. */
#ifndef GEV_IO_THREAD_H
#define GEV_IO_THREAD_H

#include <pthread.h>

/* Starts a thread with all signals blocked; with `thread` NULL a detached one.
 * 0 or an errno. */
int gev_thread_start(pthread_t *thread, void *(*run)(void *), void *arg);
/* A condition whose time-outs are of the monotonic clock. */
void gev_thread_cond(pthread_cond_t *cond);

#endif
