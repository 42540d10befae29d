/* SPDX-License-Identifier: MIT */
/* tfa.h - doubles of what the monitor uses of Trusted Firmware-A and of the processor; each of TF-A's headers is this one.
 *
 * `cpu` is the core that runs and all around it, as a test wants it. What is done to it is noted in order; did.c. */
#ifndef ISTHMUS_TESTS_TFA_H
#define ISTHMUS_TESTS_TFA_H

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t u_register_t;
#define __dead2 __attribute__((__noreturn__))
#define __aligned(n) __attribute__((__aligned__(n)))
#define ERROR(...) did("error")

/* Words that say what was done, with a space in between. */
void did(const char *format, ...) __attribute__((__format__(printf, 1, 2)));
/* The core goes on elsewhere. */
void gone(const char *where) __dead2;
#define panic() gone("panic")

/* ---- registers --------------------------------------------------------------------------------------------------- */

struct cpu {
    unsigned int position;
    uint64_t place[4]; /* MPIDR by position */
    uint64_t mpidr_el1, cntfrq_el0, cntpct_el0, id_aa64pfr0_el1, elr_el3;
    uint64_t scr_el3, cptr_el3, icc_pmr_el1;
    uint64_t actlr_el1, afsr0_el1, afsr1_el1, writable; /* bits of these three that a write changes */
    uint64_t active_0, active_1, active_2, active_3, control;
    bool active_is_fixed;
    uint32_t distributor, enabled; /* GICD_CTLR, GICR_ISENABLER0 */
    unsigned int busy;             /* reads that say a write is still on its way */
    unsigned int running;          /* priorities that are active */
    uint64_t on_result, starts_result, handler_result;
    unsigned int entropy; /* words there are */
    int idle;             /* WFIs until the core is taken away */
};
extern struct cpu cpu;

#define READ_ONLY(name)                    \
    static inline uint64_t read_##name(void) \
    {                                      \
        return cpu.name;                   \
    }
