/* net/tls.h - layer: net. TLS with OpenSSL: contexts, certificates, and a
 * stream over a descriptor or over another stream. What the files of TLS
 * share; nobody else includes it but gevent.c, for gev_open_tls.
 *
 * RULES. Lua never runs inside OpenSSL: what needs an answer from Lua (the
 * choice of a context by server name) suspends the handshake. The error queue
 * of the thread is empty before and after each call of ours. OpenSSL writes
 * through a BIO that takes everything: what the socket does not take waits in
 * `tail`. So OpenSSL itself never waits for a write, no call has to be
 * repeated with the same bytes, and after the handshake reading never waits
 * for writing, nor writing for reading. */
#ifndef GEV_NET_TLS_H
#define GEV_NET_TLS_H

#include <openssl/ssl.h>

#include "io/stream.h"

#define gev_tls_class gev_stream_classes[GEV_STREAM_TLS]
extern const struct gev_class gev_tls_context_class, gev_tls_session_class;

/* Results of TLS that are no errno; others have theirs above -100100. */
enum {
  GEV_TLS_FAILED = -100101,    /* OpenSSL's; `why` has its words */
  GEV_TLS_LOWER = -100102,     /* of the stream below: `lower_err` */
  GEV_TLS_SERVERNAME = -100103 /* Lua is to choose a context first */
};

/* What the streams of one Lua state share; a userdata in its registry. */
struct gev_tls_shared {
  const struct gev_class *cls;
  BIO_METHOD *method;
  char *in;  /* where ciphertext is read to; malloc'ed at first use */
  char *out; /* where small pieces of plaintext are put together */
};
enum { GEV_TLS_IN = 65536, GEV_TLS_RECORD = 16384 };

enum gev_tls_verify { GEV_VERIFY_NONE, GEV_VERIFY_OPTIONAL,
                      GEV_VERIFY_REQUIRED };

/* User value 1: the servername callback. */
struct gev_tls_context {
  const struct gev_class *cls;
  SSL_CTX *ctx;
  bool server;          /* made for that role: what its fields show */
  bool verify_told, host_told; /* else the role of a connection decides */
  uint8_t verify;       /* gev_tls_verify */
  bool check_host;
  bool trust_told;      /* the user has said whom to trust */
  bool trust_loaded;    /* the system's store was added */
  bool ktls;            /* encrypt in the kernel where it can */
  bool asks_lua;        /* has a servername callback */
  unsigned char *alpn;  /* protocols as the wire has them; malloc'ed */
  size_t alpn_len;
};
enum { GEV_TLS_UV_CALLBACK = 1 };

/* How far the choice of a context by server name has come. */
enum gev_tls_choice { GEV_CHOICE_NONE, GEV_CHOICE_ASKED, GEV_CHOICE_TOLD,
                      GEV_CHOICE_MADE, GEV_CHOICE_REFUSED,
                      GEV_CHOICE_FAILED };

/* User values: 1 the context, 2 the stream below, 3 a chosen context, 4 the
 * class that the stream below had. */
struct gev_tls {
  const struct gev_class *cls;
  struct gev_stream s;
  SSL *ssl; /* NULL: closed */
  struct gev_tls_shared *shared;
  struct gev_stream *lower; /* NULL: straight on the descriptor, else it has
                             * lent us its own: gev_tls_lend */
  struct gev_bytes raw;  /* ciphertext that was read and not asked for */
  const char *at;        /* the same, during an operation: in shared->in */
  size_t left;
  struct gev_bytes tail; /* ciphertext that is still to be sent */
  BIO *kernel;           /* tls_kernel.c; NULL: not wanted */
  int control;           /* type of the next record the kernel is to send, if
                          * it is not data; else 0 */
  ssize_t bio_err;       /* why the BIO stopped: GEV_WANT_*, -errno */
  ssize_t lower_err;
  char *why;             /* message of the failure that ended it */
  char *host;            /* server_hostname; for sessions */
  char *sni;             /* the name a client has asked for */
  int family;
  uint8_t choice;        /* gev_tls_choice */
  bool lent;             /* below another: closed with that, not before */
  bool server;
  bool verifies;         /* asks for a certificate and checks it */
  bool checks_host;      /* and the name in it */
  bool holding;          /* in a step of the handshake: `tail` is sent after */
  bool established;      /* the handshake is complete */
  bool failed;           /* for good */
  bool raw_eof;          /* the descriptor's end was reached */
  bool dry;              /* this operation has seen that nothing is left */
  size_t taken;          /* ciphertext that this operation has read */
  bool reads_ended, writes_ended; /* by shutdown */
};
enum { GEV_TLS_UV_CONTEXT = 1, GEV_TLS_UV_LOWER, GEV_TLS_UV_CHOSEN,
       GEV_TLS_UV_LOWER_CLASS };

