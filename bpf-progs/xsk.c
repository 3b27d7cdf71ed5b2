// SPDX-License-Identifier: GPL-2.0-only
/*
 * An AF_XDP socket on a device's first queue, which sends back each frame that
 * it gets:
 *
 *	xsk DEVICE copy|stamped|zerocopy MAP
 *
 * MAP is the path in bpffs of an xskmap, whose first entry it becomes. Returns
 * when that is done; the socket lives on in the background. Behind the first
 * frame it writes to /run/xsk by which NAPI that came (SO_INCOMING_NAPI_ID).
 * stamped: copy, where it wants to know of each frame when it was sent; what it
 * is told of the first is in /run/xsk-sent, in nanoseconds.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BUFFERS 64
#define BUFFER_SIZE 4096
#define TX_METADATA_LEN 16
#define RING_SIZE BUFFERS	/* so that none is ever full; a power of 2 */

/* Of linux/if_xdp.h since 6.8; the host's may be older */
#define UMEM_TX_METADATA_LEN (1 << 2)
#define TX_TIMESTAMP (1ULL << 0)
#define TX_METADATA (1 << 1)

struct umem_reg {
	__u64 addr;
	__u64 len;
	__u32 chunk_size;
	__u32 headroom;
	__u32 flags;
	__u32 tx_metadata_len;
};

struct ring {
	__u32 *producer;
	__u32 *consumer;
	void *entries;
};

static int checked(const char *what, int ret)
{
	if (ret < 0) {
		fprintf(stderr, "xsk: %s: %s\n", what, strerror(errno));
		exit(1);
	}
	return ret;
}

static void *mapped(const char *what, size_t size, int flags, int fd, off_t at)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    flags | MAP_POPULATE, fd, at);

	checked(what, memory == MAP_FAILED ? -1 : 0);
	return memory;
}

static void set(int fd, int option, const void *value, size_t size)
{
	checked("setsockopt", setsockopt(fd, SOL_XDP, option, value, size));
}

static struct ring map_ring(int fd, const struct xdp_ring_offset *offset, off_t at)
{
	/* Completion and fill rings have smaller entries. */
	size_t size = offset->desc + RING_SIZE * sizeof(struct xdp_desc);
	void *memory = mapped("ring", size, MAP_SHARED, fd, at);

	return (struct ring) {
		.producer = memory + offset->producer,
		.consumer = memory + offset->consumer,
		.entries = memory + offset->desc,
	};
}

/* The index of the next entry to write. The entry is not there before publish(). */
static __u32 next_in(const struct ring *ring)
{
	return *ring->producer & (RING_SIZE - 1);
}

static void publish(const struct ring *ring)
{
	__atomic_store_n(ring->producer, *ring->producer + 1, __ATOMIC_RELEASE);
}

static int has_next(const struct ring *ring, __u32 *index)
{
	*index = *ring->consumer & (RING_SIZE - 1);
	return __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE) != *ring->consumer;
}

static void release(const struct ring *ring)
{
	__atomic_store_n(ring->consumer, *ring->consumer + 1, __ATOMIC_RELEASE);
}

static void fill(const struct ring *ring, __u64 address)
{
	((__u64 *)ring->entries)[next_in(ring)] = address & ~(BUFFER_SIZE - 1ULL);
	publish(ring);
}

static void tell(const char *path, __u64 number)
{
	FILE *file = fopen(path, "w");

	if (!file)
		exit(1);
	fprintf(file, "%llu\n", number);
	fclose(file);
}

static void tell_napi(int fd)
{
	unsigned int id;
	socklen_t size = sizeof(id);

	if (getsockopt(fd, SOL_SOCKET, SO_INCOMING_NAPI_ID, &id, &size))
		exit(1);
	tell("/run/xsk", id);
}

/* In front of the frame, where the headroom of what came is */
static void want_timestamp(void *memory, struct xdp_desc *desc)
{
	__u64 *metadata = memory + desc->addr - TX_METADATA_LEN;

	metadata[0] = TX_TIMESTAMP;
	metadata[1] = 0;
	desc->options |= TX_METADATA;
}

static __u64 timestamp(void *memory, __u64 address)
{
	return ((__u64 *)(memory + address - TX_METADATA_LEN))[1];
}

