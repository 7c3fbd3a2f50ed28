/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest's steps on a share that the host changes, by nodeids and handles that it holds, and
 * what may come of them: an object that is there where the guest found it must be reached; one that
 * was moved or removed may be lost (ESTALE); and never may another one answer.
 */
#include "tests/integration/replaced.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* By file handles: whatever is alive. By names: if each leads to the next, as it was found. */
static bool reachable(const struct twin *t, const struct twin_object *o)
{
	if (!o->alive)
		return false;
	if (o == t->object[0] || t->handles || o->open)
		return true;
	return o->place && o->place->entry[o->place_name] == o && reachable(t, o->place);
}

/* Whether the object answered; if not, it may indeed be lost. */
static bool went(struct twin *t, const struct twin_object *o, int r)
{
	if (r >= 0)
		return true;
	if (reachable(t, o) || (r != -ESTALE && (r != -ENOENT || o->alive)))
		twin_fail(t, "object %u (%s): error %d", o->id,
			!o->alive ? "gone" : reachable(t, o) ? "there" : "moved", r);
	t->stale += r == -ESTALE;
	return false;
}

/* The same of two: one that is lost is enough, and tells of what. */
static bool both_went(struct twin *t, const struct twin_object *a, const struct twin_object *b,
	int r)
{
	bool b_lost = r == -ENOENT ? !b->alive : !reachable(t, b);

	return went(t, r < 0 && b_lost ? b : a, r);
}

static void expect_records(struct twin *t, const struct twin_object *o, const char *data, int n)
{
	char record[TWIN_RECORD + 1];

	twin_record(record, o->id);
	if (n != (int)(o->n_records * TWIN_RECORD))
		twin_fail(t, "object %u: %d bytes, not %u", o->id, n, o->n_records * TWIN_RECORD);
	for (unsigned int i = 0; i < o->n_records; i++) {
		if (memcmp(data + i * TWIN_RECORD, record, TWIN_RECORD) != 0)
			twin_fail(t, "object %u reads \"%.15s\"", o->id, data + i * TWIN_RECORD);
	}
}

static void expect_attr(struct twin *t, const struct twin_object *o, const struct fuse_attr *attr)
{
	if (attr->ino != o->ino || S_ISDIR(attr->mode) != o->dir)
		twin_fail(t, "object %u is inode %llu, not %llu", o->id,
			(unsigned long long)attr->ino, (unsigned long long)o->ino);
	if (!o->dir && (attr->nlink != o->n_names || attr->size != o->n_records * TWIN_RECORD))
		twin_fail(t, "object %u: %u links, %llu bytes; not %u, %u", o->id, attr->nlink,
			(unsigned long long)attr->size, o->n_names, o->n_records * TWIN_RECORD);
}

/* ---- names ---- */

static const char *name_of(uint32_t name)
{
	static const char names[TWIN_NAMES][2] = {"a", "b", "c", "d", "e", "f"};

	return names[name];
}

static void look_up(struct twin *t, struct twin_object *dir, uint32_t name)
{
	struct fuse_entry_out out;
	int r = fc_lookup(t->q, dir->nodeid, name_of(name), &out);

	if (!dir->entry[name] && r == -ENOENT)
		return;
	if (!went(t, dir, r))
		return;
	twin_found(t, dir, name, out.nodeid, &out.attr);
	expect_attr(t, dir->entry[name], &out.attr);
}

struct listing {
	struct twin *t;
	struct twin_object *dir;
	uint32_t seen;
	bool plus;
};

static bool listed(void *ctx, const char *name, const struct fuse_dirent *dirent,
	const struct fuse_entry_out *entry)
{
	struct listing *l = ctx;
	uint32_t i = (uint32_t)(unsigned char)name[0] - 'a';

	if (name[0] == '.' || (l->dir == l->t->object[0] && strcmp(name, "churn") == 0)) {
		if (entry->nodeid && name[0] != '.')
			assert_int_equal(fc_forget(l->t->it->hp, entry->nodeid, 1), 0);
		return true;
	}
	if (i >= TWIN_NAMES || name[1] || !l->dir->entry[i])
		twin_fail(l->t, "\"%s\" is listed in object %u", name, l->dir->id);
	assert_int_equal(dirent->ino, l->dir->entry[i]->ino);
	l->seen |= 1u << i;
	if (entry->nodeid) {
		twin_found(l->t, l->dir, i, entry->nodeid, &entry->attr);
		expect_attr(l->t, l->dir->entry[i], &entry->attr);
	}
	return true;
}

