/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lists of operations: from a seed, to text and back.
 *
 * The name space is small, so that operations meet: two names for directories, three more for
 * what ends a path, and both anywhere. A few names are nasty.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/oracle/oracle.h"

struct rng {
	uint64_t state;
};

static uint64_t next(struct rng *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static int below(struct rng *r, int n)
{
	return (int)(next(r) % (uint64_t)n);
}

#define PICK(r, table) ((table)[below(r, (int)(sizeof(table) / sizeof((table)[0])))])

static const char *const nasty[] = {"", ".", "..", "a/", "x/", "a/.", "a/..", "./x", "a//x",
	"@255", "a/@255", "@256", "@4095", "@4096", "a/../x", "/r/x", "/", "/r/a/y", "../x", "x/..",
	"a/b/.", "y/", "a/./b/../x", "b/@256", "@255/x", "...", " ", "a/b/c"};
static const char *const targets[] = {"x", "a", "b", "../x", "a/x", "y", "z", "/r/x", "..", ".",
	"nowhere", "", "x/", "@1000", "@4095", "@4096", "/r/a", "b/../x"};
static const char *const dirs[] = {"", "", "", "", "", "a/", "a/", "a/", "b/", "b/", "b/", "a/a/",
	"a/b/", "b/a/", "x/"};
static const char *const leaves[] = {"x", "x", "x", "x", "y", "y", "y", "y", "z", "z",
	"z", "z", "z", "z", "z", "a", "b"};
static const char *const directories[] = {"a", "a", "a", "b", "b", "b", "x", "c", "d", "e"};
static const char *const others[] = {"c", "d", "e", "f", "g", "h"};
static const char *const xattrs[] = {"user.one", "user.one", "user.one", "user.two", "user.three"};
static const char *const nasty_xattrs[] = {"user.", "trusted.one", "trusted.one", "one",
	"user.@240", "user.@255", "", "security.oracle", "system.oracle"};

/* fresh: a name that is more likely to be free. */
static void gen_path(struct rng *r, char *path, bool fresh)
{
	bool other = below(r, 10) < (fresh ? 5 : 1);
	int die = below(r, 20);

	if (die == 0)
		snprintf(path, OR_PATH, "%s", PICK(r, nasty));
	else if (die < 4 && !fresh)
		snprintf(path, OR_PATH, "x");
	else
		snprintf(path, OR_PATH, "%s%s", PICK(r, dirs),
			other ? PICK(r, others) : PICK(r, leaves));
}

static void gen_directory(struct rng *r, char *path)
{
	snprintf(path, OR_PATH, "%s%s", PICK(r, dirs), PICK(r, directories));
}

static void gen_xattr(struct rng *r, char *name)
{
	snprintf(name, OR_PATH, "%s", below(r, 6) ? PICK(r, xattrs) : PICK(r, nasty_xattrs));
}

static int64_t gen_mode(struct rng *r, bool create)
{
	static const int modes[] = {0777, 0777, 0777, 0777, 0777, 0777, 0755, 0755, 0770, 0700,
		0666, 0666, 0644, 0600, 0444,
		0, 0711, 02777, 02775, 04755, 06755, 01777, 01777, 02755, 02644, 04711, 07777};
	static const int creates[] = {0777, 0777, 0777, 0777, 0777, 0777, 0755, 0666, 0666, 0644,
		0600, 0700, 0444,
		02777, 04755, 01777, 0};

	return create ? PICK(r, creates) : PICK(r, modes);
}

/* Around pages and blocks; now and then far beyond. */
static int64_t gen_offset(struct rng *r)
{
	static const int64_t edges[] = {0, 0, 1, 511, 4095, 4096, 4097, 8192, 12288, 65536, 131071};
	static const int64_t far[] = {-1, 1 << 20, (1 << 30) + 1, (int64_t)1 << 43, INT64_MAX};

	int die = below(r, 40);

	if (die == 0)
		return PICK(r, far);
	return die < 20 ? PICK(r, edges) : below(r, 20000);
}

static int64_t gen_length(struct rng *r)
{
	static const int64_t edges[] = {0, 1, 2, 100, 512, 4095, 4096, 4097, 8192};

	int die = below(r, 40);

	if (die == 0)
		return OR_DATA;
	if (die < 3)
		return 4096 * below(r, 30);
	return die < 20 ? PICK(r, edges) : below(r, 9000);
}

static int64_t gen_id(struct rng *r)
{
	static const int64_t ids[] = {-1, -1, 0, 1001, 1001, 1002, 1003};

	return PICK(r, ids);
}

static int64_t gen_value_size(struct rng *r, bool buffer)
{
	static const int64_t values[] = {0, 1, 5, 5, 64, 300, 300, 2000, 5000};
	static const int64_t buffers[] = {0, 0, 4, 65536, 65536, 65536, 300, 1};

	return buffer ? PICK(r, buffers) : PICK(r, values);
}

/* The letters of a kind's `takes`. */
static const struct letter {
	char letter;
	char field; /* p path, q path2, s slot, t slot2, a, b, c */
	bool octal;
} letters[] = {
	{'p', 'p', false}, {'n', 'p', false}, {'d', 'p', false}, {'q', 'q', false},
	{'N', 'q', false},
	{'x', 'q', false}, {'y', 'q', false},
	{'s', 's', false}, {'t', 't', false},
	{'m', 'a', true}, {'M', 'a', true}, {'z', 'a', false}, {'l', 'a', false},
	{'u', 'a', false}, {'i', 'a', false}, {'v', 'a', false}, {'A', 'a', false},
	{'r', 'a', false}, {'w', 'a', false},
	{'o', 'b', false}, {'P', 'b', false}, {'g', 'b', false}, {'j', 'b', false},
	{'R', 'b', false},
	{'O', 'c', false}, {'V', 'c', false}, {'k', 'c', false},
};

static const struct letter *letter_of(char c)
{
	for (size_t i = 0; i < sizeof(letters) / sizeof(letters[0]); i++)
		if (letters[i].letter == c)
			return &letters[i];
	return NULL;
}

static void generate(struct rng *r, struct or_op *op, char letter)
{
	switch (letter) {
	case 'p': gen_path(r, op->path, false); break;
	case 'd': gen_directory(r, op->path); break;
	case 'n': gen_path(r, op->path, true); break;
	case 'q': gen_path(r, op->path2, false); break;
	case 'N': gen_path(r, op->path2, true); break;
	case 'x': gen_xattr(r, op->path2); break;
	case 'y': snprintf(op->path2, OR_PATH, "%s", PICK(r, targets)); break;
	case 's': op->slot = (uint8_t)below(r, OR_SLOTS); break;
	case 't': op->slot2 = (uint8_t)below(r, OR_SLOTS); break;
	case 'm': op->a = gen_mode(r, false); break;
	case 'M': op->a = gen_mode(r, true); break;
	case 'z': op->a = gen_offset(r); break;
	case 'l': op->a = gen_length(r); break;
	case 'o': op->b = gen_offset(r); break;
	case 'P':
		op->b = gen_offset(r);
		/* How far a file may reach is the file system's affair, and a client's alone. */
		if (op->b == INT64_MAX)
			op->b = 1 << 21;
		break;
	case 'O': op->c = gen_offset(r); break;
	case 'u': op->a = gen_id(r); break;
	case 'g': op->b = gen_id(r); break;
	case 'i': op->a = below(r, 7); break;
	case 'j': op->b = below(r, 7); break;
	case 'v': op->a = gen_value_size(r, false); break;
	case 'V': op->c = gen_value_size(r, true); break;
	case 'A': op->a = below(r, 8); break;
	case 'r': op->a = below(r, 20); break;
	case 'R': op->b = below(r, 8); break;
	case 'w': op->a = below(r, 8); break;
	case 'k': op->c = below(r, 6) ? below(r, 20) : 5000; break;
	default: break;
	}
}

bool or_in_list(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *at = list; at && (at = strstr(at, word)); at += n)
		if ((at == list || at[-1] == ',') && (at[n] == ',' || at[n] == '\0'))
			return true;
	return false;
}

