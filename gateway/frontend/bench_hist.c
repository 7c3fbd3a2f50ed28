/* SPDX-License-Identifier: BSD-3-Clause */
/* A log-linear histogram. */
#include "gateway/frontend/bench_hist.h"

#include "vhostuser/checked.h"

#define SUB_BITS 6
static_assert(FB_HIST_SUB == 1u << SUB_BITS, "a bucket is found by shifting");

/* Below 64 each value has a bucket; above, the six bits behind the first one name it. */
static unsigned int bucket_of(uint64_t ns)
{
	unsigned int shift;

	if (ns < FB_HIST_SUB)
		return (unsigned int)ns;
	shift = 63u - (unsigned int)__builtin_clzll(ns) - SUB_BITS;
	return (shift + 1) * FB_HIST_SUB + (unsigned int)((ns >> shift) - FB_HIST_SUB);
}

/* The largest value of a bucket. */
static uint64_t bucket_end(unsigned int bucket)
{
	unsigned int shift;

	if (bucket < FB_HIST_SUB)
		return bucket;
	shift = bucket / FB_HIST_SUB - 1;
	return ((uint64_t)(bucket % FB_HIST_SUB + FB_HIST_SUB) << shift) +
	       ((UINT64_C(1) << shift) - 1);
}

void fb_hist_add(struct fb_hist *hist, uint64_t ns)
{
	hist->n++;
	hist->sum += ns;
	hist->max = MAX(hist->max, ns);
	hist->buckets[bucket_of(ns)]++;
}

void fb_hist_merge(struct fb_hist *to, const struct fb_hist *from)
{
	to->n += from->n;
	to->sum += from->sum;
	to->max = MAX(to->max, from->max);
	for (unsigned int i = 0; i < FB_HIST_BUCKETS; i++)
		to->buckets[i] += from->buckets[i];
}

uint64_t fb_hist_part(const struct fb_hist *hist, double part)
{
	double want = part * (double)hist->n;
	uint64_t seen = 0;

	for (unsigned int i = 0; i < FB_HIST_BUCKETS; i++) {
		seen += hist->buckets[i];
		if (seen && (double)seen >= want)
			return MIN(bucket_end(i), hist->max);
	}
	return hist->max;
}

double fb_hist_mean(const struct fb_hist *hist)
{
	return hist->n ? (double)hist->sum / (double)hist->n : 0;
}
