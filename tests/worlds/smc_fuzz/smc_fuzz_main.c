// SPDX-License-Identifier: MIT OR GPL-2.0
/* smc_fuzz_main.c - attacker K makes calls at random, from every core at once, and holds each answer against SPEC.
 *
 *     echo "SEED TUPLES OWN-BASE OWN-SIZE PEER-BASE PEER-SIZE ENDING" > /sys/kernel/debug/isthmus_smc_fuzz
 *     cat /sys/kernel/debug/isthmus_smc_fuzz      calls made, how many answers were wrong, of right registrations
 *                                                 while a session ended how many got BUSY and how many began another, and
 *                                                 the first wrong answer
 *
 * A tuple is a function id and what is in all the other registers, x1..x30. Ids are those of the owner's ranges, of
 * its known functions of both worlds, and of those with a bit changed: must-be-zero, width, yielding. What would be
 * valid and change the session (REGISTER without one, DETACH of this one) is left out. Then the answer must be the one
 * that `expect` below reads out of SPEC, every register not named must be as it was, and so must the session.
 *
 * ENDING other than 0: one core makes all its calls while a session ends. It begins and ends one after the other, and
 * the Secure world takes until its next period to confirm each end. A call with which the end came is not judged,
 * but for that: a registration is taken when the end is confirmed between the question and the call, which is rare. */
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#include "smc.h"

#define REGISTERS 31
#define SVE_HINT BIT(16) /* SMCCC 1.3: says that no SVE register is live; the function is the same */

struct run {
	struct work_struct work;
	u64 random; /* state of the generator */
	u64 calls, wrong;
	u64 busy, began; /* right registrations while a session ended: refused, taken */
	char first[320]; /* what was wrong first */
};

static DEFINE_MUTEX(lock);
static DEFINE_PER_CPU(struct run, runs);
static u64 seed, tuples, claim[4];
static u64 ending; /* all calls while a session ends */
static bool alone; /* no other core rings: the count of latched doorbells is ours */
static struct dentry *file;

static const u32 known[] = {
	IST_SMC_CALL_COUNT, IST_SMC_UID,     IST_SMC_REVISION, IST_SMC_GET_VERSION, IST_SMC_REGISTER, IST_SMC_DETACH,
	IST_SMC_DOORBELL,   IST_SMC_STATUS,  IST_SMC_READY,    IST_SMC_YIELD,	    IST_SMC_RING,     IST_SMC_SESSION,
	IST_SMC_QUIESCED,   IST_SMC_LOG,     IST_SMC_DOORBELL, IST_SMC_STATUS,	    IST_SMC_REGISTER, IST_SMC_DETACH,
};

/* ---- one call, all its registers ------------------------------------------------------------------------------- */

asmlinkage void call(u64 x[REGISTERS]); /* call.S */

static void quiet_call(u64 x[REGISTERS])
{
	unsigned long flags;

	local_irq_save(flags);
	call(x);
	local_irq_restore(flags);
}

struct status {
	u64 result, state, epoch, latched;
};

static struct status status(void)
{
	u64 x[REGISTERS] = { IST_SMC_STATUS };

	quiet_call(x);
	return (struct status){ x[0], x[1], x[2], x[3] };
}

/* ---- a tuple ------------------------------------------------------------------------------------------------------ */

