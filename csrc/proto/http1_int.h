/*
** Pure protocol layer: what the files of the HTTP/1 parser share among them.
** Nobody else may include it.
*/
#ifndef GEV_HTTP1_INT_H
#define GEV_HTTP1_INT_H

#include "proto/http1.h"

struct gev_h1_field {
  struct gev_h1_span name;
  struct gev_h1_span value;
};

/* States in which the next byte has a place of its own. */
enum gev_h1_state {
  GEV_H1_AT_START, /* in front of a message; 0, as in a struct of zeros */
  GEV_H1_IN_QUERY, /* in the method that llhttp may not know */
  GEV_H1_IN_STRANGE, /* in a request line without a method that we know */
  GEV_H1_IN_HEAD,
  GEV_H1_IN_FIXED, /* body of a known length */
  GEV_H1_IN_REST, /* body that ends with the connection */
  GEV_H1_IN_SIZE, /* first of the states of http1_chunk.c */
  GEV_H1_IN_EXT, /* chunk extensions: 9 states, see http1_chunk.c */
  GEV_H1_AT_SIZE_LF = GEV_H1_IN_EXT + 9,
  GEV_H1_IN_CHUNK,
  GEV_H1_AT_CHUNK_CR,
  GEV_H1_AT_CHUNK_LF,
  GEV_H1_AT_TRAILERS, /* after the last chunk */
  GEV_H1_AT_LAST_LF,
  GEV_H1_IN_TRAILERS,
  GEV_H1_AT_END,
  GEV_H1_FAILED
};

/* Field i, counted from the end of the block, for the text grows too. */
static inline struct gev_h1_field *gev_h1_slot(const struct gev_h1 *p,
                                               uint32_t i)
{
  return (struct gev_h1_field *)(void *)(p->buf + p->cap) - 1 - i;
}

/* Enters the state FAILED; the result is ERROR. */
enum gev_h1_event gev_h1_refuse(struct gev_h1 *p, unsigned status,
                                const char *why);

/* http1.c: lets llhttp read fields again, as if after a request line. */
void gev_h1_begin_trailers(struct gev_h1 *p);

/* http1_head.c: check the text just completed; false after a refusal. */
bool gev_h1_check_head(struct gev_h1 *p);
bool gev_h1_check_trailers(struct gev_h1 *p);

/* http1_target.c: check the target, and find its path and authority. */
bool gev_h1_check_target(struct gev_h1 *p);
bool gev_h1_is_host(const char *s, size_t len, bool port_needed);

/*
** http1_strange.c: refuses a line of which len bytes, a beginning of a method,
** are in the buffer; then what follows them.
*/
enum gev_h1_event gev_h1_strange_method(struct gev_h1 *p, const char **at,
                                        const char *end);
enum gev_h1_event gev_h1_strange_line(struct gev_h1 *p, const char **at,
                                      const char *end);

/*
** http1_chunk.c: one event of a chunked body. In the state IN_TRAILERS it
** returns MORE with input left; http1.c goes on from there.
*/
enum gev_h1_event gev_h1_dechunk(struct gev_h1 *p, const char **at,
                                 const char *end);

#endif
