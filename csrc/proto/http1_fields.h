/*
** Pure protocol layer, no Lua, no libuv: the values of some fields of HTTP/1.
** Every function works on (pointer, length), allocates nothing and knows no
** locale; anybody may call them.
*/
#ifndef GEV_HTTP1_FIELDS_H
#define GEV_HTTP1_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
** Reads a date in any of the three forms of RFC 9110, 5.6.7, as seconds since
** 1970, which may be negative. False for anything else.
*/
bool gev_h1_parse_date(const char *s, size_t len, int64_t *seconds);

/*
** How much a list such as "gzip;q=0.5, *" likes one of its members, whose
** name is in lower case: 0 to 1000, or -1 where it is not mentioned.
*/
int gev_h1_quality(const char *s, size_t len, const char *lower);

#endif
