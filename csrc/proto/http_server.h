/* proto/http_server.h - layer: proto. The HTTP/1 server's mechanism for
 * lua/gevent/http: nothing of it is for other C code. */
#ifndef GEV_PROTO_HTTP_SERVER_H
#define GEV_PROTO_HTTP_SERVER_H

#include <lua.h>

/* Adds http_settings, http_conn, http_headers and the tables of methods to
 * the table on the top. */
void gev_open_http_server(lua_State *L, int hub);

#endif
