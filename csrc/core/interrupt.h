/* core/interrupt.h - layer: core. Ctrl-C while the main greenlet is blocked.
 *
 * SIGINT belongs to the host: its handler is replaced only while the main
 * greenlet is in a wait that polls, and put back when main runs again. The
 * second SIGINT that nobody has taken (a greenlet computes for ever) ends the
 * process, as it would with lua's own handler. */
#ifndef GEV_CORE_INTERRUPT_H
#define GEV_CORE_INTERRUPT_H

#include "core/hub.h"

/* Notes whose SIGINT is when the library is loaded. */
void gev_sigint_init(void);
void gev_sigint_watch(struct gev_hub *h);
void gev_sigint_unwatch(struct gev_hub *h);
/* Raises "interrupted!" in the main greenlet. */
void gev_sigint_deliver(struct gev_hub *h);

#endif
