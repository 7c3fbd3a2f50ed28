/* SPDX-License-Identifier: BSD-3-Clause */
/* The model of a share that changes from both sides, and the host's steps. */
#include "tests/integration/replaced.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

uint32_t twin_random(struct twin *t, uint32_t below)
{
	t->random = t->random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(t->random >> 33) % below;
}

void twin_record(char record[TWIN_RECORD + 1], uint32_t id)
{
	snprintf(record, TWIN_RECORD + 1, "object %08u", id % 100000000);
	record[TWIN_RECORD - 1] = '\n';
	record[TWIN_RECORD] = '\0';
}

bool twin_is_above(const struct twin_object *above, const struct twin_object *o)
{
	for (; o; o = o->parent) {
		if (o == above)
			return true;
	}
	return false;
}

static void path_of(const struct twin_object *dir, char *path, size_t size)
{
	uint32_t name = 0;

	if (!dir->parent)
		return;
	path_of(dir->parent, path, size);
	while (dir->parent->entry[name] != dir)
		name++;
	snprintf(path + strlen(path), size - strlen(path), "/%c", 'a' + (int)name);
}

const char *twin_path(const struct twin *t, const struct twin_object *dir, uint32_t name)
{
	static char paths[4][256];
	static unsigned int next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s", t->it->be.share);
	path_of(dir, path, sizeof(paths[0]));
	snprintf(path + strlen(path), sizeof(paths[0]) - strlen(path), "/%c", 'a' + (int)name);
	return path;
}

/* ---- what the model is told of ---- */

static struct twin_object *new_object(struct twin *t, bool is_dir, uint64_t ino)
{
	struct twin_object *o = calloc(1, sizeof(*o));

	assert_non_null(o);
	assert_true(t->n_objects < TWIN_OBJECTS);
	for (unsigned int i = 0; i < t->n_objects; i++)
		t->met += !t->object[i]->alive && t->object[i]->nodeid && t->object[i]->ino == ino;
	o->id = t->n_objects;
	o->dir = is_dir;
	o->alive = true;
	o->ino = ino;
	t->object[t->n_objects++] = o;
	return o;
}

void twin_linked(struct twin_object *dir, uint32_t name, struct twin_object *o)
{
	dir->entry[name] = o;
	o->alive = true;
	o->n_names++;
	if (o->dir)
		o->parent = dir;
}

void twin_unlinked(struct twin_object *dir, uint32_t name)
{
	struct twin_object *o = dir->entry[name];

	dir->entry[name] = NULL;
	o->n_names--;
	o->alive = o->n_names > 0;
}

struct twin_object *twin_made(struct twin *t, struct twin_object *dir, uint32_t name, bool is_dir)
{
	struct twin_object *o;
	struct stat st;

	assert_int_equal(lstat(twin_path(t, dir, name), &st), 0);
	assert_int_equal(S_ISDIR(st.st_mode), is_dir);
	o = new_object(t, is_dir, st.st_ino);
	o->n_records = is_dir ? 0 : 1;
	twin_linked(dir, name, o);
	return o;
}

/* As far as the guest's lookups tell: a place that would make a circle is not remembered. */
static bool place_is_above(const struct twin_object *above, const struct twin_object *o)
{
	for (unsigned int i = 0; o && i < TWIN_OBJECTS; i++, o = o->place) {
		if (o == above)
			return true;
	}
	return false;
}

void twin_found(struct twin *t, struct twin_object *dir, uint32_t name, uint64_t nodeid,
	const struct fuse_attr *attr)
{
	struct twin_object *o = dir->entry[name];

	if (!o)
		twin_fail(t, "a name that is none was found: inode %llu",
			(unsigned long long)attr->ino);
	if (attr->ino != o->ino)
		twin_fail(t, "found inode %llu, not %llu", (unsigned long long)attr->ino,
			(unsigned long long)o->ino);
	for (unsigned int i = 0; i < t->n_objects; i++) {
		if (t->object[i] != o && t->object[i]->nodeid == nodeid)
			twin_fail(t, "object %u has the nodeid of object %u, %s", o->id, i,
				t->object[i]->alive ? "which lives" : "which is gone");
	}
	if (o->nodeid && o->nodeid != nodeid)
		twin_fail(t, "object %u has a second nodeid", o->id);
	o->nodeid = nodeid;
	o->lookups++;
	if (!o->dir || !place_is_above(o, dir)) {
		o->place = dir;
		o->place_name = name;
	}
}

