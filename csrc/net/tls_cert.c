/* net/tls_cert.c - layer: net. See tls.h. Certificates as tables and in DER.
 * Owns what it gets from OpenSSL for the time of a call. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/socket.h>

#include "net/addr.h"
#include "net/tls.h"

/* A C value that Lua may raise past: freed with the userdata that holds it. */
struct holder {
  X509 *cert;
  BIO *bio;
  GENERAL_NAMES *names;
};
static const char holder_key = 0;

static int holder_gc(lua_State *L) {
  struct holder *o = lua_touserdata(L, 1);
  X509_free(o->cert);
  BIO_free(o->bio);
  GENERAL_NAMES_free(o->names);
  *o = (struct holder){0};
  return 0;
}

static struct holder *new_holder(lua_State *L) {
  struct holder *o = lua_newuserdatauv(L, sizeof *o, 0);
  *o = (struct holder){0};
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &holder_key) == LUA_TNIL) {
    static const luaL_Reg methods[] = {{"__gc", holder_gc}, {NULL, NULL}};
    lua_pop(L, 1);
    gev_newclass(L, "certificate", methods, 0);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &holder_key);
  }
  lua_setmetatable(L, -2);
  o->bio = BIO_new(BIO_s_mem());
  if (!o->bio) luaL_error(L, "not enough memory");
  return o;
}

/* Pushes what was written to the holder's BIO. */
static void push_bio(lua_State *L, struct holder *o) {
  char *data;
  long len = BIO_get_mem_data(o->bio, &data);
  lua_pushlstring(L, data, len > 0 ? (size_t)len : 0);
  (void)BIO_reset(o->bio);
}

/* --- names --------------------------------------------------------------- */

static void push_pair(lua_State *L, const char *name) {
  lua_createtable(L, 2, 0); /* value, pair */
  lua_pushstring(L, name);
  lua_rawseti(L, -2, 1);
  lua_insert(L, -2);
  lua_rawseti(L, -2, 2);
}

/* Pushes {{name, value}, ..., name = value, ...} in the certificate's order;
 * a name that comes again counts once as a field. */
static void push_name(lua_State *L, struct holder *o, const X509_NAME *name) {
  int n = X509_NAME_entry_count(name);
  lua_createtable(L, n, n);
  for (int i = 0; i < n; i++) {
    const X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, i);
    ASN1_OBJECT *object = X509_NAME_ENTRY_get_object(entry);
    char oid[80];
    int nid = OBJ_obj2nid(object);
    if (nid == NID_undef) OBJ_obj2txt(oid, sizeof oid, object, 1);
    const char *key = nid == NID_undef ? oid : OBJ_nid2ln(nid);
    ASN1_STRING_print_ex(o->bio, X509_NAME_ENTRY_get_data(entry),
                         ASN1_STRFLGS_UTF8_CONVERT);
    push_bio(L, o);
    if (lua_getfield(L, -2, key) == LUA_TNIL) {
      lua_pushvalue(L, -2);
      lua_setfield(L, -4, key);
    }
    lua_pop(L, 1);
    push_pair(L, key);
    lua_rawseti(L, -2, i + 1);
  }
}

/* Pushes an IP address in its usual form. */
static void push_ip(lua_State *L, const ASN1_OCTET_STRING *ip) {
  char text[INET6_ADDRSTRLEN] = "";
  int len = ASN1_STRING_length(ip);
  if (len == 4 || len == 16)
    inet_ntop(len == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(ip), text,
              sizeof text);
  lua_pushstring(L, text);
}

static void push_asn1(lua_State *L, const ASN1_STRING *s) {
  lua_pushlstring(L, (const char *)ASN1_STRING_get0_data(s),
                  (size_t)ASN1_STRING_length(s));
}

/* Pushes {kind, value}. */
static void push_general_name(lua_State *L, struct holder *o,
                              GENERAL_NAME *name) {
  switch (name->type) {
    case GEN_DNS:
      push_asn1(L, name->d.dNSName);
      push_pair(L, "DNS");
      break;
    case GEN_EMAIL:
      push_asn1(L, name->d.rfc822Name);
      push_pair(L, "email");
      break;
    case GEN_URI:
      push_asn1(L, name->d.uniformResourceIdentifier);
      push_pair(L, "URI");
      break;
    case GEN_IPADD:
      push_ip(L, name->d.iPAddress);
      push_pair(L, "IP Address");
      break;
    case GEN_DIRNAME:
      push_name(L, o, name->d.directoryName);
      push_pair(L, "DirName");
      break;
    default:
      GENERAL_NAME_print(o->bio, name);
      push_bio(L, o);
      push_pair(L, "other");
  }
}

