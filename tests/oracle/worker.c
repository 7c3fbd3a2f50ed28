/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One process. It waits for a byte on its channel, runs the operation that lies in the shared
 * memory, puts the result beside it, and answers with a byte. Its root is the tree: a ".." or an
 * absolute link gets it nowhere else.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/oracle/me.h"

static sigjmp_buf out;
static volatile sig_atomic_t touching;

static void on_bus(int signal)
{
	if (!touching)
		_exit(3);
	siglongjmp(out, 1);
}

bool or_touch(void (*touch)(void *arg), void *arg)
{
	bool volatile good = false;

	if (sigsetjmp(out, 1) == 0) {
		touching = 1;
		touch(arg);
		good = true;
	}
	touching = 0;
	return good;
}

void or_worker(struct or_me *me, int channel, const struct or_op *op, struct or_result *res)
{
	char byte;

	signal(SIGBUS, on_bus);
	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < OR_SLOTS; i++)
		me->fds[i] = -1;
	while (read(channel, &byte, 1) == 1) {
		memset(res, 0, offsetof(struct or_result, text) + 1);
		if (byte == 's')
			or_done(res, 0);
		else
			or_kinds[op->kind].run(me, op, &or_kinds[op->kind], res);
		if (write(channel, &byte, 1) != 1)
			break;
	}
}