void twin_forget(struct twin *t, struct twin_object *o)
{
	assert_int_equal(fc_forget(t->it->hp, o->nodeid, o->lookups), 0);
	o->nodeid = o->lookups = 0;
}

struct twin_object *twin_pick(struct twin *t, bool dir, bool held)
{
	for (unsigned int i = 0; i < 40; i++) {
		/* Younger ones rather. */
		uint32_t span = i < 20 && t->n_objects > 60 ? 60 : t->n_objects;
		struct twin_object *o =
			t->object[t->n_objects - 1 - twin_random(t, span)];

		if (o->dir == dir && (held ? o->nodeid != 0 : o->alive))
			return o;
	}
	return dir ? t->object[0] : NULL;
}

/* ---- the host's steps ---- */

static uint32_t depth(const struct twin_object *dir)
{
	return dir->parent ? 1 + depth(dir->parent) : 0;
}

/* In place of a name that is free. */
static void host_make(struct twin *t, struct twin_object *dir, uint32_t name, bool is_dir)
{
	const char *path = twin_path(t, dir, name);
	char record[TWIN_RECORD + 1];
	struct stat st;
	int fd;

	if (is_dir) {
		assert_int_equal(mkdir(path, 0777), 0);
		assert_int_equal(chmod(path, 0777), 0);
	} else {
		twin_record(record, t->n_objects);
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
		assert_true(fd >= 0);
		assert_int_equal(fchmod(fd, 0666), 0);
		assert_int_equal(write(fd, record, TWIN_RECORD), TWIN_RECORD);
		close(fd);
	}
	assert_int_equal(stat(t->it->be.share, &st), 0);
	assert_int_equal(lchown(path, st.st_uid, st.st_gid), 0);
	twin_made(t, dir, name, is_dir);
}

static void host_remove(struct twin *t, struct twin_object *dir, uint32_t name)
{
	struct twin_object *o = dir->entry[name];

	for (uint32_t i = 0; o->dir && i < TWIN_NAMES; i++) {
		if (o->entry[i])
			host_remove(t, o, i);
	}
	if (o->dir)
		assert_int_equal(rmdir(twin_path(t, dir, name)), 0);
	else
		assert_int_equal(unlink(twin_path(t, dir, name)), 0);
	twin_unlinked(dir, name);
}

static void host_exchange(struct twin *t, struct twin_object *dir, uint32_t name,
	struct twin_object *to, uint32_t to_name)
{
	struct twin_object *a = dir->entry[name], *b = to->entry[to_name];

	if (twin_is_above(a, to) || twin_is_above(b, dir))
		return;
	assert_int_equal(renameat2(AT_FDCWD, twin_path(t, dir, name), AT_FDCWD,
				 twin_path(t, to, to_name), RENAME_EXCHANGE), 0);
	dir->entry[name] = b;
	to->entry[to_name] = a;
	if (a->dir)
		a->parent = to;
	if (b->dir)
		b->parent = dir;
}

/* A file over a file replaces it; what else is there changes places. */
static void host_rename(struct twin *t, struct twin_object *dir, uint32_t name)
{
	struct twin_object *to = twin_pick(t, true, false), *o = dir->entry[name], *there;
	uint32_t to_name = twin_random(t, TWIN_NAMES);

	there = to->entry[to_name];
	if (there == o || twin_is_above(o, to) || depth(to) > 4)
		return;
	if (there && (there->dir || o->dir)) {
		host_exchange(t, dir, name, to, to_name);
		return;
	}
	assert_int_equal(rename(twin_path(t, dir, name), twin_path(t, to, to_name)), 0);
	if (there)
		twin_unlinked(to, to_name);
	twin_unlinked(dir, name);
	twin_linked(to, to_name, o);
}

