/* SPDX-License-Identifier: MIT */
/* unit_monitor.c - the monitor over doubles of TF-A: what is answered, what is done about it in which order, and that the
 * lock is given back whatever happens. Built for several boards; what only one of them has is left to it. */
#include "unit_calls.h"
#include "unit_priority.h"
#include "unit_setup.h"
#include "unit_stops.h"

int main(int argc, char **argv)
{
    alarm(20); /* what does not end has failed */
    return run_tests(argc, argv);
}
