/* bench/load.c - load generator for the servers of bench/.
 * usage: load [options] PORT     opens connections to 127.0.0.1:PORT, does a
 *                                fixed number of operations, prints one line
 *        load -F                 prints a free port
 *   -f FIGURE -l PROGRAM  first two words of the line   -p PID  the server
 *   -c CONNECTIONS (64)   -n OPERATIONS (100000)   -w WARM-UP OPERATIONS (n/10)
 *   -d DEPTH (1)          requests sent at once, then as many answers awaited
 *   -s BYTES (64)         echo: size of a message
 *   -H PATH               HTTP instead of echo: GET PATH, keep-alive
 *   -1                    HTTP: a connection per request
 *   -A                    an operation is a connection that the server closes
 *   -M                    an operation holds a connection, after one echo: NS
 *                         is by how many bytes the server has grown for it
 *   -W                    WebSocket echo: a masked message of -s bytes
 *   -k FIELDS (1)         HTTP: header fields of a request, Host and others
 *   -L                    lockstep: begins on all connections at once, and
 *                         again when all have ended and the server sleeps
 * output: FIGURE PROGRAM NS OPERATIONS [user=NS system=NS] p50=NS p99=NS
 *         load_ns=NS per_s=N bad=N
 *   NS is CPU time of the server per operation (of all its threads, user and
 *   system, from /proc/PID/task/TID/schedstat), 0 without -p; user and system
 *   are its parts by the kernel's ticks. p50 and p99 are how long an operation
 *   took, with all the others under way. load_ns is our own CPU time. bad
 *   counts answers that are not 2xx or not what was sent. The exit status is 1
 *   if any was bad, 2 if a connection failed or nothing came for 20 seconds. A
 *   server is waited for, up to 30 seconds, to listen. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"

enum state { STATUS, FIELDS, BODY, SIZE, CHUNK, TRAILER };  /* of an answer */

struct conn {
  int fd;
  long waiting;           /* operations begun and not ended */
  double since;           /* when the oldest of them was */
  size_t tosend, sent;    /* of the bytes in `message` */
  size_t got;             /* echo: bytes of the present message */
  enum state state;       /* HTTP: what is expected next */
  int chunked;
  size_t left, nline;     /* bytes of body to skip; length of `line` */
  char line[256];         /* HTTP: the present line, cut at 255 bytes */
};

static struct {
  const char *figure, *label, *path, *pid;
  long conns, n, warmup, depth, size, fields;
  int once, accepts, memory, port, websocket, lockstep;
} opt = {.figure = "echo", .label = "server", .conns = 64, .n = 100000,
         .warmup = -1, .depth = 1, .size = 64, .fields = 1};

static char *message;       /* `depth` copies of what one operation sends */
static size_t unit;         /* bytes of one copy */
static char *answer;        /* what an echo gives back for it */
static size_t nanswer;
static long begun, ended, total, bad;
static struct latencies latencies;
static int epfd;

static void die(const char *format, ...) {
  va_list args;
  va_start(args, format);
  fprintf(stderr, "load: %s %s: ", opt.figure, opt.label);
  vfprintf(stderr, format, args);
  fputc('\n', stderr);
  va_end(args);
  exit(2);
}

static struct sockaddr_in address(int port) {
  struct sockaddr_in a;
  memset(&a, 0, sizeof a);
  a.sin_family = AF_INET;
  a.sin_port = htons((unsigned short)port);
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return a;
}

static int print_free_port(void) {
  struct sockaddr_in a = address(0);
  socklen_t len = sizeof a;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(fd, (struct sockaddr *)&a, len) != 0 ||
      getsockname(fd, (struct sockaddr *)&a, &len) != 0)
    die("no free port: %s", strerror(errno));
  printf("%d\n", ntohs(a.sin_port));
  return 0;
}

/* Resident bytes of the server. */
static double server_memory(void) {
  char name[64];
  double pages = 0;
  FILE *f;
  snprintf(name, sizeof name, "/proc/%.20s/statm", opt.pid ? opt.pid : "self");
  if ((f = fopen(name, "r")) == NULL) die("server %s is gone", opt.pid);
  if (fscanf(f, "%*s %lf", &pages) != 1) die("%s: no numbers", name);
  fclose(f);
  return pages * (double)sysconf(_SC_PAGESIZE);
}

