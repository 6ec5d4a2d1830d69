/* base/heap.h - layer: base. Intrusive min-heap keyed by a 64-bit integer.
 * Owns its array, never the nodes: a node lives inside the object that waits
 * and knows its own position, so removal is O(log n) without a search. The
 * keys are in the array too: the nodes are anywhere, and mostly out of the
 * processor's caches. Pure: no Lua, no libuv. */
#ifndef GEV_BASE_HEAP_H
#define GEV_BASE_HEAP_H

#include <stdbool.h>
#include <stdint.h>

struct gev_heapnode {
  int64_t key;   /* not to be changed while it is in a heap */
  uint32_t pos;  /* 1-based position in the heap; 0: in none */
  uint32_t kind; /* the owner's: what the node lives in */
};

struct gev_heapslot {
  int64_t key;
  struct gev_heapnode *node;
};

struct gev_heap {
  struct gev_heapslot *at; /* at[0] is the smallest */
  uint32_t n, cap;
};

/* Makes room for one more node. Returns false when memory is out; the heap is
 * then as it was. gev_heap_insert cannot fail after it. */
bool gev_heap_reserve(struct gev_heap *h);
void gev_heap_insert(struct gev_heap *h, struct gev_heapnode *node);
/* Takes the node out; does nothing if it is in no heap. */
void gev_heap_remove(struct gev_heap *h, struct gev_heapnode *node);
void gev_heap_free(struct gev_heap *h);
/* Gives back room where little of it is used. */
void gev_heap_trim(struct gev_heap *h);

static inline struct gev_heapnode *gev_heap_top(const struct gev_heap *h) {
  return h->n ? h->at[0].node : 0;
}

static inline bool gev_heap_has(const struct gev_heapnode *node) {
  return node->pos != 0;
}

#endif
