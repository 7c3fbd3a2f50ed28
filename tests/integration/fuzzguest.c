/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The generator. An opcode's arguments are written down as one letter a field; names, values and
 * extensions follow. Then bytes are flipped, fields replaced, ends cut off or stuck on.
 */
#include "tests/integration/fuzzguest.h"

#include <linux/fs.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include "fuse/wire.h"
#include "vhostuser/checked.h"

enum tail { NONE, TARGET, DATA, XATTR, VALUE, IOCTL, FORGETS, SLASH };

/*
 * Fields: f fh (and the header's nodeid), p nodeid and fh, n nodeid, o offset, x 64 bits of zero,
 * w lock owner, u unique; of 32 bits: s size, z zero, m mode, a open flags, v SETATTR's valid,
 * i id, l lock type, t pid, k mostly zero, r a few bits, b any bit, c ioctl.
 */
#define LOCK_FIELDS "fwooltkz"

static const struct row {
	uint32_t opcode;
	const char *fields;
	uint8_t names, tail;
	bool ext;
	uint32_t room;
} rows[] = {
	{ FUSE_LOOKUP, "", 1, NONE, false, 128 },
	{ FUSE_FORGET, "s", 0, NONE, false, 0 },
	{ FUSE_GETATTR, "rzf", 0, NONE, false, 104 },
	{ FUSE_SETATTR, "vzfowooosssmziiz", 0, NONE, false, 104 },
	{ FUSE_READLINK, "", 0, NONE, false, 4096 },
	{ FUSE_SYMLINK, "", 1, TARGET, true, 128 },
	{ FUSE_MKNOD, "mrmz", 1, NONE, true, 128 },
	{ FUSE_MKDIR, "mm", 1, NONE, true, 128 },
	{ FUSE_UNLINK, "", 1, NONE, false, 0 },
	{ FUSE_RMDIR, "", 1, NONE, false, 0 },
	{ FUSE_RENAME, "n", 2, NONE, false, 0 },
	{ FUSE_RENAME2, "nrz", 2, NONE, false, 0 },
	{ FUSE_LINK, "n", 1, NONE, false, 128 },
	{ FUSE_OPEN, "ar", 0, NONE, false, 16 },
	{ FUSE_READ, "fosrwaz", 0, NONE, false, 16384 },
	{ FUSE_WRITE, "fosrwaz", 0, DATA, false, 8 },
	{ FUSE_STATFS, "", 0, NONE, false, 80 },
	{ FUSE_RELEASE, "farw", 0, NONE, false, 0 },
	{ FUSE_FSYNC, "frz", 0, NONE, false, 0 },
	{ FUSE_SETXATTR, "skkz", 0, VALUE, false, 0 },
	{ FUSE_GETXATTR, "sz", 0, XATTR, false, 16384 },
	{ FUSE_LISTXATTR, "sz", 0, NONE, false, 16384 },
	{ FUSE_REMOVEXATTR, "", 0, XATTR, false, 0 },
	{ FUSE_FLUSH, "fzzw", 0, NONE, false, 0 },
	{ FUSE_OPENDIR, "ar", 0, NONE, false, 16 },
	{ FUSE_READDIR, "fosrwaz", 0, NONE, false, 8192 },
	{ FUSE_READDIRPLUS, "fosrwaz", 0, NONE, false, 8192 },
	{ FUSE_RELEASEDIR, "farw", 0, NONE, false, 0 },
	{ FUSE_FSYNCDIR, "frz", 0, NONE, false, 0 },
	{ FUSE_GETLK, LOCK_FIELDS, 0, NONE, false, 24 },
	{ FUSE_SETLK, LOCK_FIELDS, 0, NONE, false, 0 },
	{ FUSE_SETLKW, LOCK_FIELDS, 0, NONE, false, 0 },
	{ FUSE_ACCESS, "rz", 0, NONE, false, 0 },
	{ FUSE_CREATE, "ammr", 1, NONE, true, 144 },
	{ FUSE_INTERRUPT, "u", 0, NONE, false, 0 },
	{ FUSE_BMAP, "osz", 0, NONE, false, 8 },
	{ FUSE_BATCH_FORGET, "sz", 0, FORGETS, false, 0 },
	{ FUSE_FALLOCATE, "foobz", 0, NONE, false, 0 },
	{ FUSE_LSEEK, "forz", 0, NONE, false, 8 },
	{ FUSE_COPY_FILE_RANGE, "fopoox", 0, NONE, false, 8 },
	{ FS_OP_COPY_FILE_RANGE_64, "fopoox", 0, NONE, false, 8 },
	{ FUSE_SETUPMAPPING, "fosxo", 0, NONE, false, 0 },
	{ FUSE_REMOVEMAPPING, "soo", 0, NONE, false, 0 },
	{ FUSE_SYNCFS, "x", 0, NONE, false, 0 },
	{ FUSE_IOCTL, "frcxss", 0, IOCTL, false, 64 },
	{ FUSE_POLL, "fxrr", 0, NONE, false, 8 },
	{ FUSE_TMPFILE, "ammr", 0, SLASH, true, 144 },
	{ FS_OP_STATX, "rzfbb", 0, NONE, false, 288 },
};

