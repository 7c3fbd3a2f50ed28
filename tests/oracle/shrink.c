/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Makes a failing list short. First only its end is tried, in longer and longer pieces: the name
 * space is small, so old operations rarely matter. Then pieces are taken out, smaller and smaller
 * ones (delta debugging). A list counts as failing when the same kind differs in the same value.
 *
 * Results are tried without walking the trees, which is quick; if they do not differ then, it took
 * the walks (they fill caches), and these stay where they were.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/oracle/oracle.h"

static time_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

/*
 * Tries a list; if it fails in the same way it becomes the list, without what follows. `every` as
 * for or_play; a difference of trees is looked for some thirty times.
 */
static bool try(const struct or_options *o, struct or_list *list, const struct or_list *shorter,
	struct or_verdict *verdict, int every)
{
	int thirtieth = shorter->n < 40 ? 1 : shorter->n / 30;
	struct or_verdict got = or_play(o, shorter, verdict->tree ? thirtieth : every);

	if (got.index < 0 || got.tree != verdict->tree || strcmp(got.key, verdict->key) ||
		(!got.tree && got.kind != verdict->kind)) {
		free(got.report);
		return false;
	}
	free(verdict->report);
	*verdict = got;
	list->n = got.index + 1;
	memmove(list->ops, shorter->ops, (size_t)list->n * sizeof(list->ops[0]));
	return true;
}

/* The first operations make the directories; they are kept until pieces are taken out. */
static void keep_end(const struct or_options *o, struct or_list *list, struct or_verdict *verdict,
	int every, time_t until)
{
	struct or_list end = {calloc((size_t)list->n, sizeof(list->ops[0])), 0};

	for (int n = 50; n < list->n - 8 && end.ops && now() < until; n *= 3) {
		memcpy(end.ops, list->ops, 8 * sizeof(end.ops[0]));
		memcpy(end.ops + 8, list->ops + list->n - n, (size_t)n * sizeof(end.ops[0]));
		end.n = n + 8;
		if (try(o, list, &end, verdict, every))
			break;
	}
	free(end.ops);
}

struct or_verdict or_shrink(const struct or_options *o, struct or_list *list,
	struct or_verdict verdict)
{
	time_t until = now() + o->shrink_seconds;
	struct or_list shorter = {calloc((size_t)list->n, sizeof(list->ops[0])), 0};
	int piece, every = INT_MAX;

	list->n = verdict.index + 1;
	if (shorter.ops) {
		memcpy(shorter.ops, list->ops, (size_t)list->n * sizeof(list->ops[0]));
		shorter.n = list->n;
		if (!try(o, list, &shorter, &verdict, every))
			every = o->walk_every ? o->walk_every : OR_WALK;
	}
	keep_end(o, list, &verdict, every, until);
	piece = list->n / 2;
	while (piece >= 1 && shorter.ops && now() < until) {
		bool any = false;

		for (int at = list->n - piece; at > -piece && now() < until; at -= piece) {
			int from = at < 0 ? 0 : at, to = at + piece;

			if (to > list->n)
				continue;
			memcpy(shorter.ops, list->ops, (size_t)from * sizeof(list->ops[0]));
			memcpy(shorter.ops + from, list->ops + to,
				(size_t)(list->n - to) * sizeof(list->ops[0]));
			shorter.n = list->n - (to - from);
			any |= shorter.n > 0 && try(o, list, &shorter, &verdict, every);
		}
		if (!any || piece > 1)
			piece /= 2;
	}
	free(shorter.ops);
	return verdict;
}
