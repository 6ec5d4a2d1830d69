/* base/heap.c - layer: base. See heap.h. A 4-ary heap: half the depth of a
 * binary one, and the four children stand side by side. */
#include "base/heap.h"

#include <stdlib.h>

enum { ARITY = 4, FIRST_CAP = 64 };

static void place(struct gev_heap *h, uint32_t i, struct gev_heapslot slot) {
  h->at[i] = slot;
  slot.node->pos = i + 1;
}

static void sift_up(struct gev_heap *h, uint32_t i, struct gev_heapslot slot) {
  while (i > 0) {
    uint32_t parent = (i - 1) / ARITY;
    if (h->at[parent].key <= slot.key) break;
    place(h, i, h->at[parent]);
    i = parent;
  }
  place(h, i, slot);
}

static uint32_t least_child(const struct gev_heap *h, uint32_t i) {
  uint32_t first = i * ARITY + 1, last = first + ARITY, best = first;
  if (last > h->n) last = h->n;
  for (uint32_t c = first + 1; c < last; c++)
    if (h->at[c].key < h->at[best].key) best = c;
  return best;
}

static void sift_down(struct gev_heap *h, uint32_t i,
                      struct gev_heapslot slot) {
  while (i * ARITY + 1 < h->n) {
    uint32_t child = least_child(h, i);
    if (slot.key <= h->at[child].key) break;
    place(h, i, h->at[child]);
    i = child;
  }
  place(h, i, slot);
}

bool gev_heap_reserve(struct gev_heap *h) {
  if (h->n < h->cap) return true;
  uint32_t cap = h->cap ? h->cap * 2 : FIRST_CAP;
  struct gev_heapslot *at = realloc(h->at, cap * sizeof *at);
  if (!at) return false;
  h->at = at;
  h->cap = cap;
  return true;
}

void gev_heap_insert(struct gev_heap *h, struct gev_heapnode *node) {
  sift_up(h, h->n++, (struct gev_heapslot){node->key, node});
}

void gev_heap_remove(struct gev_heap *h, struct gev_heapnode *node) {
  if (!node->pos) return;
  uint32_t i = node->pos - 1;
  struct gev_heapslot last = h->at[--h->n];
  node->pos = 0;
  if (last.node == node) return;
  if (last.key < node->key)
    sift_up(h, i, last);
  else
    sift_down(h, i, last);
}

void gev_heap_trim(struct gev_heap *h) {
  uint32_t cap = h->n * 2 > FIRST_CAP ? h->n * 2 : FIRST_CAP;
  if (cap >= h->cap) return;
  struct gev_heapslot *at = realloc(h->at, cap * sizeof *at);
  if (!at) return;
  h->at = at;
  h->cap = cap;
}

void gev_heap_free(struct gev_heap *h) {
  free(h->at);
  *h = (struct gev_heap){0};
}