static u64 next(struct run *r)
{
	u64 z = r->random += 0x9e3779b97f4a7c15u; /* splitmix64 */

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static u32 function(struct run *r)
{
	u64 roll = next(r);
	u32 low = roll >> 32 & 0xffff, usual = known[(roll >> 8 & 0xffff) % ARRAY_SIZE(known)];
	u32 base = roll & BIT(48) ? IST_SMC64_BASE : IST_SMC32_BASE;

	switch (roll & 7) {
	case 0:
		return base | low;
	case 1:
		return base | (roll >> 48 & 0xff) << 16 | (low & 0x1f);
	case 2:
		return (roll >> 16 & 0xc0ffffff) | IST_SMC_OWNER << 24; /* yielding ones too */
	case 3:
		return usual ^ 1u << (8 + (roll >> 32) % 16); /* within the function's number, or must be zero */
	case 4:
		return usual ^ 1u << (30 + (roll >> 32) % 2); /* width, yielding */
	default:
		return usual;
	}
}

static u64 argument(struct run *r, u64 epoch)
{
	u64 roll = next(r), pick = claim[roll >> 16 & 3];

	switch (roll & 15) {
	case 0 ... 4:
		return roll >> 8 & 3;
	case 5:
		return -(roll >> 8 & 3);
	case 6:
		return 1ull << (roll >> 8 & 63);
	case 7:
		return pick;
	case 8:
		return pick + (roll & BIT(8) ? 1 : -1) * (roll & BIT(9) ? 1ll : 4096ll);
	case 9:
		return pick | 1ull << (roll >> 8 & 63);
	case 10:
		return epoch;
	case 11:
		return epoch ^ 1ull << (roll >> 8 & 63);
	default:
		return next(r);
	}
}

static bool is_claim(const u64 x[])
{
	return !x[1] && x[2] == claim[0] && x[3] == claim[1] && x[4] == claim[2] && x[5] == claim[3];
}

/* As SPEC reads it: the low half of x0, without the hint. */
static u32 id_of(const u64 x[])
{
	return (u32)x[0] & ~(u32)SVE_HINT;
}

static bool changes_the_session(const u64 x[], const struct status *s)
{
	switch (id_of(x)) {
	case IST_SMC_REGISTER:
		return s->state == IST_SESSION_NONE && is_claim(x);
	case IST_SMC_DETACH:
		return s->state == IST_SESSION_SEALED && !x[1] && x[2] == s->epoch;
	default:
		return false;
	}
}

static void make(struct run *r, u64 x[], const struct status *s)
{
	unsigned int i;
	u64 roll;

	do {
		roll = next(r);
		x[0] = function(r) | (roll & BIT(0) ? next(r) << 32 : 0);
		for (i = 1; i < REGISTERS; i++)
			x[i] = argument(r, s->epoch);
		if (roll & BIT(1))
			x[1] = 0;
		if (id_of(x) == IST_SMC_REGISTER && roll & BIT(2)) { /* right but for one bit of one number, or right */
			x[1] = 0;
			memcpy(x + 2, claim, sizeof(claim));
			x[1 + (roll >> 8 & 0xff) % 5] ^= roll & BIT(3) ? 1ull << (roll >> 16 & 63) : 0;
		}
	} while (changes_the_session(x, s));
}

/* ---- what SPEC says of it ---------------------------------------------------------------------------------------- */

#define MAY(result) (1u << ((result) + 8))

struct answer {
	u32 may;	    /* results; 0: results[0] alone */
	unsigned int named; /* how many registers carry results */
	u64 results[4];
};

static struct answer expect(const u64 x[], const struct status *s)
{
	bool sealed = s->state == IST_SESSION_SEALED;

	switch (id_of(x)) {
	case IST_SMC_CALL_COUNT:
		return (struct answer){ 0, 1, { IST_SMC_COUNT } };
	case IST_SMC_UID:
		return (struct answer){ 0, 4, { IST_SMC_UID_0, IST_SMC_UID_1, IST_SMC_UID_2, IST_SMC_UID_3 } };
	case IST_SMC_REVISION:
		return (struct answer){ 0, 2, { IST_SMC_MAJOR, IST_SMC_MINOR } };
	case IST_SMC_GET_VERSION:
		return (struct answer){ 0, 2, { IST_SMC_VERSION_WORD, IST_SMC_FEATURE_TEST_KEY } };
	case IST_SMC_REGISTER:
		if (!is_claim(x))
			return (struct answer){ MAY(IST_SMC_INVALID), 1 };
		return (struct answer){ MAY(sealed ? IST_SMC_ALREADY : IST_SMC_BUSY), 1 };
	case IST_SMC_DETACH:
		return (struct answer){ MAY(x[1] ? IST_SMC_INVALID : IST_SMC_DENIED), 1 };
	case IST_SMC_DOORBELL:
		if (x[1] || !x[2] || x[2] & ~(u64)IST_LANES_ALL)
			return (struct answer){ MAY(IST_SMC_INVALID), 1 };
		return (struct answer){ sealed ? MAY(IST_SMC_OK) | MAY(IST_SMC_LATCHED) : MAY(IST_SMC_DENIED), 1 };
	case IST_SMC_STATUS:
		if (x[1])
			return (struct answer){ MAY(IST_SMC_INVALID), 1 };
		return (struct answer){ 0, alone ? 4 : 3, { IST_SMC_OK, s->state, s->epoch, s->latched } };
	default:
		return (struct answer){ MAY(IST_SMC_NOT_SUPPORTED), 1 };
	}
}

static const char *wrong(const u64 was[], const u64 is[], const struct status *before, const struct status *after)
{
	const struct answer a = expect(was, before);
	s64 result = is[0];
	bool rang = id_of(was) == IST_SMC_DOORBELL && result == IST_SMC_LATCHED;
	unsigned int i;

	if (a.may && (result < -8 || result > 1 || !(a.may & MAY(result))))
		return "result";
	for (i = 0; !a.may && i < a.named; i++)
		if (is[i] != a.results[i])
			return "results";
	for (i = a.named; i < REGISTERS; i++)
		if (is[i] != was[i] && !(i == 3 && !alone && id_of(was) == IST_SMC_STATUS))
			return "a register that is not named has changed";
	if (after->result || after->state != before->state || after->epoch != before->epoch)
		return "the session has changed";
	if (alone ? after->latched != before->latched + rang : after->latched < before->latched + rang)
		return "the count of latched doorbells";
	return NULL;
}

/* From whichever state there is to that of a session that ends. */
static struct status until_ending(void)
{
	for (;;) {
		struct status s = status();
		u64 x[REGISTERS] = { IST_SMC_REGISTER, 0, claim[0], claim[1], claim[2], claim[3] };

		if (s.state == IST_SESSION_ENDING)
			return s;
		if (s.state == IST_SESSION_SEALED) {
			x[0] = IST_SMC_DETACH;
			x[2] = s.epoch;
		}
		quiet_call(x);
	}
}

static void judge(struct run *r, const u64 was[], const u64 is[], const struct status *before,
		  const struct status *after)
{
	const char *what = wrong(was, is, before, after);

	if (what && !r->wrong++)
		snprintf(r->first, sizeof(r->first),
			 "tuple %llu of core %d, %s: %#llx(%#llx %#llx %#llx %#llx %#llx) -> %#llx %#llx %#llx %#llx, "
			 "session %llu %#llx %llu -> %llu %#llx %llu",
			 r->calls, raw_smp_processor_id(), what, was[0], was[1], was[2], was[3], was[4], was[5], is[0],
			 is[1], is[2], is[3], before->state, before->epoch, before->latched, after->state, after->epoch,
			 after->latched);
}

static void work(struct work_struct *w)
{
	struct run *r = container_of(w, struct run, work);
	struct status before = status();

	r->random = seed + raw_smp_processor_id();
	while (r->calls < tuples) {
		u64 was[REGISTERS], is[REGISTERS];
		struct status after;

		if (ending)
			before = until_ending();
		make(r, was, &before);
		memcpy(is, was, sizeof(is));
		quiet_call(is);
		after = status();
		if (ending && id_of(was) == IST_SMC_REGISTER && is_claim(was)) {
			r->busy += (s64)is[0] == IST_SMC_BUSY;
			r->began += is[0] == IST_SMC_OK;
		}
		if (!ending || (after.state == IST_SESSION_ENDING && after.epoch == before.epoch)) {
			judge(r, was, is, &before, &after);
			r->calls++;
		}
		before = after;
		if (r->calls % 256 == 0)
			cond_resched();
	}
}

static void run_on_all(void)
{
	int cpu;

	alone = ending || num_online_cpus() == 1;
	for_each_online_cpu(cpu) {
		struct run *r = per_cpu_ptr(&runs, cpu);

		INIT_WORK(&r->work, work);
		r->calls = r->wrong = r->busy = r->began = 0;
		if (!ending || cpu == cpumask_first(cpu_online_mask))
			schedule_work_on(cpu, &r->work);
	}
	for_each_online_cpu(cpu)
		flush_work(&per_cpu_ptr(&runs, cpu)->work);
}

/* ---- the file -------------------------------------------------------------------------------------------------------- */

static ssize_t start_runs(struct file *f, const char __user *from, size_t n, loff_t *at)
{
	char text[160];
	bool good;

	if (n >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, n))
		return -EFAULT;
	text[n] = '\0';
	mutex_lock(&lock);
	good = sscanf(text, "%lli %lli %lli %lli %lli %lli %lli", &seed, &tuples, &claim[0], &claim[1],
		      &claim[2], &claim[3], &ending) == 7;
	if (good)
		run_on_all();
	mutex_unlock(&lock);
	return good ? n : -EINVAL;
}

static int show(struct seq_file *s, void *unused)
{
	u64 calls = 0, bad = 0, busy = 0, began = 0;
	const char *first = "";
	int cpu;

	mutex_lock(&lock);
	for_each_online_cpu(cpu) {
		struct run *r = per_cpu_ptr(&runs, cpu);

		calls += r->calls;
		bad += r->wrong;
		busy += r->busy;
		began += r->began;
		if (r->wrong)
			first = r->first;
	}
	seq_printf(s, "%llu %llu %llu %llu %s\n", calls, bad, busy, began, first);
	mutex_unlock(&lock);
	return 0;
}

static int open_result(struct inode *inode, struct file *f)
{
	return single_open(f, show, NULL);
}

static const struct file_operations operations = {
	.owner = THIS_MODULE,
	.open = open_result,
	.read = seq_read,
	.write = start_runs,
	.release = single_release,
};

static int __init start(void)
{
	file = debugfs_create_file("isthmus_smc_fuzz", 0600, NULL, NULL, &operations);
	return PTR_ERR_OR_ZERO(file);
}

static void __exit stop(void)
{
	debugfs_remove(file);
}

module_init(start);
module_exit(stop);
MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("calls to the monitor at random, for tests");
