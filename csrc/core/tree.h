/* core/tree.h - layer: core. The spawn tree: who spawned whom, what a tree of
 * greenlets shares, small numbers and names.
 *
 * Cheap: a child notes its parent's serial number and, unless it is a root
 * (spawned by the main greenlet), the table that its tree shares. Only
 * spawning_stack costs a traceback; it is off unless asked for. */
#ifndef GEV_CORE_TREE_H
#define GEV_CORE_TREE_H

#include "core/greenlet.h"

/* Enters the new greenlet on the top of the stack into the current one's
 * tree. */
void gev_tree_enter(lua_State *L, struct gev_hub *h, struct gev_greenlet *g);
/* It is over. Never raises; needs one place on the main state's stack. */
void gev_tree_left(struct gev_hub *h, const struct gev_greenlet *g);
/* Getters of the userdata at 1: each pushes one value. */
void gev_tree_parent(lua_State *L, struct gev_hub *h,
                     struct gev_greenlet *g);
void gev_tree_locals(lua_State *L);
void gev_tree_ident(lua_State *L, struct gev_hub *h, struct gev_greenlet *g);
/* The greenlet's name; gives it the default one if it has none. */
void gev_tree_name(lua_State *L, struct gev_hub *h, struct gev_greenlet *g);
/* After a peak: gives back room in the tables of the tree. */
void gev_tree_trim(lua_State *L, struct gev_hub *h);
void gev_open_tree(lua_State *L, struct gev_hub *h);

#endif