static int weight(const struct or_options *o, const struct or_kind *kind)
{
	if (or_in_list(o->without, kind->group) || or_in_list(o->without, kind->name))
		return 0;
	if (o->only && !or_in_list(o->only, kind->group) && !or_in_list(o->only, kind->name))
		return 0;
	return o->fuse && or_known_left_out(kind) ? 0 : kind->weight;
}

static int kind_named(const char *name)
{
	for (int i = 0; i < or_n_kinds; i++)
		if (strcmp(or_kinds[i].name, name) == 0)
			return i;
	return -1;
}

/* The first operations of every list: a few directories that more than one process may use. */
static int begin(struct or_op *ops, int n)
{
	static const char *const paths[] = {"a", "b", "a/a", "a/b"};
	static const int modes[] = {0777, 01777, 02777, 0755};
	int done = 0;

	for (int i = 0; i < 4 && done + 2 <= n; i++) {
		ops[done].kind = (uint16_t)kind_named("mkdir");
		ops[done + 1].kind = (uint16_t)kind_named("chmod");
		for (int j = 0; j < 2; j++, done++) {
			snprintf(ops[done].path, OR_PATH, "%s", paths[i]);
			ops[done].a = j ? modes[i] : 0700;
		}
	}
	return done;
}

void or_generate(struct or_list *list, const struct or_options *o, uint64_t seed, int n)
{
	struct rng r = {seed};
	int total = 0;

	memset(list->ops, 0, (size_t)n * sizeof(list->ops[0]));
	list->n = n;
	for (int i = 0; i < or_n_kinds; i++)
		total += weight(o, &or_kinds[i]);
	for (int i = begin(list->ops, n); i < n; i++) {
		struct or_op *op = &list->ops[i];
		int at = below(&r, total ? total : 1), kind = 0;

		for (; kind < or_n_kinds - 1 && at >= weight(o, &or_kinds[kind]); kind++)
			at -= weight(o, &or_kinds[kind]);
		op->kind = (uint16_t)kind;
		op->who = (uint8_t)below(&r, OR_WHO);
		for (const char *c = or_kinds[kind].takes; *c; c++)
			generate(&r, op, *c);
	}
	for (int i = 0; i < n; i++)
		list->ops[i].seq = (uint32_t)i;
}

