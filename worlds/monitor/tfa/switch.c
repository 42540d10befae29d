/* SPDX-License-Identifier: MIT */
#include "switch.h"

#include <arch_helpers.h>
#include <bl31/bl31.h>
#include <lib/el3_runtime/context_mgmt.h>
#include <plat/common/platform.h>
#include <smccc_helpers.h>

#include "board.h"
#include "registers.h"
#include "smc.h"

#define TWO(a, b) +2
#define WIDE(a, b) +4

/* As registers.S stores them. */
struct registers {
    uint64_t el1[0 SWITCHED_REGISTERS(TWO)];
#if BOARD_FP_SWITCHED
    uint64_t fp[0 FP_CONTROLS(TWO) FP_REGISTERS(WIDE)];
#endif
} __aligned(16);

/* registers.S */
void switch_registers(struct registers *leaving, const struct registers *coming);

static cpu_context_t secure_context;
static struct registers normal, secure;

/* Secure EL1's use of the FP registers traps to EL3, whatever it writes to CPACR_EL1. */
static void trap_fp(bool on)
{
    if (!BOARD_FP_SWITCHED)
        write_cptr_el3(on ? read_cptr_el3() | TFP_BIT : read_cptr_el3() & ~TFP_BIT);
}

#define IS_CONSTANT(name)            \
    old = read_##name();             \
    write_##name(~old);              \
    isb();                           \
    if (read_##name() != old)        \
        return #name;

const char *switch_init(void)
{
    uint64_t old;

    CONSTANT_REGISTERS(IS_CONSTANT)
    trap_fp(true);
    cm_set_context(&secure_context, SECURE);
    return NULL;
}

uintptr_t enter_secure(uint64_t events, uint64_t lanes)
{
    switch_registers(&normal, &secure);
    cm_set_next_context(&secure_context);
    SMC_RET3(&secure_context, IST_SMC_OK, events, lanes);
}

uintptr_t leave_secure(void)
{
    void *context = cm_get_context(NON_SECURE);

    switch_registers(&secure, &normal);
    cm_set_next_context(context);
    SMC_RET0(context);
}

uintptr_t start_normal(void)
{
    static const struct registers none;

    switch_registers(&secure, &none);
    trap_fp(false);
    cm_init_my_context(bl31_plat_get_next_image_ep_info(NON_SECURE));
    cm_prepare_el3_exit_ns();
    SMC_RET0(cm_get_context(NON_SECURE));
}
