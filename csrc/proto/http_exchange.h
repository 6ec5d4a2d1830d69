/* proto/http_exchange.h - layer: proto. The client's side of HTTP/1, for
 * lua/gevent/http/client: nothing of it is for other C code. */
#ifndef GEV_PROTO_HTTP_EXCHANGE_H
#define GEV_PROTO_HTTP_EXCHANGE_H

#include <lua.h>

/* Adds http_exchange and http_is_quiet to the table on the top. */
void gev_open_http_exchange(lua_State *L, int hub);

#endif
