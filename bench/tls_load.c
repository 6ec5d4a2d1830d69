/* bench/tls_load.c - load generator for the TLS servers of bench/: one
 * connection after the other to 127.0.0.1:PORT, as `openssl s_server` serves
 * no more at once. Prints one line.
 * usage: tls_load [options] PORT
 *   -f FIGURE -l PROGRAM  first two words of the line   -p PID  the server
 *   -n OPERATIONS (1000)  -w WARM-UP OPERATIONS (n/10)
 *   -r                    resume the first connection's session
 *   -2                    TLS 1.2; else 1.3
 *   -b PATH               bulk: GET PATH; an operation is a MiB of its body
 *   -e BYTES              echo: all operations on one connection
 * output: FIGURE PROGRAM NS OPERATIONS [user=NS system=NS] [p50=NS p99=NS]
 *         load_ns=NS per_s=N bad=N
 *   All are as bench/load.c's; p50 and p99 are those of whole connections, or
 *   of echoes, and not there with -b. bad counts sessions that were not resumed
 *   with -r, or were without, and echoes that differ. The exit status
 *   is 1 if there are any, 2 if a connection failed or nothing came for 20
 *   seconds. A server is waited for, up to 30 seconds, to listen. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "clock.h"

enum { MIB = 1 << 20 };

static struct {
  const char *figure, *label, *path, *pid;
  long n, warmup, size;
  int resume, version, port;
} opt = {.figure = "tls", .label = "server", .n = 1000, .warmup = -1,
         .version = TLS1_3_VERSION};

static SSL_CTX *ctx;
static SSL_SESSION *session;  /* the newest that was given */
static long bad;
static struct latencies latencies;

static void die(const char *what) {
  unsigned long err = ERR_peek_error();
  const char *reason = err ? ERR_reason_error_string(err) : NULL;
  fprintf(stderr, "tls_load: %s %s: %s: %s\n", opt.figure, opt.label, what,
          reason ? reason : strerror(errno));
  exit(2);
}

static struct clocks read_server(void) {
  struct clocks c = read_clocks(opt.pid);
  if (c.server < 0) die("the server is gone");
  return c;
}

/* Keeps a copy: a connection that is not ended in order spoils its session. */
static int new_session(SSL *ssl, SSL_SESSION *s) {
  (void)ssl;
  SSL_SESSION_free(session);
  session = SSL_SESSION_dup(s);
  return 0;
}

static int open_socket(void) {
  struct sockaddr_in a;
  struct timespec pause = {0, 20000000};
  struct timeval limit = {20, 0};
  int tries = 1500, one = 1, fd;
  memset(&a, 0, sizeof a);
  a.sin_family = AF_INET;
  a.sin_port = htons((unsigned short)opt.port);
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (;;) {
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0) break;
    if (errno != ECONNREFUSED || tries-- == 0) die("connect");
    close(fd);
    nanosleep(&pause, NULL);
  }
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  return fd;
}

/* Asks for `path` and counts the bytes of the answer's body. */
static size_t download(SSL *ssl) {
  static char buffer[65536];
  char request[600];
  size_t total = 0;
  int n = snprintf(request, sizeof request, "GET %.512s HTTP/1.0\r\n\r\n",
                   opt.path);
  int in_head = 1;
  if (SSL_write(ssl, request, n) != n) die("write");
  while ((n = SSL_read(ssl, buffer, sizeof buffer)) > 0) {
    char *end = in_head ? memmem(buffer, (size_t)n, "\r\n\r\n", 4) : NULL;
    if (in_head && end == NULL) continue;  /* in small records */
    total += (size_t)n - (in_head ? (size_t)(end + 4 - buffer) : 0);
    in_head = 0;
  }
  return total;
}

/* Takes what comes (tickets) until the server has closed. */
static void wait_for_end(SSL *ssl) {
  char c;
  SSL_shutdown(ssl);
  while (SSL_read(ssl, &c, 1) > 0) {}
  ERR_clear_error();
}

