/* proto/ws_handshake.c - layer: proto. What the opening handshake of a
 * WebSocket needs of cryptography. Owns nothing. */
#include <lauxlib.h>
#include <openssl/evp.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/lualib.h"
#include "proto/ws_object.h"

enum { NONCE = 16 };
static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

static void push_base64(lua_State *L, const void *data, size_t len) {
  luaL_Buffer b;
  char *text = luaL_buffinitsize(L, &b, len / 3 * 4 + 5);
  luaL_pushresultsize(&b, (size_t)EVP_EncodeBlock((unsigned char *)text, data,
                                                  (int)len));
}

/* websocket_key() -> the nonce of a client's handshake */
static int lib_key(lua_State *L) {
  unsigned char nonce[NONCE];
  if (getentropy(nonce, sizeof nonce))
    return luaL_error(L, "the system has no randomness to give");
  push_base64(L, nonce, sizeof nonce);
  return 1;
}

/* websocket_accept(key) -> what the server has to answer to it */
static int lib_accept(lua_State *L) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned len = 0;
  size_t n;
  luaL_checkstring(L, 1);
  lua_settop(L, 1);
  lua_pushlstring(L, guid, sizeof guid - 1);
  lua_concat(L, 2);
  const char *text = lua_tolstring(L, 1, &n);
  if (!EVP_Digest(text, n, digest, &len, EVP_sha1(), NULL))
    return luaL_error(L, "SHA-1 is not to be had");
  push_base64(L, digest, len);
  return 1;
}

/* websocket_base64(text), for Authorization */
static int lib_base64(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  luaL_argcheck(L, len <= 65536, 1, "too long");
  push_base64(L, text, len);
  return 1;
}

static const luaL_Reg functions[] = {{"websocket_key", lib_key},
                                     {"websocket_accept", lib_accept},
                                     {"websocket_base64", lib_base64},
                                     {NULL, NULL}};

void gev_open_ws_handshake(lua_State *L, int hub) {
  lua_pushvalue(L, hub);
  luaL_setfuncs(L, functions, 1);
}