#define REGISTER(name)                               \
    READ_ONLY(name)                                  \
    static inline void write_##name(uint64_t value)  \
    {                                                \
        cpu.name = value;                            \
        did(#name "=%" PRIx64, value);               \
    }
#define CONSTANT(name)                                                   \
    READ_ONLY(name)                                                      \
    static inline void write_##name(uint64_t value)                      \
    {                                                                    \
        cpu.name = (cpu.name & ~cpu.writable) | (value & cpu.writable);  \
    }
READ_ONLY(mpidr_el1) READ_ONLY(cntfrq_el0) READ_ONLY(cntpct_el0) READ_ONLY(id_aa64pfr0_el1) READ_ONLY(elr_el3)
REGISTER(scr_el3) REGISTER(cptr_el3) REGISTER(icc_pmr_el1)
CONSTANT(actlr_el1) CONSTANT(afsr0_el1) CONSTANT(afsr1_el1)
#define DEFINE_RENAME_SYSREG_READ_FUNC(name, where) READ_ONLY(name)
#define DEFINE_RENAME_SYSREG_RW_FUNCS(name, where)   \
    READ_ONLY(name)                                  \
    static inline void write_##name(uint64_t value)  \
    {                                                \
        if (!cpu.active_is_fixed)                    \
            cpu.name = value;                        \
        did(#name "=%" PRIx64, value);               \
    }

static inline void isb(void) { did("isb"); }
static inline void dsbishst(void) { did("dsb"); }
void wfi(void);
static inline void write_icc_eoir1_el1(uint64_t id)
{
    cpu.running -= cpu.running > 0;
    did("eoir=%" PRIx64, id);
}
static inline void flush_dcache_range(uintptr_t at, size_t size) { did(at && size ? "flush" : "nothing"); }

#define SCR_NS_BIT 1u
#define TFP_BIT (1u << 10)
#define MPIDR_AFFINITY_MASK UINT64_C(0xff00ffffff)
#define MPIDR_AFF1_SHIFT 8
#define INVALID_MPID UINT64_MAX
#define ID_AA64PFR0_GIC_SHIFT 24
#define ID_AA64PFR0_GIC_MASK UINT64_C(0xf)

/* ---- contexts and calls ------------------------------------------------------------------------------------------ */

enum { SECURE, NON_SECURE };
typedef struct { uint64_t x[31]; } cpu_context_t;
typedef struct { uint64_t arg0, arg1, arg2, arg3, arg4, arg5, arg6, arg7; } aapcs64_params_t;
typedef struct { uint32_t attributes; uintptr_t pc; uint32_t spsr; aapcs64_params_t args; } entry_point_info_t;

#define CTX_GPREG_X0 0
#define CTX_GPREG_X1 1
#define CTX_GPREG_X2 2
#define CTX_GPREG_X5 5
#define CTX_GPREG_X6 6
#define get_gpregs_ctx(handle) (handle)
#define write_ctx_reg(handle, n, value) (void)(((cpu_context_t *)(handle))->x[n] = (value))
#define SMC_SET_GP(handle, n, value) write_ctx_reg(handle, n, value)
#define SMC_GET_GP(handle, n) (((cpu_context_t *)(handle))->x[n])
#define SMC_RET_ALL(handle, ...)                                                             \
    {                                                                                        \
        const uint64_t returned[] = {__VA_ARGS__};                                           \
        memcpy(((cpu_context_t *)(handle))->x, returned, sizeof returned);                   \
        return (uintptr_t)(handle);                                                          \
    }
#define SMC_RET1(handle, ...) SMC_RET_ALL(handle, __VA_ARGS__)
#define SMC_RET2(handle, ...) SMC_RET_ALL(handle, __VA_ARGS__)
#define SMC_RET3(handle, ...) SMC_RET_ALL(handle, __VA_ARGS__)
#define SMC_RET4(handle, ...) SMC_RET_ALL(handle, __VA_ARGS__)
#define SMC_RET5(handle, ...) SMC_RET_ALL(handle, __VA_ARGS__)
#define SMC_UNK UINT64_MAX
#define SMC_TYPE_FAST 1
#define SMC_FROM_NON_SECURE 1u
#define is_caller_secure(flags) (((flags) & SMC_FROM_NON_SECURE) == 0)

typedef uint64_t (*interrupt_type_handler_t)(uint32_t id, uint32_t flags, void *handle, void *cookie);
struct service {
    int32_t (*setup)(void);
    uintptr_t (*handle)(uint32_t fid, u_register_t x1, u_register_t x2, u_register_t x3, u_register_t x4, void *cookie,
                        void *handle, u_register_t flags);
};
#define DECLARE_RT_SVC(name, from, to, type, begin, call) const struct service service = {begin, call}
extern const struct service service;
extern interrupt_type_handler_t handler; /* registered */

#define INTR_TYPE_S_EL1 0
#define set_interrupt_rm_flag(flags, world) ((flags) |= 1u << (world))
int register_interrupt_type_handler(uint32_t type, interrupt_type_handler_t handler, uint32_t flags);
entry_point_info_t *bl31_plat_get_next_image_ep_info(uint32_t world);
static inline void bl31_set_next_image_type(uint32_t world) { did("first %u", world); }
void *cm_get_context(uint32_t world);
void cm_set_context(void *context, uint32_t world);
void cm_set_next_context(void *context);
void cm_init_my_context(const entry_point_info_t *entry);
static inline void cm_prepare_el3_exit_ns(void) { did("exit"); }

#define EP_ST_ENABLE 4u
#define PARAM_EP 1
#define VERSION_1 1
#define SET_PARAM_HEAD(entry, type, version, bits) ((entry)->attributes = (bits))
#define MODE_EL1 1
#define MODE_SP_ELX 1
#define DISABLE_ALL_EXCEPTIONS 15
#define SPSR_64(level, stack, masked) ((level) << 2 | (stack) | (masked) << 6)

/* ---- the platform ------------------------------------------------------------------------------------------------ */

static inline unsigned int plat_my_core_pos(void) { return cpu.position; }
int plat_core_pos_by_mpidr(u_register_t mpidr);
static inline void plat_ic_raise_s_el1_sgi(int id, u_register_t mpidr) { did("kick%d:%" PRIx64, id, mpidr); }
static inline void plat_ic_clear_interrupt_pending(unsigned int id) { did("clear%u", id); }
static inline void plat_ic_set_interrupt_pending(unsigned int id) { did("ring%u", id); }
static inline void plat_ic_disable_interrupt(unsigned int id) { did("disable%u", id); }
static inline unsigned int plat_ic_acknowledge_interrupt(void) { return 77; }
static inline void plat_ic_end_of_interrupt(unsigned int id) { did("end%u", id); }
static inline void console_putc(int c) { did("'%c'", c); }
static inline bool plat_get_entropy(uint64_t *word)
{
    *word = cpu.entropy;
    return cpu.entropy > 0 && cpu.entropy-- > 0;
}

#define GICD_CTLR 0x0
#define CTLR_ENABLE_G1NS_BIT 2u
#define GICD_CTLR_RWP_BIT (1u << 31)
#define GICR_CTLR 0x0
#define GICR_CTLR_RWP_BIT 8u
#define GICR_ISENABLER0 0x10100
#define GICR_ICENABLER0 0x10180
#define GICR_IPRIORITYR 0x10400
#define GIC_PRI_MASK 0xff
#define FRAME 0x80a0000u
typedef struct { uintptr_t *rdistif_base_addrs; } gicv3_driver_data_t;
uint32_t mmio_read_32(uintptr_t at);
void mmio_write_32(uintptr_t at, uint32_t value);
static inline void mmio_write_8(uintptr_t at, uint8_t value) { did("[%" PRIxPTR "]=%x", at - FRAME, value); }

/* ---- PSCI -------------------------------------------------------------------------------------------------------- */

enum { PSCI_E_SUCCESS = 0, PSCI_E_NOT_SUPPORTED = -1, PSCI_E_INVALID_PARAMS = -2, PSCI_E_DENIED = -3 };
#define PSTATE_TYPE_STANDBY 0u
#define psci_get_pstate_type(state) ((state) >> 16 & 1u)
#define PSCI_TOS_NOT_UP_MIG_CAP 1
#define define_psci_cap(x) (1u << (x))
#define PSCI_GENERIC_CAP 1u
enum {
    PSCI_CPU_OFF = 1, PSCI_CPU_ON_AARCH64, PSCI_CPU_SUSPEND_AARCH64, PSCI_SYSTEM_OFF, PSCI_SYSTEM_RESET,
    PSCI_STAT_RESIDENCY_AARCH64, PSCI_STAT_COUNT_AARCH64, PSCI_SYSTEM_RESET2_AARCH64, PSCI_SYSTEM_SUSPEND_AARCH64,
};
typedef int psci_power_state_t;
typedef struct {
    int (*pwr_domain_on)(u_register_t mpidr);
    void __dead2 (*system_off)(void);
    void __dead2 (*system_reset)(void);
    int (*validate_power_state)(unsigned int state, psci_power_state_t *requested);
    void (*get_sys_suspend_power_state)(psci_power_state_t *requested);
    int (*system_reset2)(int is_vendor, int type, u_register_t cookie);
} plat_psci_ops_t;
typedef struct {
    int32_t (*svc_off)(u_register_t unused);
    void (*svc_on_finish)(u_register_t unused);
    int32_t (*svc_migrate)(u_register_t from, u_register_t to);
    int32_t (*svc_migrate_info)(u_register_t *resident);
} spd_pm_ops_t;
extern const plat_psci_ops_t *psci_plat_pm_ops;
extern unsigned int psci_caps;
extern const spd_pm_ops_t *hooks; /* registered */
void psci_register_spd_pm_hook(const spd_pm_ops_t *ops);
int psci_cpu_on(u_register_t mpidr, uintptr_t entry, u_register_t context);
int psci_cpu_off(void) __dead2;

/* ---- instructions ------------------------------------------------------------------------------------------------ */

/* The two files that have some say by -DINSTRUCTION what these do here. */
static inline u_register_t running_priority(void) { return (cpu.running ? 0x20u : 0xffu) | 0x80000000u; }
#ifdef INSTRUCTION
#define __asm__
#define volatile(...) INSTRUCTION
#endif

#endif