static void host_link(struct twin *t, struct twin_object *dir, uint32_t name)
{
	struct twin_object *to = twin_pick(t, true, false);
	uint32_t to_name = twin_random(t, TWIN_NAMES);

	if (to->entry[to_name] || dir->entry[name]->dir)
		return;
	assert_int_equal(link(twin_path(t, dir, name), twin_path(t, to, to_name)), 0);
	twin_linked(to, to_name, dir->entry[name]);
}

void twin_host(struct twin *t)
{
	struct twin_object *dir = twin_pick(t, true, false), *o;
	uint32_t name = twin_random(t, TWIN_NAMES), kind = twin_random(t, 10);
	bool is_dir;

	o = dir->entry[name];
	if (!o) {
		host_make(t, dir, name, depth(dir) < 4 && twin_random(t, 3) == 0);
	} else if (kind < 4) {
		/* At once: many file systems give the same inode number again. */
		is_dir = twin_random(t, 5) == 0 ? !o->dir : o->dir;
		host_remove(t, dir, name);
		host_make(t, dir, name, is_dir && depth(dir) < 4);
	} else if (kind < 5) {
		host_remove(t, dir, name);
	} else if (kind < 9) {
		host_rename(t, dir, name);
	} else {
		host_link(t, dir, name);
	}
}

/* ---- the whole ---- */

static void check_file(struct twin *t, struct twin_object *dir, uint32_t name)
{
	const struct twin_object *o = dir->entry[name];
	int fd = open(twin_path(t, dir, name), O_RDONLY | O_CLOEXEC);
	char record[TWIN_RECORD + 1], got[TWIN_RECORD];
	struct stat st;

	assert_true(fd >= 0);
	twin_record(record, o->id);
	assert_int_equal(fstat(fd, &st), 0);
	if (st.st_ino != o->ino || st.st_size != (off_t)(o->n_records * TWIN_RECORD))
		twin_fail(t, "object %u has %lld bytes, not %u", o->id, (long long)st.st_size,
			o->n_records * TWIN_RECORD);
	while (read(fd, got, TWIN_RECORD) > 0)
		assert_memory_equal(got, record, TWIN_RECORD);
	close(fd);
}

void twin_check(struct twin *t)
{
	for (unsigned int i = 0; i < t->n_objects; i++) {
		struct twin_object *dir = t->object[i];

		for (uint32_t name = 0; dir->dir && dir->alive && name < TWIN_NAMES; name++) {
			if (dir->entry[name] && !dir->entry[name]->dir)
				check_file(t, dir, name);
		}
	}
}

void twin_churn(struct twin *t)
{
	struct fuse_attr_out out;

	for (unsigned int i = 0; i < TWIN_CHURN; i++)
		assert_int_equal(fc_getattr(t->q, t->churn[i], &out), 0);
}

static void plant_churn(struct twin *t)
{
	struct fuse_entry_out dir, out;
	char name[32];

	assert_int_equal(mkdir(it_path(t->it, "churn"), 0777), 0);
	if (t->q)
		assert_int_equal(fc_lookup(t->q, FUSE_ROOT_ID, "churn", &dir), 0);
	for (unsigned int i = 0; i < TWIN_CHURN; i++) {
		snprintf(name, sizeof(name), "churn/%u", i);
		it_file(t->it, name, "");
		if (!t->q)
			continue;
		snprintf(name, sizeof(name), "%u", i);
		assert_int_equal(fc_lookup(t->q, dir.nodeid, name, &out), 0);
		t->churn[i] = out.nodeid;
	}
}

struct twin *twin_new(struct it *it, uint64_t seed, bool handles)
{
	struct twin *t = calloc(1, sizeof(*t));
	struct twin_object *root;
	struct stat st;

	assert_non_null(t);
	*t = (struct twin){.it = it, .q = it->q, .random = seed, .handles = handles};
	assert_int_equal(stat(it->be.share, &st), 0);
	root = new_object(t, true, st.st_ino);
	root->nodeid = FUSE_ROOT_ID;
	root->n_names = 1;
	plant_churn(t);
	return t;
}

void twin_free(struct twin *t)
{
	for (unsigned int i = 0; i < t->n_objects; i++)
		free(t->object[i]);
	free(t);
}
