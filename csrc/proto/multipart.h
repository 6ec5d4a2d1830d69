/*
** Pure protocol layer, no Lua, no libuv: the parser of multipart/form-data
** (RFC 7578), for servers. Bytes go in by gev_mp_feed(), events come out; it
** does no I/O and allocates nothing: its size is all the memory it needs.
**
** What comes before the first boundary and after the last is skipped, as
** RFC 2046 says. The fields of a part are read strictly (CRLF, no folding,
** no control characters), for what they say is used as a name.
** The result never depends on how the input was cut into pieces.
*/
#ifndef GEV_MULTIPART_H
#define GEV_MULTIPART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GEV_MP_MAX_BOUNDARY 70u /* characters: RFC 2046, 5.1.1 */
#define GEV_MP_MAX_FIELDS 4096u /* bytes of the fields of one part */

enum gev_mp_event {
  GEV_MP_MORE, /* all was taken */
  GEV_MP_PART, /* a part begins: p->name, p->filename, p->type */
  GEV_MP_DATA, /* p->chunk, p->chunk_len: some of its content */
  GEV_MP_END, /* the part is complete */
  GEV_MP_DONE, /* the last boundary has been seen; what follows is skipped */
  GEV_MP_ERROR /* p->error tells why; there it stays */
};

/* A place in the fields of a part; s is NULL where nothing was said. */
struct gev_mp_text {
  const char *s;
  size_t len;
};

struct gev_mp {
  /* What a caller may read. Valid until the next call of feed(). */
  struct gev_mp_text name, filename, type; /* PART */
  const char *chunk; /* DATA: points into the data just fed, or into *p */
  size_t chunk_len;
  const char *error; /* ERROR: a constant string */
  bool too_large; /* ERROR: a limit of ours, not the sender's mistake */

  /* Private. */
  uint8_t state;
  bool owed; /* the CRLF of what is matched is no content, match or not */
  uint32_t matched; /* bytes of the delimiter seen, not given out */
  uint32_t delimiter_len, fields_len;
  char delimiter[GEV_MP_MAX_BOUNDARY + 4]; /* CRLF -- boundary */
  char fields[GEV_MP_MAX_FIELDS];
  char params[2][GEV_MP_MAX_FIELDS]; /* name and filename, unescaped */
};

/* False, with *p unusable: it is no boundary. */
bool gev_mp_init(struct gev_mp *p, const char *boundary, size_t len);

/*
** Takes up to len bytes, *used of them, and stops after the first event. Call
** it again with the rest (maybe of length 0) until it says MORE.
*/
enum gev_mp_event gev_mp_feed(struct gev_mp *p, const char *data, size_t len,
                              size_t *used);

/*
** Finds a parameter of a field value such as `form-data; name="a"`. `name` is
** in lower case. The value is without quotes; `out` has room for len bytes,
** and backslashes before quotes and backslashes are taken out there. False:
** there is none, or the value is malformed before it.
*/
bool gev_mp_param(const char *value, size_t len, const char *name, char *out,
                  size_t *out_len);

#endif
