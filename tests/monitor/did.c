/* SPDX-License-Identifier: MIT */
/* did.c - the doubles of tfa.h that are more than a line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "did.h"

struct cpu cpu;
char doings[4000];
jmp_buf elsewhere;
entry_point_info_t images[2], *first_image = &images[SECURE];
cpu_context_t contexts[2];
void *secure_context;
interrupt_type_handler_t handler;
const spd_pm_ops_t *hooks;
unsigned int psci_caps;
const void *switched[2]; /* from, to */
const void *next_context;
static uintptr_t frames[] = {FRAME, FRAME, FRAME, FRAME};
static const gicv3_driver_data_t data = {frames};
const gicv3_driver_data_t *gicv3_driver_data = &data;

void did(const char *format, ...)
{
    const size_t at = strlen(doings);
    va_list words;

    va_start(words, format);
    if (at)
        strcat(doings, " ");
    vsnprintf(doings + at + (at > 0), sizeof doings - at - 1, format, words);
    va_end(words);
}

void gone(const char *where)
{
    did("%s", where);
    longjmp(elsewhere, 1);
}

void wfi(void)
{
    did("wfi");
    if (cpu.idle-- == 0)
        gone("away");
}

int register_interrupt_type_handler(uint32_t type, interrupt_type_handler_t given, uint32_t flags)
{
    did("handler%u:%u", type, flags);
    handler = given;
    return (int)cpu.handler_result;
}

entry_point_info_t *bl31_plat_get_next_image_ep_info(uint32_t world)
{
    return world == SECURE ? first_image : &images[NON_SECURE];
}

void *cm_get_context(uint32_t world) { return &contexts[world]; }

void cm_set_context(void *context, uint32_t world)
{
    did("context%u", world);
    secure_context = context;
}

void cm_init_my_context(const entry_point_info_t *entry) { did("init%" PRIu64, entry->args.arg0); }

void switch_registers(const void *leaving, const void *coming)
{
    did("switch");
    switched[0] = leaving;
    switched[1] = coming;
}

void cm_set_next_context(void *context) { next_context = context; }

uintptr_t switch_worlds(const void *leaving, const void *coming, void *context)
{
    switch_registers(leaving, coming);
    return (uintptr_t)context;
}

int plat_core_pos_by_mpidr(u_register_t mpidr)
{
    for (int i = 0; i < 4; i++)
        if (cpu.place[i] == mpidr)
            return i;
    return -1;
}

uint32_t mmio_read_32(uintptr_t at)
{
    const uint32_t wait = cpu.busy ? 1 : 0;

    if (at == FRAME + GICR_ISENABLER0)
        return cpu.enabled;
    cpu.busy -= wait;
    if (wait)
        did("wait");
    if (at == FRAME + GICR_CTLR)
        return wait * GICR_CTLR_RWP_BIT | 1u;
    return cpu.distributor | wait * GICD_CTLR_RWP_BIT;
}

void mmio_write_32(uintptr_t at, uint32_t value)
{
    did("[%" PRIxPTR "]=%x", at >= FRAME ? at - FRAME : at, value);
    if (at % 0x10000 == GICD_CTLR)
        cpu.distributor = value;
    if (at == FRAME + GICR_ICENABLER0 || at % 0x10000 == GICD_CTLR)
        cpu.busy = 2;
}

/* ---- PSCI -------------------------------------------------------------------------------------------------------- */

static int on(u_register_t mpidr)
{
    did("on:%" PRIx64, mpidr);
    return (int)cpu.on_result;
}

static void __dead2 off(void) { gone("off"); }
static void __dead2 reset(void) { gone("reset"); }

static int validate(unsigned int state, psci_power_state_t *requested)
{
    *requested = (int)state;
    return PSCI_E_SUCCESS;
}

static void suspend(psci_power_state_t *requested) { *requested = 1; }
static int reset2(int is_vendor, int type, u_register_t cookie) { return is_vendor + type + (int)cookie; }

const plat_psci_ops_t platform_ops = {on, off, reset, validate, suspend, reset2};
const plat_psci_ops_t *psci_plat_pm_ops = &platform_ops;

void psci_register_spd_pm_hook(const spd_pm_ops_t *ops) { hooks = ops; }

int psci_cpu_on(u_register_t mpidr, uintptr_t entry, u_register_t context)
{
    did("start:%" PRIx64 ":%" PRIxPTR ":%" PRIu64, mpidr, entry, context);
    return (int)cpu.starts_result;
}

int psci_cpu_off(void) { gone("off"); }