/* User value 1: the context. Says what a session was verified for. */
struct gev_tls_session {
  const struct gev_class *cls;
  SSL_SESSION *session;
  char *host;
  bool verified, host_checked;
};

/* --- tls_error.c --------------------------------------------------------- */
/* The words for the oldest error of the queue, or `fallback`; empties it. */
void gev_tls_message(char *buf, size_t size, const char *fallback);
/* nil, message, "ESSL"; empties the queue. */
int gev_tls_fail(lua_State *L, const char *fallback);
/* Notes why the stream has failed for good. */
void gev_tls_note(struct gev_tls *t);

/* --- tls_bio.c ----------------------------------------------------------- */
BIO_METHOD *gev_tls_bio_method(void);
/* Sends what it can of `tail`: 0 when it is empty, GEV_WANT_*, a failure. */
ssize_t gev_tls_flush(struct gev_tls *t);
/* Gives the stream below its descriptor for an operation, and takes it back. */
static inline struct gev_stream *gev_tls_lend(struct gev_tls *t) {
  t->lower->fd.fd = t->s.fd.fd;
  return t->lower;
}
static inline ssize_t gev_tls_lent(struct gev_tls *t, ssize_t result) {
  t->lower->fd.fd = -1;
  return result;
}
/* Bytes that were read from below but not by OpenSSL. */
static inline bool gev_tls_has_raw(const struct gev_tls *t) {
  return t->left > 0 || t->raw.data != NULL;
}

/* --- tls_kernel.c -------------------------------------------------------- */
/* Wants the kernel to encrypt, once that is possible. */
void gev_tls_kernel_new(struct gev_tls *t);
/* What our BIO is told and asked about it. */
long gev_tls_kernel_ctrl(struct gev_tls *t, int cmd, long num, void *ptr);
/* Sends a record that is no data: n, GEV_WANT_WRITE, or a failure. */
ssize_t gev_tls_kernel_send(struct gev_tls *t, const char *buf, size_t n);

/* --- tls_stream.c -------------------------------------------------------- */
extern const struct gev_transport gev_tls_transport;
/* 0, GEV_WANT_*, or a failure. */
ssize_t gev_tls_handshake(struct gev_tls *t);
/* Ends TLS in both directions: 0 when the peer has agreed. What it sends
 * before that is kept as input, and is a failure. */
ssize_t gev_tls_unwrap(struct gev_tls *t);
/* Marks a stream that is put below another, if it is TLS itself. */
void gev_tls_set_lent(struct gev_stream *lower, bool lent);
static inline struct gev_tls *gev_tls_of(struct gev_stream *s) {
  return gev_container(s, struct gev_tls, s);
}

/* --- tls_context.c, tls_config.c, tls_trust.c ---------------------------- */
struct gev_tls_context *gev_tls_checkcontext(lua_State *L, int idx);
extern const luaL_Reg gev_tls_config_methods[], gev_tls_trust_methods[];
/* Whom the context accepts has changed: a server resumes no older session. */
void gev_tls_new_terms(struct gev_tls_context *c);
/* Adds the system's trust store unless the user has said whom to trust. */
void gev_tls_default_trust(struct gev_tls_context *c);
/* How a connection verifies its peer. */
enum gev_tls_verify gev_tls_verify_as(const struct gev_tls_context *c,
                                      bool server);
void gev_tls_apply_verify(struct gev_tls *t, struct gev_tls_context *c);
bool gev_tls_checks_host(const struct gev_tls_context *c);
int gev_tls_context_index(lua_State *L);
int gev_tls_context_newindex(lua_State *L);

/* --- tls_socket.c, tls_wrap.c, tls_cert.c, tls_session.c ----------------- */
struct gev_tls *gev_tls_check(lua_State *L, int idx);
struct gev_tls *gev_tls_new(lua_State *L); /* pushes a closed one */
void gev_tls_open(lua_State *L, int idx, struct gev_tls *t, int fd,
                  int family);
int gev_tls_wrap(lua_State *L);
extern const luaL_Reg gev_tls_cert_methods[], gev_tls_session_methods[];
void gev_open_tls_session(lua_State *L, int hub);
void gev_open_tls_context(lua_State *L, int hub);
void gev_open_tls(lua_State *L, int hub);

#endif
