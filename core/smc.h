/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* smc.h - the calls that both worlds make to the monitor. Read by C, by assembler, by Linux and by the monitor.
 *
 * All are SMCCC fast calls of owner 7 (vendor-specific EL3 monitor): atomic for their caller, never cut short by one
 * of its interrupts. Function id in w0, arguments from x1. Results: x0 is one of IST_SMC_* below as a signed 64-bit
 * number, negative = refused and nothing changed; x1.. as stated; registers not named are kept (SMCCC 1.2), so
 * nothing of the other world is ever seen. An unknown id, a 32-bit call of a 64-bit function or the reverse, and the
 * other world's functions get IST_SMC_NOT_SUPPORTED.
 *
 *   Normal world                                                  Secure world
 *     VERSION  -> x0 = IST_SMC_VERSION_WORD, x1 = features          READY    -> as YIELD; the first call it makes
 *     REGISTER channel, own base, own size, peer base, peer size    YIELD    flags -> x1 = IST_EVENT_*, x2 = lanes rung
 *              -> x1 = epoch, x2, x3 = key                          RING     channel, lanes
 *     DETACH   channel, epoch                                       SESSION  channel -> x1 = IST_SESSION_*, x2 = epoch,
 *     DOORBELL channel, lanes -> OK or LATCHED                                          x3, x4 = key
 *     STATUS   channel -> x1 = IST_SESSION_*, x2 = epoch,           QUIESCED channel, epoch
 *                         x3 = doorbells latched so far             LOG      n, x2..x6 = n bytes, little-endian
 *                                                                   NORMAL   -> x1 = IST_NORMAL_*, x2 = starts of Linux
 *     PSCI's calls about the system, and about cores, are           NORMAL_RESTART
 *     about Linux and its cores                                     POWER_OFF, of the machine; does not return
 */
#ifndef ISTHMUS_SMC_H
#define ISTHMUS_SMC_H

/* No suffixes, no casts, no enums: an assembler reads this too. */

#define IST_SMC_OWNER 7
#define IST_SMC32_BASE 0x87000000
#define IST_SMC64_BASE 0xc7000000

/* Both worlds: the general queries of SMCCC. */
#define IST_SMC_CALL_COUNT 0x8700ff00 /* -> w0 = how many function ids there are, these three left out */
#define IST_SMC_UID 0x8700ff01        /* -> w0..w3 = IST_SMC_UID_0..3 */
#define IST_SMC_REVISION 0x8700ff03   /* -> w0 = major, w1 = minor */
#define IST_SMC_GET_VERSION 0x87000000

/* Normal world. */
#define IST_SMC_REGISTER 0xc7000001
#define IST_SMC_DETACH 0xc7000002
#define IST_SMC_DOORBELL 0xc7000003
#define IST_SMC_STATUS 0xc7000004

/* Secure world. */
#define IST_SMC_READY 0xc7000010
#define IST_SMC_YIELD 0xc7000011
#define IST_SMC_RING 0xc7000012
#define IST_SMC_SESSION 0xc7000013
#define IST_SMC_QUIESCED 0xc7000014
#define IST_SMC_LOG 0xc7000015

#define IST_SMC_NORMAL 0xc7000016
#define IST_SMC_NORMAL_RESTART 0xc7000017
#define IST_SMC_POWER_OFF 0xc7000018

#define IST_SMC_COUNT 14

/* UID 3a1d7c52-6f0e-4b93-9c48-e1b6d5207fa8, as SMCCC spreads a UUID over four words. */
#define IST_SMC_UID_0 0x527c1d3a
#define IST_SMC_UID_1 0x934b0e6f
#define IST_SMC_UID_2 0xb6e1489c
#define IST_SMC_UID_3 0xa87f20d5

#define IST_SMC_MAJOR 1 /* another one is another set of calls; the driver refuses it */
#define IST_SMC_MINOR 0
#define IST_SMC_VERSION_WORD 0x00010000 /* major << 16 | minor */
#define IST_SMC_FEATURE_TEST_KEY 0x1 /* epoch and key are not random: the board says insecure-test-key */

/* Results. */
#define IST_SMC_OK 0
#define IST_SMC_LATCHED 1        /* DOORBELL: over the rate, or Secure world not reachable now; it learns of it within a period */
#define IST_SMC_NOT_SUPPORTED -1 /* fixed by SMCCC */
#define IST_SMC_INVALID -2       /* an argument is not what the board's table says */
#define IST_SMC_DENIED -3        /* no such session, not this epoch, or the Secure world is not up or has stopped */
#define IST_SMC_BUSY -4          /* REGISTER: the epoch before is not quiescent yet; NORMAL_RESTART: it stops already */
#define IST_SMC_ALREADY -5       /* REGISTER: there is a session; detach first */
#define IST_SMC_NO_ENTROPY -6    /* REGISTER: the platform has none for an epoch */

/* State of a channel's session at the monitor.
 *
 *     NONE -- REGISTER --> SEALED -- DETACH, reboot --> ENDING -- QUIESCED --> NONE */
#define IST_SESSION_NONE 0
#define IST_SESSION_SEALED 1
#define IST_SESSION_ENDING 2

/* What Linux does. It stops when it resets or switches off "the system" by PSCI, or by NORMAL_RESTART. */
#define IST_NORMAL_RUNNING 0
#define IST_NORMAL_STOPPING 1 /* not all of its cores have left it yet */
#define IST_NORMAL_OFF 2      /* until NORMAL_RESTART */

/* Why the Secure world was given the core; bits. A doorbell over the rate is among them at the next period. */
#define IST_EVENT_DOORBELL 0x1
#define IST_EVENT_SESSION 0x2   /* a session began or is ending: ask SESSION */
#define IST_EVENT_INTERRUPT 0x4 /* an interrupt of its own is pending */
#define IST_EVENT_NORMAL 0x8    /* Linux stopped, and may have begun again: ask NORMAL */

#define IST_YIELD_IDLE 0 /* nothing left to do */
#define IST_YIELD_MORE 1 /* budget spent: more waits for the next period */
#define IST_YIELD_STOP 2 /* after a fault: never enter it again. Ends the session. */

#define IST_LANE_BULK 0x1 /* lanes: a bit for each, by its number */
#define IST_LANES_ALL 0xf

#define IST_LOG_MAX 40 /* bytes in one LOG call */

#endif
