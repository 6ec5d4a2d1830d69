/* pieces.c - for LD_PRELOAD: a network that takes and gives a few bytes at a
 * time, is interrupted, and says "not now" for no reason. What it says was
 * sent was sent. Of three calls one is interrupted, one would block, one
 * moves 1 to 7 bytes. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

static unsigned calls;

static int fails(void) {
  calls++;
  if (calls % 3 == 2) return 0;
  errno = calls % 3 == 0 ? EINTR : EAGAIN;
  return 1;
}

static size_t piece(size_t n) {
  size_t most = 1 + calls % 7;
  return n < most ? n : most;
}

#define REAL(name) \
  ((__typeof__(name) *)(__UINTPTR_TYPE__)dlsym(RTLD_NEXT, #name))

ssize_t send(int fd, const void *data, size_t n, int flags) {
  return fails() ? -1 : REAL(send)(fd, data, piece(n), flags);
}

ssize_t recv(int fd, void *data, size_t n, int flags) {
  return fails() ? -1 : REAL(recv)(fd, data, piece(n), flags);
}

/* Part of the first buffer that is not empty. */
ssize_t sendmsg(int fd, const struct msghdr *msg, int flags) {
  struct msghdr part = *msg;
  struct iovec iov;
  if (fails()) return -1;
  while (part.msg_iovlen > 1 && part.msg_iov->iov_len == 0)
    part.msg_iov++, part.msg_iovlen--;
  iov = *part.msg_iov;
  iov.iov_len = piece(iov.iov_len);
  part.msg_iov = &iov;
  part.msg_iovlen = 1;
  return REAL(sendmsg)(fd, &part, flags);
}

ssize_t sendfile(int to, int from, off_t *offset, size_t n) {
  return fails() ? -1 : REAL(sendfile)(to, from, offset, piece(n));
}
