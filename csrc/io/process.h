/* io/process.h - layer: io. Child processes: waiting for them, and starting
 * them (io/spawn.c).
 *
 * A child is waited for by its number, and only children that were made or
 * asked for here: others' are never reaped. One that nobody holds any more is
 * reaped all the same when it ends. While a child runs that somebody holds,
 * the loop is alive. */
#ifndef GEV_IO_PROCESS_H
#define GEV_IO_PROCESS_H

#include <sys/types.h>

#include "core/waitq.h"

struct gev_children;

/* Pushes a waitable process that is nobody's child yet. Upvalues 2 and 3 are
 * the children of the state, and the class. */
struct gev_process *gev_process_new(lua_State *L);
/* Memory and the watcher; raises. Nothing that follows can fail. */
void gev_process_prepare(lua_State *L, struct gev_process *p);
/* It is the child with that number. */
void gev_process_started(struct gev_process *p, pid_t pid);
/* It could not be started, or nobody holds it any more. Idempotent. */
void gev_process_release(struct gev_process *p);

/* In the child of a fork: the parent's children are none of its own. */
void gev_children_forked(lua_State *L);

void gev_open_process(lua_State *L, int hub);
/* Adds what starts processes to the table on the top; the upvalues of its
 * functions are on the stack from `first` on. */
void gev_open_spawn(lua_State *L, int first);

#endif
