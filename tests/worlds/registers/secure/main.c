/* SPDX-License-Identifier: MIT */
/* main.c - the Secure world of the register test: it fills all its registers before every call and looks what they hold
 * when the call returns, be it at once or when Linux has run meanwhile. Its timer pre-empts Linux a thousand times a
 * second. TRY_FP: at a doorbell it uses FP, against its own CPACR_EL1 (1) or in agreement with it (2). On its console: a line per register that has changed, and how many times it looked. */
#include <stdint.h>

#include "board.h"
#include "gic.h"
#include "smc.h"

typedef uint64_t u64;
#define NORMAL 0
#include "exchange.h"

#define UARTFR (BOARD_CONSOLE_BASE + 0x18)
#define UARTFR_FULL (1u << 5)
#define WRONG_MAX 20
#define LOOKS_A_LINE 200

void main(void);
void on_exception(u64 esr, u64 elr);

static struct exchange e;
static u64 own[EXCHANGE_SLOTS], filled_before[EXCHANGE_SLOTS], varied[EXCHANGE_SLOTS];
static u64 seed, looks, wrong;

static void put(char c)
{
    while (*(volatile uint32_t *)UARTFR & UARTFR_FULL)
        ;
    *(volatile uint32_t *)BOARD_CONSOLE_BASE = (uint32_t)c;
}

static void text(const char *s)
{
    while (*s)
        put(*s++);
}

static void number(u64 n)
{
    for (int shift = 60; shift >= 0; shift -= 4)
        put("0123456789abcdef"[n >> shift & 15]);
}

void on_exception(u64 esr, u64 elr)
{
    text("registers: exception ");
    number(esr);
    text(" at ");
    number(elr);
    text("\n");
    __asm__ volatile("mov x0, %0\n\tmov x1, %1\n\tsmc #0" ::"r"((u64)IST_SMC_YIELD), "r"((u64)IST_YIELD_STOP) : "x0", "x1");
    for (;;)
        ;
}

/* The call with patterns all around it; `results` registers of it are its answer. */
static void call(u64 function, u64 x1, u64 x2, int results)
{
    const char *name;
    u64 was, is;
    int which;

    fill(&e, seed++, own);
    e.x_in[0] = function;
    e.x_in[1] = x1;
    e.x_in[2] = x2;
    exchange_call(&e);
    looks++;
    name = changed(&e, results, &which, &was, &is);
    for (int i = 0; i < LISTED; i++) {
        varied[i] |= e.filled[i] ^ filled_before[i];
        filled_before[i] = e.filled[i];
        own[i] = e.own[i];
    }
    if (name == 0 || wrong++ > WRONG_MAX)
        return;
    text("registers: ");
    text(name);
    if (which >= 10)
        put((char)('0' + which / 10));
    if (which >= 0)
        put((char)('0' + which % 10));
    text(" changed ");
    number(was);
    text(" ");
    number(is);
    text("\n");
}

static void arm(void)
{
    u64 now, frequency;

    __asm__ volatile("isb\n\tmrs %0, cntpct_el0" : "=r"(now));
    __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(frequency));
    __asm__ volatile("msr S3_7_C14_C2_2, %0" ::"r"(now + frequency / 1000)); /* CNTPS_CVAL_EL1 */
    __asm__ volatile("msr S3_7_C14_C2_1, %0\n\tisb" ::"r"((u64)1));          /* CNTPS_CTL_EL1 */
}

static void take_interrupts(void)
{
    for (uint32_t id; (id = gic_take()) < GIC_NONE; gic_end(id))
        if (id == BOARD_TIMER_INTERRUPT)
            arm();
}

/* Writes an FP register, and wants to be let. */
static void use_fp(u64 cpacr)
{
    __asm__ volatile("msr cpacr_el1, %0\n\tisb\n\t.inst 0x9e670000" ::"r"(cpacr)); /* fmov d0, x0 */
}

static void report(void)
{
    text("registers: looked ");
    number(looks);
    text(" wrong ");
    number(wrong);
    text(" fixed");
    for (int i = 0; i < LISTED; i++)
        if (varied[i] == 0) {
            put(' ');
            text(names[i]);
        }
    text("\n");
}

#define READ_NOW(r, n, s) __asm__ volatile("mrs %0, " #r : "=r"(own[i])); i++;

void main(void)
{
    int i = 0;

    LISTED_REGISTERS(READ_NOW)
    if (gic_init(BOARD_TIMER_PRIORITY, BOARD_KICK_PRIORITY) != 0)
        text("registers: no interrupts\n");
    arm();
    seed = 0x5ec;
    call(IST_SMC_READY, 0, 0, 3);
    for (;;) {
        if (TRY_FP && (e.x_out[1] & IST_EVENT_DOORBELL) != 0) {
            text("registers: tries to use FP\n");
            use_fp(TRY_FP == 1 ? 0 : 3 << 20);
            text("registers: has used FP\n");
        }
        take_interrupts();
        call(IST_SMC_GET_VERSION, 0, 0, 2);
        call(IST_SMC_RING, 0, IST_LANE_BULK, 1);
        call(IST_SMC_SESSION, 0, 0, 5);
        call(IST_SMC_QUIESCED, 0, 1, 1);
        call(IST_SMC_LOG, 0, 0, 1);
        call(IST_SMC_DOORBELL, 0, IST_LANE_BULK, 1);
        call(IST_SMC_YIELD, 77, 0, 1);
        call(IST_SMC_YIELD, IST_YIELD_IDLE, 0, 3);
        if (looks % LOOKS_A_LINE < 8)
            report();
    }
}
