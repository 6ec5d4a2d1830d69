/* core/alarm.h - layer: core. What wakes the loop for the earliest timer of the
 * hub's. For hub.c and lifecycle.c only. */
#ifndef GEV_CORE_ALARM_H
#define GEV_CORE_ALARM_H

#include "core/hub.h"

/* With the loop; cannot fail. */
void gev_alarms_open(struct gev_hub *h);
/* Before a poll that may block. */
void gev_alarms_set(struct gev_hub *h);
/* After the loop is closed. */
void gev_alarms_close(struct gev_hub *h);

#endif
