/* SPDX-License-Identifier: MIT */
/* setup.h - what every program that is the Secure world of a host machine does first, whatever IP stack is in it: it
 * reads its environment, closes itself to others and opens the channel.
 *
 *   ISTHMUS_CONTROL, ISTHMUS_CONFIG   see host/world.h
 *   ISTHMUS_IP, ISTHMUS_NETMASK       this world's address; ISTHMUS_PEER_IP is its gateway
 *   ISTHMUS_MAC                       aa:bb:cc:dd:ee:ff
 *   ISTHMUS_TASKS, ISTHMUS_FLOWS      the board file's tables, see tables.h
 *   ISTHMUS_WATCHDOG_US               longest time without food from the task above; 0 = none
 *   ISTHMUS_RX_BUDGET                 "frames bytes" of one receive step, then the period in us, then "frames bytes" of
 *                                     each lane in it
 *   ISTHMUS_FILTER                    each lane's allow-list of received frames, separated by semicolons: 64-bit words in
 *                                     hexadecimal (core/filter.h)
 *   ISTHMUS_FILTER_OUT                likewise of sent frames; the bulk lane's empty: all may leave
 *   ISTHMUS_SPIN_US                   how long to look for frames before sleeping (host/busypoll.h); default 250
 *   ISTHMUS_BARE_TIMER=1              measure a bare timer beside the task
 *   ISTHMUS_PACKET                    descriptor of a TAP or an AF_PACKET socket, instead of a channel
 *
 * What is wrong there ends the program with one line on standard error and exit status 2. */
#ifndef ISTHMUS_SETUP_H
#define ISTHMUS_SETUP_H

#include "budget.h"
#include "critical.h"
#include "filter.h"
#include "flow.h"
#include "netport.h"
#include "world.h"

struct setup {
    uint8_t ip[4], netmask[4], peer[4], mac[6];
    struct flow flows[FLOWS_MAX + 1];
    uint32_t step_frames, step_bytes; /* budget of one receive step */
    uint64_t budget_period;           /* and of each so long, ns, by lane: */
    uint32_t budget_frames[IST_LANES_MAX], budget_bytes[IST_LANES_MAX];
    uint64_t spin;     /* longest look before sleeping, ns */
    uint64_t watchdog; /* ns; 0: none */
    int bare_timer;
    int packet_fd;     /* -1: on a channel */
    uint32_t mtu;      /* as ISTHMUS_CONFIG says, for where there is no channel */
};

_Noreturn void setup_refuse(const char *what, const char *detail);

/* Closes this process to others and reads everything; `tasks` are the board's. */
void setup_read(struct setup *s, struct task tasks[TASKS]);

/* Opens the channel in `w`, which has its callbacks already, sets the filters of what is received, and what `lane` needs
 * but for its stack. Returns how many lanes there are. */
uint32_t setup_lanes(const struct setup *s, struct ist_world *w, struct netport_lane lane[IST_LANES_MAX]);

/* Instead: where the supervisor's end of file comes from. */
void setup_plain(struct ist_world *w);

/* A fault asks for the safe state before it ends the program. Starts the bare timer and the watchdog, as wanted. After
 * critical_init(). */
void setup_guards(const struct setup *s, const struct critical *c);

/* From the system's entropy. */
uint32_t setup_random(void);

#endif