static void send_back(int fd, void *stamped, const struct ring *rx,
		      const struct ring *tx, const struct ring *sent,
		      const struct ring *free)
{
	struct pollfd socket = { .fd = fd, .events = POLLIN };
	struct xdp_desc desc;
	int told = 0, told_sent = 0;
	__u64 address;
	__u32 index;

	for (;;) {
		/* What was sent is seen only by asking. */
		poll(&socket, 1, 1);
		while (has_next(rx, &index)) {
			if (!told++)
				tell_napi(fd);
			desc = ((struct xdp_desc *)rx->entries)[index];
			if (stamped)
				want_timestamp(stamped, &desc);
			((struct xdp_desc *)tx->entries)[next_in(tx)] = desc;
			publish(tx);
			release(rx);
		}
		sendto(fd, NULL, 0, MSG_DONTWAIT, NULL, 0);
		while (has_next(sent, &index)) {
			address = ((__u64 *)sent->entries)[index];
			if (stamped && !told_sent++)
				tell("/run/xsk-sent", timestamp(stamped, address));
			fill(free, address);
			release(sent);
		}
	}
}

static void enter(const char *path, int fd)
{
	__u32 zero = 0;
	union bpf_attr get = { .pathname = (__u64)path };
	union bpf_attr update = {
		.map_fd = checked(path, syscall(__NR_bpf, BPF_OBJ_GET, &get, sizeof(get))),
		.key = (__u64)&zero,
		.value = (__u64)&fd,
	};

	checked("map update",
		syscall(__NR_bpf, BPF_MAP_UPDATE_ELEM, &update, sizeof(update)));
}

int main(int argc, char **argv)
{
	struct ring rx, tx, sent, free;
	struct xdp_mmap_offsets offsets;
	socklen_t size = sizeof(offsets);
	struct sockaddr_xdp address = { .sxdp_family = AF_XDP };
	struct umem_reg umem = {
		.len = BUFFERS * BUFFER_SIZE,
		.chunk_size = BUFFER_SIZE,
	};
	int ring_size = RING_SIZE, fd, buffer;
	void *memory;
	int stamped;

	if (argc != 4)
		return 2;
	fd = checked("socket", socket(AF_XDP, SOCK_RAW, 0));
	memory = mapped("memory", umem.len, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	umem.addr = (__u64)memory;
	stamped = !strcmp(argv[2], "stamped");
	if (stamped) {
		umem.flags = UMEM_TX_METADATA_LEN;
		umem.tx_metadata_len = TX_METADATA_LEN;
	}
	set(fd, XDP_UMEM_REG, &umem, sizeof(umem));
	set(fd, XDP_UMEM_FILL_RING, &ring_size, sizeof(ring_size));
	set(fd, XDP_UMEM_COMPLETION_RING, &ring_size, sizeof(ring_size));
	set(fd, XDP_RX_RING, &ring_size, sizeof(ring_size));
	set(fd, XDP_TX_RING, &ring_size, sizeof(ring_size));
	checked("getsockopt",
		getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &size));
	rx = map_ring(fd, &offsets.rx, XDP_PGOFF_RX_RING);
	tx = map_ring(fd, &offsets.tx, XDP_PGOFF_TX_RING);
	free = map_ring(fd, &offsets.fr, XDP_UMEM_PGOFF_FILL_RING);
	sent = map_ring(fd, &offsets.cr, XDP_UMEM_PGOFF_COMPLETION_RING);
	for (buffer = 0; buffer < BUFFERS; buffer++)
		fill(&free, buffer * BUFFER_SIZE);

	address.sxdp_ifindex = if_nametoindex(argv[1]);
	address.sxdp_flags = strcmp(argv[2], "zerocopy") ? XDP_COPY : XDP_ZEROCOPY;
	checked("bind", bind(fd, (void *)&address, sizeof(address)));
	enter(argv[3], fd);

	if (checked("fork", fork()))
		return 0;
	/* Else the shell that called waits for them to be closed. */
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	close(STDERR_FILENO);
	send_back(fd, stamped ? memory : NULL, &rx, &tx, &sent, &free);
}
