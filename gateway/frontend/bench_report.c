/* SPDX-License-Identifier: BSD-3-Clause */
/* Results, in columns or as JSON with one line a row. */
#include <stdio.h>

#include "gateway/frontend/bench.h"
#include "gateway/frontend/text.h"

static double per_operation(const struct fb_result *result, uint64_t value)
{
	return result->operations ? (double)value / (double)result->operations : 0;
}

static double per_second(const struct fb_result *result)
{
	return result->seconds > 0 ? (double)result->operations / result->seconds : 0;
}

static double megabytes(const struct fb_result *result)
{
	return per_second(result) * result->block / 1e6;
}

void fb_report_title(const struct fb_options *options)
{
	if (options->json)
		printf("{\"rows\":[");
	else
		printf("%-14s %5s %11s %8s %9s %9s %9s %9s %8s %8s %7s %7s\n", "row", "depth",
			"operations/s", "MB/s", "mean us", "p50", "p99", "p99.9", "cpu us",
			"switches", "kicks", "calls");
}

static void row_json(const struct fb_result *result, bool first)
{
	const struct fb_hist *hist = &result->hist;

	printf("%s\n{\"row\":\"%s\",\"depth\":%u,\"queues\":%u,\"block\":%u", first ? "" : ",",
		result->row->name, result->depth, result->queues, result->block);
	if (result->skipped) {
		printf(",\"skipped\":\"%s\"}", result->skipped);
		return;
	}
	printf(",\"operations\":%llu,\"failures\":%llu,\"seconds\":%.3f,\"per_second\":%.1f,"
	       "\"mb_per_second\":%.1f",
		(unsigned long long)result->operations, (unsigned long long)result->failures,
		result->seconds, per_second(result), megabytes(result));
	printf(",\"mean_us\":%.2f,\"p50_us\":%.2f,\"p99_us\":%.2f,\"p999_us\":%.2f,\"max_us\":%.2f",
		fb_hist_mean(hist) / 1e3, (double)fb_hist_part(hist, 0.5) / 1e3,
		(double)fb_hist_part(hist, 0.99) / 1e3, (double)fb_hist_part(hist, 0.999) / 1e3,
		(double)hist->max / 1e3);
	if (result->usage)
		printf(",\"cpu_us\":%.3f,\"switches\":%.3f",
			per_operation(result, result->cpu_ns) / 1e3,
			per_operation(result, result->switches));
	printf(",\"kicks\":%.3f,\"calls\":%.3f}", per_operation(result, result->kicks),
		per_operation(result, result->calls));
}

static void row_columns(const struct fb_result *result)
{
	const struct fb_hist *hist = &result->hist;

	if (result->skipped) {
		printf("%-14s %5u not run: %s\n", result->row->name, result->depth,
			result->skipped);
		return;
	}
	printf("%-14s %5u %12.0f %8.0f %9.1f %9.1f %9.1f %9.1f", result->row->name, result->depth,
		per_second(result), megabytes(result), fb_hist_mean(hist) / 1e3,
		(double)fb_hist_part(hist, 0.5) / 1e3, (double)fb_hist_part(hist, 0.99) / 1e3,
		(double)fb_hist_part(hist, 0.999) / 1e3);
	if (result->usage)
		printf(" %8.2f %8.2f", per_operation(result, result->cpu_ns) / 1e3,
			per_operation(result, result->switches));
	else
		printf(" %8s %8s", "-", "-");
	printf(" %7.2f %7.2f\n", per_operation(result, result->kicks),
		per_operation(result, result->calls));
}

void fb_report_row(const struct fb_options *options, const struct fb_result *result, bool first)
{
	if (options->json)
		row_json(result, first);
	else
		row_columns(result);
	fflush(stdout);
}

void fb_report_end(const struct fb_options *options, enum ft_exit status, const char *error)
{
	if (!options->json)
		return;
	printf("\n],\"status\":%d", (int)status);
	if (error[0]) {
		printf(",\"error\":");
		ft_print_string(error);
	}
	printf("}\n");
}