static void set_alt_names(lua_State *L, struct holder *o) {
  o->names = X509_get_ext_d2i(o->cert, NID_subject_alt_name, NULL, NULL);
  if (!o->names) return;
  int n = sk_GENERAL_NAME_num(o->names);
  lua_createtable(L, n, 0);
  for (int i = 0; i < n; i++) {
    push_general_name(L, o, sk_GENERAL_NAME_value(o->names, i));
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -2, "subjectAltName");
}

/* --- the whole ----------------------------------------------------------- */

static void set_time(lua_State *L, struct holder *o, const char *field,
                     const ASN1_TIME *time) {
  ASN1_TIME_print(o->bio, time);
  push_bio(L, o);
  lua_setfield(L, -2, field);
}

static void push_cert(lua_State *L, struct holder *o) {
  lua_createtable(L, 0, 8);
  push_name(L, o, X509_get_subject_name(o->cert));
  lua_setfield(L, -2, "subject");
  push_name(L, o, X509_get_issuer_name(o->cert));
  lua_setfield(L, -2, "issuer");
  lua_pushinteger(L, X509_get_version(o->cert) + 1);
  lua_setfield(L, -2, "version");
  i2a_ASN1_INTEGER(o->bio, X509_get0_serialNumber(o->cert));
  push_bio(L, o);
  lua_setfield(L, -2, "serialNumber");
  set_time(L, o, "notBefore", X509_get0_notBefore(o->cert));
  set_time(L, o, "notAfter", X509_get0_notAfter(o->cert));
  set_alt_names(L, o);
}

static void push_der(lua_State *L, struct holder *o) {
  i2d_X509_bio(o->bio, o->cert);
  push_bio(L, o);
}

/* Pushes a certificate, of which the reference is taken, or nil. */
static void push_any(lua_State *L, struct holder *o, X509 *cert,
                     bool binary) {
  o->cert = cert;
  if (!cert)
    lua_pushnil(L);
  else if (binary)
    push_der(L, o);
  else
    push_cert(L, o);
  X509_free(o->cert);
  GENERAL_NAMES_free(o->names);
  o->cert = NULL;
  o->names = NULL;
}

/* s:getpeercert([binary]) -> table | DER | nil: it has sent none */
static int m_getpeercert(lua_State *L) {
  struct gev_tls *t = gev_tls_check(L, 1);
  bool binary = lua_toboolean(L, 2);
  if (t->s.fd.fd < 0) return gev_fail(L, EBADF);
  ERR_clear_error();
  struct holder *o = new_holder(L);
  push_any(L, o, SSL_get1_peer_certificate(t->ssl), binary);
  ERR_clear_error();
  return 1;
}

/* s:getpeerchain([binary]) -> list of what it has sent, its own first */
static int m_getpeerchain(lua_State *L) {
  struct gev_tls *t = gev_tls_check(L, 1);
  bool binary = lua_toboolean(L, 2);
  lua_Integer n = 0;
  if (t->s.fd.fd < 0) return gev_fail(L, EBADF);
  ERR_clear_error();
  struct holder *o = new_holder(L);
  lua_newtable(L);
  /* A server is not given the client's own among them. */
  X509 *own = t->server ? SSL_get1_peer_certificate(t->ssl) : NULL;
  if (own) {
    push_any(L, o, own, binary);
    lua_rawseti(L, -2, ++n);
  }
  STACK_OF(X509) *chain = SSL_get_peer_cert_chain(t->ssl);
  for (int i = 0; i < sk_X509_num(chain); i++) {
    X509 *cert = sk_X509_value(chain, i);
    X509_up_ref(cert);
    push_any(L, o, cert, binary);
    lua_rawseti(L, -2, ++n);
  }
  ERR_clear_error();
  return 1;
}

/* s:getpeerverification() -> true | false, why: what was found out, whether
 * or not it was asked for */
static int m_getpeerverification(lua_State *L) {
  struct gev_tls *t = gev_tls_check(L, 1);
  if (t->s.fd.fd < 0) return gev_fail(L, EBADF);
  long result = SSL_get_verify_result(t->ssl);
  bool has_cert = SSL_get0_peer_certificate(t->ssl) != NULL;
  lua_pushboolean(L, has_cert && result == X509_V_OK);
  if (has_cert && result == X509_V_OK) return 1;
  lua_pushstring(L, has_cert ? X509_verify_cert_error_string(result)
                             : "the peer has sent no certificate");
  return 2;
}

const luaL_Reg gev_tls_cert_methods[] = {
    {"getpeercert", m_getpeercert},
    {"getpeerchain", m_getpeerchain},
    {"getpeerverification", m_getpeerverification},
    {NULL, NULL}};