static SSL *open_connection(void) {
  int offered = opt.resume && session;
  SSL *ssl = SSL_new(ctx);
  if (ssl == NULL) die("SSL_new");
  SSL_set_fd(ssl, open_socket());
  if (offered) SSL_set_session(ssl, session);
  if (SSL_connect(ssl) != 1) die("handshake");
  if (SSL_session_reused(ssl) != offered) bad++;
  return ssl;
}

static void close_connection(SSL *ssl) {
  int fd = SSL_get_fd(ssl);
  wait_for_end(ssl);
  SSL_free(ssl);
  close(fd);
}

/* A connection from its beginning to its end; returns its operations. */
static long connection(void) {
  double since = now(CLOCK_MONOTONIC);
  SSL *ssl = open_connection();
  size_t bytes = 0;
  if (opt.path != NULL) bytes = download(ssl);
  if (opt.path != NULL && bytes < MIB) die("an answer below one MiB");
  close_connection(ssl);
  if (opt.path == NULL) note(&latencies, since);
  return opt.path != NULL ? (long)(bytes / MIB) : 1;
}

/* One echo over that connection; the sockets hold a message of 64 KiB. */
static long echo(SSL *ssl, const char *message, char *back) {
  double since = now(CLOCK_MONOTONIC);
  size_t size = (size_t)opt.size, got = 0;
  if (SSL_write(ssl, message, (int)size) != (int)size) die("write");
  while (got < size) {
    int n = SSL_read(ssl, back + got, (int)(size - got));
    if (n <= 0) die("read");
    got += (size_t)n;
  }
  if (memcmp(message, back, size) != 0) bad++;
  note(&latencies, since);
  return 1;
}

static void make_context(void) {
  ctx = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_min_proto_version(ctx, opt.version);
  SSL_CTX_set_max_proto_version(ctx, opt.version);
  SSL_CTX_set_session_cache_mode(
      ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(ctx, new_session);
  SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
}

static int run(void) {
  size_t size = (size_t)opt.size + 1;
  char *message = calloc(2, size), *back = message + size;
  struct clocks from, to;
  SSL *ssl = NULL;
  long done = 0;
  make_context();
  for (size_t i = 0; i < size; i++) message[i] = (char)('a' + i % 26);
  if (opt.size > 0) ssl = open_connection();
  else connection();
  while (done < opt.warmup)
    done += ssl ? echo(ssl, message, back) : connection();
  make_room(&latencies, opt.n);
  from = read_server();
  for (done = 0; done < opt.n;)
    done += ssl ? echo(ssl, message, back) : connection();
  to = read_server();
  print_result(opt.figure, opt.label, from, to, (double)done, &latencies, bad);
  if (ssl != NULL) close_connection(ssl);
  return bad > 0;
}

static int usage(void) {
  fprintf(stderr, "usage: tls_load [-f figure] [-l program] [-p pid] [-n ops] "
                  "[-w warm-up] [-r] [-2] [-b path | -e bytes] port\n");
  return 2;
}

int main(int argc, char **argv) {
  int o;
  while ((o = getopt(argc, argv, "f:l:p:n:w:r2b:e:")) != -1) switch (o) {
    case 'f': opt.figure = optarg; break;
    case 'l': opt.label = optarg; break;
    case 'p': opt.pid = optarg; break;
    case 'n': opt.n = atol(optarg); break;
    case 'w': opt.warmup = atol(optarg); break;
    case 'r': opt.resume = 1; break;
    case '2': opt.version = TLS1_2_VERSION; break;
    case 'b': opt.path = optarg; break;
    case 'e': opt.size = atol(optarg); break;
    default: return usage();
  }
  if (optind != argc - 1 || opt.n < 1 || opt.size < 0) return usage();
  opt.port = atoi(argv[optind]);
  if (opt.warmup < 0) opt.warmup = opt.n / 10;
  return run();
}
