/* bench/clock.h - what the load generators measure with: our time, and the CPU
 * time of a server in another process. Included by each once. */
#ifndef BENCH_CLOCK_H
#define BENCH_CLOCK_H
#include <dirent.h>
#include <stdio.h>
#include <time.h>

struct clocks { double server, own, wall; };  /* nanoseconds */

static double now(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* CPU time of all threads of that process; -1: it is gone. 0 for NULL. */
static double server_cpu(const char *pid) {
  char name[512];
  double sum = 0;
  struct dirent *e;
  DIR *dir;
  if (pid == NULL) return 0;
  snprintf(name, sizeof name, "/proc/%s/task", pid);
  if ((dir = opendir(name)) == NULL) return -1;
  while ((e = readdir(dir)) != NULL) {
    double ns;
    FILE *f;
    if (e->d_name[0] == '.') continue;
    snprintf(name, sizeof name, "/proc/%s/task/%.20s/schedstat", pid,
             e->d_name);
    if ((f = fopen(name, "r")) == NULL) continue;  /* thread has ended */
    if (fscanf(f, "%lf", &ns) == 1) sum += ns;
    fclose(f);
  }
  closedir(dir);
  return sum;
}

static struct clocks read_clocks(const char *pid) {
  struct clocks c;
  c.server = server_cpu(pid);
  c.own = now(CLOCK_PROCESS_CPUTIME_ID);
  c.wall = now(CLOCK_MONOTONIC);
  return c;
}

#endif
