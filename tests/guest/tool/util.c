/* SPDX-License-Identifier: BSD-3-Clause */
/* guest-tool: numbers, random streams, whole reads and writes. */
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void die(int err, const char *format, ...)
{
	va_list args;

	fputs("guest-tool: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	if (err)
		fprintf(stderr, ": %s", strerror(err));
	fputc('\n', stderr);
	exit(1);
}

uint64_t number(const char *text)
{
	char *end;
	uint64_t value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || end == text)
		die(errno, "%s is not a number", text);
	if (*end && end[1])
		die(0, "%s is not a number", text);
	switch (*end) {
	case '\0':
		return value;
	case 'K':
		return value << 10;
	case 'M':
		return value << 20;
	case 'G':
		return value << 30;
	default:
		die(0, "%s is not a number", text);
	}
}

/* splitmix64: spreads nearby seeds far apart. */
static uint64_t mix(uint64_t value)
{
	value += 0x9e3779b97f4a7c15ULL;
	value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
	value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
	return value ^ (value >> 31);
}

void rng_init(struct rng *rng, uint64_t seed)
{
	rng->state = mix(seed) | 1;
}

uint64_t rng_next(struct rng *rng)
{
	rng->state ^= rng->state >> 12;
	rng->state ^= rng->state << 25;
	rng->state ^= rng->state >> 27;
	return rng->state * 0x2545f4914f6cdd1dULL;
}

uint64_t rng_below(struct rng *rng, uint64_t limit)
{
	return (rng_next(rng) >> 16) % limit;
}

void pattern(uint64_t seed, uint64_t offset, void *buf, size_t len)
{
	unsigned char *out = buf;

	while (len > 0) {
		uint64_t word = mix(seed ^ mix(offset / 8));
		size_t skip = offset % 8;
		size_t part = 8 - skip < len ? 8 - skip : len;

		memcpy(out, (unsigned char *)&word + skip, part);
		out += part;
		offset += part;
		len -= part;
	}
}

uint64_t fnv(uint64_t hash, const void *buf, size_t len)
{
	const unsigned char *bytes = buf;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3ULL;
	return hash;
}

void full_write(int fd, const void *buf, size_t len, const char *what)
{
	const char *bytes = buf;

	while (len > 0) {
		ssize_t n = write(fd, bytes, len);

		if (n < 0)
			die(errno, "write %s", what);
		bytes += n;
		len -= (size_t)n;
	}
}

void full_pwrite(int fd, const void *buf, size_t len, uint64_t offset, const char *what)
{
	const char *bytes = buf;

	while (len > 0) {
		ssize_t n = pwrite(fd, bytes, len, (off_t)offset);

		if (n < 0)
			die(errno, "pwrite %s", what);
		bytes += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
}

void full_pread(int fd, void *buf, size_t len, uint64_t offset, const char *what)
{
	char *bytes = buf;

	while (len > 0) {
		ssize_t n = pread(fd, bytes, len, (off_t)offset);

		if (n < 0)
			die(errno, "pread %s", what);
		if (n == 0)
			die(0, "%s ends at %llu", what, (unsigned long long)offset);
		bytes += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
}

void for_each_segment(int fd, uint64_t size, void (*fn)(void *arg, uint64_t start, uint64_t end),
	void *arg, const char *what)
{
	uint64_t at = 0;

	while (at < size) {
		off_t data = lseek(fd, (off_t)at, SEEK_DATA);
		off_t hole;

		if (data < 0 && errno == ENXIO)
			return;
		if (data < 0)
			die(errno, "SEEK_DATA %s", what);
		hole = lseek(fd, data, SEEK_HOLE);
		if (hole < 0)
			die(errno, "SEEK_HOLE %s", what);
		fn(arg, (uint64_t)data, (uint64_t)hole);
		at = (uint64_t)hole;
	}
}

const char *link_seen(dev_t dev, ino_t ino, const char *path)
{
	static struct seen {
		dev_t dev;
		ino_t ino;
		char *path;
	} * table;
	static size_t used, room;

	for (size_t i = 0; i < used; i++)
		if (table[i].dev == dev && table[i].ino == ino)
			return table[i].path;
	if (used == room) {
		room = room ? room * 2 : 64;
		table = realloc(table, room * sizeof(*table));
		if (!table)
			die(ENOMEM, "hard links");
	}
	table[used] = (struct seen){.dev = dev, .ino = ino, .path = strdup(path)};
	if (!table[used++].path)
		die(ENOMEM, "hard links");
	return NULL;
}