static struct clocks clocks(void) {
  struct clocks c = read_clocks(opt.pid);
  if (c.server < 0) die("server %s is gone", opt.pid);
  return c;
}

static void watch(struct conn *c, int op, unsigned events) {
  struct epoll_event e;
  e.events = events;
  e.data.ptr = c;
  if (epoll_ctl(epfd, op, c->fd, &e) != 0) die("epoll: %s", strerror(errno));
}

/* Asks for a WebSocket, and reads the answer up to its end. */
static void handshake(int fd) {
  static const char request[] =
      "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
      "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
  const char *end = "\r\n\r\n", *want = end;
  char first[13] = "", c;
  size_t n = 0;
  if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) < 0)
    die("send: %s", strerror(errno));
  for (; *want && recv(fd, &c, 1, 0) == 1; n++) {
    if (n < sizeof first - 1) first[n] = c;
    want = c == *want ? want + 1 : c == *end ? end + 1 : end;
  }
  if (*want || strcmp(first, "HTTP/1.1 101") != 0) die("no WebSocket");
}

static void open_conn(struct conn *c) {
  struct sockaddr_in a = address(opt.port);
  struct timespec pause = {0, 20000000};
  int tries = 1500, one = 1;
  memset(c, 0, sizeof *c);
  c->since = now(CLOCK_MONOTONIC);
  for (;;) {
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(c->fd, (struct sockaddr *)&a, sizeof a) == 0) break;
    if (errno != ECONNREFUSED || tries-- == 0)
      die("connect: %s", strerror(errno));
    close(c->fd);
    nanosleep(&pause, NULL);
  }
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (opt.websocket) handshake(c->fd);
  watch(c, EPOLL_CTL_ADD, EPOLLIN);
}

/* Writes what is left; asks for EPOLLOUT only where the kernel is full. */
static void flush(struct conn *c) {
  while (c->sent < c->tosend) {
    ssize_t n = send(c->fd, message + c->sent, c->tosend - c->sent,
                     MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) {
      watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
      return;
    }
    if (n < 0) die("send: %s", strerror(errno));
    c->sent += (size_t)n;
  }
}

/* Begins up to `depth` operations, if any are left to do. */
static void begin(struct conn *c) {
  long k = total - begun < opt.depth ? total - begun : opt.depth;
  if (k == 0) return;
  begun += k;
  if (!opt.once && !opt.accepts) c->since = now(CLOCK_MONOTONIC);
  c->waiting = k;
  c->sent = 0;
  c->tosend = opt.accepts ? 0 : (size_t)k * unit;
  flush(c);
}

static void end_operation(struct conn *c) {
  if (c->waiting-- == 0) die("an answer that nobody asked for");
  note(&latencies, c->since);
  ended++;
}

static void feed_echo(struct conn *c, const char *p, size_t n) {
  while (n > 0) {
    size_t k = nanswer - c->got < n ? nanswer - c->got : n;
    if (memcmp(p, answer + c->got, k) != 0) bad++;
    c->got += k;
    p += k;
    n -= k;
    if (c->got == nanswer) {
      c->got = 0;
      end_operation(c);
    }
  }
}

static void end_answer(struct conn *c) {
  c->state = STATUS;
  end_operation(c);
}

static void field(struct conn *c) {
  if (strncasecmp(c->line, "content-length:", 15) == 0)
    c->left = strtoul(c->line + 15, NULL, 10);
  else if (strncasecmp(c->line, "transfer-encoding: chunked", 26) == 0)
    c->chunked = 1;
}

/* A line (without CRLF) of the head, of a chunk's size, or of the trailer. */
static void end_line(struct conn *c) {
  size_t length = c->nline;
  c->line[length] = '\0';
  c->nline = 0;
  if (c->state == STATUS) {
    if (strncmp(c->line, "HTTP/1.", 7) != 0 || c->line[9] != '2') bad++;
    c->left = 0;
    c->chunked = 0;
    c->state = FIELDS;
  } else if (c->state == FIELDS && length > 0) {
    field(c);
  } else if (c->state == FIELDS) {
    if (c->chunked) c->state = SIZE;
    else if (c->left > 0) c->state = BODY;
    else end_answer(c);
  } else if (c->state == SIZE) {
    c->left = strtoul(c->line, NULL, 16) + 2;  /* its CRLF as well */
    c->state = c->left == 2 ? TRAILER : CHUNK;
  } else if (c->state == TRAILER && length == 0) {
    end_answer(c);
  }
}

