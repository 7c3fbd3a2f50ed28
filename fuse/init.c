/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * FUSE_INIT.
 *
 * Each INIT starts a session, and so ends the one before: a guest that reboots sends no DESTROY.
 * libfuse has to see an INIT before it takes anything else, so it gets one in which only what we
 * carry is offered, and its reply is read off the pair. What the guest gets is ours: libfuse's
 * version decides neither the flags nor the sizes.
 */
#include "fuse/init.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "fuse/core.h"
#include "fuse/dax.h"
#include "fuse/inode.h"
#include "fuse/reply.h"
#include "fuse/session.h"
#include "fuse/slot.h"
#include "fuse/wire.h"
#include "fuse/xattrmap.h"
#include "vhostuser/checked.h"
#include "vhostuser/log.h"

static_assert(FUSE_KERNEL_VERSION == 7, "the protocol that we speak");
static_assert(FUSE_KERNEL_MINOR_VERSION >= FS_MINOR_MAX, "a header that knows what we speak");
WIRE_SIZE(struct fuse_init_in, 64);
WIRE_SIZE(struct fuse_init_out, 64);

/* Asynchronous requests that a guest may have under way, and where it calls that congested. */
#define MAX_BACKGROUND       UINT16_MAX
#define CONGESTION_THRESHOLD (UINT16_MAX / 4 * 3)

/* The exponent of DAX_ALIGN; and one that makes a guest give up its mount. */
#define MAP_ALIGNMENT      12
#define MAP_ALIGNMENT_NONE 63
static_assert(DAX_ALIGN == 1u << MAP_ALIGNMENT, "what the window takes");

/* What a guest speaks that knows only major and minor. */
#define INIT_IN_SHORT (2 * sizeof(uint32_t))
/* And up to 7.35, without flags2. */
#define INIT_IN_7_35 (4 * sizeof(uint32_t))

static bool with_readdirplus(const struct fs_config *config)
{
	/* Attributes that are asked for again at once are not worth fetching with the names. */
	if (config->features.readdirplus == FS_READDIRPLUS_AUTO)
		return config->cache != FS_CACHE_NEVER;
	return config->features.readdirplus == FS_READDIRPLUS_ON;
}

static bool with_killpriv(const struct fs_config *config)
{
	/* What is kept in attributes of other names, the host does not clear. */
	return config->features.killpriv_v2 && !config->owner_xattr &&
	       fs_xattrmap_keeps(config->xattrmap, "security.capability");
}

static bool with_writeback(const struct fs_config *config)
{
	/* Where data is not cached, nothing is written back; and sizes are the host's. */
	return config->features.writeback &&
	       (config->cache == FS_CACHE_AUTO || config->cache == FS_CACHE_ALWAYS);
}

static bool with_direct_mmap(const struct fs_config *config)
{
	return config->features.direct_mmap;
}

static bool with_submounts(const struct fs_config *config)
{
	return config->features.submounts;
}

static bool with_idmap(const struct fs_config *config)
{
	/* Setting an ACL costs the setgid bit unless the caller's group is the file's. */
	return !config->ids && !config->owner_xattr && config->posix_acl == FS_OFFER_NEVER;
}

static bool with_posix_locks(const struct fs_config *config)
{
	return config->posix_lock;
}

static bool with_flock(const struct fs_config *config)
{
	return config->flock;
}

/* Together or not at all. */
#define ACL_FLAGS (FUSE_POSIX_ACL | FUSE_DONT_MASK | FUSE_SETXATTR_EXT)

static bool with_posix_acl(const struct fs_config *config)
{
	return config->posix_acl != FS_OFFER_NEVER;
}

static bool with_security_label(const struct fs_config *config)
{
	return config->security_label != FS_OFFER_NEVER;
}

/*
 * The flags that we carry, each only when the guest offers it. One that is not here is not agreed
 * on: no passthrough.
 */
