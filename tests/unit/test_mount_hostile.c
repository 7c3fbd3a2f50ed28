/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A mount's queue with a device that writes whatever it likes, wherever it can, at any time: into
 * rings, descriptors, indirect tables, requests and answers. The kernel gets nothing but answers to
 * what it asked, each once, with a header that it would take; and the loop ends when it is told.
 */
#include "tests/unit/mount_device.h"

#include <stdio.h>
#include <time.h>

#define ASKED 12u

static uint64_t seed;
static unsigned int n_answers, n_broken;

static uint32_t any(uint32_t below)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(seed >> 33) % below;
}

/* Bytes that are near the truth are worse than others. */
static void scribble(struct md *d)
{
	static const uint32_t values[] = {0, 1, 2, 16, 0x7fffffff, 0x80000000, UINT32_MAX};
	size_t at = any(3) ? any(2 * MD_AREA) : any((uint32_t)d->size);
	uint32_t value = any(2) ? values[any(ARRAY_SIZE(values))] : any(UINT32_MAX);
	size_t n = 1 + any(4);

	if (at + n > d->size)
		return;
	for (size_t i = 0; i < n; i++)
		__atomic_store_n(&d->memory[at + i], (uint8_t)(value >> 8 * i), __ATOMIC_RELAXED);
}

/* A request as it was when it came: where its answer goes, and what it is to say. */
struct found {
	uint16_t head;
	uint64_t unique;
	uint8_t *at;
	uint32_t room;
};

static uint8_t *host_at(struct md *d, const struct vring_desc *desc, uint32_t need)
{
	uint64_t gpa = le64toh(desc->addr);

	if (gpa < MD_GPA || gpa % 8 || !range_within(gpa - MD_GPA, need, d->size))
		return NULL;
	return d->memory + (gpa - MD_GPA);
}

/* It may be scribbled over already. */
static bool find(struct md *d, struct found *found)
{
	const struct vring_desc *table = d->ring.desc, *desc;
	uint16_t at = le16toh(d->ring.avail->ring[d->popped++ % MD_RING]) % MD_RING;
	uint8_t *header;

	*found = (struct found){.head = at};
	if (le16toh(table[at].flags) & VRING_DESC_F_INDIRECT) {
		table = (const void *)host_at(d, &table[at], 8 * sizeof(*table));
		at = 0;
	}
	header = table ? host_at(d, &table[at], sizeof(struct fuse_in_header)) : NULL;
	if (!header)
		return false;
	memcpy(&found->unique, header + offsetof(struct fuse_in_header, unique), 8);
	for (int i = 0; i < 5 && !found->at; i++) {
		desc = &table[at % 8];
		if (table == d->ring.desc)
			desc = &table[at % MD_RING];
		if (le16toh(desc->flags) & VRING_DESC_F_WRITE)
			found->at = host_at(d, desc, sizeof(struct fuse_out_header));
		at = le16toh(desc->next);
	}
	return found->at != NULL;
}

/* Mostly right. */
static void answer(struct md *d, const struct found *found)
{
	struct fuse_out_header out = {.len = sizeof(out), .unique = found->unique};
	uint16_t head = found->head;
	uint32_t len = out.len;

	switch (any(60)) {
	case 0:
		len = out.len = any(3) ? any(200) : any(UINT32_MAX);
		break;
	case 1:
		out.error = any(3) ? -(int)any(600) : (int)any(UINT32_MAX);
		break;
	case 2:
		out.unique = any(40);
		break;
	case 3:
		head = (uint16_t)any(2 * MD_RING);
		break;
	case 4:
		len = any(64);
		break;
	default:
		out.error = any(2) ? -EAGAIN : any(2) ? -EINTR : 0;
		break;
	}
	memcpy(found->at, &out, sizeof(out));
	md_push_to(&d->ring, head, len);
}