static void feed_http(struct conn *c, const char *p, size_t n) {
  while (n > 0) {
    if (c->state == BODY || c->state == CHUNK) {
      size_t k = c->left < n ? c->left : n;
      p += k;
      n -= k;
      if ((c->left -= k) > 0) continue;
      if (c->state == CHUNK) c->state = SIZE;
      else end_answer(c);
    } else {
      if (*p == '\n') end_line(c);
      else if (*p != '\r' && c->nline < sizeof c->line - 1)
        c->line[c->nline++] = *p;
      p++;
      n--;
    }
  }
}

static void receive(struct conn *c) {
  static char buffer[65536];
  ssize_t n = recv(c->fd, buffer, sizeof buffer, MSG_DONTWAIT);
  if (n < 0 && errno == EAGAIN) return;
  if (n < 0) die("recv: %s", strerror(errno));
  if (n == 0 && opt.accepts) end_operation(c);
  if (n == 0 && ((!opt.once && !opt.accepts) || c->waiting > 0))
    die("closed by the server");
  if (n == 0) {
    close(c->fd);
    if (begun < total) open_conn(c), begin(c);
    return;
  }
  if (opt.path != NULL) feed_http(c, buffer, (size_t)n);
  else feed_echo(c, buffer, (size_t)n);
  if (c->waiting == 0 && !opt.once && !opt.memory && !opt.lockstep) begin(c);
}

/* The head of a binary frame; with a mask: what clients send. */
static size_t put_head(char *p, size_t size, int mask) {
  size_t n = size < 126 ? 2 : size < 65536 ? 4 : 10;
  p[0] = (char)0x82;
  p[1] = (char)((mask ? 128 : 0) | (n == 2 ? size : n == 4 ? 126 : 127));
  for (size_t i = 2; i < n; i++) p[i] = (char)(size >> 8 * (n - 1 - i));
  if (!mask) return n;
  memcpy(p + n, "mask", 4);
  return n + 4;
}

static char *make_request(void) {
  char *one = malloc(1024 + 64 * (size_t)opt.fields), *p = one;
  p += sprintf(p, "GET %.512s HTTP/1.1\r\nHost: 127.0.0.1\r\n", opt.path);
  for (long i = 2; i <= opt.fields; i++)
    p += sprintf(p, "X-Field-%ld: the value of this one\r\n", i);
  p += sprintf(p, "%s\r\n", opt.once ? "Connection: close\r\n" : "");
  unit = (size_t)(p - one);
  return one;
}

/* What one operation sends, and what is to come back. */
static char *make_one(void) {
  size_t size = (size_t)opt.size;
  char *one = malloc(size + 16), *p = one, *q = answer = malloc(size + 16);
  if (opt.websocket) {
    p += put_head(p, size, 1);
    q += put_head(q, size, 0);
  }
  for (size_t j = 0; j < size; j++, p++, q++) {
    *q = (char)('a' + j % 26);
    *p = (char)(opt.websocket ? *q ^ "mask"[j % 4] : *q);
  }
  unit = (size_t)(p - one);
  nanswer = (size_t)(q - answer);
  return one;
}

static void make_message(void) {
  char *one = opt.path != NULL ? make_request() : make_one(), *p;
  p = message = malloc(unit * (size_t)opt.depth);
  for (long i = 0; i < opt.depth; i++, p += unit) memcpy(p, one, unit);
  free(one);
}

static void serve_events(void) {
  struct epoll_event events[256];
  int n = epoll_wait(epfd, events, 256, 20000);
  if (n == 0) die("nothing came for 20 s, %ld of %ld done", ended, total);
  for (int i = 0; i < n; i++) {
    struct conn *c = events[i].data.ptr;
    if (events[i].events & EPOLLOUT) {
      watch(c, EPOLL_CTL_MOD, EPOLLIN);
      flush(c);
    }
    if (events[i].events & ~(unsigned)EPOLLOUT) receive(c);
  }
}

