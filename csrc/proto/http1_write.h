/*
** Pure protocol layer, no Lua, no libuv: the pieces a writer of HTTP/1
** messages needs. Every function works on (pointer, length), allocates
** nothing and knows no locale; anybody may call them.
*/
#ifndef GEV_HTTP1_WRITE_H
#define GEV_HTTP1_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GEV_H1_DATE_LEN 29 /* Sun, 06 Nov 1994 08:49:37 GMT */
#define GEV_H1_CHUNK_LINE_MAX 18 /* 16 digits and CRLF */

/* The registered phrase of a status (IANA); NULL if there is none. */
const char *gev_h1_reason(unsigned status);

/*
** Writes the date of so many seconds since 1970 as an IMF-fixdate, without a
** zero at the end. Seconds outside the years 1970 to 9999 are brought there.
*/
void gev_h1_date(char out[GEV_H1_DATE_LEN], int64_t seconds);

/* May s be the name of a field (or a method)? */
bool gev_h1_is_token(const char *s, size_t len);

/* May s be the value of a field: no CR, LF, NUL or other control but HTAB? */
bool gev_h1_is_value(const char *s, size_t len);

/* Writes the line in front of a chunk of n bytes; returns its length. */
size_t gev_h1_chunk_line(char out[GEV_H1_CHUNK_LINE_MAX], uint64_t n);

/*
** Replaces each %xx of s by its byte. `out` has room for len bytes and may be
** s itself; *out_len is what was written. False at a % without two
** hexadecimal digits and at %00; `out` is then unspecified.
*/
bool gev_h1_unescape(const char *s, size_t len, char *out, size_t *out_len);

#endif
