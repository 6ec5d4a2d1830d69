/* bench/peers/epoll_echo.c - the echo figure on plain epoll, level-triggered,
 * one read and one write a round trip: the denominator of that figure.
 * usage: epoll_echo PORT */
#define _GNU_SOURCE
#include <arpa/inet.h>
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

/* The load never has more than a message in flight: a short write is an end. */
static void echo(int fd) {
  char buffer[4096];
  ssize_t n = recv(fd, buffer, sizeof buffer, 0);
  if (n <= 0 || send(fd, buffer, (size_t)n, MSG_NOSIGNAL) != n) close(fd);
}

int main(int argc, char **argv) {
  struct epoll_event events[1024];
  int epfd = epoll_create1(EPOLL_CLOEXEC);
  int listener = listen_on(argc > 1 ? argv[1] : "0");
  watch(epfd, listener);
  for (;;) {
    int n = epoll_wait(epfd, events, 1024, -1);
    for (int i = 0; i < n; i++) {
      if (events[i].data.fd == listener) accept_one(epfd, listener);
      else echo(events[i].data.fd);
    }
  }
}