static void list(struct twin *t, struct twin_object *dir, uint64_t fh)
{
	struct listing l = {.t = t, .dir = dir};
	bool plus = twin_random(t, 2);
	uint64_t offset = 0;
	uint32_t all = 0;
	int r;

	do {
		r = fc_readdir(t->q, dir->nodeid, fh, plus, 4096, &offset, listed, &l);
	} while (r > 0);
	assert_true(r == 0 || (r == -ENOENT && !dir->alive));
	for (uint32_t i = 0; i < TWIN_NAMES; i++)
		all |= dir->entry[i] ? 1u << i : 0;
	if (dir->alive)
		assert_int_equal(l.seen, all);
}

/* A directory that stays open is listed from its beginning again, whatever became of it. */
static void list_some(struct twin *t, struct twin_object *dir)
{
	struct fuse_open_out out = {.fh = dir->fh};
	int r = dir->open ? 0 : fc_opendir(t->q, dir->nodeid, &out);

	if (!went(t, dir, r))
		return;
	list(t, dir, out.fh);
	dir->open = twin_random(t, 2);
	dir->fh = out.fh;
	if (!dir->open)
		assert_int_equal(fc_releasedir(t->q, dir->nodeid, out.fh), 0);
}

/* A file that is closed again: nothing but its nodeid is left. */
static void create(struct twin *t, struct twin_object *dir, uint32_t name)
{
	char record[TWIN_RECORD + 1];
	struct fuse_entry_out entry;
	struct fuse_open_out open;
	int r;

	if (dir->entry[name])
		return;
	r = fc_create(t->q, dir->nodeid, name_of(name), O_RDWR, 0666, &entry, &open);
	if (!went(t, dir, r))
		return;
	if (!dir->alive)
		twin_fail(t, "a file was made in object %u, which is gone", dir->id);
	twin_made(t, dir, name, false);
	twin_record(record, dir->entry[name]->id);
	assert_int_equal(
		fc_write(t->q, entry.nodeid, open.fh, 0, record, TWIN_RECORD), TWIN_RECORD);
	assert_int_equal(fc_release(t->q, entry.nodeid, open.fh), 0);
	twin_found(t, dir, name, entry.nodeid, &entry.attr);
}

static void drop(struct twin *t, struct twin_object *o)
{
	if (o->open)
		assert_int_equal(o->dir ? fc_releasedir(t->q, o->nodeid, o->fh)
					: fc_release(t->q, o->nodeid, o->fh), 0);
	o->open = false;
	twin_forget(t, o);
}

static void unlink_it(struct twin *t, struct twin_object *dir, uint32_t name)
{
	struct twin_object *o = dir->entry[name];
	int r;

	if (!o || o->dir)
		return;
	r = fc_unlink(t->q, dir->nodeid, name_of(name));
	if (!went(t, dir, r))
		return;
	twin_unlinked(dir, name);
	/* Its fd is kept as long as it is remembered: not many of those. */
	if (!o->alive && o->nodeid && twin_random(t, 4))
		drop(t, o);
}

static void rename_it(struct twin *t, struct twin_object *dir, uint32_t name)
{
	struct twin_object *to = twin_pick(t, true, true), *o = dir->entry[name];
	uint32_t to_name = twin_random(t, TWIN_NAMES);
	int r;

	if (!o || to->entry[to_name] || twin_is_above(o, to))
		return;
	r = fc_rename(t->q, dir->nodeid, name_of(name), to->nodeid, name_of(to_name));
	if (!both_went(t, dir, to, r))
		return;
	twin_unlinked(dir, name);
	twin_linked(to, to_name, o);
	if (o->nodeid)
		o->place = NULL;
}

