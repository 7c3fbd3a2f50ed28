/* SPDX-License-Identifier: BSD-3-Clause */
/* Rings that begin anew after a stop, and rings that go on. */
#include "tests/unit/rig.h"

static struct rig rig;

static int setup(void **state)
{
	rig_init(&rig, RIG_FEATURES, RIG_PROTOCOL);
	rig_open(&rig, VU_CONN_READY, RIG_PROTOCOL, RIG_FEATURES);
	rig_do_memory(&rig, 1);
	for (unsigned int i = 0; i < 2; i++)
		rig_run(&rig, i);
	rig.told[0] = '\0';
	return 0;
}

static int teardown(void **state)
{
	rig_fini(&rig);
	return 0;
}

/* GET_VRING_BASE, which the fixture's device answers with 100 + index. */
static void stop(uint32_t index)
{
	struct vu_vring_state payload = {.index = index, .num = 100 + index};

	rig_do_state(&rig, VU_GET_VRING_BASE, index, 0);
	rig_expect_answer(&rig, VU_GET_VRING_BASE, &payload, sizeof(payload));
}

static void test_goes_on(void **state)
{
	stop(0);
	stop(1);
	rig_expect_told(&rig, "stop 0;stop 1;");
	rig_do_state(&rig, VU_SET_VRING_BASE, 0, 100);
	rig_do_state(&rig, VU_SET_VRING_BASE, 1, 7); /* odd, but no beginning */
	rig_expect_told(&rig, "");
}

static void test_begins_anew(void **state)
{
	stop(0);
	stop(1);
	rig_expect_told(&rig, "stop 0;stop 1;");
	/* One of them tells; it may have been the only one in use. */
	rig_do_state(&rig, VU_SET_VRING_BASE, 0, 100);
	rig_do_state(&rig, VU_SET_VRING_BASE, 1, 0);
	rig_expect_told(&rig, "renewed;");
	/* Once: the others were the same driver's. */
	rig_do_state(&rig, VU_SET_VRING_BASE, 0, 0);
	rig_do_state(&rig, VU_SET_VRING_BASE, 1, 0);
	rig_do_state(&rig, VU_SET_VRING_BASE, 2, 0);
	rig_expect_told(&rig, "");
}

/* That is one ring's matter, as long as another one runs. */
static void test_one_alone(void **state)
{
	stop(1);
	rig_expect_told(&rig, "stop 1;");
	rig_do_state(&rig, VU_SET_VRING_BASE, 1, 0);
	rig_do_fd(&rig, VU_SET_VRING_KICK, 1);
	rig.told[0] = '\0';
	/* What it did then does not count when the others stop, but that it ran since. */
	stop(0);
	rig_expect_told(&rig, "stop 0;");
	rig_do_state(&rig, VU_SET_VRING_BASE, 0, 0);
	rig_expect_told(&rig, "");
	stop(1);
	rig_expect_told(&rig, "stop 1;");
	rig_do_state(&rig, VU_SET_VRING_BASE, 0, 0);
	rig_expect_told(&rig, "renewed;");
}

/* What was reset is new already. */
static void test_after_reset(void **state)
{
	stop(0);
	rig_do(&rig, VU_RESET_DEVICE, NULL, 0);
	rig.told[0] = '\0';
	rig_do_state(&rig, VU_SET_VRING_BASE, 0, 0);
	rig_do_state(&rig, VU_SET_VRING_BASE, 1, 0);
	rig_expect_told(&rig, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_goes_on),
		TEST(test_begins_anew),
		TEST(test_one_alone),
		TEST(test_after_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
