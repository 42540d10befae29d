/* SPDX-License-Identifier: MIT */
#include "apps.h"

int apps_start(const struct status_source *source)
{
    return echo_start() == 0 && iperf_start() == 0 && status_start(source) == 0 ? 0 : -1;
}