/* ---- text ---- */

void or_print_op(FILE *to, const struct or_op *op)
{
	const struct or_kind *kind = &or_kinds[op->kind];

	fprintf(to, "%u w%u %s", op->seq, op->who, kind->name);
	for (const char *c = kind->takes; *c; c++) {
		const struct letter *l = letter_of(*c);

		switch (l->field) {
		case 'p': fprintf(to, " %c=\"%s\"", *c, op->path); break;
		case 'q': fprintf(to, " %c=\"%s\"", *c, op->path2); break;
		case 's': fprintf(to, " %c=%u", *c, op->slot); break;
		case 't': fprintf(to, " %c=%u", *c, op->slot2); break;
		case 'b': fprintf(to, " %c=%lld", *c, (long long)op->b); break;
		case 'c': fprintf(to, " %c=%lld", *c, (long long)op->c); break;
		default:
			fprintf(to, l->octal ? " %c=0%llo" : " %c=%lld", *c, (long long)op->a);
		}
	}
	fputc('\n', to);
}

static bool parse_value(struct or_op *op, char letter, const char *value)
{
	const struct letter *l = letter_of(letter);
	char *path = l && l->field == 'p' ? op->path : op->path2;
	const char *end;

	if (!l)
		return false;
	switch (l->field) {
	case 'p':
	case 'q':
		end = *value == '"' ? strchr(value + 1, '"') : NULL;
		if (!end || end - value > OR_PATH)
			return false;
		memcpy(path, value + 1, (size_t)(end - value - 1));
		path[end - value - 1] = '\0';
		return true;
	case 's': op->slot = (uint8_t)strtoul(value, NULL, 0) % OR_SLOTS; return true;
	case 't': op->slot2 = (uint8_t)strtoul(value, NULL, 0) % OR_SLOTS; return true;
	case 'b': op->b = strtoll(value, NULL, 0); return true;
	case 'c': op->c = strtoll(value, NULL, 0); return true;
	default: op->a = strtoll(value, NULL, 0); return true;
	}
}

static bool parse(struct or_op *op, const char *line)
{
	unsigned int who;
	char name[64];
	int at, kind;

	if (sscanf(line, "%u w%u %63s%n", &op->seq, &who, name, &at) != 3 || who >= OR_WHO)
		return false;
	kind = kind_named(name);
	if (kind < 0)
		return false;
	op->kind = (uint16_t)kind;
	op->who = (uint8_t)who;
	for (const char *c = or_kinds[kind].takes; *c; c++) {
		char key[4] = {' ', *c, '=', '\0'};
		const char *value = strstr(line + at, key);

		if (!value || !parse_value(op, *c, value + 3))
			return false;
	}
	return true;
}

/* Reads what or_print_op wrote; other lines are comments. */
int or_read_list(struct or_list *list, const char *file)
{
	FILE *from = strcmp(file, "-") ? fopen(file, "r") : stdin;
	char line[512];

	*list = (struct or_list){0};
	if (!from)
		return -errno;
	while (fgets(line, sizeof(line), from)) {
		if (!strchr("0123456789", line[0]))
			continue;
		list->ops = realloc(list->ops, (size_t)(list->n + 1) * sizeof(list->ops[0]));
		memset(&list->ops[list->n], 0, sizeof(list->ops[0]));
		if (!parse(&list->ops[list->n++], line)) {
			fprintf(stderr, "oracle: cannot read: %s", line);
			fclose(from);
			return -EINVAL;
		}
	}
	fclose(from);
	return 0;
}

const char *or_path(const char *written, char *room)
{
	const char *at = strchr(written, '@');
	size_t head, n;
	char *rest;

	if (!at)
		return written;
	head = (size_t)(at - written);
	n = strtoul(at + 1, &rest, 10);
	memcpy(room, written, head);
	for (size_t i = 0; i < n; i++) /* "@4095" is long in all, not one long name */
		room[head + i] = n > 1000 && i % 100 == 99 ? '/' : 'n';
	snprintf(room + head + n, OR_LONG - head - n, "%s", rest);
	return room;
}
