/* spec/c/preload/nomem.c - for LD_PRELOAD: a malloc that fails on purpose, for
 * spec/host/memerr.c, which finds these functions if they are there. Only
 * requests of the thread that has armed it count and fail. glibc only. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *block, size_t size);

void nomem_arm(long first, long last);
void nomem_disarm(void);
long nomem_requests(void);
bool nomem_failed(void);
void nomem_exempt(bool exempt);

static __thread bool armed, exempt;
static __thread long requests, first_one, last_one, failed;

void nomem_arm(long first, long last) {
  first_one = first;
  last_one = last;
  requests = failed = 0;
  armed = true;
}

void nomem_disarm(void) { armed = false; }
long nomem_requests(void) { return requests; }
bool nomem_failed(void) { return failed > 0; }

/* What follows does not count: Lua's own memory. */
void nomem_exempt(bool yes) { exempt = yes; }

/* A place for a debugger's breakpoint. */
__attribute__((noinline)) static void refused_here(void) {
  failed++;
  errno = ENOMEM;
}

static bool refused(void) {
  if (!armed || exempt) return false;
  requests++;
  if (requests < first_one || requests > last_one) return false;
  refused_here();
  return true;
}

void *malloc(size_t size) { return refused() ? NULL : __libc_malloc(size); }

void *calloc(size_t n, size_t size) {
  return refused() ? NULL : __libc_calloc(n, size);
}

/* libuv aborts the process where its table of watchers cannot grow. */
static bool is_of_libuv(const void *caller) {
  Dl_info info;
  return dladdr(caller, &info) && strstr(info.dli_fname, "/libuv");
}

void *realloc(void *block, size_t size) {
  bool counts = size && !is_of_libuv(__builtin_return_address(0));
  return counts && refused() ? NULL : __libc_realloc(block, size);
}