static const char *const names[] = { "a", "b", "c", "d", "e", "file", "dir", "link", "fifo",
	"\xff\xfe\x80", "f\ni", "dir2" };
static const char *const xattrs[] = { "user.a", "user.b", "user.virtiofs.owner", "trusted.x",
	"system.posix_acl_access", "system.posix_acl_default", "security.capability",
	"security.selinux", "user.virtiofs.trusted.x", "", "user." };

uint64_t fz_random(struct fz *fz)
{
	fz->random ^= fz->random << 13;
	fz->random ^= fz->random >> 7;
	fz->random ^= fz->random << 17;
	return fz->random * UINT64_C(0x2545f4914f6cdd1d) >> 16;
}

uint32_t fz_below(struct fz *fz, uint32_t n)
{
	return (uint32_t)(fz_random(fz) % n);
}

static uint64_t interesting(struct fz *fz)
{
	static const uint64_t values[] = { 0, 1, 2, 4095, 4096, INT32_MAX, UINT32_MAX,
		UINT64_C(1) << 32, INT64_MAX, UINT64_C(1) << 63, UINT64_MAX, UINT64_MAX - 1,
		INT64_MAX - 1, 65536, 65537 };

	return values[fz_below(fz, ARRAY_SIZE(values))];
}

static uint64_t node_of(struct fz *fz)
{
	uint32_t i = fz_below(fz, FZ_POOL);
	uint64_t node = fz->pool->nodes[i];

	return node && fz_below(fz, 3) ? node : FUSE_ROOT_ID;
}

static uint32_t word_of(struct fz *fz, char field)
{
	static const uint32_t commands[] = { FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_IOC_FSGETXATTR,
		FS_IOC_FSSETXATTR, FS_IOC32_GETFLAGS, FS_IOC32_SETFLAGS };
	static const uint32_t types[] = { S_IFREG, 0, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK,
		S_IFDIR };
	static const uint32_t ids[] = { 0, 0, 0, 1000, 1000, 1001, 65534, UINT32_MAX };

	switch (field) {
	case 's':
		return fz_below(fz, 8) ? fz_below(fz, 8192) : fz_below(fz, 65536 + 2);
	case 'm':
		return types[fz_below(fz, ARRAY_SIZE(types))] | fz_below(fz, 010000);
	case 'a':
		return fz_below(fz, 3) | (fz_below(fz, 4) ? 0 : 1u << fz_below(fz, 24));
	case 'v':
		return 1u << fz_below(fz, 12) | 1u << fz_below(fz, 12);
	case 'i':
		return ids[fz_below(fz, ARRAY_SIZE(ids))];
	case 't':
		return 1 + fz_below(fz, 100);
	case 'k':
		return fz_below(fz, 3) ? 0 : 1;
	case 'l':
		return fz_below(fz, 3);
	case 'r':
		return fz_below(fz, 8);
	case 'b':
		return 1u << fz_below(fz, 32) | (fz_below(fz, 2) ? 1 : 0);
	case 'c':
		return commands[fz_below(fz, ARRAY_SIZE(commands))];
	default:
		return 0;
	}
}