/* Waits until the server does: then it has done all there was to do, however
 * slow it is, and what it does next is the same each time. */
static void settle(void) {
  struct timespec pause = {0, 20000};
  char line[512];
  const char *p;
  while (read_task(opt.pid, opt.pid, "stat", line, sizeof line)) {
    if ((p = strrchr(line, ')')) != NULL && p[1] == ' ' && p[2] == 'S') return;
    nanosleep(&pause, NULL);
  }
  die("server %s is gone", opt.pid);
}

static void begin_all(struct conn *conns) {
  if (opt.lockstep && opt.pid != NULL) settle();
  for (long i = 0; i < opt.conns; i++) begin(&conns[i]);
}

static void proceed(struct conn *conns, long until) {
  while (ended < until) {
    serve_events();
    if (opt.lockstep && ended == begun) begin_all(conns);
  }
}

static int run(void) {
  struct conn *conns = calloc((size_t)opt.conns, sizeof *conns);
  struct clocks from, to;
  long skipped;
  epfd = epoll_create1(EPOLL_CLOEXEC);
  make_message();
  total = opt.warmup + opt.n;
  for (long i = 0; i < opt.conns; i++) open_conn(&conns[i]);
  begin_all(conns);
  proceed(conns, opt.warmup);
  skipped = ended;
  make_room(&latencies, total - skipped);
  from = clocks();
  proceed(conns, total);
  to = clocks();
  print_result(opt.figure, opt.label, from, to, (double)(total - skipped),
               &latencies, bad);
  return bad > 0;
}

/* Opens them one after the other, so that all are there when it measures. */
static int run_memory(void) {
  struct conn *conns = calloc((size_t)opt.conns + 1, sizeof *conns);
  struct timespec pause = {0, 200000000};
  double before = 0, after;
  epfd = epoll_create1(EPOLL_CLOEXEC);
  make_message();
  total = opt.conns + 1;
  for (long i = 0; i <= opt.conns; i++) {
    open_conn(&conns[i]);
    begin(&conns[i]);
    while (ended <= i) serve_events();
    if (i == 0) before = server_memory();
  }
  nanosleep(&pause, NULL);
  after = server_memory();
  printf("%s %s %.1f %ld bad=%ld\n", opt.figure, opt.label,
         (after - before) / (double)opt.conns, opt.conns, bad);
  return bad > 0;
}

static int usage(void) {
  fprintf(stderr, "usage: load [-f figure] [-l program] [-p pid] [-c conns] "
                  "[-n ops] [-w warm-up] [-d depth] [-s bytes] "
                  "[-H path [-1] [-k fields] | -W | -A | -M] [-L] port | "
                  "load -F\n");
  return 2;
}

int main(int argc, char **argv) {
  int o;
  while ((o = getopt(argc, argv, "f:l:p:c:n:w:d:s:k:H:1AMWLF")) != -1)
    switch (o) {
      case 'f': opt.figure = optarg; break;
      case 'l': opt.label = optarg; break;
      case 'p': opt.pid = optarg; break;
      case 'c': opt.conns = atol(optarg); break;
      case 'n': opt.n = atol(optarg); break;
      case 'w': opt.warmup = atol(optarg); break;
      case 'd': opt.depth = atol(optarg); break;
      case 's': opt.size = atol(optarg); break;
      case 'k': opt.fields = atol(optarg); break;
      case 'L': opt.lockstep = 1; break;
      case 'H': opt.path = optarg; break;
      case '1': opt.once = 1; break;
      case 'A': opt.accepts = 1; break;
      case 'M': opt.memory = 1; break;
      case 'W': opt.websocket = 1; break;
      case 'F': return print_free_port();
      default: return usage();
  }
  if (optind != argc - 1 || opt.conns < 1 || opt.n < 1 || opt.depth < 1 ||
      opt.size < 1 || opt.fields < 1 || (opt.lockstep && opt.once) ||
      (opt.once && (opt.path == NULL || opt.depth > 1)) ||
      (opt.websocket && opt.path != NULL))
    return usage();
  opt.port = atoi(argv[optind]);
  if (opt.warmup < 0) opt.warmup = opt.n / 10;
  return opt.memory ? run_memory() : run();
}
