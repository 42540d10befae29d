/* SPDX-License-Identifier: MIT */
#include "switch.h"

#include <arch_helpers.h>
#include <bl31/bl31.h>
#include <lib/el3_runtime/context_mgmt.h>
#include <plat/common/platform.h>
#include <smccc_helpers.h>

#include "board.h"
#include "priority.h"
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

void switch_registers(struct registers *leaving, const struct registers *coming); /* registers.S */
/* entry.S. The same, and EL3 is left for `context`: nobody gets the result, which is what callers return to TF-A. */
uintptr_t switch_worlds(struct registers *leaving, const struct registers *coming, cpu_context_t *context);

static cpu_context_t secure_context, *normal_context;
static struct registers normal, secure;

/* Secure EL1's use of the FP registers traps to EL3, whatever it writes to CPACR_EL1. */
static void trap_fp(bool on)
{
    if (!BOARD_FP_SWITCHED)
        write_cptr_el3(on ? read_cptr_el3() | TFP_BIT : read_cptr_el3() & ~TFP_BIT);
}

#define RAS (UINT64_C(0xf) << 28) /* of ID_AA64PFR0_EL1 */
#define CHANGES(name)      \
    old = read_##name();   \
    write_##name(~old);    \
    isb();                 \
    more |= read_##name() ^ old;

bool switch_init(void)
{
    uint64_t old, more;

    more = read_id_aa64pfr0_el1() & RAS; /* all that is not listed came with Armv8.2 or later, which requires RAS */
    CONSTANT_REGISTERS(CHANGES)
    trap_fp(true);
    cm_set_context(&secure_context, SECURE);
    return more == 0;
}

uintptr_t enter_secure(uint64_t events, uint64_t lanes)
{
    if (BOARD_PRIORITIES_MOVE)
        priority_enter();
    SMC_SET_GP(&secure_context, CTX_GPREG_X0, IST_SMC_OK);
    SMC_SET_GP(&secure_context, CTX_GPREG_X1, events);
    SMC_SET_GP(&secure_context, CTX_GPREG_X2, lanes);
    return switch_worlds(&normal, &secure, &secure_context);
}

uintptr_t leave_secure(void)
{
    if (BOARD_PRIORITIES_MOVE)
        priority_leave(false);
    return switch_worlds(&secure, &normal, normal_context);
}

uintptr_t start_normal(bool off)
{
    static const struct registers none;
    entry_point_info_t *entry = bl31_plat_get_next_image_ep_info(NON_SECURE);
    const bool from_secure = (read_scr_el3() & SCR_NS_BIT) == 0;

    normal_context = cm_get_context(NON_SECURE);
    trap_fp(false);
    entry->args = (aapcs64_params_t){.arg0 = off};
    cm_init_my_context(entry);
    if (BOARD_PRIORITIES_MOVE && from_secure)
        priority_leave(true);
    switch_registers(from_secure ? &secure : &normal, &none);
    cm_set_next_context(normal_context);
    cm_prepare_el3_exit_ns();
    return (uintptr_t)normal_context;
}
