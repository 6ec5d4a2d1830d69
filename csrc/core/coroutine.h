/* core/coroutine.h - layer: core. The user's own coroutines inside a greenlet:
 * the standard library's functions, but a blocking call in such a coroutine
 * blocks the greenlet.
 *
 * A park yields the innermost coroutine. Its resumer, here, sees that the
 * yield is a park, yields outward in turn, and when the greenlet is resumed
 * resumes inward again. Meanwhile the coroutine is marked as blocked: its
 * status is "normal", it can be neither resumed nor closed. */
#ifndef GEV_CORE_COROUTINE_H
#define GEV_CORE_COROUTINE_H

#include <lua.h>

/* The state is being closed: runs the <close> variables of all blocked ones. */
void gev_coroutines_unwind(lua_State *L);
/* The same in the child of a fork, where nothing of theirs may run. */
void gev_coroutines_forget(lua_State *L);
/* Adds the table "coroutine" to the one on the top. */
void gev_open_coroutine(lua_State *L, int hub);

#endif