static uint32_t put(struct fz_request *r, const void *bytes, size_t len)
{
	uint32_t n = (uint32_t)MIN(len, sizeof(r->bytes) - r->len);

	memcpy(r->bytes + r->len, bytes, n);
	r->len += n;
	return n;
}

static void put64(struct fz_request *r, uint64_t value)
{
	put(r, &value, sizeof(value));
}

static void put_field(struct fz *fz, struct fz_request *r, char field)
{
	struct fuse_in_header *header = (struct fuse_in_header *)r->bytes;
	uint32_t i = fz_below(fz, FZ_POOL), word;

	switch (field) {
	case 'f':
		if (fz->pool->fh_nodes[i])
			header->nodeid = fz->pool->fh_nodes[i];
		put64(r, fz->pool->fhs[i]);
		return;
	case 'p':
		put64(r, fz->pool->fh_nodes[i]);
		put64(r, fz->pool->fhs[i]);
		return;
	case 'n':
		put64(r, node_of(fz));
		return;
	case 'o':
		put64(r, fz_below(fz, 16) ? fz_below(fz, 70000) : interesting(fz));
		return;
	case 'x':
		put64(r, 0);
		return;
	case 'w':
		put64(r, fz_below(fz, 4));
		return;
	case 'u':
		put64(r, fz->unique - 2 * (uint64_t)fz_below(fz, 16));
		return;
	default:
		word = word_of(fz, field);
		put(r, &word, sizeof(word));
	}
}

static void put_string(struct fz *fz, struct fz_request *r, const char *text)
{
	char filler[300];
	uint32_t len = 200 + fz_below(fz, 99);

	put(r, text, strlen(text));
	/* About as long as a name may be. */
	if (fz_below(fz, 24) == 0) {
		memset(filler, 'x', len);
		put(r, filler, len);
	}
	put(r, "", 1);
}

static void put_noise(struct fz *fz, struct fz_request *r, uint32_t len)
{
	for (uint32_t i = 0; i < len && r->len < sizeof(r->bytes); i += 8) {
		uint64_t word = fz_random(fz);

		put(r, &word, MIN(8u, len - i));
	}
}

/* A range of bytes has a begin before its end. */
static void put_in_order(uint8_t *args)
{
	struct fuse_lk_in in;

	memcpy(&in, args, sizeof(in));
	if (in.lk.start > in.lk.end) {
		uint64_t start = in.lk.start;

		in.lk.start = in.lk.end;
		in.lk.end = start;
	}
	memcpy(args, &in, sizeof(in));
}

/* An ACL, an owner, or anything. */
static uint32_t put_value(struct fz *fz, struct fz_request *r)
{
	static const uint8_t acl[] = { 2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 2, 0, 7, 0, 0xe8,
		3, 0, 0, 4, 0, 5, 0, 255, 255, 255, 255, 16, 0, 7, 0, 255, 255, 255, 255, 32, 0, 5,
		0, 255, 255, 255, 255 };
	static const char *const owners[] = { "0:0:104755", "1:2:100644:3,4", "7:7:20666:5,1",
		"4294967294:0:177777", "::", "-1:0:100644" };
	const char *owner = owners[fz_below(fz, ARRAY_SIZE(owners))];
	uint32_t begin = r->len;

	switch (fz_below(fz, 4)) {
	case 0:
		put(r, acl, sizeof(acl));
		break;
	case 1:
		put(r, owner, strlen(owner));
		break;
	default:
		put_noise(fz, r, word_of(fz, 's'));
	}
	return r->len - begin;
}

