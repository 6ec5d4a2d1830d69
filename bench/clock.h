/* bench/clock.h - what the load generators measure with: our time, the CPU
 * time of a server in another process, and how long each operation took; and
 * the line that they print of it. Included by each once. */
#ifndef BENCH_CLOCK_H
#define BENCH_CLOCK_H
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Nanoseconds, but user and system are the kernel's ticks, which give no more
 * than a proportion. */
struct clocks { double server, user, system, own, wall; };

static double now(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Reads a line of that file of a thread; 0 if the thread has ended. */
static int read_task(const char *pid, const char *task, const char *what,
                     char *line, int size) {
  char name[512];
  FILE *f;
  int ok;
  snprintf(name, sizeof name, "/proc/%.20s/task/%.20s/%s", pid, task, what);
  if ((f = fopen(name, "r")) == NULL) return 0;
  ok = fgets(line, size, f) != NULL;
  fclose(f);
  return ok;
}

/* Adds the CPU time of a thread: exactly from schedstat, split by stat. The
 * name of a program, in parentheses, may contain anything. */
static void add_task(struct clocks *c, const char *pid, const char *task) {
  char line[1024];
  double ns, user, system;
  const char *p;
  if (!read_task(pid, task, "schedstat", line, sizeof line)) return;
  if (sscanf(line, "%lf", &ns) == 1) c->server += ns;
  if (!read_task(pid, task, "stat", line, sizeof line)) return;
  if ((p = strrchr(line, ')')) == NULL) return;
  if (sscanf(p + 1, " %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %lf %lf",
             &user, &system) == 2) {
    c->user += user;
    c->system += system;
  }
}

/* With the CPU time of all threads of that process; -1: it is gone. 0 for
 * NULL. */
static struct clocks read_clocks(const char *pid) {
  struct clocks c = {0, 0, 0, 0, 0};
  char name[64];
  struct dirent *e;
  DIR *dir = NULL;
  if (pid != NULL) {
    snprintf(name, sizeof name, "/proc/%.20s/task", pid);
    if ((dir = opendir(name)) == NULL) c.server = -1;
  }
  while (dir != NULL && (e = readdir(dir)) != NULL)
    if (e->d_name[0] != '.') add_task(&c, pid, e->d_name);
  if (dir != NULL) closedir(dir);
  c.own = now(CLOCK_PROCESS_CPUTIME_ID);
  c.wall = now(CLOCK_MONOTONIC);
  return c;
}

/* How long each operation took. Nothing is noted before there is room. */
struct latencies { double *ns; long n, size; };

static void make_room(struct latencies *l, long size) {
  l->ns = malloc((size_t)size * sizeof *l->ns);
  l->size = l->ns ? size : 0;
}

static void note(struct latencies *l, double since) {
  if (l->n < l->size) l->ns[l->n++] = now(CLOCK_MONOTONIC) - since;
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* FIGURE PROGRAM NS N [user=NS system=NS] [p50=NS p99=NS] load_ns=... */
static void print_result(const char *figure, const char *label,
                         struct clocks from, struct clocks to, double n,
                         struct latencies *l, long bad) {
  double server = (to.server - from.server) / n;
  double user = to.user - from.user, all = user + to.system - from.system;
  printf("%s %s %.1f %.0f", figure, label, server, n);
  if (all > 0)
    printf(" user=%.1f system=%.1f", server * user / all,
           server * (all - user) / all);
  if (l->n > 0) {
    qsort(l->ns, (size_t)l->n, sizeof *l->ns, compare);
    printf(" p50=%.0f p99=%.0f", l->ns[l->n / 2], l->ns[l->n * 99 / 100]);
  }
  printf(" load_ns=%.1f per_s=%.0f bad=%ld\n", (to.own - from.own) / n,
         n * 1e9 / (to.wall - from.wall), bad);
}

#endif
