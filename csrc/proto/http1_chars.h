/*
** Pure protocol layer, no Lua, no libuv: what each byte may be used for in
** HTTP/1. One constant table, shared by the parser and the writer. Owns
** nothing; anybody may ask.
*/
#ifndef GEV_HTTP1_CHARS_H
#define GEV_HTTP1_CHARS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GEV_H1_TOKEN 0x01 /* names: RFC 9110, 5.6.2 */
#define GEV_H1_VALUE 0x02 /* field values: HTAB, SP, VCHAR, obs-text */
#define GEV_H1_TARGET 0x04 /* request targets: visible ASCII */
#define GEV_H1_NAME 0x08 /* registered names of hosts: RFC 3986, 3.2.2 */
#define GEV_H1_DIGIT 0x10
#define GEV_H1_HEX 0x20
#define GEV_H1_BLANK 0x40 /* SP and HTAB */

extern const uint8_t gev_h1_chars[256];

/* Has this byte one of the uses in `mask`? */
static inline bool gev_h1_char_is(char c, unsigned mask)
{
  return (gev_h1_chars[(unsigned char)c] & mask) != 0;
}

/* Has every byte of s one of the uses in `mask`? True for an empty s. */
static inline bool gev_h1_chars_are(const char *s, size_t len, unsigned mask)
{
  size_t i;
  for (i = 0; i < len; i++) {
    if (!gev_h1_char_is(s[i], mask)) return false;
  }
  return true;
}

/* The value of a hexadecimal digit; the caller has checked that it is one. */
static inline unsigned gev_h1_hex_value(char c)
{
  unsigned u = (unsigned char)c;
  return u <= '9' ? u - '0' : (u | 0x20u) - 'a' + 10u;
}

/*
** Is s the given name, which is in lower case, whatever the case of s? For s
** of visible characters only: then no other byte can pass for a letter.
*/
static inline bool gev_h1_same(const char *s, const char *lower, size_t len)
{
  size_t i;
  for (i = 0; i < len; i++) {
    if ((s[i] | 0x20) != lower[i]) return false;
  }
  return true;
}

#endif