static const struct init_flag {
	uint64_t flag;
	bool (*when)(const struct fs_config *config); /* NULL: always */
} init_flags[] = {
	{FUSE_ASYNC_READ, NULL},
	{FUSE_ATOMIC_O_TRUNC, NULL}, /* OPEN truncates: one request, and no race with a writer */
	{FUSE_BIG_WRITES, NULL},
	{FUSE_AUTO_INVAL_DATA, NULL}, /* the host changes files too */
	{FUSE_DO_READDIRPLUS, with_readdirplus},
	{FUSE_READDIRPLUS_AUTO, with_readdirplus},
	{FUSE_ASYNC_DIO, NULL},
	{FUSE_WRITEBACK_CACHE, with_writeback},
	{FUSE_DIRECT_IO_ALLOW_MMAP, with_direct_mmap},
	{FUSE_PARALLEL_DIROPS, NULL},
	{FUSE_MAX_PAGES, NULL},
	{FUSE_HANDLE_KILLPRIV, with_killpriv},
	{FUSE_HANDLE_KILLPRIV_V2, with_killpriv},
	{FUSE_SUBMOUNTS, with_submounts},
	{FUSE_CREATE_SUPP_GROUP, NULL},
	{FUSE_ALLOW_IDMAP, with_idmap}, /* only creations have a caller then, others -1 */
	{FUSE_INIT_EXT, NULL},
	{FUSE_POSIX_LOCKS, with_posix_locks},
	{FUSE_FLOCK_LOCKS, with_flock},
	{FUSE_MAP_ALIGNMENT, fs_dax_usable},
	{FUSE_HAS_INODE_DAX, fs_dax_usable},
	{FUSE_POSIX_ACL, with_posix_acl},
	{FUSE_DONT_MASK, with_posix_acl},    /* a default ACL replaces the umask: place.h */
	{FUSE_SETXATTR_EXT, with_posix_acl}, /* a changed ACL may cost the setgid bit */
	{FUSE_SECURITY_CTX, with_security_label},
};

uint64_t fs_init_agree(const struct fs_config *config, uint64_t offered)
{
	uint64_t agreed = 0;

	for (size_t i = 0; i < ARRAY_SIZE(init_flags); i++)
		if (!init_flags[i].when || init_flags[i].when(config))
			agreed |= init_flags[i].flag & offered;
	if ((agreed & ACL_FLAGS) != ACL_FLAGS)
		agreed &= ~(uint64_t)ACL_FLAGS;
	/* One of them: the second says which callers are meant. */
	if (agreed & FUSE_HANDLE_KILLPRIV_V2)
		agreed &= ~(uint64_t)FUSE_HANDLE_KILLPRIV;
	return agreed;
}

/* What is insisted on, and the guest does not have. */
static int check_insisted(const struct fs_config *config, uint64_t agreed)
{
	const char *lacks = NULL;

	if (config->posix_acl == FS_OFFER_ALWAYS && !(agreed & FUSE_POSIX_ACL))
		lacks = "ACLs (--posix-acl)";
	else if (config->security_label == FS_OFFER_ALWAYS && !(agreed & FUSE_SECURITY_CTX))
		lacks = "security labels (--security-label)";
	if (!lacks)
		return 0;
	log_guest("fuse", "a guest is refused, since its kernel does not know %s", lacks);
	return -EPROTO;
}

static uint64_t offered_flags(const struct fuse_init_in *in)
{
	uint64_t flags = in->flags;

	if (flags & FUSE_INIT_EXT)
		flags |= (uint64_t)in->flags2 << 32;
	return flags;
}

struct fuse_init_out fs_init_answer(const struct fuse_init_in *in, uint64_t agreed)
{
	uint32_t page = (uint32_t)sysconf(_SC_PAGESIZE);

	return (struct fuse_init_out){
		.major = FUSE_KERNEL_VERSION,
		.minor = MIN(in->minor, FS_MINOR_MAX),
		.max_readahead = in->max_readahead,
		.flags = (uint32_t)agreed,
		.flags2 = agreed & FUSE_INIT_EXT ? (uint32_t)(agreed >> 32) : 0,
		.max_background = MAX_BACKGROUND,
		.congestion_threshold = CONGESTION_THRESHOLD,
		.max_write = FS_MAX_WRITE,
		.time_gran = 1,
		.max_pages = (uint16_t)(agreed & FUSE_MAX_PAGES ? FS_MAX_WRITE / page : 0),
		.map_alignment = (uint16_t)(agreed & FUSE_MAP_ALIGNMENT ? MAP_ALIGNMENT : 0),
	};
}

/*
 * A guest that is mounted dax=always offers MAP_ALIGNMENT alone, and then maps every file whatever
 * the attributes say; there is no way to have it read by FUSE instead. Where mappings cannot be
 * made it is better refused than given errors for every read: an alignment that no guest can keep
 * ends its mount.
 */
static void refuse_always(const struct fs_config *config, uint64_t offered, uint64_t agreed,
	struct fuse_init_out *out)
{
	if (!config->window || agreed & FUSE_MAP_ALIGNMENT || !(offered & FUSE_MAP_ALIGNMENT) ||
		offered & FUSE_HAS_INODE_DAX)
		return;
	log_guest("dax", "a guest that maps every file (dax=always) cannot be served: %s",
		fs_dax_why_not(config));
	out->flags |= FUSE_MAP_ALIGNMENT;
	out->map_alignment = MAP_ALIGNMENT_NONE;
}

