/* io/file.h - layer: io. Files: a stream (io/stream.h) over a descriptor
 * that is no socket. Pipes and terminals are polled by the loop; what cannot
 * be polled, regular files above all, goes through the thread pool
 * (io/filejob.h). Collected, a file writes what setvbuf has collected. */
#ifndef GEV_IO_FILE_H
#define GEV_IO_FILE_H

#include "io/stream.h"

#define gev_file_class gev_stream_classes[GEV_STREAM_FILE]

struct gev_filejob;

struct gev_file {
  const struct gev_class *cls;
  struct gev_stream s;
  struct gev_filejob *job; /* of a file that cannot be polled, else NULL */
  void *opening;           /* request under way: fileopen.c */
  uint32_t forks;          /* of the hub, when it was made */
  int number;              /* what fileno says */
  int flags; /* of the descriptor, to be put back at the end; -1: none */
};

static inline struct gev_file *gev_stream_file(struct gev_stream *s) {
  return gev_container(s, struct gev_file, s);
}

/* Pushes a file that has no descriptor yet; upvalue 2 is the class. */
struct gev_file *gev_file_new(lua_State *L);
/* Takes the descriptor over: chooses the transport. `shared`: others use it
 * too, so its flags are put back. 0, or an errno: it is still the caller's. */
int gev_file_adopt(lua_State *L, struct gev_file *f, int fd, bool shared);
/* What it has collected is the parent's, who will write it. */
static inline bool gev_file_inherited(const struct gev_file *f) {
  return f->forks != f->s.hub->forks;
}
/* The open(2) flags of io's mode at idx; raises for what is none. */
int gev_check_mode(lua_State *L, int idx);
/* The descriptor of a number, a file of io's, or a stream; -1: a closed one.
 * Raises for anything else. */
int gev_check_fd(lua_State *L, int idx);

void gev_open_file(lua_State *L, int hub);
/* Adds open to the table on the top; the class is at index cls. */
void gev_open_fileopen(lua_State *L, int hub, int cls);

#endif
