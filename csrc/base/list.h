/* base/list.h - layer: base. Intrusive circular doubly linked list.
 * Owns nothing: a link lives inside the object that it chains. A link is
 * either in one list or points to itself; gev_unlink is idempotent. */
#ifndef GEV_BASE_LIST_H
#define GEV_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct gev_link {
  struct gev_link *prev, *next;
};

#define gev_container(ptr, type, member) \
  ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline void gev_list_init(struct gev_link *l) {
  l->prev = l->next = l;
}

static inline bool gev_list_empty(const struct gev_link *l) {
  return l->next == l;
}

static inline void gev_list_append(struct gev_link *list,
                                   struct gev_link *l) {
  l->prev = list->prev;
  l->next = list;
  list->prev->next = l;
  list->prev = l;
}

static inline void gev_list_prepend(struct gev_link *list,
                                    struct gev_link *l) {
  gev_list_append(list->next, l);
}

static inline void gev_unlink(struct gev_link *l) {
  l->prev->next = l->next;
  l->next->prev = l->prev;
  gev_list_init(l);
}

#endif
