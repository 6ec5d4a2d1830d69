/* net/tls_error.c - layer: net. See tls.h. OpenSSL's errors in words. Owns
 * nothing. */
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/tls.h"

static void describe(unsigned long err, char *buf, size_t size) {
  const char *reason = ERR_reason_error_string(err);
  if (ERR_SYSTEM_ERROR(err))
    gev_errmsg(ERR_GET_REASON(err), buf, size);
  else
    snprintf(buf, size, "%s", reason ? reason : "unknown error");
}

void gev_tls_message(char *buf, size_t size, const char *fallback) {
  unsigned long err = ERR_peek_error();
  if (err)
    describe(err, buf, size);
  else
    snprintf(buf, size, "%s", fallback);
  ERR_clear_error();
}

int gev_tls_fail(lua_State *L, const char *fallback) {
  char buf[256];
  gev_tls_message(buf, sizeof buf, fallback);
  return gev_failmsg(L, buf, "ESSL");
}

/* A certificate that was refused has a reason of its own. */
static bool is_verify_error(const struct gev_tls *t) {
  return ERR_GET_LIB(ERR_peek_error()) == ERR_LIB_SSL &&
         ERR_GET_REASON(ERR_peek_error()) == SSL_R_CERTIFICATE_VERIFY_FAILED &&
         SSL_get_verify_result(t->ssl) != X509_V_OK;
}

void gev_tls_note(struct gev_tls *t) {
  char buf[384], reason[256];
  bool verify = is_verify_error(t);
  gev_tls_message(reason, sizeof reason, "the connection has failed");
  snprintf(buf, sizeof buf, "%s%s%s", reason, verify ? ": " : "",
           verify ? X509_verify_cert_error_string(
                        SSL_get_verify_result(t->ssl))
                  : "");
  t->failed = true;
  if (!t->why) t->why = strdup(buf);
}