/* Takes the session through libfuse's INIT, with our flags only. */
static int libfuse_init(struct fs_slot *slot, struct fs_session *session,
	const struct fuse_init_in *in, uint64_t agreed)
{
	struct {
		struct fuse_in_header header;
		struct fuse_init_in in;
	} request = {.header = slot->header, .in = *in};
	struct fuse_buf buf = {.mem = &request, .size = sizeof(request)};
	struct {
		struct fuse_out_header header;
		struct fuse_init_out out;
	} reply = {0};
	ssize_t n;

	request.header.len = sizeof(request);
	request.header.unique = slot->index + 1;
	request.header.pid = slot->index + 1;
	request.in.flags = (uint32_t)agreed;
	request.in.flags2 = (uint32_t)(agreed >> 32);
	memset(request.in.unused, 0, sizeof(request.in.unused));
	fuse_session_process_buf(session->se, &buf);

	n = fs_session_receive(session, &reply, sizeof(reply));
	if (n < (ssize_t)sizeof(reply.header) || reply.header.unique != slot->index + 1)
		return -EIO;
	if (reply.header.error != 0)
		return reply.header.error;
	if (n < (ssize_t)(sizeof(reply.header) + INIT_IN_SHORT) ||
		reply.out.major != FUSE_KERNEL_VERSION)
		return -EIO;
	return 0;
}

/* A guest can mount and unmount in a loop, so this line has a limit. */
static void log_session(const struct fs_session *session)
{
	static struct vu_log_site site;

	if (atomic_load_explicit(&vu_log_level, memory_order_relaxed) >= LOG_LEVEL_INFO &&
		vu_log_site_open(&site, "fuse"))
		log_info("fuse", "session %" PRIu64 ": FUSE 7.%" PRIu32 ", flags %#" PRIx64,
			session->epoch, session->minor, session->init_flags);
}

/* Makes the session that both sides agreed on; it is the live one when this returns 0. */
static int start(struct fs_slot *slot, uint64_t epoch, const struct fuse_init_in *in,
	struct fuse_init_out *out)
{
	struct fs *fs = slot->fs;
	uint64_t offered = offered_flags(in);
	uint64_t agreed = fs_init_agree(&fs->config, offered);
	struct fs_session *session;
	int r;

	r = check_insisted(&fs->config, agreed);
	if (r == 0)
		r = fs_session_new(fs, epoch, &session);
	if (r < 0)
		return r;
	slot->session = session;
	r = libfuse_init(slot, session, in, agreed);
	if (r < 0) {
		log_guest("fuse", "libfuse refused INIT: %s", strerror(-r));
		return r;
	}
	*out = fs_init_answer(in, agreed);
	refuse_always(&fs->config, offered, agreed, out);
	session->init_flags = agreed;
	session->tree->submounts = agreed & FUSE_SUBMOUNTS;
	session->tree->dax_flags = agreed & FUSE_HAS_INODE_DAX;
	session->minor = out->minor;
	fs_publish(fs, session);
	log_session(session);
	return 0;
}

/* Room for the answer: a guest of 7.31 or later has it, whatever it thinks of our minor. */
static bool has_room(const struct fs_slot *slot, size_t size)
{
	return fs_slot_reply_room(slot).left >= size;
}

void fs_init_run(struct fs_slot *slot)
{
	size_t len = slot->copy_len - sizeof(struct fuse_in_header);
	uint64_t epoch = fs_epoch_next(slot->fs, true);
	struct fuse_init_in in = {0};
	struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION, .minor = FS_MINOR_MAX};
	int r = 0;

	fs_dax_end(&slot->fs->config);
	memcpy(&in, fs_slot_args(slot), len);
	if (in.major > FUSE_KERNEL_VERSION) {
		/* The guest is to come again with what we speak. */
		fs_reply_data(slot, &out, MIN(sizeof(out), fs_slot_reply_room(slot).left));
		return;
	}
	if (in.major < FUSE_KERNEL_VERSION || in.minor < FS_MINOR_MIN) {
		log_guest("fuse", "the guest speaks FUSE %" PRIu32 ".%" PRIu32 ", we need 7.%d",
			in.major, in.minor, FS_MINOR_MIN);
		r = -EPROTO;
	} else if (len < INIT_IN_7_35 || !has_room(slot, sizeof(out))) {
		r = -EINVAL;
	} else {
		r = start(slot, epoch, &in, &out);
	}
	if (r < 0)
		fs_reply_err(slot, r);
	else
		fs_reply_data(slot, &out, sizeof(out));
}