static void link_it(struct twin *t, struct twin_object *dir, uint32_t name)
{
	struct twin_object *o = twin_pick(t, false, true);
	struct fuse_entry_out out;
	int r;

	if (!o || dir->entry[name])
		return;
	r = fc_link(t->q, o->nodeid, dir->nodeid, name_of(name), &out);
	if (!both_went(t, o, dir, r))
		return;
	if (!o->alive || !dir->alive)
		twin_fail(t, "object %u, which is gone, has a name again", o->id);
	twin_linked(dir, name, o);
	twin_found(t, dir, name, out.nodeid, &out.attr);
}

static void use_name(struct twin *t)
{
	struct twin_object *dir = twin_pick(t, true, true);
	uint32_t name = twin_random(t, TWIN_NAMES);

	switch (twin_random(t, 9)) {
	case 0:
		list_some(t, dir);
		break;
	case 1:
	case 2:
		create(t, dir, name);
		break;
	case 3:
		unlink_it(t, dir, name);
		break;
	case 4:
		rename_it(t, dir, name);
		break;
	case 5:
		link_it(t, dir, name);
		break;
	default:
		look_up(t, dir, name);
	}
}

/* ---- nodeids and open files ---- */

static void get_attr(struct twin *t, struct twin_object *o)
{
	struct fuse_attr_out out;

	if (went(t, o, fc_getattr(t->q, o->nodeid, &out)))
		expect_attr(t, o, &out.attr);
}

static void truncate_it(struct twin *t, struct twin_object *o)
{
	struct fuse_setattr_in in = {.valid = FATTR_SIZE, .size = TWIN_RECORD};
	struct fuse_attr_out out;

	if (!went(t, o, fc_setattr(t->q, o->nodeid, &in, &out)))
		return;
	o->n_records = 1;
	expect_attr(t, o, &out.attr);
}

/* Works to the end, whatever the host does with the name. */
static void use_open(struct twin *t, struct twin_object *o, uint64_t fh)
{
	char record[TWIN_RECORD + 1], data[64 * TWIN_RECORD];
	struct fuse_attr_out out;

	expect_records(t, o, data, fc_read(t->q, o->nodeid, fh, 0, data, sizeof(data)));
	if (o->n_records < 60) {
		twin_record(record, o->id);
		assert_int_equal(fc_write(t->q, o->nodeid, fh, o->n_records * TWIN_RECORD, record,
					 TWIN_RECORD), TWIN_RECORD);
		o->n_records++;
	}
	assert_int_equal(fc_getattr(t->q, o->nodeid, &out), 0);
	expect_attr(t, o, &out.attr);
	assert_int_equal(fc_getattr_fh(t->q, o->nodeid, fh, &out), 0);
	expect_attr(t, o, &out.attr);
}

static void use_file(struct twin *t, struct twin_object *o)
{
	struct fuse_open_out out = {.fh = o->fh};
	unsigned int open = 0;

	for (unsigned int i = 0; i < t->n_objects; i++)
		open += t->object[i]->open;
	if (!o->open && !went(t, o, fc_open(t->q, o->nodeid, O_RDWR, &out)))
		return;
	use_open(t, o, out.fh);
	o->open = open < 12 && twin_random(t, 2);
	o->fh = out.fh;
	if (!o->open)
		assert_int_equal(fc_release(t->q, o->nodeid, out.fh), 0);
}

/* What is gone takes fds that cannot be had back as long as it is remembered. */
static void forget_gone(struct twin *t)
{
	for (unsigned int i = 1; i < t->n_objects; i++) {
		if (t->object[i]->nodeid && !t->object[i]->alive)
			drop(t, t->object[i]);
	}
}

void twin_guest(struct twin *t)
{
	struct twin_object *o = twin_pick(t, twin_random(t, 5) == 0, true);
	uint32_t kind = twin_random(t, 100);

	if (kind < 2) {
		twin_churn(t);
	} else if (kind < 3) {
		forget_gone(t);
	} else if (kind < 55 || !o) {
		use_name(t);
	} else if (kind < 60) {
		if (o != t->object[0])
			drop(t, o);
	} else if (o->dir || kind < 75) {
		get_attr(t, o);
	} else if (kind < 80) {
		truncate_it(t, o);
	} else {
		use_file(t, o);
	}
}
