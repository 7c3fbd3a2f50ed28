/* SPDX-License-Identifier: BSD-3-Clause */
/* The front-end's rings: setting up, stopping, resuming. The rings themselves are driver.h's. */
#include <errno.h>
#include <stdlib.h>

#include "vhostuser/frontend_impl.h"

static int set_state(struct vu_frontend *fe, uint32_t code, unsigned int index, uint32_t num)
{
	struct vu_vring_state state = {.index = index, .num = num};

	return vu_frontend_request(fe, code, &state, sizeof(state), NULL, 0);
}

static int set_fd(struct vu_frontend *fe, uint32_t code, unsigned int index, int fd)
{
	uint64_t value = index;

	return vu_frontend_request(fe, code, &value, sizeof(value), &fd, 1);
}

static int set_addr(struct vu_frontend *fe, unsigned int index, const struct vq_driver *driver)
{
	struct vu_vring_addr addr = {
		.index = index,
		.desc = (uintptr_t)driver->desc,
		.avail = (uintptr_t)driver->avail,
		.used = (uintptr_t)driver->used,
	};

	return vu_frontend_request(fe, VU_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
}

/* Without bit 30 there is no ENABLE: rings are enabled from the start. */
static int set_enable(struct vu_frontend *fe, unsigned int index, bool enable)
{
	if (!(fe->features & VU_BIT(VU_F_PROTOCOL_FEATURES)))
		return 0;
	return set_state(fe, VU_SET_VRING_ENABLE, index, enable);
}

int vu_frontend_ring_resume(struct vu_frontend *fe, unsigned int index, uint16_t base)
{
	const struct vq_driver *driver = index < FE_RINGS ? fe->rings[index] : NULL;
	int r;

	if (!driver)
		return -ENOENT;
	r = set_state(fe, VU_SET_VRING_NUM, index, driver->num);
	if (r == 0)
		r = set_state(fe, VU_SET_VRING_BASE, index, base);
	if (r == 0)
		r = set_addr(fe, index, driver);
	if (r == 0)
		r = set_fd(fe, VU_SET_VRING_CALL, index, driver->call);
	if (r == 0)
		r = set_fd(fe, VU_SET_VRING_ERR, index, driver->err);
	if (r == 0)
		r = set_fd(fe, VU_SET_VRING_KICK, index, driver->kick);
	return r < 0 ? r : set_enable(fe, index, true);
}

static void ring_free(struct vu_frontend *fe, unsigned int index)
{
	if (!fe->rings[index])
		return;
	vq_driver_fini(fe->rings[index]);
	free(fe->rings[index]);
	fe->rings[index] = NULL;
}

int vu_frontend_ring_start(struct vu_frontend *fe, unsigned int index, uint16_t num, uint64_t gpa,
	struct vq_driver **out)
{
	void *area = vu_frontend_host(fe, gpa, vq_driver_size(num));
	struct vq_driver *driver;
	int r;

	if (index >= FE_RINGS)
		return -EINVAL;
	if (!area)
		return -EFAULT;
	driver = calloc(1, sizeof(*driver));
	if (!driver)
		return -ENOMEM;
	r = vq_driver_init(driver, num, gpa, area, fe->features);
	if (r < 0) {
		free(driver);
		return r;
	}
	ring_free(fe, index);
	fe->rings[index] = driver;
	r = vu_frontend_ring_resume(fe, index, 0);
	if (r < 0) {
		ring_free(fe, index);
		return r;
	}
	*out = driver;
	return 0;
}

int vu_frontend_ring_stop(struct vu_frontend *fe, unsigned int index, uint16_t *base)
{
	struct vu_vring_state state = {.index = index};
	int r;

	r = set_enable(fe, index, false);
	if (r == 0)
		r = fe_call(fe, VU_GET_VRING_BASE, &state, sizeof(state), &state, sizeof(state));
	if (r < 0)
		return r;
	if (state.index != index || state.num > UINT16_MAX)
		return -EPROTO;
	*base = (uint16_t)state.num;
	return 0;
}

void fe_rings_fini(struct vu_frontend *fe)
{
	for (unsigned int i = 0; i < FE_RINGS; i++)
		ring_free(fe, i);
}
