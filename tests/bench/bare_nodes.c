/* SPDX-License-Identifier: BSD-3-Clause */
/* The bare loop's flat table of nodes, and the hash of identities into it. */
#include "tests/bench/bare.h"

#include <stdbool.h>
#include <unistd.h>

#define NODES  (1u << 17)
#define HASHES (1u << 16)

static struct bare_node nodes[NODES];
static uint32_t hashes[HASHES]; /* 0: none, since nobody is node 0 */
static uint32_t used = 1, free_head;

static uint32_t *hash_of(ino_t ino)
{
	return &hashes[ino % HASHES];
}

struct bare_node *bare_node(uint64_t nodeid)
{
	return &nodes[nodeid];
}

uint64_t bare_node_find(dev_t dev, ino_t ino)
{
	uint32_t at = *hash_of(ino);

	while (at && (nodes[at].ino != ino || nodes[at].dev != dev))
		at = nodes[at].next;
	return at;
}

uint64_t bare_node_new(int fd, dev_t dev, ino_t ino)
{
	uint32_t *hash = hash_of(ino), at = free_head;

	if (at)
		free_head = nodes[at].next;
	else if (used < NODES)
		at = used++;
	else
		return 0;
	nodes[at] = (struct bare_node){.fd = fd, .next = *hash, .dev = dev, .ino = ino};
	*hash = at;
	return at;
}

void bare_node_forget(uint64_t nodeid, uint64_t n)
{
	struct bare_node *node = &nodes[nodeid];
	uint32_t *link = hash_of(node->ino);

	node->lookups -= n;
	if (node->lookups || nodeid == FUSE_ROOT_ID)
		return;
	while (*link != nodeid)
		link = &nodes[*link].next;
	*link = node->next;
	close(node->fd);
	node->fd = -1;
	node->next = free_head;
	free_head = (uint32_t)nodeid;
}
