/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A histogram of latencies that costs a few instructions a sample: each power of two is cut into 64
 * buckets, so a value is known to 1/64 of itself.
 */
#pragma once

#include <stdint.h>

#define FB_HIST_SUB     64u
#define FB_HIST_BUCKETS (59u * FB_HIST_SUB)

/* Zeroed before use. One thread. */
struct fb_hist {
	uint64_t n, sum, max; /* samples, and ns */
	uint64_t buckets[FB_HIST_BUCKETS];
};

/* Counts a sample of so many ns. */
void fb_hist_add(struct fb_hist *hist, uint64_t ns);
/* Adds all samples of another one. */
void fb_hist_merge(struct fb_hist *to, const struct fb_hist *from);
/*
 * The smallest value, in ns, that at least this part (0..1) of the samples do not exceed: at most
 * 1/64 above the true one. 0 without samples.
 */
uint64_t fb_hist_part(const struct fb_hist *hist, double part);
/* The mean in ns, exact; 0 without samples. */
double fb_hist_mean(const struct fb_hist *hist);
