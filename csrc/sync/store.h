/* sync/store.h - layer: sync. What a queue keeps its items in, and in which
 * order it gives them: first, last, or least first.
 *
 * The items stand in a table, user value 1 of the queue (at stack index 1),
 * as a ring or a heap in its array part; `less` is user value 2. */
#ifndef GEV_SYNC_STORE_H
#define GEV_SYNC_STORE_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

enum gev_order { GEV_FIFO, GEV_LIFO, GEV_PRIORITY };

struct gev_store {
  enum gev_order order;
  uint32_t head, n, cap; /* ring: slots head .. head+n, modulo cap */
  uint32_t version; /* heap: changes, for who compares items meanwhile */
};

/* Makes the table; the queue is at index 1. */
void gev_store_init(lua_State *L, struct gev_store *s, enum gev_order order);
/* Pops the item from the top of the stack into the store. May raise (memory,
 * a `less` that fails): the store is then as it was. */
void gev_store_push(lua_State *L, struct gev_store *s);
/* Pushes the next item, and takes it out. The store is not empty. */
void gev_store_pop(lua_State *L, struct gev_store *s);
/* Pushes the next item. */
void gev_store_peek(lua_State *L, struct gev_store *s);

#endif