static void ask(struct md *d, uint64_t unique)
{
	static const uint32_t opcodes[] = {FUSE_GETATTR, FUSE_UNLINK, FUSE_SETLKW, FUSE_SETLKW,
		FUSE_SETLK, FUSE_READ, FUSE_WRITE, FUSE_INIT, FUSE_FORGET, FUSE_IOCTL};
	uint32_t opcode = opcodes[any(ARRAY_SIZE(opcodes))];
	struct fuse_interrupt_in in = {.unique = 2 + 2 * any(ASKED)};
	struct fuse_lk_in lock = {.owner = unique};

	if (!any(6))
		md_ask_with(d, FUSE_INTERRUPT, unique | 1, &in, sizeof(in), NULL, 0);
	else if (opcode == FUSE_SETLKW || opcode == FUSE_SETLK)
		md_ask_with(d, opcode, unique, &lock, sizeof(lock), NULL, 0);
	else
		md_ask(d, opcode, unique);
}

/* What the kernel would be given: see fuse_dev_do_write(). */
static void judge(struct md *d, bool asked[])
{
	static uint8_t bytes[1 << 21];
	struct fuse_out_header out;
	ssize_t n;

	while ((n = recv(d->kernel, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
		uint64_t i;

		assert_true(n >= (ssize_t)sizeof(out));
		memcpy(&out, bytes, sizeof(out));
		assert_int_equal(out.len, n);
		assert_in_range(-(int64_t)out.error, 0, 511);
		assert_true(!out.error || n == sizeof(out));
		assert_int_equal(out.unique % 2, 0);
		i = out.unique / 2 - 1;
		assert_in_range(i, 0, ASKED - 1);
		assert_true(asked[i]);
		asked[i] = false;
		n_answers++;
	}
}

static bool is_more(const struct md *d)
{
	return d->popped != le16toh(__atomic_load_n(&d->ring.avail->idx, __ATOMIC_ACQUIRE));
}

/* The device's turn; those that it does not answer it may answer later, or never. */
static size_t play(struct md *d, struct found *known, size_t n)
{
	while (is_more(d) && n < 64)
		n += find(d, &known[n]);
	for (unsigned int steps = any(4); steps-- > 0;) {
		uint32_t which = n ? any((uint32_t)n) : 0;

		if (!any(40))
			scribble(d);
		if (!n)
			continue;
		answer(d, &known[which]);
		/* Now and then one is answered twice. */
		if (any(50))
			known[which] = known[--n];
	}
	return n;
}

static void one_round(struct md *d)
{
	bool asked[ASKED] = {false};
	struct found known[64];
	size_t n = 0;

	md_init(d);
	md_start(d);
	for (uint64_t i = 0; i < ASKED; i++) {
		asked[i] = true;
		ask(d, 2 + 2 * i);
		usleep(any(300));
		n = play(d, known, n);
		judge(d, asked);
	}
	usleep(100);
	/* With hiprio given up it may wait for room there: stop ends that, too. */
	n_broken += md_stop(d) == FM_BROKEN;
	judge(d, asked);
	md_fini(d);
}

static void nothing_bad_gets_through(void **state)
{
	const char *scale = getenv("TEST_SCALE");
	unsigned int rounds = scale && atoi(scale) >= 100 ? 20000 : 1000;
	struct md d;

	atomic_store(&vu_log_level, LOG_LEVEL_OFF);
	seed = (uint64_t)time(NULL);
	print_message("# seed %llu\n", (unsigned long long)seed);
	for (unsigned int i = 0; i < rounds; i++) {
		md_features = UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX;
		if (i % 2)
			md_features |= UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC;
		one_round(&d);
	}
	print_message("# %u answers, %u of %u rounds broken\n", n_answers, n_broken, rounds);
	/* Neither all nor nothing, or it would show little. */
	assert_in_range(n_answers, rounds, rounds * ASKED);
	assert_in_range(n_broken, rounds / 4, rounds - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_bad_gets_through),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
