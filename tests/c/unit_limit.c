/* SPDX-License-Identifier: MIT */
/* The limiter (GCRA with emission interval T and tolerance tau): in every window of length W at most
 * (W + tau) / T + 1 frames pass, whatever the arrivals are and wherever the clock stands; and a source that keeps to
 * its rate is never refused. */
#include "harness.h"

enum { ARRIVALS = 400 };

/* Feeds `n` arrivals `gap()` apart and checks every window that begins and ends at an accepted arrival. */
static void check_windows(const ist_u64 *times, unsigned n, ist_u64 interval, ist_u64 tolerance)
{
    for (unsigned i = 0; i < n; i++)
        for (unsigned j = i; j < n; j++) {
            ist_u64 window = times[j] - times[i]; /* modulo 2^64, as the clock runs */
            CHECK(j - i + 1 <= (window + tolerance) / interval + 1);
        }
}

static void arrivals(ist_u64 seed, ist_u64 start, ist_u64 interval, ist_u64 tolerance)
{
    struct ist_limit l = {interval, tolerance, start};
    ist_u64 now = start, accepted[ARRIVALS], s = seed;
    unsigned n = 0;
    snprintf(test_case, sizeof test_case, "seed %llu start %llx T %llu tau %llu", (unsigned long long)seed,
             (unsigned long long)start, (unsigned long long)interval, (unsigned long long)tolerance);
    for (int i = 0; i < ARRIVALS; i++) {
        switch (random_below(&s, 8)) { /* bursts, a steady source, a slow one, long silence */
        case 0: now += random_below(&s, (ist_u32)interval * 4 + 1); break;
        case 1: now += interval; break;
        case 2: now += interval - 1; break;
        case 3: now += random_below(&s, 16) ? 0 : interval * 50 + tolerance; break;
        default: break; /* at once */
        }
        struct ist_limit before = l;
        if (ist_limit_take(&l, now, interval))
            accepted[n++] = now;
        else
            CHECK(!memcmp(&before, &l, sizeof l)); /* a refusal costs nothing: no debt grows */
    }
    CHECK(n > 0);
    check_windows(accepted, n, interval, tolerance);
    test_case[0] = 0;
}

TEST(no_window_holds_more_than_its_share)
{
    static const ist_u64 starts[] = {0, 1, 1000000, 0x7fffffffffffff00u, 0x8000000000000000u, 0xffffffffffffff00u,
                                     0xffffffffffffffffu};
    for (ist_u64 seed = 1; seed <= 40; seed++)
        for (unsigned k = 0; k < sizeof starts / sizeof *starts; k++) {
            arrivals(seed, starts[k], 100, 0);
            arrivals(seed, starts[k], 100, 99);
            arrivals(seed, starts[k], 100, 950);
            arrivals(seed, starts[k], 1, 7);
            arrivals(seed, starts[k], 7, 7 * 31);
        }
}

TEST(a_source_that_keeps_its_rate_is_never_refused)
{
    static const ist_u64 starts[] = {0, 0x7fffffffffffff00u, 0xffffffffffffff00u};
    for (unsigned k = 0; k < 3; k++) {
        struct ist_limit l = {100, 0, starts[k]};
        for (ist_u64 i = 0; i < 1000; i++)
            CHECK(ist_limit_take(&l, starts[k] + 100 * i, 100));
    }
}

TEST(a_burst_passes_up_to_the_tolerance_exactly)
{
    for (ist_u64 tolerance = 0; tolerance < 1000; tolerance += 50) {
        struct ist_limit l = {100, tolerance, 5000};
        unsigned passed = 0;
        while (passed < 100 && ist_limit_take(&l, 5000, 100))
            passed++;
        CHECK_EQ(passed, tolerance / 100 + 1);
    }
}

TEST(idleness_earns_no_more_than_the_tolerance)
{
    struct ist_limit l = {100, 300, 0};
    static const ist_u64 idle[] = {100, 1000, 1000000, 1ull << 40, 1ull << 62};
    ist_u64 now = 0;
    for (unsigned k = 0; k < 5; k++) {
        now += idle[k] + 400;
        unsigned passed = 0;
        while (passed < 100 && ist_limit_take(&l, now, 100))
            passed++;
        CHECK_EQ(passed, 4);
    }
}

TEST(no_interval_means_no_limit)
{
    struct ist_limit l = {0, 0, 0};
    for (int i = 0; i < 1000; i++)
        CHECK(ist_limit_take(&l, 12345, 0));
}

int main(int argc, char **argv)
{
    return run_tests(argc, argv);
}
