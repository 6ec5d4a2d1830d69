/* net/tls_kernel.c - layer: net. See tls.h. TLS by the kernel: what OpenSSL
 * sends is encrypted there, once the handshake is over. Owns `kernel`, a BIO
 * of OpenSSL's own on the same descriptor, which is asked to switch it on and
 * knows whether it is; the bytes go out through ours (tls_bio.c).
 *
 * Reading stays with OpenSSL: we read ahead, and the kernel's way of reading
 * needs each record to be asked for. Without the kernel's module, and on
 * other systems, all of this does nothing. */
#include <errno.h>
#include <openssl/bio.h>
#include <string.h>
#include <sys/socket.h>

#include "net/tls.h"

#if defined(__linux__) && !defined(OPENSSL_NO_KTLS) && \
    __has_include(<linux/tls.h>)
#include <linux/tls.h>

/* Commands that bio.h reserves for this without naming them. */
enum { SET_KTLS = 72, SEND_CONTROL = 74, CLEAR_CONTROL = 75 };
enum { LEVEL_TLS = 282 }; /* SOL_TLS */

void gev_tls_kernel_new(struct gev_tls *t) {
  t->kernel = BIO_new_socket(t->s.fd.fd, BIO_NOCLOSE);
}

long gev_tls_kernel_ctrl(struct gev_tls *t, int cmd, long num, void *ptr) {
  switch (cmd) {
    case SET_KTLS: /* num: for sending? What waits was encrypted by us. */
      if (num == 0 || gev_tls_flush(t) != 0) return 0;
      return BIO_ctrl(t->kernel, cmd, num, ptr);
    case BIO_CTRL_GET_KTLS_SEND: return BIO_ctrl(t->kernel, cmd, num, ptr);
    case SEND_CONTROL: t->control = (int)num; return 0;
    case CLEAR_CONTROL: t->control = 0; return 0;
    default: return 0;
  }
}

ssize_t gev_tls_kernel_send(struct gev_tls *t, const char *buf, size_t n) {
  union {
    struct cmsghdr head;
    char room[CMSG_SPACE(1)];
  } control;
  struct iovec iov = {(void *)(uintptr_t)buf, n};
  struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1,
                       .msg_control = control.room,
                       .msg_controllen = sizeof control.room};
  memset(&control, 0, sizeof control);
  struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
  head->cmsg_level = LEVEL_TLS;
  head->cmsg_type = TLS_SET_RECORD_TYPE;
  head->cmsg_len = CMSG_LEN(1);
  *CMSG_DATA(head) = (unsigned char)t->control;
  ssize_t put = sendmsg(t->s.fd.fd, &msg, MSG_NOSIGNAL);
  if (put >= 0) t->control = 0;
  if (put >= 0) return (ssize_t)n; /* a record is sent whole */
  return errno == EAGAIN || errno == EINTR ? GEV_WANT_WRITE : -errno;
}

#else

void gev_tls_kernel_new(struct gev_tls *t) { (void)t; }

long gev_tls_kernel_ctrl(struct gev_tls *t, int cmd, long num, void *ptr) {
  (void)t, (void)cmd, (void)num, (void)ptr;
  return 0;
}

ssize_t gev_tls_kernel_send(struct gev_tls *t, const char *buf, size_t n) {
  (void)t, (void)buf, (void)n;
  return -ENOTSUP;
}

#endif
