/* bench/tls_load.c - load generator for the HTTPS servers of bench/: one
 * connection after the other to 127.0.0.1:PORT, as `openssl s_server` serves
 * no more at once. Prints one line.
 * usage: tls_load [options] PORT
 *   -f FIGURE -l PROGRAM  first two words of the line   -p PID  the server
 *   -n OPERATIONS (1000)  -w WARM-UP OPERATIONS (n/10)
 *   -r                    resume the first connection's session
 *   -2                    TLS 1.2; else 1.3
 *   -b PATH               bulk: GET PATH; an operation is a MiB of its body
 * output: FIGURE PROGRAM NS OPERATIONS load_ns=NS per_s=N bad=N
 *   NS and load_ns are as bench/load.c's. bad counts sessions that were not
 *   resumed with -r, or were without, and MiB that are missing. The exit status
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
  long n, warmup;
  int resume, version, port;
} opt = {"tls", "server", NULL, NULL, 1000, -1, 0, TLS1_3_VERSION, 0};

static SSL_CTX *ctx;
static SSL_SESSION *session;  /* the newest that was given */
static long bad;

static void die(const char *what) {
  unsigned long err = ERR_peek_error();
  const char *reason = err ? ERR_reason_error_string(err) : NULL;
  fprintf(stderr, "tls_load: %s %s: %s: %s\n", opt.figure, opt.label, what,
          reason ? reason : strerror(errno));
  exit(2);
}

static struct clocks clocks(void) {
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

/* A connection from its beginning to its end; returns its operations. */
static long connection(void) {
  int fd = open_socket(), offered = opt.resume && session;
  SSL *ssl = SSL_new(ctx);
  size_t bytes = 0;
  if (ssl == NULL) die("SSL_new");
  SSL_set_fd(ssl, fd);
  if (offered) SSL_set_session(ssl, session);
  if (SSL_connect(ssl) != 1) die("handshake");
  if (SSL_session_reused(ssl) != offered) bad++;
  if (opt.path != NULL) bytes = download(ssl);
  if (opt.path != NULL && bytes < MIB) die("an answer below one MiB");
  wait_for_end(ssl);
  SSL_free(ssl);
  close(fd);
  return opt.path != NULL ? (long)(bytes / MIB) : 1;
}

static int run(void) {
  struct clocks from, to;
  long done = 0;
  double n;
  ctx = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_min_proto_version(ctx, opt.version);
  SSL_CTX_set_max_proto_version(ctx, opt.version);
  SSL_CTX_set_session_cache_mode(
      ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(ctx, new_session);
  SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
  connection();
  while (done < opt.warmup) done += connection();
  from = clocks();
  for (done = 0; done < opt.n;) done += connection();
  to = clocks();
  n = (double)done;
  printf("%s %s %.1f %.0f load_ns=%.1f per_s=%.0f bad=%ld\n", opt.figure,
         opt.label, (to.server - from.server) / n, n,
         (to.own - from.own) / n, n * 1e9 / (to.wall - from.wall), bad);
  return bad > 0;
}

static int usage(void) {
  fprintf(stderr, "usage: tls_load [-f figure] [-l program] [-p pid] [-n ops] "
                  "[-w warm-up] [-r] [-2] [-b path] port\n");
  return 2;
}

int main(int argc, char **argv) {
  int o;
  while ((o = getopt(argc, argv, "f:l:p:n:w:r2b:")) != -1) switch (o) {
    case 'f': opt.figure = optarg; break;
    case 'l': opt.label = optarg; break;
    case 'p': opt.pid = optarg; break;
    case 'n': opt.n = atol(optarg); break;
    case 'w': opt.warmup = atol(optarg); break;
    case 'r': opt.resume = 1; break;
    case '2': opt.version = TLS1_2_VERSION; break;
    case 'b': opt.path = optarg; break;
    default: return usage();
  }
  if (optind != argc - 1 || opt.n < 1) return usage();
  opt.port = atoi(argv[optind]);
  if (opt.warmup < 0) opt.warmup = opt.n / 10;
  return run();
}
