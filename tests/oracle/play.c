/* SPDX-License-Identifier: BSD-3-Clause */
/* Runs a list on fresh trees and stops at the first difference. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/oracle/oracle.h"

static int tree_number;
static struct {
	long runs, successes;
} stats[256];

void or_stats(FILE *to)
{
	for (int i = 0; i < or_n_kinds; i++)
		fprintf(to, "%-26s %7ld %7ld\n", or_kinds[i].name, stats[i].runs,
			stats[i].successes);
}

static void print_result(FILE *to, char side, const struct or_result *res)
{
	fprintf(to, "  %c: %lld%s%s %s\n", side, (long long)res->ret, res->err ? " " : "",
		res->err ? strerrorname_np(res->err) : "", res->text);
}

/* The first of two texts' values that differ, without its value. */
static void first_key(char *key, size_t size, const struct or_result *a, const struct or_result *b)
{
	size_t at = 0, begin = 0;

	if (a->ret != b->ret || a->err != b->err) {
		snprintf(key, size, "%d/%d", a->err, b->err);
		return;
	}
	for (; a->text[at] && a->text[at] == b->text[at]; at++)
		if (a->text[at] == ' ')
			begin = at + 1;
	snprintf(key, size, "%.*s", (int)strcspn(a->text + begin, "= "), a->text + begin);
}

static bool same(const struct or_result *a, const struct or_result *b)
{
	return a->ret == b->ret && a->err == b->err && a->hash == b->hash &&
		strcmp(a->text, b->text) == 0;
}

/* One operation. True: the sides differ, and the verdict says how. */
static bool step(const struct or_options *o, struct or_team *team, const struct or_op *op,
	struct or_verdict *verdict)
{
	const struct or_result *res[2];
	int r = or_team_run(team, op, res);
	size_t size;
	FILE *to;

	stats[op->kind].runs++;
	stats[op->kind].successes += res[OR_A]->ret >= 0;
	if (o->verbose) {
		or_print_op(stdout, op);
		print_result(stdout, 'A', res[OR_A]);
	}
	if (r == 0 && (same(res[OR_A], res[OR_B]) ||
			      (o->fuse && or_known(op, res[OR_A], res[OR_B]))))
		return false;
	verdict->kind = op->kind;
	first_key(verdict->key, sizeof(verdict->key), res[OR_A], res[OR_B]);
	to = open_memstream(&verdict->report, &size);
	fputs("  ", to);
	or_print_op(to, op);
	print_result(to, 'A', res[OR_A]);
	print_result(to, 'B', res[OR_B]);
	fclose(to);
	return true;
}

static bool compare_roots(int a, int b, const char *what, struct or_verdict *verdict)
{
	struct or_walk walks[2];
	char *found, *report = NULL;

	or_walk(&walks[0], a);
	or_walk(&walks[1], b);
	found = or_walk_compare(&walks[0], &walks[1]);
	or_walk_free(&walks[0]);
	or_walk_free(&walks[1]);
	if (!found)
		return false;
	if (asprintf(&report, "%s\n%s", what, found) < 0)
		abort();
	free(found);
	verdict->tree = true;
	verdict->report = report;
	snprintf(verdict->key, sizeof(verdict->key), "%.10s", what);
	return true;
}

static bool compare_backing(const struct or_options *o, struct or_team *team,
	struct or_verdict *verdict)
{
	int dir = open(o->backing, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int root = openat(dir, or_team_name(team), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool differ = compare_roots(root, or_team_root(team, OR_B),
		"behind the mount (A) it is not as in the plain tree:", verdict);

	close(root);
	close(dir);
	return differ;
}

struct or_verdict or_play(const struct or_options *o, const struct or_list *list, int every)
{
	struct or_verdict verdict = {.index = -1};
	struct or_team *team = or_team_start(o, tree_number++);
	bool differ = false;
	int i = 0;

	if (!team)
		exit(2);
	for (; i < list->n && !differ; i++) {
		differ = step(o, team, &list->ops[i], &verdict);
		if (!differ && ((list->ops[i].seq + 1) % (uint32_t)every == 0 || i + 1 == list->n))
			differ = compare_roots(or_team_root(team, OR_A), or_team_root(team, OR_B),
				"the trees differ:", &verdict);
	}
	if (!differ && o->backing)
		differ = compare_backing(o, team, &verdict);
	if (differ)
		verdict.index = i - 1;
	or_team_stop(team);
	return verdict;
}
