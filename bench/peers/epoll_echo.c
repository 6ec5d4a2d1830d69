/* bench/peers/epoll_echo.c - the echo figures on plain epoll, level-triggered,
 * one read and one write a round trip: the denominator of these figures.
 * usage: epoll_echo PORT [BYTES AT ONCE] */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static int listen_on(const char *port) {
  struct sockaddr_in a;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  memset(&a, 0, sizeof a);
  a.sin_family = AF_INET;
  a.sin_port = htons((unsigned short)atoi(port));
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, 1024) != 0) {
    perror("epoll_echo");
    exit(1);
  }
  return fd;
}

static void watch(int epfd, int fd) {
  struct epoll_event e;
  e.events = EPOLLIN;
  e.data.fd = fd;
  epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &e);
}

static void accept_one(int epfd, int listener) {
  int one = 1;
  int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) return;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  watch(epfd, fd);
}

/* What a short write left, by descriptor. While there is some, nothing more
 * is read from it. */
static struct rest { char *data; size_t at, len; } rests[65536];
static size_t size = 4096;

static void wait_for(int epfd, int fd, unsigned events) {
  struct epoll_event e;
  e.events = events;
  e.data.fd = fd;
  epoll_ctl(epfd, EPOLL_CTL_MOD, fd, &e);
}

static void finish(int epfd, int fd, struct rest *r) {
  ssize_t n = send(fd, r->data + r->at, r->len - r->at, MSG_NOSIGNAL);
  if (n > 0) r->at += (size_t)n;
  if (n < 0 || r->at == r->len) {
    free(r->data);
    r->data = NULL;
    wait_for(epfd, fd, EPOLLIN);
  }
}

static void echo(int epfd, int fd) {
  static char buffer[65536];
  struct rest *r = &rests[fd];
  ssize_t n, put;
  if (r->data != NULL) {
    finish(epfd, fd, r);
    return;
  }
  n = recv(fd, buffer, size, 0);
  put = n <= 0 ? -1 : send(fd, buffer, (size_t)n, MSG_NOSIGNAL);
  if (put < 0 && !(n > 0 && errno == EAGAIN)) {
    close(fd);
  } else if (put < n) {
    r->at = 0;
    r->len = (size_t)(n - (put < 0 ? 0 : put));
    r->data = malloc(r->len);
    memcpy(r->data, buffer + (size_t)n - r->len, r->len);
    wait_for(epfd, fd, EPOLLOUT);
  }
}

int main(int argc, char **argv) {
  struct epoll_event events[1024];
  int epfd = epoll_create1(EPOLL_CLOEXEC);
  int listener = listen_on(argc > 1 ? argv[1] : "0");
  if (argc > 2) size = strtoul(argv[2], NULL, 10);
  watch(epfd, listener);
  for (;;) {
    int n = epoll_wait(epfd, events, 1024, -1);
    for (int i = 0; i < n; i++) {
      if (events[i].data.fd == listener) accept_one(epfd, listener);
      else echo(epfd, events[i].data.fd);
    }
  }
}
