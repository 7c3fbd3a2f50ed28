/* SPDX-License-Identifier: BSD-3-Clause */
/* The oracle's command line, and its rounds. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/oracle/oracle.h"
#include "vhostuser/number.h"

static const char help[] =
	"Usage: oracle DIR_A DIR_B [options]\n"
	"\n"
	"Runs the same random system calls on two directories, by several processes and ids,\n"
	"and compares results and trees. As root.\n"
	"Status 0: no difference, 1: one was found, 2: usage.\n"
	"\n"
	"  --count N        operations (default 10000)\n"
	"  --seed S         (default: the time); printed\n"
	"  --round N        operations before both trees are made anew (default 5000)\n"
	"  --walk N         operations between two comparisons of the trees (default 250; 1 where\n"
	"                   a short list is replayed)\n"
	"  --without G,...  leave out kinds or groups of kinds (see --kinds)\n"
	"  --only G,...     nothing but these, and what the list begins with\n"
	"  --fuse           A is a FUSE mount: allow for the known differences\n"
	"  --writeback      and it has a write-back cache\n"
	"  --privileged     and its server has CAP_SYS_ADMIN\n"
	"  --mapped         and attributes have other names behind it\n"
	"  --kills          and the client takes setuid bits off, not the server\n"
	"  --backing DIR    the directory that is behind A; compared too, after each round\n"
	"  --shrink SECONDS how long to make a failing list shorter (default 60)\n"
	"  --out FILE       write the failing list there too\n"
	"  --replay FILE    run this list, as it was printed\n"
	"  --inject KIND    falsify B's fifth result of a kind (skip:KIND: do not run it on B)\n"
	"  --stats          print how often each kind ran, and succeeded\n"
	"  --verbose        print every operation and its result\n"
	"  --kinds          list groups and kinds\n";

enum { COUNT = 256, SEED, ROUND, WALK, WITHOUT, ONLY, FUSE, BACKING, SHRINK, OUT, REPLAY, INJECT,
	WRITEBACK, PRIVILEGED, MAPPED, KILLS, VERBOSE, STATS, KINDS, HELP };

static const struct option longs[] = {
	{"count", required_argument, NULL, COUNT},
	{"seed", required_argument, NULL, SEED},
	{"round", required_argument, NULL, ROUND},
	{"walk", required_argument, NULL, WALK},
	{"without", required_argument, NULL, WITHOUT},
	{"only", required_argument, NULL, ONLY},
	{"fuse", no_argument, NULL, FUSE},
	{"writeback", no_argument, NULL, WRITEBACK},
	{"privileged", no_argument, NULL, PRIVILEGED},
	{"mapped", no_argument, NULL, MAPPED},
	{"kills", no_argument, NULL, KILLS},
	{"backing", required_argument, NULL, BACKING},
	{"shrink", required_argument, NULL, SHRINK},
	{"out", required_argument, NULL, OUT},
	{"replay", required_argument, NULL, REPLAY},
	{"inject", required_argument, NULL, INJECT},
	{"verbose", no_argument, NULL, VERBOSE},
	{"stats", no_argument, NULL, STATS},
	{"kinds", no_argument, NULL, KINDS},
	{"help", no_argument, NULL, HELP},
	{NULL, 0, NULL, 0},
};

static void usage(int status)
{
	fputs(help, status ? stderr : stdout);
	exit(status);
}

static void list_kinds(void)
{
	for (int i = 0; i < or_n_kinds; i++)
		printf("%-10s %s\n", or_kinds[i].group, or_kinds[i].name);
	exit(0);
}

static uint64_t number_to(const char *text, uint64_t max)
{
	uint64_t n;

	if (vu_number_parse(text, 10, max, &n))
		usage(2);
	return n;
}

static int number(const char *text)
{
	int n = (int)number_to(text, 100 * 1000 * 1000);

	if (n < 1)
		usage(2);
	return n;
}

static void take(struct or_options *o, int option, const char *value)
{
	switch (option) {
	case COUNT: o->count = number(value); break;
	case SEED: o->seed = number_to(value, UINT64_MAX); break;
	case ROUND: o->round = number(value); break;
	case WALK: o->walk_every = number(value); break;
	case WITHOUT: o->without = value; break;
	case ONLY: o->only = value; break;
	case FUSE: o->fuse = true; break;
	case WRITEBACK: o->writeback = true; break;
	case PRIVILEGED: o->privileged = true; break;
	case MAPPED: o->mapped = true; break;
	case KILLS: o->kills = true; break;
	case BACKING: o->backing = value; break;
	case SHRINK: o->shrink_seconds = number(value); break;
	case OUT: o->out = value; break;
	case REPLAY: o->replay = value; break;
	case INJECT: o->inject = value; break;
	case VERBOSE: o->verbose = true; break;
	case STATS: o->stats = true; break;
	case KINDS: list_kinds(); break;
	case HELP: usage(0); break;
	default: usage(2);
	}
}

static void write_list(FILE *to, const struct or_list *list)
{
	for (int i = 0; i < list->n; i++)
		or_print_op(to, &list->ops[i]);
}

/* A difference: shrink, print, end. `before`: operations of earlier rounds. */
static int failed(const struct or_options *o, struct or_list *list, struct or_verdict verdict,
	int before)
{
	FILE *to;

	printf("DIFFERENCE after operation %d, seed %llu, round of %d:\n%s",
		before + verdict.index, (unsigned long long)o->seed, o->round, verdict.report);
	fflush(stdout);
	verdict = or_shrink(o, list, verdict);
	printf("shrunk to %d operations:\n", list->n);
	write_list(stdout, list);
	printf("which ends in:\n%s", verdict.report);
	if (o->out && (to = fopen(o->out, "w"))) {
		write_list(to, list);
		fclose(to);
	}
	free(verdict.report);
	return 1;
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int rounds(const struct or_options *o)
{
	struct or_list list = {calloc((size_t)o->round, sizeof(list.ops[0])), 0};
	double begin = seconds();
	struct or_verdict verdict;

	if (!list.ops)
		return 2;
	printf("seed %llu\n", (unsigned long long)o->seed);
	fflush(stdout);
	for (int done = 0; done < o->count; done += list.n) {
		int n = o->count - done < o->round ? o->count - done : o->round;

		or_generate(&list, o, o->seed * 1000003 + (uint64_t)(done / o->round), n);
		verdict = or_play(o, &list, o->walk_every ? o->walk_every : OR_WALK);
		if (verdict.index >= 0)
			return failed(o, &list, verdict, done);
	}
	if (o->fuse)
		or_known_report(stdout);
	if (o->stats)
		or_stats(stdout);
	printf("%d operations, no difference, %.0f a second\n", o->count,
		o->count / (seconds() - begin));
	free(list.ops);
	return 0;
}

static int replay(const struct or_options *o)
{
	struct or_list list;
	struct or_verdict verdict;
	int every;

	if (or_read_list(&list, o->replay) < 0)
		return 2;
	if (o->walk_every)
		every = o->walk_every;
	else
		every = list.n < 1000 ? 1 : OR_WALK;
	verdict = or_play(o, &list, every);
	if (verdict.index >= 0)
		return failed(o, &list, verdict, 0);
	printf("%d operations, no difference\n", list.n);
	free(list.ops);
	return 0;
}

int main(int argc, char **argv)
{
	struct or_options o = {.count = 10000,
		.round = 5000,
		.seed = (uint64_t)time(NULL),
		.shrink_seconds = 60};
	int option;

	while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1)
		take(&o, option, optarg);
	if (argc - optind != 2)
		usage(2);
	if (geteuid() != 0) {
		fputs("oracle: needs root, to be several users\n", stderr);
		return 2;
	}
	o.dir[OR_A] = argv[optind];
	o.dir[OR_B] = argv[optind + 1];
	return o.replay ? replay(&o) : rounds(&o);
}
