/*
** Pure protocol layer: the table behind http1_chars.h. Constant data only.
*/
#include "proto/http1_chars.h"

/* Shorthands of this table, each the sum of the uses of its bytes. */
#define HT (GEV_H1_BLANK | GEV_H1_VALUE)
#define SP HT
#define VI (GEV_H1_VALUE | GEV_H1_TARGET) /* visible, no other use */
#define NA (VI | GEV_H1_NAME) /* in names of hosts only */
#define TO (VI | GEV_H1_TOKEN) /* in tokens only */
#define TN (VI | GEV_H1_TOKEN | GEV_H1_NAME) /* in both */
#define DI (TN | GEV_H1_DIGIT | GEV_H1_HEX)
#define HX (TN | GEV_H1_HEX)
#define OB GEV_H1_VALUE /* obs-text */

const uint8_t gev_h1_chars[256] = {
  0, 0, 0, 0, 0, 0, 0, 0, 0, HT, 0, 0, 0, 0, 0, 0,
  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
  SP, TN, VI, TO, TN, TN, TN, TN, NA, NA, TN, TN, NA, TN, TN, VI,
  DI, DI, DI, DI, DI, DI, DI, DI, DI, DI, VI, NA, VI, NA, VI, VI,
  VI, HX, HX, HX, HX, HX, HX, TN, TN, TN, TN, TN, TN, TN, TN, TN,
  TN, TN, TN, TN, TN, TN, TN, TN, TN, TN, TN, VI, VI, VI, TO, TN,
  TO, HX, HX, HX, HX, HX, HX, TN, TN, TN, TN, TN, TN, TN, TN, TN,
  TN, TN, TN, TN, TN, TN, TN, TN, TN, TN, TN, VI, TO, VI, TN, 0,
  OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB,
  OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB,
  OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB,
  OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB,
  OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB,
  OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB,
  OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB,
  OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB, OB,
};
