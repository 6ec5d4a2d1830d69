/* bench/peers/epoll_tls_echo.c - TLS on OpenSSL and plain epoll: the
 * denominator of the tls figures. Sends back what comes, as much at once as
 * has arrived, up to 64 KiB; answers a close, and closes.
 * usage: epoll_tls_echo PORT CERT KEY */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SIZE = 65536 };

/* `data` is what a write left; while there is some, nothing more is read. */
struct conn { SSL *ssl; int fd, ready; char *data; int at, len; };

static int epfd;

static void die(const char *what) {
  perror(what);
  ERR_print_errors_fp(stderr);
  exit(1);
}

static int listen_on(const char *port) {
  struct sockaddr_in a;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  memset(&a, 0, sizeof a);
  a.sin_family = AF_INET;
  a.sin_port = htons((unsigned short)atoi(port));
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, 1024) != 0)
    die("epoll_tls_echo");
  return fd;
}

static SSL_CTX *make_context(const char *cert, const char *key) {
  SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
  SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
  SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
                            SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"bench", 5);
  if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1 ||
      SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
    die("epoll_tls_echo");
  return ctx;
}

static void watch(int op, struct conn *c, unsigned events) {
  struct epoll_event e;
  e.events = events;
  e.data.ptr = c;
  if (epoll_ctl(epfd, op, c->fd, &e) != 0) die("epoll_ctl");
}

static void accept_one(SSL_CTX *ctx, int listener) {
  int one = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  struct conn *c;
  if (fd < 0) return;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  c = calloc(1, sizeof *c);
  c->fd = fd;
  if ((c->ssl = SSL_new(ctx)) == NULL) die("SSL_new");
  SSL_set_fd(c->ssl, fd);
  SSL_set_accept_state(c->ssl);
  watch(EPOLL_CTL_ADD, c, EPOLLIN);
}

/* `n` is what the last call of OpenSSL returned, too little. Waits for what it
 * needs, or else ends the connection: 0. */
static int later(struct conn *c, int n) {
  int why = SSL_get_error(c->ssl, n);
  if (why == SSL_ERROR_WANT_READ) return 1;
  if (why == SSL_ERROR_WANT_WRITE) return watch(EPOLL_CTL_MOD, c, EPOLLOUT), 1;
  if (why == SSL_ERROR_ZERO_RETURN) SSL_shutdown(c->ssl);
  ERR_clear_error();
  SSL_free(c->ssl);
  close(c->fd);
  free(c->data);
  free(c);
  return 0;
}

/* Writes all of it, or keeps the rest, or has ended the connection: 0. */
static int put(struct conn *c, const char *p, int len) {
  int n = 0, at = 0;
  while (at < len && (n = SSL_write(c->ssl, p + at, len - at)) > 0) at += n;
  if (at == len) return 1;
  if (!later(c, n)) return 0;
  c->at = 0;
  c->len = len - at;
  c->data = malloc((size_t)c->len);
  memcpy(c->data, p + at, (size_t)c->len);
  return 0;
}

/* Finishes what an earlier write left. */
static int finish(struct conn *c) {
  while (c->at < c->len) {
    int n = SSL_write(c->ssl, c->data + c->at, c->len - c->at);
    if (n <= 0) return later(c, n), 0;
    c->at += n;
  }
  free(c->data);
  c->data = NULL;
  watch(EPOLL_CTL_MOD, c, EPOLLIN);
  return 1;
}

static int shake_hands(struct conn *c) {
  int n = SSL_do_handshake(c->ssl);
  if (n != 1) return later(c, n), 0;
  c->ready = 1;
  watch(EPOLL_CTL_MOD, c, EPOLLIN);
  return 1;
}

/* Echoes what has come, until there is nothing more. */
static void serve(struct conn *c) {
  static char buffer[SIZE];
  int n = 1, got = 0;
  if (!c->ready && !shake_hands(c)) return;
  if (c->data != NULL && !finish(c)) return;
  while (n > 0) {
    while (got < SIZE && (n = SSL_read(c->ssl, buffer + got, SIZE - got)) > 0)
      got += n;
    if (n <= 0 && !later(c, n)) return;
    if (got > 0 && !put(c, buffer, got)) return;
    got = 0;
  }
}

int main(int argc, char **argv) {
  struct epoll_event events[256], e = {.events = EPOLLIN};
  SSL_CTX *ctx;
  int listener;
  if (argc != 4) return 2;
  ctx = make_context(argv[2], argv[3]);
  listener = listen_on(argv[1]);
  epfd = epoll_create1(EPOLL_CLOEXEC);
  epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &e);
  for (;;) {
    int n = epoll_wait(epfd, events, 256, -1);
    for (int i = 0; i < n; i++) {
      if (events[i].data.ptr == NULL) accept_one(ctx, listener);
      else serve(events[i].data.ptr);
    }
  }
}
