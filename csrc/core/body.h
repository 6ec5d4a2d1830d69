/* core/body.h - layer: core. What runs at the bottom of a greenlet's coroutine:
 * the user's function under a pcall, so that <close> variables may block while
 * an error or a kill unwinds the greenlet. Owns a table in the registry.
 *
 * The coroutine's stack: the body; its frame: the message handler; where the
 * arguments can be asked for, their number and a copy of them; the function
 * with its arguments. So they are kept until the end, and cost no table. */
#ifndef GEV_CORE_BODY_H
#define GEV_CORE_BODY_H

#include "core/greenlet.h"

/* Copies the function at `first` and the nargs values behind it to the
 * coroutine of g, which is empty. The last `shown` of them can be asked for.
 * L needs room for nargs + shown + 1. */
void gev_body_load(lua_State *L, struct gev_greenlet *g, int first, int nargs,
                   int shown);
/* Pushes a list of those, while the greenlet is not dead. */
void gev_body_args(lua_State *L, struct gev_greenlet *g);
/* Pushes the traceback of co, if it has died of an error, or nil. Once. */
void gev_body_traceback(lua_State *L, lua_State *co);
/* Makes what this file keeps in the registry. */
void gev_body_prepare(lua_State *L);

#endif