static void put_ext(struct fz *fz, struct fz_request *r)
{
	struct fuse_ext_header ext;
	uint32_t n = fz_below(fz, 5);

	while (n < 3 && n-- > 0) {
		uint32_t begin = r->len, groups = fz_below(fz, 40);
		bool labels = fz_below(fz, 2);

		ext = (struct fuse_ext_header){ .type = labels ? 1 : FS_EXT_GROUPS };
		put(r, &ext, sizeof(ext));
		if (labels) {
			struct fuse_secctx head = { .size = fz_below(fz, 64) };

			put(r, &head, sizeof(head));
			put_string(fz, r, "security.selinux");
			put_noise(fz, r, head.size);
		} else {
			put(r, &groups, sizeof(groups));
			put_noise(fz, r, groups * 4);
		}
		while (r->len % 8)
			put(r, "", 1);
		ext.size = r->len - begin;
		memcpy(r->bytes + begin, &ext, sizeof(ext));
	}
}

static void put_tail(struct fz *fz, struct fz_request *r, const struct row *row)
{
	struct fuse_in_header *header = (struct fuse_in_header *)r->bytes;
	uint8_t *args = r->bytes + sizeof(*header);
	uint32_t size;

	switch ((enum tail)row->tail) {
	case NONE:
		break;
	case TARGET:
		put_string(fz, r, fz_below(fz, 2) ? "../../../etc/passwd" : "/");
		break;
	case SLASH:
		put_string(fz, r, "/");
		break;
	case XATTR:
		put_string(fz, r, xattrs[fz_below(fz, ARRAY_SIZE(xattrs))]);
		break;
	case VALUE:
		if (fz_below(fz, 2)) /* the short form */
			r->len = (uint32_t)sizeof(*header) + FUSE_COMPAT_SETXATTR_IN_SIZE;
		put_string(fz, r, xattrs[fz_below(fz, ARRAY_SIZE(xattrs))]);
		size = put_value(fz, r);
		memcpy(args, &size, sizeof(size));
		break;
	case DATA:
		size = word_of(fz, 's');
		put_noise(fz, r, size);
		memcpy(args + offsetof(struct fuse_write_in, size), &size, sizeof(size));
		break;
	case IOCTL:
		size = fz_below(fz, 40);
		put_noise(fz, r, size);
		memcpy(args + offsetof(struct fuse_ioctl_in, in_size), &size, sizeof(size));
		break;
	case FORGETS:
		size = fz_below(fz, 5);
		memcpy(args, &size, sizeof(size));
		for (uint32_t i = 0; i < size; i++) {
			put64(r, fz_below(fz, 8) ? 0 : node_of(fz));
			put64(r, 1);
		}
		break;
	}
}

static void spoil(struct fz *fz, struct fz_request *r)
{
	const uint32_t head = offsetof(struct fuse_in_header, unique);
	uint32_t at = head + fz_below(fz, MAX(r->len - head, 1u)), n;
	uint64_t value = interesting(fz);

	switch (fz_below(fz, 5)) {
	case 0:
		r->bytes[at] ^= (uint8_t)(1u << fz_below(fz, 8));
		break;
	case 1:
		n = MIN(r->len - MIN(at & ~3u, r->len), fz_below(fz, 2) ? 4u : 8u);
		memcpy(r->bytes + (at & ~3u), &value, n);
		break;
	case 2:
		r->len = MAX(at, (uint32_t)sizeof(struct fuse_in_header));
		break;
	case 3:
		put_noise(fz, r, fz_below(fz, 64));
		break;
	default:
		r->room = fz_below(fz, 200) + 16;
	}
}

/* More of those that give something to go on with. */
static const struct row *pick_row(struct fz *fz)
{
	static const uint32_t giving[] = { FUSE_LOOKUP, FUSE_LOOKUP, FUSE_CREATE, FUSE_OPEN,
		FUSE_OPENDIR, FUSE_TMPFILE };
	const struct row *row = &rows[fz_below(fz, ARRAY_SIZE(rows))];
	uint32_t wanted = giving[fz_below(fz, ARRAY_SIZE(giving))];

	if (fz_below(fz, 3) == 0) {
		row = rows;
		while (row->opcode != wanted)
			row++;
	}
	return row;
}

void fz_make(struct fz *fz, struct fz_request *r)
{
	const struct row *row = pick_row(fz);
	struct fuse_in_header header = { .opcode = row->opcode, .pid = 1 };
	uint32_t spoils = fz_below(fz, 3) ? 0 : 1 + fz_below(fz, 3);

	fz->unique += 2;
	header.unique = fz->unique;
	header.nodeid = node_of(fz);
	header.uid = word_of(fz, 'i');
	header.gid = word_of(fz, 'i');
	r->opcode = row->opcode;
	r->len = 0;
	r->room = row->room + (uint32_t)sizeof(struct fuse_out_header);
	if (row->opcode == FUSE_FORGET || row->opcode == FUSE_BATCH_FORGET ||
		row->opcode == FUSE_INTERRUPT)
		r->room = 0;
	/* A range that is kept beyond the end is disk, whatever limit there is on sizes. */
	r->calm = row->opcode == FUSE_FALLOCATE;
	put(r, &header, sizeof(header));
	for (const char *field = row->fields; *field; field++)
		put_field(fz, r, r->calm && *field == 'o' ? 'w' : *field);
	if (row->opcode == FUSE_FORGET)
		put(r, "\0\0\0", 4);
	for (unsigned int i = 0; i < row->names; i++)
		put_string(fz, r, names[fz_below(fz, ARRAY_SIZE(names))]);
	if (strcmp(row->fields, LOCK_FIELDS) == 0)
		put_in_order(r->bytes + sizeof(header));
	put_tail(fz, r, row);
	if (row->ext && fz->with_ext)
		put_ext(fz, r);
	while (!r->calm && spoils-- > 0)
		spoil(fz, r);
	memcpy(&header, r->bytes, sizeof(header));
	header.opcode = row->opcode;
	header.unique = fz->unique;
	/* Mostly the truth. */
	if (fz_below(fz, 50))
		header.len = r->len;
	memcpy(r->bytes, &header, sizeof(header));
}

void fz_learn(struct fz *fz, uint32_t opcode, uint64_t nodeid, const void *body, uint32_t len)
{
	uint32_t i = fz_below(fz, FZ_POOL);
	struct fuse_entry_out entry = { 0 };
	struct fuse_open_out open = { 0 };

	switch (opcode) {
	case FUSE_CREATE:
	case FUSE_TMPFILE:
		if (len < sizeof(entry) + sizeof(open))
			return;
		memcpy(&entry, body, sizeof(entry));
		memcpy(&open, (const uint8_t *)body + sizeof(entry), sizeof(open));
		fz->pool->nodes[i] = entry.nodeid;
		fz->pool->fhs[i] = open.fh;
		fz->pool->fh_nodes[i] = entry.nodeid;
		break;
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		if (len < sizeof(open))
			return;
		memcpy(&open, body, sizeof(open));
		fz->pool->fhs[i] = open.fh;
		fz->pool->fh_nodes[i] = nodeid;
		break;
	case FUSE_LOOKUP:
	case FUSE_MKDIR:
	case FUSE_MKNOD:
	case FUSE_SYMLINK:
	case FUSE_LINK:
		if (len < sizeof(entry))
			return;
		memcpy(&entry, body, sizeof(entry));
		fz->pool->nodes[i] = entry.nodeid;
		break;
	default:
		break;
	}
}
